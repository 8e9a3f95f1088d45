//! Sums, products and quotients that keep what rounding loses.
//!
//! On an exact enough type (the exact chain's) the lost parts come out as zero or noise below its
//! own precision, so that formulas written with them hold there too.

use crate::num::Real;

/// a + b as (rounded sum, what the rounding lost) (Knuth's TwoSum). The lost part is NaN where the
/// sum is infinite.
#[inline(always)]
pub fn two_sum<R: Real>(a: R, b: R) -> (R, R) {
    let sum = a + b;
    let b_part = sum - a;
    let a_part = sum - b_part;
    (sum, (a - a_part) + (b - b_part))
}

/// a·b as (rounded product, what the rounding lost). The lost part is NaN where the product is
/// infinite.
#[inline(always)]
pub fn two_product<R: Real>(a: R, b: R) -> (R, R) {
    let product = a * b;
    (product, a.mul_add(b, -product))
}

/// 1/(high + low) for |low| far below |high|, as a sum of two; (0, 0) where `high` is infinite.
#[inline(always)]
pub fn reciprocal<R: Real>(high: R, low: R) -> (R, R) {
    let (quotient, correction) = reciprocal_of_finite(high, low);
    // 1/∞ is 0 and its residual NaN; a NaN quotient stays one.
    (
        quotient,
        R::select(quotient == R::zero(), quotient, correction),
    )
}

/// The same with a NaN correction where `high` is infinite.
#[inline(always)]
pub fn reciprocal_of_finite<R: Real>(high: R, low: R) -> (R, R) {
    let quotient = R::one() / high;
    let residual = high.mul_add(-quotient, R::one()) - low * quotient;
    (quotient, quotient * residual)
}

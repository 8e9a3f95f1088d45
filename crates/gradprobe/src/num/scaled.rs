//! Arrays × 2^e: cotangents that neither vanish nor overflow.

use super::element::Element;
use super::simd::vectorised;
use super::tensor::Tensor;
use pulp::{Simd, WithSimd};

/// A tensor whose true values are its elements × 2^`exponent`.
#[derive(Clone, Debug, PartialEq)]
pub struct Scaled<T> {
    /// The elements.
    pub tensor: Tensor<T>,
    /// The power of two that they are to be multiplied by.
    pub exponent: i64,
}

/// Largest |element| that is left alone; beyond it a cotangent is renormalised.
const LARGEST: i32 = 20;

/// Where exponents stop: 2^±2⁶⁰, as those of [`Extended`](super::Extended) do. (The derivative of
/// tanh at 1e30 is 2^(−3e30).)
const EXPONENT_LIMIT: i64 = 1 << 60;

/// The exponent of a product: the sum, kept within ±2⁶⁰, so that no difference of two overflows.
pub fn exponent_of_product(one: i64, other: i64) -> i64 {
    one.saturating_add(other)
        .clamp(-EXPONENT_LIMIT, EXPONENT_LIMIT)
}

/// Multiplies every element by 2^`exponent`, exactly but for underflow.
pub fn scale<T: Element>(data: &mut [T], exponent: i64) {
    // Two factors reach the whole range of subnormals and infinities.
    let exponent = exponent.clamp(-4200, 4200) as i32;
    let half = exponent / 2;
    let (first, second) = (T::exp2i(half), T::exp2i(exponent - half));
    for x in data {
        *x = *x * first * second;
    }
}

/// The power of two to divide by so that `max_abs` comes to lie in [1, 2), or `None` while it lies
/// in [2^−20, 2^20] (or is zero or not finite, which no power of two mends).
pub fn renormalisation(max_abs: f64) -> Option<i32> {
    if max_abs == 0.0 || !max_abs.is_finite() {
        return None;
    }
    let exponent = libm::ilogb(max_abs);
    (exponent.abs() > LARGEST).then_some(exponent)
}

/// The largest finite |element|.
pub fn max_abs<T: Element>(data: &[T]) -> f64 {
    vectorised(LargestFinite { data }).to_f64()
}

struct LargestFinite<'a, T> {
    data: &'a [T],
}

impl<T: Element> WithSimd for LargestFinite<'_, T> {
    type Output = T;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) -> T {
        // As many running maxima as fill a few registers: one alone would be a chain.
        const LANES: usize = 64;
        let infinity = T::from_f64(f64::INFINITY);
        let larger = |largest: T, x: T| {
            let size = x.abs();
            // NaN is not below infinity either.
            T::select((size > largest) & (size < infinity), size, largest)
        };
        let mut largest = [T::zero(); LANES];
        let (blocks, rest) = self.data.as_chunks::<LANES>();
        for block in blocks {
            for (largest, &x) in largest.iter_mut().zip(block) {
                *largest = larger(*largest, x);
            }
        }
        largest
            .into_iter()
            .chain(rest.iter().copied())
            .fold(T::zero(), larger)
    }
}

/// total × 2^*exponent ← total × 2^*exponent + term × 2^`term_exponent`.
pub fn add<T: Element>(total: &mut [T], exponent: &mut i64, term: &[T], term_exponent: i64) {
    if *exponent == term_exponent {
        for (t, &x) in total.iter_mut().zip(term) {
            *t += x;
        }
        return;
    }
    let (mine, theirs) = (max_abs(total), max_abs(term));
    let common = match (mine == 0.0, theirs == 0.0) {
        (_, true) => *exponent,
        (true, false) => term_exponent,
        (false, false) => (*exponent + i64::from(libm::ilogb(mine)))
            .max(term_exponent + i64::from(libm::ilogb(theirs))),
    };
    // A zero stays zero at any exponent (0 × 2^∞ would not).
    if mine != 0.0 {
        scale(total, *exponent - common);
    }
    *exponent = common;
    let shift = (term_exponent - common).clamp(-4200, 4200) as i32;
    let (first, second) = (T::exp2i(shift / 2), T::exp2i(shift - shift / 2));
    for (t, &x) in total.iter_mut().zip(term) {
        *t += x * first * second;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_over_far_exponents_keep_the_larger_and_lose_nothing_to_a_zero() {
        let (mut total, mut exponent) = (vec![1.0f32, 2.0], 0);
        add(&mut total, &mut exponent, &[1.0, 1.0], -10_000);
        assert_eq!(
            total
                .iter()
                .map(|x| x * 2f32.powi(exponent as i32))
                .collect::<Vec<_>>(),
            [1.0, 2.0]
        );
        let (mut total, mut exponent) = (vec![0.0f32, 0.0], 500);
        add(&mut total, &mut exponent, &[1.0, 3.0], -9_000);
        let sizes: Vec<f64> = total
            .iter()
            .map(|x| f64::from(*x).log2() + exponent as f64)
            .collect();
        assert_eq!(sizes[0], -9000.0);
        assert!((sizes[1] - (3f64.log2() - 9000.0)).abs() < 1e-9);
    }

    #[test]
    fn exponents_stop_before_a_difference_of_two_overflows() {
        let lowest = exponent_of_product(i64::MIN, -5);
        assert_eq!(exponent_of_product(lowest, lowest), lowest);
        let highest = exponent_of_product(i64::MAX, i64::MAX);
        assert_eq!(highest - lowest, 1 << 61);
        assert_eq!(exponent_of_product(3, -8), -5);
    }

    #[test]
    fn scaling_by_a_power_of_two_is_exact() {
        let mut data = [1.1f32, -2.3];
        scale(&mut data, 100);
        scale(&mut data, -100);
        assert_eq!(data, [1.1, -2.3]);
        assert_eq!(renormalisation(1e-30), Some(-100));
        assert_eq!(renormalisation(0.5), None);
        assert_eq!(renormalisation(0.0), None);
    }
}

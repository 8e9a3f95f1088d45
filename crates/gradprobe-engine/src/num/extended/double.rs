//! Unevaluated sums of two f64 ("double-double", 106 bits): the significand of
//! [`Extended`](super::Extended).
//!
//! The algorithms are Dekker's (1971) and Knuth's, with the error bounds of Joldes, Muller and
//! Popescu, "Tight and rigorous error bounds for basic building blocks of double-word
//! arithmetic" (2017). Operands here are of moderate size (|exponent| < 900), so no step over- or
//! underflows.

/// The sum `hi + lo`, |lo| at most half a unit in the last place of hi.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Dd {
    pub hi: f64,
    pub lo: f64,
}

/// a + b exactly, as (rounded sum, error).
#[inline(always)]
fn two_sum(a: f64, b: f64) -> (f64, f64) {
    let sum = a + b;
    let b_part = sum - a;
    let error = (a - (sum - b_part)) + (b - b_part);
    (sum, error)
}

/// a + b exactly where |a| ≥ |b| or a = 0.
#[inline(always)]
fn fast_two_sum(a: f64, b: f64) -> (f64, f64) {
    let sum = a + b;
    (sum, b - (sum - a))
}

/// a·b exactly, as (rounded product, error). Veltkamp's split instead of a fused multiply-add: the
/// latter is a slow call into a library on machines compiled for without it.
#[inline(always)]
fn two_product(a: f64, b: f64) -> (f64, f64) {
    const SPLITTER: f64 = 134_217_729.0; // 2^27 + 1
    let product = a * b;
    let (a_scaled, b_scaled) = (SPLITTER * a, SPLITTER * b);
    let a_high = a_scaled - (a_scaled - a);
    let b_high = b_scaled - (b_scaled - b);
    let (a_low, b_low) = (a - a_high, b - b_high);
    let error = ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low;
    (product, error)
}

impl Dd {
    pub(super) const ONE: Self = Self::new(1.0, 0.0);

    pub(super) const fn new(hi: f64, lo: f64) -> Self {
        Self { hi, lo }
    }

    /// The exact product of two f64.
    #[inline(always)]
    pub(super) fn product(a: f64, b: f64) -> Self {
        let (hi, lo) = two_product(a, b);
        Self { hi, lo }
    }

    /// hi + lo brought to the normal form, |hi| ≥ |lo|.
    #[inline(always)]
    pub(super) fn renormalised(hi: f64, lo: f64) -> Self {
        let (hi, lo) = fast_two_sum(hi, lo);
        Self { hi, lo }
    }

    /// The sum, to a relative error of 3·2⁻¹⁰⁶ however much cancels.
    #[inline(always)]
    pub(super) fn add(self, other: Self) -> Self {
        let (sum_hi, error_hi) = two_sum(self.hi, other.hi);
        let (sum_lo, error_lo) = two_sum(self.lo, other.lo);
        let (hi, carry) = fast_two_sum(sum_hi, error_hi + sum_lo);
        Self::renormalised(hi, error_lo + carry)
    }

    #[inline(always)]
    pub(super) fn add_f64(self, other: f64) -> Self {
        let (sum, error) = two_sum(self.hi, other);
        Self::renormalised(sum, self.lo + error)
    }

    #[inline(always)]
    pub(super) fn neg(self) -> Self {
        Self::new(-self.hi, -self.lo)
    }

    #[inline(always)]
    pub(super) fn sub(self, other: Self) -> Self {
        self.add(other.neg())
    }

    /// The product, to a relative error of 5·2⁻¹⁰⁶.
    #[inline(always)]
    pub(super) fn mul(self, other: Self) -> Self {
        let (product, error) = two_product(self.hi, other.hi);
        let cross = self.hi * other.lo + self.lo * other.hi;
        Self::renormalised(product, error + cross)
    }

    #[inline(always)]
    pub(super) fn mul_f64(self, other: f64) -> Self {
        let (product, error) = two_product(self.hi, other);
        Self::renormalised(product, error + self.lo * other)
    }

    /// The product with a power of two, exactly.
    #[inline(always)]
    pub(super) fn scale(self, power_of_two: f64) -> Self {
        Self::new(self.hi * power_of_two, self.lo * power_of_two)
    }

    /// The quotient by long division, three steps.
    pub(super) fn div(self, other: Self) -> Self {
        let first = self.hi / other.hi;
        let rest = self.sub(other.mul_f64(first));
        let second = rest.hi / other.hi;
        let rest = rest.sub(other.mul_f64(second));
        let third = rest.hi / other.hi;
        Self::renormalised(first, second).add_f64(third)
    }

    /// Σ coefficients[n]·x^n by Horner's rule.
    pub(super) fn polynomial(self, coefficients: &[Self]) -> Self {
        let mut sum = Self::new(0.0, 0.0);
        for &coefficient in coefficients.iter().rev() {
            sum = sum.mul(self).add(coefficient);
        }
        sum
    }
}

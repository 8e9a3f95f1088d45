//! The numbers that an activation's formula can be evaluated on.
//!
//! Each activation is written once, over `R: Real`. The engine reads that formula on `f32` and
//! `f64` (where the functions below are branch-free so that a loop over a slice vectorises), the
//! exact chain reads it on [`Extended`](super::extended::Extended) (106 bits, unbounded exponent).

use std::f64::consts::FRAC_1_SQRT_2;
use std::fmt::Debug;
use std::ops::{Add, Div, Mul, Neg, Sub};

/// A real number with the elementary functions that activations are made of.
///
/// Every function propagates NaN. A formula must not branch on a value: it computes both sides
/// and takes one by [`Real::select`], so that the same text vectorises.
pub trait Real:
    Copy
    + Debug
    + PartialEq
    + PartialOrd
    + Neg<Output = Self>
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
{
    /// The number nearest to a f64.
    fn from_f64(value: f64) -> Self;
    /// A constant given as an unevaluated sum of two f64, for more digits than one f64 holds.
    fn from_sum(high: f64, low: f64) -> Self;
    /// `if_true` where `condition` holds, else `if_false`; both sides are already computed.
    fn select(condition: bool, if_true: Self, if_false: Self) -> Self;
    /// |x|.
    fn abs(self) -> Self;
    /// |self| with the sign of `sign`.
    fn copysign(self, sign: Self) -> Self;
    /// e^x.
    fn exp(self) -> Self;
    /// e^x − 1 without cancellation near 0.
    fn exp_m1(self) -> Self;
    /// The natural logarithm.
    fn ln(self) -> Self;
    /// ln(1 + x) without cancellation near 0.
    fn ln_1p(self) -> Self;
    /// The hyperbolic tangent.
    fn tanh(self) -> Self;
    /// 1/cosh²(x), the derivative of tanh: no `1 − t²`, so it does not cancel for large |x|.
    fn sech_squared(self) -> Self;
    /// tanh(x) and 1/cosh²(x), which share their exponential.
    #[inline(always)]
    fn tanh_sech_squared(self) -> (Self, Self) {
        (self.tanh(), self.sech_squared())
    }
    /// The first half of [`tanh_sech_squared`](Self::tanh_sech_squared), for a loop over a slice
    /// that is cut in two: as one, its operations wait for each other longer than a processor
    /// looks ahead. What the two numbers are is the second half's business.
    #[inline(always)]
    fn begin_tanh_sech_squared(self) -> (Self, Self) {
        self.tanh_sech_squared()
    }
    /// The second half: tanh(x) and 1/cosh²(x) from what the first half gave for the same x.
    #[inline(always)]
    fn end_tanh_sech_squared(self, begun: (Self, Self)) -> (Self, Self) {
        begun
    }
    /// tanh(x) and 1/cosh²(x) for |x| ≤ 1, where they need no exponential.
    #[inline(always)]
    fn inner_tanh_sech_squared(self) -> (Self, Self) {
        self.tanh_sech_squared()
    }
    /// The logistic function 1/(1 + e^(−x)), to relative precision on both sides.
    fn sigmoid(self) -> Self;
    /// The error function.
    fn erf(self) -> Self;
    /// 1 − erf(x), to relative precision for large x.
    fn erfc(self) -> Self;
    /// The sine.
    fn sin(self) -> Self;
    /// The cosine.
    fn cos(self) -> Self;
    /// Up to which |x| [`reduced_sin`](Self::reduced_sin) and [`reduced_cos`](Self::reduced_cos)
    /// hold.
    const REDUCIBLE: f64 = f64::INFINITY;
    /// The sine without a branch, for |x| ≤ [`REDUCIBLE`](Self::REDUCIBLE).
    #[inline(always)]
    fn reduced_sin(self) -> Self {
        self.sin()
    }
    /// The cosine without a branch, for |x| ≤ [`REDUCIBLE`](Self::REDUCIBLE).
    #[inline(always)]
    fn reduced_cos(self) -> Self {
        self.cos()
    }
    /// The inverse tangent.
    fn atan(self) -> Self;
    /// self·factor + addend, rounded once where the type can; so `a.mul_add(b, -(a * b))` is what
    /// the product lost.
    #[inline(always)]
    fn mul_add(self, factor: Self, addend: Self) -> Self {
        self * factor + addend
    }
    /// e^(−x²). A plain `(x * x).exp()` multiplies the rounding of the square by x².
    #[inline(always)]
    fn exp_neg_square(self) -> Self {
        let square = self * self;
        let lost = self.mul_add(self, -square);
        let e = (-square).exp();
        // At infinity the lost part is NaN and e is already 0.
        Self::select(e == Self::zero(), e, e - e * lost)
    }
    /// The density of the standard normal distribution, e^(−x²/2)/√(2π).
    #[inline(always)]
    fn normal_pdf(self) -> Self {
        let scale = Self::from_sum(0.398_942_280_401_432_7, -2.492_327_202_277_73e-17);
        let half_square = self * self * Self::from_f64(0.5);
        let lost = self.mul_add(self * Self::from_f64(0.5), -half_square);
        let e = scale * (-half_square).exp();
        Self::select(e == Self::zero(), e, e - e * lost)
    }
    /// The distribution function of the standard normal, ½ erfc(−x/√2), to relative precision in
    /// the left tail.
    #[inline(always)]
    fn normal_cdf(self) -> Self {
        let scale = Self::from_sum(-FRAC_1_SQRT_2, 4.833_646_656_726_457e-17);
        Self::from_f64(0.5) * (scale * self).erfc()
    }
    /// x − tanh(x) without cancellation near 0, where it is x³/3.
    #[inline(always)]
    fn minus_tanh(self) -> Self {
        // x − tanh x = (x cosh x − sinh x)/cosh x, whose numerator is Σ 2k x^(2k+1)/(2k+1)!: for
        // |x| ≤ 1, sixteen terms leave 2^−115.
        let square = self * self;
        let mut term = self;
        let mut numerator = Self::zero();
        for k in 1..=16 {
            let even = 2.0 * f64::from(k);
            term = term * square / Self::from_f64(even * (even + 1.0));
            numerator = numerator + Self::from_f64(even) * term;
        }
        let e = (-self.abs()).exp();
        let sech = (e + e) / (Self::one() + e * e);
        Self::select(
            self.abs() <= Self::one(),
            numerator * sech,
            self - self.tanh(),
        )
    }
    /// Zero.
    #[inline(always)]
    fn zero() -> Self {
        Self::from_f64(0.0)
    }
    /// One.
    #[inline(always)]
    fn one() -> Self {
        Self::from_f64(1.0)
    }
}

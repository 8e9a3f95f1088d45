//! The numbers that an activation's formula can be evaluated on.
//!
//! Each activation is written once, over `R: Real`. The engine reads that formula on `f32` and
//! `f64` (where the functions below are branch-free so that a loop over a slice vectorises), the
//! exact chain reads it on [`Extended`](super::extended::Extended) (106 bits, unbounded exponent).

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
    /// The inverse tangent.
    fn atan(self) -> Self;
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

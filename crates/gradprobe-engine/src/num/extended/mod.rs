//! Numbers of 106 bits that neither over- nor underflow, for the exact chain.
//!
//! An [`Extended`] is a double-double significand times 2^exponent with an exponent of 64 bits.
//! The four operations are good to about 2⁻¹⁰³, the elementary functions to 10⁻³⁰ or
//! better over their whole range, each measured in this module's tests. It is not a multiple
//! precision library: what needs more than 106 bits (a chaotic chain) must carry an error bound.

mod constants;
mod decimal;
mod double;
mod error_function;
mod exponential;
mod trigonometric;
mod wide;

use super::real::Real;
use double::Dd;
use std::cmp::Ordering;
use std::ops::{Add, Div, Mul, Neg, Sub};

/// A real number: sign and significand as a sum of two f64, times 2^exponent.
///
/// Magnitudes leave the exponent's range only for arguments such as e^(−10^19): they then stop at
/// 2^±2⁶⁰, and [`out_of_range`](Self::out_of_range) is true. Infinities and NaN behave as in f64.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Extended {
    /// |hi| in [1, 2), or 0, ±∞ or NaN (then `lo` and `exponent` are 0).
    hi: f64,
    /// At most half a unit in the last place of `hi`.
    lo: f64,
    exponent: i64,
}

/// Where magnitudes stop: 2^±2⁶⁰.
const EXPONENT_LIMIT: i64 = 1 << 60;

/// 2^exponent for an exponent in −1022..=1023.
#[inline(always)]
fn power_of_two(exponent: i64) -> f64 {
    f64::from_bits(((exponent + 1023) as u64) << 52)
}

impl Extended {
    /// Zero.
    pub const ZERO: Self = Self::raw(0.0, 0.0, 0);
    /// One.
    pub const ONE: Self = Self::raw(1.0, 0.0, 0);

    const fn raw(hi: f64, lo: f64, exponent: i64) -> Self {
        Self { hi, lo, exponent }
    }

    /// significand·2^exponent, brought to the normal form.
    #[inline]
    fn normalised(significand: Dd, exponent: i64) -> Self {
        let Dd { hi, lo } = significand;
        if hi == 0.0 || !hi.is_finite() {
            return Self::raw(hi, 0.0, 0);
        }
        let shift = ((hi.to_bits() >> 52) & 0x7ff) as i64 - 1023;
        let scale = power_of_two(-shift);
        let exponent = exponent.saturating_add(shift);
        if exponent.unsigned_abs() >= EXPONENT_LIMIT as u64 {
            return Self::raw(1f64.copysign(hi), 0.0, EXPONENT_LIMIT.copysign_of(exponent));
        }
        Self::raw(hi * scale, lo * scale, exponent)
    }

    fn significand(self) -> Dd {
        Dd::new(self.hi, self.lo)
    }

    /// The number as a plain sum of two f64. Only where the exponent is known to be moderate.
    fn to_dd(self) -> Dd {
        debug_assert!(self.exponent.abs() < 900);
        self.significand().scale(power_of_two(self.exponent))
    }

    fn from_dd(value: Dd) -> Self {
        Self::normalised(value, 0)
    }

    /// The product with 2^exponent, exactly.
    pub fn scaled(self, exponent: i64) -> Self {
        Self::normalised(self.significand(), self.exponent.saturating_add(exponent))
    }

    /// significand·2^exponent, both exactly as given.
    pub fn from_parts(significand: f64, exponent: i64) -> Self {
        Self::from_f64(significand).scaled(exponent)
    }

    /// (m, e) with |m| in [1, 2) and self = m·2^e to f64's precision; (0, 0) for zero.
    pub fn to_parts(self) -> (f64, i64) {
        (self.hi, self.exponent)
    }

    /// Is it zero?
    pub fn is_zero(self) -> bool {
        self.hi == 0.0
    }

    /// Does one f64 significand hold it? Products and sums of two such numbers are exact.
    pub fn is_single(self) -> bool {
        self.lo == 0.0
    }

    /// Is it NaN?
    pub fn is_nan(self) -> bool {
        self.hi.is_nan()
    }

    /// Neither infinite nor NaN.
    pub fn is_finite(self) -> bool {
        self.hi.is_finite()
    }

    /// Is the magnitude beyond what the exponent counts, so that only a bound is known?
    pub fn out_of_range(self) -> bool {
        self.exponent.abs() >= EXPONENT_LIMIT / 2
    }

    /// −1, 0 or 1; 0 for NaN.
    pub fn sign(self) -> i32 {
        if self.hi > 0.0 {
            1
        } else if self.hi < 0.0 {
            -1
        } else {
            0
        }
    }

    /// log₁₀|x| in decades, rounded to f64; −∞ for zero.
    pub fn log10_abs(self) -> f64 {
        (self.abs().ln() / Self::from_dd(constants::LN_10)).to_f64()
    }

    /// The nearest f64, ties to even, subnormals and overflow included.
    pub fn to_f64(self) -> f64 {
        const SMALLEST_NORMAL: i64 = -1022;
        if self.hi == 0.0 || !self.hi.is_finite() {
            return self.hi;
        }
        if self.exponent > 1023 {
            return f64::INFINITY.copysign(self.hi);
        }
        if self.exponent >= SMALLEST_NORMAL {
            return self.hi * power_of_two(self.exponent);
        }
        // Subnormal: `hi` is rounded again to fewer bits, and `lo` breaks a tie.
        let dropped = (SMALLEST_NORMAL - self.exponent).min(60) as u32;
        let bits = (self.hi.to_bits() & ((1 << 52) - 1)) | (1 << 52);
        let (kept, rest) = if dropped > 53 {
            (0, 0)
        } else {
            (bits >> dropped, bits & ((1 << dropped) - 1))
        };
        let half = 1u64 << (dropped - 1);
        let lo_is_outward = self.lo * self.hi.signum() > 0.0;
        let up = match rest.cmp(&half) {
            Ordering::Greater => true,
            Ordering::Less => false,
            Ordering::Equal if self.lo == 0.0 => kept & 1 == 1,
            Ordering::Equal => lo_is_outward,
        };
        f64::from_bits(kept + u64::from(up)).copysign(self.hi)
    }

    /// What plain f64 makes of an operation with an infinity or NaN among the operands.
    fn sketch(self) -> f64 {
        if self.hi.is_finite() {
            f64::from(self.sign())
        } else {
            self.hi
        }
    }

    fn all_finite(self, other: Self) -> bool {
        self.hi.is_finite() && other.hi.is_finite()
    }
}

trait CopySign {
    fn copysign_of(self, other: Self) -> Self;
}

impl CopySign for i64 {
    fn copysign_of(self, other: Self) -> Self {
        if other < 0 { -self } else { self }
    }
}

impl Neg for Extended {
    type Output = Self;
    #[inline]
    fn neg(self) -> Self {
        Self::raw(-self.hi, -self.lo, self.exponent)
    }
}

impl Add for Extended {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        // Beyond this distance the smaller one does not touch the larger one's two f64.
        const FAR: i64 = 400;
        if !self.all_finite(other) {
            return Self::raw(self.sketch() + other.sketch(), 0.0, 0);
        }
        if self.is_zero() {
            return other;
        }
        if other.is_zero() {
            return self;
        }
        let (large, small) = if self.exponent >= other.exponent {
            (self, other)
        } else {
            (other, self)
        };
        let distance = large.exponent - small.exponent;
        if distance > FAR {
            return large;
        }
        let aligned = small.significand().scale(power_of_two(-distance));
        Self::normalised(large.significand().add(aligned), large.exponent)
    }
}

impl Sub for Extended {
    type Output = Self;
    #[inline]
    fn sub(self, other: Self) -> Self {
        self + (-other)
    }
}

impl Mul for Extended {
    type Output = Self;
    #[inline]
    fn mul(self, other: Self) -> Self {
        if !self.all_finite(other) {
            return Self::raw(self.sketch() * other.sketch(), 0.0, 0);
        }
        Self::normalised(
            self.significand().mul(other.significand()),
            self.exponent + other.exponent,
        )
    }
}

impl Div for Extended {
    type Output = Self;
    fn div(self, other: Self) -> Self {
        if !self.all_finite(other) || other.is_zero() {
            return Self::raw(self.sketch() / other.sketch(), 0.0, 0);
        }
        Self::normalised(
            self.significand().div(other.significand()),
            self.exponent - other.exponent,
        )
    }
}

impl PartialOrd for Extended {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        if !self.all_finite(*other) {
            return self.sketch().partial_cmp(&other.sketch());
        }
        let signs = self.sign().cmp(&other.sign());
        if signs != Ordering::Equal || self.is_zero() {
            return Some(signs);
        }
        let exponents = if self.hi > 0.0 {
            self.exponent.cmp(&other.exponent)
        } else {
            other.exponent.cmp(&self.exponent)
        };
        Some(exponents)
            .filter(|&order| order != Ordering::Equal)
            .or_else(|| (self.hi, self.lo).partial_cmp(&(other.hi, other.lo)))
    }
}

impl Real for Extended {
    fn from_f64(value: f64) -> Self {
        if value == 0.0 || !value.is_finite() {
            return Self::raw(value, 0.0, 0);
        }
        if value.abs() < f64::MIN_POSITIVE {
            // A subnormal has no leading bit: lift it first.
            const LIFT: i64 = 54;
            return Self::normalised(Dd::new(value * power_of_two(LIFT), 0.0), -LIFT);
        }
        if value.abs() >= power_of_two(1023) {
            return Self::normalised(Dd::new(value * 0.5, 0.0), 1);
        }
        Self::normalised(Dd::new(value, 0.0), 0)
    }
    fn from_sum(high: f64, low: f64) -> Self {
        Self::from_f64(high) + Self::from_f64(low)
    }
    #[inline]
    fn select(condition: bool, if_true: Self, if_false: Self) -> Self {
        if condition { if_true } else { if_false }
    }
    #[inline]
    fn abs(self) -> Self {
        if self.hi.is_sign_negative() {
            -self
        } else {
            self
        }
    }
    fn copysign(self, sign: Self) -> Self {
        if self.hi.is_sign_negative() == sign.hi.is_sign_negative() {
            self
        } else {
            -self
        }
    }
    fn exp(self) -> Self {
        exponential::exp(self)
    }
    fn exp_m1(self) -> Self {
        exponential::exp_m1(self)
    }
    fn ln(self) -> Self {
        exponential::ln(self)
    }
    fn ln_1p(self) -> Self {
        exponential::ln_1p(self)
    }
    fn tanh(self) -> Self {
        exponential::tanh_sech_squared(self).0
    }
    fn sech_squared(self) -> Self {
        exponential::tanh_sech_squared(self).1
    }
    fn tanh_sech_squared(self) -> (Self, Self) {
        exponential::tanh_sech_squared(self)
    }
    fn sigmoid(self) -> Self {
        exponential::sigmoid(self)
    }
    fn erf(self) -> Self {
        error_function::erf(self)
    }
    fn erfc(self) -> Self {
        error_function::erfc(self)
    }
    fn exp_neg_square(self) -> Self {
        error_function::exp_neg_square(self)
    }
    fn normal_pdf(self) -> Self {
        error_function::normal_pdf(self)
    }
    fn sin(self) -> Self {
        trigonometric::sin(self)
    }
    fn cos(self) -> Self {
        trigonometric::cos(self)
    }
    fn atan(self) -> Self {
        trigonometric::atan(self)
    }
}

#[cfg(test)]
mod tests;

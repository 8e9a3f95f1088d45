//! Non-negative sizes whose exponent is not bounded by a float's.

use serde::{Deserialize, Serialize};

/// A size m × 2^e, m ≥ 0: a norm that can be 1e-4000 without being 0.
///
/// Kept with m in [1, 2) unless it is zero, infinite or NaN.
#[derive(Clone, Copy, Debug, PartialEq, Default, Serialize, Deserialize)]
pub struct Magnitude {
    mantissa: f64,
    exponent: i64,
}

impl Magnitude {
    /// Zero.
    pub const ZERO: Self = Self {
        mantissa: 0.0,
        exponent: 0,
    };

    /// |value| × 2^exponent.
    pub fn new(value: f64, exponent: i64) -> Self {
        let value = value.abs();
        if value == 0.0 || !value.is_finite() {
            return Self {
                mantissa: value,
                exponent: 0,
            };
        }
        let (mantissa, shift) = libm::frexp(value);
        Self {
            mantissa: mantissa * 2.0,
            exponent: exponent + i64::from(shift) - 1,
        }
    }

    /// Exactly zero.
    pub fn is_zero(self) -> bool {
        self.mantissa == 0.0
    }

    /// Neither infinite nor NaN.
    pub fn is_finite(self) -> bool {
        self.mantissa.is_finite()
    }

    /// The nearest f64: 0 or infinity where it does not fit.
    pub fn to_f64(self) -> f64 {
        let exponent = self.exponent.clamp(-2000, 2000) as i32;
        libm::scalbn(self.mantissa, exponent)
    }

    /// The size divided by 2^`exponent`, as a f64.
    pub fn in_units_of(self, exponent: i64) -> f64 {
        Self {
            exponent: self.exponent - exponent,
            ..self
        }
        .to_f64()
    }

    /// log10 of the size, in decades; −∞ for zero.
    pub fn log10(self) -> f64 {
        if !self.mantissa.is_finite() || self.mantissa == 0.0 {
            return self.mantissa.log10();
        }
        libm::log10(self.mantissa) + self.exponent as f64 * std::f64::consts::LOG10_2
    }

    /// log10(self / other), in decades; `None` where either is zero or not finite.
    pub fn decades_above(self, other: Self) -> Option<f64> {
        let usable = |size: Self| size.is_finite() && !size.is_zero();
        (usable(self) && usable(other)).then(|| {
            libm::log10(self.mantissa / other.mantissa)
                + (self.exponent - other.exponent) as f64 * std::f64::consts::LOG10_2
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_outside_the_range_of_f64_keep_their_decades() {
        let tiny = Magnitude::new(1.0, -13_288);
        assert!((tiny.log10() + 4000.086582382982).abs() < 1e-9);
        assert_eq!(tiny.to_f64(), 0.0);
        assert!(!tiny.is_zero());
        let huge = Magnitude::new(-1.5, 5000);
        assert_eq!(huge.to_f64(), f64::INFINITY);
        assert!((huge.decades_above(tiny).unwrap_or(0.0) - 5505.412651961944).abs() < 1e-9);
    }

    #[test]
    fn a_ratio_with_zero_or_nan_has_no_decades() {
        assert_eq!(Magnitude::ZERO.decades_above(Magnitude::new(1.0, 0)), None);
        assert_eq!(
            Magnitude::new(f64::NAN, 0).decades_above(Magnitude::new(1.0, 0)),
            None
        );
        assert_eq!(Magnitude::ZERO.log10(), f64::NEG_INFINITY);
    }
}

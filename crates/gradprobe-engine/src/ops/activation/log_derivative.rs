//! A derivative by its logarithm.

/// A derivative as (sign, ln|·|): holds where the number itself underflows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LogDerivative {
    /// −1, 0 or 1; NaN where the derivative is NaN.
    pub sign: f64,
    /// The natural logarithm of the absolute value; −∞ for zero.
    pub ln_abs: f64,
}

impl LogDerivative {
    /// An exact zero.
    pub const ZERO: Self = Self {
        sign: 0.0,
        ln_abs: f64::NEG_INFINITY,
    };

    /// The logarithm of a number that has not underflowed.
    pub fn of(derivative: f64) -> Self {
        Self {
            sign: if derivative == 0.0 {
                0.0
            } else if derivative.is_nan() {
                f64::NAN
            } else {
                derivative.signum()
            },
            ln_abs: libm::log(derivative.abs()),
        }
    }

    /// A positive number given by its logarithm; −∞ stands for zero.
    pub(super) fn positive(ln_abs: f64) -> Self {
        Self {
            sign: if ln_abs == f64::NEG_INFINITY {
                0.0
            } else {
                1.0
            },
            ln_abs,
        }
    }

    /// The negative of a number given by its logarithm; −∞ stands for zero.
    pub(super) fn negative(ln_abs: f64) -> Self {
        let positive = Self::positive(ln_abs);
        Self {
            sign: -positive.sign,
            ..positive
        }
    }
}

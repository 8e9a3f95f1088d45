//! Why a gradient that arithmetic gives as 0 is 0.

use crate::num::{Dtype, Extended, Real};
use serde::{Deserialize, Serialize};

/// The cause of a zero in a gradient.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ZeroCause {
    /// The gradient is 0: a ReLU that is off, a weight of 0.
    TrueZero,
    /// The gradient, or a number on the way to it, is below the type's smallest subnormal.
    Underflow,
    /// A local derivative such as 1 − tanh² was rounded to 0 though its true value fits the type.
    Cancellation,
    /// A forward value was rounded onto a flat part of the activation.
    Rounding,
    /// A forward value overflowed, and the derivative at infinity is 0.
    Overflow,
}

impl ZeroCause {
    /// Its name in JSON: `true_zero`.
    pub fn name(self) -> &'static str {
        match self {
            Self::TrueZero => "true_zero",
            Self::Underflow => "underflow",
            Self::Cancellation => "cancellation",
            Self::Rounding => "rounding",
            Self::Overflow => "overflow",
        }
    }
}

/// Does a number of this size round to 0 in the type? (Half the smallest subnormal does: ties go
/// to even.)
pub fn vanishes_in(value: Extended, dtype: Dtype) -> bool {
    value.abs() <= Extended::ONE.scaled(dtype.smallest_exponent() - 1)
}

/// Why a framework's local derivative is 0 where the true one is not.
///
/// `stable` is the derivative at the argument that the type holds, computed without cancellation;
/// `argument` is that argument.
pub fn cause_of_zero_derivative(argument: f64, stable: Extended, dtype: Dtype) -> ZeroCause {
    if !argument.is_finite() {
        ZeroCause::Overflow
    } else if stable.is_zero() {
        ZeroCause::Rounding
    } else if vanishes_in(stable, dtype) {
        ZeroCause::Underflow
    } else {
        ZeroCause::Cancellation
    }
}

/// Why a gradient is 0 in a type.
///
/// `exact` is its true value; `blocked_by` is the cause of a factor that is 0 in the type and not
/// in truth, where there is one (without one, a product of factors that are not 0 underflowed).
pub fn zero_cause(exact: Extended, dtype: Dtype, blocked_by: Option<ZeroCause>) -> ZeroCause {
    if exact.is_zero() {
        ZeroCause::TrueZero
    } else if vanishes_in(exact, dtype) {
        ZeroCause::Underflow
    } else {
        blocked_by.unwrap_or(ZeroCause::Underflow)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_causes_are_told_apart() {
        let exact = |value: f64| Extended::from_f64(value);
        let cancelled = Some(ZeroCause::Cancellation);
        assert_eq!(
            zero_cause(Extended::ZERO, Dtype::F64, cancelled),
            ZeroCause::TrueZero
        );
        // The seed's first gradient: f64 could hold it, f32 could not.
        assert_eq!(
            zero_cause(exact(9.28e-86), Dtype::F64, cancelled),
            ZeroCause::Cancellation
        );
        assert_eq!(
            zero_cause(exact(9.28e-86), Dtype::F32, cancelled),
            ZeroCause::Underflow
        );
        assert_eq!(
            zero_cause(exact(1e-20), Dtype::F64, None),
            ZeroCause::Underflow
        );
    }

    #[test]
    fn half_the_smallest_subnormal_vanishes_and_more_does_not() {
        for dtype in Dtype::ALL {
            let half = Extended::ONE.scaled(dtype.smallest_exponent() - 1);
            assert!(vanishes_in(half, dtype));
            assert!(!vanishes_in(half + half.scaled(-40), dtype));
        }
    }

    #[test]
    fn a_zero_derivative_is_told_by_its_argument() {
        let cause = |argument: f64, stable: f64| {
            cause_of_zero_derivative(argument, Extended::from_f64(stable), Dtype::F32)
        };
        assert_eq!(cause(20.0, 1e-17), ZeroCause::Cancellation);
        assert_eq!(cause(100.0, 5e-87), ZeroCause::Underflow);
        assert_eq!(cause(1.0, 0.0), ZeroCause::Rounding);
        assert_eq!(cause(f64::INFINITY, 0.0), ZeroCause::Overflow);
    }
}

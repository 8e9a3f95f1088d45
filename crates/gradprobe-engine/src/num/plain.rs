//! Plain floating-point arithmetic: what a formula gives when every operation is rounded.
//!
//! The engine's f32 and f64 have compensated and fused steps, to be as exact as they can. These
//! wrappers have none: they show what 1 − y² gives where a framework computes it. Elementary
//! functions are evaluated in f64 by `libm` and rounded to the type, so the result is the same on
//! every machine.

use super::real::Real;
use std::ops::{Add, Div, Mul, Neg, Sub};

/// A number on which every operation is rounded to `T`, and nothing else is done.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Plain<T>(pub T);

macro_rules! plain {
    ($type:ty) => {
        impl Neg for Plain<$type> {
            type Output = Self;
            fn neg(self) -> Self {
                Self(-self.0)
            }
        }
        plain!($type, Add add +, Sub sub -, Mul mul *, Div div /);

        impl Plain<$type> {
            fn through(self, function: fn(f64) -> f64) -> Self {
                Self(function(f64::from(self.0)) as $type)
            }
        }

        impl Real for Plain<$type> {
            fn from_f64(value: f64) -> Self {
                Self(value as $type)
            }
            fn from_sum(high: f64, low: f64) -> Self {
                Self((high + low) as $type)
            }
            fn select(condition: bool, if_true: Self, if_false: Self) -> Self {
                if condition { if_true } else { if_false }
            }
            fn abs(self) -> Self {
                Self(self.0.abs())
            }
            fn copysign(self, sign: Self) -> Self {
                Self(self.0.copysign(sign.0))
            }
            fn exp(self) -> Self {
                self.through(libm::exp)
            }
            fn exp_m1(self) -> Self {
                self.through(libm::expm1)
            }
            fn ln(self) -> Self {
                self.through(libm::log)
            }
            fn ln_1p(self) -> Self {
                self.through(libm::log1p)
            }
            fn tanh(self) -> Self {
                self.through(libm::tanh)
            }
            fn sech_squared(self) -> Self {
                self.through(|x| {
                    let e = libm::exp(-2.0 * x.abs());
                    4.0 * e / ((1.0 + e) * (1.0 + e))
                })
            }
            fn sigmoid(self) -> Self {
                self.through(|x| {
                    let e = libm::exp(-x.abs());
                    if x < 0.0 { e / (1.0 + e) } else { 1.0 / (1.0 + e) }
                })
            }
            fn erf(self) -> Self {
                self.through(libm::erf)
            }
            fn erfc(self) -> Self {
                self.through(libm::erfc)
            }
            fn sin(self) -> Self {
                self.through(libm::sin)
            }
            fn cos(self) -> Self {
                self.through(libm::cos)
            }
            fn atan(self) -> Self {
                self.through(libm::atan)
            }
        }
    };
    ($type:ty, $($trait:ident $method:ident $operator:tt),*) => {
        $(impl $trait for Plain<$type> {
            type Output = Self;
            fn $method(self, other: Self) -> Self {
                Self(self.0 $operator other.0)
            }
        })*
    };
}

plain!(f32);
plain!(f64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_minus_the_square_of_a_saturated_tanh_is_zero() {
        fn naive<R: Real>(x: f64) -> R {
            let y = R::from_f64(x).tanh();
            R::one() - y * y
        }
        // The thresholds at which tanh rounds to 1.
        assert_eq!(naive::<Plain<f64>>(19.07).0, 0.0);
        assert!(naive::<Plain<f64>>(19.05).0 > 0.0);
        assert_eq!(naive::<Plain<f32>>(9.012).0, 0.0);
        assert!(naive::<Plain<f32>>(9.010).0 > 0.0);
    }
}

//! Elementary functions on f32 and f64.

pub mod compensated;

use super::real::Real;
use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI};

macro_rules! real {
    ($type:ty, $m:ident) => {
        impl Real for $type {
            #[inline(always)]
            fn from_f64(value: f64) -> Self {
                value as $type
            }
            #[inline(always)]
            fn from_sum(high: f64, low: f64) -> Self {
                (high + low) as $type
            }
            #[inline(always)]
            fn select(condition: bool, if_true: Self, if_false: Self) -> Self {
                if condition { if_true } else { if_false }
            }
            #[inline(always)]
            fn abs(self) -> Self {
                <$type>::abs(self)
            }
            #[inline(always)]
            fn copysign(self, sign: Self) -> Self {
                <$type>::copysign(self, sign)
            }
            #[inline(always)]
            fn mul_add(self, factor: Self, addend: Self) -> Self {
                <$type>::mul_add(self, factor, addend)
            }
            fn exp(self) -> Self {
                libm::exp(self as f64) as $type
            }
            fn exp_m1(self) -> Self {
                libm::expm1(self as f64) as $type
            }
            fn ln(self) -> Self {
                libm::log(self as f64) as $type
            }
            fn ln_1p(self) -> Self {
                libm::log1p(self as f64) as $type
            }
            fn tanh(self) -> Self {
                libm::tanh(self as f64) as $type
            }
            fn sech_squared(self) -> Self {
                let e = libm::exp(-2.0 * (self as f64).abs());
                (4.0 * e / ((1.0 + e) * (1.0 + e))) as $type
            }
            fn sigmoid(self) -> Self {
                let e = libm::exp(-(self as f64).abs());
                (if self < 0.0 {
                    e / (1.0 + e)
                } else {
                    1.0 / (1.0 + e)
                }) as $type
            }
            fn erf(self) -> Self {
                libm::erf(self as f64) as $type
            }
            fn erfc(self) -> Self {
                libm::erfc(self as f64) as $type
            }
            fn normal_cdf(self) -> Self {
                // Φ(x) = ½ erfc(z + dz): the rounding dz of z = −x/√2 is worth 2z·dz in the tail.
                let x = self as f64;
                let z = -FRAC_1_SQRT_2 * x;
                let dz = f64::mul_add(-FRAC_1_SQRT_2, x, -z) + 4.833_646_656_726_457e-17 * x;
                let slope = FRAC_2_SQRT_PI * libm::exp(-z * z);
                let correction = if slope == 0.0 { 0.0 } else { slope * dz };
                (0.5 * (libm::erfc(z) - correction)) as $type
            }
            fn sin(self) -> Self {
                libm::sin(self as f64) as $type
            }
            fn cos(self) -> Self {
                libm::cos(self as f64) as $type
            }
            fn atan(self) -> Self {
                libm::atan(self as f64) as $type
            }
        }
    };
}
real!(f32, f32);
real!(f64, f64);

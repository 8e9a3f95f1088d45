//! The types that the engine computes in.

use super::real::Real;
use std::fmt::{Debug, Display};
use std::ops::{AddAssign, MulAssign, SubAssign};

/// An element of a tensor: `f32` or `f64`.
pub trait Element:
    Real + Default + Display + Debug + AddAssign + SubAssign + MulAssign + Send + Sync + 'static
{
    /// The type's name as users write it: `f32`, `f64`.
    const NAME: &'static str;
    /// Bits of the significand, the hidden one counted.
    const SIGNIFICAND_BITS: i32;
    /// The exponent of the smallest normal number.
    const MIN_EXPONENT: i32;
    /// The exponent of the largest finite number.
    const MAX_EXPONENT: i32;
    /// The smallest positive subnormal, as a f64.
    const SMALLEST_SUBNORMAL: f64;
    /// The largest finite number, as a f64.
    const LARGEST: f64;

    /// Widens (f32) or returns (f64) the value.
    fn to_f64(self) -> f64;
    /// 2^exponent; 0 or infinity where the type cannot hold it.
    fn exp2i(exponent: i32) -> Self;
    /// Neither infinite nor NaN.
    fn is_finite(self) -> bool;
    /// Not a number.
    fn is_nan(self) -> bool;
    /// The square root, correctly rounded.
    fn sqrt(self) -> Self;
    /// The larger of the two; NaN if either is NaN.
    fn maximum(self, other: Self) -> Self;
}

macro_rules! element {
    ($type:ty, $bits:expr, $bias:expr, $mantissa:expr, $uint:ty) => {
        impl Element for $type {
            const NAME: &'static str = stringify!($type);
            const SIGNIFICAND_BITS: i32 = <$type>::MANTISSA_DIGITS as i32;
            const MIN_EXPONENT: i32 = 1 - $bias;
            const MAX_EXPONENT: i32 = $bias;
            const SMALLEST_SUBNORMAL: f64 = <$type>::from_bits(1) as f64;
            const LARGEST: f64 = <$type>::MAX as f64;

            #[inline(always)]
            fn to_f64(self) -> f64 {
                f64::from(self)
            }
            #[inline(always)]
            fn exp2i(exponent: i32) -> Self {
                if exponent > $bias {
                    return <$type>::INFINITY;
                }
                if exponent >= 1 - $bias {
                    return <$type>::from_bits(((exponent + $bias) as $uint) << $mantissa);
                }
                let shift = exponent + $bias - 1 + $mantissa;
                if shift < 0 {
                    0.0
                } else {
                    <$type>::from_bits(1 << shift)
                }
            }
            #[inline(always)]
            fn is_finite(self) -> bool {
                <$type>::is_finite(self)
            }
            #[inline(always)]
            fn is_nan(self) -> bool {
                <$type>::is_nan(self)
            }
            #[inline(always)]
            fn sqrt(self) -> Self {
                <$type>::sqrt(self)
            }
            #[inline(always)]
            fn maximum(self, other: Self) -> Self {
                if self > other || self.is_nan() {
                    self
                } else {
                    other
                }
            }
        }
    };
}

element!(f32, 32, 127, 23, u32);
element!(f64, 64, 1023, 52, u64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn powers_of_two_are_exact_down_to_the_smallest_subnormal() {
        assert_eq!(f32::exp2i(-149), f32::from_bits(1));
        assert_eq!(f32::exp2i(-150), 0.0);
        assert_eq!(f32::exp2i(127), 2f32.powi(127));
        assert_eq!(f32::exp2i(128), f32::INFINITY);
        assert_eq!(f64::exp2i(-1074), f64::from_bits(1));
        assert_eq!(f64::exp2i(-1022), f64::MIN_POSITIVE);
        assert_eq!(f64::exp2i(0), 1.0);
    }

    #[test]
    fn the_maximum_propagates_nan() {
        assert!(Element::maximum(f64::NAN, 1.0).is_nan());
        assert!(Element::maximum(1.0, f64::NAN).is_nan());
        assert_eq!(Element::maximum(1.0, 2.0), 2.0);
    }
}

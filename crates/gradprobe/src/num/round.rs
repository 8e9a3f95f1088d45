//! The floating-point types that training runs in, and rounding to them.

use std::fmt;

/// A floating-point type.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Dtype {
    /// IEEE double precision.
    F64,
    /// IEEE single precision.
    F32,
    /// The upper half of a single.
    Bf16,
    /// IEEE half precision.
    F16,
}

impl Dtype {
    /// Every type, the widest first.
    pub const ALL: [Self; 4] = [Self::F64, Self::F32, Self::Bf16, Self::F16];

    /// Its name as users write it: `f64`, `bf16`.
    pub fn name(self) -> &'static str {
        match self {
            Self::F64 => "f64",
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
            Self::F16 => "f16",
        }
    }

    /// The smallest positive number, a subnormal. Half of it, and less, rounds to 0.
    pub fn smallest_subnormal(self) -> f64 {
        match self {
            Self::F64 => 5e-324,
            Self::F32 => 2f64.powi(-149),
            Self::Bf16 => 2f64.powi(-133),
            Self::F16 => 2f64.powi(-24),
        }
    }

    /// The exponent of the smallest positive number as a power of two.
    pub fn smallest_exponent(self) -> i64 {
        match self {
            Self::F64 => -1074,
            Self::F32 => -149,
            Self::Bf16 => -133,
            Self::F16 => -24,
        }
    }

    /// The largest finite number.
    pub fn largest(self) -> f64 {
        match self {
            Self::F64 => f64::MAX,
            Self::F32 => f64::from(f32::MAX),
            Self::Bf16 => half::bf16::MAX.to_f64(),
            Self::F16 => 65504.0,
        }
    }

    /// The number of this type nearest to `value`, ties to even; ±∞ beyond the largest.
    pub fn round(self, value: f64) -> f64 {
        match self {
            Self::F64 => value,
            Self::F32 => f64::from(value as f32),
            Self::Bf16 => self.round_narrow(value, 8, -126),
            Self::F16 => self.round_narrow(value, 11, -14),
        }
    }

    /// To `bits` of significand above the subnormals, in one rounding: the conversions of the
    /// `half` crate go through f32 where the processor has an instruction for that half of the way.
    fn round_narrow(self, value: f64, bits: i32, smallest_normal_exponent: i32) -> f64 {
        if value == 0.0 || !value.is_finite() {
            return value;
        }
        let exponent = libm::ilogb(value).max(smallest_normal_exponent);
        let unit = 2f64.powi(exponent + 1 - bits);
        let rounded = (value / unit).round_ties_even() * unit;
        if rounded.abs() > self.largest() {
            f64::INFINITY.copysign(value)
        } else {
            rounded
        }
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_the_smallest_subnormal_rounds_to_zero_and_more_does_not() {
        for dtype in [Dtype::F32, Dtype::Bf16, Dtype::F16] {
            let smallest = dtype.smallest_subnormal();
            assert_eq!(dtype.round(smallest), smallest, "{dtype}");
            assert_eq!(dtype.round(smallest / 2.0), 0.0, "{dtype}");
            assert_eq!(dtype.round(smallest * 0.5001), smallest, "{dtype}");
            assert_eq!(2f64.powi(dtype.smallest_exponent() as i32), smallest);
        }
    }

    #[test]
    fn the_largest_number_of_a_type_is_kept_and_twice_it_overflows() {
        for dtype in Dtype::ALL {
            assert_eq!(dtype.round(dtype.largest()), dtype.largest(), "{dtype}");
            assert_eq!(dtype.round(dtype.largest() * 2.0), f64::INFINITY);
        }
    }

    #[test]
    fn every_number_of_16_bits_is_kept_and_neighbours_go_to_the_nearer() {
        for bits in 0..0x7c00u16 {
            let x = half::f16::from_bits(bits).to_f64();
            assert_eq!(Dtype::F16.round(x), x);
            let above = half::f16::from_bits(bits + 1).to_f64();
            if above.is_finite() {
                assert_eq!(Dtype::F16.round(-(0.501 * x + 0.499 * above)), -x);
            }
        }
        for bits in 0..0x7f80u16 {
            let x = half::bf16::from_bits(bits).to_f64();
            assert_eq!(Dtype::Bf16.round(x), x);
            let above = half::bf16::from_bits(bits + 1).to_f64();
            if above.is_finite() {
                assert_eq!(Dtype::Bf16.round(-(0.501 * x + 0.499 * above)), -x);
            }
        }
    }

    #[test]
    fn ties_go_to_even() {
        assert_eq!(Dtype::Bf16.round(1.0 + 2f64.powi(-8)), 1.0);
        assert_eq!(
            Dtype::Bf16.round(1.0 + 3.0 * 2f64.powi(-8)),
            1.0 + 2f64.powi(-6)
        );
        assert_eq!(Dtype::F16.round(1.0 + 2f64.powi(-11)), 1.0);
        assert_eq!(
            Dtype::F16.round(1.0 + 2f64.powi(-11) + 2f64.powi(-30)),
            1.0 + 2f64.powi(-10)
        );
    }
}

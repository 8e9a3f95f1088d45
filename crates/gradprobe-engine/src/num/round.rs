//! The floating-point types that training runs in, and rounding to them.

use super::element::Element;
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
    /// 8 bits, 5 of them exponent (Micikevicius et al. 2022): a half's range.
    E5m2,
    /// 8 bits, 4 of them exponent, without infinities: the `e4m3fn` of PyTorch.
    E4m3,
}

impl Dtype {
    /// Every type, the widest first.
    pub const ALL: [Self; 6] = [
        Self::F64,
        Self::F32,
        Self::Bf16,
        Self::F16,
        Self::E5m2,
        Self::E4m3,
    ];

    /// Its name as users write it: `f64`, `bf16`.
    pub fn name(self) -> &'static str {
        match self {
            Self::F64 => "f64",
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
            Self::F16 => "f16",
            Self::E5m2 => "e5m2",
            Self::E4m3 => "e4m3",
        }
    }

    /// The smallest positive number, a subnormal. Half of it, and less, rounds to 0.
    pub fn smallest_subnormal(self) -> f64 {
        f64::exp2i(self.smallest_exponent() as i32)
    }

    /// The exponent of the smallest positive number as a power of two.
    pub fn smallest_exponent(self) -> i64 {
        match self {
            Self::F64 => -1074,
            Self::F32 => -149,
            Self::Bf16 => -133,
            Self::F16 => -24,
            Self::E5m2 => -16,
            Self::E4m3 => -9,
        }
    }

    /// Bits of the significand, the hidden one counted.
    pub fn significand_bits(self) -> i32 {
        match self {
            Self::F64 => 53,
            Self::F32 => 24,
            Self::Bf16 => 8,
            Self::F16 => 11,
            Self::E5m2 => 3,
            Self::E4m3 => 4,
        }
    }

    /// The exponent of the smallest normal number as a power of two.
    pub fn smallest_normal_exponent(self) -> i32 {
        self.smallest_exponent() as i32 + self.significand_bits() - 1
    }

    /// What a number beyond the largest is rounded to: infinity, and NaN in `e4m3`, which has no
    /// infinity (PyTorch's conversion does not saturate).
    pub fn overflow(self) -> f64 {
        match self {
            Self::E4m3 => f64::NAN,
            _ => f64::INFINITY,
        }
    }

    /// The largest finite number.
    pub fn largest(self) -> f64 {
        match self {
            Self::F64 => f64::MAX,
            Self::F32 => f64::from(f32::MAX),
            Self::Bf16 => half::bf16::MAX.to_f64(),
            Self::F16 => 65504.0,
            Self::E5m2 => 57344.0,
            Self::E4m3 => 448.0,
        }
    }

    /// The number of this type nearest to `value`, ties to even; [`overflow`](Self::overflow)
    /// beyond the largest.
    pub fn round(self, value: f64) -> f64 {
        match self {
            Self::F64 => value,
            Self::F32 => f64::from(value as f32),
            Self::Bf16 | Self::F16 | Self::E5m2 | Self::E4m3 => self.round_narrow(value),
        }
    }

    /// In one rounding: the conversions of the `half` crate go through f32 where the processor has
    /// an instruction for that half of the way.
    fn round_narrow(self, value: f64) -> f64 {
        if value == 0.0 || value.is_nan() {
            return value;
        }
        if value.is_infinite() {
            return self.overflow().copysign(value);
        }
        let exponent = libm::ilogb(value).max(self.smallest_normal_exponent());
        let unit = 2f64.powi(exponent + 1 - self.significand_bits());
        let rounded = (value / unit).round_ties_even() * unit;
        if rounded.abs() > self.largest() {
            self.overflow().copysign(value)
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
        for dtype in &Dtype::ALL[1..] {
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
            let beyond = dtype.round(dtype.largest() * 2.0);
            assert!(beyond == f64::INFINITY || (beyond.is_nan() && dtype == Dtype::E4m3));
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

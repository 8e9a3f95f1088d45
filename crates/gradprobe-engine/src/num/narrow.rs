//! Slices of f32 rounded to a narrower type, vectorised, and what the rounding lost.
//!
//! Above the type's smallest normal number a half of the last kept bit is added to the bits of the
//! f32 and the rest cut off; below it, adding and taking away a constant leaves multiples of the
//! smallest subnormal. Both round to nearest, ties to even.

use super::round::Dtype;
use super::simd::vectorised;
use super::statistics::PIECE;
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

/// What was lost when a slice was rounded.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rounded {
    /// Elements seen.
    pub count: u64,
    /// Elements that were not zero and are now.
    pub flushed: u64,
    /// Elements that were finite and are infinite or NaN now.
    pub overflowed: u64,
    /// The largest finite |x| before the rounding.
    pub max_abs: f32,
}

impl Rounded {
    /// Takes what `other` saw as seen.
    pub fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.flushed += other.flushed;
        self.overflowed += other.overflowed;
        self.max_abs = self.max_abs.max(other.max_abs);
    }
}

/// How f32 is rounded to a narrower type.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rounding {
    /// Bits of an f32 that are cut off.
    dropped: u32,
    smallest_normal: f32,
    /// 1.5 × 2^23 × the smallest subnormal: from there on a f32 is spaced by it.
    subnormal_shift: f32,
    largest: f32,
    overflow: f32,
}

impl Rounding {
    /// Rounding to a type; `None` for f64 and f32, which hold every f32.
    pub fn to(dtype: Dtype) -> Option<Self> {
        if dtype.significand_bits() >= Dtype::F32.significand_bits() {
            return None;
        }
        Some(Self {
            dropped: (Dtype::F32.significand_bits() - dtype.significand_bits()) as u32,
            smallest_normal: (dtype.smallest_normal_exponent() as f32).exp2(),
            subnormal_shift: (1.5 * dtype.smallest_subnormal() * 8_388_608.0) as f32,
            largest: dtype.largest() as f32,
            overflow: dtype.overflow() as f32,
        })
    }

    /// Rounding to the type's significand, with the range of f32: what the type would make of a
    /// signal if its exponents had no bounds.
    pub fn to_significand(dtype: Dtype) -> Option<Self> {
        let own = Self::to(dtype)?;
        Some(Self {
            smallest_normal: 0.0,
            largest: f32::MAX,
            overflow: f32::INFINITY,
            ..own
        })
    }

    /// The number of the type nearest to `x`, ties to even.
    #[inline(always)]
    pub fn round(self, x: f32) -> f32 {
        const SIGN: u32 = 1 << 31;
        let bits = x.to_bits() & !SIGN;
        let size = f32::from_bits(bits);
        let half = (1u32 << (self.dropped - 1)) - 1 + ((bits >> self.dropped) & 1);
        let normal = f32::from_bits(bits.wrapping_add(half) & !((1 << self.dropped) - 1));
        let subnormal = (size + self.subnormal_shift) - self.subnormal_shift;
        let rounded = if size < self.smallest_normal {
            subnormal
        } else {
            normal
        };
        let bounded = if rounded > self.largest {
            self.overflow
        } else {
            rounded
        };
        // NaN would come out of the integer sum as anything.
        let result = if size.is_nan() { size } else { bounded };
        f32::from_bits(result.to_bits() | (x.to_bits() & SIGN))
    }

    /// Rounds every element; a long slice is shared among the threads if `parallel`.
    pub fn round_slice(self, data: &mut [f32], parallel: bool) -> Rounded {
        let piece = |data| {
            vectorised(RoundSlice {
                rounding: self,
                data,
            })
        };
        let merged = |mut total: Rounded, part: Rounded| {
            total.merge(&part);
            total
        };
        if parallel && data.len() > PIECE {
            let pieces = data.par_chunks_mut(PIECE).map(piece);
            pieces.reduce(Rounded::default, merged)
        } else {
            let pieces = data.chunks_mut(PIECE).map(piece);
            pieces.fold(Rounded::default(), merged)
        }
    }
}

struct RoundSlice<'a> {
    rounding: Rounding,
    data: &'a mut [f32],
}

impl WithSimd for RoundSlice<'_> {
    type Output = Rounded;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) -> Rounded {
        const LANES: usize = 16;
        let mut flushed = [0u32; LANES];
        let mut overflowed = [0u32; LANES];
        let mut largest = [0f32; LANES];
        let count = self.data.len() as u64;
        let mut each = |lane: usize, x: &mut f32| {
            let before = x.abs();
            let after = self.rounding.round(*x);
            flushed[lane] += u32::from((before != 0.0) & (after == 0.0));
            let finite = before < f32::INFINITY;
            // Neither a NaN nor an infinity is below infinity.
            overflowed[lane] += u32::from(finite) - u32::from(after.abs() < f32::INFINITY);
            largest[lane] = if finite & (before > largest[lane]) {
                before
            } else {
                largest[lane]
            };
            *x = after;
        };
        let (blocks, rest) = self.data.as_chunks_mut::<LANES>();
        for block in blocks {
            for (lane, x) in block.iter_mut().enumerate() {
                each(lane, x);
            }
        }
        rest.iter_mut().for_each(|x| each(0, x));
        let sum = |counts: [u32; LANES]| counts.into_iter().map(u64::from).sum();
        Rounded {
            count,
            flushed: sum(flushed),
            overflowed: sum(overflowed),
            max_abs: largest.into_iter().fold(0.0, f32::max),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every pattern of the upper 20 bits with lower bits on both sides of, and at, each tie: all
    /// that decides a rounding to 11 bits of significand or fewer, but for those of subnormals,
    /// whose ties lie in the upper bits.
    fn for_each_f32(mut check: impl FnMut(f32)) {
        for upper in 0..1u32 << 20 {
            for lower in [0, 1, 0x7ff, 0x800, 0x801, 0xfff] {
                check(f32::from_bits(upper << 12 | lower));
            }
        }
    }

    fn assert_same(dtype: Dtype, reference: impl Fn(f32) -> f32) {
        let rounding = Rounding::to(dtype).expect("a narrower type");
        for_each_f32(|x| {
            let (got, expected) = (rounding.round(x), reference(x));
            let same = got.to_bits() == expected.to_bits() || (got.is_nan() && expected.is_nan());
            assert!(same, "{dtype}({x:e}) = {got:e}, not {expected:e}");
        });
    }

    #[test]
    fn sixteen_bits_are_those_of_the_half_crate() {
        assert_same(Dtype::F16, |x| half::f16::from_f32(x).to_f32());
        assert_same(Dtype::Bf16, |x| half::bf16::from_f32(x).to_f32());
    }

    #[test]
    fn eight_bits_are_those_of_the_float8_crate() {
        // That crate saturates where PyTorch gives an infinity or NaN; inside they are one.
        assert_same(Dtype::E4m3, |x| match x.abs() {
            size if size > 464.0 => f32::NAN,
            _ => float8::F8E4M3::from_f32(x).to_f32(),
        });
        assert_same(Dtype::E5m2, |x| match x.abs() {
            size if size >= 61440.0 => f32::INFINITY.copysign(x),
            size if size.is_nan() => f32::NAN,
            _ => float8::F8E5M2::from_f32(x).to_f32(),
        });
    }

    #[test]
    fn the_scalar_rounding_of_dtype_is_the_same() {
        for dtype in &Dtype::ALL[2..] {
            assert_same(*dtype, |x| dtype.round(f64::from(x)) as f32);
        }
    }

    #[test]
    fn what_is_lost_is_counted() {
        let rounding = Rounding::to(Dtype::F16).expect("a narrower type");
        let mut data = vec![
            0.0,
            1e-9,
            -1e-9,
            7e4,
            -65519.0,
            f32::INFINITY,
            f32::NAN,
            1.0,
        ];
        data.resize(40, 2.0);
        let rounded = rounding.round_slice(&mut data, false);
        let expected = Rounded {
            count: 40,
            flushed: 2,
            overflowed: 1,
            max_abs: 7e4,
        };
        assert_eq!(rounded, expected);
        assert_eq!(data[4], -65504.0);
        let unbounded = Rounding::to_significand(Dtype::F16).expect("a narrower type");
        assert_eq!(
            unbounded.round(1e-9),
            (1e-9f32 / 2f32.powi(-40)).round_ties_even() * 2f32.powi(-40)
        );
        assert_eq!(unbounded.round(7e4), 70016.0);
    }
}

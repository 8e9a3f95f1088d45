//! The statistics of a slice, block by block.
//!
//! A block of [`BLOCK`] elements is read while it lies in the first-level cache: once for the sum,
//! the largest and the smallest magnitude, once more for the squared deviations from the block's
//! own mean.

use super::{Bounds, Statistics};
use crate::num::element::Element;
use crate::num::simd::vectorised;

/// Elements in a block: 8 KiB of f32.
pub(super) const BLOCK: usize = 2048;
/// Accumulators side by side: four 256-bit registers, so that additions need not wait for each
/// other, and three to an element still stay in registers.
const LANES_F32: usize = 32;
const LANES_F64: usize = 16;

/// Block maxima outside 2^±this are rescaled before they are squared: the square of the largest,
/// and what is 2^−20 of it, stays in the range of the type.
fn safe_exponent<T: Element>() -> i32 {
    if is_single::<T>() { 40 } else { 400 }
}

fn is_single<T: Element>() -> bool {
    T::SIGNIFICAND_BITS == f32::MANTISSA_DIGITS as i32
}

/// The statistics of `data` × 2^`exponent`; `bounds`, if given, apply to `data` itself.
pub(super) fn of_slice<T: Element>(
    data: &[T],
    exponent: i64,
    bounds: Option<Bounds>,
) -> Statistics {
    vectorised(OfSlice {
        data,
        exponent,
        bounds,
    })
}

/// A call that is compiled for each instruction set. (A closure would reach it through a shim that
/// is not inlined, and so not vectorised.)
struct OfSlice<'a, T> {
    data: &'a [T],
    exponent: i64,
    bounds: Option<Bounds>,
}

impl<T: Element> pulp::NullaryFnOnce for OfSlice<'_, T> {
    type Output = Statistics;

    #[inline(always)]
    fn call(self) -> Statistics {
        if is_single::<T>() {
            self.by_blocks::<LANES_F32>()
        } else {
            self.by_blocks::<LANES_F64>()
        }
    }
}

impl<T: Element> OfSlice<'_, T> {
    #[inline(always)]
    fn by_blocks<const LANES: usize>(self) -> Statistics {
        let mut total = Statistics::default();
        for block in self.data.chunks(BLOCK) {
            total.merge(&of_block::<T, LANES>(block, self.exponent, self.bounds));
        }
        total
    }
}

#[inline(always)]
fn of_block<T: Element, const LANES: usize>(
    block: &[T],
    exponent: i64,
    bounds: Option<Bounds>,
) -> Statistics {
    let first = first_pass::<T, LANES>(block);
    // One infinite or NaN element makes the sum so.
    if !first.sum.to_f64().is_finite() {
        return careful_statistics(block, exponent, bounds);
    }
    let saturated_count = bounds.map_or(0, |bounds| count_beyond::<T, LANES>(block, bounds));
    let largest = first.max_abs.to_f64();
    let safe = f64::exp2i(-safe_exponent::<T>())..f64::exp2i(safe_exponent::<T>());
    let mut statistics = if largest != 0.0 && !safe.contains(&largest) {
        rescaled_statistics::<T, LANES>(block, exponent, &first)
    } else {
        squared_statistics::<T, LANES>(block, exponent, &first)
    };
    statistics.saturated_count = saturated_count;
    statistics
}

/// How many elements lie beyond the bounds; NaN lies nowhere.
#[inline(always)]
fn count_beyond<T: Element, const LANES: usize>(block: &[T], bounds: Bounds) -> u64 {
    let (low, high) = (T::from_f64(bounds.low), T::from_f64(bounds.high));
    count::<T, LANES>(block, |x| (x < low) | (x > high))
}

/// How many elements `is` holds of.
#[inline(always)]
fn count<T: Element, const LANES: usize>(block: &[T], is: impl Fn(T) -> bool) -> u64 {
    let mut counts = [T::zero(); LANES];
    let (lanes, rest) = block.as_chunks::<LANES>();
    for chunk in lanes {
        for (count, &x) in counts.iter_mut().zip(chunk) {
            *count += T::select(is(x), T::one(), T::zero());
        }
    }
    let of_rest = rest.iter().filter(|&&x| is(x)).count();
    // Every number on the way is a whole one that the type can hold.
    reduce(counts, |a, b| a + b).to_f64() as u64 + of_rest as u64
}

/// All lanes as one.
#[inline(always)]
fn reduce<T: Element, const LANES: usize>(lanes: [T; LANES], join: impl Fn(T, T) -> T) -> T {
    // Through memory: else the compiler arranges the loop before for this one's shuffles, and takes
    // two lanes at a time in place of eight.
    let lanes = std::hint::black_box(lanes);
    let (groups, _) = lanes.as_chunks::<8>();
    let mut of_groups = groups[0];
    for group in &groups[1..] {
        for lane in 0..8 {
            of_groups[lane] = join(of_groups[lane], group[lane]);
        }
    }
    let [a, b, c, d, e, f, g, h] = of_groups;
    let (ae, bf, cg, dh) = (join(a, e), join(b, f), join(c, g), join(d, h));
    join(join(ae, cg), join(bf, dh))
}

/// The second pass: the squared deviations from the block's mean.
#[inline(always)]
fn squared_statistics<T: Element, const LANES: usize>(
    block: &[T],
    exponent: i64,
    first: &FirstPass<T>,
) -> Statistics {
    let exact_mean = first.sum.to_f64() / block.len() as f64;
    let mean = T::from_f64(exact_mean);
    let mut sums = [T::zero(); LANES];
    let (lanes, rest) = block.as_chunks::<LANES>();
    for chunk in lanes {
        for (sum, &x) in sums.iter_mut().zip(chunk) {
            let deviation = x - mean;
            *sum += deviation * deviation;
        }
    }
    let mut deviation = reduce(sums, |a, b| a + b).to_f64();
    for &x in rest {
        let d = (x - mean).to_f64();
        deviation += d * d;
    }
    // The mean was rounded to T: what that shifts is taken out again.
    let shift = exact_mean - mean.to_f64();
    Statistics {
        count: block.len() as u64,
        zero_count: first.zero_count,
        non_finite_count: 0,
        saturated_count: 0,
        mean: exact_mean,
        deviation: (deviation - block.len() as f64 * shift * shift).max(0.0),
        max_abs: first.max_abs.to_f64(),
        exponent,
    }
}

struct FirstPass<T> {
    sum: T,
    max_abs: T,
    zero_count: u64,
}

#[inline(always)]
fn first_pass<T: Element, const LANES: usize>(block: &[T]) -> FirstPass<T> {
    let larger = |a: T, b: T| T::select(a > b, a, b);
    let smaller = |a: T, b: T| T::select(a < b, a, b);
    let mut sums = [T::zero(); LANES];
    let mut largest = [T::zero(); LANES];
    let mut smallest = [T::from_f64(f64::INFINITY); LANES];
    let (lanes, rest) = block.as_chunks::<LANES>();
    for chunk in lanes {
        for lane in 0..LANES {
            let size = chunk[lane].abs();
            sums[lane] += chunk[lane];
            largest[lane] = larger(size, largest[lane]);
            smallest[lane] = smaller(size, smallest[lane]);
        }
    }
    let mut sum = reduce(sums, |a, b| a + b);
    let mut max_abs = reduce(largest, larger);
    let mut min_abs = reduce(smallest, smaller);
    for &x in rest {
        sum += x;
        max_abs = larger(x.abs(), max_abs);
        min_abs = smaller(x.abs(), min_abs);
    }
    // A minimum costs less than a count, and most blocks have no zero to count.
    let zero_count = if min_abs == T::zero() {
        count::<T, LANES>(block, |x| x == T::zero())
    } else {
        0
    };
    FirstPass {
        sum,
        max_abs,
        zero_count,
    }
}

/// The same for a block whose squares leave the range of the type: by a power of two, so that the
/// figures are those of a block of ordinary size to the bit.
#[cold]
fn rescaled_statistics<T: Element, const LANES: usize>(
    block: &[T],
    exponent: i64,
    counts: &FirstPass<T>,
) -> Statistics {
    let shift = libm::ilogb(counts.max_abs.to_f64());
    let mut scaled = [T::default(); BLOCK];
    let scaled = &mut scaled[..block.len()];
    scaled.copy_from_slice(block);
    crate::num::scaled::scale(scaled, -i64::from(shift));
    let first = first_pass::<T, LANES>(scaled);
    let mut statistics =
        squared_statistics::<T, LANES>(scaled, exponent + i64::from(shift), &first);
    statistics.zero_count = counts.zero_count;
    statistics
}

/// The same for a block whose sum is not finite; its elements that are not are left out.
#[cold]
fn careful_statistics<T: Element>(
    block: &[T],
    exponent: i64,
    bounds: Option<Bounds>,
) -> Statistics {
    let finite = || block.iter().map(|x| x.to_f64()).filter(|x| x.is_finite());
    let largest = finite().fold(0.0f64, |largest, x| largest.max(x.abs()));
    let shift = if largest == 0.0 {
        0
    } else {
        libm::ilogb(largest)
    };
    let scaled = || finite().map(|x| libm::scalbn(x, -shift));
    let count = finite().count();
    let mean = scaled().sum::<f64>() / count.max(1) as f64;
    Statistics {
        count: block.len() as u64,
        zero_count: finite().filter(|&x| x == 0.0).count() as u64,
        non_finite_count: (block.len() - count) as u64,
        saturated_count: bounds.map_or(0, |bounds| {
            block
                .iter()
                .filter(|x| x.to_f64() < bounds.low || x.to_f64() > bounds.high)
                .count() as u64
        }),
        mean,
        deviation: scaled().map(|x| (x - mean) * (x - mean)).sum(),
        max_abs: libm::scalbn(largest, -shift),
        exponent: exponent + i64::from(shift),
    }
}

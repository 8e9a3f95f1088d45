//! One-pass statistics of a signal, exact about zeros and safe at every magnitude.
//!
//! A block of [`BLOCK`] elements is read while it lies in the first-level cache: once for the sum,
//! the largest magnitude and the counts, once more for the squared deviations from the block's own
//! mean. Blocks are merged by the pairwise update of Chan, Golub and LeVeque ("Updating formulae
//! and a pairwise algorithm for computing sample variances", 1979), so the variance does not
//! cancel when |mean| ≫ std. In memory traffic it is one pass.

use super::element::Element;
use super::magnitude::Magnitude;
use super::simd::vectorised;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// Elements in a block: 4 KiB of f32.
const BLOCK: usize = 1024;
/// Elements that are worth a hand-over to another thread (about 10 µs). Pieces of this many are
/// merged after their blocks are, on one thread or several: the result is the same bits.
pub(crate) const PIECE: usize = 1 << 16;
/// Accumulators side by side, so that the loops vectorise: a 512-bit register of f32. There are
/// several to an element, so that more of each would not stay in registers (32 cost as much, 64
/// half as much again).
const LANES: usize = 16;
/// Block maxima outside 2^±this are rescaled before they are squared: the square of the largest,
/// and what is 2^−20 of it, stays in the range of the type.
fn safe_exponent<T: Element>() -> i32 {
    if T::SIGNIFICAND_BITS == f32::MANTISSA_DIGITS as i32 {
        40
    } else {
        400
    }
}

/// What is known of a signal after all of it was seen: numbers in units of 2^`exponent`.
#[derive(Clone, Copy, Debug, PartialEq, Default, Serialize, Deserialize)]
pub struct Statistics {
    /// Elements seen.
    pub count: u64,
    /// Elements that are exactly zero.
    pub zero_count: u64,
    /// Elements that are infinite or NaN; they take no part in the figures below.
    pub non_finite_count: u64,
    /// Elements within the saturation margin of a bound (see [`Bounds`]).
    pub saturated_count: u64,
    mean: f64,
    /// Σ (x − mean)².
    deviation: f64,
    max_abs: f64,
    exponent: i64,
}

/// The bounds of a bounded signal beyond which an element counts as saturated.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bounds {
    /// An element below this is saturated.
    pub low: f64,
    /// An element above this is saturated.
    pub high: f64,
}

impl Statistics {
    /// The statistics of `data` × 2^`exponent`. `bounds`, if given, apply to `data` itself.
    pub fn of<T: Element>(data: &[T], exponent: i64, bounds: Option<Bounds>) -> Self {
        Self::of_shared(data, exponent, bounds, false)
    }

    /// The same, a long signal shared among the threads if `parallel`.
    pub fn of_shared<T: Element>(
        data: &[T],
        exponent: i64,
        bounds: Option<Bounds>,
        parallel: bool,
    ) -> Self {
        let piece = |data| {
            vectorised(OfSlice {
                data,
                exponent,
                bounds,
            })
        };
        if data.len() <= PIECE {
            return piece(data);
        }
        // From the end, which was written last and may still lie in a cache, to the begin, where
        // the next to read it begins.
        let pieces: Vec<Self> = if parallel {
            data.par_chunks(PIECE).rev().map(piece).collect()
        } else {
            data.chunks(PIECE).rev().map(piece).collect()
        };
        let mut total = Self::default();
        pieces.iter().rev().for_each(|piece| total.merge(piece));
        total
    }

    /// Takes the elements that `other` saw as seen.
    #[inline]
    pub fn merge(&mut self, other: &Self) {
        let (mine, theirs) = (self.finite_count(), other.finite_count());
        self.count += other.count;
        self.zero_count += other.zero_count;
        self.non_finite_count += other.non_finite_count;
        self.saturated_count += other.saturated_count;
        if theirs == 0 {
            return;
        }
        if mine == 0 {
            (self.mean, self.deviation) = (other.mean, other.deviation);
            (self.max_abs, self.exponent) = (other.max_abs, other.exponent);
            return;
        }
        let mut other = *other;
        if self.exponent != other.exponent {
            let common = match (self.max_abs == 0.0, other.max_abs == 0.0) {
                (true, _) => other.exponent,
                (_, true) => self.exponent,
                _ => self.exponent.max(other.exponent),
            };
            self.rescale(common);
            other.rescale(common);
        }
        let (mine, theirs) = (mine as f64, theirs as f64);
        let all = mine + theirs;
        let delta = other.mean - self.mean;
        self.mean += delta * (theirs / all);
        self.deviation += other.deviation + delta * delta * (mine * theirs / all);
        self.max_abs = self.max_abs.max(other.max_abs);
    }

    fn rescale(&mut self, exponent: i64) {
        let factor = f64::exp2i((self.exponent - exponent).clamp(-3000, 3000) as i32);
        self.mean *= factor;
        self.deviation *= factor * factor;
        self.max_abs *= factor;
        self.exponent = exponent;
    }

    fn finite_count(&self) -> u64 {
        self.count - self.non_finite_count
    }

    /// The Euclidean norm.
    pub fn l2(&self) -> Magnitude {
        Magnitude::new(self.sum_of_squares().sqrt(), self.exponent)
    }

    /// The root of the mean square.
    pub fn rms(&self) -> Magnitude {
        let count = self.finite_count().max(1) as f64;
        Magnitude::new((self.sum_of_squares() / count).sqrt(), self.exponent)
    }

    /// The standard deviation (population).
    pub fn standard_deviation(&self) -> Magnitude {
        let count = self.finite_count().max(1) as f64;
        Magnitude::new((self.deviation / count).sqrt(), self.exponent)
    }

    /// The largest |x|.
    pub fn max_abs(&self) -> Magnitude {
        Magnitude::new(self.max_abs, self.exponent)
    }

    /// The mean, with its sign, as a f64 (0 or ±∞ where that cannot hold it).
    pub fn mean(&self) -> f64 {
        Magnitude::new(self.mean, self.exponent)
            .to_f64()
            .copysign(self.mean)
    }

    /// The share of exact zeros.
    pub fn zero_fraction(&self) -> f64 {
        self.share(self.zero_count)
    }

    /// The share of saturated elements.
    pub fn saturated_fraction(&self) -> f64 {
        self.share(self.saturated_count)
    }

    fn share(&self, part: u64) -> f64 {
        if self.count == 0 {
            0.0
        } else {
            part as f64 / self.count as f64
        }
    }

    fn sum_of_squares(&self) -> f64 {
        self.deviation + self.mean * self.mean * self.finite_count() as f64
    }
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
        let mut total = Statistics::default();
        for block in self.data.chunks(BLOCK) {
            total.merge(&block_statistics(block, self.exponent, self.bounds));
        }
        total
    }
}

#[inline(always)]
fn block_statistics<T: Element>(block: &[T], exponent: i64, bounds: Option<Bounds>) -> Statistics {
    let first = first_pass(block);
    // One infinite or NaN element makes the sum so.
    if !first.sum.to_f64().is_finite() {
        return careful_statistics(block, exponent, bounds);
    }
    let saturated_count = bounds.map_or(0, |bounds| count_beyond(block, bounds));
    let largest = first.max_abs.to_f64();
    let safe = f64::exp2i(-safe_exponent::<T>())..f64::exp2i(safe_exponent::<T>());
    let mut statistics = if largest != 0.0 && !safe.contains(&largest) {
        rescaled_statistics(block, exponent, &first)
    } else {
        squared_statistics(block, exponent, &first)
    };
    statistics.saturated_count = saturated_count;
    statistics
}

/// How many elements lie beyond the bounds; NaN lies nowhere.
#[inline(always)]
fn count_beyond<T: Element>(block: &[T], bounds: Bounds) -> u64 {
    let (low, high) = (T::from_f64(bounds.low), T::from_f64(bounds.high));
    let (zero, one) = (T::default(), T::one());
    let mut counts = [zero; LANES];
    let (lanes, rest) = block.as_chunks::<LANES>();
    for chunk in lanes {
        for (count, &x) in counts.iter_mut().zip(chunk) {
            *count += T::select((x < low) | (x > high), one, zero);
        }
    }
    let beyond = rest.iter().filter(|&&x| (x < low) | (x > high)).count();
    counts
        .iter()
        .map(|count| count.to_f64() as u64)
        .sum::<u64>()
        + beyond as u64
}

/// The second pass: the squared deviations from the block's mean.
#[inline(always)]
fn squared_statistics<T: Element>(block: &[T], exponent: i64, first: &FirstPass<T>) -> Statistics {
    let mean = T::from_f64(first.sum.to_f64() / block.len() as f64);
    let mut sums = [T::default(); LANES];
    let (lanes, rest) = block.as_chunks::<LANES>();
    for chunk in lanes {
        for (sum, &x) in sums.iter_mut().zip(chunk) {
            let deviation = x - mean;
            *sum += deviation * deviation;
        }
    }
    let mut deviation: f64 = sums.iter().map(|&sum| sum.to_f64()).sum();
    for &x in rest {
        let d = (x - mean).to_f64();
        deviation += d * d;
    }
    // The mean was rounded to T: what that shifts is taken out again.
    let exact_mean = first.sum.to_f64() / block.len() as f64;
    let shift = exact_mean - mean.to_f64();
    deviation = (deviation - block.len() as f64 * shift * shift).max(0.0);
    Statistics {
        count: block.len() as u64,
        zero_count: first.zero_count,
        non_finite_count: 0,
        saturated_count: 0,
        mean: exact_mean,
        deviation,
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
fn first_pass<T: Element>(block: &[T]) -> FirstPass<T> {
    let (zero, one) = (T::default(), T::one());
    let mut sums = [zero; LANES];
    let mut largest = [zero; LANES];
    let mut zeros = [zero; LANES];
    let (lanes, rest) = block.as_chunks::<LANES>();
    for chunk in lanes {
        for lane in 0..LANES {
            let x = chunk[lane];
            let size = x.abs();
            sums[lane] += x;
            largest[lane] = T::select(size > largest[lane], size, largest[lane]);
            zeros[lane] += T::select(x == zero, one, zero);
        }
    }
    let mut first = FirstPass {
        sum: zero,
        max_abs: zero,
        zero_count: 0,
    };
    for lane in 0..LANES {
        first.sum += sums[lane];
        first.max_abs = T::select(largest[lane] > first.max_abs, largest[lane], first.max_abs);
        first.zero_count += zeros[lane].to_f64() as u64;
    }
    for &x in rest {
        first.sum += x;
        first.max_abs = T::select(x.abs() > first.max_abs, x.abs(), first.max_abs);
        first.zero_count += u64::from(x == zero);
    }
    first
}

/// The same for a block whose squares leave the range of the type: by a power of two, so that the
/// figures are those of a block of ordinary size to the bit.
#[cold]
fn rescaled_statistics<T: Element>(
    block: &[T],
    exponent: i64,
    counts: &FirstPass<T>,
) -> Statistics {
    let shift = libm::ilogb(counts.max_abs.to_f64());
    let mut scaled = [T::default(); BLOCK];
    let scaled = &mut scaled[..block.len()];
    scaled.copy_from_slice(block);
    super::scaled::scale(scaled, -i64::from(shift));
    let first = first_pass(scaled);
    let mut statistics = squared_statistics(scaled, exponent + i64::from(shift), &first);
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

#[cfg(test)]
mod tests {
    use super::*;

    fn relative(got: f64, expected: f64) -> f64 {
        ((got - expected) / expected).abs()
    }

    #[test]
    fn the_variance_does_not_cancel_when_the_mean_is_large() {
        let data: Vec<f32> = (0..10_007).map(|i| 10_000.0 + (i % 7) as f32).collect();
        let statistics = Statistics::of(&data, 0, None);
        let mean = data.iter().map(|&x| f64::from(x)).sum::<f64>() / data.len() as f64;
        let variance = data
            .iter()
            .map(|&x| (f64::from(x) - mean).powi(2))
            .sum::<f64>()
            / data.len() as f64;
        assert!(relative(statistics.mean(), mean) < 1e-7);
        assert!(relative(statistics.standard_deviation().to_f64(), variance.sqrt()) < 1e-4);
    }

    #[test]
    fn squares_outside_the_range_of_the_type_do_not_overflow() {
        let data = [3e200, -4e200, 0.0];
        let statistics = Statistics::of(&data, 0, None);
        assert!(relative(statistics.l2().to_f64(), 5e200) < 1e-14);
        let tiny = Statistics::of(&[3e-200, 4e-200], -4000, None);
        assert!((tiny.l2().log10() - (5e-200f64.log10() - 4000.0 * 2f64.log10())).abs() < 1e-9);
        assert_eq!(statistics.zero_count, 1);
    }

    #[test]
    fn squares_outside_the_range_of_f32_do_not_underflow() {
        for size in [1e-30f32, 1e-42, 3e37] {
            let statistics = Statistics::of(&vec![size; 2000], 0, None);
            let expected = f64::from(size) * 2000f64.sqrt();
            assert!(
                relative(statistics.l2().to_f64(), expected) < 1e-6,
                "{size}"
            );
        }
    }

    #[test]
    fn non_finite_elements_are_counted_and_left_out() {
        let statistics = Statistics::of(&[1.0f32, f32::NAN, f32::INFINITY, -1.0], 0, None);
        assert_eq!(statistics.non_finite_count, 2);
        assert_eq!(statistics.count, 4);
        assert!(relative(statistics.rms().to_f64(), 1.0) < 1e-12);
    }

    #[test]
    fn zeros_and_saturation_are_counted_exactly() {
        let data: Vec<f64> = (0..5000)
            .map(|i| if i % 10 == 0 { 0.0 } else { 0.98 })
            .collect();
        let bounds = Some(Bounds {
            low: -0.97,
            high: 0.97,
        });
        let statistics = Statistics::of(&data, 0, bounds);
        assert_eq!(statistics.zero_count, 500);
        assert_eq!(statistics.saturated_count, 4500);
    }

    #[test]
    fn a_long_signal_has_the_same_bits_on_one_thread_and_on_several() {
        let data: Vec<f32> = (0..300_001u64).map(|i| (i * 7919 % 1009) as f32).collect();
        let alone = Statistics::of_shared(&data, 3, None, false);
        assert_eq!(Statistics::of_shared(&data, 3, None, true), alone);
        let sum: f64 = data.iter().map(|&x| f64::from(x)).sum();
        assert!(relative(alone.mean(), 8.0 * sum / data.len() as f64) < 1e-7);
    }

    #[test]
    fn merging_parts_with_different_exponents_gives_the_whole() {
        let data: Vec<f64> = (0..3000).map(|i| f64::from(i % 11) - 3.0).collect();
        let whole = Statistics::of(&data, 0, None);
        let mut merged = Statistics::default();
        for (part, exponent) in [
            (&data[..700], 5i32),
            (&data[700..701], -3),
            (&data[701..], 0),
        ] {
            let scaled: Vec<f64> = part.iter().map(|x| x * 2f64.powi(-exponent)).collect();
            merged.merge(&Statistics::of(&scaled, i64::from(exponent), None));
        }
        assert!(relative(merged.l2().to_f64(), whole.l2().to_f64()) < 1e-13);
        assert!(relative(merged.mean(), whole.mean()) < 1e-12);
        assert_eq!(merged.count, whole.count);
    }
}

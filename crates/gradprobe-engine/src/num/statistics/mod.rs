//! One-pass statistics of a signal, exact about zeros and safe at every magnitude.
//!
//! A signal is read in blocks, which are merged by the pairwise update of Chan, Golub and LeVeque
//! ("Updating formulae and a pairwise algorithm for computing sample variances", 1979), so the
//! variance does not cancel when |mean| ≫ std. In memory traffic it is one pass.

mod block;

use super::element::Element;
use super::magnitude::Magnitude;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// Elements that are worth a hand-over to another thread (about 7 µs). Pieces of this many are
/// merged after their blocks are, on one thread or several: the result is the same bits.
pub(crate) const PIECE: usize = 1 << 16;

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
        let piece = |data| block::of_slice(data, exponent, bounds);
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

    /// The statistics of the same signal multiplied by a factor.
    #[must_use]
    pub fn scaled(mut self, factor: f64) -> Self {
        self.mean *= factor;
        self.deviation *= factor * factor;
        self.max_abs *= factor.abs();
        self
    }

    fn rescale(&mut self, exponent: i64) {
        if self.max_abs == 0.0 {
            // Zero in any unit; the factor may be infinite.
            self.exponent = exponent;
            return;
        }
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
    fn a_factor_multiplies_every_figure() {
        let data = [1.0, -4.0, 0.0, f64::NAN];
        let scaled = Statistics::of(&data, -2000, None).scaled(-0.3);
        let data = data.map(|x| x * -0.3);
        let expected = Statistics::of(&data, -2000, None);
        assert_eq!((scaled.count, scaled.zero_count), (4, 1));
        let difference = scaled.l2().decades_above(expected.l2()).expect("sizes");
        assert!(difference.abs() < 1e-14, "{difference}");
        let largest = scaled.max_abs().decades_above(expected.max_abs());
        assert!(largest.expect("sizes").abs() < 1e-14);
        let plain = Statistics::of(&[1.0, -4.0], 0, None).scaled(-0.5);
        assert_eq!((plain.mean(), plain.max_abs().to_f64()), (0.75, 2.0));
        assert_eq!(plain.standard_deviation().to_f64(), 1.25);
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
    fn every_length_agrees_with_the_definition() {
        fn check<T: Element>(len: usize, accuracy: f64) {
            // One zero, of either sign, at every place in turn; the mean is not near 0.
            let x = |i: usize| ((i * 7919 % 1009) as f64 - 300.0) / 8.0;
            let signs = [0.0, -0.0];
            let data: Vec<T> = (0..len)
                .map(|i| {
                    if i == len / 2 {
                        signs[len % 2]
                    } else {
                        x(i) + 1.0 / 16.0
                    }
                })
                .map(T::from_f64)
                .collect();
            let got = Statistics::of(&data, 0, None);
            let exact = || data.iter().map(|x| x.to_f64());
            let mean = exact().sum::<f64>() / len as f64;
            let variance = exact().map(|x| (x - mean) * (x - mean)).sum::<f64>() / len as f64;
            assert_eq!((got.count, got.zero_count), (len as u64, 1), "{len}");
            assert_eq!(
                got.max_abs().to_f64(),
                exact().fold(0.0, |a, x| x.abs().max(a))
            );
            assert!((got.mean() - mean).abs() <= accuracy * 89.0, "{len}");
            let deviation = got.standard_deviation().to_f64() - variance.sqrt();
            assert!(deviation.abs() <= accuracy * 89.0, "{len}");
        }
        for len in (1..=130).chain(block::BLOCK - 1..=block::BLOCK + 1) {
            check::<f32>(len, 1e-6);
            check::<f64>(len, 1e-14);
        }
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

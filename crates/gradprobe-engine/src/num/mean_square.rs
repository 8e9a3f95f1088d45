//! The mean square of signals that come in parts, each in units of a power of two of its own.

use super::element::Element;
use super::magnitude::Magnitude;
use super::sum::square_sum;

/// A sum of squares, and of how many elements.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct MeanSquare {
    /// In units of 2^(2·`exponent`).
    sum: f64,
    exponent: i64,
    count: u64,
}

impl MeanSquare {
    /// Takes the elements of `data` × 2^`exponent` as seen.
    pub fn add<T: Element>(&mut self, data: &[T], exponent: i64) {
        self.merge(&Self {
            sum: square_sum(data),
            exponent,
            count: data.len() as u64,
        });
    }

    /// Takes what `other` saw as seen.
    pub fn merge(&mut self, other: &Self) {
        self.count += other.count;
        if other.sum == 0.0 {
            return;
        }
        if self.sum == 0.0 {
            (self.sum, self.exponent) = (other.sum, other.exponent);
            return;
        }
        let common = self.exponent.max(other.exponent);
        let in_common = |of: &Self| {
            // Beyond 2^−1000 nothing of the smaller is left beside the larger.
            let shift = (of.exponent - common).max(-1000) as i32;
            of.sum * f64::exp2i(shift) * f64::exp2i(shift)
        };
        self.sum = in_common(self) + in_common(other);
        self.exponent = common;
    }

    /// How many elements were seen.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The root of the mean of the squares; NaN or infinite where an element is, 0 of no elements.
    pub fn root(&self) -> Magnitude {
        let count = self.count.max(1) as f64;
        Magnitude::new((self.sum / count).sqrt(), self.exponent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_in_other_units_add_up_to_the_whole() {
        let mut parts = MeanSquare::default();
        parts.add(&[3.0f32 / 8.0], 3);
        parts.add(&[4.0f32 * 16.0], -4);
        parts.add(&[0.0f32], 5000);
        let mut whole = MeanSquare::default();
        whole.add(&[3.0f64, 4.0, 0.0], 0);
        assert_eq!(parts.count(), 3);
        let decades = parts.root().decades_above(whole.root());
        assert!(decades.is_some_and(|decades| decades.abs() < 1e-14));
    }

    #[test]
    fn sizes_beyond_the_range_of_f64_are_kept() {
        let mut tiny = MeanSquare::default();
        tiny.add(&[1.0f32, -1.0], -10_000);
        assert!((tiny.root().log10() + 10_000.0 * 2f64.log10()).abs() < 1e-9);
        let mut mixed = tiny;
        mixed.add(&[1.0f32, 1.0], 0);
        assert!((mixed.root().to_f64() - 0.5f64.sqrt()).abs() < 1e-15);
    }

    #[test]
    fn a_nan_is_not_lost() {
        let mut seen = MeanSquare::default();
        seen.add(&[1.0f32], 0);
        seen.add(&[f32::NAN], -100);
        assert!(!seen.root().is_finite());
        assert!(MeanSquare::default().root().is_zero());
    }
}

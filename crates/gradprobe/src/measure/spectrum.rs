//! What the singular values of a Jacobian say.

use serde::{Deserialize, Serialize};

/// The singular values of a Jacobian, and what they add up to.
///
/// A singular value is how many times longer a signal gets in its direction on the way forward,
/// and its gradient on the way back. With all of them near one size the network is dynamically
/// isometric (Saxe, McClelland and Ganguli 2013; Pennington, Schoenholz and Ganguli 2017).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spectrum {
    /// Elements of the output: rows of the Jacobian.
    pub rows: usize,
    /// Elements of the input: columns.
    pub columns: usize,
    /// log10 of the singular values, largest first; `None` for an exact zero. All min(rows,
    /// columns) of them, or the largest.
    pub log10_singular_values: Vec<Option<f64>>,
    /// Are these all? If not, what needs all of them is `None`.
    pub complete: bool,
    /// Of a largest few: how far each may be off, relative to the largest. Empty where all were
    /// computed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<f64>,
    /// log10 of the root mean square of the singular values, ½ log10(tr JJᵀ / n): the decades
    /// that a random gradient gains on its way through.
    pub log10_rms: Option<f64>,
    /// log10(largest / smallest), in decades; `None` where the smallest cannot be told from zero.
    pub log10_condition: Option<f64>,
    /// How many singular values stand above the rounding of the arithmetic: max(rows, columns) ·
    /// ε · largest.
    pub rank: Option<usize>,
    /// exp(−Σ p ln p) with p = σ / Σσ: the number of directions that carry the signal (Roy and
    /// Vetterli 2007).
    pub effective_rank: Option<f64>,
    /// The share of directions whose singular value is at least a tenth of the largest.
    pub surviving_fraction: Option<f64>,
    /// (mean σ²)² / mean σ⁴, between 0 and 1: 1 where all are equal, 1/(1 + L) for a product of L
    /// Gaussian matrices (1 + variance over squared mean of σ² is its inverse).
    pub isometry: Option<f64>,
}

/// A direction survives if its singular value is at least this share of the largest.
const SURVIVES: f64 = 0.1;

impl Spectrum {
    /// From all singular values of a Jacobian of `rows` × `columns`, largest first, each to be
    /// multiplied by 2^`exponent`, computed in arithmetic of precision `epsilon`.
    pub fn of_all(
        (rows, columns): (usize, usize),
        values: &[f64],
        exponent: i64,
        epsilon: f64,
    ) -> Self {
        let largest = values.first().copied().unwrap_or_default();
        // Relative to the largest, so that no square leaves the range of the type.
        let relative: Vec<f64> = match largest > 0.0 {
            true => values.iter().map(|value| value / largest).collect(),
            false => Vec::new(),
        };
        let count = values.len() as f64;
        let mean = |power: i32| relative.iter().map(|x| x.powi(power)).sum::<f64>() / count;
        let some = !relative.is_empty();
        let resolution = rows.max(columns) as f64 * epsilon;
        let rank = relative.iter().filter(|&&x| x > resolution).count();
        let sum: f64 = relative.iter().sum();
        let entropy = |&x: &f64| match x > 0.0 {
            true => -(x / sum) * libm::log(x / sum),
            false => 0.0,
        };
        let surviving = relative.iter().filter(|&&x| x >= SURVIVES).count();
        let rms =
            some.then(|| log10(largest, exponent).map(|top| top + 0.5 * libm::log10(mean(2))));
        let smallest = relative.last().filter(|_| rank == values.len());
        Self {
            complete: true,
            errors: Vec::new(),
            log10_rms: rms.flatten(),
            log10_condition: smallest.map(|x| -libm::log10(*x)),
            rank: Some(rank),
            effective_rank: some.then(|| libm::exp(relative.iter().map(entropy).sum())),
            surviving_fraction: some.then(|| surviving as f64 / count),
            isometry: some.then(|| mean(2) * mean(2) / mean(4)),
            ..Self::of_largest((rows, columns), values, &[], exponent, None)
        }
    }

    /// From the largest singular values alone, with what each may be off by.
    /// `mean_square` is an estimate of tr JJᵀ / n in the same units, where there is one.
    pub fn of_largest(
        (rows, columns): (usize, usize),
        values: &[f64],
        errors: &[f64],
        exponent: i64,
        mean_square: Option<f64>,
    ) -> Self {
        let largest = values.first().copied().unwrap_or_default();
        let relative = |error: f64| match error > 0.0 {
            true => error / largest,
            false => 0.0,
        };
        Self {
            rows,
            columns,
            log10_singular_values: values.iter().map(|&value| log10(value, exponent)).collect(),
            complete: false,
            errors: errors.iter().map(|&error| relative(error)).collect(),
            log10_rms: mean_square.and_then(|square| log10(square.sqrt(), exponent)),
            log10_condition: None,
            rank: None,
            effective_rank: None,
            surviving_fraction: None,
            isometry: None,
        }
    }

    /// log10 of the largest singular value; `None` for a Jacobian of zeros.
    pub fn log10_largest(&self) -> Option<f64> {
        self.log10_singular_values.first().copied().flatten()
    }

    /// log10 of the median singular value, where all are known.
    pub fn log10_median(&self) -> Option<f64> {
        let values = &self.log10_singular_values;
        values
            .get(values.len() / 2)
            .copied()
            .flatten()
            .filter(|_| self.complete)
    }

    /// log10 of the smallest singular value, where all are known.
    pub fn log10_smallest(&self) -> Option<f64> {
        let last = self.log10_singular_values.last().copied().flatten();
        last.filter(|_| self.complete)
    }
}

/// log10(value · 2^exponent); `None` for zero.
fn log10(value: f64, exponent: i64) -> Option<f64> {
    (value > 0.0).then(|| libm::log10(value) + exponent as f64 * std::f64::consts::LOG10_2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(values: &[f64]) -> Spectrum {
        Spectrum::of_all((values.len(), values.len() + 2), values, 0, f64::EPSILON)
    }

    #[test]
    fn equal_values_are_an_isometry() {
        let spectrum = all(&[3.0; 8]);
        assert_eq!(spectrum.isometry, Some(1.0));
        assert_eq!(spectrum.log10_condition, Some(0.0));
        assert_eq!(spectrum.surviving_fraction, Some(1.0));
        assert_eq!(spectrum.rank, Some(8));
        let close = |value: Option<f64>, to: f64| (value.expect("a value") - to).abs() < 1e-12;
        assert!(close(spectrum.effective_rank, 8.0));
        assert!(close(spectrum.log10_rms, libm::log10(3.0)));
    }

    #[test]
    fn one_direction_that_is_left_is_told() {
        let spectrum = all(&[1.0, 1e-3, 1e-20, 0.0]);
        assert_eq!(spectrum.surviving_fraction, Some(0.25));
        assert_eq!(spectrum.rank, Some(2));
        assert_eq!(spectrum.log10_condition, None);
        assert_eq!(spectrum.log10_singular_values[3], None);
        assert!(spectrum.effective_rank.expect("a value") < 1.01);
        assert!((spectrum.isometry.expect("a value") - 0.25).abs() < 1e-5);
    }

    #[test]
    fn sizes_beyond_the_type_are_numbers() {
        let spectrum = Spectrum::of_all((2, 2), &[1.0, 0.5], -10_000, f64::EPSILON);
        let expected = -10_000.0 * std::f64::consts::LOG10_2;
        assert_eq!(spectrum.log10_largest(), Some(expected));
        assert!(
            (spectrum.log10_condition.expect("a value") - std::f64::consts::LOG10_2).abs() < 1e-9
        );
        let tiny = all(&[1e-200, 1e-200]);
        assert!((tiny.log10_rms.expect("a value") + 200.0).abs() < 1e-12);
        assert!((tiny.isometry.expect("a value") - 1.0).abs() < 1e-12);
    }

    #[test]
    fn a_jacobian_of_zeros_has_no_sizes() {
        let spectrum = all(&[0.0, 0.0]);
        assert_eq!(spectrum.log10_largest(), None);
        assert_eq!(spectrum.rank, Some(0));
        assert_eq!(spectrum.effective_rank, None);
        assert_eq!(spectrum.log10_rms, None);
        let largest = Spectrum::of_largest((9, 9), &[0.0; 2], &[0.0; 2], 0, Some(0.0));
        assert_eq!(largest.errors, [0.0; 2]);
        assert_eq!(largest.log10_singular_values, [None; 2]);
    }
}

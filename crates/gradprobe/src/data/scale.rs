//! Standardisation of inputs, by statistics of the whole file.

use serde::{Deserialize, Serialize};

/// How inputs are scaled.
#[derive(Clone, Copy, Debug, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standardise {
    /// As they are.
    #[default]
    None,
    /// (x − m)/s with one mean and one standard deviation for all inputs.
    Global,
    /// (x − m)/s with a mean and a standard deviation for each column; a column that is constant
    /// becomes 0.
    PerFeature,
    /// x · factor.
    Scale(f64),
}

impl Standardise {
    /// Scales numbers in row-major order, `features` a row. The standard deviation is that of the
    /// rows at hand (divided by n). What overflows becomes infinite or NaN.
    pub fn apply(self, values: &mut [f64], features: usize) {
        match self {
            Self::None => {}
            Self::Scale(factor) => values.iter_mut().for_each(|value| *value *= factor),
            Self::Global => standardise(values, 0, 1),
            Self::PerFeature => (0..features).for_each(|column| {
                standardise(values, column, features);
            }),
        }
    }
}

/// Standardises every `step`-th number from `start` on.
fn standardise(values: &mut [f64], start: usize, step: usize) {
    let count = values.iter().skip(start).step_by(step).count() as f64;
    let mean = values.iter().skip(start).step_by(step).sum::<f64>() / count;
    // Twice over the numbers: the one-pass formula cancels where |mean| ≫ std.
    let deviations = values.iter().skip(start).step_by(step);
    let variance = deviations.map(|x| (x - mean) * (x - mean)).sum::<f64>() / count;
    // An overflow must not pass for a large deviation, which would turn every number into 0.
    let std = if variance.is_finite() {
        variance.sqrt()
    } else {
        f64::NAN
    };
    // Of a constant the mean may still be off by a rounding, and its "std" then is that rounding.
    let constant = std <= 1e-14 * mean.abs() || std == 0.0;
    for value in values.iter_mut().skip(start).step_by(step) {
        *value = if constant { 0.0 } else { (*value - mean) / std };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_standardised_column_has_mean_0_and_variance_1_and_a_constant_one_is_0() {
        let mut values = vec![1e9 + 1.0, 0.1, 1e9 + 2.0, 0.1, 1e9 + 6.0, 0.1];
        Standardise::PerFeature.apply(&mut values, 2);
        let first: Vec<f64> = values.iter().step_by(2).copied().collect();
        assert!(first.iter().sum::<f64>().abs() < 1e-12);
        assert!((first.iter().map(|x| x * x).sum::<f64>() - 3.0).abs() < 1e-12);
        assert!(values.iter().skip(1).step_by(2).all(|&x| x == 0.0));
    }

    #[test]
    fn global_uses_one_mean_and_one_deviation() {
        let mut values = vec![0.0, 2.0, 0.0, 2.0];
        Standardise::Global.apply(&mut values, 2);
        assert_eq!(values, [-1.0, 1.0, -1.0, 1.0]);
        Standardise::Scale(0.5).apply(&mut values, 2);
        assert_eq!(values, [-0.5, 0.5, -0.5, 0.5]);
    }
}

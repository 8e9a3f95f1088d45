//! Logarithms and medians of what may be zero, infinite or missing.

use crate::num::Magnitude;

pub(super) fn finite_log10(size: Magnitude) -> Option<f64> {
    (size.is_finite() && !size.is_zero()).then(|| size.log10())
}

pub(super) fn median<R>(runs: &[&R], get: impl Fn(&R) -> Option<f64>) -> Option<f64> {
    let mut numbers: Vec<f64> = runs
        .iter()
        .map(|run| get(run).unwrap_or(f64::NEG_INFINITY))
        .collect();
    let median = middle(&mut numbers);
    (median != f64::NEG_INFINITY).then_some(median)
}

/// The median; of an even number, the mean of the two in the middle.
pub(super) fn middle(numbers: &mut [f64]) -> f64 {
    numbers.sort_by(f64::total_cmp);
    match numbers.len() {
        0 => f64::NEG_INFINITY,
        count if count % 2 == 1 => numbers[count / 2],
        count if numbers[count / 2 - 1] == f64::NEG_INFINITY => numbers[count / 2 - 1],
        count => 0.5 * (numbers[count / 2 - 1] + numbers[count / 2]),
    }
}

//! PoorWeightInitialization: variances of very different size.

use super::super::super::finding::{Finding, Severity};
use super::super::super::rule::{Examination, Page, Rule, RuleSubject, Setting};
use super::{REFERENCES, SOURCE, first_of, layers, weights};
use crate::measure::LayerRun;

/// The largest variance of the layers' inputs over the smallest above which it is found.
pub const THRESHOLD: Setting = Setting {
    name: "threshold",
    default: 10.0,
    unit: "",
    least: 0.0,
    most: f64::INFINITY,
    reason: "The largest variance of the layers' inputs over the smallest above which it is found.",
    source: SOURCE,
};

/// The spread of a gradient from the 5th to the 95th percentile below which it is found.
pub const RANGE: Setting = Setting {
    name: "distribution-range",
    default: 0.001,
    unit: "",
    least: 0.0,
    most: f64::INFINITY,
    reason: "The spread of a gradient from the 5th to the 95th percentile below which it is found.",
    source: SOURCE,
};

/// The rule.
pub static RULE: Rule = Rule {
    code: "SM005",
    name: "PoorWeightInitialization",
    severity: Severity::Warning,
    summary: "the layers' inputs have variances of very different size (as SageMaker Debugger)",
    subject: RuleSubject::Network,
    page: Page {
        meaning: "The largest variance of the inputs of ReLU layers is more than ten times the smallest, or the spread of a weight gradient (here 3.29 times its root mean square: the 5th to the 95th percentile of normal numbers) is below 0.001. The third condition there, a loss that does not fall for five steps, needs a recorded run.",
        importance: "What our own rule does better: `poor-initialisation` (GP009) compares the weights with what the activation wants by mean-field theory, says what it comes to over the depth and which variance would be right; `symmetric-weights` (GP010) finds what this one is named for.",
        evidence: "The ratio of variances and the layers that make it, or the parameter with the smallest gradient spread.",
        look_alikes: "Widths and inputs of different size give different variances to healthy layers; the second condition depends on the scale of the loss.",
        remedies: "Those of `poor-initialisation`, our own rule for the same.",
        references: REFERENCES,
    },
    settings: &[THRESHOLD, RANGE],
    check,
};

/// From the 5th to the 95th percentile of normal numbers, in standard deviations.
const PERCENTILES: f64 = 3.289_707_253_902_945;

fn check(examined: &Examination<'_>) -> Vec<Finding> {
    let (threshold, range) = (examined.setting(&THRESHOLD), examined.setting(&RANGE));
    let variance = |layer: &'_ LayerRun| Some(layer.pre_activation?.std.powi(2));
    // Not those with an upper bound.
    let relu = |layer: &&LayerRun| layer.is_rectified && layer.saturated_fraction.is_none();
    let mut sizes: Vec<(&LayerRun, f64)> = layers(examined)
        .filter(relu)
        .filter_map(|layer| Some((layer, variance(layer)?)))
        .collect();
    sizes.sort_by(|a, b| a.1.total_cmp(&b.1));
    let mut findings = Vec::new();
    if let (Some((least, small)), Some((most, large))) = (sizes.first(), sizes.last())
        && large / small > threshold
    {
        let ratio = large / small;
        let message = format!(
            "the variance of the input of `{}` is {ratio:.1} times that of `{}`",
            most.name, least.name
        );
        findings.extend(first_of(
            examined,
            &THRESHOLD,
            vec![(least.name.clone(), ratio, message)],
        ));
    }
    let known = weights(examined).filter(|(_, parameter)| parameter.grad_non_finite == 0);
    let narrow = known.filter_map(|(layer, parameter)| {
        let spread = PERCENTILES
            * parameter
                .grad_log10_rms
                .map_or(0.0, |log10| 10f64.powf(log10));
        let message = format!(
            "the gradient of `{}` has a spread of {spread:.2e}",
            parameter.name
        );
        (spread < range).then(|| (layer.name.clone(), spread, message))
    });
    findings.extend(first_of(examined, &RANGE, narrow.collect()));
    findings
}

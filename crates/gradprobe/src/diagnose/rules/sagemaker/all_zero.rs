//! AllZero: a tensor of zeros.

use super::super::super::finding::{Finding, Severity};
use super::super::super::rule::{Examination, Page, Rule, RuleSubject, Setting};
use super::{REFERENCES, SOURCE, first_of, layers, weights};

/// The share of zeros from which on it is found.
pub const THRESHOLD: Setting = Setting {
    name: "threshold",
    default: 100.0,
    unit: "%",
    least: 0.0,
    most: f64::INFINITY,
    reason: "The share of zeros from which on it is found.",
    source: SOURCE,
};

/// The rule.
pub static RULE: Rule = Rule {
    code: "SM007",
    name: "AllZero",
    severity: Severity::Warning,
    summary: "a tensor is all zeros (as SageMaker Debugger)",
    subject: RuleSubject::Network,
    page: Page {
        meaning: "All elements of a layer's output, or of a weight's gradient, are zero.",
        importance: "What our own rule does better: `zero-gradient` (GP003) says in which node the gradient became zero and why, tells what lasts for one step, and what is only small is not zero to it.",
        evidence: "The first tensor concerned, its share of zeros, and how many there are.",
        look_alikes: "Biases begin at zero; an underflow in f32 looks like a zero there, and does not here.",
        remedies: "See `zero-gradient` and `dead-units`.",
        references: REFERENCES,
    },
    settings: &[THRESHOLD],
    check,
};

fn check(examined: &Examination<'_>) -> Vec<Finding> {
    let threshold = examined.setting(&THRESHOLD);
    let outputs = layers(examined).map(|layer| {
        let what = format!("the output of `{}`", layer.name);
        (layer, what, layer.forward.zero_fraction)
    });
    let gradients = weights(examined).map(|(layer, parameter)| {
        let what = format!("the gradient of `{}`", parameter.name);
        (layer, what, parameter.grad_zero_fraction)
    });
    let found = outputs.chain(gradients).filter_map(|(layer, what, share)| {
        let percent = 100.0 * share;
        let message = format!("{percent:.0} % of {what} is zero");
        (percent >= threshold).then(|| (layer.name.clone(), percent, message))
    });
    first_of(examined, &THRESHOLD, found.collect())
}

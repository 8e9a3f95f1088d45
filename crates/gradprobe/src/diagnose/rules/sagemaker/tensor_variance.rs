//! TensorVariance: weights of very large or small variance.

use super::super::super::finding::{Finding, Severity};
use super::super::super::rule::{Examination, Page, Rule, RuleSubject, Setting};
use super::{REFERENCES, SOURCE, first_of, weights};

/// The variance of a weight above which it is found.
pub const MOST: Setting = Setting {
    name: "max-threshold",
    default: 10.0,
    unit: "",
    least: 0.0,
    most: f64::INFINITY,
    reason: "The variance of a weight above which it is found.",
    source: SOURCE,
};

/// The variance of a weight below which it is found.
pub const LEAST: Setting = Setting {
    name: "min-threshold",
    default: 0.00001,
    unit: "",
    least: 0.0,
    most: f64::INFINITY,
    reason: "The variance of a weight below which it is found.",
    source: SOURCE,
};

/// The rule.
pub static RULE: Rule = Rule {
    code: "SM008",
    name: "TensorVariance",
    severity: Severity::Warning,
    summary: "a weight has a very large or very small variance (as SageMaker Debugger)",
    subject: RuleSubject::Network,
    page: Page {
        meaning: "The variance of a weight (here its mean square) is above 10 or below 1e-5.",
        importance: "What our own rule does better: the right variance depends on the width and the activation. `poor-initialisation` (GP009) compares the two: 1e-5 is right for a layer of 200,000 inputs, and 0.1 is far too much for one of 1,000.",
        evidence: "The first weight concerned, its variance, and how many there are.",
        look_alikes: "A layer that begins at zero on purpose; very wide layers.",
        remedies: "Those of `poor-initialisation`, our own rule for the same.",
        references: REFERENCES,
    },
    settings: &[MOST, LEAST],
    check,
};

fn check(examined: &Examination<'_>) -> Vec<Finding> {
    let (most, least) = (examined.setting(&MOST), examined.setting(&LEAST));
    let of = |is_beyond: &dyn Fn(f64) -> bool| {
        let found = weights(examined).filter_map(|(layer, parameter)| {
            let variance = parameter.value_rms.powi(2);
            let message = format!("the variance of `{}` is {variance:.2e}", parameter.name);
            is_beyond(variance).then(|| (layer.name.clone(), variance, message))
        });
        found.collect()
    };
    let mut findings = first_of(examined, &MOST, of(&|variance| variance > most));
    findings.extend(first_of(examined, &LEAST, of(&|variance| variance < least)));
    findings
}

//! WeightUpdateRatio: updates beside weights.

use super::super::super::finding::{Finding, Severity};
use super::super::super::rule::{Examination, Page, Rule, RuleSubject, Setting};
use super::{REFERENCES, SOURCE, first_of, weights};

/// The ratio of update to weight above which it is found.
pub const LARGE: Setting = Setting {
    name: "large-threshold",
    default: 10.0,
    unit: "",
    least: 0.0,
    most: f64::INFINITY,
    reason: "The ratio of update to weight above which it is found.",
    source: SOURCE,
};

/// The ratio of update to weight below which it is found.
pub const SMALL: Setting = Setting {
    name: "small-threshold",
    default: 1e-8,
    unit: "",
    least: 0.0,
    most: f64::INFINITY,
    reason: "The ratio of update to weight below which it is found.",
    source: SOURCE,
};

/// The rule.
pub static RULE: Rule = Rule {
    code: "SM006",
    name: "WeightUpdateRatio",
    severity: Severity::Warning,
    summary: "an update is more than ten times or less than 1e-8 of its weight (as SageMaker Debugger)",
    subject: RuleSubject::Network,
    page: Page {
        meaning: "The first update of a weight is larger than ten times its size or smaller than 1e-8 of it. There, updates are taken between recorded steps; here the first one is computed for the optimiser and learning rate of the network's file.",
        importance: "What our own rule does better: `update-ratio` (GP017) fires from a third on, where a step already makes another network of a layer, leaves out weights whose size a normalisation makes meaningless, and tells a slow layer from a learning rate that is too small for all.",
        evidence: "The first parameter concerned, its ratio, and how many there are.",
        look_alikes: "Normalised weights may take large steps.",
        remedies: "Those of `update-ratio`, our own rule for the same.",
        references: REFERENCES,
    },
    settings: &[LARGE, SMALL],
    check,
};

fn check(examined: &Examination<'_>) -> Vec<Finding> {
    let (large, small) = (examined.setting(&LARGE), examined.setting(&SMALL));
    let of = |is_beyond: &dyn Fn(f64) -> bool| {
        let found = weights(examined).filter_map(|(layer, parameter)| {
            let ratio = 10f64.powf(parameter.log10_update_ratio?);
            let message = format!(
                "the first update of `{}` is {ratio:.2e} of it",
                parameter.name
            );
            is_beyond(ratio).then(|| (layer.name.clone(), ratio, message))
        });
        found.collect()
    };
    let mut findings = first_of(examined, &LARGE, of(&|ratio| ratio > large));
    findings.extend(first_of(examined, &SMALL, of(&|ratio| ratio < small)));
    findings
}

//! SaturatedActivation: inputs where the slope is numerically zero.

use super::super::super::finding::{Finding, Severity};
use super::super::super::rule::{Examination, Page, Rule, RuleSubject, Setting};
use super::{REFERENCES, SOURCE, first_of, layers};

/// The share of saturated units in a layer above which it is found.
pub const LAYER: Setting = Setting {
    name: "threshold-layer",
    default: 50.0,
    unit: "%",
    least: 0.0,
    most: f64::INFINITY,
    reason: "The share of saturated units in a layer above which it is found.",
    source: SOURCE,
};

/// The rule.
pub static RULE: Rule = Rule {
    code: "SM004",
    name: "SaturatedActivation",
    severity: Severity::Warning,
    summary: "tanh or sigmoid units beyond ±9.5 or −23 to 17 (as SageMaker Debugger)",
    subject: RuleSubject::Network,
    page: Page {
        meaning: "A unit counts as saturated where its input is beyond ±9.4999 (tanh) or outside −23 to 16.99999 (sigmoid) for every row, a layer where that holds for more than half of its units.",
        importance: "What our own rule does better: `saturated-activation` (GP007) fires while there is still a slope, beyond ±0.97 of the output: tanh′ computed as 1 − t² is already 0 in f32 at 9.011, before this rule sees it at 9.4999 (and at 4.5 in f16).",
        evidence: "The first layer concerned, its share of saturated units, and how many layers there are.",
        look_alikes: "Gates of trained networks may sit at their bounds by right.",
        remedies: "Those of `saturated-activation`, our own rule for the same.",
        references: REFERENCES,
    },
    settings: &[LAYER],
    check,
};

fn check(examined: &Examination<'_>) -> Vec<Finding> {
    let threshold = examined.setting(&LAYER);
    let found = layers(examined).filter_map(|layer| {
        let percent = 100.0 * layer.flat_units_fraction?;
        let message = format!(
            "{percent:.0} % of the units of `{}` are saturated",
            layer.name
        );
        (percent > threshold).then(|| (layer.name.clone(), percent, message))
    });
    first_of(examined, &LAYER, found.collect())
}

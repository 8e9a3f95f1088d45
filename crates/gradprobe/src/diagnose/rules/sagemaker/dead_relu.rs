//! DeadRelu: most units of a ReLU layer are off.

use super::super::super::finding::{Finding, Severity};
use super::super::super::rule::{Examination, Page, Rule, RuleSubject, Setting};
use super::{REFERENCES, SOURCE, first_of, layers};
use crate::measure::LayerRun;

/// The share of dead units in a layer above which it is found.
pub const LAYER: Setting = Setting {
    name: "threshold-layer",
    default: 50.0,
    unit: "%",
    least: 0.0,
    most: f64::INFINITY,
    reason: "The share of dead units in a layer above which it is found.",
    source: SOURCE,
};

/// The rule.
pub static RULE: Rule = Rule {
    code: "SM003",
    name: "DeadRelu",
    severity: Severity::Warning,
    summary: "more than half the units of a ReLU layer are dead (as SageMaker Debugger)",
    subject: RuleSubject::Network,
    page: Page {
        meaning: "A unit counts as dead where it is active for less than 1 % of the batch; a layer where that holds for more than half of its units. Here a dead unit is active for no row, which is the same up to a batch of 100.",
        importance: "What our own rule does better: `dead-units` (GP008) tells a batch from for ever, by bound; it does not fire for healthy deep layers, half of whose units are off for a whole batch; and it gives the chance that an initialisation dies.",
        evidence: "The first layer concerned, its share of dead units, and how many layers there are.",
        look_alikes: "In deep ReLU networks samples become alike, and about half the units are off for all of them: this rule fires by chance there.",
        remedies: "Those of `dead-units`, our own rule for the same.",
        references: REFERENCES,
    },
    settings: &[LAYER],
    check,
};

fn check(examined: &Examination<'_>) -> Vec<Finding> {
    let threshold = examined.setting(&LAYER);
    let is_relu = |layer: &&LayerRun| layer.is_rectified;
    let found = layers(examined).filter(is_relu).filter_map(|layer| {
        let percent = 100.0 * layer.dead_fraction?;
        let message = format!("{percent:.0} % of the units of `{}` are dead", layer.name);
        (percent > threshold).then(|| (layer.name.clone(), percent, message))
    });
    first_of(examined, &LAYER, found.collect())
}

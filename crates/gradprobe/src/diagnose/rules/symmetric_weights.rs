//! Units that receive identical gradients for ever.

use super::super::finding::{Finding, Severity};
use super::super::rule::{Examination, Page, Rule, RuleSubject, Setting};

/// The share of a layer's units.
pub const SHARE: Setting = Setting {
    name: "share",
    default: 0.5,
    unit: "",
    least: 0.0,
    most: 1.0,
    reason: "The share of a layer's units that have a twin with equal weights in and out. Any two twins \
             are one unit; where most units have one, the layer is as wide as what is left.",
    source: "0 for weights drawn at random, 1 for constant ones",
};

/// The rule.
pub static RULE: Rule = Rule {
    code: "GP010",
    name: "symmetric-weights",
    severity: Severity::Error,
    summary: "units have the same weights in and out, so they receive the same gradient for ever",
    subject: RuleSubject::Network,
    page: Page {
        meaning: "Two units with the same incoming weights and bias compute the same; with the same \
                  outgoing weights they receive the same gradient. After every step they are the same \
                  again.",
        importance: "A layer of a hundred such units is one unit. Weights of zeros are the extreme: with \
                     ReLU or tanh nothing but the last bias ever learns.",
        evidence: "By layer the share of units with a twin, compared weight by weight, in and out.",
        look_alikes: "A single layer of zeros (the last of a residual branch, a zero head) between layers \
                      drawn at random is no symmetry: its units' weights on the other side differ. Equal \
                      biases are usual. Dropout parts twins in training, slowly.",
        remedies: "Draw the weights at random, by the initialisation that fits the activation; only biases \
                   may begin equal.",
        references: "Goodfellow, Bengio and Courville 2016, Deep Learning, §8.4.",
    },
    settings: &[SHARE],
    check,
};

fn check(examined: &Examination<'_>) -> Vec<Finding> {
    let share = examined.setting(&SHARE);
    let layers = examined
        .measurement
        .layers
        .iter()
        .map(|layer| &layer.median);
    let found: Vec<_> = layers
        .filter_map(|layer| Some((layer, layer.twin_units_fraction?)))
        .filter(|&(_, twins)| twins > 0.0 && twins >= share)
        .collect();
    let Some((first, twins)) = found.first() else {
        return Vec::new();
    };
    let seeds = examined.agreement(|run| {
        let of_layer = run.layers.iter().find(|layer| layer.name == first.name);
        of_layer.and_then(|layer| layer.twin_units_fraction) >= Some(share)
    });
    let others = match found.len() {
        1 => String::new(),
        count => format!(" (the first of {count} layers)"),
    };
    let message = format!(
        "{}{:.0} % of the units of `{}`{others} have a twin with the same weights in and out: they \
         receive the same gradient for ever",
        seeds.lead(),
        100.0 * twins,
        first.name
    );
    let finding = examined
        .finding_by(&SHARE, seeds.severity(Severity::Error), *twins, message)
        .at(&first.name)
        .seen_by(seeds);
    vec![finding]
}

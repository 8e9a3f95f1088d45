//! Activations next to their bounds.

use super::super::finding::{Finding, Severity};
use super::super::judged::judged_layers;
use super::super::rule::{Examination, Page, Rule, RuleSubject, Setting};
use crate::measure::LayerRun;

/// The share of a layer's outputs.
pub const SHARE: Setting = Setting {
    name: "share",
    default: 0.5,
    unit: "",
    least: 0.0,
    most: 1.0,
    reason: "The share of a layer's outputs within 1.5 % of the range of a bound (tanh: beyond ±0.97, \
             where its slope is below 0.06). Above one half most of what the layer hands back is lost.",
    source: "Karpathy, makemore part 3, draws the line at |t| > 0.97; its healthy network has 21 %, \
             Glorot and Bengio 2010 see stalled layers at more than half",
};

/// The share of a layer's units.
pub const UNITS: Setting = Setting {
    name: "units",
    default: 0.25,
    unit: "",
    least: 0.0,
    most: 1.0,
    reason: "The share of a layer's units that are next to a bound for every row of the batch: they \
             receive almost no gradient whatever the input.",
    source: "none in networks that train well here; makemore part 3 calls such a unit dead",
};

/// The rule.
pub static RULE: Rule = Rule {
    code: "GP007",
    name: "saturated-activation",
    severity: Severity::Warning,
    summary: "most outputs of a bounded activation are next to its bounds, where its slope is gone",
    subject: RuleSubject::Network,
    page: Page {
        meaning: "The pre-activations are so large that tanh, a sigmoid or their kin sit at their \
                  bounds: a change of the input hardly changes the output.",
        importance: "The slope there is a hundredth and less of that in the middle, so whatever comes \
                     back through the layer is multiplied by it: one saturated layer can lose more \
                     than a hundred that are not (tanh at 100 has the slope 10^−86).",
        evidence: "The worst layer: the share of its outputs next to a bound, the share of units that \
                   are there for every row, the size of its pre-activations, and the decades of \
                   backward signal that its activation loses; how many layers are concerned. It fires \
                   while the slope is still a number: at |t| > 0.97 and not where 1 − t² is zero.",
        look_alikes: "A tanh of 1 has the output 0.76: that is not saturated. ReLU6 at 0 is its off \
                      side, and a sine turns back at its bounds. Of given weights it is a note unless whole units are saturated: gates of trained \
                      networks and the last layer's probabilities are \
                      meant to be near 0 and 1. An unscaled input saturates the first layer only: see \
                      `unscaled-input` beside this one.",
        remedies: "Smaller weights (Glorot for tanh), inputs of mean 0 and variance 1, a normalisation \
                   before the activation, an activation without bounds.",
        references: "LeCun, Bottou, Orr and Müller 1998, Efficient BackProp; Glorot and Bengio 2010; \
                     Karpathy 2022, makemore part 3.",
    },
    settings: &[SHARE, UNITS],
    check,
};

fn check(examined: &Examination<'_>) -> Vec<Finding> {
    let (share, units) = (examined.setting(&SHARE), examined.setting(&UNITS));
    let measurement = examined.measurement;
    let last = judged_layers(measurement)
        .last()
        .map(|layer| layer.median.name.clone());
    let is_saturated = |layer: &LayerRun| {
        layer.saturated_fraction.is_some_and(|found| found >= share)
            || layer
                .saturated_units_fraction
                .is_some_and(|found| found >= units)
    };
    let concerned: Vec<&LayerRun> = measurement
        .layers
        .iter()
        .map(|layer| &layer.median)
        .filter(|layer| is_saturated(layer) && Some(&layer.name) != last.as_ref())
        .collect();
    let fraction = |layer: &LayerRun| layer.saturated_fraction.unwrap_or(0.0);
    let worst = concerned.iter().max_by(|a, b| {
        fraction(a)
            .total_cmp(&fraction(b))
            .then(b.name.cmp(&a.name))
    });
    let Some(worst) = worst else {
        return Vec::new();
    };
    let seeds = examined.agreement(|run| {
        let mut layers = run.layers.iter();
        layers.any(|layer| layer.name == worst.name && is_saturated(layer))
    });
    if seeds.is_refuted() {
        return Vec::new();
    }
    let others = match concerned.len() {
        1 => String::new(),
        count => format!(" (the worst of {count} layers)"),
    };
    let (setting, measured) = match worst.saturated_fraction {
        Some(found) if found >= share => (&SHARE, found),
        _ => (&UNITS, worst.saturated_units_fraction.unwrap_or(0.0)),
    };
    let message = format!(
        "{}{:.0} % of the outputs of `{}` are at the bounds of {}{others}, {:.0} % of its units for \
         every row",
        seeds.lead(),
        100.0 * fraction(worst),
        worst.name,
        worst.activation.as_deref().unwrap_or("its activation"),
        100.0 * worst.saturated_units_fraction.unwrap_or(0.0),
    );
    let figures: Vec<Option<f64>> = measurement
        .figures_of(&worst.name, |layer| layer.saturated_fraction)
        .collect();
    let size = worst.pre_activation.map_or_else(String::new, |signal| {
        format!(
            "its pre-activations have the root mean square {:.3}; its slopes lose {:.1} decades of \
             backward signal",
            signal.rms,
            worst.gains.activation.min(0.0).abs()
        )
    });
    let finding = examined
        .finding_by(
            setting,
            seeds.severity(Severity::Warning),
            measured,
            message,
        )
        .at(&worst.name)
        .seen_by(seeds)
        .over(&figures)
        .because(size);
    vec![finding]
}

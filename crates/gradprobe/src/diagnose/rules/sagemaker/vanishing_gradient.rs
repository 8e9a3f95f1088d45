//! VanishingGradient: a gradient is small.

use super::super::super::finding::{Finding, Severity};
use super::super::super::rule::{Examination, Page, Rule, RuleSubject, Setting};
use super::{REFERENCES, SOURCE, first_of, weights};

/// The mean size of a gradient below which it has vanished.
pub const THRESHOLD: Setting = Setting {
    name: "threshold",
    default: 1e-7,
    unit: "",
    least: 0.0,
    most: f64::INFINITY,
    reason: "The mean size of a gradient below which it has vanished.",
    source: SOURCE,
};

/// The rule.
pub static RULE: Rule = Rule {
    code: "SM001",
    name: "VanishingGradient",
    severity: Severity::Warning,
    summary: "a gradient is below 1e-7 (as SageMaker Debugger)",
    subject: RuleSubject::Network,
    page: Page {
        meaning: "The mean of the absolute values of a gradient is below a threshold. Here the root mean square is compared, which is never below that mean (for normal numbers it is 1.25 times it), so it fires a little less often.",
        importance: "What our own rule does better: `vanishing-gradient` (GP001) compares the first layer with the last, so that the scale of the loss does not matter: multiply a loss by 1e-6 and this one fires for a healthy network; by 1e6 and it is silent for a sick one.",
        evidence: "The first parameter concerned, its gradient, and how many there are.",
        look_alikes: "A small loss, a summed against an averaged one, a loss scale in mixed precision: all move every gradient and no ratio.",
        remedies: "Those of `vanishing-gradient`, our own rule for the same.",
        references: REFERENCES,
    },
    settings: &[THRESHOLD],
    check,
};

fn check(examined: &Examination<'_>) -> Vec<Finding> {
    let threshold = examined.setting(&THRESHOLD);
    let known = weights(examined).filter(|(_, parameter)| parameter.grad_non_finite == 0);
    let found = known.filter_map(|(layer, parameter)| {
        let size = parameter
            .grad_log10_rms
            .map_or(0.0, |log10| 10f64.powf(log10));
        let message = format!(
            "the gradient of `{}` has the size {size:.2e}",
            parameter.name
        );
        (size < threshold).then(|| (layer.name.clone(), size, message))
    });
    first_of(examined, &THRESHOLD, found.collect())
}

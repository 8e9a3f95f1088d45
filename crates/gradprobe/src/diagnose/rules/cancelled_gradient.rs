//! Entries of a gradient that a framework's derivative makes 0.

use super::super::finding::{Finding, Severity};
use super::super::rule::{Examination, Page, Rule, RuleSubject, Setting};
use super::precision::{self, Loss};
use crate::measure::precision::{LOST_SHARE, PrecisionReport};

/// The share of a layer's entries.
pub const SHARE: Setting = Setting {
    name: "share",
    default: LOST_SHARE,
    unit: "",
    least: 0.0,
    most: 1.0,
    reason: "The share of the entries of a layer's gradients, or of the derivatives of its activation, that \
             are 0 for a cancellation. (The latter's share is fixed.)",
    source: "the share from which on a layer counts as lost to a type everywhere here; networks whose \
             signals have variance 1 have none in f16",
};

/// The rule.
pub static RULE: Rule = Rule {
    code: "GP019",
    name: "cancelled-gradient",
    severity: Severity::Warning,
    summary: "in a type that was asked for, derivatives cancel to 0: 1 − y² where y rounds to 1",
    subject: RuleSubject::Precision,
    page: Page {
        meaning: "Frameworks compute tanh′ as 1 − y² and σ′ as σ(1 − σ) from the rounded output. Where y \
                  rounds to 1 the difference is exactly 0, though the true slope is a number that the \
                  type could hold.",
        importance: "The units concerned receive nothing from their rows, however the loss is scaled: a \
                     product with 0 is 0. The narrower the type, the earlier: tanh from |u| = 9.011 in \
                     f32, 4.506 in f16, 3.466 in bf16; the sigmoid from 17.33, 8.32, 6.24.",
        evidence: "The worst layer and its share, by type. An entry is cancelled where it is 0, and there \
                   again once the run is repeated with stable derivatives (sech², σ(u)σ(−u)).",
        look_alikes: "An entry that is below what the type holds is `underflowed-gradient`: a loss scale \
                      helps there and not here. A ReLU that is off is a true zero. Saturated activations \
                      (`saturated-activation`) are the cause in f64 already.",
        remedies: "Smaller pre-activations (inputs of variance 1, Glorot's initialisation, a normalisation \
                   before the activation); that activation in f32, as autocast does not; a framework \
                   kernel with a stable derivative.",
        references: "docs/PRECISION.md; Higham 2002, Accuracy and Stability of Numerical Algorithms, §1.7.",
    },
    settings: &[SHARE],
    check,
};

fn check(examined: &Examination<'_>) -> Vec<Finding> {
    let loss = Loss {
        share: |layer| layer.cancelled,
        said: "cancel to 0",
    };
    let reports = examined.measurement.precision.iter();
    let found = reports.filter_map(|report| {
        precision::check(examined, report, &SHARE, Severity::Warning, &loss)
            .or_else(|| derivatives(examined, report))
    });
    found.collect()
}

/// Derivatives that cancel where every entry of a gradient still gets something from other rows.
fn derivatives(examined: &Examination<'_>, report: &PrecisionReport) -> Option<Finding> {
    let mut layers = report
        .layers
        .iter()
        .filter(|layer| layer.derivatives_cancel);
    let first = layers.next()?;
    let message = format!(
        "in {} 1 % or more of the derivatives of the activation of `{}`{} cancel to 0",
        report.precision,
        first.name,
        precision::of_several("the first", 1 + layers.count())
    );
    let finding = examined.finding(Severity::Warning, message).at(&first.name);
    Some(precision::of_type(finding, report))
}

//! Signals and gradients beyond what a type holds.

use super::super::finding::{Finding, Severity};
use super::super::rule::{Examination, Page, Rule, RuleSubject, Setting};
use super::precision::{self, Loss};
use crate::measure::precision::PrecisionReport;

/// The share of a layer's entries.
pub const SHARE: Setting = Setting {
    name: "share",
    default: 0.0,
    unit: "",
    least: 0.0,
    most: 1.0,
    reason: "The share of the entries of a layer's gradients that are infinite or NaN. One is enough: an \
             optimiser that takes it makes the weight NaN, a scaler leaves out the step. A forward signal \
             that overflows is found whatever the share.",
    source: "PyTorch's GradScaler skips a step for a single such entry",
};

/// The rule.
pub static RULE: Rule = Rule {
    code: "GP021",
    name: "overflow-in-type",
    severity: Severity::Error,
    summary: "in a type that was asked for, a signal or a gradient is infinite or NaN",
    subject: RuleSubject::Precision,
    page: Page {
        meaning: "A number leaves the range of the type: above 65504 in f16, 448 in e4m3, 57344 in e5m2, \
                  3.4e38 in bf16 and f32.",
        importance: "An infinite signal makes the loss infinite or NaN, and one step every weight. An \
                     infinite gradient under a dynamic loss scale costs that step; without one it costs \
                     the weights.",
        evidence: "By type: the first layer whose forward signal overflows, else the layer with the largest \
                   share of such gradients, at the loss scale of the run, and the loss scales that \
                   overflow nowhere.",
        look_alikes: "What is not finite in f32 already is `non-finite`. A gradient that overflows under \
                      the loss scale alone (2^16 to begin with) is what a dynamic scaler is made for, and \
                      is gone after its first steps.",
        remedies: "Forward: a normalisation, smaller weights or inputs, bf16, that layer in f32. Backward \
                   only: a smaller loss scale, from the window that is named.",
        references: "Micikevicius et al. 2018, Mixed precision training; the PyTorch documentation of \
                     `torch.amp.GradScaler`; docs/PRECISION.md.",
    },
    settings: &[SHARE],
    check,
};

fn check(examined: &Examination<'_>) -> Vec<Finding> {
    let loss = Loss {
        share: |layer| layer.overflowed,
        said: "are infinite or NaN",
    };
    let reports = examined.measurement.precision.iter();
    let found = reports.filter_map(|report| {
        let backward = || {
            let found = precision::check(examined, report, &SHARE, Severity::Error, &loss)?;
            Some(found.because(precision::window_in_words(report)))
        };
        forward(examined, report).or_else(backward)
    });
    found.collect()
}

fn forward(examined: &Examination<'_>, report: &PrecisionReport) -> Option<Finding> {
    let mut layers = report.layers.iter().filter(|layer| layer.overflows_forward);
    let first = layers.next()?;
    let message = format!(
        "in {} the forward signal overflows at `{}`{}",
        report.precision,
        first.name,
        precision::of_several("the first", 1 + layers.count())
    );
    let finding = examined.finding(Severity::Error, message).at(&first.name);
    Some(precision::of_type(finding, report))
}

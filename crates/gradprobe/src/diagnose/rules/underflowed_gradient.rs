//! Entries of a gradient that are below what a type holds.

use super::super::finding::{Finding, Severity};
use super::super::rule::{Examination, Page, Rule, RuleSubject, Setting};
use super::precision::{self, Loss};
use crate::measure::precision::LOST_SHARE;

/// The share of a layer's entries.
pub const SHARE: Setting = Setting {
    name: "share",
    default: LOST_SHARE,
    unit: "",
    least: 0.0,
    most: 1.0,
    reason: "The share of the entries of a layer's gradients that are 0 because they, or a number on the \
             way to them, are below half the type's smallest number.",
    source: "the share that the smallest loss scale is found for (Micikevicius et al. 2018 scale where 5 % \
             of the values of a whole network become zeros and it diverges)",
};

/// The rule.
pub static RULE: Rule = Rule {
    code: "GP020",
    name: "underflowed-gradient",
    severity: Severity::Warning,
    summary: "in a type that was asked for, entries of a gradient are below its smallest number",
    subject: RuleSubject::Precision,
    page: Page {
        meaning: "The gradient has entries, or there are cotangents on the way to them, that are not 0 and \
                  round to 0 in the type: below 3e-8 in f16, 4.6e-41 in bf16, 7e-46 in f32.",
        importance: "These weights do not move. In f16 whole layers can be lost so while the loss looks \
                     well.",
        evidence: "The worst layer and its share, by type, at the loss scale of the run, and the loss scales \
                   at which less than 1 % is lost.",
        look_alikes: "A true zero (a ReLU that is off) is counted apart, as are cancelled entries \
                      (`cancelled-gradient`), which no loss scale brings back. A gradient that vanishes \
                      with depth is `vanishing-gradient`: it underflows for that.",
        remedies: "A loss scale from the window that is named; bf16, which has f32's range; autocast with a \
                   scaler instead of a whole network in f16.",
        references: "Micikevicius et al. 2018, Mixed precision training; docs/PRECISION.md.",
    },
    settings: &[SHARE],
    check,
};

fn check(examined: &Examination<'_>) -> Vec<Finding> {
    let loss = Loss {
        share: |layer| layer.underflowed,
        said: "underflow to 0",
    };
    let reports = examined.measurement.precision.iter();
    let found = reports.filter_map(|report| {
        let found = precision::check(examined, report, &SHARE, Severity::Warning, &loss)?;
        Some(found.because(precision::window_in_words(report)))
    });
    found.collect()
}

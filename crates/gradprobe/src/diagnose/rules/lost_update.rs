//! Updates that round away.

use super::super::finding::{Finding, Severity};
use super::super::rule::{Examination, Page, Rule, RuleSubject, Setting};
use super::precision;
use crate::measure::precision::LayerPrecision;

/// The share of all entries.
pub const SHARE: Setting = Setting {
    name: "share",
    default: 0.5,
    unit: "",
    least: 0.0,
    most: 1.0,
    reason: "The share of all weights whose first update w − η·g rounds back to w in the type that the \
             weights are kept in. Half of them standing still is more than the small gradients that any \
             network has.",
    source: "bf16 holds 8 bits: an update of 2^−9 of its weight is lost; the usual ratio of update to weight \
             is 10^−3",
};

/// The rule.
pub static RULE: Rule = Rule {
    code: "GP022",
    name: "lost-update",
    severity: Severity::Warning,
    summary: "in a type that was asked for, most updates round away beside their weights",
    subject: RuleSubject::Precision,
    page: Page {
        meaning: "The gradient is there, and the step is less than half the distance to the next number of \
                  the type that the weights are kept in, so that the weight stays as it was.",
        importance: "Such weights never move, however many steps are made: nothing adds up. Training \
                     stalls long before the loss is at its floor, and sooner the smaller the learning rate \
                     gets.",
        evidence: "By type: the share over all layers, and the layer with the largest, for the first update \
                   of the given optimiser and learning rate.",
        look_alikes: "Entries that are 0 already are not counted here: they are true zeros, cancelled or \
                      underflowed. An update that is small in f32 as well is `update-ratio`.",
        remedies: "A copy of the weights in f32, as autocast keeps (`autocast-bf16` beside `bf16`); \
                   stochastic rounding; compensated summation; a larger learning rate.",
        references: "Micikevicius et al. 2018, Mixed precision training, §3.1; Zamirai et al. 2020, \
                     Revisiting bfloat16 training.",
    },
    settings: &[SHARE],
    check,
};

fn check(examined: &Examination<'_>) -> Vec<Finding> {
    let least = examined.setting(&SHARE);
    let reports = examined.measurement.precision.iter();
    let found = reports.filter_map(|report| {
        let lost = |layer: &LayerPrecision| layer.lost_update.unwrap_or(0.0);
        let share = report.share(lost);
        let worst = report
            .layers
            .iter()
            .filter(|layer| layer.entries > 0)
            .max_by(|a, b| lost(a).total_cmp(&lost(b)))?;
        (share > 0.0 && share >= least).then(|| {
            let message = format!(
                "in {} {:.0} % of the updates round away (`{}`: {:.0} %)",
                report.precision,
                100.0 * share,
                worst.name,
                100.0 * lost(worst)
            );
            let finding = examined.finding_by(&SHARE, Severity::Warning, share, message);
            precision::of_type(finding.at(&worst.name), report)
        })
    });
    found.collect()
}

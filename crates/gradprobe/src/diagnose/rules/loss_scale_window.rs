//! Loss scales between losing a gradient and overflowing.

use super::super::finding::{Finding, Severity};
use super::super::rule::{Examination, Page, Rule, RuleSubject, Setting};
use super::precision;

/// The width of the window.
pub const WIDTH: Setting = Setting {
    name: "width",
    default: 0.0,
    unit: "octaves",
    least: f64::MIN,
    most: f64::INFINITY,
    reason: "How many powers of two lie between the smallest loss scale that loses less than 1 % of every \
             layer and the largest that overflows nowhere. Below 0 there is none that does both.",
    source: "by definition; gradients span a wider range late in training, so a window of some octaves at the \
             start is wanted",
};

/// The rule.
pub static RULE: Rule = Rule {
    code: "GP023",
    name: "loss-scale-window",
    severity: Severity::Warning,
    summary: "in a type that was asked for, no loss scale keeps every layer's gradient in range",
    subject: RuleSubject::Precision,
    page: Page {
        meaning: "The gradients and cotangents of one layer are so much larger than those of another that \
                  no one factor lifts the small ones off the type's floor and keeps the large ones under \
                  its ceiling.",
        importance: "A dynamic scaler settles at the largest scale that does not overflow and never sees \
                     what underflows below: some layers train on zeros without any sign of it.",
        evidence: "By type: the smallest and the largest scale as powers of two, and the layers that \
                   lose 1 % or more at the largest. Both are found from the sizes of the true gradient.",
        look_alikes: "A gradient that is small everywhere needs a scale and has one: that is no finding. \
                      Where one layer loses the signal by decades, `vanishing-gradient` names the cause.",
        remedies: "bf16 instead of f16; the layers named in f32; what `vanishing-gradient` and \
                   `exploding-gradient` advise, so that layers' gradients come closer.",
        references: "Micikevicius et al. 2018, Mixed precision training, §3.2; Zhao et al. 2019, Adaptive \
                     loss scaling (a scale a layer); docs/PRECISION.md.",
    },
    settings: &[WIDTH],
    check,
};

fn check(examined: &Examination<'_>) -> Vec<Finding> {
    let least = examined.setting(&WIDTH);
    let reports = examined.measurement.precision.iter();
    let found = reports.filter_map(|report| {
        let (smallest, largest) = (report.window.log2_smallest?, report.window.log2_largest?);
        let width = (largest - smallest) as f64;
        (width < least).then(|| {
            let message = if width < 0.0 {
                format!(
                    "in {} no loss scale serves: less than 2^{smallest} loses 1 % of a layer or more, \
                     more than 2^{largest} overflows",
                    report.precision
                )
            } else {
                format!(
                    "in {} only loss scales of 2^{smallest} to 2^{largest} serve",
                    report.precision
                )
            };
            let lost: Vec<&str> = report
                .layers
                .iter()
                .filter(|layer| layer.beyond_loss_scale)
                .map(|layer| layer.name.as_str())
                .collect();
            let first = lost.first().copied();
            let where_lost = first.map_or_else(String::new, |first| {
                format!(
                    "at 2^{largest} 1 % or more of the signals of `{first}` is lost (in {} layers)",
                    lost.len()
                )
            });
            let finding = examined.finding_by(&WIDTH, Severity::Warning, width, message);
            let finding = precision::of_type(finding, report).because(where_lost);
            match first {
                Some(layer) => finding.at(layer),
                None => finding,
            }
        })
    });
    found.collect()
}

//! What the rules about floating-point types have in common: a finding a type, at the layer that
//! loses the most to it.

use super::super::finding::{Finding, Severity};
use super::super::rule::{Examination, Setting};
use crate::measure::precision::{LayerPrecision, PrecisionReport};

/// What becomes of the entries of a layer's gradient in a type.
pub(super) struct Loss {
    /// The share that it becomes of.
    pub share: fn(&LayerPrecision) -> f64,
    /// What becomes of them, e.g. `underflow to 0`.
    pub said: &'static str,
}

/// A finding where a layer loses a setting's share or more to the type of a report.
pub(super) fn check(
    examined: &Examination<'_>,
    report: &PrecisionReport,
    setting: &Setting,
    severity: Severity,
    loss: &Loss,
) -> Option<Finding> {
    let least = examined.setting(setting);
    let layers = report.layers.iter();
    let concerned: Vec<(&LayerPrecision, f64)> = layers
        .map(|layer| (layer, (loss.share)(layer)))
        .filter(|&(_, share)| share > 0.0 && share >= least)
        .collect();
    let (worst, share) = concerned
        .iter()
        .copied()
        .reduce(|worst, other| if other.1 > worst.1 { other } else { worst })?;
    let message = format!(
        "in {} {} % of the gradient's entries of `{}`{} {}",
        report.precision,
        percent(share),
        worst.name,
        of_several("the worst", concerned.len()),
        loss.said
    );
    let finding = examined.finding_by(setting, severity, share, message);
    Some(of_type(finding.at(&worst.name), report))
}

/// That a layer is one of several.
pub(super) fn of_several(which: &str, count: usize) -> String {
    match count {
        1 => String::new(),
        count => format!(" ({which} of {count} layers)"),
    }
}

/// The finding, one of those of several types.
pub(super) fn of_type(finding: Finding, report: &PrecisionReport) -> Finding {
    let finding = finding.one_of(&report.precision);
    match report.loss_scale {
        1.0 => finding,
        scale => finding.because(format!("run at a loss scale of {scale}")),
    }
}

/// A share in percent, with as many digits as tell it from 0.
fn percent(share: f64) -> String {
    let percent = 100.0 * share;
    match percent {
        percent if percent >= 0.95 => format!("{percent:.0}"),
        percent => format!("{percent:.1e}"),
    }
}

/// Which loss scales serve, in words.
pub(super) fn window_in_words(report: &PrecisionReport) -> String {
    let window = &report.window;
    match (window.log2_smallest, window.log2_largest) {
        (Some(smallest), Some(largest)) if smallest <= largest => {
            format!(
                "a loss scale of 2^{smallest} to 2^{largest} loses less than 1 % of every layer"
            )
        }
        (Some(_), Some(_)) => "no loss scale serves: see `loss-scale-window`".into(),
        _ => String::new(),
    }
}

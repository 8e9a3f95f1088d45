//! Gradients in which samples, or batches, disagree.

use super::super::finding::{Finding, Severity};
use super::super::rule::{Examination, Page, Rule, RuleSubject, Setting};
use crate::measure::Batches;

/// The signal-to-noise ratio.
pub const RATIO: Setting = Setting {
    name: "ratio",
    default: 0.01,
    unit: "",
    least: 0.0,
    most: f64::INFINITY,
    reason: "The squared norm of a weight gradient's expectation over the variance of the batch's gradient \
             about it. At a hundredth a hundred steps are needed to average the noise away.",
    source: "McCandlish et al. 2018: the ratio is the batch over the gradient noise scale, and a batch of \
             a hundredth of that scale wastes nothing but is all noise",
};

/// The rule.
pub static RULE: Rule = Rule {
    code: "GP018",
    name: "gradient-noise",
    severity: Severity::Info,
    summary: "samples disagree about the gradient: the batch's mean is mostly noise",
    subject: RuleSubject::Network,
    page: Page {
        meaning: "The gradients of single samples point in all directions, so that the mean over the batch \
                  says more about which samples were drawn than about the loss.",
        importance: "Steps are a random walk with a drift; a smaller learning rate or a larger batch is \
                     needed to see progress. It is no fault of the network, and gets worse as training \
                     goes on.",
        evidence: "The layer with the highest ratio of signal to noise, and the batch that would bring it to \
                   1. Over batches: the first seed's weights are run on the batches of the other seeds too \
                   (up to four in all, where the data hold more rows than one batch), and the variance is \
                   that of the gradients g about their mean: S = Σ‖g − ḡ‖²/(B − 1), the signal ‖ḡ‖² − \
                   S/B. Where there is one batch, within it: by the norms of each sample's share in the \
                   gradient (a linear layer's is ‖δᵢ‖‖hᵢ‖).",
        look_alikes: "Targets drawn at random have no signal at all, and are not judged. Within \
                      one batch, where samples are normalised over it or the rows are sequences or \
                      images, their shares do not part, and nothing is said. Networks of more than 16 \
                      million trained numbers are looked at within one batch only.",
        remedies: "A larger batch, a smaller learning rate, momentum or averaging; cleaner labels.",
        references: "McCandlish, Kaplan and Amodei 2018, An empirical model of large-batch training; \
                     Goodfellow 2015, Efficient per-example gradient computations.",
    },
    settings: &[RATIO],
    check,
};

fn check(examined: &Examination<'_>) -> Vec<Finding> {
    let measurement = examined.measurement;
    if !measurement.given_targets {
        return Vec::new();
    }
    match measurement
        .batches
        .as_ref()
        .and_then(|batches| over_batches(examined, batches))
    {
        Some(judged) => judged.into_iter().collect(),
        None => within_batch(examined).into_iter().collect(),
    }
}

/// By the gradients of several batches at the same weights; the inner `None` where they agree well
/// enough, the outer where they were not measured.
fn over_batches(examined: &Examination<'_>, batches: &Batches) -> Option<Option<Finding>> {
    let least = examined.setting(&RATIO);
    let (layer, ratio) = clearest(
        batches
            .layers
            .iter()
            .filter_map(|layer| Some((layer.name.as_str(), layer.gradient_signal_to_noise?))),
    )?;
    if ratio >= least {
        return Some(None);
    }
    let message = format!(
        "over {} batches of {} even the clearest gradient, that of `{layer}`, has a signal-to-noise ratio of \
         {}",
        batches.count,
        examined.measurement.batch,
        in_words(ratio)
    );
    let all = batches.gradient_signal_to_noise;
    let of_all = all.map_or_else(String::new, |ratio| {
        format!("all gradients together: {}", in_words(ratio))
    });
    let finding = examined
        .finding_by(&RATIO, Severity::Info, ratio, message)
        .at(layer)
        .because(of_all)
        .because(wanted(examined, ratio));
    Some(Some(finding))
}

fn in_words(ratio: f64) -> String {
    match ratio {
        0.0 => "0".into(),
        ratio => format!("{ratio:.2e}"),
    }
}

// Layers whose inputs have mean 0 have little signal by right: the clearest one counts.
fn clearest<'a>(layers: impl Iterator<Item = (&'a str, f64)>) -> Option<(&'a str, f64)> {
    layers.max_by(|a, b| a.1.total_cmp(&b.1))
}

fn wanted(examined: &Examination<'_>, ratio: f64) -> String {
    match ratio {
        0.0 => "no signal stands out in these batches".into(),
        ratio => format!(
            "a batch of about {:.0} would bring it to 1",
            examined.measurement.batch as f64 / ratio
        ),
    }
}

/// By the samples of each batch.
fn within_batch(examined: &Examination<'_>) -> Option<Finding> {
    let measurement = examined.measurement;
    let least = examined.setting(&RATIO);
    let layers = measurement.layers.iter().map(|layer| &layer.median);
    let (layer, ratio) = clearest(
        layers.filter_map(|layer| Some((layer.name.as_str(), layer.gradient_signal_to_noise?))),
    )?;
    let figures: Vec<Option<f64>> = measurement
        .figures_of(layer, |layer| layer.gradient_signal_to_noise)
        .collect();
    let mut seeds = examined.agreement(|_| false);
    seeds.agreeing = figures
        .iter()
        .filter(|f| f.is_some_and(|f| f < least))
        .count();
    if ratio >= least || !seeds.is_agreed() {
        return None;
    }
    let message = format!(
        "even the clearest gradient, that of `{layer}`, has a signal-to-noise ratio of {} at batch {}",
        in_words(ratio),
        measurement.batch
    );
    let finding = examined
        .finding_by(&RATIO, Severity::Info, ratio, message)
        .at(layer)
        .seen_by(seeds)
        .over(&figures)
        .because(wanted(examined, ratio));
    Some(finding)
}

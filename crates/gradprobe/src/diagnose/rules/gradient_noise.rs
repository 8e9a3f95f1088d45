//! Gradients in which samples disagree.

use super::super::finding::{Finding, Severity};
use super::super::rule::{Examination, Page, Rule, RuleSubject, Setting};

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
        evidence: "The layer with the highest ratio of signal to noise, by the norms of each sample's share \
                   in the gradient (a linear layer's is ‖δᵢ‖‖hᵢ‖), and the batch that would bring the \
                   ratio to 1.",
        look_alikes: "Targets drawn at random have no signal at all, and are not judged. Where samples are \
                      normalised over the batch, or the rows are sequences or images, their shares do \
                      not part, and nothing is said.",
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
    let least = examined.setting(&RATIO);
    let layers = measurement.layers.iter().map(|layer| &layer.median);
    // Layers whose inputs have mean 0 have little signal by right: the clearest one counts.
    let clearest = layers
        .filter_map(|layer| Some((layer, layer.gradient_signal_to_noise?)))
        .max_by(|a, b| a.1.total_cmp(&b.1));
    let Some((layer, ratio)) = clearest.filter(|&(_, ratio)| ratio < least) else {
        return Vec::new();
    };
    let figures: Vec<Option<f64>> = measurement
        .figures_of(&layer.name, |layer| layer.gradient_signal_to_noise)
        .collect();
    let mut seeds = examined.agreement(|_| false);
    seeds.agreeing = figures
        .iter()
        .filter(|f| f.is_some_and(|f| f < least))
        .count();
    if !seeds.is_agreed() {
        return Vec::new();
    }
    let wanted = if ratio > 0.0 {
        format!(
            "a batch of about {:.0} would bring it to 1",
            measurement.batch as f64 / ratio
        )
    } else {
        "no signal stands out in this batch".into()
    };
    let message = format!(
        "even the clearest gradient, that of `{}`, has a signal-to-noise ratio of {ratio:.2e} at batch {}",
        layer.name, measurement.batch
    );
    let finding = examined
        .finding_by(&RATIO, Severity::Info, ratio, message)
        .at(&layer.name)
        .seen_by(seeds)
        .over(&figures)
        .because(wanted);
    vec![finding]
}

//! Normalisation after the sum: the gradients of the last blocks are large.

use super::super::finding::{Finding, Severity};
use super::super::rule::{Examination, Page, Rule, RuleSubject, Setting};
use crate::measure::LayerRun;

/// Normalised sums from which on it is a note.
pub const NOTED: Setting = Setting {
    name: "noted",
    default: 8.0,
    unit: "sums",
    least: 1.0,
    most: f64::INFINITY,
    reason: "Sums with a normalisation right after them (two a transformer block) from which on it is \
             told.",
    source: "Xiong et al. 2020 need a warm-up at 6 blocks",
};

/// Normalised sums from which on it is a warning.
pub const SUMS: Setting = Setting {
    name: "sums",
    default: 36.0,
    unit: "sums",
    least: 1.0,
    most: f64::INFINITY,
    reason: "Sums with a normalisation right after them (two a transformer block) from which on it is a \
             warning.",
    source: "Wang et al. 2022 (DeepNet): post-LN of 18 layers and more diverges unless it is scaled",
};

/// The rule.
pub static RULE: Rule = Rule {
    code: "GP015",
    name: "post-norm-growth",
    severity: Severity::Warning,
    summary: "layer normalisation after each residual sum: the last blocks' gradients are large",
    subject: RuleSubject::Network,
    page: Page {
        meaning: "In a post-LN transformer every block ends in norm(x + f(x)): the skip is normalised too, \
                  so the last blocks' weights receive gradients that do not shrink with depth, where those \
                  of pre-LN fall as 1/√depth.",
        importance: "The first steps at a full learning rate throw the last blocks off; post-LN wants a \
                     warm-up, and from some 18 layers on more than that.",
        evidence: "How many sums are normalised, and the weight gradient of the last of them beside that \
                   of the first, layer kind by layer kind.",
        look_alikes: "Pre-LN: the normalisation stands at the beginning of the branch. Normalisation after \
                      the whole stack (a final norm) is one and does not count.",
        remedies: "Pre-LN; a warm-up of some thousand steps; DeepNorm (skip × (2N)^¼, weights × (8N)^−¼); \
                   Admin.",
        references: "Xiong et al. 2020, On layer normalization in the transformer architecture; Liu et al. \
                     2020 (Admin); Wang et al. 2022 (DeepNet).",
    },
    settings: &[NOTED, SUMS],
    check,
};

fn check(examined: &Examination<'_>) -> Vec<Finding> {
    let layers: Vec<&LayerRun> = examined
        .measurement
        .layers
        .iter()
        .map(|layer| &layer.median)
        .filter(|layer| layer.on_spine)
        .collect();
    let by_layer = |layer: &LayerRun| layer.normalised && !layer.batch_normalised;
    let normalised = layers.iter().enumerate().filter(|(index, layer)| {
        // A normalisation stands beside the sum, or is the next layer by itself.
        let next = layers.get(index + 1);
        let apart = next.is_some_and(|next| {
            by_layer(next)
                && next.paths.is_empty()
                && next.parameters.iter().all(|p| p.fan_in.is_none())
        });
        !layer.paths.is_empty() && (by_layer(layer) || apart)
    });
    let sums = normalised.count() as f64;
    if sums < examined.setting(&NOTED) {
        return Vec::new();
    }
    let (setting, severity) = if sums >= examined.setting(&SUMS) {
        (&SUMS, Severity::Warning)
    } else {
        (&NOTED, Severity::Info)
    };
    let all = examined
        .measurement
        .layers
        .iter()
        .flat_map(|layer| &layer.median.parameters);
    let weights: Vec<_> = all.filter(|parameter| parameter.fan_in.is_some()).collect();
    // Of the layers of one shape, the first and the last.
    let mut pairs = weights.iter().filter_map(|last| {
        let first = weights.iter().find(|first| first.shape == last.shape)?;
        let ratio = last.grad_log10_rms? - first.grad_log10_rms?;
        (first.name != last.name).then_some((first, last, ratio))
    });
    let sizes = pairs
        .next_back()
        .map_or_else(String::new, |(first, last, ratio)| {
            format!(
                "the gradient of `{}` is ×{:.2} that of `{}`",
                last.name,
                10f64.powf(ratio),
                first.name
            )
        });
    let message = format!(
        "{sums} residual sums are followed by a normalisation (post-LN): the last blocks' gradients do \
         not shrink with depth, so it wants a warm-up"
    );
    vec![
        examined
            .finding_by(setting, severity, sums, message)
            .because(sizes),
    ]
}

//! Residual sums that grow with depth.

use super::super::finding::{Finding, Severity};
use super::super::rule::{Examination, Page, Rule, RuleSubject, Setting};
use crate::measure::LayerRun;

/// How much growth is a finding.
pub const DECADES: Setting = Setting {
    name: "decades",
    default: 2.0,
    unit: "decades",
    least: 0.0,
    most: f64::INFINITY,
    reason: "Decades that both the forward signal gains over the sums and the backward signal over the \
             skip connections. Where only one grows, a normalisation holds the other.",
    source: "13 unscaled He-initialised blocks at √2 each; ResNet-50 gains 3.8 backward at 0.6 forward and \
             trains",
};

/// Fewer blocks have no depth.
const FEWEST_BLOCKS: usize = 4;

/// The rule.
pub static RULE: Rule = Rule {
    code: "GP016",
    name: "residual-growth",
    severity: Severity::Warning,
    summary: "residual sums without scale or normalisation: both signals grow block by block",
    subject: RuleSubject::Network,
    page: Page {
        meaning: "x + f(x) with a branch as large as x doubles the variance at every block, forward and \
                  backward: √2 a block in the norm, exponentially with depth.",
        importance: "Thirty blocks make outputs and gradients tens of thousands of times too large; the \
                     first step ends in NaN.",
        evidence: "The decades that the sums gain forward and the skip connections backward, the factor a \
                   block, and (under `exploding-gradient`) the shares of skip and branch.",
        look_alikes: "Pre-norm networks, whose stream grows as the root of depth forward and hardly \
                      backward. Batch-normalised ones (ResNet-50), whose branches are of the same size \
                      at every block, so that the stream grows as a root as well.",
        remedies: "Scale the branches by 1/√blocks; begin their last layer at zero (Fixup) or multiply \
                   them by a trained zero (SkipInit, ReZero); normalise before each branch.",
        references: "Zhang, Dauphin and Ma 2019 (Fixup); De and Smith 2020 (SkipInit); Hayou et al. 2021 \
                     (Stable ResNet).",
    },
    settings: &[DECADES],
    check,
};

fn check(examined: &Examination<'_>) -> Vec<Finding> {
    let measurement = examined.measurement;
    let least = examined.setting(&DECADES);
    let sums = |layers: &[LayerRun]| -> (usize, Option<f64>, f64) {
        let sums: Vec<&LayerRun> = layers
            .iter()
            .filter(|l| l.on_spine && !l.paths.is_empty())
            .collect();
        let size = |layer: Option<&&LayerRun>| layer.map(|layer| layer.forward.rms);
        let forward = match (size(sums.first()), size(sums.last())) {
            (Some(first), Some(last)) if first > 0.0 && last > 0.0 => Some((last / first).log10()),
            _ => None,
        };
        let backward = sums.iter().skip(1).map(|layer| layer.gains.residual).sum();
        (sums.len(), forward.filter(|f| f.is_finite()), backward)
    };
    let grows = |(count, forward, backward): (usize, Option<f64>, f64)| {
        count >= FEWEST_BLOCKS && forward >= Some(least) && backward >= least
    };
    let seeds = examined.agreement(|run| grows(sums(&run.layers)));
    let Some(run) = measurement.median_run().filter(|_| seeds.is_agreed()) else {
        return Vec::new();
    };
    let (count, forward, backward) = sums(&run.layers);
    let forward = forward.unwrap_or(0.0);
    let message = format!(
        "over {count} blocks the sums grow by {forward:.1} decades forward (×{:.2} a block) and the skip \
         connections by {backward:.1} backward (×{:.2}); unscaled branches as large as their input \
         give √2 = 1.41",
        10f64.powf(forward / (count - 1).max(1) as f64),
        10f64.powf(backward / (count - 1).max(1) as f64),
    );
    let figures: Vec<Option<f64>> = measurement
        .runs
        .iter()
        .map(|run| sums(&run.layers).1)
        .collect();
    let finding = examined
        .finding_by(&DECADES, Severity::Warning, forward.min(backward), message)
        .seen_by(seeds)
        .over(&figures);
    vec![finding]
}

//! Batch normalisation without skip connections makes gradients grow.

use super::super::finding::{Finding, Severity};
use super::super::judged::judged_layers;
use super::super::rule::{Examination, Page, Rule, RuleSubject, Setting};
use super::super::trend::{Direction, Law, trend};
use crate::measure::LayerRun;
use crate::ops::Mode;

/// How much growth is a finding.
pub const DECADES: Setting = Setting {
    name: "decades",
    default: 2.0,
    unit: "decades",
    least: 0.0,
    most: f64::INFINITY,
    reason: "Decades that the gradient gains over the batch-normalised layers: reached at 24 layers at the \
             theory's rate.",
    source: "plain networks of 20 batch-normalised layers train (He et al. 2016, 1.6 decades), those of \
             56 train worse than those of 20",
};

/// The squared growth a layer.
pub const FACTOR: Setting = Setting {
    name: "factor",
    default: 1.2,
    unit: "",
    least: 1.0,
    most: f64::INFINITY,
    reason: "The factor a layer of the squared gradient norm from which on growth is this one: convolutions \
             have somewhat less than the 1.47 of theory.",
    source: "Yang et al. 2019: π/(π−1) = 1.467 for ReLU and large batches, more for small ones",
};

/// Fewer layers show no rate.
const FEWEST_LAYERS: usize = 8;
/// The squared gradient's factor a layer with ReLU, by batch size (Yang et al. 2019, computed).
const THEORY: [(f64, f64); 4] = [
    (8.0, 1.788_189_976_7),
    (32.0, 1.521_952_830_6),
    (256.0, 1.473_234_263_1),
    (f64::INFINITY, 1.466_942_206_9),
];

/// The rule.
pub static RULE: Rule = Rule {
    code: "GP014",
    name: "batch-norm-explosion",
    severity: Severity::Warning,
    summary: "batch normalisation without skip connections: the gradient grows at every layer",
    subject: RuleSubject::Network,
    page: Page {
        meaning: "In training mode batch normalisation divides by a standard deviation that the batch \
                  itself has, which keeps the forward signal and makes the backward signal grow, by \
                  ×1.21 a layer with ReLU and large batches (×1.467 in the square), whatever the \
                  weights' size.",
        importance: "Fifty such layers multiply the gradient by 10^4; small batches make it worse. No \
                     initialisation of the weights removes it.",
        evidence: "The factor a layer of the squared gradient as measured and as theory gives it for this \
                   batch size; the decades over the depth; how much of them is normalisation's, after the \
                   activations took back theirs.",
        look_alikes: "With skip connections round the layers the growth is slowed to a power of the depth, \
                      and nothing is told. Layer normalisation does not do it. In inference mode the \
                      divisor is a constant.",
        remedies: "Skip connections round every two or three layers; activations closer to linear; larger \
                   batches; layer or group normalisation.",
        references: "Yang, Pennington, Rao, Sohl-Dickstein and Schoenholz 2019, A mean field theory of \
                     batch normalization.",
    },
    settings: &[DECADES, FACTOR],
    check,
};

fn check(examined: &Examination<'_>) -> Vec<Finding> {
    let measurement = examined.measurement;
    let judged = judged_layers(measurement);
    let layers: Vec<_> = judged
        .into_iter()
        .filter(|layer| layer.median.batch_normalised)
        .collect();
    let skips = measurement
        .layers
        .iter()
        .any(|layer| !layer.median.paths.is_empty());
    let (Some(first), Some(last)) = (layers.first(), layers.last()) else {
        return Vec::new();
    };
    if measurement.mode != Mode::Train || layers.len() < FEWEST_LAYERS || skips {
        return Vec::new();
    }
    let growth = |layers: &[LayerRun]| {
        let at = |name: &str| layers.iter().find(|l| l.name == name)?.backward_decades;
        Some(at(&first.median.name)? - at(&last.median.name)?)
    };
    let figures: Vec<Option<f64>> = measurement
        .runs
        .iter()
        .map(|run| growth(&run.layers))
        .collect();
    let least = examined.setting(&DECADES);
    let mut seeds = examined.agreement(|_| false);
    seeds.agreeing = figures
        .iter()
        .filter(|f| f.is_some_and(|f| f >= least))
        .count();
    let decades: Option<Vec<f64>> = layers.iter().map(|l| l.median.backward_decades).collect();
    let law = decades.and_then(|decades| trend(&decades, Direction::Backward));
    let Some(Law::Exponential {
        factor_per_layer, ..
    }) = law.map(|trend| trend.law)
    else {
        return Vec::new();
    };
    let squared = factor_per_layer * factor_per_layer;
    let Some(spread) = crate::measure::spread(&figures) else {
        return Vec::new();
    };
    if !seeds.is_agreed() || squared < examined.setting(&FACTOR) {
        return Vec::new();
    }
    let message = format!(
        "the squared gradient grows ×{squared:.3} a layer over {} batch-normalised layers, {:.1} decades \
         in all; theory gives ReLU ×{:.3} at batch {}",
        layers.len(),
        spread.median,
        theory(measurement.batch),
        measurement.batch
    );
    let gains = measurement.chain_gains();
    let split = format!(
        "normalisation makes {:+.1} decades, activations {:+.1}, weights {:+.1}",
        gains.normalisation, gains.activation, gains.weight
    );
    let finding = examined
        .finding_by(&DECADES, Severity::Warning, spread.median, message)
        .at(&first.median.name)
        .seen_by(seeds)
        .over(&figures)
        .because(split);
    vec![finding]
}

/// The theory's factor for a batch size, between the computed ones linear in its inverse.
fn theory(batch: usize) -> f64 {
    let inverse = 1.0 / (batch.max(1) as f64).max(THEORY[0].0);
    let pairs = THEORY.windows(2);
    let mut between = pairs.filter(|pair| inverse <= 1.0 / pair[0].0 && inverse >= 1.0 / pair[1].0);
    between.next().map_or(THEORY[3].1, |pair| {
        let (low, high) = (1.0 / pair[1].0, 1.0 / pair[0].0);
        pair[1].1 + (pair[0].1 - pair[1].1) * (inverse - low) / (high - low)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_theory_passes_through_the_computed_batches() {
        assert!((theory(32) - 1.521_952_830_6).abs() < 1e-12);
        assert!((theory(8) - 1.788_189_976_7).abs() < 1e-12);
        assert!(theory(64) < 1.522 && theory(64) > 1.473);
        assert!((theory(usize::MAX) - 1.466_942_206_9).abs() < 1e-9);
    }
}

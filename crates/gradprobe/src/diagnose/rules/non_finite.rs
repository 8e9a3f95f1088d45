//! The first infinite or NaN signal.

use super::super::finding::{Finding, Severity};
use super::Rule;
use crate::measure::{LayerRun, Measurement};

/// The rule.
pub const RULE: Rule = Rule {
    code: "GP004",
    name: "non-finite",
    about: "a signal or a gradient is infinite or NaN: the first layer where it happens",
    check,
};

fn check(measurement: &Measurement) -> Vec<Finding> {
    let first = measurement.runs.iter().find_map(|run| {
        let forward = run.layers.iter().find(|layer| layer.forward.non_finite > 0);
        let backward = || {
            run.layers
                .iter()
                .rev()
                .find(|layer| backward_count(layer) > 0)
        };
        forward
            .map(|layer| (run.seed, layer, "forward signal", layer.forward.non_finite))
            .or_else(|| {
                backward().map(|layer| (run.seed, layer, "gradient", backward_count(layer)))
            })
    });
    let finding = first.map(|(seed, layer, what, count)| Finding {
        code: RULE.code.into(),
        name: RULE.name.into(),
        severity: Severity::Error,
        layer: Some(layer.name.clone()),
        message: format!(
            "the {what} has {count} infinite or NaN elements at `{}` first (seed {seed})",
            layer.name
        ),
    });
    finding.into_iter().collect()
}

fn backward_count(layer: &LayerRun) -> u64 {
    let parameters: u64 = layer
        .parameters
        .iter()
        .map(|parameter| parameter.grad_non_finite)
        .sum();
    layer.backward.non_finite + parameters
}

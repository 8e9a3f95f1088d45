//! What the vanishing and the exploding gradient have in common: decades between the first and
//! the last layer, over several seeds.

use super::super::causes;
use super::super::finding::{Finding, Severity};
use super::super::judged::{judged_layers, onset};
use super::super::rule::{Examination, Setting};
use super::super::trend::{Direction, Law, trend};
use crate::measure::{LayerMeasurement, Measurement};

/// Looks for a setting's decades lost (`sign` −1) or gained (+1) on the way back.
pub(super) fn check(examined: &Examination<'_>, decades: &Setting, sign: f64) -> Vec<Finding> {
    let measurement = examined.measurement;
    let least = examined.setting(decades);
    let layers = judged_layers(measurement);
    let (Some(first), Some(last)) = (layers.first(), layers.last()) else {
        return Vec::new();
    };
    let of_first: Vec<Option<f64>> = measurement
        .figures_of(&first.median.name, |layer| layer.decades_at_weights)
        .collect();
    let mut seeds = examined.agreement(|_| false);
    seeds.agreeing = of_first
        .iter()
        .filter(|figure| figure.is_some_and(|figure| sign * figure >= least))
        .count();
    let Some(total) = first.median.decades_at_weights else {
        return Vec::new();
    };
    if seeds.is_refuted() {
        return Vec::new();
    }
    let (verb, past) = if sign < 0.0 {
        ("loses", "lost")
    } else {
        ("gains", "gained")
    };
    let mut message = format!(
        "{}the backward signal {verb} {:.1} decades from `{}` back to the weights of `{}`{}",
        seeds.lead(),
        total.abs(),
        last.median.name,
        first.median.name,
        law_in_words(&layers),
    );
    let start = onset(&layers, sign);
    if let Some(layer) = start {
        message.push_str(&format!(
            "; the first decade is {past} by `{}`",
            layer.median.name
        ));
    }
    let severity = if is_trained_step(measurement, &layers) {
        Severity::Info
    } else {
        seeds.severity(Severity::Error)
    };
    let mut finding = examined
        .finding_by(decades, severity, sign * total, message)
        .at(&start.unwrap_or(first).median.name)
        .seen_by(seeds)
        .over(
            &of_first
                .iter()
                .map(|figure| Some(sign * (*figure)?))
                .collect::<Vec<_>>(),
        );
    for sentence in causes::of_depth(measurement, sign) {
        finding = finding.because(sentence);
    }
    vec![finding]
}

/// Is it one step, or none of the laws of depth, in given weights, without saturation behind it?
/// Training moves the scales of single layers about, and nothing follows from that: it is a note.
fn is_trained_step(measurement: &Measurement, layers: &[&LayerMeasurement]) -> bool {
    let decades: Option<Vec<f64>> = layers
        .iter()
        .map(|layer| layer.median.decades_at_weights)
        .collect();
    let law = decades.and_then(|decades| trend(&decades, Direction::Backward));
    let of_depth = match law.map(|trend| trend.law) {
        Some(Law::Step { at, .. }) => {
            let layer = layers.get(at).map(|layer| layer.median.saturated_fraction);
            layer.flatten().is_some_and(|share| share >= 0.5)
        }
        Some(Law::Irregular) => false,
        _ => true,
    };
    !measurement.draws_weights && !of_depth
}

fn law_in_words(layers: &[&LayerMeasurement]) -> String {
    let decades: Option<Vec<f64>> = layers
        .iter()
        .map(|layer| layer.median.decades_at_weights)
        .collect();
    let law = decades
        .and_then(|decades| trend(&decades, Direction::Backward))
        .map(|trend| trend.law);
    match law {
        Some(Law::Step { at, decades }) => {
            let layer = &layers[at].median;
            let saturated = layer.saturated_fraction.filter(|&share| share >= 0.5);
            let why = saturated.map_or_else(String::new, |share| {
                format!(
                    ", which is saturated ({:.0} % of its outputs)",
                    100.0 * share
                )
            });
            format!(
                ", {:.1} of them in one step at `{}`{why}",
                decades.abs(),
                layer.name
            )
        }
        Some(law) => law
            .in_words("layer", ["input", "output"])
            .unwrap_or_default(),
        None => String::new(),
    }
}

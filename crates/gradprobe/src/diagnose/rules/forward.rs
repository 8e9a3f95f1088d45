//! What the vanishing and the exploding forward signal have in common.

use super::super::finding::{Finding, Severity};
use super::super::judged::judged_layers;
use super::super::rule::{Examination, Setting};
use super::super::trend::{Direction, Law, factor_in_words, trend};
use crate::measure::{LayerMeasurement, LayerRun};

/// Looks for a setting's decades lost (`sign` −1) or gained (+1) on the way from the first layer to
/// the last hidden one.
pub(super) fn check(examined: &Examination<'_>, decades: &Setting, sign: f64) -> Vec<Finding> {
    let least = examined.setting(decades);
    let measurement = examined.measurement;
    let layers = judged_layers(measurement);
    let hidden = &layers[..layers.len().saturating_sub(1)];
    let [first, .., last] = hidden else {
        return Vec::new();
    };
    let change = |run: &[LayerRun]| {
        let size = |layer: &LayerMeasurement| {
            let mut found = run.iter().filter(|found| found.name == layer.median.name);
            found.next().map(|found| found.forward.rms)
        };
        let (first, last) = (size(first)?, size(last)?);
        // A signal that was never there is not lost, and one that is not finite is another rule's.
        (first > 0.0 && first.is_finite() && last.is_finite())
            .then(|| (last / first).log10().max(-1e4))
    };
    let changes: Vec<Option<f64>> = measurement
        .runs
        .iter()
        .map(|run| change(&run.layers))
        .collect();
    let mut seeds = examined.agreement(|_| false);
    let beyond = |change: &&Option<f64>| change.is_some_and(|change| sign * change >= least);
    seeds.agreeing = changes.iter().filter(beyond).count();
    let Some(spread) = crate::measure::spread(&changes) else {
        return Vec::new();
    };
    if seeds.is_refuted() {
        return Vec::new();
    }
    let verb = if sign < 0.0 { "shrinks" } else { "grows" };
    let message = format!(
        "{}the forward signal {verb} by {} decades from `{}` to `{}`{}",
        seeds.lead(),
        size_in_words(spread.median),
        first.median.name,
        last.median.name,
        law_in_words(hidden),
    );
    let finding = examined
        .finding_by(
            decades,
            seeds.severity(Severity::Error),
            sign * spread.median,
            message,
        )
        .at(&last.median.name)
        .seen_by(seeds)
        .over(
            &changes
                .iter()
                .map(|change| Some(sign * (*change)?))
                .collect::<Vec<_>>(),
        );
    vec![finding.because(both_in_words(&layers, sign))]
}

fn size_in_words(decades: f64) -> String {
    if decades <= -1e4 {
        "all its".into()
    } else {
        format!("{:.1}", decades.abs())
    }
}

fn law_in_words(layers: &[&LayerMeasurement]) -> String {
    let decades: Option<Vec<f64>> = layers
        .iter()
        .map(|layer| layer.median.forward_decades)
        .collect();
    let law = decades
        .and_then(|decades| trend(&decades, Direction::Forward))
        .map(|trend| trend.law);
    match law {
        Some(Law::Exponential {
            factor_per_layer, ..
        }) => format!(
            ", exponentially: ×{} a layer",
            factor_in_words(factor_per_layer)
        ),
        Some(Law::PowerLaw {
            exponent,
            from_input: true,
        }) => format!(", as a power law: depth^{exponent:.2}"),
        Some(Law::Step { at, decades }) => format!(
            ", {:.1} of them in one step at `{}`",
            decades.abs(),
            layers.get(at).map_or("", |layer| &layer.median.name)
        ),
        _ => String::new(),
    }
}

/// That both signals collapse, and what hides it.
fn both_in_words(layers: &[&LayerMeasurement], sign: f64) -> String {
    let (Some(first), Some(last)) = (layers.first(), layers.last()) else {
        return String::new();
    };
    let backward = first
        .median
        .decades_at_weights
        .filter(|decades| sign * decades >= 1.0);
    let gradient = |layer: &LayerMeasurement| layer.median.parameters.first()?.grad_log10_rms;
    match (backward, gradient(first), gradient(last)) {
        (Some(backward), Some(of_first), Some(of_last)) => format!(
            "both signals go together: the backward one changes by {backward:+.1} decades to the \
             first layer, but the weight gradients of `{}` and `{}` only by {:+.1}",
            last.median.name,
            first.median.name,
            of_first - of_last
        ),
        _ => String::new(),
    }
}

//! What the vanishing and the exploding gradient have in common: decades between the first and
//! the last layer, over several seeds.

use super::super::finding::{Finding, Severity};
use super::super::trend::{Direction, Law, factor_in_words, trend};
use super::super::verdict::{judged_layers, onset};
use super::Rule;
use crate::measure::{Gains, LayerMeasurement, Measurement};
use crate::ops::Role;

/// From this many decades between the first and the last parametrised layer on, no one learning
/// rate serves both: plain SGD moves one of them a thousand times less, relative to its gradient's
/// due, than the other.
pub(super) const DECADES: f64 = 3.0;
/// The share of seeds that must agree for a finding; between this and its complement the verdict
/// is inconclusive.
const AGREEMENT: f64 = 0.75;

/// Looks for `DECADES` lost (`sign` −1) or gained (+1) on the way back.
pub(super) fn check(rule: &Rule, measurement: &Measurement, sign: f64) -> Vec<Finding> {
    let layers = judged_layers(measurement);
    let (Some(first), Some(last)) = (layers.first(), layers.last()) else {
        return Vec::new();
    };
    let beyond = |decades: Option<f64>| decades.is_some_and(|decades| sign * decades >= DECADES);
    let of_first = measurement.runs.iter().filter_map(|run| {
        run.layers
            .iter()
            .find(|layer| layer.name == first.median.name)
    });
    let seeds: Vec<bool> = of_first
        .map(|layer| beyond(layer.decades_at_weights))
        .collect();
    let agreeing = seeds.iter().filter(|&&beyond| beyond).count();
    let share = agreeing as f64 / seeds.len().max(1) as f64;
    if share <= 1.0 - AGREEMENT {
        return Vec::new();
    }
    let Some(total) = first.median.decades_at_weights else {
        return Vec::new();
    };
    let (severity, lead) = if share >= AGREEMENT {
        (Severity::Error, String::new())
    } else {
        (
            Severity::Info,
            format!(
                "the seeds disagree ({agreeing} of {} see it): ",
                seeds.len()
            ),
        )
    };
    let verb = if sign < 0.0 { "loses" } else { "gains" };
    let mut message = format!(
        "{lead}the backward signal {verb} {:.1} decades from `{}` back to the weights of `{}`",
        total.abs(),
        last.median.name,
        first.median.name,
    );
    message.push_str(&law_in_words(&layers));
    let start = onset(&layers, sign);
    if let Some(layer) = start {
        message.push_str(&format!(
            "; the first decade is {} by `{}`",
            past(sign),
            layer.median.name
        ));
    }
    message.push_str(&causes_in_words(measurement, sign));
    vec![Finding {
        code: rule.code.into(),
        name: rule.name.into(),
        severity,
        layer: start.or(Some(first)).map(|layer| layer.median.name.clone()),
        message,
    }]
}

fn past(sign: f64) -> &'static str {
    if sign < 0.0 { "lost" } else { "gained" }
}

fn law_in_words(layers: &[&LayerMeasurement]) -> String {
    let decades: Option<Vec<f64>> = layers
        .iter()
        .map(|layer| layer.median.decades_at_weights)
        .collect();
    match decades
        .and_then(|decades| trend(&decades, Direction::Backward))
        .map(|trend| trend.law)
    {
        Some(Law::Exponential {
            decades_per_layer,
            factor_per_layer,
        }) => format!(
            ", exponentially: ×{} a layer ({decades_per_layer:+.3} decades)",
            factor_in_words(factor_per_layer)
        ),
        Some(Law::PowerLaw {
            exponent,
            from_input,
        }) => format!(
            ", as a power law: (distance from the {})^{exponent:.2}",
            if from_input { "input" } else { "output" }
        ),
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
        _ => String::new(),
    }
}

/// Which causes changed the signal in this direction, by how much.
fn causes_in_words(measurement: &Measurement, sign: f64) -> String {
    let gains = measurement.chain_gains();
    let mut causes: Vec<(Role, f64)> = Gains::ROLES
        .iter()
        .map(|&role| (role, gains.of(role)))
        .filter(|(_, g)| g.abs() >= 0.05)
        .collect();
    causes.sort_by(|a, b| (sign * b.1).total_cmp(&(sign * a.1)));
    if causes.is_empty() {
        return String::new();
    }
    let words = causes
        .iter()
        .map(|(role, gain)| format!("{} {gain:+.1}", role_in_words(*role)));
    format!(
        ". By cause, in decades: {}",
        words.collect::<Vec<_>>().join(", ")
    )
}

fn role_in_words(role: Role) -> &'static str {
    match role {
        Role::Weight => "weights",
        Role::Activation => "activations",
        Role::Normalisation => "normalisation",
        Role::Residual => "skip connections",
        Role::Other => "other ops",
    }
}

//! What would help a chain: each remedy is applied and the chain is run again.

use super::NOTABLE_DECADES;
use crate::num::{Extended, Real};
use crate::ops::activation::parse;
use crate::theory::Chain;

/// A change to the chain.
#[derive(Clone, Debug, PartialEq)]
pub enum RemedyKind {
    /// Another input.
    Input(f64),
    /// Another activation, by its label.
    Activation(String),
    /// One weight for every layer.
    Weight(f64),
}

/// A change, and what the chain does with it.
#[derive(Clone, Debug, PartialEq)]
pub struct Remedy {
    /// The change.
    pub kind: RemedyKind,
    /// log₁₀ |∂f/∂w₁| then; `None` for an exact zero.
    pub first_log10: Option<f64>,
    /// Decades lost from the last layer to the first then; `None` where either is exactly 0.
    pub decades_lost: Option<f64>,
    /// Does it bring the first gradient within three decades of the last, and of what the last was
    /// before? (A weight that makes all of them vanish is no cure.)
    pub cures: bool,
    /// Does it at least halve the decades between them?
    pub helps: bool,
}

/// The chain as it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Before {
    /// log₁₀ |∂f/∂w₁ / ∂f/∂w_L|; `None` where one of them is 0.
    pub change: Option<f64>,
    /// log₁₀ |∂f/∂w_L|; `None` where it is 0.
    pub last_log10: Option<f64>,
}

/// Chains deeper than this are not searched for a weight.
const SEARCHED_DEPTH: usize = 2_000;
/// Chains deeper than this are tried with another input and ReLU alone.
const TRIED_DEPTH: usize = 100_000;
/// Weights among which the best is searched: 2^(k/4) for k in ±this.
const WEIGHT_STEPS: i32 = 24;

/// Tries every remedy that applies.
pub(super) fn try_all(chain: &Chain, before: &Before) -> Vec<Remedy> {
    let mut remedies = Vec::new();
    let mut attempt = |kind: RemedyKind, changed: &Chain| {
        let remedy = Remedy::measured(kind, changed, before);
        let cures = remedy.cures;
        remedies.push(remedy);
        cures
    };
    if chain.x() != 0.0 && chain.x().abs() != 1.0 {
        let unit = 1f64.copysign(chain.x());
        attempt(RemedyKind::Input(unit), &chain.with_input(unit));
    }
    if chain.x() == 0.0 {
        attempt(RemedyKind::Input(1.0), &chain.with_input(1.0));
    }
    let others: &[&str] = if chain.depth() > TRIED_DEPTH {
        &["relu"]
    } else {
        &["relu", "leaky-relu", "selu"]
    };
    for name in others {
        // The names are rows of the registry; a test holds them to it.
        if let Ok(activation) = parse(name)
            && !activation.is_same_function(&**chain.activation())
            && attempt(
                RemedyKind::Activation(activation.label()),
                &chain.with_activation(activation),
            )
        {
            break;
        }
    }
    if let Some(current) = chain.weights().common()
        && chain.depth() > 1
        && chain.depth() <= SEARCHED_DEPTH
        && let Some(weight) = best_weight(chain, current, before)
    {
        attempt(RemedyKind::Weight(weight), &chain.with_weight(weight));
    }
    remedies
}

impl Remedy {
    fn measured(kind: RemedyKind, chain: &Chain, before: &Before) -> Self {
        let ends = Ends::of(chain);
        let change = ends.change();
        let (cures, halves) = change.map_or((false, false), |change| {
            let halves = before
                .change
                .is_none_or(|before| change.abs() <= before.abs() / 2.0);
            (
                change.abs() < NOTABLE_DECADES && ends.keep_size(before),
                halves,
            )
        });
        Self {
            kind,
            first_log10: ends.first_log10(),
            decades_lost: change.map(|change| -change),
            cures,
            helps: cures || halves,
        }
    }
}

/// The gradients of the first and the last layer, without those between.
struct Ends {
    first: Extended,
    last: Extended,
}

impl Ends {
    fn of(chain: &Chain) -> Self {
        let formula = chain.activation().in_extended();
        let x = Extended::from_f64(chain.x());
        let (mut h, mut input) = (x, x);
        let (mut product, mut last_derivative) = (x, Extended::ONE);
        for layer in 1..=chain.depth() {
            let weight = Extended::from_f64(chain.weights().of(layer));
            let u = weight * h + Extended::from_f64(chain.biases().of(layer));
            let (output, derivative) = formula.value_and_derivative(u);
            product = product * derivative;
            if layer > 1 {
                product = product * weight;
            }
            (input, h, last_derivative) = (h, output, derivative);
        }
        Self {
            first: product,
            last: input * last_derivative,
        }
    }

    fn first_log10(&self) -> Option<f64> {
        (!self.first.is_zero() && self.first.is_finite()).then(|| self.first.log10_abs())
    }

    /// Is the first gradient within three decades of what the last one was, or above it?
    fn keep_size(&self, before: &Before) -> bool {
        match (self.first_log10(), before.last_log10) {
            (Some(first), Some(last)) => first > last - NOTABLE_DECADES,
            (first, _) => first.is_some(),
        }
    }

    /// log₁₀ |first/last|.
    fn change(&self) -> Option<f64> {
        let ratio = self.first / self.last;
        (!ratio.is_zero() && ratio.is_finite()).then(|| ratio.log10_abs())
    }
}

/// The weight of the sign of `current` at which the gradient changes least from layer to layer,
/// among 2^−6 … 2^6, refined by bisection where the change passes through 0; to three digits.
/// Weights under which every gradient is far below what the last one was (a tiny weight makes
/// them all equal, and equally gone) are taken only where there are no others.
fn best_weight(chain: &Chain, current: f64, before: &Before) -> Option<f64> {
    let sign = if current < 0.0 { -1.0 } else { 1.0 };
    let ends = |exponent: f64| Ends::of(&chain.with_weight(sign * exponent.exp2()));
    let change = |exponent: f64| ends(exponent).change();
    let grid = (-WEIGHT_STEPS..=WEIGHT_STEPS).map(|k| f64::from(k) / 4.0);
    let (keeping, others): (Vec<_>, Vec<_>) = grid
        .filter_map(|exponent| {
            let ends = ends(exponent);
            Some((ends.keep_size(before), (exponent, ends.change()?)))
        })
        .partition(|&(keeps, _)| keeps);
    let points = if keeping.is_empty() { others } else { keeping };
    let points: Vec<(f64, f64)> = points.into_iter().map(|(_, point)| point).collect();
    // The crossing nearest to the present weight, for the smallest change.
    let wanted = if current == 0.0 {
        0.0
    } else {
        current.abs().log2()
    };
    let crossing = points
        .windows(2)
        .filter(|pair| (pair[0].1 < 0.0) != (pair[1].1 < 0.0))
        .min_by(|a, b| (a[0].0 - wanted).abs().total_cmp(&(b[0].0 - wanted).abs()));
    let exponent = match crossing {
        Some(pair) => bisect(pair[0], pair[1].0, change),
        None => {
            points
                .iter()
                .min_by(|a, b| a.1.abs().total_cmp(&b.1.abs()))?
                .0
        }
    };
    let weight = sign * exponent.exp2();
    // Three digits are enough to type, and what is typed is what is measured.
    format!("{weight:.2e}").parse().ok()
}

fn bisect(
    (mut low, at_low): (f64, f64),
    mut high: f64,
    change: impl Fn(f64) -> Option<f64>,
) -> f64 {
    for _ in 0..16 {
        let middle = 0.5 * (low + high);
        match change(middle) {
            Some(at_middle) if (at_middle < 0.0) == (at_low < 0.0) => low = middle,
            _ => high = middle,
        }
    }
    0.5 * (low + high)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_activation_that_is_tried_exists() {
        for name in ["relu", "leaky-relu", "selu"] {
            assert!(parse(name).is_ok(), "{name}");
        }
    }
}

//! What follows from a chain's exact gradients: the decades lost, by factor.

use super::NOTABLE_DECADES;
use super::remedies::{self, Remedy};
use crate::diagnose::Severity;
use crate::num::{Extended, Real};
use crate::theory::{Chain, ExactChain};

/// |φ′| over its supremum below which an activation is called saturated.
const SATURATED: f64 = 0.01;

/// The decades from the last layer's gradient to the first's, by factor; they sum to it.
///
/// ∂f/∂w₁ over ∂f/∂w_L is Π_(k<L) φ′(u_k) · Π_(k>1) w_k · x/h_(L−1). Negative is a loss.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Split {
    /// log₁₀ Π_(k<L) |φ′(u_k)|.
    pub activation: f64,
    /// log₁₀ Π_(k>1) |w_k|.
    pub weight: f64,
    /// log₁₀ |x/h_(L−1)|: a layer's own input is a factor of its gradient.
    pub input: f64,
}

impl Split {
    /// All together: log₁₀ |∂f/∂w₁ / ∂f/∂w_L|.
    pub fn total(&self) -> f64 {
        self.activation + self.weight + self.input
    }
}

/// A factor of the gradient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LossFactor {
    /// The activation's derivatives.
    Activation,
    /// The weights.
    Weight,
    /// The input, against the forward signal before the last layer.
    Input,
}

/// The factor that most of the change comes from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dominant {
    /// Which.
    pub factor: LossFactor,
    /// Its decades; negative is a loss.
    pub decades: f64,
    /// The layer whose factor alone makes more than half of that, and its decades.
    pub layer: Option<(usize, f64)>,
}

/// What makes the first layer's gradient exactly 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blocker {
    /// φ′ is exactly 0 at this layer.
    Activation(usize),
    /// The weight of this layer is 0.
    Weight(usize),
    /// The input is 0.
    Input,
}

/// What the gradients do from the last layer to the first.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Tendency {
    /// They keep their size within [`NOTABLE_DECADES`].
    Steady,
    /// They fall.
    Vanishes,
    /// They grow.
    Explodes,
    /// The first layer's is exactly 0.
    Zero(Blocker),
    /// No digit of them holds: the chain amplifies every error.
    Unknown,
}

impl Tendency {
    /// How bad it is; `None` where nothing is wrong.
    pub fn severity(self) -> Option<Severity> {
        match self {
            Self::Steady => None,
            Self::Vanishes | Self::Explodes | Self::Zero(_) => Some(Severity::Error),
            Self::Unknown => Some(Severity::Warning),
        }
    }
}

/// Layers whose activation is saturated: |φ′| below a hundredth of its supremum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Saturation {
    /// How many.
    pub layers: usize,
    /// The one nearest to the input.
    pub first: Option<usize>,
}

/// The conclusion from a chain's gradients.
#[derive(Clone, Debug)]
pub struct Conclusion {
    /// What they do.
    pub tendency: Tendency,
    /// log₁₀ |∂f/∂w₁|; `None` for an exact zero.
    pub first_log10: Option<f64>,
    /// log₁₀ |∂f/∂w_L|; `None` for an exact zero.
    pub last_log10: Option<f64>,
    /// The decades by factor, where both gradients are not 0.
    pub split: Option<Split>,
    /// What most of them come from, where the chain vanishes or explodes.
    pub dominant: Option<Dominant>,
    /// Saturated layers.
    pub saturation: Saturation,
    /// The factor a layer that its gradient changes by: 10^(total/(L − 1)).
    pub per_layer: Option<f64>,
    /// What was tried, in order, with what it gave.
    pub remedies: Vec<Remedy>,
}

impl Conclusion {
    /// Decades lost from the last layer to the first; negative where they are gained.
    pub fn decades_lost(&self) -> Option<f64> {
        self.split.map(|split| -split.total())
    }

    pub(super) fn new(chain: &Chain, exact: &ExactChain) -> Self {
        let depth = chain.depth();
        let log10 = |layer: usize| {
            let value = exact.gradient(layer).value;
            (!value.is_zero()).then(|| value.log10_abs())
        };
        let (first_log10, last_log10) = (log10(1), log10(depth));
        let split = (first_log10.is_some() && last_log10.is_some()).then(|| split(chain, exact));
        let tendency = tendency(chain, exact, split);
        let bad = !matches!(tendency, Tendency::Steady);
        Self {
            tendency,
            first_log10,
            last_log10,
            split,
            dominant: split
                .filter(|_| matches!(tendency, Tendency::Vanishes | Tendency::Explodes))
                .map(|split| dominant(chain, exact, split)),
            saturation: saturation(chain, exact),
            per_layer: split
                .filter(|_| depth > 1)
                .map(|split| 10f64.powf(split.total() / (depth - 1) as f64)),
            remedies: if bad && !matches!(tendency, Tendency::Unknown) {
                remedies::try_all(
                    chain,
                    &remedies::Before {
                        change: split.map(|split| split.total()),
                        last_log10,
                    },
                )
            } else {
                Vec::new()
            },
        }
    }
}

fn split(chain: &Chain, exact: &ExactChain) -> Split {
    let layers = exact.layers();
    let depth = chain.depth();
    let (mut derivatives, mut weights) = (Extended::ONE, Extended::ONE);
    for layer in 1..depth {
        derivatives = derivatives * layers[layer - 1].derivative;
        weights = weights * Extended::from_f64(chain.weights().of(layer + 1));
    }
    let x = Extended::from_f64(chain.x());
    let last_input = if depth == 1 {
        x
    } else {
        layers[depth - 2].output
    };
    Split {
        activation: derivatives.log10_abs(),
        weight: weights.log10_abs(),
        input: (x / last_input).log10_abs(),
    }
}

fn tendency(chain: &Chain, exact: &ExactChain, split: Option<Split>) -> Tendency {
    if exact.gradient(1).digits() == 0 {
        return Tendency::Unknown;
    }
    if exact.gradient(1).value.is_zero() {
        return Tendency::Zero(blocker(chain, exact));
    }
    match split.map(|split| split.total()) {
        Some(total) if total <= -NOTABLE_DECADES => Tendency::Vanishes,
        Some(total) if total >= NOTABLE_DECADES => Tendency::Explodes,
        _ => Tendency::Steady,
    }
}

/// The factor nearest to the output that makes ∂f/∂w₁ zero.
fn blocker(chain: &Chain, exact: &ExactChain) -> Blocker {
    for layer in (1..=chain.depth()).rev() {
        if exact.layers()[layer - 1].derivative.is_zero() {
            return Blocker::Activation(layer);
        }
        if layer > 1 && chain.weights().of(layer) == 0.0 {
            return Blocker::Weight(layer);
        }
    }
    Blocker::Input
}

fn dominant(chain: &Chain, exact: &ExactChain, split: Split) -> Dominant {
    let loses = split.total() < 0.0;
    let groups = [
        (LossFactor::Activation, split.activation),
        (LossFactor::Weight, split.weight),
        (LossFactor::Input, split.input),
    ];
    let stronger = |a: f64, b: f64| if loses { a < b } else { a > b };
    let (mut factor, mut decades) = groups[0];
    for (other, theirs) in groups {
        if stronger(theirs, decades) {
            (factor, decades) = (other, theirs);
        }
    }
    let size = |layer: usize| match factor {
        LossFactor::Activation => exact.layers()[layer - 1].derivative.abs(),
        LossFactor::Weight => Extended::from_f64(chain.weights().of(layer + 1)).abs(),
        LossFactor::Input => Extended::ONE,
    };
    let offset = usize::from(factor == LossFactor::Weight);
    let mut extreme = 1;
    for layer in 2..chain.depth() {
        if (loses && size(layer) < size(extreme)) || (!loses && size(layer) > size(extreme)) {
            extreme = layer;
        }
    }
    let alone = size(extreme).log10_abs();
    let layer = (factor != LossFactor::Input && alone.abs() > decades.abs() / 2.0)
        .then_some((extreme + offset, alone));
    Dominant {
        factor,
        decades,
        layer,
    }
}

fn saturation(chain: &Chain, exact: &ExactChain) -> Saturation {
    let steepest = chain.activation().steepest();
    if chain.activation().is_linear() || !steepest.is_finite() {
        return Saturation::default();
    }
    let threshold = Extended::from_f64(SATURATED * steepest);
    let mut saturation = Saturation::default();
    for (index, layer) in exact.layers().iter().enumerate() {
        if layer.derivative.abs() < threshold {
            saturation.layers += 1;
            saturation.first.get_or_insert(index + 1);
        }
    }
    saturation
}

//! The schema of a measurement, whoever measured.

use super::batches::Batches;
use super::first_step::FirstStep;
use super::head::HeadRun;
use super::optimiser::Optimiser;
use super::over_time::RecurrenceRun;
use super::precision::PrecisionReport;
use crate::import::MadeUpInput;
use crate::import::onnx::FileNumbers;
use crate::ops::{Mode, Role};
use serde::{Deserialize, Serialize};

/// Decades that a cotangent gains (positive) or loses when it is pulled back, by what did it.
///
/// Each is log10(‖vjp(δ)‖ / ‖δ‖) summed over the nodes of that role, so along a chain of layers
/// the sums over all roles add up to the decades of backward signal exactly.
#[derive(Clone, Copy, Debug, PartialEq, Default, Serialize, Deserialize)]
pub struct Gains {
    /// Linear maps: Linear, MatMul, Conv.
    pub weight: f64,
    /// Elementwise nonlinearities and softmax.
    pub activation: f64,
    /// BatchNorm, LayerNorm and their kin.
    pub normalisation: f64,
    /// Skip connections: from a block's output to its input, all branches together; at other forks,
    /// what the further readers of a value add to its cotangent.
    pub residual: f64,
    /// Pooling, reshapes, dropout, broadcasts.
    pub other: f64,
}

impl Gains {
    /// The gain of one role.
    pub fn of(&self, role: Role) -> f64 {
        match role {
            Role::Weight => self.weight,
            Role::Activation => self.activation,
            Role::Normalisation => self.normalisation,
            Role::Residual => self.residual,
            Role::Other => self.other,
        }
    }

    /// The gain of one role, to write to.
    pub fn of_mut(&mut self, role: Role) -> &mut f64 {
        match role {
            Role::Weight => &mut self.weight,
            Role::Activation => &mut self.activation,
            Role::Normalisation => &mut self.normalisation,
            Role::Residual => &mut self.residual,
            Role::Other => &mut self.other,
        }
    }

    /// All roles together, in decades.
    pub fn total(&self) -> f64 {
        Self::ROLES.iter().map(|&role| self.of(role)).sum()
    }

    /// Every role, in the order they are printed.
    pub const ROLES: [Role; 5] = [
        Role::Weight,
        Role::Activation,
        Role::Normalisation,
        Role::Residual,
        Role::Other,
    ];
}

/// The size of a signal.
#[derive(Clone, Copy, Debug, PartialEq, Default, Serialize, Deserialize)]
pub struct Signal {
    /// log10 of the Euclidean norm over the whole batch; `None` for an exact zero or where no
    /// finite element was seen.
    pub log10_l2: Option<f64>,
    /// The mean of its finite elements; this and the next two are NaN where some elements are not
    /// finite and the others are zeros.
    pub mean: f64,
    /// The standard deviation.
    pub std: f64,
    /// The root of the mean square.
    pub rms: f64,
    /// The share of exact zeros.
    pub zero_fraction: f64,
    /// How many elements are infinite or NaN.
    pub non_finite: u64,
}

/// What one run saw of a parameter.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ParameterRun {
    /// The parameter's name.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// The root mean square of its values.
    pub value_rms: f64,
    /// The gradient's Euclidean norm; 0 or ∞ where a f64 cannot hold it (see `grad_log10_l2`), NaN,
    /// as its mean and its largest magnitude, where an element is infinite or NaN.
    pub grad_l2: f64,
    /// log10 of that norm, whatever its size; `None` for an exact zero, and where an element is
    /// infinite or NaN.
    pub grad_log10_l2: Option<f64>,
    /// The gradient's mean.
    pub grad_mean: f64,
    /// The gradient's largest magnitude.
    pub grad_max_abs: f64,
    /// The share of the gradient's elements that are exactly zero.
    pub grad_zero_fraction: f64,
    /// How many of the gradient's elements are infinite or NaN.
    pub grad_non_finite: u64,
    /// log10 of the gradient's root mean square; `None` for an exact zero.
    pub grad_log10_rms: Option<f64>,
    /// Does any path lead from the objective to it?
    pub reached: bool,
    /// log10(rms of the first update / rms of the values) for the given optimiser.
    pub log10_update_ratio: Option<f64>,
    /// How many inputs each output is a weighted sum of, where the parameter is the weight of a
    /// linear map.
    #[serde(default)]
    pub fan_in: Option<usize>,
    /// Is what it is multiplied with normalised right after? Then its own size is of no
    /// consequence.
    #[serde(default)]
    pub normalised: bool,
}

/// A part of the cotangent that a skip connection's sum hands back to the fork before it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PathShare {
    /// The first layer of the branch; `None` for a skip that hands on what arrives.
    pub branch: Option<String>,
    /// log10(‖what it hands to the fork‖ / ‖what arrived at the sum‖), in decades.
    pub decades: f64,
}

/// What one run saw of a layer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LayerRun {
    /// The layer's name.
    pub name: String,
    /// What it is, e.g. `linear + tanh`.
    pub kind: String,
    /// Does it lie on the chain from the network's input to its output (and not in a branch
    /// that a skip connection goes round)?
    pub on_spine: bool,
    /// Does it read a trained parameter, its own or one that a layer before it has? Of a skip
    /// connection: does anything that it goes round?
    #[serde(default)]
    pub weighted: bool,
    /// The layer's output h.
    pub forward: Signal,
    /// The cotangent δ = ∂objective/∂h.
    pub backward: Signal,
    /// The pre-activation u, where the layer ends in an activation.
    pub pre_activation: Option<Signal>,
    /// F = log10(‖h‖ / ‖h of the last layer‖), in decades.
    pub forward_decades: Option<f64>,
    /// D = log10(‖δ‖ / ‖δ of the last layer‖), in decades; it does not change with the loss's scale.
    pub backward_decades: Option<f64>,
    /// The decades of backward signal that arrive at the layer's weights: those at its output, and
    /// what its own activation and normalisation add. A saturated first layer shows only here.
    pub decades_at_weights: Option<f64>,
    /// The share of activation outputs next to a bound; `None` without a bounded activation.
    pub saturated_fraction: Option<f64>,
    /// The share of units that pass no gradient on this batch; `None` without an activation that
    /// has flat parts.
    pub dead_fraction: Option<f64>,
    /// The activation it ends in, e.g. `leaky-relu=0.2`.
    #[serde(default)]
    pub activation: Option<String>,
    /// Is it linear in what goes into it, up to a constant?
    #[serde(default)]
    pub is_linear: bool,
    /// Does it end in a rectifier, 0 and flat for inputs below 0 and rising from there?
    #[serde(default)]
    pub is_rectified: bool,
    /// Does it normalise?
    #[serde(default)]
    pub normalised: bool,
    /// Does it normalise by statistics of the batch, in training at least?
    #[serde(default)]
    pub batch_normalised: bool,
    /// The share of units whose outputs are all next to a bound, for every row of the batch;
    /// `None` without an activation that is bounded on both sides.
    #[serde(default)]
    pub saturated_units_fraction: Option<f64>,
    /// The share of units whose pre-activations all lie where SageMaker Debugger calls tanh (beyond
    /// ±9.4999) and the sigmoid (outside −23 to 16.99999) saturated; `None` for other activations.
    #[serde(default)]
    pub flat_units_fraction: Option<f64>,
    /// The share of units that pass no gradient for any input that the layer before can give, by
    /// bound; `None` where no bound is known.
    #[serde(default)]
    pub dead_for_ever_fraction: Option<f64>,
    /// The share of the batch's rows for which no unit passes a gradient; `None` without an
    /// activation that has flat parts.
    #[serde(default)]
    pub lost_rows_fraction: Option<f64>,
    /// How far samples (of a sequence: its tokens) differ at the layer's output: the root mean
    /// square of their distance from their mean, over that of their length. 0 where all are the
    /// same, 1 where they have nothing in common.
    #[serde(default)]
    pub sample_distance: Option<f64>,
    /// The share of units that have a twin with the same weights in and out, so that both receive
    /// the same gradient for ever.
    #[serde(default)]
    pub twin_units_fraction: Option<f64>,
    /// The weight gradient's signal-to-noise ratio over samples: the squared norm of its
    /// expectation over the variance of a batch's mean about it, both estimated from this batch;
    /// 0 where no signal stands out. `None` where samples' gradients do not part.
    #[serde(default)]
    pub gradient_signal_to_noise: Option<f64>,
    /// Of a skip connection's sum: what each path hands back.
    #[serde(default)]
    pub paths: Vec<PathShare>,
    /// Of recurrent nodes: their signals step by step, one entry a direction.
    #[serde(default)]
    pub over_time: Vec<RecurrenceRun>,
    /// What the layer adds to the backward decades of the layer before it.
    pub gains: Gains,
    /// Its parameters.
    pub parameters: Vec<ParameterRun>,
}

impl LayerRun {
    /// Is it one that a verdict on depth is given on: on the chain, with weights or round some?
    pub fn is_judged(&self) -> bool {
        self.on_spine && self.weighted
    }
}

/// What one run saw of the network's first input.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct InputRun {
    /// The mean of its elements.
    pub mean: f64,
    /// Their root mean square.
    pub rms: f64,
    /// The largest magnitude.
    pub max_abs: f64,
    /// The largest root mean square of a feature over the median of all that are not zero; `None`
    /// for images and sequences.
    pub feature_ratio: Option<f64>,
    /// Does it go straight into weights, with nothing before that would scale it?
    pub unscaled: bool,
}

/// What one run saw of the logits that go into a cross-entropy.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct OutputRun {
    /// Classes; 2 for a binary cross-entropy.
    pub classes: usize,
    /// The cross-entropy in nats that these logits have on labels drawn at random, above
    /// ln(classes): 0 for a network that prefers no class.
    pub excess_nats: f64,
}

/// Where on the way back from the objective a gradient became exactly zero.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ZeroOrigin {
    /// The node.
    pub node: String,
    /// Its op.
    pub op: String,
    /// What it is about, in words.
    pub reason: String,
    /// Is it a weight of zeros that itself receives a gradient, so that the zero lasts one step?
    pub for_one_step: bool,
    /// Is it a step (a sign, a rounding, a comparison), whose derivative is zero everywhere, or
    /// arithmetic on one?
    #[serde(default)]
    pub is_step: bool,
}

/// The first node that made an infinite or NaN number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NonFiniteOrigin {
    /// The node.
    pub node: String,
    /// Its op.
    pub op: String,
    /// Its layer.
    pub layer: Option<String>,
    /// On the way back?
    pub in_backward: bool,
    /// How many such elements.
    pub count: u64,
    /// Its inputs; on the way back, what arrived at its output.
    pub inputs: Vec<NonFiniteInput>,
}

/// An input of a node that made an infinite or NaN number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NonFiniteInput {
    /// Its name.
    pub name: String,
    /// log10 of its largest magnitude; `None` for zeros.
    pub log10_max_abs: Option<f64>,
    /// How many of its own elements are infinite or NaN.
    pub non_finite: u64,
}

/// What one run saw.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RunMeasurement {
    /// The seed that drew the weights, and the batch.
    pub seed: u64,
    /// The loss, where there is one.
    pub loss: Option<f64>,
    /// The layers, first to last.
    pub layers: Vec<LayerRun>,
    /// The network's first input, where it holds numbers (and not token ids).
    #[serde(default)]
    pub input: Option<InputRun>,
    /// The logits, where the objective is a cross-entropy.
    #[serde(default)]
    pub output: Option<OutputRun>,
    /// What goes into the loss, where an activation that bounds it or is flat comes right before.
    #[serde(default)]
    pub head: Option<HeadRun>,
    /// Where a gradient became exactly zero for everything before.
    #[serde(default)]
    pub zero_origin: Option<ZeroOrigin>,
    /// The first node that made an infinite or NaN number.
    #[serde(default)]
    pub non_finite_origin: Option<NonFiniteOrigin>,
}

/// Median and range over the seeds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// The median.
    pub median: f64,
    /// The smallest.
    pub min: f64,
    /// The largest.
    pub max: f64,
}

/// A layer over the seeds: medians, with the spread of what verdicts are given on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LayerMeasurement {
    /// Medians over the seeds.
    #[serde(flatten)]
    pub median: LayerRun,
    /// The spread of `backward_decades`; `None` where a seed has none.
    pub backward_decades_spread: Option<Spread>,
    /// The spread of `forward_decades`.
    pub forward_decades_spread: Option<Spread>,
}

/// What was measured over all seeds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Measurement {
    /// The network's name, for titles.
    pub network: String,
    /// The element type it was run in.
    pub dtype: String,
    /// Training or inference.
    pub mode: Mode,
    /// Samples in the batch.
    pub batch: usize,
    /// Numbers that are trained.
    pub trainable: usize,
    /// How many numbers the file holds, by what they are to the network; `None` where the network
    /// is not from a file that holds tensors.
    #[serde(default)]
    pub file_numbers: Option<FileNumbers>,
    /// What was differentiated, in words, e.g. `cross-entropy`.
    pub objective: String,
    /// What was chosen for the user and may be chosen otherwise, in sentences.
    #[serde(default)]
    pub notes: Vec<String>,
    /// Were the weights drawn anew for every seed? Of given ones nobody knows whether they are
    /// trained.
    #[serde(default)]
    pub draws_weights: bool,
    /// Inputs that were made up where data could have been given.
    #[serde(default)]
    pub made_up_inputs: Vec<MadeUpInput>,
    /// Is it a file that a framework exported, which carries no stop-gradients?
    #[serde(default)]
    pub is_exported: bool,
    /// Are the targets given with the data, and not made up?
    #[serde(default)]
    pub given_targets: bool,
    /// Is the loss the user's, and not chosen for a model that has none?
    #[serde(default)]
    pub given_loss: bool,
    /// The optimiser of the update ratios.
    pub optimiser: Option<Optimiser>,
    /// The spread of the loss.
    pub loss: Option<Spread>,
    /// The layers, first to last.
    pub layers: Vec<LayerMeasurement>,
    /// Every run.
    pub runs: Vec<RunMeasurement>,
    /// The first seed's weights on the batches of the other seeds, where there is something to see.
    #[serde(default)]
    pub batches: Option<Batches>,
    /// What the first update does to the first seed's loss, where it is large.
    #[serde(default)]
    pub first_step: Option<FirstStep>,
    /// What other types make of the gradient (of the first seed), where that was asked for.
    #[serde(default)]
    pub precision: Vec<PrecisionReport>,
}

impl Measurement {
    /// The gains by cause from the last layer back to the weights of the first, in the run whose
    /// total is the median: medians layer by layer would not add up to a total.
    pub fn chain_gains(&self) -> Gains {
        let mut gains = Gains::default();
        let Some(run) = self.median_run() else {
            return gains;
        };
        let spine = run.layers.iter().filter(|layer| layer.on_spine);
        let mut spine = spine.skip_while(|layer| !layer.is_judged());
        // Of the first layer the signal crosses only what lies between its output and its weights.
        if let Some(first) = spine.next() {
            gains.activation = first.gains.activation;
            gains.normalisation = first.gains.normalisation;
        }
        for layer in spine {
            for role in Gains::ROLES {
                *gains.of_mut(role) += layer.gains.of(role);
            }
        }
        gains
    }

    /// A figure of the layer of this name, by run.
    pub fn figures_of<'a>(
        &'a self,
        layer: &'a str,
        get: impl Fn(&LayerRun) -> Option<f64> + 'a,
    ) -> impl Iterator<Item = Option<f64>> + 'a {
        self.runs.iter().map(move |run| {
            let found = run.layers.iter().find(|found| found.name == layer);
            found.and_then(&get)
        })
    }

    /// The run whose decades at the first layer's weights are the median (the lower of two).
    pub fn median_run(&self) -> Option<&RunMeasurement> {
        let total = |run: &&RunMeasurement| {
            let first = run.layers.iter().find(|layer| layer.is_judged());
            first
                .and_then(|layer| layer.decades_at_weights)
                .unwrap_or(f64::NEG_INFINITY)
        };
        let mut runs: Vec<&RunMeasurement> = self.runs.iter().collect();
        runs.sort_by(|a, b| total(a).total_cmp(&total(b)));
        runs.get(runs.len().saturating_sub(1) / 2).copied()
    }
}

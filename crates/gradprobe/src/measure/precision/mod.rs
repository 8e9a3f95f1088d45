//! The numerics of a zero: what a floating-point type makes of a network's gradient.
//!
//! The network is run in each setting as a framework would run it ([`Emulator`]), beside the true
//! gradient, which is one more such run: in f64, with stable derivatives and without bounds on
//! exponents. An entry of a gradient that is 0 and should not be is explained in this order:
//!
//! 1. its true value is below what the type can hold: *underflowed*;
//! 2. it is there when the way back is repeated with stable derivatives: *cancelled*;
//! 3. it is there when exponents have no bounds too: *underflowed*, on its way;
//! 4. it is not: a forward value was *rounded* onto a flat part of an activation.
//!
//! The repetitions of 2 and 3 are made where there is something to explain, and for that alone.

mod compare;
mod reference;
mod report;
mod window;

pub use report::{LayerPrecision, PrecisionReport};
pub use window::{DYNAMIC_SCALE_START, LossScaleWindow};

use super::lookup::parameters_by_layer;
use super::optimiser::Optimiser;
use crate::graph::{Graph, Value, ValueId};
use crate::num::{Dtype, Tensor, Threads};
use crate::ops::Mode;
use crate::run::RunError;
use crate::run::emulated::{
    Derivatives, EmulatedOptions, EmulatedTrace, Emulator, Exponents, Held, Precision,
};
use compare::{Change, Comparison};
use rayon::prelude::*;
use reference::Reference;

/// The share of a layer's entries from which on they count as lost to it.
pub const LOST_SHARE: f64 = 0.01;

/// What is asked about precision.
#[derive(Clone, Debug, Default)]
pub struct PrecisionOptions {
    /// The settings.
    pub precisions: Vec<Precision>,
    /// What the loss is multiplied by. Not given: 1, and in `autocast-f16` where PyTorch's dynamic
    /// scaler is after its first steps.
    pub loss_scale: Option<f64>,
}

/// How the network is run, whatever the precision.
#[derive(Clone, Copy, Debug)]
pub struct RunSettings {
    /// Training or inference.
    pub mode: Mode,
    /// Threads to use; 0 is one a core.
    pub threads: usize,
    /// Seed of random masks and of a random cotangent.
    pub seed: u64,
    /// The optimiser whose first update may be lost.
    pub optimiser: Option<Optimiser>,
}

/// Elements, of values and parameters, up to which a network is small: its settings are run side by
/// side, a thread each, for its ops are too small to be shared among threads. A setting holds about
/// three times so many in f32.
const SMALL: usize = 1 << 25;

/// Runs a graph in every setting that is asked for, beside the true gradient.
///
/// `batch` are the graph's inputs in order. It takes the memory of all gradients in f64.
///
/// # Errors
/// If an op cannot compute, or threads cannot be started.
pub fn examine_precision(
    graph: &Graph,
    batch: &[Tensor<f64>],
    options: &PrecisionOptions,
    settings: &RunSettings,
) -> Result<Vec<PrecisionReport>, RunError> {
    let reference = Reference::new(graph, batch, settings)?;
    let elements = |value: &Value| value.shape.element_count();
    let is_small = graph.values().iter().map(elements).sum::<usize>() <= SMALL;
    let threads = Threads::new(settings.threads)?;
    let side_by_side = is_small && threads.count() > 1;
    let inside = RunSettings {
        threads: if side_by_side { 1 } else { threads.count() },
        ..*settings
    };
    let one = |&precision: &Precision| {
        let scale = options.loss_scale;
        match precision.narrow() {
            Dtype::F64 => examine::<f64>(graph, batch, &reference, precision, scale, &inside),
            _ => examine::<f32>(graph, batch, &reference, precision, scale, &inside),
        }
    };
    if side_by_side {
        let each = || options.precisions.par_iter().with_max_len(1).map(one);
        threads.install(|| each().collect())
    } else {
        options.precisions.iter().map(one).collect()
    }
}

fn examine<T: Held>(
    graph: &Graph,
    batch: &[Tensor<f64>],
    reference: &Reference,
    precision: Precision,
    loss_scale: Option<f64>,
    settings: &RunSettings,
) -> Result<PrecisionReport, RunError> {
    let inputs: Vec<Tensor<T>> = batch.iter().map(Tensor::cast).collect();
    let mut emulator = Emulator::<T>::new(
        graph,
        EmulatedOptions {
            precision,
            derivatives: Derivatives::Framework,
            exponents: Exponents::OfType,
            loss_scale: 1.0,
            mode: settings.mode,
            threads: settings.threads,
            seed: settings.seed,
        },
    )?;
    let dtypes: Vec<Option<Dtype>> = graph
        .parameters()
        .iter()
        .map(|parameter| emulator.cotangent_dtype(parameter.value))
        .collect();
    let window = LossScaleWindow::new(graph, reference, |value| emulator.cotangent_dtype(value));
    let loss_scale = loss_scale.unwrap_or(match precision {
        Precision::Autocast(Dtype::F16) => window.dynamic_start(),
        _ => 1.0,
    });
    emulator.set(Derivatives::Framework, Exponents::OfType, loss_scale);
    let mut comparison =
        Comparison::new(reference, graph, &dtypes, precision, loss_scale, settings);
    let trace = emulator.run(&inputs, &mut comparison)?;
    if comparison.is_open() && trace.cancelled() > 0 {
        emulator.set(Derivatives::Stable, Exponents::OfType, loss_scale);
        emulator.run_backward_again(&inputs, &mut comparison.resolve(Change::Derivatives))?;
    }
    // In f32 what an op flushes is not seen from outside.
    let may_underflow = trace.backward().flushed > 0 || precision.narrow() <= Dtype::F32;
    if comparison.is_open() && may_underflow {
        emulator.set(Derivatives::Stable, Exponents::Unbounded, 1.0);
        emulator.run_backward_again(&inputs, &mut comparison.resolve(Change::Exponents))?;
    }
    comparison.close();
    let dtype_of = |value| emulator.cotangent_dtype(value);
    let layers = layers(graph, reference, &trace, &comparison, &window, dtype_of);
    Ok(PrecisionReport {
        precision: precision.to_string(),
        seed: settings.seed,
        loss_scale,
        loss: trace.loss.filter(|loss| loss.is_finite()),
        finite: trace.loss.is_none_or(f64::is_finite) && comparison.is_finite(),
        relative_error: comparison.relative_error(),
        layers,
        window,
    })
}

fn layers(
    graph: &Graph,
    reference: &Reference,
    trace: &EmulatedTrace,
    comparison: &Comparison<'_>,
    window: &LossScaleWindow,
    dtype_of: impl Fn(ValueId) -> Option<Dtype>,
) -> Vec<LayerPrecision> {
    let by_layer = parameters_by_layer(graph);
    let mut layers = Vec::new();
    for (index, layer) in graph.layers().iter().enumerate() {
        let mut counts = compare::Counts::default();
        let mut is_lifted = true;
        for &parameter in by_layer.get(&index).into_iter().flatten() {
            counts.merge(&comparison.counts[parameter]);
            let dtype = dtype_of(graph.parameters()[parameter].value);
            is_lifted &= window.lifts(&reference.gradients[parameter].sizes, dtype);
        }
        let (mut cancelled, mut pulled, mut overflowed) = (0, 0, 0);
        for node in &layer.nodes {
            let losses = &trace.nodes[node.index()];
            cancelled += losses.cancelled;
            pulled += losses.backward.count;
            overflowed += losses.forward.overflowed;
            for &value in &graph.node(*node).outputs {
                let sizes = &reference.cotangents[value.index()];
                is_lifted &= window.lifts(sizes, dtype_of(value));
            }
        }
        let cancels = cancelled as f64 >= LOST_SHARE * pulled.max(1) as f64;
        if counts.entries == 0 && overflowed == 0 && !cancels {
            continue;
        }
        layers.push(LayerPrecision {
            overflows_forward: overflowed > 0,
            derivatives_cancel: cancels,
            beyond_loss_scale: !is_lifted,
            ..LayerPrecision::new(layer.name.clone(), &counts)
        });
    }
    layers
}

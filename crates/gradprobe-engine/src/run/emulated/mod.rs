//! A network run as a framework would run it in a floating-point type.
//!
//! Signals are held in f32 (f64 for f64) and rounded to their type after every op, forward and
//! backward; sums inside an op are f32's, as frameworks accumulate. The pull-backs are PyTorch's
//! formulas (1 − y² for tanh), and cotangents carry no exponents: what the type cannot hold is
//! lost, and counted where it is.
//!
//! Two changes can be made to such a run, to see what a loss is due to: the stable derivatives in
//! place of the framework's, and exponents without bounds. With both, in f64, it gives the true
//! gradient.
//!
//! Ops run one after another on the whole batch, with all threads inside each: what is watched
//! here is arithmetic, and a recurrent net or an attention is one op.

mod backward;
mod formats;
mod precision;

pub use precision::{Precision, UnknownPrecision};

use super::environment::{RunElement, RunError, random_key};
use crate::graph::{Graph, Objective, ParameterId, ValueId, ValueKind};
use crate::num::{Dtype, Rounded, Rounding, Tensor, Threads, View, ViewMut};
use crate::ops::{Context, Mode};
use formats::Formats;
use std::sync::Arc;

/// Which formula derivatives are computed by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Derivatives {
    /// The framework's: 1 − y².
    Framework,
    /// The stable one: sech² u.
    Stable,
}

/// Which exponents cotangents and gradients may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exponents {
    /// Those of the type.
    OfType,
    /// Any.
    Unbounded,
}

/// How a network is run.
#[derive(Clone, Copy, Debug)]
pub struct EmulatedOptions {
    /// The types.
    pub precision: Precision,
    /// The formula of derivatives.
    pub derivatives: Derivatives,
    /// The exponents of the backward pass.
    pub exponents: Exponents,
    /// What the objective's cotangent is multiplied by; a power of two, or 1.
    pub loss_scale: f64,
    /// Training or inference.
    pub mode: Mode,
    /// Threads to use; 0 is one a core.
    pub threads: usize,
    /// Seed of random masks and of a random cotangent.
    pub seed: u64,
}

/// What is seen in the backward pass: elements × 2^exponent, still times the loss scale.
pub trait Watch<T> {
    /// Is the gradient of this parameter asked for?
    fn wants(&self, _parameter: ParameterId) -> bool {
        true
    }
    /// The cotangent of a value, complete.
    fn cotangent(&mut self, _value: ValueId, _data: &[T], _exponent: i64) {}
    /// The gradient of a parameter, complete.
    fn gradient(&mut self, parameter: ParameterId, data: &[T], exponent: i64);
}

/// What was lost at a node.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct NodeLosses {
    /// Of its outputs, forward.
    pub forward: Rounded,
    /// Of what it pulled back, and of the cotangents that arrived at its outputs.
    pub backward: Rounded,
    /// Elements that its framework's derivative made 0 and the stable one does not.
    pub cancelled: u64,
}

/// What was seen in one run.
#[derive(Clone, Debug, Default)]
pub struct EmulatedTrace {
    /// The loss, where the objective is one.
    pub loss: Option<f64>,
    /// By node.
    pub nodes: Vec<NodeLosses>,
}

impl EmulatedTrace {
    /// Everything that was lost on the way back.
    pub fn backward(&self) -> Rounded {
        let mut total = Rounded::default();
        let nodes = self.nodes.iter();
        nodes.for_each(|node| total.merge(&node.backward));
        total
    }

    /// Elements that the framework's derivatives made 0.
    pub fn cancelled(&self) -> u64 {
        self.nodes.iter().map(|node| node.cancelled).sum()
    }
}

/// An element type that emulated runs hold their signals in.
pub trait Held: RunElement {
    /// Rounds every element.
    fn round_slice(rounding: Rounding, data: &mut [Self], parallel: bool) -> Rounded;
}

impl Held for f32 {
    fn round_slice(rounding: Rounding, data: &mut [f32], parallel: bool) -> Rounded {
        rounding.round_slice(data, parallel)
    }
}

impl Held for f64 {
    /// f64 holds the reference alone, which nothing rounds.
    fn round_slice(_: Rounding, _: &mut [f64], _: bool) -> Rounded {
        Rounded::default()
    }
}

/// Runs a graph as a framework would in a setting. Buffers are allocated at the first run and used
/// again.
#[derive(Debug)]
pub struct Emulator<'g, T> {
    graph: &'g Graph,
    options: EmulatedOptions,
    formats: Formats,
    /// By value: does its cotangent matter to who watches?
    needs: Vec<bool>,
    /// By value: its elements; empty for those that are given and not rounded.
    values: Vec<Vec<T>>,
    /// By value: the same as a node sees them that casts to the narrow type, where one does.
    cast: Vec<Vec<T>>,
    parameters: Vec<Arc<Tensor<T>>>,
    free: Vec<Vec<T>>,
    threads: Threads,
}

impl<'g, T: Held> Emulator<'g, T> {
    /// Plans the runs of a graph. `T` is f64 for [`Dtype::F64`] and f32 for every other setting.
    ///
    /// # Errors
    /// If threads cannot be started.
    pub fn new(graph: &'g Graph, mut options: EmulatedOptions) -> Result<Self, RunError> {
        let threads = Threads::new(options.threads)?;
        options.threads = threads.count();
        let data = graph.parameters().iter().map(|parameter| &parameter.data);
        let count = graph.values().len();
        Ok(Self {
            formats: Formats::new(graph, options.precision),
            needs: Vec::new(),
            values: vec![Vec::new(); count],
            cast: vec![Vec::new(); count],
            parameters: data.map(T::parameter).collect(),
            free: Vec::new(),
            graph,
            options,
            threads,
        })
    }

    /// What the next run is to do otherwise. The setting stays.
    pub fn set(&mut self, derivatives: Derivatives, exponents: Exponents, loss_scale: f64) {
        self.options.derivatives = derivatives;
        self.options.exponents = exponents;
        self.options.loss_scale = loss_scale;
    }

    /// Runs forward and backward once.
    ///
    /// # Errors
    /// If a node cannot compute (a class index out of range).
    ///
    /// # Panics
    /// If the inputs are not the graph's: an executor has been given them before.
    pub fn run(
        &mut self,
        inputs: &[Tensor<T>],
        watch: &mut (dyn Watch<T> + Send),
    ) -> Result<EmulatedTrace, RunError> {
        let threads = self.threads.clone();
        threads.install(|| {
            let mut trace = EmulatedTrace {
                loss: None,
                nodes: vec![NodeLosses::default(); self.graph.nodes().len()],
            };
            self.run_forward(inputs, &mut trace)?;
            if let Objective::Loss(loss) = *self.graph.objective() {
                trace.loss = Some(self.read(loss, None, inputs)[0].to_f64());
            }
            self.run_backward(inputs, &mut trace, watch)?;
            Ok(trace)
        })
    }

    /// Runs backward once more through what the last run computed forward: all that changes is
    /// what was [`set`](Self::set) since.
    ///
    /// # Errors
    /// If a node cannot compute.
    ///
    /// # Panics
    /// If `inputs` are not those of the last run, or there was none.
    pub fn run_backward_again(
        &mut self,
        inputs: &[Tensor<T>],
        watch: &mut (dyn Watch<T> + Send),
    ) -> Result<(), RunError> {
        let threads = self.threads.clone();
        threads.install(|| {
            let mut trace = EmulatedTrace {
                loss: None,
                nodes: vec![NodeLosses::default(); self.graph.nodes().len()],
            };
            self.run_backward(inputs, &mut trace, watch)
        })
    }

    /// The narrowest type that a value's cotangent (a parameter's gradient) passes; `None` for what
    /// is no floating-point signal.
    pub fn cotangent_dtype(&self, value: ValueId) -> Option<Dtype> {
        self.formats.cotangents[value.index()]
    }

    /// The value of the network's output after a run.
    pub fn output(&self, inputs: &[Tensor<T>]) -> Vec<T> {
        self.read(self.graph.output(), None, inputs).to_vec()
    }

    /// How signals of a type are rounded; `None` where what holds them has no more digits.
    fn rounding(&self, dtype: Option<Dtype>) -> Option<Rounding> {
        Rounding::to(dtype?)
    }

    /// The same in the backward pass.
    fn backward_rounding(&self, dtype: Option<Dtype>) -> Option<Rounding> {
        match self.options.exponents {
            Exponents::OfType => Rounding::to(dtype?),
            Exponents::Unbounded => Rounding::to_significand(dtype?),
        }
    }

    fn parallel(&self) -> bool {
        self.options.threads != 1
    }

    fn context(&self, node: usize) -> Context {
        Context {
            mode: self.options.mode,
            parallel: self.parallel(),
            random_key: random_key(self.options.seed, node),
            first_row: 0,
        }
    }

    /// The elements of a value, as a node sees them that casts to `cast`.
    fn read<'a>(&'a self, value: ValueId, cast: Option<Dtype>, inputs: &'a [Tensor<T>]) -> &'a [T] {
        let index = value.index();
        if self.is_cast(value, cast) {
            return &self.cast[index];
        }
        if !self.values[index].is_empty() {
            return &self.values[index];
        }
        self.given(value, inputs)
    }

    /// The elements of an input or a parameter, before any rounding.
    fn given<'a>(&'a self, value: ValueId, inputs: &'a [Tensor<T>]) -> &'a [T] {
        match self.graph.value(value).kind {
            ValueKind::Input(position) => inputs[position].data(),
            ValueKind::Parameter(id) => self.parameters[id.index()].data(),
            ValueKind::Output(..) => &[],
        }
    }

    /// Does a cast to this type change the value?
    fn is_cast(&self, value: ValueId, cast: Option<Dtype>) -> bool {
        match (self.formats.values[value.index()], cast) {
            (Some(own), Some(cast)) => cast > own,
            _ => false,
        }
    }

    fn run_forward(
        &mut self,
        inputs: &[Tensor<T>],
        trace: &mut EmulatedTrace,
    ) -> Result<(), RunError> {
        let graph = self.graph;
        self.cast.iter_mut().for_each(Vec::clear);
        for (index, value) in graph.values().iter().enumerate() {
            let rounding = self.rounding(self.formats.values[index]);
            if let (false, Some(rounding)) = (matches!(value.kind, ValueKind::Output(..)), rounding)
            {
                let mut data = std::mem::take(&mut self.values[index]);
                data.clear();
                data.extend_from_slice(self.given(ValueId(index as u32), inputs));
                T::round_slice(rounding, &mut data, self.parallel());
                self.values[index] = data;
            }
        }
        for (position, node) in graph.nodes().iter().enumerate() {
            let cast = self.formats.casts[position];
            for &value in &node.inputs {
                if self.is_cast(value, cast) && self.cast[value.index()].is_empty() {
                    let mut data = std::mem::take(&mut self.cast[value.index()]);
                    data.extend_from_slice(self.read(value, None, inputs));
                    if let Some(rounding) = self.rounding(cast) {
                        let lost = T::round_slice(rounding, &mut data, self.parallel());
                        trace.nodes[position].forward.merge(&lost);
                    }
                    self.cast[value.index()] = data;
                }
            }
            let mut buffers: Vec<Vec<T>> = Vec::with_capacity(node.outputs.len());
            for value in &node.outputs {
                let mut buffer = std::mem::take(&mut self.values[value.index()]);
                buffer.resize(graph.value(*value).shape.element_count(), T::default());
                buffers.push(buffer);
            }
            let views: Vec<View<'_, T>> = node
                .inputs
                .iter()
                .map(|&value| View {
                    shape: &graph.value(value).shape,
                    data: self.read(value, cast, inputs),
                })
                .collect();
            let outputs = node.outputs.iter().zip(&mut buffers);
            let mut outputs: Vec<ViewMut<'_, T>> = outputs
                .map(|(value, data)| ViewMut {
                    shape: &graph.value(*value).shape,
                    data,
                })
                .collect();
            let context = self.context(position);
            let kernel = T::kernel(&*node.op);
            match self.options.derivatives {
                Derivatives::Framework => kernel.framework_forward(&context, &views, &mut outputs),
                Derivatives::Stable => kernel.forward(&context, &views, &mut outputs),
            }
            .map_err(|source| RunError::node(node, source))?;
            for (value, mut buffer) in node.outputs.iter().zip(buffers) {
                if let Some(rounding) = self.rounding(self.formats.values[value.index()]) {
                    let lost = T::round_slice(rounding, &mut buffer, self.parallel());
                    trace.nodes[position].forward.merge(&lost);
                }
                self.values[value.index()] = buffer;
            }
        }
        Ok(())
    }

    /// A buffer of `len` elements; what they hold is unspecified.
    fn take(&mut self, len: usize) -> Vec<T> {
        let fitting = self.free.iter().position(|buffer| buffer.capacity() >= len);
        let mut buffer = match fitting {
            Some(index) => self.free.swap_remove(index),
            None => self.free.pop().unwrap_or_default(),
        };
        buffer.resize(len, T::default());
        buffer
    }
}

/// By value: does its cotangent matter, for a trained parameter that is wanted is before it?
fn needs(graph: &Graph, wants: impl Fn(ParameterId) -> bool) -> Vec<bool> {
    let mut needs: Vec<bool> = graph
        .values()
        .iter()
        .map(|value| match value.kind {
            ValueKind::Parameter(id) => graph.parameter(id).trainable && wants(id),
            _ => false,
        })
        .collect();
    for node in graph.nodes() {
        let mut inputs = node.inputs.iter().enumerate();
        let needed = inputs.any(|(i, value)| node.op.differentiable(i) && needs[value.index()]);
        let visible = node.outputs.len() - node.op.kept_outputs();
        for value in &node.outputs[..visible] {
            needs[value.index()] = needed;
        }
    }
    needs
}

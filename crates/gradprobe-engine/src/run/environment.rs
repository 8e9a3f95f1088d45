//! What a run is told and what its stages may read: options, errors, element types, and the signals
//! there are so far.

use super::buffer::Buffer;
use super::lifetimes::Checkpoint;
use super::plan::{Plan, Source};
use crate::graph::{Graph, Node, Origin, ParameterData, ValueId};
use crate::num::{Shape, Tensor, ThreadsError, View};
use crate::ops::{Context, Mode, OpElement, OpError};
use std::sync::Arc;

/// How a graph is run.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Training or inference.
    pub mode: Mode,
    /// Record statistics of every signal. Off only to measure what they cost.
    pub statistics: bool,
    /// Keep the parameters' gradients; without it each is reduced to its statistics and freed.
    pub keep_gradients: bool,
    /// Also pull back to the graph's inputs.
    pub input_gradients: bool,
    /// What is kept of the forward pass, and what is computed again. The result is the same bits.
    pub checkpoint: Checkpoint,
    /// Threads to use; 0 is one a core.
    pub threads: usize,
    /// Seed of random masks and of a random cotangent.
    pub seed: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            mode: Mode::Train,
            statistics: true,
            keep_gradients: false,
            input_gradients: false,
            checkpoint: Checkpoint::Off,
            threads: 0,
            seed: 0,
        }
    }
}

/// Why a run failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// A node could not compute its output or its gradient.
    #[error("{op} `{node}`: {source}")]
    Node {
        /// The node's name.
        node: String,
        /// The op's name.
        op: &'static str,
        /// Where the node stands in the source.
        origin: Box<Origin>,
        /// What is wrong.
        source: OpError,
    },
    /// A wrong number of inputs.
    #[error("the network takes {expected} inputs, got {got}")]
    InputCount {
        /// Inputs of the graph.
        expected: usize,
        /// Inputs given.
        got: usize,
    },
    /// An input whose shape does not fit.
    #[error("input `{name}`: expected shape {expected}, got {got}")]
    InputShape {
        /// The input's name.
        name: String,
        /// The graph's shape.
        expected: Shape,
        /// The given one.
        got: Shape,
    },
    /// Threads could not be started.
    #[error(transparent)]
    Threads(#[from] ThreadsError),
}

impl RunError {
    pub(super) fn node(node: &Node, source: OpError) -> Self {
        Self::Node {
            node: node.name.clone(),
            op: node.op.name(),
            origin: Box::new(node.origin.clone()),
            source,
        }
    }
}

/// An element type that graphs run in.
pub trait RunElement: OpElement {
    /// A parameter's numbers in this type, shared where they are in it already.
    fn parameter(data: &ParameterData) -> Arc<Tensor<Self>>;
}

impl RunElement for f32 {
    fn parameter(data: &ParameterData) -> Arc<Tensor<f32>> {
        match data {
            ParameterData::F32(tensor) => Arc::clone(tensor),
            ParameterData::F64(tensor) => Arc::new(tensor.cast()),
        }
    }
}

impl RunElement for f64 {
    fn parameter(data: &ParameterData) -> Arc<Tensor<f64>> {
        match data {
            ParameterData::F32(tensor) => Arc::new(tensor.cast()),
            ParameterData::F64(tensor) => Arc::clone(tensor),
        }
    }
}

/// What a stage may read while it runs.
#[derive(Debug)]
pub(super) struct Environment<'a, T> {
    pub graph: &'a Graph,
    pub plan: &'a Plan,
    pub options: &'a Options,
    pub values: &'a [Buffer<T>],
    pub parameters: &'a [Arc<Tensor<T>>],
    pub inputs: &'a [Tensor<T>],
}

impl<'a, T: RunElement> Environment<'a, T> {
    /// The elements of a value that a chunk of a stage sees. `locals` are the chunk's rows of the
    /// stage's own buffers written so far.
    pub fn read<'b>(
        &self,
        value: usize,
        stage: usize,
        chunk: Option<usize>,
        locals: &'b [&mut [T]],
    ) -> &'b [T]
    where
        'a: 'b,
    {
        match self.plan.sources[self.plan.slots[value]] {
            Source::Stage(writer, local) if writer == stage && local < locals.len() => {
                locals[local]
            }
            _ => self.read_finished(value, chunk),
        }
    }

    /// The elements of a value of a stage that has run.
    pub fn read_finished(&self, value: usize, chunk: Option<usize>) -> &'a [T] {
        let slot = self.plan.slots[value];
        let all: &'a [T] = match self.plan.sources[slot] {
            Source::Stage(..) => &self.values[slot],
            Source::Parameter(parameter) => self.parameters[parameter].data(),
            Source::Input(input) => self.inputs[input].data(),
        };
        match chunk {
            Some(chunk) if self.plan.sampled[value] => &all[self.plan.elements(all.len(), chunk)],
            _ => all,
        }
    }

    /// Values of stages that have run, as a chunk sees them.
    pub fn finished(&self, values: &[ValueId], chunk: Option<usize>) -> Vec<View<'a, T>> {
        let view = |value: &ValueId| View {
            shape: self.plan.shape(self.graph, value.index(), chunk),
            data: self.read_finished(value.index(), chunk),
        };
        values.iter().map(view).collect()
    }

    pub fn context(&self, node: usize, chunk: Option<usize>) -> Context {
        Context {
            mode: self.options.mode,
            parallel: chunk.is_none() && self.options.threads != 1,
            random_key: random_key(self.options.seed, node),
            first_row: chunk.map_or(0, |chunk| self.plan.chunks[chunk].start),
        }
    }
}

/// The key of a node's random stream.
pub(super) fn random_key(seed: u64, node: usize) -> u64 {
    seed ^ (node as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

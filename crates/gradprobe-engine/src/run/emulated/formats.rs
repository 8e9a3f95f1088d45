//! Which type each value of a graph has in a setting, and which each node computes in.

use super::precision::Precision;
use crate::graph::{Graph, Node, ValueKind};
use crate::num::Dtype;
use crate::ops::{Autocast, Role};

/// The types of a graph's values in a setting.
#[derive(Debug)]
pub(super) struct Formats {
    /// By value; `None` for what is no floating-point signal (indices, masks) and for constants of
    /// one element, which a framework keeps as numbers of the host language.
    pub values: Vec<Option<Dtype>>,
    /// By node: the type that its inputs are cast to, where they are.
    pub casts: Vec<Option<Dtype>>,
    /// By value: the narrowest type that its cotangent passes.
    pub cotangents: Vec<Option<Dtype>>,
}

impl Formats {
    pub fn new(graph: &Graph, precision: Precision) -> Self {
        let signals = signals(graph);
        let mut values: Vec<Option<Dtype>> = vec![None; graph.values().len()];
        for (index, value) in graph.values().iter().enumerate() {
            let given = match value.kind {
                ValueKind::Input(_) => true,
                ValueKind::Parameter(id) => {
                    graph.parameter(id).trainable || value.shape.element_count() > 1
                }
                ValueKind::Output(..) => false,
            };
            if given && signals[index] {
                values[index] = Some(precision.master());
            }
        }
        let mut casts = Vec::with_capacity(graph.nodes().len());
        for node in graph.nodes() {
            let (cast, output) = match precision {
                Precision::Uniform(dtype) => (None, Some(dtype)),
                Precision::Autocast(narrow) => match node.op.facts().autocast {
                    Autocast::Narrow => (Some(narrow), Some(narrow)),
                    Autocast::Single => (Some(Dtype::F32), Some(Dtype::F32)),
                    Autocast::Promote => (None, promoted(node, &values)),
                },
            };
            casts.push(cast);
            for &value in &node.outputs {
                values[value.index()] = output.filter(|_| signals[value.index()]);
            }
        }
        let mut cotangents = values.clone();
        for (node, &cast) in graph.nodes().iter().zip(&casts) {
            for (input, value) in node.inputs.iter().enumerate() {
                let own = &mut cotangents[value.index()];
                if node.op.differentiable(input) && own.is_some() {
                    *own = (*own).max(cast);
                }
            }
        }
        Self {
            values,
            casts,
            cotangents,
        }
    }
}

/// The type of a result that nothing casts: that of the widest operand, and of a normalisation
/// (whose scale and statistics stay in f32) that of its signal.
fn promoted(node: &Node, values: &[Option<Dtype>]) -> Option<Dtype> {
    let operands = node.inputs.iter().map(|value| values[value.index()]);
    let first = operands.clone().next().flatten();
    if node.role == Role::Normalisation && first.is_some() {
        return first;
    }
    // The order of `Dtype` is widest first.
    operands.flatten().min()
}

/// By value: is it a floating-point signal, one that some node differentiates with respect to, or
/// the objective? (An index is not.)
fn signals(graph: &Graph) -> Vec<bool> {
    let mut signals = vec![false; graph.values().len()];
    signals[graph.objective().value().index()] = true;
    signals[graph.output().index()] = true;
    for node in graph.nodes() {
        for (input, value) in node.inputs.iter().enumerate() {
            signals[value.index()] |= node.op.differentiable(input);
        }
        // What a node keeps for itself (a mean, 1/σ) a framework keeps in f32.
        let visible = node.outputs.len() - node.op.kept_outputs();
        for value in &node.outputs[visible..] {
            signals[value.index()] = false;
        }
    }
    signals
}

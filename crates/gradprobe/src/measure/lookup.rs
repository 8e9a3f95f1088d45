//! Where in a graph and its trace something is found.

use crate::graph::{Graph, ValueId, ValueKind};
use crate::num::Statistics;
use crate::run::Trace;
use std::collections::{HashMap, HashSet};

/// The cotangent at a value: where it was tapped, looking through views.
pub(super) fn cotangent_at(graph: &Graph, trace: &Trace, value: ValueId) -> Option<Statistics> {
    let mut at = value;
    loop {
        match graph.value(at).kind {
            ValueKind::Output(node, _) => match trace.nodes[node.index()].backward {
                Some(seen) => return Some(seen),
                None => at = *graph.node(node).inputs.first()?,
            },
            ValueKind::Input(position) => return trace.inputs.get(position).copied().flatten(),
            _ => return None,
        }
    }
}

/// By layer: the parameters that its nodes are the first to read.
pub(super) fn parameters_by_layer(graph: &Graph) -> HashMap<usize, Vec<usize>> {
    let mut by_layer: HashMap<usize, Vec<usize>> = HashMap::new();
    let mut seen = HashSet::new();
    for (index, layer) in graph.layers().iter().enumerate() {
        for &node in &layer.nodes {
            for &input in &graph.node(node).inputs {
                if let ValueKind::Parameter(id) = graph.value(input).kind
                    && graph.parameter(id).trainable
                    && seen.insert(id)
                {
                    by_layer.entry(index).or_default().push(id.index());
                }
            }
        }
    }
    by_layer
}

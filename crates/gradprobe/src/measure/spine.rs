//! The chain that runs through a network: which values a cotangent passes on its way back, when
//! at every skip connection it is followed from the sum to the fork.

use crate::graph::{Graph, NodeId, ValueId, ValueKind};
use crate::ops::Role;
use std::collections::HashSet;

/// A step of the chain: back from a node's output to a value before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Step {
    /// The node whose output the step starts from.
    pub node: NodeId,
    /// The value it ends at: the node's first input, or the fork of a skip connection.
    pub to: ValueId,
}

/// The steps from the value `from` back to an input.
pub(super) fn spine(graph: &Graph, from: ValueId) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut at = from;
    while let Some(step) = step(graph, at) {
        steps.push(step);
        at = step.to;
    }
    steps
}

fn step(graph: &Graph, from: ValueId) -> Option<Step> {
    let ValueKind::Output(node, _) = graph.value(from).kind else {
        return None;
    };
    let inputs = &graph.node(node).inputs;
    let first = *inputs.first()?;
    let to = match (graph.node(node).role, &inputs[..]) {
        (Role::Residual, &[one, other]) => fork(graph, one, other).unwrap_or(first),
        _ => first,
    };
    Some(Step { node, to })
}

/// The value at which the two branches of a skip connection part: the last one on the chain of
/// the one that also lies on the chain of the other.
fn fork(graph: &Graph, one: ValueId, other: ValueId) -> Option<ValueId> {
    let chain = |from: ValueId| {
        std::iter::successors(Some(from), move |&at| step(graph, at).map(|step| step.to))
    };
    // Walked side by side, so that a long network with many short skips costs little.
    let (mut seen, mut walked) = (HashSet::new(), HashSet::new());
    let (mut left, mut right) = (chain(one), chain(other));
    loop {
        let (a, b) = (left.next(), right.next());
        if a.is_none() && b.is_none() {
            return None;
        }
        if let Some(a) = a {
            if walked.contains(&a) {
                return Some(a);
            }
            seen.insert(a);
        }
        if let Some(b) = b {
            if seen.contains(&b) {
                return Some(b);
            }
            walked.insert(b);
        }
    }
}

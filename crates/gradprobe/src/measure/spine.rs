//! The chain that runs through a network: which values a cotangent passes on its way back, when
//! at every skip connection it is followed from the sum to the fork.

use crate::graph::{Graph, NodeId, ValueId, ValueKind};
use crate::ops::Role;
use std::ops::Range;

/// A step of the chain: back from a node's output to a value before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Step {
    /// The node whose output the step starts from.
    pub node: NodeId,
    /// The value it ends at: an input of the node, or the fork where its inputs part.
    pub to: ValueId,
    /// Does it end at such a fork, so that it has all ways from there to the node in it?
    pub from_fork: bool,
}

/// The step back from every value.
#[derive(Debug)]
pub(super) struct Chains {
    /// By value.
    back: Vec<Option<Step>>,
}

impl Chains {
    /// Of a graph's nodes in their order, so that each finds the steps of those before it.
    pub fn new(graph: &Graph) -> Self {
        let mut chains = Self {
            back: vec![None; graph.values().len()],
        };
        let readers = readers(graph);
        for (index, node) in graph.nodes().iter().enumerate() {
            let id = NodeId::at(index);
            let Some((to, from_fork)) = chains.end_of_step(graph, id, &readers) else {
                continue;
            };
            for output in &node.outputs {
                let step = Step {
                    node: id,
                    to,
                    from_fork,
                };
                chains.back[output.index()] = Some(step);
            }
        }
        chains
    }

    /// The steps from a value back to an input.
    pub fn from(&self, value: ValueId) -> impl Iterator<Item = Step> + '_ {
        let step = |value: ValueId| self.back[value.index()];
        std::iter::successors(step(value), move |at| step(at.to))
    }

    /// The nodes that stand between a sum of signals and the fork that they come from, in the
    /// graph's order: those of its branches. None where there is no fork.
    pub fn between(&self, graph: &Graph, sum: NodeId) -> Range<usize> {
        let output = graph.node(sum).outputs.first();
        let step = output.and_then(|&output| self.back[output.index()]);
        let after_fork = step.map(|step| match graph.value(step.to).kind {
            ValueKind::Output(fork, _) => fork.index() + 1,
            _ => 0,
        });
        after_fork.unwrap_or(sum.index())..sum.index()
    }

    /// Where the step back from a node ends: at the fork of a skip connection, or of signals that
    /// part and meet again within a layer (queries, keys and values); else at the node's main
    /// input. With whether it is a fork.
    fn end_of_step(
        &self,
        graph: &Graph,
        id: NodeId,
        readers: &[Vec<usize>],
    ) -> Option<(ValueId, bool)> {
        let node = graph.node(id);
        let main = node.inputs.get(node.op.facts().main_input).copied()?;
        let is_signal = |&(input, value): &(usize, &ValueId)| {
            let parameter = matches!(graph.value(*value).kind, ValueKind::Parameter(_));
            !parameter && node.op.differentiable(input)
        };
        let signals = node.inputs.iter().enumerate().filter(is_signal);
        let mut signals = signals.map(|(_, &value)| value);
        let Some(first) = signals.next() else {
            return Some((main, false));
        };
        let mut signals = signals.peekable();
        let several = signals.peek().is_some();
        // The condition of a Where is no way back.
        let position = node.op.facts().main_input;
        let main = if is_signal(&(position, &main)) {
            main
        } else {
            first
        };
        let fork = signals.try_fold(first, |fork, other| self.meet(fork, other));
        let own_layer = |fork: ValueId| {
            let layer = |node: &usize| graph.nodes()[*node].layer;
            let of_readers = readers[fork.index()].iter().map(layer);
            of_readers.into_iter().all(|layer| layer == node.layer)
        };
        match fork {
            Some(fork) if several && (node.role == Role::Residual || own_layer(fork)) => {
                Some((fork, true))
            }
            _ => Some((main, false)),
        }
    }

    /// The last value that lies on the chains of both.
    fn meet(&self, mut one: ValueId, mut other: ValueId) -> Option<ValueId> {
        // A value comes after those that it is made of, so the later one has to step back.
        while one != other {
            let later = if one > other { &mut one } else { &mut other };
            *later = self.back[later.index()]?.to;
        }
        Some(one)
    }
}

/// By value: the nodes that read it.
fn readers(graph: &Graph) -> Vec<Vec<usize>> {
    let mut readers = vec![Vec::new(); graph.values().len()];
    for (index, node) in graph.nodes().iter().enumerate() {
        for value in &node.inputs {
            readers[value.index()].push(index);
        }
    }
    readers
}

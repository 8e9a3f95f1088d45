//! Where something began: an exact zero on the way back, an infinite or NaN number.

use super::numbers::finite_log10;
use super::schema::{NonFiniteInput, NonFiniteOrigin, ZeroOrigin};
use super::spine::Chains;
use crate::graph::{Graph, Node, NodeId, ValueId, ValueKind};
use crate::num::Statistics;
use crate::ops::Role;
use crate::run::Trace;

/// The node in which the cotangent became exactly zero on the chain back from the objective;
/// `None` where it reaches the first input or never was anything but zero.
pub(super) fn zero(graph: &Graph, trace: &Trace, chains: &Chains) -> Option<ZeroOrigin> {
    let is_zero = |seen: &Statistics| seen.l2().is_zero() && seen.non_finite_count == 0;
    let mut before: Option<NodeId> = None;
    for step in chains.from(graph.objective().value()) {
        let seen = trace.nodes[step.node.index()].backward;
        match (seen, before) {
            (Some(seen), Some(blocking)) if is_zero(&seen) => {
                return Some(described(graph, trace, blocking));
            }
            (Some(seen), None) if is_zero(&seen) => return None,
            (Some(_), _) => before = Some(step.node),
            // A view, or a node that nothing arrives at because the one before it is not
            // differentiable.
            (None, _) => {}
        }
    }
    None
}

fn described(graph: &Graph, trace: &Trace, blocking: NodeId) -> ZeroOrigin {
    let node = graph.node(blocking);
    let zeros = zero_weight(graph, trace, node);
    let for_one_step = zeros.is_some() && receives_gradient(graph, trace, node);
    let reason = match zeros {
        _ if classes(graph, node) == Some(1) => {
            "a softmax over one class is 1 whatever goes in".into()
        }
        _ if node.op.facts().is_step => "its derivative is zero wherever it has one".into(),
        Some(zeros) => format!("its weight `{zeros}` is all zeros"),
        None if node.op.activation().is_some() => {
            "every unit is on a flat part of the activation".into()
        }
        None => "what it hands back is zero".into(),
    };
    ZeroOrigin {
        node: node.name.clone(),
        op: node.op.name().into(),
        reason,
        for_one_step,
        is_step: follows_step(graph, blocking),
    }
}

/// Is a node a step, or arithmetic on one: x + (sign x − x)?
fn follows_step(graph: &Graph, node: NodeId) -> bool {
    const FARTHEST: usize = 3;
    let mut nodes = vec![node];
    for _ in 0..FARTHEST {
        if nodes
            .iter()
            .any(|&node| graph.node(node).op.facts().is_step)
        {
            return true;
        }
        let makers = nodes.iter().flat_map(|&node| &graph.node(node).inputs);
        let makers = makers.filter_map(|&input| match graph.value(input).kind {
            ValueKind::Output(maker, _) => Some(maker),
            ValueKind::Input(_) | ValueKind::Parameter(_) => None,
        });
        nodes = makers
            .filter(|&maker| {
                let role = graph.node(maker).role;
                matches!(role, Role::Other | Role::Residual)
            })
            .collect();
    }
    false
}

/// Classes that a softmax, also one inside a loss, is taken over.
fn classes(graph: &Graph, node: &Node) -> Option<usize> {
    let axis = node.op.facts().sums_to_one_along?;
    let shape = &graph.value(*node.inputs.first()?).shape;
    let from_the_end = usize::try_from(-axis).ok().filter(|_| axis < 0);
    let axis = match from_the_end {
        Some(back) => shape.len().checked_sub(back)?,
        None => usize::try_from(axis).ok()?,
    };
    shape.get(axis).copied()
}

fn parameters<'a>(graph: &'a Graph, node: &'a Node) -> impl Iterator<Item = usize> + 'a {
    node.inputs.iter().filter_map(|&input| {
        let ValueKind::Parameter(id) = graph.value(input).kind else {
            return None;
        };
        Some(id.index())
    })
}

/// A parameter of the node that is all zeros and not its bias.
fn zero_weight(graph: &Graph, trace: &Trace, node: &Node) -> Option<String> {
    let mut weights = parameters(graph, node).take(1);
    let zero = weights.find(|&id| trace.parameters[id].value.l2().is_zero())?;
    Some(graph.parameters()[zero].name.clone())
}

fn receives_gradient(graph: &Graph, trace: &Trace, node: &Node) -> bool {
    parameters(graph, node).take(1).any(|id| {
        let gradient = trace.parameters[id].gradient;
        gradient.is_some_and(|gradient| !gradient.l2().is_zero())
    })
}

/// The first node that made an infinite or NaN number: going forward, else going back.
pub(super) fn non_finite(graph: &Graph, trace: &Trace) -> Option<NonFiniteOrigin> {
    let bad = |seen: &Option<Statistics>| seen.is_some_and(|seen| seen.non_finite_count > 0);
    let forward = trace.nodes.iter().position(|node| bad(&node.forward));
    if let Some(position) = forward {
        let node = &graph.nodes()[position];
        let inputs = node.inputs.iter();
        let seen = inputs.filter_map(|&value| input(graph, trace, value));
        return Some(NonFiniteOrigin {
            inputs: seen.collect(),
            ..origin(graph, node, false, count(&trace.nodes[position].forward))
        });
    }
    // A node's own bad gradient shows at the outputs of what it reads.
    let position = trace.nodes.iter().rposition(|node| bad(&node.backward))?;
    let at = NodeId::at(position);
    let outputs = &graph.nodes()[position].outputs;
    let reader = graph
        .nodes()
        .iter()
        .rposition(|node| node.inputs.iter().any(|input| outputs.contains(input)));
    let node = &graph.nodes()[reader.unwrap_or(at.index())];
    let arrived = reader.and_then(|reader| trace.nodes[reader].backward);
    let arrived = arrived.map(|seen| NonFiniteInput {
        name: "the cotangent that arrived".into(),
        log10_max_abs: finite_log10(seen.max_abs()),
        non_finite: seen.non_finite_count,
    });
    Some(NonFiniteOrigin {
        inputs: arrived.into_iter().collect(),
        ..origin(graph, node, true, count(&trace.nodes[position].backward))
    })
}

fn count(seen: &Option<Statistics>) -> u64 {
    seen.map_or(0, |seen| seen.non_finite_count)
}

fn origin(graph: &Graph, node: &Node, backward: bool, count: u64) -> NonFiniteOrigin {
    NonFiniteOrigin {
        node: node.name.clone(),
        op: node.op.name().into(),
        layer: node.layer.map(|layer| graph.layer(layer).name.clone()),
        in_backward: backward,
        count,
        inputs: Vec::new(),
    }
}

/// What was seen of a node's input, looking through views.
fn input(graph: &Graph, trace: &Trace, value: ValueId) -> Option<NonFiniteInput> {
    let name = graph.value(value).name.clone();
    let mut at = value;
    let seen = loop {
        match graph.value(at).kind {
            ValueKind::Parameter(id) => break trace.parameters[id.index()].value,
            ValueKind::Input(_) => return None,
            ValueKind::Output(node, _) => match trace.nodes[node.index()].forward {
                Some(seen) => break seen,
                None => at = *graph.node(node).inputs.first()?,
            },
        }
    };
    Some(NonFiniteInput {
        name,
        log10_max_abs: finite_log10(seen.max_abs()),
        non_finite: seen.non_finite_count,
    })
}

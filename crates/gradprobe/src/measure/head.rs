//! What goes into the loss: an activation right before it bounds what the loss can reach, or passes
//! nothing on where it is flat.

use crate::graph::{Graph, Node, Objective, ValueId, ValueKind};
use crate::num::Tensor;
use crate::ops::{CrossEntropyKind, Mode};
use crate::run::RunElement;
use serde::{Deserialize, Serialize};

/// The activation before a loss.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HeadRun {
    /// The loss: its op's name.
    pub loss: String,
    /// The layer that ends so.
    pub layer: Option<String>,
    /// The activation, e.g. `sigmoid`, `softmax`.
    pub activation: String,
    /// Of a cross-entropy: the least value, in nats, that it can have for outputs within the
    /// activation's range; of a binary one that of the harder label.
    pub least_nats: Option<f64>,
    /// Is it a probability, between 0 and 1?
    #[serde(skip)]
    pub is_probability: bool,
    /// Does the activation have parts on which its derivative is exactly 0?
    pub is_flat: bool,
    /// Of a regression: the share of this batch's targets that lie outside the activation's range.
    pub targets_out_of_range: Option<f64>,
    /// Of a regression: is every target of this batch 0 or 1?
    pub binary_targets: bool,
}

/// The activation before the loss of a graph, if there is one; `inputs` are those of a run, the
/// target last.
pub(super) fn of<T: RunElement>(
    graph: &Graph,
    mode: Mode,
    inputs: &[Tensor<T>],
) -> Option<HeadRun> {
    let Objective::Loss(loss) = *graph.objective() else {
        return None;
    };
    let loss = producer(graph, loss)?;
    let value = loss.inputs.first().copied()?;
    let node = activation_before(graph, mode, value)?;
    let softmax = node.op.facts().is_probability;
    let activation = node.op.activation();
    let (low, high) = match activation {
        Some(activation) => activation.range(),
        None if softmax => (0.0, 1.0),
        None => return None,
    };
    let shape = &graph.value(value).shape;
    let softplus = |z: f64| z.max(0.0) + (-z.abs()).exp().ln_1p();
    let least_nats = match loss.op.facts().cross_entropy {
        Some(CrossEntropyKind::Classes) => {
            let others = shape.get(1).copied().unwrap_or(1).saturating_sub(1);
            Some((others as f64 * (low - high).exp()).ln_1p())
        }
        Some(CrossEntropyKind::Binary) => Some(softplus(low).max(softplus(-high))),
        None => None,
    };
    let targets = target_of(graph, loss, inputs).filter(|_| least_nats.is_none());
    let outside = |target: &&T| !(low..=high).contains(&target.to_f64());
    Some(HeadRun {
        loss: loss.op.name().into(),
        layer: node.layer.map(|layer| graph.layer(layer).name.clone()),
        activation: activation.map_or_else(|| "softmax".into(), |a| a.label()),
        least_nats,
        is_probability: softmax || activation.is_some_and(|activation| activation.is_probability()),
        is_flat: activation.is_some_and(|activation| !activation.flat_regions().is_empty()),
        targets_out_of_range: targets.map(|targets| {
            let count = targets.iter().filter(outside).count();
            count as f64 / targets.len().max(1) as f64
        }),
        binary_targets: targets
            .is_some_and(|targets| targets.iter().all(|&t| t == T::zero() || t == T::one())),
    })
}

fn producer(graph: &Graph, value: ValueId) -> Option<&Node> {
    match graph.value(value).kind {
        ValueKind::Output(node, _) => Some(graph.node(node)),
        _ => None,
    }
}

/// The activation or softmax that gives a value, looking through views.
fn activation_before(graph: &Graph, mode: Mode, mut value: ValueId) -> Option<&Node> {
    loop {
        let node = producer(graph, value)?;
        if node.op.activation().is_some() || node.op.facts().is_probability {
            return Some(node);
        }
        if !node.op.facts().is_view.has(mode) {
            return None;
        }
        value = *node.inputs.first()?;
    }
}

/// The numbers that a loss compares with, where they are an input of the graph.
fn target_of<'a, T: RunElement>(
    graph: &Graph,
    loss: &Node,
    inputs: &'a [Tensor<T>],
) -> Option<&'a [T]> {
    match graph.value(*loss.inputs.get(1)?).kind {
        ValueKind::Input(position) => Some(inputs.get(position)?.data()),
        _ => None,
    }
}

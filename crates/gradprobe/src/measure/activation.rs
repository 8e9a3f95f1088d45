//! Which activation a layer ends in, and whether a layer is linear: by what its nodes are.

use crate::graph::{Graph, Layer, Node, NodeId, ParameterData, ValueId, ValueKind};
use crate::num::{Shape, Tensor};
use crate::ops::activation::{Activation, recognised};
use crate::ops::{Context, Mode, Role, apply};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::ops::Deref;
use std::sync::Arc;

/// The most nodes that one function is written out in.
const MOST_WRITTEN: usize = 16;
/// The most nodes of a layer that are tried as the end of a function that is written out.
const MOST_ENDS: usize = 24;

/// The activation that a layer ends in.
#[derive(Debug)]
pub(super) struct LayerActivation<'g> {
    /// The node that gives its output.
    pub node: NodeId,
    /// What goes into it.
    pub input: ValueId,
    /// What comes out.
    pub output: ValueId,
    /// The function.
    pub function: Function<'g>,
    /// Of one that is written out: its nodes.
    pub nodes: HashSet<NodeId>,
    /// Does nothing else read what goes into it?
    pub takes_all: bool,
}

/// An activation: that of a node, or one that several nodes are found to compute.
#[derive(Debug)]
pub(super) enum Function<'g> {
    OfNode(&'g dyn Activation),
    WrittenOut(Arc<dyn Activation>),
}

impl<'g> Deref for Function<'g> {
    type Target = dyn Activation + 'g;

    fn deref(&self) -> &Self::Target {
        match self {
            Self::OfNode(activation) => *activation,
            Self::WrittenOut(activation) => &**activation,
        }
    }
}

/// The last activation of a layer that what goes through the layer has to pass: a node, or a function
/// of the table that is written out by several (GELU by the error function, x·σ(x), min(relu x, 6)).
/// One that is gone round is a gate, or a part of something else: where it is flat or at a bound, the
/// layer need not be.
pub(super) fn of_layer<'g>(graph: &'g Graph, layer: &Layer) -> Option<LayerActivation<'g>> {
    let last = layer.nodes.last()?.index();
    // What forks may begin layers of its own.
    let after = (last + 1..graph.nodes().len()).take(MOST_WRITTEN);
    let after = after.rev().map(NodeId::at);
    let is_own = |found: &LayerActivation<'_>| layer.nodes.contains(&owner(graph, found));
    let computes = |id: &NodeId| !graph.node(*id).op.facts().is_view.has(Mode::Eval);
    let own = layer.nodes.iter().rev().copied().filter(computes);
    let mut tried = 0..MOST_ENDS;
    let own = own.map(|id| {
        let written = tried.next().and_then(|_| written_out(graph, id));
        match written {
            Some(found) => is_own(&found).then_some(found),
            None => of_node(graph, layer, id),
        }
    });
    let after = after.filter(computes).map(|id| written_out(graph, id));
    let after = after.map(|found| found.filter(is_own));
    after.chain(own).flatten().next()
}

/// The node whose layer a function that is written out belongs to, as one node would: the one that
/// makes what goes into it, where nothing else reads that, though its own nodes may be in others.
fn owner(graph: &Graph, found: &LayerActivation<'_>) -> NodeId {
    match graph.value(found.input).kind {
        ValueKind::Output(maker, _) if found.takes_all => maker,
        _ => found.node,
    }
}

fn of_node<'g>(graph: &'g Graph, layer: &Layer, id: NodeId) -> Option<LayerActivation<'g>> {
    let node = graph.node(id);
    let function = Function::OfNode(node.op.activation()?);
    let found = LayerActivation {
        node: id,
        input: *node.inputs.first()?,
        output: *node.outputs.first()?,
        function,
        nodes: HashSet::new(),
        takes_all: false,
    };
    let alone = HashSet::from([id]);
    let is_gate = is_gone_round(graph, layer, &alone, found.input)
        || multiplies_its_input(graph, &alone, found.input, found.output);
    (!is_gate).then_some(found)
}

/// Does the way from a function's output meet another way from its input, step by step of the same
/// shape, in the next few nodes: u·σ(u)? A skip connection's sum is none.
fn multiplies_its_input(
    graph: &Graph,
    function: &HashSet<NodeId>,
    input: ValueId,
    output: ValueId,
) -> bool {
    let shape = &graph.value(output).shape;
    let elementwise = |node: &Node| {
        let of_shape = node.outputs.first().map(|&value| &graph.value(value).shape);
        node.role != Role::Residual
            && node.op.facts().weight.is_none()
            && node.role != Role::Normalisation
            && of_shape == Some(shape)
    };
    // The input, and what it is made of one by one.
    let mut sources = HashSet::from([input]);
    let mut at = input;
    for _ in 0..MOST_WRITTEN {
        let ValueKind::Output(id, _) = graph.value(at).kind else {
            break;
        };
        let node = graph.node(id);
        let mut signals = node
            .inputs
            .iter()
            .filter(|&&value| !is_parameter(graph, value));
        let (Some(&before), None, true) = (signals.next(), signals.next(), elementwise(node))
        else {
            break;
        };
        if graph.value(before).shape != *shape {
            break;
        }
        sources.insert(before);
        at = before;
    }
    let mut by_function = HashSet::from([output]);
    let first = match graph.value(at).kind {
        ValueKind::Output(id, _) => id.index() + 1,
        _ => 0,
    };
    let last = function.iter().map(|id| id.index()).max().unwrap_or(first);
    let until = (last + 1 + MOST_WRITTEN).min(graph.nodes().len());
    for position in first..until {
        let node = &graph.nodes()[position];
        if function.contains(&NodeId::at(position)) || !elementwise(node) {
            continue;
        }
        let reads = |values: &HashSet<ValueId>| node.inputs.iter().any(|v| values.contains(v));
        match (reads(&sources), reads(&by_function)) {
            (true, true) => return true,
            (true, false) => sources.extend(&node.outputs),
            (false, true) => by_function.extend(&node.outputs),
            (false, false) => {}
        }
    }
    false
}

/// Does what some nodes of a layer compute a function of reach the end of the layer by another way as
/// well? A skip connection's sum is none: it goes round everything.
fn is_gone_round(graph: &Graph, layer: &Layer, function: &HashSet<NodeId>, input: ValueId) -> bool {
    let Some(&last) = layer.nodes.last() else {
        return false;
    };
    // What its input is computed from.
    let mut reached: HashSet<ValueId> = HashSet::new();
    let mut open = vec![input];
    while let Some(value) = open.pop() {
        if !is_parameter(graph, value)
            && reached.insert(value)
            && let ValueKind::Output(id, _) = graph.value(value).kind
            && layer.nodes.contains(&id)
        {
            open.extend(&graph.node(id).inputs);
        }
    }
    // What else is computed from the same.
    for &id in layer.nodes.iter().filter(|id| !function.contains(id)) {
        let node = graph.node(id);
        let reads = node.inputs.iter().any(|input| reached.contains(input));
        if reads && node.role != Role::Residual {
            reached.extend(&node.outputs);
            if id == last {
                return true;
            }
        }
    }
    false
}

fn is_parameter(graph: &Graph, value: ValueId) -> bool {
    matches!(graph.value(value).kind, ValueKind::Parameter(_))
}

/// The function of one value that the nodes up to this one compute, if it is one of the table.
fn written_out(graph: &Graph, end: NodeId) -> Option<LayerActivation<'_>> {
    let output = *graph.node(end).outputs.first()?;
    let shape = &graph.value(output).shape;
    let mut nodes: BTreeSet<NodeId> = BTreeSet::new();
    // What is still to be computed; the latest is taken back to what it is made of.
    let mut open: Vec<ValueId> = vec![output];
    while nodes.len() < MOST_WRITTEN {
        open.sort_unstable();
        open.dedup();
        let latest = open.pop()?;
        let ValueKind::Output(id, 0) = graph.value(latest).kind else {
            return None;
        };
        let node = graph.node(id);
        let is_random = node.op.facts().is_random.has(Mode::Train);
        if graph.value(latest).shape != *shape || node.op.facts().weight.is_some() || is_random {
            return None;
        }
        let known = |value: &ValueId| is_parameter(graph, *value);
        let is_varied = |value: &ValueId| known(value) && number(graph, *value).is_none();
        if node.inputs.iter().any(is_varied) {
            return None;
        }
        nodes.insert(id);
        open.extend(node.inputs.iter().filter(|value| !known(value)));
        let first = *open.first()?;
        if open.iter().all(|&value| value == first)
            && nodes.len() > 1
            && let Some(function) = recognised(|points| values(graph, &nodes, first, points))
        {
            let region: HashSet<NodeId> = nodes.iter().copied().collect();
            if multiplies_its_input(graph, &region, first, output) {
                continue;
            }
            let reads = |position: &usize| graph.nodes()[*position].inputs.contains(&first);
            let begin = region.iter().map(|id| id.index()).min().unwrap_or(0);
            let mut readers = (begin..graph.nodes().len()).filter(reads);
            return Some(LayerActivation {
                takes_all: readers.all(|reader| region.contains(&NodeId::at(reader))),
                node: end,
                input: first,
                output,
                function: Function::WrittenOut(function),
                nodes: region,
            });
        }
    }
    None
}

/// The number of a constant that is one.
fn number(graph: &Graph, value: ValueId) -> Option<f64> {
    let ValueKind::Parameter(id) = graph.value(value).kind else {
        return None;
    };
    let parameter = graph.parameter(id);
    if parameter.trainable {
        return None;
    }
    match &parameter.data {
        ParameterData::F32(tensor) => match tensor.data() {
            &[number] => Some(f64::from(number)),
            _ => None,
        },
        ParameterData::F64(tensor) => match tensor.data() {
            &[number] => Some(number),
            _ => None,
        },
    }
}

/// What some nodes give for these values of their input; `None` where they do not treat
/// each by itself.
fn values(
    graph: &Graph,
    nodes: &BTreeSet<NodeId>,
    input: ValueId,
    points: &[f64],
) -> Option<Vec<f64>> {
    let context = Context {
        mode: Mode::Eval,
        ..Context::default()
    };
    let given = Tensor::new([points.len()], points.to_vec());
    let mut known: HashMap<ValueId, Tensor<f64>> = HashMap::from([(input, given)]);
    let mut last = None;
    for &id in nodes {
        let node = graph.node(id);
        let operands = node.inputs.iter().map(|&value| match number(graph, value) {
            Some(number) => Some(Tensor::new(Shape::default(), vec![number])),
            None => known.get(&value).cloned(),
        });
        let operands: Vec<Tensor<f64>> = operands.collect::<Option<_>>()?;
        let output = apply(&*node.op, &context, &operands)
            .ok()?
            .into_iter()
            .next()?;
        if output.data().len() != points.len() {
            return None;
        }
        last = Some(output.data().to_vec());
        known.insert(node.outputs[0], output);
    }
    last
}

/// Is a layer linear in what goes into it, up to a constant? As far as its nodes say: a product by
/// weights, an activation that is a straight line, and whatever hands cotangents back without
/// looking at values.
pub(super) fn is_linear(graph: &Graph, layer: &Layer) -> bool {
    layer.nodes.iter().all(|&id| {
        let node = graph.node(id);
        // Dropout is linear whatever it drops; in inference it is a view.
        node.op.facts().is_view.has(Mode::Eval) || is_linear_node(graph, node)
    })
}

fn is_linear_node(graph: &Graph, node: &Node) -> bool {
    if let Some(activation) = node.op.activation() {
        return activation.is_linear();
    }
    let is_signal = |&input: &usize| !is_parameter(graph, node.inputs[input]);
    let mut signals = (0..node.inputs.len()).filter(is_signal);
    if node.op.facts().weight.is_some() || node.op.facts().bias_of_product.is_some() {
        return signals.count() <= 1;
    }
    let hands_back_blindly =
        |input: usize| node.op.differentiable(input) && !node.op.reads_input(input);
    let is_normalisation = node.role == Role::Normalisation;
    !is_normalisation && !node.op.reads_outputs() && signals.all(hands_back_blindly)
}

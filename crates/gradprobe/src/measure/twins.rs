//! Units with the same weights in and out: they receive the same gradient for ever.
//!
//! Two hidden units with equal incoming weights and bias compute the same; with equal outgoing
//! weights they also receive the same cotangent. Then their gradients are equal, and so are their
//! weights after every step.

use crate::graph::{Graph, Node, NodeId, ParameterData, ValueId, ValueKind};
use crate::num::Element;
use crate::ops::Role;
use std::collections::{HashMap, HashSet};

/// The share of each node's output units that have a twin, for linear maps that go into another
/// one; by node. Of nodes in `distinct` it is known that they have none.
pub(super) fn fractions(graph: &Graph, distinct: &HashSet<usize>) -> HashMap<NodeId, f64> {
    let mut fractions = HashMap::new();
    for (position, node) in graph.nodes().iter().enumerate() {
        let Some(first) = Weight::of(graph, node) else {
            continue;
        };
        let groups = match distinct.contains(&position) {
            true => Vec::new(),
            false => groups(&first),
        };
        if groups.iter().all(|group| group.len() < 2) {
            fractions.insert(NodeId(position as u32), 0.0);
            continue;
        }
        let Some(second) = next(graph, node, first.units) else {
            continue;
        };
        let twins: usize = groups.iter().map(|group| twins_in(group, &second)).sum();
        fractions.insert(NodeId(position as u32), twins as f64 / first.units as f64);
    }
    fractions
}

/// A weight laid out as units × inputs × kernel, with the unit's bias.
struct Weight<'a> {
    data: Numbers<'a>,
    bias: Option<Numbers<'a>>,
    units: usize,
    inputs: usize,
    kernel: usize,
}

/// A parameter's numbers.
#[derive(Clone, Copy)]
pub(super) enum Numbers<'a> {
    F32(&'a [f32]),
    F64(&'a [f64]),
}

impl<'a> Numbers<'a> {
    pub fn of(graph: &'a Graph, value: ValueId) -> Option<Self> {
        let ValueKind::Parameter(id) = graph.value(value).kind else {
            return None;
        };
        Some(match &graph.parameter(id).data {
            ParameterData::F32(tensor) => Self::F32(tensor.data()),
            ParameterData::F64(tensor) => Self::F64(tensor.data()),
        })
    }

    pub fn at(self, index: usize) -> f64 {
        match self {
            Self::F32(data) => f64::from(data[index]),
            Self::F64(data) => data[index],
        }
    }
}

impl<'a> Weight<'a> {
    fn of(graph: &'a Graph, node: &'a Node) -> Option<Self> {
        if !matches!(node.op.name(), "Linear" | "Conv") {
            return None;
        }
        let &weight = node.inputs.get(1)?;
        let [units, inputs, kernel @ ..] = &graph.value(weight).shape[..] else {
            return None;
        };
        let bias = node.inputs.get(2).copied();
        Some(Self {
            data: Numbers::of(graph, weight)?,
            bias: bias.and_then(|bias| Numbers::of(graph, bias)),
            units: *units,
            inputs: *inputs,
            kernel: kernel.iter().product(),
        })
    }

    fn row(&self) -> usize {
        self.inputs * self.kernel
    }

    fn same_unit(&self, one: usize, other: usize) -> bool {
        let row = self.row();
        let bias = |unit| self.bias.map(|bias| bias.at(unit));
        bias(one) == bias(other)
            && (0..row).all(|at| self.data.at(one * row + at) == self.data.at(other * row + at))
    }

    /// Do all units weigh these two inputs alike?
    fn same_input(&self, one: usize, other: usize) -> bool {
        (0..self.units).all(|unit| {
            let at = |input| (unit * self.inputs + input) * self.kernel;
            let (one, other) = (at(one), at(other));
            (0..self.kernel).all(|k| self.data.at(one + k) == self.data.at(other + k))
        })
    }
}

/// May a node have output units with equal weights? Those give the same but for rounding, so that
/// for one vector (one place of an image) it is seen in a few numbers that lie together. `output`
/// is the node's.
pub(super) fn may_be_twins<T: Element>(node: &Node, shape: &[usize], output: &[T]) -> bool {
    let (units, stride) = match (node.op.name(), shape) {
        ("Linear", [.., units]) => (*units, 1),
        ("Conv", [_, units, places @ ..]) => (*units, places.iter().product()),
        _ => return true,
    };
    let numbers = output.iter().step_by(stride.max(1)).take(units);
    let mut numbers: Vec<f64> = numbers.map(|x| x.to_f64()).collect();
    numbers.sort_unstable_by(f64::total_cmp);
    let largest = numbers.iter().fold(0.0f64, |most, x| most.max(x.abs()));
    let rounding = largest * f64::exp2i(4 - T::SIGNIFICAND_BITS);
    let differ = |pair: &[f64]| pair[1] - pair[0] > rounding;
    !numbers.windows(2).all(differ)
}

/// The units with equal incoming weights, together.
fn groups(weight: &Weight<'_>) -> Vec<Vec<usize>> {
    let mut by_first: HashMap<u64, Vec<Vec<usize>>> = HashMap::new();
    for unit in 0..weight.units {
        if weight.row() == 0 {
            break;
        }
        let first = weight.data.at(unit * weight.row()).to_bits();
        let groups = by_first.entry(first).or_default();
        match groups
            .iter_mut()
            .find(|group| weight.same_unit(group[0], unit))
        {
            Some(group) => group.push(unit),
            None => groups.push(vec![unit]),
        }
    }
    by_first.into_values().flatten().collect()
}

/// How many of a group the next layer weighs like another of it.
fn twins_in(group: &[usize], next: &Weight<'_>) -> usize {
    let mut classes: Vec<Vec<usize>> = Vec::new();
    for &unit in group {
        match classes
            .iter_mut()
            .find(|class| next.same_input(class[0], unit))
        {
            Some(class) => class.push(unit),
            None => classes.push(vec![unit]),
        }
    }
    let twins = classes.iter().filter(|class| class.len() > 1);
    twins.map(Vec::len).sum()
}

/// The weight of the one linear map that reads a node's units, each through the same elementwise
/// functions.
fn next<'a>(graph: &'a Graph, node: &Node, units: usize) -> Option<Weight<'a>> {
    let mut value = *node.outputs.first()?;
    loop {
        let mut readers = graph
            .nodes()
            .iter()
            .filter(|node| node.inputs.contains(&value));
        let reader = readers.next()?;
        if readers.next().is_some() || reader.inputs.first() != Some(&value) {
            return None;
        }
        if let Some(weight) = Weight::of(graph, reader) {
            return (weight.inputs == units).then_some(weight);
        }
        let elementwise = reader.inputs.len() == 1 && reader.role == Role::Activation;
        let pooling = reader.op.name().ends_with("Pool");
        if !(elementwise && reader.op.activation().is_some() || pooling) {
            return None;
        }
        value = *reader.outputs.first()?;
    }
}

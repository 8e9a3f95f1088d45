//! Units with the same weights in and out: they receive the same gradient for ever.
//!
//! Two hidden units with equal incoming weights and bias compute the same; with equal outgoing
//! weights they also receive the same cotangent. Then their gradients are equal, and so are their
//! weights after every step.

use super::paths::is_bias;
use crate::graph::{Graph, Node, NodeId, ParameterData, ValueId, ValueKind};
use crate::num::Element;
use crate::ops::{Role, WeightLayout};
use std::collections::{HashMap, HashSet};

/// The share of each node's output units that have a twin, for linear maps that go into another
/// one; by node. Of nodes in `distinct` it is known that they have none.
pub(super) fn fractions(graph: &Graph, distinct: &HashSet<usize>) -> HashMap<NodeId, f64> {
    let mut fractions = HashMap::new();
    for (position, node) in graph.nodes().iter().enumerate() {
        let Some(mut first) = Weight::of(graph, node) else {
            continue;
        };
        first.bias = first.bias.or_else(|| added_bias(graph, node, first.units));
        let groups = match distinct.contains(&position) {
            true => Vec::new(),
            false => groups(&first),
        };
        if groups.iter().all(|group| group.len() < 2) {
            fractions.insert(NodeId::at(position), 0.0);
            continue;
        }
        let Some(second) = next(graph, node, first.units) else {
            continue;
        };
        let twins: usize = groups.iter().map(|group| twins_in(group, &second)).sum();
        fractions.insert(NodeId::at(position), twins as f64 / first.units as f64);
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
    layout: WeightLayout,
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
        let layout = node.op.facts().weight?;
        let &weight = node.inputs.get(1)?;
        let shape = &graph.value(weight).shape[..];
        let (units, inputs, kernel) = match (layout, shape) {
            (WeightLayout::UnitsLast, &[inputs, units]) => (units, inputs, 1),
            (WeightLayout::UnitsFirst | WeightLayout::Kernel, [units, inputs, kernel @ ..]) => {
                (*units, *inputs, kernel.iter().product())
            }
            _ => return None,
        };
        let bias = node.inputs.get(2).copied();
        Some(Self {
            data: Numbers::of(graph, weight)?,
            bias: bias.and_then(|bias| Numbers::of(graph, bias)),
            units,
            inputs,
            kernel,
            layout,
        })
    }

    fn row(&self) -> usize {
        self.inputs * self.kernel
    }

    /// The weight of an input, at a place of the kernel, for a unit.
    fn at(&self, unit: usize, input: usize, place: usize) -> f64 {
        self.data.at(match self.layout {
            WeightLayout::UnitsLast => input * self.units + unit,
            WeightLayout::UnitsFirst | WeightLayout::Kernel => {
                (unit * self.inputs + input) * self.kernel + place
            }
        })
    }

    fn same_unit(&self, one: usize, other: usize) -> bool {
        let bias = |unit| self.bias.map(|bias| bias.at(unit));
        let same =
            |input: usize, place: usize| self.at(one, input, place) == self.at(other, input, place);
        bias(one) == bias(other)
            && (0..self.inputs).all(|input| (0..self.kernel).all(|place| same(input, place)))
    }

    /// Do all units weigh these two inputs alike?
    fn same_input(&self, one: usize, other: usize) -> bool {
        (0..self.units).all(|unit| {
            (0..self.kernel).all(|place| self.at(unit, one, place) == self.at(unit, other, place))
        })
    }
}

/// May a node have output units with equal weights? Those give the same but for rounding, so that
/// for one vector (one place of an image) it is seen in a few numbers that lie together. `output`
/// is the node's.
pub(super) fn may_be_twins<T: Element>(node: &Node, shape: &[usize], output: &[T]) -> bool {
    let (units, stride) = match (node.op.facts().weight, shape) {
        (Some(WeightLayout::Kernel), [_, units, places @ ..]) => (*units, places.iter().product()),
        (Some(_), [.., units]) => (*units, 1),
        _ => return true,
    };
    let numbers = output.iter().step_by(stride.max(1)).take(units);
    // As integers in the same order: those are sorted in half the time.
    let mut keys: Vec<i32> = numbers
        .map(|x| in_order((x.to_f64() as f32).to_bits() as i32))
        .collect();
    keys.sort_unstable();
    let number = |&key: &i32| f64::from(f32::from_bits(in_order(key) as u32));
    let ends = [keys.first(), keys.last()];
    let largest = ends.into_iter().flatten().map(|key| number(key).abs());
    let rounding = largest.fold(0.0, f64::max) * f64::exp2i(4 - f32::SIGNIFICAND_BITS);
    let differ = |pair: &[i32]| number(&pair[1]) - number(&pair[0]) > rounding;
    !keys.windows(2).all(differ)
}

/// From the bits of a f32 an integer that is ordered as the numbers are, and back.
fn in_order(bits: i32) -> i32 {
    bits ^ ((bits >> 31) & i32::MAX)
}

/// The units with equal incoming weights, together.
fn groups(weight: &Weight<'_>) -> Vec<Vec<usize>> {
    if weight.row() == 0 {
        return Vec::new();
    }
    let first = |unit| weight.at(unit, 0, 0).to_bits();
    let mut by_first: Vec<(u64, usize)> =
        (0..weight.units).map(|unit| (first(unit), unit)).collect();
    by_first.sort_unstable();
    let alike = by_first.chunk_by(|one, other| one.0 == other.0);
    let candidates = alike.filter(|units| units.len() > 1);
    candidates
        .flat_map(|units| {
            let units = units.iter().map(|&(_, unit)| unit);
            classes(units, |one, other| weight.same_unit(one, other))
        })
        .collect()
}

/// Units sorted into classes of those that are the same.
fn classes(
    units: impl Iterator<Item = usize>,
    same: impl Fn(usize, usize) -> bool,
) -> Vec<Vec<usize>> {
    let mut classes: Vec<Vec<usize>> = Vec::new();
    for unit in units {
        match classes.iter_mut().find(|class| same(class[0], unit)) {
            Some(class) => class.push(unit),
            None => classes.push(vec![unit]),
        }
    }
    classes
}

/// How many of a group the next layer weighs like another of it.
fn twins_in(group: &[usize], next: &Weight<'_>) -> usize {
    let classes = classes(group.iter().copied(), |one, other| {
        next.same_input(one, other)
    });
    let twins = classes.iter().filter(|class| class.len() > 1);
    twins.map(Vec::len).sum()
}

/// The bias of a linear map that is a node of its own.
fn added_bias<'a>(graph: &'a Graph, node: &Node, units: usize) -> Option<Numbers<'a>> {
    let value = *node.outputs.first()?;
    let reads = |reader: &&Node| reader.inputs.contains(&value);
    let mut readers = graph.nodes().iter().filter(reads);
    let reader = readers
        .next()
        .filter(|reader| is_bias(graph, reader, value))?;
    let mut added = reader.inputs.iter().filter(|&&input| input != value);
    let bias = *added.next()?;
    let is_of_units = graph.value(bias).shape.element_count() == units;
    Numbers::of(graph, bias)
        .filter(|_| is_of_units && added.next().is_none() && readers.next().is_none())
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
        if readers.next().is_some() {
            return None;
        }
        if is_bias(graph, reader, value) {
            value = *reader.outputs.first()?;
            continue;
        }
        if reader.inputs.first() != Some(&value) {
            return None;
        }
        if let Some(weight) = Weight::of(graph, reader) {
            return (weight.inputs == units).then_some(weight);
        }
        let elementwise = reader.inputs.len() == 1 && reader.role == Role::Activation;
        let pooling = reader.op.facts().pools;
        if !(elementwise && reader.op.activation().is_some() || pooling) {
            return None;
        }
        value = *reader.outputs.first()?;
    }
}

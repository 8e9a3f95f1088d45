//! What hangs together in a graph around a layer: the paths that meet in a skip connection's sum,
//! and the linear maps.

use super::lookup::cotangent_at;
use super::numbers::finite_log10;
use super::schema::PathShare;
use super::spine::Chains;
use crate::graph::{Graph, Layer, Node, NodeId, ValueId, ValueKind};
use crate::num::Statistics;
use crate::ops::{Role, WeightLayout};
use crate::run::Trace;
use std::collections::HashMap;

/// What each path of a layer's skip connection hands back to the fork; empty where the layer has
/// none, or where what a path hands on was not seen by itself.
pub(super) fn of_layer(
    graph: &Graph,
    trace: &Trace,
    layer: &Layer,
    chains: &Chains,
) -> Vec<PathShare> {
    let sum = layer.nodes.iter().find(|node| {
        let node = graph.node(**node);
        node.role == Role::Residual
    });
    sum.and_then(|&sum| of_sum(graph, trace, sum, chains))
        .unwrap_or_default()
}

fn of_sum(graph: &Graph, trace: &Trace, sum: NodeId, chains: &Chains) -> Option<Vec<PathShare>> {
    let arrived = finite_log10(trace.nodes[sum.index()].backward?.l2())?;
    let step = chains.from(*graph.node(sum).outputs.first()?).next()?;
    let fork = step.to;
    let mut paths: Vec<(Option<String>, f64)> = Vec::new();
    if graph.node(sum).inputs.contains(&fork) {
        paths.push((None, 0.0));
    }
    for position in chains.between(graph, sum) {
        let node = &graph.nodes()[position];
        if node.inputs.first() != Some(&fork) {
            continue;
        }
        let Some(seen) = handed_on(trace, position) else {
            continue;
        };
        let decades = finite_log10(seen.l2())? - arrived;
        let name = node.layer.map(|layer| graph.layer(layer).name.clone());
        // What several nodes of one layer read (queries, keys, values) is one path: their squares
        // add up where they have nothing in common.
        match paths
            .iter_mut()
            .find(|(other, _)| *other == name && name.is_some())
        {
            Some((_, total)) => {
                let squares = 10f64.powf(2.0 * *total) + 10f64.powf(2.0 * decades);
                *total = 0.5 * squares.log10();
            }
            None => paths.push((name, decades)),
        }
    }
    // What a sum of vectors is larger than all of together, or smaller than the largest is by more
    // than the others, it is not the sum of: then other ways lead to the fork.
    let at_fork = cotangent_at(graph, trace, fork).and_then(|seen| finite_log10(seen.l2()));
    let together = 10f64.powf(at_fork? - arrived);
    let sizes: Vec<f64> = paths
        .iter()
        .map(|(_, decades)| 10f64.powf(*decades))
        .collect();
    let (all, largest) = (
        sizes.iter().sum::<f64>(),
        sizes.iter().fold(0.0, |a: f64, &b| a.max(b)),
    );
    let possible = 0.99 * (2.0 * largest - all)..=1.01 * all;
    (paths.len() > 1 && possible.contains(&together)).then(|| {
        let share = |(branch, decades)| PathShare { branch, decades };
        paths.into_iter().map(share).collect()
    })
}

fn handed_on(trace: &Trace, node: usize) -> Option<Statistics> {
    trace.nodes[node].handed_on
}

/// A linear map by its weight.
pub(super) struct LinearMap {
    /// Inputs that each output is a weighted sum of.
    pub fan_in: usize,
    /// Is its output normalised right after?
    pub normalised: bool,
}

/// The linear maps of a graph, by the parameter that is their weight.
pub(super) fn linear_maps(graph: &Graph) -> HashMap<usize, LinearMap> {
    let mut readers: HashMap<ValueId, Vec<usize>> = HashMap::new();
    for (position, node) in graph.nodes().iter().enumerate() {
        for &value in &node.inputs {
            readers.entry(value).or_default().push(position);
        }
    }
    let mut maps = HashMap::new();
    for node in graph.nodes() {
        let Some(&weight) = node.inputs.get(1) else {
            continue;
        };
        let ValueKind::Parameter(id) = graph.value(weight).kind else {
            continue;
        };
        let shape = &graph.value(weight).shape;
        let fan_in = match (node.op.facts().weight, &shape[..]) {
            (Some(WeightLayout::UnitsFirst), &[_, fan_in]) => fan_in,
            (Some(WeightLayout::Kernel), [_, rest @ ..]) => rest.iter().product(),
            (Some(WeightLayout::UnitsLast), &[.., fan_in, _]) => fan_in,
            _ => continue,
        };
        let normalised = normalised_next(graph, &readers, node.outputs[0]);
        maps.insert(id.index(), LinearMap { fan_in, normalised });
    }
    maps
}

/// Is the only reader of a value a normalisation, a bias in between aside?
fn normalised_next(
    graph: &Graph,
    readers: &HashMap<ValueId, Vec<usize>>,
    mut value: ValueId,
) -> bool {
    loop {
        let Some([reader]) = readers.get(&value).map(Vec::as_slice) else {
            return false;
        };
        let node = &graph.nodes()[*reader];
        if node.role == Role::Normalisation {
            return true;
        }
        if !is_bias(graph, node, value) {
            return false;
        }
        value = node.outputs[0];
    }
}

/// Does a node add parameters to a value, and do nothing else? What it hands back is then what
/// arrives, whatever the values are.
pub(super) fn is_bias(graph: &Graph, node: &Node, value: ValueId) -> bool {
    let is_parameter = |input: ValueId| matches!(graph.value(input).kind, ValueKind::Parameter(_));
    let others = || node.inputs.iter().filter(|&&input| input != value);
    let blind = (0..node.inputs.len()).all(|input| !node.op.reads_input(input));
    let same_shape = graph.value(node.outputs[0]).shape == graph.value(value).shape;
    others().count() == node.inputs.len() - 1
        && others().count() > 0
        && others().all(|&input| is_parameter(input))
        && blind
        && !node.op.reads_outputs()
        && same_shape
}

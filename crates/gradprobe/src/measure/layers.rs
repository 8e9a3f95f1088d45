//! From a trace to the measurement of each layer.

use super::activation::{self, Function, LayerActivation};
use super::lookup::{cotangent_at, parameters_by_layer};
use super::numbers::finite_log10;
use super::optimiser::Optimiser;
use super::schema::{Gains, LayerRun, ParameterRun, RunMeasurement, Signal};
use super::spine::Chains;
use super::{origins, over_time, paths};
use crate::graph::{Graph, Layer, Node, NodeId, ValueId, ValueKind};
use crate::num::{Magnitude, Statistics};
use crate::ops::Role;
use crate::run::{ParameterTrace, Trace};
use std::collections::HashSet;
use std::ops::Range;

/// Adds a run's trace up, per layer.
///
/// The gain of a node is log10(‖vjp(δ)‖ / ‖δ‖): the norm of what it hands to its first input over
/// the norm of what arrived. A residual sum is taken from its output to its fork, and the gains
/// inside the branches stay with the branches' own layers; what other readers of a value add to
/// its cotangent is a gain of the fork.
pub fn measure(
    graph: &Graph,
    trace: &Trace,
    optimiser: Option<Optimiser>,
    seed: u64,
) -> RunMeasurement {
    let chains = Chains::new(graph);
    let on_spine: HashSet<NodeId> = chains.from(graph.output()).map(|step| step.node).collect();
    let parameters = parameters_by_layer(graph);
    let weighted = WeightedNodes::new(graph);
    let linear_maps = paths::linear_maps(graph);
    let mut layers: Vec<LayerRun> = Vec::new();
    let activations: Vec<Option<LayerActivation<'_>>> = graph
        .layers()
        .iter()
        .map(|layer| activation::of_layer(graph, layer))
        .collect();
    for (index, layer) in graph.layers().iter().enumerate() {
        let Some(mut run) = layer_run(graph, trace, layer, activations[index].as_ref()) else {
            continue;
        };
        run.on_spine = layer.nodes.iter().any(|node| on_spine.contains(node));
        run.weighted = layer.nodes.iter().any(|&node| {
            let is_sum = graph.node(node).role == Role::Residual;
            let of_branches = is_sum.then(|| chains.between(graph, node));
            let own = node.index()..node.index() + 1;
            weighted.any_in(own) || of_branches.is_some_and(|nodes| weighted.any_in(nodes))
        });
        run.gains = gains(graph, trace, index, &chains, &activations);
        run.paths = paths::of_layer(graph, trace, layer, &chains);
        run.over_time = over_time::of_layer(graph, trace, layer);
        let own = parameters.get(&index).into_iter().flatten();
        run.parameters = own
            .map(|&id| parameter_run(graph, id, &trace.parameters[id], optimiser))
            .collect();
        for (parameter, id) in run
            .parameters
            .iter_mut()
            .zip(parameters.get(&index).into_iter().flatten())
        {
            if let Some(map) = linear_maps.get(id) {
                parameter.fan_in = Some(map.fan_in);
                parameter.normalised = map.normalised;
            }
        }
        layers.push(run);
    }
    set_decades(&mut layers);
    RunMeasurement {
        seed,
        loss: trace.loss,
        layers,
        zero_origin: origins::zero(graph, trace, &chains),
        non_finite_origin: origins::non_finite(graph, trace),
        ..RunMeasurement::default()
    }
}

/// How many nodes before each read a trained parameter, so that it takes one look to know whether
/// any of a range does.
struct WeightedNodes(Vec<usize>);

impl WeightedNodes {
    fn new(graph: &Graph) -> Self {
        let mut count = 0;
        let mut before = vec![0];
        before.extend(graph.nodes().iter().map(|node| {
            count += usize::from(reads_weights(graph, node));
            count
        }));
        Self(before)
    }

    fn any_in(&self, nodes: Range<usize>) -> bool {
        nodes.start < nodes.end && self.0[nodes.end] > self.0[nodes.start]
    }
}

fn reads_weights(graph: &Graph, node: &Node) -> bool {
    let trained = |value: &ValueId| match graph.value(*value).kind {
        ValueKind::Parameter(id) => graph.parameter(id).trainable,
        _ => false,
    };
    node.inputs.iter().any(trained)
}

fn set_decades(layers: &mut [LayerRun]) {
    let last = |signal: fn(&LayerRun) -> &Signal| {
        let of_spine = layers.iter().rev().filter(|layer| layer.on_spine);
        of_spine
            .map(|layer| signal(layer).log10_l2)
            .next()
            .flatten()
    };
    let (forward, backward) = (last(|layer| &layer.forward), last(|layer| &layer.backward));
    let above = |size: Option<f64>, base: Option<f64>| Some(size? - base?);
    for layer in layers {
        layer.forward_decades = above(layer.forward.log10_l2, forward);
        layer.backward_decades = above(layer.backward.log10_l2, backward);
        let inside = layer.gains.activation + layer.gains.normalisation;
        layer.decades_at_weights = layer.backward_decades.map(|decades| decades + inside);
    }
}

/// What the taps saw of a layer; `None` where it has none (a flatten).
fn layer_run(
    graph: &Graph,
    trace: &Trace,
    layer: &Layer,
    activation: Option<&LayerActivation<'_>>,
) -> Option<LayerRun> {
    let tapped = |node: &&NodeId| trace.nodes[node.index()].forward.is_some();
    let last = layer.nodes.iter().rev().find(tapped)?;
    let seen = &trace.nodes[last.index()];
    let pre_activation = activation.and_then(|found| {
        let ValueKind::Output(before, _) = graph.value(found.input).kind else {
            return None;
        };
        trace.nodes[before.index()].forward.as_ref().map(signal)
    });
    // Of one that is written out the probe counts them.
    let of_node = activation.and_then(|found| match found.function {
        Function::OfNode(_) => Some(found.node.index()),
        Function::WrittenOut(_) => None,
    });
    let bounded = of_node.and_then(|node| {
        graph.nodes()[node].op.facts().saturation?;
        Some(trace.nodes[node].forward?.saturated_fraction())
    });
    let dead = of_node
        .and_then(|node| trace.nodes[node].units)
        .map(|units| {
            if units.units == 0 {
                0.0
            } else {
                units.dead as f64 / units.units as f64
            }
        });
    let normalises = |node: &NodeId| graph.node(*node).role == Role::Normalisation;
    let over_the_batch = |node: &NodeId| graph.node(*node).op.facts().batch_statistics;
    Some(LayerRun {
        name: layer.name.clone(),
        kind: layer.kind.clone(),
        activation: activation.map(|found| found.function.label()),
        is_linear: activation::is_linear(graph, layer),
        is_rectified: activation.is_some_and(|found| found.function.is_rectifier()),
        normalised: layer.nodes.iter().any(normalises),
        batch_normalised: layer.nodes.iter().any(over_the_batch),
        forward: seen.forward.as_ref().map(signal).unwrap_or_default(),
        backward: seen.backward.as_ref().map(signal).unwrap_or_default(),
        pre_activation,
        saturated_fraction: bounded,
        dead_fraction: dead,
        ..LayerRun::default()
    })
}

/// The gains along the chain from a layer's output back to the output of the layer before it, so
/// that they add up to what lies between the cotangents of both.
///
/// Where the value that a step ends at has other readers, the node is given what it hands on
/// itself, and the fork what the others add to that. The nodes of an activation that is written out
/// are one, whose ways do not part.
fn gains(
    graph: &Graph,
    trace: &Trace,
    index: usize,
    chains: &Chains,
    activations: &[Option<LayerActivation<'_>>],
) -> Gains {
    let mut gains = Gains::default();
    let layer = &graph.layers()[index];
    let tapped = |node: &&NodeId| trace.nodes[node.index()].forward.is_some();
    let Some(&last) = layer.nodes.iter().rev().find(tapped) else {
        return gains;
    };
    let of_another = |node: NodeId| {
        let owner = graph.node(node).layer;
        owner.is_some_and(|owner| owner.index() != index)
    };
    let steps = chains.from(graph.node(last).outputs[0]);
    for step in steps.take_while(|step| !of_another(step.node)) {
        let (seen, node) = (&trace.nodes[step.node.index()], graph.node(step.node));
        let Some(arrived) = seen.backward else {
            continue;
        };
        let above = |left: Statistics| left.l2().decades_above(arrived.l2());
        let left = cotangent_at(graph, trace, step.to);
        let Some(whole) = left.and_then(above) else {
            continue;
        };
        let mut written = activations.iter().flatten();
        let of_written = written.find(|found| found.nodes.contains(&step.node));
        if let Some(found) = of_written
            && (found.takes_all || step.to != found.input)
        {
            gains.activation += whole;
            continue;
        }
        let by_itself = seen.handed_on.filter(|_| {
            let is_first = node.inputs.first() == Some(&step.to);
            is_first && !step.from_fork && node.role != Role::Residual
        });
        let own = by_itself.and_then(above).unwrap_or(whole);
        let role = of_written.map_or(node.role, |_| Role::Activation);
        *gains.of_mut(role) += own;
        gains.residual += whole - own;
    }
    gains
}

fn signal(statistics: &Statistics) -> Signal {
    // Of a masked score the finite part is the signal. Where nothing is left but zeros there is
    // none, and that is not a signal of size zero.
    let none = statistics.non_finite_count > 0 && statistics.max_abs().is_zero();
    let known = |figure: f64| if none { f64::NAN } else { figure };
    Signal {
        log10_l2: finite_log10(statistics.l2()),
        mean: known(statistics.mean()),
        std: known(statistics.standard_deviation().to_f64()),
        rms: known(statistics.rms().to_f64()),
        zero_fraction: statistics.zero_fraction(),
        non_finite: statistics.non_finite_count,
    }
}

fn parameter_run(
    graph: &Graph,
    index: usize,
    trace: &ParameterTrace,
    optimiser: Option<Optimiser>,
) -> ParameterRun {
    let parameter = &graph.parameters()[index];
    let gradient = trace.gradient.unwrap_or_default();
    let update = optimiser.and_then(|optimiser| log10_update_ratio(optimiser, trace));
    // One element that is no number makes the norm none.
    let finite = gradient.non_finite_count == 0;
    let known = |figure: f64| if finite { figure } else { f64::NAN };
    let log10 = |size: Magnitude| finite_log10(size).filter(|_| finite);
    ParameterRun {
        name: parameter.name.clone(),
        shape: graph.value(parameter.value).shape.to_vec(),
        value_rms: trace.value.rms().to_f64(),
        grad_l2: known(gradient.l2().to_f64()),
        grad_log10_l2: log10(gradient.l2()),
        grad_mean: known(gradient.mean()),
        grad_max_abs: known(gradient.max_abs().to_f64()),
        grad_zero_fraction: if trace.gradient.is_some() {
            gradient.zero_fraction()
        } else {
            1.0
        },
        grad_non_finite: gradient.non_finite_count,
        grad_log10_rms: log10(gradient.rms()),
        reached: trace.gradient.is_some(),
        log10_update_ratio: update,
        fan_in: None,
        normalised: false,
    }
}

/// log10(rms of the first update / rms of the values).
///
/// Adam's first update is lr·g/(|g| + ε) for each element: with the rms of g for |g| this is exact
/// where all |g| are ≫ ε or all ≪ ε, and within a factor of a few between.
fn log10_update_ratio(optimiser: Optimiser, trace: &ParameterTrace) -> Option<f64> {
    let values = finite_log10(trace.value.rms())?;
    let gradient = trace.gradient.filter(|of| of.non_finite_count == 0)?;
    let gradient = finite_log10(gradient.rms())?;
    Some(match optimiser {
        Optimiser::Sgd { learning_rate } => learning_rate.log10() + gradient - values,
        Optimiser::Adam {
            learning_rate,
            epsilon,
            weight_decay,
        } => {
            // lr / (1 + ε/|g|), in decades so that a tiny g does not underflow.
            let ratio = epsilon.log10() - gradient;
            let step = if ratio > 15.0 {
                -ratio
            } else {
                -libm::log1p(10f64.powf(ratio)) / std::f64::consts::LN_10
            };
            let step = learning_rate.log10() + step - values;
            let decay = learning_rate * weight_decay;
            (10f64.powf(step) + decay).log10().max(step)
        }
    })
}

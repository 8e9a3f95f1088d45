//! Several batches that are run one after the other and measured as one: a file that fixes how many
//! samples its graph takes at once is run on more so.
//!
//! The loss of the whole is the mean of the batches' losses, so a cotangent of the whole is 1/n of
//! that of its batch, and a gradient the mean of the batches' gradients. Signals are counted
//! together. A unit is dead, saturated or like another one if it is in every batch.

use crate::graph::{Graph, Objective};
use crate::import::Subject;
use crate::measure::{BatchesProbe, Optimiser, RunMeasurement, measure};
use crate::num::{Scaled, Statistics, Tensor, scaled};
use crate::run::{Executor, Gradients, ObserverPair, Options, RunElement, RunError, Trace};
use std::collections::HashMap;

/// Runs the batches and measures them as one.
pub(super) fn run<T: RunElement>(
    network: &dyn Subject,
    graph: &Graph,
    batches: &[Vec<Tensor<f64>>],
    options: Options,
    optimiser: Option<Optimiser>,
) -> Result<RunMeasurement, RunError> {
    let options = Options {
        keep_gradients: true,
        ..options
    };
    let mut executor = Executor::<T>::new(graph, options)?;
    let mut units = BatchesProbe::new(graph);
    let mut total = Total::<T>::default();
    let mut parts = Vec::with_capacity(batches.len());
    for batch in batches {
        let inputs: Vec<Tensor<T>> = batch.iter().map(Tensor::cast).collect();
        let mut probe = super::probe(graph, options.mode, network);
        let output = executor.run_observed(&inputs, &mut ObserverPair(&mut probe, &mut units))?;
        units.end_batch::<T>(&Vec::new());
        let mut part = measure(graph, &output.trace, optimiser, options.seed);
        probe.add_to(&mut part, &inputs);
        parts.push(part);
        total.add(output.trace, output.gradients);
    }
    let is_mean = matches!(graph.objective(), Objective::Loss(_));
    let trace = total.finish(is_mean);
    let mut run = measure(graph, &trace, optimiser, options.seed);
    let dead = units.finish(options.seed, 0.0);
    for layer in &mut run.layers {
        let seen = dead.layer(&layer.name).map(|layer| &layer.dead_on[..]);
        if let (Some(dead_on), Some(fraction)) = (seen, &mut layer.dead_fraction)
            && let Some(&everywhere) = dead_on.last()
        {
            let units: usize = dead_on.iter().sum();
            *fraction = everywhere as f64 / units.max(1) as f64;
        }
    }
    add_probed(&mut run, &parts);
    Ok(run)
}

/// What was seen in all batches so far.
struct Total<T> {
    trace: Option<Trace>,
    losses: f64,
    gradients: Gradients<T>,
    count: usize,
}

impl<T> Default for Total<T> {
    fn default() -> Self {
        Self {
            trace: None,
            losses: 0.0,
            gradients: Vec::new(),
            count: 0,
        }
    }
}

impl<T: RunElement> Total<T> {
    fn add(&mut self, trace: Trace, gradients: Gradients<T>) {
        self.count += 1;
        self.losses += trace.loss.unwrap_or(0.0);
        let Some(total) = &mut self.trace else {
            (self.trace, self.gradients) = (Some(trace), gradients);
            return;
        };
        for (mine, theirs) in total.nodes.iter_mut().zip(&trace.nodes) {
            merge(&mut mine.forward, theirs.forward);
            merge(&mut mine.backward, theirs.backward);
            merge(&mut mine.handed_on, theirs.handed_on);
        }
        for (mine, theirs) in total.inputs.iter_mut().zip(&trace.inputs) {
            merge(mine, *theirs);
        }
        for (mine, theirs) in self.gradients.iter_mut().zip(gradients) {
            match (mine, theirs) {
                (Some(mine), Some(theirs)) => scaled::add(
                    mine.tensor.data_mut(),
                    &mut mine.exponent,
                    theirs.tensor.data(),
                    theirs.exponent,
                ),
                (mine @ None, theirs) => *mine = theirs,
                (Some(_), None) => {}
            }
        }
    }

    /// The trace of the whole; of a loss that is the mean of the batches', `is_mean`.
    fn finish(self, is_mean: bool) -> Trace {
        let mut trace = self.trace.unwrap_or_default();
        let factor = if is_mean {
            1.0 / self.count.max(1) as f64
        } else {
            1.0
        };
        let shrink = |seen: &mut Option<Statistics>| {
            if let Some(seen) = seen {
                *seen = seen.scaled(factor);
            }
        };
        for node in &mut trace.nodes {
            shrink(&mut node.backward);
            shrink(&mut node.handed_on);
        }
        trace.inputs.iter_mut().for_each(shrink);
        trace.loss = trace.loss.map(|_| self.losses * factor);
        let of_gradient = |gradient: &Scaled<T>| {
            Statistics::of(gradient.tensor.data(), gradient.exponent, None).scaled(factor)
        };
        for (parameter, gradient) in trace.parameters.iter_mut().zip(&self.gradients) {
            if let Some(gradient) = gradient {
                parameter.gradient = Some(of_gradient(gradient));
            }
        }
        trace
    }
}

fn merge(total: &mut Option<Statistics>, part: Option<Statistics>) {
    match (total, part) {
        (Some(total), Some(part)) => total.merge(&part),
        (total @ None, part) => *total = part,
        (Some(_), None) => {}
    }
}

/// Adds what probes saw in each batch.
fn add_probed(run: &mut RunMeasurement, parts: &[RunMeasurement]) {
    let mean = |values: Vec<f64>| {
        let count = values.len() as f64;
        (!values.is_empty()).then(|| values.iter().sum::<f64>() / count)
    };
    let least = |values: Vec<f64>| values.into_iter().reduce(f64::min);
    let mut by_name: HashMap<&str, Vec<_>> = HashMap::new();
    for layer in parts.iter().flat_map(|part| &part.layers) {
        by_name.entry(&layer.name).or_default().push(layer);
    }
    for layer in &mut run.layers {
        let Some(seen) = by_name.get(&layer.name[..]) else {
            continue;
        };
        let of = |get: fn(&crate::measure::LayerRun) -> Option<f64>| -> Vec<f64> {
            seen.iter().filter_map(|layer| get(layer)).collect()
        };
        layer.sample_distance = mean(of(|layer| layer.sample_distance));
        // The run itself has that of an activation in one node.
        let saturated = mean(of(|layer| layer.saturated_fraction));
        layer.saturated_fraction = layer.saturated_fraction.or(saturated);
        layer.lost_rows_fraction = mean(of(|layer| layer.lost_rows_fraction));
        layer.saturated_units_fraction = least(of(|layer| layer.saturated_units_fraction));
        layer.flat_units_fraction = least(of(|layer| layer.flat_units_fraction));
        layer.twin_units_fraction = least(of(|layer| layer.twin_units_fraction));
        if layer.dead_fraction.is_some_and(|dead| dead > 0.0) {
            layer.dead_for_ever_fraction = least(of(|layer| layer.dead_for_ever_fraction));
        }
    }
    run.head = parts.first().and_then(|part| part.head.clone());
    if let Some(head) = &mut run.head {
        let heads = || parts.iter().filter_map(|part| part.head.as_ref());
        let outside = heads().filter_map(|head| head.targets_out_of_range);
        head.targets_out_of_range = mean(outside.collect());
        head.binary_targets = heads().all(|head| head.binary_targets);
    }
    run.output = parts.first().and_then(|part| part.output);
    if let Some(output) = &mut run.output {
        let outputs = parts.iter().filter_map(|part| part.output);
        let excess: Vec<f64> = outputs.map(|output| output.excess_nats).collect();
        output.excess_nats = mean(excess).unwrap_or(output.excess_nats);
    }
    run.input = parts.first().and_then(|part| part.input);
    if let Some(input) = &mut run.input {
        let inputs = || parts.iter().filter_map(|part| part.input.as_ref());
        let of = |get: fn(&crate::measure::InputRun) -> f64| inputs().map(get).collect();
        input.mean = mean(of(|input| input.mean)).unwrap_or(input.mean);
        let square = mean(of(|input| input.rms * input.rms));
        input.rms = square.map_or(input.rms, f64::sqrt);
        input.max_abs = of(|input| input.max_abs).into_iter().fold(0.0, f64::max);
        input.feature_ratio = None;
    }
}

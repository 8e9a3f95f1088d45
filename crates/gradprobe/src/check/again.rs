//! The first seed's run, and its weights once more: after their first update, and on the batches of
//! the other seeds. What is dead on one batch, or which way one batch's gradient points, says little
//! of others.

use super::CheckError;
use crate::graph::{Graph, Objective};
use crate::import::Subject;
use crate::measure::{
    Batches, BatchesProbe, FirstStep, Optimiser, RunMeasurement, measure, updated,
};
use crate::num::Tensor;
use crate::run::{Executor, Gradients, ObserverPair, Options, RunElement};

/// Networks with more trained numbers do not have their gradients kept, so that a check needs no
/// memory for all of them: nothing is said of their first step, and of their noise over batches.
const MOST_TRAINED: usize = 1 << 24;
/// Batches that are seen, the seed's own among them.
const MOST_BATCHES: usize = 4;
/// log10 of update over weight from which on the step is tried: below, it is an ordinary one.
const TRIED_FROM: f64 = -2.5;

/// What the first seed shows.
pub(super) struct FirstSeed {
    pub run: RunMeasurement,
    pub first_step: Option<FirstStep>,
    pub batches: Option<Batches>,
}

pub(super) fn run<T: RunElement>(
    network: &dyn Subject,
    graph: &Graph,
    batch: &[Tensor<f64>],
    options: Options,
    optimiser: Option<Optimiser>,
) -> Result<FirstSeed, CheckError> {
    let inputs = cast::<T>(batch);
    let has_loss = matches!(graph.objective(), Objective::Loss(_));
    let has_noise = has_loss && network.has_given_targets();
    let keep_gradients = has_loss && graph.trainable_count() <= MOST_TRAINED;
    let options = Options {
        keep_gradients,
        ..options
    };
    let mut executor = Executor::<T>::new(graph, options)?;
    let mut probe = super::probe(graph, options.mode, network);
    let mut seen = BatchesProbe::new(graph);
    let mut pair = ObserverPair(&mut probe, &mut seen);
    let output = executor.run_observed(&inputs, &mut pair)?;
    let mut run = measure(graph, &output.trace, optimiser, options.seed);
    probe.add_to(&mut run, &inputs);

    let first_step = match optimiser {
        Some(optimiser) if keep_gradients && is_large(&run) => step(
            graph,
            &mut executor,
            &inputs,
            &output.gradients,
            optimiser,
            &run,
        )?,
        _ => None,
    };
    let has_dead = run
        .layers
        .iter()
        .any(|layer| layer.dead_fraction.is_some_and(|dead| dead > 0.0));
    let others = match has_dead || has_noise && keep_gradients {
        true => other_batches(network, batch)?,
        false => Vec::new(),
    };
    let no_gradients: Gradients<T> = Vec::new();
    seen.end_batch(&output.gradients);
    drop(output);
    for other in &others {
        let inputs = cast::<T>(other);
        if has_noise && keep_gradients {
            let output = executor.run_observed(&inputs, &mut seen)?;
            seen.end_batch(&output.gradients);
        } else {
            executor.evaluate(&inputs, &mut seen)?;
            seen.end_batch(&no_gradients);
        }
    }
    let batches = (!others.is_empty()).then(|| seen.finish(options.seed, share_of_rows(network)));
    Ok(FirstSeed {
        run,
        first_step,
        batches,
    })
}

fn cast<T: RunElement>(batch: &[Tensor<f64>]) -> Vec<Tensor<T>> {
    batch.iter().map(Tensor::cast).collect()
}

/// The share of the data's rows that a batch holds.
fn share_of_rows(network: &dyn Subject) -> f64 {
    let rows = network.data_rows();
    rows.map_or(0.0, |rows| network.batch_size() as f64 / rows.max(1) as f64)
}

/// The batches of the other seeds, as far as they are others: a file may have no more rows than
/// one holds, and arrays that are given are the same for every seed.
fn other_batches(
    network: &dyn Subject,
    first: &[Tensor<f64>],
) -> Result<Vec<Vec<Tensor<f64>>>, CheckError> {
    let mut batches: Vec<Vec<Tensor<f64>>> = Vec::new();
    if share_of_rows(network) >= 1.0 {
        return Ok(batches);
    }
    for &seed in network.seeds().iter().skip(1).take(MOST_BATCHES - 1) {
        let batch = network.batch(seed)?;
        let is_same = |other: &[Tensor<f64>]| {
            let mut pairs = batch.iter().zip(other);
            pairs.all(|(one, other)| one.data() == other.data())
        };
        if !is_same(first) && !batches.iter().any(|other| is_same(other)) {
            batches.push(batch);
        }
    }
    Ok(batches)
}

fn is_large(run: &RunMeasurement) -> bool {
    let parameters = run.layers.iter().flat_map(|layer| &layer.parameters);
    let mut weights = parameters.filter(|parameter| parameter.fan_in.is_some());
    weights.any(|weight| {
        weight
            .log10_update_ratio
            .is_some_and(|ratio| ratio >= TRIED_FROM)
    })
}

fn step<T: RunElement>(
    graph: &Graph,
    executor: &mut Executor<'_, T>,
    inputs: &[Tensor<T>],
    gradients: &Gradients<T>,
    optimiser: Optimiser,
    run: &RunMeasurement,
) -> Result<Option<FirstStep>, CheckError> {
    let Some(loss_before) = run.loss.filter(|loss| loss.is_finite()) else {
        return Ok(None);
    };
    let after = updated(graph, executor.parameters(), gradients, optimiser);
    let before = executor.set_parameters(after);
    let mut nobody = ();
    let loss = executor.evaluate(inputs, &mut nobody);
    executor.set_parameters(before);
    Ok(Some(FirstStep {
        seed: run.seed,
        loss_before,
        loss_after: loss?.filter(|loss| loss.is_finite()),
    }))
}

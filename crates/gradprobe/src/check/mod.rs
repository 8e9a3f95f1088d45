//! The whole way of a check: a network is built, run and measured once a seed, and judged.

use crate::diagnose::{Diagnosis, diagnose};
use crate::graph::Graph;
use crate::import::spec::{Dtype, LossKind, Network, OptimiserKind, SpecError, Specification};
use crate::measure::{Measurement, Optimiser, RunMeasurement, aggregate, measure};
use crate::num::{Tensor, Threads};
use crate::run::{Executor, Options, RunElement, RunError};

/// Why a check stops.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckError {
    /// The network cannot be built, or its data not read.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// The network cannot be run.
    #[error(transparent)]
    Run(#[from] RunError),
}

/// What a check found.
#[derive(Clone, Debug)]
pub struct Check {
    /// What was measured.
    pub measurement: Measurement,
    /// What is judged of it.
    pub diagnosis: Diagnosis,
}

/// Builds, runs and measures a network once for each of its seeds, and judges it.
///
/// `threads` is the number of threads, 0 for one a core; the result does not depend on it.
/// `progress` is told after every seed how many are done.
///
/// # Errors
/// If the network does not fit its memory, its data do not fit it, or an op cannot compute.
pub fn check(
    network: &Network,
    threads: usize,
    progress: &mut dyn FnMut(usize),
) -> Result<Check, CheckError> {
    let specification = network.specification();
    let pool = Threads::new(threads).map_err(RunError::from)?;
    let mut runs = Vec::with_capacity(specification.seeds.len());
    let mut trainable = 0;
    for (done, &seed) in specification.seeds.iter().enumerate() {
        let graph = pool.install(|| network.build(seed))?;
        trainable = graph.trainable_count();
        let batch = network.batch(seed)?;
        let options = Options {
            mode: specification.mode,
            threads,
            seed,
            ..Options::default()
        };
        runs.push(match specification.dtype {
            Dtype::F32 => run::<f32>(&graph, &batch, options, specification)?,
            Dtype::F64 => run::<f64>(&graph, &batch, options, specification)?,
        });
        progress(done + 1);
    }
    let (loss, layers) = aggregate(&runs);
    let measurement = Measurement {
        network: title(specification),
        dtype: match specification.dtype {
            Dtype::F32 => "f32".into(),
            Dtype::F64 => "f64".into(),
        },
        mode: specification.mode,
        batch: specification.batch,
        trainable,
        objective: objective(specification.loss.kind).into(),
        optimiser: optimiser(specification),
        loss,
        layers,
        runs,
    };
    let diagnosis = diagnose(&measurement);
    Ok(Check {
        measurement,
        diagnosis,
    })
}

fn run<T: RunElement>(
    graph: &Graph,
    batch: &[Tensor<f64>],
    options: Options,
    specification: &Specification,
) -> Result<RunMeasurement, RunError> {
    let inputs: Vec<Tensor<T>> = batch.iter().map(Tensor::cast).collect();
    let output = Executor::<T>::new(graph, options)?.run(&inputs)?;
    Ok(measure(
        graph,
        &output.trace,
        optimiser(specification),
        options.seed,
    ))
}

fn optimiser(specification: &Specification) -> Option<Optimiser> {
    let given = &specification.optimiser;
    let learning_rate = given.learning_rate;
    Some(match given.kind {
        OptimiserKind::Sgd | OptimiserKind::Momentum { .. } => Optimiser::Sgd { learning_rate },
        OptimiserKind::Adam { eps, .. } => Optimiser::Adam {
            learning_rate,
            epsilon: eps,
            weight_decay: 0.0,
        },
        OptimiserKind::AdamW { eps, .. } => {
            let weight_decay = given.weight_decay;
            Optimiser::Adam {
                learning_rate,
                epsilon: eps,
                weight_decay,
            }
        }
    })
}

/// What the network is called: its name, else its file's.
fn title(specification: &Specification) -> String {
    let file = || specification.source.path.as_ref()?.file_stem();
    specification
        .name
        .clone()
        .or_else(|| file().map(|stem| stem.to_string_lossy().into_owned()))
        .unwrap_or_else(|| "network".into())
}

fn objective(loss: LossKind) -> &'static str {
    match loss {
        LossKind::CrossEntropy => "cross-entropy",
        LossKind::BceWithLogits => "binary cross-entropy",
        LossKind::Mse => "mean squared error",
        LossKind::L1 => "mean absolute error",
        LossKind::Huber { .. } => "Huber",
        LossKind::Output => "the output itself is differentiated",
        LossKind::RandomCotangent => "a random cotangent is pulled back from the output",
    }
}

//! The whole way of a command that runs a network. Here that of a check: a network is built, run
//! and measured once a seed, and judged.

mod again;
mod jacobian;
mod turns;

pub use jacobian::{JacobianRequest, jacobians};

use crate::diagnose::{Diagnosis, RuleSet, diagnose_by};
use crate::graph::Graph;
use crate::import::onnx::FileNumbers;
use crate::import::onnx::OnnxError;
use crate::import::spec::{self, Dtype, OptimiserKind, SpecError};
use crate::import::{ImportError, Subject};
use crate::measure::precision::{PrecisionOptions, RunSettings, examine_precision};
use crate::measure::{
    BesideTheory, JacobianError, Measurement, Optimiser, Probe, RunMeasurement, aggregate,
    beside_theory, measure,
};
use crate::num::{Tensor, Threads};
use crate::ops::Mode;
use crate::run::{Checkpoint, Executor, Options, RunElement, RunError};

/// Why a check stops.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckError {
    /// The network cannot be built, or its data not read.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// The ONNX file cannot be read, or not converted.
    #[error(transparent)]
    Onnx(#[from] OnnxError),
    /// The network cannot be run.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The network cannot be run on inputs that were made up.
    #[error("{source}; the inputs were made up ({inputs}): give yours with --data or --input")]
    MadeUp {
        /// What went wrong.
        source: Box<RunError>,
        /// The inputs, in words.
        inputs: String,
    },
    /// There is no Jacobian to measure.
    #[error(transparent)]
    Jacobian(#[from] JacobianError),
}

impl From<ImportError> for CheckError {
    fn from(error: ImportError) -> Self {
        match error {
            ImportError::Spec(error) => Self::Spec(error),
            ImportError::Onnx(error) => Self::Onnx(error),
        }
    }
}

/// What a check found.
#[derive(Clone, Debug)]
pub struct Check {
    /// What was measured.
    pub measurement: Measurement,
    /// What is judged of it.
    pub diagnosis: Diagnosis,
    /// What theory says of the stretches that fit one, beside what was measured.
    pub theory: BesideTheory,
}

/// What a check may use; its result depends on none of it. Made of a number of threads too.
#[derive(Clone, Copy, Debug, Default)]
pub struct Resources {
    /// Threads to use; 0 is one a core.
    pub threads: usize,
    /// What is kept of the forward pass, and what is computed again.
    pub checkpoint: Checkpoint,
}

impl From<usize> for Resources {
    fn from(threads: usize) -> Self {
        Self {
            threads,
            ..Self::default()
        }
    }
}

/// A mistake that came up in a run; that of an op may be due to inputs that were made up.
fn run_failed(network: &dyn Subject, error: RunError) -> CheckError {
    let made_up = network.made_up_inputs();
    let doubtful = made_up.iter().filter(|input| input.is_doubtful);
    let inputs: Vec<&str> = doubtful.map(|input| &input.description[..]).collect();
    match error {
        source @ RunError::Node { .. } if !inputs.is_empty() => CheckError::MadeUp {
            source: Box::new(source),
            inputs: inputs.join(", "),
        },
        error => error.into(),
    }
}

/// Builds, runs and measures a network once for each of its seeds, and judges it by the rules that
/// it chooses itself, else by gradprobe's own.
///
/// `progress` is told after every seed how many are done.
///
/// # Errors
/// If the network does not fit its memory, its data do not fit it, an op cannot compute, or it
/// names a rule that there is not.
pub fn check(
    network: &dyn Subject,
    resources: impl Into<Resources>,
    progress: &mut dyn FnMut(usize),
) -> Result<Check, CheckError> {
    let rules = RuleSet::new(network.rules())?;
    check_by(
        &rules,
        network,
        resources,
        &PrecisionOptions::default(),
        progress,
    )
}

/// Builds, runs and measures a network once for each of its seeds, judges it by these rules, and
/// examines what other types make of the gradient of the first seed.
///
/// `progress` is told after every seed how many are done.
///
/// # Errors
/// If the network does not fit its memory, its data do not fit it, or an op cannot compute.
pub fn check_by(
    rules: &RuleSet,
    network: &dyn Subject,
    resources: impl Into<Resources>,
    precision: &PrecisionOptions,
    progress: &mut dyn FnMut(usize),
) -> Result<Check, CheckError> {
    let Resources {
        threads,
        checkpoint,
    } = resources.into();
    let pool = Threads::new(threads).map_err(RunError::from)?;
    let optimiser = network.optimiser().map(optimiser);
    let mut runs = Vec::with_capacity(network.seeds().len());
    let mut trainable = 0;
    let mut precision_reports = Vec::new();
    let mut built = None;
    let (mut first_step, mut batches) = (None, None);
    for (done, &seed) in network.seeds().iter().enumerate() {
        // One network at a time in memory.
        drop(built.take());
        let graph = pool.install(|| network.build(seed))?;
        trainable = graph.trainable_count();
        let parts = network.batches(seed)?;
        let options = Options {
            mode: network.mode(),
            threads,
            checkpoint,
            seed,
            ..Options::default()
        };
        let failed = |error: CheckError| match error {
            CheckError::Run(error) => run_failed(network, error),
            error => error,
        };
        if done == 0 {
            let first = match network.dtype() {
                Dtype::F32 => first_seed::<f32>(network, &graph, &parts, options, optimiser),
                Dtype::F64 => first_seed::<f64>(network, &graph, &parts, options, optimiser),
            };
            let first = first.map_err(failed)?;
            runs.push(first.run);
            (first_step, batches) = (first.first_step, first.batches);
        } else {
            let run = match network.dtype() {
                Dtype::F32 => run::<f32>(network, &graph, &parts, options, optimiser),
                Dtype::F64 => run::<f64>(network, &graph, &parts, options, optimiser),
            };
            runs.push(run.map_err(|error| run_failed(network, error))?);
        }
        if done == 0 && !precision.precisions.is_empty() {
            let settings = RunSettings {
                mode: options.mode,
                threads,
                seed,
                optimiser,
            };
            precision_reports = examine_precision(&graph, &parts[0], precision, &settings)?;
        }
        progress(done + 1);
        built = Some(graph);
    }
    let theory = built.map_or_else(BesideTheory::default, |graph| {
        let fresh = network.is_freshly_drawn();
        beside_theory(&graph, &runs, network.mode(), network.batch_size(), fresh)
    });
    let (loss, layers) = aggregate(&runs);
    let measurement = Measurement {
        network: network.title(),
        dtype: network.dtype().to_string(),
        mode: network.mode(),
        batch: network.batch_size(),
        trainable,
        file_numbers: match network.tensors() {
            [] => None,
            tensors => Some(FileNumbers::of(tensors)),
        },
        objective: network.objective(),
        notes: network.notes().to_vec(),
        draws_weights: network.is_freshly_drawn(),
        made_up_inputs: network.made_up_inputs(),
        is_exported: network.is_exported(),
        given_targets: network.has_given_targets(),
        given_loss: network.has_given_loss(),
        optimiser,
        loss,
        layers,
        runs,
        batches,
        first_step,
        precision: precision_reports,
    };
    let diagnosis = diagnose_by(rules, &measurement);
    Ok(Check {
        measurement,
        diagnosis,
        theory,
    })
}

fn first_seed<T: RunElement>(
    network: &dyn Subject,
    graph: &Graph,
    parts: &[Vec<Tensor<f64>>],
    options: Options,
    optimiser: Option<Optimiser>,
) -> Result<again::FirstSeed, CheckError> {
    match parts {
        [batch] => again::run::<T>(network, graph, batch, options, optimiser),
        parts => Ok(again::FirstSeed {
            run: turns::run::<T>(network, graph, parts, options, optimiser)?,
            first_step: None,
            batches: None,
        }),
    }
}

fn run<T: RunElement>(
    network: &dyn Subject,
    graph: &Graph,
    parts: &[Vec<Tensor<f64>>],
    options: Options,
    optimiser: Option<Optimiser>,
) -> Result<RunMeasurement, RunError> {
    let [batch] = parts else {
        return turns::run::<T>(network, graph, parts, options, optimiser);
    };
    let inputs: Vec<Tensor<T>> = batch.iter().map(Tensor::cast).collect();
    let mut executor = Executor::<T>::new(graph, options)?;
    let mut probe = probe(graph, options.mode, network);
    let output = executor.run_observed(&inputs, &mut probe)?;
    let mut run = measure(graph, &output.trace, optimiser, options.seed);
    probe.add_to(&mut run, &inputs);
    Ok(run)
}

fn probe<'g>(graph: &'g Graph, mode: Mode, network: &dyn Subject) -> Probe<'g> {
    let probe = Probe::new(graph, mode);
    match network.has_given_targets() {
        true => probe,
        false => probe.without_noise(),
    }
}

fn optimiser(given: &spec::Optimiser) -> Optimiser {
    let learning_rate = given.learning_rate;
    match given.kind {
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
    }
}

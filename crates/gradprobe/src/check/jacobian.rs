//! The whole way of `gradprobe jacobian`: a network is built, run forward and linearised, once a
//! seed and sample.

use super::CheckError;
use crate::graph::Graph;
use crate::import::Subject;
use crate::import::spec::Dtype;
use crate::measure::{
    JacobianError, JacobianOptions, JacobianRun, Jacobians, MAY_BE_TRAINED, jacobian,
};
use crate::num::linalg::SpectralElement;
use crate::num::{Tensor, Threads};
use crate::run::{Executor, Options, RunElement, RunError};

/// Which Jacobians `gradprobe jacobian` measures.
#[derive(Clone, Copy, Debug)]
pub struct JacobianRequest {
    /// How many samples of the batch, from the first on.
    pub samples: usize,
    /// How many singular values where all would be too many.
    pub largest: usize,
    /// Each layer as well as the whole?
    pub layers: bool,
}

/// Builds and linearises a network once for each of its seeds, at some samples of its batch.
///
/// `threads` is the number of threads, 0 for one a core. `progress` is told after every seed how
/// many are done.
///
/// # Errors
/// If the network does not fit its memory, its data do not fit it, an op cannot compute, or a
/// derivative is not finite.
pub fn jacobians(
    network: &dyn Subject,
    request: &JacobianRequest,
    threads: usize,
    progress: &mut dyn FnMut(usize),
) -> Result<Jacobians, CheckError> {
    let pool = Threads::new(threads).map_err(RunError::from)?;
    let mut runs = Vec::new();
    for (done, &seed) in network.seeds().iter().enumerate() {
        let graph = pool.install(|| network.build(seed))?;
        let batch = network.batch(seed)?;
        let options = Options {
            mode: network.mode(),
            statistics: false,
            threads,
            seed,
            ..Options::default()
        };
        let fresh = network.is_freshly_drawn();
        let of_seed = match network.dtype() {
            Dtype::F32 => at_samples::<f32>(&graph, &batch, options, request, fresh),
            Dtype::F64 => at_samples::<f64>(&graph, &batch, options, request, fresh),
        };
        runs.extend(of_seed?);
        progress(done + 1);
    }
    Ok(Jacobians {
        network: network.title(),
        dtype: network.dtype().to_string(),
        mode: network.mode(),
        batch: network.batch_size(),
        notes: network.notes().to_vec(),
        runs,
    })
}

fn at_samples<T: RunElement + SpectralElement>(
    graph: &Graph,
    batch: &[Tensor<f64>],
    options: Options,
    request: &JacobianRequest,
    fresh: bool,
) -> Result<Vec<JacobianRun>, JacobianError> {
    let inputs: Vec<Tensor<T>> = batch.iter().map(Tensor::cast).collect();
    let rows = inputs
        .first()
        .and_then(|input| input.shape().first().copied())
        .unwrap_or(1);
    let mut executor = Executor::<T>::new(graph, options)?;
    let at = executor.linearise(&inputs)?;
    let mut runs = Vec::new();
    for sample in 0..request.samples.min(rows) {
        let options = JacobianOptions {
            largest: request.largest,
            layers: request.layers,
            sample,
            seed: options.seed,
            theory: fresh,
        };
        let mut run = jacobian(graph, &at, &options)?;
        if !fresh {
            run.theory_silent = Some(MAY_BE_TRAINED.to_owned());
        }
        let is_of_batch = run.sample.is_none();
        runs.push(run);
        if is_of_batch {
            break;
        }
    }
    Ok(runs)
}

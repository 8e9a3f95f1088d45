//! A measured phase diagram: networks at every point of a grid of σ_w × σ_b, and what their
//! gradients do.
//!
//! All points share the draws of one seed, so that neighbours differ by their point alone, and the
//! rows of several points go through each product together ([`walk`]).

mod walk;

use super::{Experiment, ExperimentError, Normalisation, slope};
use crate::import::spec::{Network, Specification};
use crate::num::Threads;
use crate::ops::activation::Activation;
use crate::run::RunError;
use crate::theory::isometry::WeightEnsemble;
use crate::theory::mean_field::{BiasVariance, MeanField, WeightVariance};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::f64::consts::LN_10;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use walk::{Drawn, Extents, Norms, Workspace, walk};

/// Rows that go through a product together: enough to spread the reading of a weight over, few
/// enough for signals to stay in the cache.
const GROUP_ROWS: usize = 160;

/// The grid and its networks: what a measured diagram is the answer to. Two runs of equal settings
/// measure the same numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GridSettings {
    /// The activation, as [`parse`](crate::ops::activation::parse) reads it.
    pub activation: String,
    /// Points along σ_w and along σ_b.
    pub points: [usize; 2],
    /// The end of the plane along σ_w, which begins at 0: points are the middles of its cells.
    pub largest_sigma_w: f64,
    /// The end of the plane along σ_b.
    pub largest_sigma_b: f64,
    /// Layers.
    pub depth: usize,
    /// Units of every layer and of the input.
    pub width: usize,
    /// Rows of a batch, standard normal.
    pub batch: usize,
    /// Networks at each point; their seeds count from 0.
    pub networks: usize,
}

/// One network at one point.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GridRun {
    /// Its seed.
    pub network: usize,
    /// The point: σ_w counts fastest.
    pub point: usize,
    /// ln of the factor of the squared gradient a layer: the slope over all layers of ln of the
    /// squared norm of the gradient with respect to the pre-activations. `None` where a layer's is
    /// zero or not finite.
    pub rate: Option<f64>,
    /// log10 of the norm of the gradient with respect to each layer's weights, first layer first;
    /// `None` where it is zero or not finite.
    pub log10_gradient_norms: Vec<Option<f64>>,
}

/// A point of a measured diagram.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GridPoint {
    /// σ_w.
    pub sigma_w: f64,
    /// σ_b.
    pub sigma_b: f64,
    /// The mean over the networks of ln of the factor of the squared gradient a layer; `None` where
    /// one of them has none.
    pub measured_rate: Option<f64>,
    /// Theory's: the slope over all layers, from the length that a standard normal input gives.
    pub predicted_rate: Option<f64>,
    /// log10 of the norm of each layer's weight gradient, the mean over the networks.
    pub log10_gradient_norms: Vec<Option<f64>>,
}

/// A measured diagram.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MeasuredDiagram {
    /// What was asked for.
    #[serde(flatten)]
    pub settings: GridSettings,
    /// Every point, σ_w counting fastest.
    pub grid: Vec<GridPoint>,
}

impl GridSettings {
    /// The setting that differs in words, of one run and of another; `None` for equal ones.
    pub fn difference(&self, other: &Self) -> Option<String> {
        let name = |name: &str, one: &dyn std::fmt::Display, two: &dyn std::fmt::Display| {
            Some(format!("its {name} is {two}, not {one}"))
        };
        match (self, other) {
            (a, b) if a.activation != b.activation => {
                name("activation", &a.activation, &b.activation)
            }
            (a, b) if a.points != b.points => {
                let [wide, high] = a.points;
                let [other_wide, other_high] = b.points;
                name(
                    "grid",
                    &format_args!("{wide}x{high}"),
                    &format_args!("{other_wide}x{other_high}"),
                )
            }
            (a, b) if a.largest_sigma_w != b.largest_sigma_w => {
                name("largest σ_w", &a.largest_sigma_w, &b.largest_sigma_w)
            }
            (a, b) if a.largest_sigma_b != b.largest_sigma_b => {
                name("largest σ_b", &a.largest_sigma_b, &b.largest_sigma_b)
            }
            (a, b) if a.depth != b.depth => name("depth", &a.depth, &b.depth),
            (a, b) if a.width != b.width => name("width", &a.width, &b.width),
            (a, b) if a.batch != b.batch => name("batch", &a.batch, &b.batch),
            (a, b) if a.networks != b.networks => {
                name("number of networks", &a.networks, &b.networks)
            }
            _ => None,
        }
    }

    /// Points of the grid.
    pub fn point_count(&self) -> usize {
        self.points[0] * self.points[1]
    }

    /// Runs in all: a network at a point each.
    pub fn run_count(&self) -> usize {
        self.point_count() * self.networks
    }

    /// (σ_w, σ_b) of a point: the middle of its cell.
    pub fn point(&self, index: usize) -> (f64, f64) {
        let [across, up] = self.points;
        let middle =
            |index: usize, count: usize, end: f64| (index as f64 + 0.5) * end / count as f64;
        (
            middle(index % across, across, self.largest_sigma_w),
            middle(index / across, up, self.largest_sigma_b),
        )
    }

    fn extents(&self) -> Extents {
        Extents {
            depth: self.depth,
            width: self.width,
            batch: self.batch,
        }
    }

    /// Are these runs some of this grid's, each of them once and whole?
    pub fn owns(&self, runs: &[GridRun]) -> bool {
        let mut seen = vec![false; self.run_count()];
        runs.iter().all(|run| {
            let inside = run.point < self.point_count()
                && run.network < self.networks
                && run.log10_gradient_norms.len() == self.depth;
            inside && {
                let place = &mut seen[run.network * self.point_count() + run.point];
                !std::mem::replace(place, true)
            }
        })
    }
}

/// Draws and runs the networks of a grid that are not among `finished`, on `threads` (0: one a
/// core); no number depends on how many, nor on what was finished before.
///
/// `progress` is given the runs of each group of points when they are done. When `stop` becomes
/// true what is on its way is given up, soon.
///
/// # Errors
/// If the network does not fit the memory, or threads cannot be started.
pub fn measure_grid(
    settings: &GridSettings,
    activation: &std::sync::Arc<dyn Activation>,
    finished: &[GridRun],
    threads: usize,
    stop: &AtomicBool,
    progress: &(dyn Fn(Vec<GridRun>) + Sync),
) -> Result<(), ExperimentError> {
    // The engine's own plan says whether a network of this size fits.
    let network = Experiment {
        name: String::new(),
        activation: Arc::clone(activation),
        weights: WeightVariance::from_sigma_w(1.0),
        biases: BiasVariance::ZERO,
        ensemble: WeightEnsemble::Gaussian,
        normalisation: Normalisation::None,
        depth: settings.depth,
        width: settings.width,
        batch: settings.batch,
        networks: 1,
        singular_values: false,
    };
    Network::new(Specification::parse(&network.specification())?)?;
    let mut is_finished = vec![false; settings.run_count()];
    for run in finished {
        if let Some(place) = is_finished.get_mut(run.network * settings.point_count() + run.point) {
            *place = true;
        }
    }
    let pool = Threads::new(threads).map_err(RunError::from)?;
    let group = (GROUP_ROWS / settings.batch.max(1)).max(1);
    pool.install(|| {
        for (network, is_finished) in is_finished.chunks(settings.point_count()).enumerate() {
            let left: Vec<usize> = (0..settings.point_count())
                .filter(|&point| !is_finished[point])
                .collect();
            if left.is_empty() {
                continue;
            }
            let Some(drawn) = Drawn::new(network as u64, settings.extents(), stop) else {
                return;
            };
            left.par_chunks(group).with_max_len(1).for_each_init(
                Workspace::default,
                |space, points| {
                    let at: Vec<(f64, f64)> =
                        points.iter().map(|&point| settings.point(point)).collect();
                    if let Some(norms) = walk(&drawn, &**activation, &at, space, stop) {
                        let runs = points.iter().zip(norms);
                        progress(
                            runs.map(|(&point, norms)| run(network, point, norms))
                                .collect(),
                        );
                    }
                },
            );
            if stop.load(Ordering::Relaxed) {
                return;
            }
        }
    });
    Ok(())
}

fn run(network: usize, point: usize, norms: Norms) -> GridRun {
    let some = |log10: f64| log10.is_finite().then_some(log10);
    let backward: Option<Vec<f64>> = norms.backward.iter().map(|&log10| some(log10)).collect();
    // Towards the input, as the gradient runs.
    let rate = backward.and_then(|decades| Some(-2.0 * LN_10 * slope(decades)?));
    GridRun {
        network,
        point,
        rate,
        log10_gradient_norms: norms.weights.into_iter().map(some).collect(),
    }
}

impl MeasuredDiagram {
    /// The diagram of all runs of a grid, with theory beside.
    ///
    /// `threads` is 0 for one a core.
    ///
    /// # Errors
    /// If threads cannot be started.
    pub fn of(
        settings: GridSettings,
        activation: &dyn Activation,
        runs: &[GridRun],
        threads: usize,
    ) -> Result<Self, ExperimentError> {
        let mut by_point: Vec<Vec<&GridRun>> = vec![Vec::new(); settings.point_count()];
        for run in runs {
            if let Some(of_point) = by_point.get_mut(run.point) {
                of_point.push(run);
            }
        }
        // Sums have one order.
        by_point
            .iter_mut()
            .for_each(|of_point| of_point.sort_by_key(|run| run.network));
        let pool = Threads::new(threads).map_err(RunError::from)?;
        let grid = pool.install(|| {
            by_point
                .par_iter()
                .enumerate()
                .map(|(index, runs)| {
                    let (sigma_w, sigma_b) = settings.point(index);
                    let layer =
                        |layer: usize| mean(runs.iter().map(|run| run.log10_gradient_norms[layer]));
                    GridPoint {
                        sigma_w,
                        sigma_b,
                        measured_rate: mean(runs.iter().map(|run| run.rate)),
                        predicted_rate: predicted(activation, sigma_w, sigma_b, settings.depth),
                        log10_gradient_norms: (0..settings.depth).map(layer).collect(),
                    }
                })
                .collect()
        });
        Ok(Self { settings, grid })
    }
}

/// The mean, if all are there and there is one.
fn mean(values: impl ExactSizeIterator<Item = Option<f64>>) -> Option<f64> {
    let count = values.len();
    let sum: Option<f64> = values.sum();
    sum.filter(|_| count > 0).map(|sum| sum / count as f64)
}

/// Theory's rate over `depth` layers from standard normal inputs.
fn predicted(activation: &dyn Activation, sigma_w: f64, sigma_b: f64, depth: usize) -> Option<f64> {
    let (weights, biases) = (
        WeightVariance::from_sigma_w(sigma_w),
        BiasVariance::from_sigma_b(sigma_b),
    );
    let network = MeanField::new(activation, weights, biases);
    let mut q = weights.sigma_w_squared() + biases.sigma_b_squared();
    let mut sums = Vec::with_capacity(depth);
    let (mut sum, mut before) = (0.0, None);
    for _ in 0..depth {
        sums.push(sum);
        // Where the length has settled, every layer is the one before.
        let rate = match before {
            Some((at, rate)) if q / at > 1.0 - 1e-9 && q / at < 1.0 + 1e-9 => rate,
            _ => {
                let rate = libm::log(network.chi_1(q));
                before = Some((q, rate));
                q = network.length_map(q);
                rate
            }
        };
        sum += rate;
    }
    slope(sums).filter(|rate| rate.is_finite())
}

#[cfg(test)]
mod tests;

//! Theory held against the engine: networks are drawn, run and measured, and what theory says of
//! them stands beside.
//!
//! [`compare`] is the one mechanism; [`published`] lists experiments from papers, each a setting of
//! it and a figure.

mod grid;
mod published;

pub use grid::{GridPoint, GridRun, GridSettings, MeasuredDiagram, measure_grid};
pub use published::{CaseResult, PublishedExperiment, published};

use super::trend::{Direction, Law, trend};
use crate::graph::Graph;
use crate::import::spec::{Network, SpecError, Specification};
use crate::measure::{JacobianError, JacobianOptions, LayerRun, RunMeasurement, jacobian, measure};
use crate::num::{Shape, Stream, Tensor, Threads};
use crate::ops::activation::Activation;
use crate::run::{Executor, Options, RunError};
use crate::theory::finite_width::LogNormal;
use crate::theory::isometry::{JacobianLayer, JacobianSpectrum, WeightEnsemble};
use crate::theory::mean_field::{BiasVariance, LengthLimit, MeanField, Stability, WeightVariance};
use crate::theory::normalised::{batch_norm_rate, layer_norm_rate};
use rayon::prelude::*;
use serde::Serialize;
use std::f64::consts::LN_10;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Layers at the input that a rate with normalisation leaves out: there the signal settles.
const SETTLING: usize = 4;
/// Standard errors that the band is wide.
const DEVIATIONS: f64 = 3.0;
/// Theory's own error: terms of second order, as a multiple of 1/width.
const SECOND_ORDER: f64 = 2.0;

/// A normalisation before each activation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Normalisation {
    /// None.
    #[default]
    None,
    /// Batch normalisation in training mode.
    Batch,
    /// Layer normalisation.
    Layer,
}

/// Networks to draw and measure.
#[derive(Clone, Debug)]
pub struct Experiment {
    /// What it is called in a table.
    pub name: String,
    /// The activation.
    pub activation: Arc<dyn Activation>,
    /// σ_w².
    pub weights: WeightVariance,
    /// σ_b².
    pub biases: BiasVariance,
    /// How weights are drawn.
    pub ensemble: WeightEnsemble,
    /// A normalisation before each activation.
    pub normalisation: Normalisation,
    /// Layers.
    pub depth: usize,
    /// Units of every layer and of the input.
    pub width: usize,
    /// Rows of the batch.
    pub batch: usize,
    /// How many networks.
    pub networks: u64,
    /// Compute the singular values of each network's Jacobian at one row?
    pub singular_values: bool,
}

/// What theory says and what was measured. Rates are ln of the factor of the squared gradient norm
/// a layer, as slopes over all layers.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// What it is called in a table.
    pub name: String,
    /// Networks.
    pub networks: usize,
    /// The setting in words.
    pub setting: String,
    /// Theory's rate.
    pub predicted_rate: f64,
    /// Theory's standard deviation of one network's rate; `None` with normalisation, for which
    /// there is no theory of it: the measured one is taken.
    pub predicted_deviation: Option<f64>,
    /// The mean rate of the networks.
    pub measured_rate: f64,
    /// The standard deviation over the networks.
    pub measured_deviation: f64,
    /// The standard error of the mean.
    pub standard_error: f64,
    /// How far the mean may lie from theory: three standard errors, and 2/width for terms of
    /// second order.
    pub band: f64,
    /// Does it lie within?
    pub inside: bool,
    /// ln of the squared gradient from output to input: theory.
    pub predicted_log_normal: Option<LogNormal>,
    /// The same, measured over the networks.
    pub measured_log_normal: LogNormal,
    /// q of the last layer: theory.
    pub predicted_last_length: Option<f64>,
    /// The same, measured.
    pub measured_last_length: f64,
    /// The law that the backward signal follows over depth in the first network.
    pub law: Option<Law>,
    /// The largest singular value of the Jacobian: theory, for a depth far below the width. `None`
    /// where singular values were not measured, as with normalisation.
    pub predicted_largest: Option<f64>,
    /// The same, measured: the mean over the networks.
    pub measured_largest: Option<f64>,
    /// The variance of the squared singular values over the square of their mean: theory.
    pub predicted_relative_variance: Option<f64>,
    /// The same, measured.
    pub measured_relative_variance: Option<f64>,
    /// The smallest singular value, measured: the mean over the networks.
    pub measured_smallest: Option<f64>,
}

/// Why an experiment stops.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExperimentError {
    /// The network cannot be built: too large for its memory, say.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// An op could not compute.
    #[error(transparent)]
    Run(#[from] RunError),
    /// A Jacobian that is not finite.
    #[error(transparent)]
    Jacobian(#[from] JacobianError),
    /// Nothing of the signal arrives, so that there is no rate.
    #[error("{0}: the signal is exactly zero or not finite somewhere; there is no rate to measure")]
    NoSignal(String),
}

impl Experiment {
    fn specification(&self) -> String {
        let norm = match self.normalisation {
            Normalisation::None => "",
            Normalisation::Batch => ", norm = \"batch\"",
            Normalisation::Layer => ", norm = \"layer\"",
        };
        let init = match self.ensemble {
            WeightEnsemble::Gaussian => format!(
                "{{ name = \"normal\", sigma_w2 = {:e}, sigma_b2 = {:e} }}",
                self.weights.sigma_w_squared(),
                self.biases.sigma_b_squared()
            ),
            WeightEnsemble::Orthogonal => format!(
                "{{ name = \"orthogonal\", gain = {:e} }}",
                self.weights.sigma_w()
            ),
        };
        let bias = if self.biases == BiasVariance::ZERO {
            "bias = false, ".to_owned()
        } else if self.ensemble == WeightEnsemble::Orthogonal {
            let deviation = self.biases.sigma_b();
            format!("bias = {{ name = \"normal\", std = {deviation:e} }}, ")
        } else {
            String::new()
        };
        let (depth, width, batch) = (self.depth, self.width, self.batch);
        // A string of JSON is one of TOML.
        let activation = serde_json::Value::String(self.activation.label());
        format!(
            "batch = {batch}\nseeds = 1\nloss = \"random-cotangent\"\n\
             layers = [{{ repeat = {depth}, linear = {width}, activation = {activation}{norm} }}]\n\
             input = {{ shape = [{width}], values = \"normal\" }}\n\
             defaults = {{ {bias}init = {init} }}\n"
        )
    }

    fn mean_field(&self) -> MeanField<'_> {
        MeanField::new(&*self.activation, self.weights, self.biases)
    }

    /// The variance of the first pre-activation: that which stays, where there is one, else 1.
    fn first_length(&self) -> f64 {
        match self.mean_field().limit(1.0) {
            LengthLimit::FixedPoint(point)
                if point.stability == Stability::Stable
                    && self.normalisation == Normalisation::None
                    && point.q > 1e-6 =>
            {
                point.q
            }
            _ => 1.0,
        }
    }

    /// Rows whose first pre-activation has the variance `q`: normal inputs of the right size.
    fn batch(&self, seed: u64, q: f64) -> Tensor<f32> {
        let variance = (q - self.biases.sigma_b_squared()) / self.weights.sigma_w_squared();
        let mut rows = Tensor::zeros(Shape::from([self.batch, self.width]));
        let deviation = variance.max(0.0).sqrt();
        Stream::new(seed, "x").fill_normal(0.0, deviation, rows.data_mut());
        rows
    }
}

/// What one network gave.
struct Sample {
    run: RunMeasurement,
    /// ln ‖J u‖².
    log: f64,
    singular_values: Option<SingularValues>,
}

/// Of one network's Jacobian.
#[derive(Clone, Copy)]
struct SingularValues {
    largest: f64,
    smallest: f64,
    relative_variance: f64,
}

/// Draws networks, measures them and puts theory beside.
///
/// `threads` is 0 for one a core; the result does not depend on it. `progress` is told how many
/// networks are done.
///
/// # Errors
/// If a network does not fit its memory or an op cannot compute.
pub fn compare(
    experiment: &Experiment,
    threads: usize,
    progress: &(dyn Fn(usize) + Sync),
) -> Result<Comparison, ExperimentError> {
    let network = Network::new(Specification::parse(&experiment.specification())?)?;
    let q = experiment.first_length();
    let pool = Threads::new(threads).map_err(RunError::from)?;
    let done = AtomicUsize::new(0);
    let sample = |seed: u64| -> Result<Sample, ExperimentError> {
        let graph = network.build(seed)?;
        let sample = run(experiment, &graph, seed, q)?;
        progress(done.fetch_add(1, Ordering::Relaxed) + 1);
        Ok(sample)
    };
    let samples: Vec<Sample> = pool.install(|| {
        (0..experiment.networks)
            .into_par_iter()
            .map(sample)
            .collect::<Result<_, _>>()
    })?;
    comparison(experiment, q, &samples)
}

fn run(
    experiment: &Experiment,
    graph: &Graph,
    seed: u64,
    q: f64,
) -> Result<Sample, ExperimentError> {
    let options = Options {
        threads: 1,
        seed,
        input_gradients: true,
        ..Options::default()
    };
    let rows = [experiment.batch(seed, q)];
    let mut executor = Executor::<f32>::new(graph, options)?;
    let output = executor.run(&rows)?;
    let run = measure(graph, &output.trace, None, seed);
    let no_signal = || ExperimentError::NoSignal(experiment.name.clone());
    let at_input = output.trace.inputs.first().copied().flatten();
    let at_input = at_input.ok_or_else(no_signal)?.l2().log10();
    let last = run.layers.last().and_then(|layer| layer.backward.log10_l2);
    let log = 2.0 * LN_10 * (at_input - last.ok_or_else(no_signal)?);
    let wanted = experiment.singular_values && experiment.normalisation == Normalisation::None;
    Ok(Sample {
        run,
        log,
        singular_values: wanted
            .then(|| singular_values(graph, &mut executor, &rows, seed))
            .transpose()?,
    })
}

/// Of the Jacobian at the first row.
fn singular_values(
    graph: &Graph,
    executor: &mut Executor<'_, f32>,
    rows: &[Tensor<f32>],
    seed: u64,
) -> Result<SingularValues, ExperimentError> {
    let options = JacobianOptions {
        largest: 1,
        layers: false,
        sample: 0,
        seed,
        theory: false,
    };
    let spectrum = jacobian(graph, &executor.linearise(rows)?, &options)?.end_to_end;
    let size = |log10: Option<f64>| log10.map_or(0.0, |log10| 10f64.powf(log10));
    Ok(SingularValues {
        largest: size(spectrum.log10_largest()),
        smallest: size(spectrum.log10_smallest()),
        relative_variance: spectrum
            .isometry
            .map_or(f64::NAN, |isometry| 1.0 / isometry - 1.0),
    })
}

fn comparison(
    experiment: &Experiment,
    q: f64,
    samples: &[Sample],
) -> Result<Comparison, ExperimentError> {
    let no_signal = || ExperimentError::NoSignal(experiment.name.clone());
    let normalised = experiment.normalisation != Normalisation::None;
    let skipped = if normalised {
        SETTLING.min(experiment.depth / 2)
    } else {
        0
    };
    let rates: Option<Vec<f64>> = samples
        .iter()
        .map(|sample| rate(&sample.run.layers[skipped..]))
        .collect();
    let rates = rates.ok_or_else(no_signal)?;
    let (measured_rate, measured_deviation) = mean_and_deviation(&rates);
    let network = experiment.mean_field();
    let widths = vec![experiment.width; experiment.depth];
    let curve = (!normalised)
        .then(|| network.log_normal_of(experiment.ensemble, q, &widths, experiment.batch));
    let all = curve.as_ref().and_then(|curve| curve.last().copied());
    let predicted_rate = match (experiment.normalisation, &curve) {
        (Normalisation::Batch, _) => {
            batch_norm_rate(&*experiment.activation, experiment.batch).map_or(f64::NAN, f64::ln)
        }
        (Normalisation::Layer, _) => layer_norm_rate(
            &*experiment.activation,
            experiment.weights,
            experiment.biases,
        )
        .ln(),
        // From the output back to layer l the signal crosses the layers behind it.
        (Normalisation::None, curve) => {
            let means = curve.iter().flatten().map(|sum| sum.mean);
            slope(means).unwrap_or(f64::NAN)
        }
    };
    // The slope of a random walk of n steps varies as 6/5 of its variance over n².
    let predicted_deviation =
        all.map(|all| (1.2 * all.variance).sqrt() / experiment.depth.max(1) as f64);
    let count = samples.len() as f64;
    let standard_error = measured_deviation / count.sqrt();
    let error = predicted_deviation.unwrap_or(measured_deviation) / count.sqrt();
    let band = DEVIATIONS * error + SECOND_ORDER / experiment.width as f64;
    let lengths: Vec<f64> = samples
        .iter()
        .filter_map(|sample| sample.run.layers.last()?.pre_activation)
        .map(|signal| signal.rms * signal.rms)
        .collect();
    let logs: Vec<f64> = samples.iter().map(|sample| sample.log).collect();
    let (mean, deviation) = mean_and_deviation(&logs);
    let spectra: Option<Vec<SingularValues>> = samples
        .iter()
        .map(|sample| sample.singular_values)
        .collect();
    let of_spectra = |part: fn(&SingularValues) -> f64| {
        let values: Vec<f64> = spectra.as_ref()?.iter().map(part).collect();
        Some(mean_and_deviation(&values).0).filter(|mean| mean.is_finite())
    };
    let predicted_spectrum = spectra.as_ref().map(|_| {
        let lengths = network.lengths(q, experiment.depth);
        let layer = |q| JacobianLayer {
            moments: &network.moments,
            ensemble: experiment.ensemble,
            weights: experiment.weights,
            q,
            width: experiment.width,
        };
        let layers: Vec<JacobianLayer<'_>> = lengths.map(layer).collect();
        JacobianSpectrum::of_layers(experiment.width, &layers)
    });
    let decades: Option<Vec<f64>> = samples.first().and_then(|sample| {
        let layers = sample.run.layers.iter();
        layers.map(|layer| layer.backward_decades).collect()
    });
    Ok(Comparison {
        name: experiment.name.clone(),
        networks: samples.len(),
        setting: setting(experiment),
        predicted_rate,
        predicted_deviation,
        measured_rate,
        measured_deviation,
        standard_error,
        band,
        inside: (measured_rate - predicted_rate).abs() <= band,
        predicted_log_normal: all,
        measured_log_normal: LogNormal {
            mean,
            variance: deviation * deviation,
        },
        predicted_last_length: (!normalised)
            .then(|| network.lengths(q, experiment.depth).last())
            .flatten(),
        measured_last_length: mean_and_deviation(&lengths).0,
        law: decades.and_then(|decades| Some(trend(&decades, Direction::Backward)?.law)),
        predicted_largest: predicted_spectrum.map(|spectrum| spectrum.largest_singular_value),
        measured_largest: of_spectra(|values| values.largest),
        predicted_relative_variance: predicted_spectrum.map(|spectrum| spectrum.relative_variance),
        measured_relative_variance: of_spectra(|values| values.relative_variance),
        measured_smallest: of_spectra(|values| values.smallest),
    })
}

fn setting(experiment: &Experiment) -> String {
    let norm = match experiment.normalisation {
        Normalisation::None => "",
        Normalisation::Batch => ", batch norm",
        Normalisation::Layer => ", layer norm",
    };
    let weights = match experiment.ensemble {
        WeightEnsemble::Gaussian => "",
        WeightEnsemble::Orthogonal => ", orthogonal weights",
    };
    format!(
        "{} layers of {}, batch {}{norm}{weights}",
        experiment.depth, experiment.width, experiment.batch
    )
}

/// The rate at which the squared backward signal changes a layer on its way back.
fn rate(layers: &[LayerRun]) -> Option<f64> {
    let decades: Option<Vec<f64>> = layers.iter().map(|layer| layer.backward_decades).collect();
    Some(-2.0 * LN_10 * slope(decades?)?)
}

/// The slope of the straight line through values one step apart.
fn slope(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let values: Vec<f64> = values.into_iter().collect();
    let middle = 0.5 * (values.len() as f64 - 1.0);
    let (mut product, mut square) = (0.0, 0.0);
    for (index, value) in values.iter().enumerate() {
        let x = index as f64 - middle;
        product += x * value;
        square += x * x;
    }
    (values.len() > 1).then_some(product / square)
}

/// The mean and the standard deviation (n − 1) of a sample.
fn mean_and_deviation(values: &[f64]) -> (f64, f64) {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares: f64 = values.iter().map(|x| (x - mean).powi(2)).sum();
    (mean, (squares / (count - 1.0).max(1.0)).sqrt())
}

//! Theory beside what was measured, wherever a stretch of a network fits its assumptions: freshly
//! drawn dense layers of like width, one activation, with batch normalisation or without.
//!
//! What crosses one layer on its way back, from its output to that of the layer before it, is held
//! against √χ1; a layer where it leaves the finite-width band is named, with its weights if they are
//! what differs.

use super::schema::{LayerRun, RunMeasurement};
use crate::graph::{Graph, Layer, NodeId, ValueKind};
use crate::ops::activation::Activation;
use crate::ops::{Mode, Role};
use crate::theory::mean_field::{BiasVariance, MeanField, WeightVariance};
use crate::theory::normalised::batch_norm_rate;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::f64::consts::LN_10;

/// Layers that make a stretch.
const FEWEST_LAYERS: usize = 3;
/// Widths that are alike differ by no more than this factor.
const LIKE_WIDTH: f64 = 1.25;
/// Narrower layers are none that a theory of wide networks is about.
pub(super) const NARROWEST: usize = 16;
/// Why theory is silent about weights that are given.
pub const MAY_BE_TRAINED: &str = "the weights come from a file and may be trained";
/// Standard deviations that a layer may lie away: one layer in 16,000 does by chance.
const DEVIATIONS: f64 = 4.0;
/// Terms of second order in 1/width of ln of the squared factor.
const SECOND_ORDER: f64 = 4.0;
/// Weights that are so many times too large or small are the cause.
const OTHER_WEIGHTS: f64 = 1.15;
/// Layers behind a stretch's first over which batch normalisation settles.
const SETTLING: usize = 4;

/// Theory beside the measurement of a network.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BesideTheory {
    /// The stretches that fit, first to last.
    pub stretches: Vec<TheoryStretch>,
    /// Why there is none; `None` where there is one.
    pub silent: Option<String>,
}

/// A stretch of layers that fits a theory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TheoryStretch {
    /// Its first layer.
    pub first: String,
    /// Its last layer.
    pub last: String,
    /// The activation of its layers.
    pub activation: String,
    /// Batch normalisation before each activation?
    pub batch_norm: bool,
    /// σ_w: the median over its layers of the gain that the weights have.
    pub sigma_w: f64,
    /// σ_b, likewise.
    pub sigma_b: f64,
    /// Theory: the factor of the backward norm a layer, the geometric mean over the stretch.
    pub predicted_factor: f64,
    /// The same, measured: the mean over the seeds.
    pub measured_factor: f64,
    /// Its standard error over the seeds; `None` for one seed.
    pub measured_error: Option<f64>,
    /// Decades of backward signal of the layers before the last, relative to the last.
    pub layers: Vec<TheoryLayer>,
    /// The layers where reality leaves the band, first to last: those with other weights, or else
    /// the first.
    pub deviating: Vec<Deviation>,
}

/// A layer of a stretch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TheoryLayer {
    /// Its name.
    pub name: String,
    /// Theory: log10 of the backward norm at its output over that at the stretch's last layer.
    pub predicted_decades: f64,
    /// Half the width of the band around that, in decades.
    pub band: f64,
    /// The mean over the seeds of what was measured.
    pub measured_decades: f64,
}

/// A layer that does not do what theory says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Deviation {
    /// Its name.
    pub layer: String,
    /// Theory: the factor of the backward norm across it.
    pub predicted_factor: f64,
    /// The same, measured.
    pub measured_factor: f64,
    /// The size of its weights over that of the others, where that is what differs.
    pub weight_ratio: Option<f64>,
}

/// What a layer has to be.
struct Fit<'a> {
    /// Its place among the measured layers.
    index: usize,
    activation: &'a dyn Activation,
    batch_norm: bool,
    width: usize,
    fan_in: usize,
}

/// Puts theory beside the runs of a network; `graph` is that of any of its seeds, `fresh` whether
/// its weights are drawn and not trained.
pub fn beside_theory(
    graph: &Graph,
    runs: &[RunMeasurement],
    mode: Mode,
    batch: usize,
    fresh: bool,
) -> BesideTheory {
    let silent = |why: &str| BesideTheory {
        stretches: Vec::new(),
        silent: Some(why.to_owned()),
    };
    if !fresh {
        return silent(MAY_BE_TRAINED);
    }
    let Some(first) = runs.first() else {
        return silent("nothing was run");
    };
    let by_name: HashMap<&str, &Layer> = graph
        .layers()
        .iter()
        .map(|layer| (layer.name.as_str(), layer))
        .collect();
    let fits: Vec<Option<Fit<'_>>> = first
        .layers
        .iter()
        .enumerate()
        .map(|(index, run)| fit(graph, by_name.get(run.name.as_str())?, run, index, mode))
        .collect();
    let spine: Vec<&Option<Fit<'_>>> = fits
        .iter()
        .zip(&first.layers)
        .filter(|(_, run)| run.on_spine)
        .map(|(fit, _)| fit)
        .collect();
    let mut stretches = Vec::new();
    let mut at = 0;
    while at < spine.len() {
        let length = spine[at..]
            .iter()
            .take_while(|next| match (spine[at], next) {
                (Some(begin), Some(next)) => alike(begin, next),
                _ => false,
            })
            .count();
        let stretch: Vec<&Fit<'_>> = spine[at..at + length]
            .iter()
            .filter_map(|fit| Option::as_ref(fit))
            .collect();
        if length >= FEWEST_LAYERS {
            stretches.extend(judge(&stretch, runs, batch));
        }
        at += length.max(1);
    }
    if stretches.is_empty() {
        return silent(
            "no stretch of three or more plain dense layers of like width, 16 or more, with one activation",
        );
    }
    BesideTheory {
        stretches,
        silent: None,
    }
}

/// Is the layer a linear map and an activation, perhaps with batch normalisation between?
fn fit<'a>(
    graph: &'a Graph,
    layer: &Layer,
    run: &LayerRun,
    index: usize,
    mode: Mode,
) -> Option<Fit<'a>> {
    let node = |id: &NodeId| graph.node(*id);
    let (linear, rest) = layer.nodes.split_first()?;
    let (activation, between) = rest.split_last()?;
    if node(linear).role != Role::Weight || !run.on_spine {
        return None;
    }
    let activation = node(activation).op.activation()?;
    let batch_norm = match between {
        [] => false,
        [norm] if node(norm).op.facts().batch_statistics && mode == Mode::Train => true,
        _ => return None,
    };
    let shape = node(linear).inputs.iter().find_map(|&value| {
        let ValueKind::Parameter(id) = graph.value(value).kind else {
            return None;
        };
        Some(
            run.parameters
                .iter()
                .find(|p| p.name == graph.parameter(id).name)?
                .shape
                .clone(),
        )
    })?;
    let [width, fan_in] = shape[..] else {
        return None;
    };
    Some(Fit {
        index,
        activation,
        batch_norm,
        width,
        fan_in,
    })
}

fn alike(begin: &Fit<'_>, next: &Fit<'_>) -> bool {
    let ratio = next.width as f64 / begin.width as f64;
    begin.width.min(next.width) >= NARROWEST
        && (1.0 / LIKE_WIDTH..=LIKE_WIDTH).contains(&ratio)
        && begin.activation.is_same_function(next.activation)
        && begin.batch_norm == next.batch_norm
}

/// √fan_in times the size of the weights, and the size of the biases: σ_w and σ_b.
fn gains(fit: &Fit<'_>, run: &RunMeasurement) -> Option<(f64, f64)> {
    let parameters = &run.layers.get(fit.index)?.parameters;
    let weight = parameters.iter().find(|p| p.shape.len() == 2)?;
    let bias = parameters
        .iter()
        .find(|p| p.shape.len() == 1 && !fit.batch_norm);
    Some((
        weight.value_rms * (fit.fan_in as f64).sqrt(),
        bias.map_or(0.0, |bias| bias.value_rms),
    ))
}

fn judge(stretch: &[&Fit<'_>], runs: &[RunMeasurement], batch: usize) -> Option<TheoryStretch> {
    let (first, last) = (stretch.first()?, stretch.last()?);
    let seeds = runs.len() as f64;
    // The gain of each layer, over the seeds.
    let of_layers: Option<Vec<(f64, f64)>> = stretch
        .iter()
        .map(|fit| {
            let all: Option<Vec<(f64, f64)>> = runs.iter().map(|run| gains(fit, run)).collect();
            let all = all?;
            let weights = median(all.iter().map(|gain| gain.0))?;
            Some((weights, median(all.iter().map(|gain| gain.1))?))
        })
        .collect();
    let of_layers = of_layers?;
    let sigma_w = median(of_layers.iter().map(|gain| gain.0))?;
    let sigma_b = median(of_layers.iter().map(|gain| gain.1))?;
    if !(sigma_w > 0.0 && sigma_w.is_finite() && sigma_b.is_finite()) {
        return None;
    }
    let network = MeanField::new(
        first.activation,
        WeightVariance::from_sigma_w(sigma_w),
        BiasVariance::from_sigma_b(sigma_b),
    );
    // Decades across each layer but the first, seed by seed.
    let layer = |fit: &Fit<'_>, run: &RunMeasurement| {
        run.layers
            .get(fit.index)
            .and_then(|layer| layer.backward_decades)
    };
    let steps: Option<Vec<Vec<f64>>> = stretch
        .windows(2)
        .map(|pair| {
            let across = |run| Some(layer(pair[0], run)? - layer(pair[1], run)?);
            runs.iter().map(across).collect()
        })
        .collect();
    let steps = steps?;
    let predicted = predicted(&network, stretch, runs, batch)?;
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let skipped = if first.batch_norm {
        SETTLING.min(steps.len().saturating_sub(1))
    } else {
        0
    };
    let band = |step: &Step, count: f64| {
        let own = (step.variance * count / seeds).sqrt();
        0.5 * (DEVIATIONS * own + SECOND_ORDER * count / first.width as f64) / LN_10
    };
    let mut outside = Vec::new();
    for (index, (step, measured)) in predicted.iter().zip(&steps).enumerate().skip(skipped) {
        let measured = mean(measured);
        if (measured - step.decades).abs() > band(step, 1.0) {
            let ratio = of_layers[index + 1].0 / sigma_w;
            let other = !(1.0 / OTHER_WEIGHTS..=OTHER_WEIGHTS).contains(&ratio);
            outside.push(Deviation {
                layer: name(stretch[index + 1], runs),
                predicted_factor: 10f64.powf(step.decades),
                measured_factor: 10f64.powf(measured),
                weight_ratio: (other && !first.batch_norm).then_some(ratio),
            });
        }
    }
    // What comes after a layer with other weights follows from it.
    let with_weights = outside
        .iter()
        .any(|deviation| deviation.weight_ratio.is_some());
    let deviating: Vec<Deviation> = if with_weights {
        outside.retain(|deviation| deviation.weight_ratio.is_some());
        outside
    } else {
        outside.truncate(1);
        outside
    };
    let rates: Vec<f64> = (0..runs.len())
        .map(|seed| {
            let of_seed: Vec<f64> = steps[skipped..].iter().map(|step| step[seed]).collect();
            mean(&of_seed)
        })
        .collect();
    let measured = mean(&rates);
    let spread = rates
        .iter()
        .map(|rate| (rate - measured).powi(2))
        .sum::<f64>();
    let measured_factor = 10f64.powf(measured);
    let measured_error = (rates.len() > 1)
        .then(|| (spread / (seeds - 1.0) / seeds).sqrt() * LN_10 * measured_factor);
    let expected: Vec<f64> = predicted[skipped..]
        .iter()
        .map(|step| step.decades)
        .collect();
    let mut layers = Vec::new();
    let (mut sum, mut variance, mut count, mut got) = (0.0, 0.0, 0.0, 0.0);
    for index in (0..steps.len()).rev() {
        sum += predicted[index].decades;
        variance += predicted[index].variance;
        got += mean(&steps[index]);
        count += 1.0;
        let even = Step {
            decades: sum,
            variance: variance / count,
        };
        layers.push(TheoryLayer {
            name: name(stretch[index], runs),
            predicted_decades: sum,
            band: band(&even, count),
            measured_decades: got,
        });
    }
    layers.reverse();
    Some(TheoryStretch {
        first: name(first, runs),
        last: name(last, runs),
        activation: first.activation.label(),
        batch_norm: first.batch_norm,
        sigma_w,
        sigma_b,
        predicted_factor: 10f64.powf(mean(&expected)),
        measured_factor,
        measured_error,
        layers,
        deviating,
    })
}

/// What theory says of one layer: decades of the backward norm across it, and the variance of ln of
/// the squared factor from network to network.
#[derive(Clone, Copy)]
struct Step {
    decades: f64,
    variance: f64,
}

/// For every layer of a stretch but the first.
fn predicted(
    network: &MeanField<'_>,
    stretch: &[&Fit<'_>],
    runs: &[RunMeasurement],
    batch: usize,
) -> Option<Vec<Step>> {
    let first = stretch.first()?;
    let step = |ln_squared: f64, q: f64, width: usize| {
        let slope = network.moments.derivative_square(q);
        let spread = 3.0 * network.moments.derivative_moment(q, 2) / (slope * slope) - 1.0;
        let variance = spread / width as f64;
        let decades = 0.5 * ln_squared / LN_10;
        (decades.is_finite() && variance.is_finite()).then_some(Step { decades, variance })
    };
    if first.batch_norm {
        let rate = batch_norm_rate(first.activation, batch)?;
        let of_all = stretch.iter().skip(1);
        return of_all.map(|fit| step(rate.ln(), 1.0, fit.width)).collect();
    }
    // From the length that the first layer was seen to have.
    let seen = runs
        .iter()
        .map(|run| Some(run.layers.get(first.index)?.pre_activation?.rms));
    let seen: Option<Vec<f64>> = seen.collect();
    let mut q = median(seen?.into_iter())?.powi(2);
    // Where the length has settled, every layer is the one before.
    let mut before: Option<(f64, usize, Step)> = None;
    let mut steps = Vec::with_capacity(stretch.len());
    for fit in stretch.iter().skip(1) {
        q = network.length_map(q);
        let settled = before.filter(|(at, width, _)| {
            *width == fit.width && (*at == q || (at / q - 1.0).abs() < 1e-9)
        });
        let step = match settled {
            Some((_, _, step)) => step,
            // The squared norm is multiplied by χ1 whatever the widths: of fan_in entries each has
            // σ_w²/fan_in of it.
            None => step(libm::log(network.chi_1(q)), q, fit.width)?,
        };
        before = Some((q, fit.width, step));
        steps.push(step);
    }
    Some(steps)
}

fn name(fit: &Fit<'_>, runs: &[RunMeasurement]) -> String {
    let layer = runs.first().and_then(|run| run.layers.get(fit.index));
    layer.map_or_else(String::new, |layer| layer.name.clone())
}

fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = *values.get(middle)?;
    Some(if values.len().is_multiple_of(2) {
        0.5 * (upper + values[middle - 1])
    } else {
        upper
    })
}

//! Theory's singular values beside measured ones, where the Jacobian is that of freshly drawn dense
//! layers.

use super::beside_theory::NARROWEST;
use crate::graph::{Graph, Node, ParameterData, ParameterId, ValueKind};
use crate::num::{Tensor, square_sum};
use crate::ops::WeightLayout;
use crate::ops::activation::{Activation, Identity};
use crate::run::{Linearisation, RunElement, Stretch};
use crate::theory::isometry::{JacobianLayer, JacobianSpectrum, WeightEnsemble};
use crate::theory::mean_field::{Moments, WeightVariance};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;

/// What free probability says of the singular values of wide layers with weights of the sizes that
/// these have ([`JacobianSpectrum::of_layers`]).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SpectrumTheory {
    /// The weights of all layers are orthogonal; if not, some are independent numbers.
    pub orthogonal: bool,
    /// ½ log10 of the mean of the squared singular values.
    pub log10_rms: f64,
    /// log10 of the largest singular value.
    pub log10_largest: f64,
    /// (mean σ²)² / mean σ⁴.
    pub isometry: f64,
}

/// Standard errors that the mean of independent weights lies from zero by at most.
const DEVIATIONS: f64 = 5.0;
/// Rows of a weight that are held against each other, to tell orthogonal ones.
const COMPARED_ROWS: usize = 8;
/// The largest cosine between orthogonal rows in f32. Independent rows of n numbers have cosines of
/// about 1/√n, all 28 of which are never that small.
const ORTHOGONAL: f64 = 1e-4;

/// Theory of a stretch at a sample of the batch, or why there is none.
pub(super) fn spectrum_theory<T: RunElement>(
    graph: &Graph,
    at: &Linearisation<'_, T>,
    stretch: &Stretch,
    sample: usize,
) -> Result<SpectrumTheory, String> {
    if !stretch.by_sample() {
        return Err("an op takes the samples together".into());
    }
    let layers = dense_layers(graph, stretch)?;
    let between = layers.split_last().map_or(&[][..], |(_, between)| between);
    if let Some(narrow) = between.iter().find(|layer| layer.width < NARROWEST) {
        return Err(format!(
            "`{}` is narrow, and theory is about wide layers",
            narrow.name
        ));
    }
    let (rows, columns) = at.extents(stretch);
    if rows.min(columns) < 2 {
        return Err("a Jacobian of one singular value has no spectrum".into());
    }
    // What a sequence, or a reshape between layers, makes of a linear map is another matrix.
    let mut width = columns;
    for layer in &layers {
        if layer.fan_in != width {
            return Err(format!("`{}` reads a part of what is there", layer.name));
        }
        width = layer.width;
    }
    if width != rows {
        return Err("the output is not that of one linear map".into());
    }
    let mut moments: Vec<Moments<'_>> = Vec::new();
    let mut own: Vec<usize> = Vec::with_capacity(layers.len());
    for layer in &layers {
        let known = moments
            .iter()
            .position(|own| own.activation().is_same_function(layer.activation));
        own.push(known.unwrap_or(moments.len()));
        if known.is_none() {
            moments.push(Moments::of(layer.activation));
        }
    }
    let start = at.start(stretch, sample);
    let mut square = square_sum(start) / start.len().max(1) as f64;
    let mut in_theory = Vec::with_capacity(layers.len());
    for (layer, own) in layers.iter().zip(own) {
        let q = layer.weights.sigma_w_squared() * square + layer.bias_square;
        if !(q > 0.0 && q.is_finite()) {
            return Err(format!("the signal of `{}` is of length {q}", layer.name));
        }
        square = moments[own].square(q);
        in_theory.push(JacobianLayer {
            moments: &moments[own],
            ensemble: layer.ensemble,
            weights: layer.weights,
            q,
            width: layer.width,
        });
    }
    let spectrum = JacobianSpectrum::of_layers(columns, &in_theory);
    let theory = SpectrumTheory {
        orthogonal: layers
            .iter()
            .all(|layer| layer.ensemble == WeightEnsemble::Orthogonal),
        log10_rms: 0.5 * libm::log10(spectrum.mean_square),
        log10_largest: libm::log10(spectrum.largest_singular_value),
        isometry: 1.0 / (1.0 + spectrum.relative_variance),
    };
    let all = [theory.log10_rms, theory.log10_largest, theory.isometry];
    match all.iter().all(|number| number.is_finite()) {
        true => Ok(theory),
        false => Err("its moments are not finite".into()),
    }
}

/// A linear map of freshly drawn weights, and an activation.
struct Dense<'g> {
    name: &'g str,
    activation: &'g dyn Activation,
    ensemble: WeightEnsemble,
    weights: WeightVariance,
    /// The mean of the squared biases.
    bias_square: f64,
    fan_in: usize,
    width: usize,
}

/// The layers that a stretch consists of.
fn dense_layers<'g>(graph: &'g Graph, stretch: &Stretch) -> Result<Vec<Dense<'g>>, String> {
    let mut layers: Vec<Dense<'g>> = Vec::new();
    let mut may_activate = false;
    let mut used: HashSet<ParameterId> = HashSet::new();
    for &position in stretch.nodes() {
        let node = &graph.nodes()[position];
        if node.op.facts().weight == Some(WeightLayout::UnitsFirst) {
            let (layer, weight) = dense(graph, node)?;
            if !used.insert(weight) {
                return Err(format!("the weights of `{}` are used twice", layer.name));
            }
            layers.push(layer);
            may_activate = true;
        } else if let (Some(activation), Some(layer), true) =
            (node.op.activation(), layers.last_mut(), may_activate)
        {
            layer.activation = activation;
            may_activate = false;
        } else {
            let name = layer_name(graph, node);
            return Err(format!(
                "`{name}` is no plain dense layer ({})",
                node.op.name()
            ));
        }
    }
    Ok(layers)
}

fn layer_name<'g>(graph: &'g Graph, node: &'g Node) -> &'g str {
    match node.layer {
        Some(layer) => &graph.layer(layer).name,
        None => &node.name,
    }
}

/// A linear map whose weights are as theory takes them, and its weight.
fn dense<'g>(graph: &'g Graph, node: &'g Node) -> Result<(Dense<'g>, ParameterId), String> {
    let name = layer_name(graph, node);
    let parameter = |input: usize| match graph.value(*node.inputs.get(input)?).kind {
        ValueKind::Parameter(id) => Some(id),
        _ => None,
    };
    let weight = parameter(1).ok_or_else(|| format!("the weights of `{name}` are computed"))?;
    let sizes = match &graph.parameter(weight).data {
        ParameterData::F32(tensor) => sizes(tensor),
        ParameterData::F64(tensor) => sizes(tensor),
    };
    let sizes = sizes.ok_or_else(|| format!("the weights of `{name}` are not independent"))?;
    let bias_square = parameter(2).map_or(0.0, |bias| match &graph.parameter(bias).data {
        ParameterData::F32(tensor) => mean_square(tensor),
        ParameterData::F64(tensor) => mean_square(tensor),
    });
    let layer = Dense {
        name,
        activation: &Identity,
        ensemble: sizes.ensemble,
        weights: WeightVariance::from_sigma_w_squared(sizes.mean_square * sizes.fan_in as f64),
        bias_square,
        fan_in: sizes.fan_in,
        width: sizes.width,
    };
    Ok((layer, weight))
}

fn mean_square<T: RunElement>(tensor: &Tensor<T>) -> f64 {
    square_sum(tensor.data()) / tensor.data().len().max(1) as f64
}

struct Sizes {
    ensemble: WeightEnsemble,
    mean_square: f64,
    fan_in: usize,
    width: usize,
}

/// Of orthogonal weights, or of independent ones with mean zero; `None` for others.
fn sizes<T: RunElement>(tensor: &Tensor<T>) -> Option<Sizes> {
    let [width, fan_in] = tensor.shape()[..] else {
        return None;
    };
    let data = tensor.data();
    let mean_square = mean_square(tensor);
    let mean = data.iter().map(|x| x.to_f64()).sum::<f64>() / data.len().max(1) as f64;
    let standard_error = (mean_square / data.len().max(1) as f64).sqrt();
    let ensemble = if is_orthogonal(data, width, fan_in) {
        WeightEnsemble::Orthogonal
    } else if mean.abs() <= DEVIATIONS * standard_error {
        WeightEnsemble::Gaussian
    } else {
        return None;
    };
    (mean_square > 0.0 && mean_square.is_finite()).then_some(Sizes {
        ensemble,
        mean_square,
        fan_in,
        width,
    })
}

/// Are the rows orthogonal, or of a tall matrix the columns?
fn is_orthogonal<T: RunElement>(data: &[T], width: usize, fan_in: usize) -> bool {
    let (count, len) = (width.min(fan_in), width.max(fan_in));
    let at = |vector: usize, index: usize| match width <= fan_in {
        true => data[vector * fan_in + index].to_f64(),
        false => data[index * fan_in + vector].to_f64(),
    };
    let dot = |a: usize, b: usize| (0..len).map(|i| at(a, i) * at(b, i)).sum::<f64>();
    let count = count.min(COMPARED_ROWS);
    count > 1
        && (0..count)
            .all(|a| (0..a).all(|b| dot(a, b).abs() <= ORTHOGONAL * (dot(a, a) * dot(b, b)).sqrt()))
}

//! What statistics of single signals do not show: samples beside each other, units over a batch,
//! weights beside each other. Read while a run has the signals, a bounded number of them
//! a layer, so that it costs little beside the run.

use super::activation::{self, Function, LayerActivation};
use super::head;
use super::samples::{evenly, spread};
use super::schema::{InputRun, LayerRun, OutputRun, RunMeasurement};
use super::twins::{self, Numbers};
use super::units::{flat_in, is_flat, unit_count, units_where};
use crate::graph::{Graph, Layer, Node, ValueId, ValueKind};
use crate::num::{Bounds, Magnitude, Statistics, Tensor, square_sum};
use crate::ops::activation::{Activation, Sigmoid, Tanh};
use crate::ops::{CrossEntropyKind, Mode, Role, WeightLayout};
use crate::run::{Observer, RunElement, Signals};
use std::collections::{HashMap, HashSet};
use std::ops::Range;

/// Rows of logits and of inputs that are looked at.
const MOST_ROWS: usize = 64;
/// Elements of the inputs that are looked at, where a row has fewer.
const MOST_ELEMENTS: usize = 1 << 17;
/// Fewer samples say nothing of the noise in a gradient.
const FEWEST_SAMPLES: usize = 8;

/// Looks at the signals of a run, and adds to its measurement what only they show.
#[derive(Debug)]
pub struct Probe<'g> {
    graph: &'g Graph,
    mode: Mode,
    /// By node: the layers of which it is the last that computes.
    last: HashMap<usize, usize>,
    /// By node: the layer whose activation, and whose linear map on vectors, it is.
    activations: HashMap<usize, usize>,
    /// By layer: its activation.
    functions: HashMap<usize, LayerActivation<'g>>,
    linear: HashMap<usize, usize>,
    /// Nodes whose units gave different numbers.
    distinct: HashSet<usize>,
    layers: Vec<Seen>,
    output: Option<OutputRun>,
}

/// What was seen of a layer.
#[derive(Clone, Debug, Default)]
struct Seen {
    distance: Option<f64>,
    activation: SeenActivation,
    /// Of a linear map on vectors: the squared norm of each row that goes in, the norm of each row
    /// of the cotangent at its output.
    input_squares: Vec<f64>,
    cotangents: Option<Vec<Magnitude>>,
}

/// What was seen of a layer's activation, in shares.
#[derive(Clone, Copy, Debug, Default)]
struct SeenActivation {
    saturated_units: Option<f64>,
    flat_units: Option<f64>,
    lost_rows: Option<f64>,
    /// Of one that is written out: its saturated outputs and dead units.
    saturated: Option<f64>,
    dead: Option<f64>,
}

/// What was seen of a node that ran forward.
#[derive(Debug, Default)]
struct SeenForward {
    activation: Option<SeenActivation>,
    distance: Option<f64>,
    input_squares: Vec<f64>,
    distinct: bool,
    output: Option<OutputRun>,
}

impl<'g> Probe<'g> {
    /// Of a graph that is to be run in this mode.
    pub fn new(graph: &'g Graph, mode: Mode) -> Self {
        let mut probe = Self {
            graph,
            mode,
            last: HashMap::new(),
            activations: HashMap::new(),
            functions: HashMap::new(),
            linear: HashMap::new(),
            distinct: HashSet::new(),
            layers: vec![Seen::default(); graph.layers().len()],
            output: None,
        };
        let rows = graph.inputs().first().and_then(|&input| {
            let shape = &graph.value(input).shape;
            shape.first().copied()
        });
        let mixes = |node: &Node| node.op.facts().batch_statistics && mode == Mode::Train;
        let mixes = graph.nodes().iter().any(mixes);
        probe.place(rows, mixes);
        probe
    }

    /// The same, without the noise among samples: of targets that are made up it says nothing.
    #[must_use]
    pub fn without_noise(mut self) -> Self {
        self.linear.clear();
        self
    }

    fn place(&mut self, rows: Option<usize>, mixes: bool) {
        let (graph, mode) = (self.graph, self.mode);
        for (index, layer) in graph.layers().iter().enumerate() {
            let nodes = || layer.nodes.iter().map(|&id| (id.index(), graph.node(id)));
            let computed = nodes().rfind(|(_, node)| !node.op.facts().is_view.has(mode));
            self.last.extend(computed.map(|(node, _)| (node, index)));
            let activation = activation::of_layer(graph, layer);
            if let Some(found) = activation {
                self.activations.insert(found.node.index(), index);
                self.functions.insert(index, found);
            }
            let linear = nodes().find(|(_, node)| is_linear_on_vectors(node));
            let on_samples = linear.filter(|(_, node)| {
                let shape = &graph.value(node.inputs[0]).shape;
                let enough = rows >= Some(FEWEST_SAMPLES);
                !mixes && enough && shape.len() == 2 && shape.first().copied() == rows
            });
            self.linear
                .extend(on_samples.map(|(node, _)| (node, index)));
        }
    }

    /// Adds what was seen to the run's measurement. `inputs` are those of the run.
    pub fn add_to<T: RunElement>(self, run: &mut RunMeasurement, inputs: &[Tensor<T>]) {
        run.input = self.input(inputs);
        run.output = self.output;
        run.head = head::of(self.graph, self.mode, inputs);
        let twins = twins::fractions(self.graph, &self.distinct);
        let mut by_name: HashMap<&str, usize> = HashMap::new();
        for (index, layer) in self.graph.layers().iter().enumerate() {
            by_name.insert(&layer.name, index);
        }
        for layer in &mut run.layers {
            let Some(&index) = by_name.get(layer.name.as_str()) else {
                continue;
            };
            let (of_graph, seen) = (&self.graph.layers()[index], &self.layers[index]);
            layer.sample_distance = seen.distance;
            let activation = seen.activation;
            layer.saturated_units_fraction = activation.saturated_units;
            layer.flat_units_fraction = activation.flat_units;
            layer.lost_rows_fraction = activation.lost_rows;
            layer.saturated_fraction = layer.saturated_fraction.or(activation.saturated);
            layer.dead_fraction = layer.dead_fraction.or(activation.dead);
            let own = of_graph.nodes.iter().filter_map(|node| twins.get(node));
            layer.twin_units_fraction = own.copied().reduce(f64::max);
            layer.gradient_signal_to_noise = self.signal_to_noise(of_graph, layer, seen);
            if layer.dead_fraction.is_some_and(|dead| dead > 0.0) {
                layer.dead_for_ever_fraction = self.dead_units_for_ever(of_graph);
            }
        }
    }

    fn look<T: RunElement>(&self, signals: &Signals<'_, T>, position: usize) -> SeenForward {
        let node = &self.graph.nodes()[position];
        let mut seen = SeenForward::default();
        let layer = self.activations.get(&position);
        if let Some(found) = layer.and_then(|layer| self.functions.get(layer)) {
            seen.activation = Some(self.look_at_activation(signals, found));
        }
        if self.last.contains_key(&position) {
            seen.distance = self.distance(signals, node.outputs[0]);
        }
        if self.linear.contains_key(&position) {
            let features = self.graph.value(node.inputs[0]).shape.row_len();
            let rows = signals.value(node.inputs[0]).chunks_exact(features.max(1));
            seen.input_squares = rows.map(square_sum).collect();
        }
        if node.op.facts().weight.is_some() {
            let shape = &self.graph.value(node.outputs[0]).shape;
            let output = signals.value(node.outputs[0]);
            seen.distinct = !twins::may_be_twins(node, shape, output);
        }
        if let Some(kind) = node.op.facts().cross_entropy {
            seen.output = self.logits(kind, node, signals);
        }
        seen
    }

    fn look_at_activation<T: RunElement>(
        &self,
        signals: &Signals<'_, T>,
        found: &LayerActivation<'_>,
    ) -> SeenActivation {
        let units = |value, bounds| self.units_beyond(signals, value, bounds);
        let regions = found.function.flat_regions();
        let saturation = found.function.saturation_bounds();
        let mut seen = SeenActivation {
            saturated_units: saturation.and_then(|bounds| units(found.output, bounds)),
            flat_units: debugger_bounds(&*found.function)
                .and_then(|bounds| units(found.input, bounds)),
            ..SeenActivation::default()
        };
        if !regions.is_empty() {
            seen.lost_rows = self.lost_rows(signals, found.input, &regions);
        }
        // Of a node the run itself counts them.
        if let Function::WrittenOut(_) = found.function {
            seen.saturated = saturation.map(|bounds| {
                let output = signals.value(found.output);
                Statistics::of(output, 0, Some(bounds)).saturated_fraction()
            });
            let shape = &self.graph.value(found.input).shape;
            let input = signals.value(found.input);
            let is_there = !regions.is_empty() && !input.is_empty();
            let all = unit_count(shape).filter(|_| is_there);
            seen.dead = all.map(|all| {
                let flat = flat_in::<T>(&regions);
                let dead = units_where(input, shape, |x| is_flat(&flat, x));
                dead.len() as f64 / all.max(1) as f64
            });
        }
        seen
    }

    fn remember(&mut self, position: usize, seen: SeenForward) {
        if let (Some(&layer), Some(shares)) = (self.activations.get(&position), seen.activation) {
            self.layers[layer].activation = shares;
        }
        if let Some(&layer) = self.last.get(&position) {
            self.layers[layer].distance = seen.distance;
        }
        if let Some(&layer) = self.linear.get(&position) {
            self.layers[layer].input_squares = seen.input_squares;
        }
        if seen.distinct {
            self.distinct.insert(position);
        }
        if seen.output.is_some() {
            self.output = seen.output;
        }
    }

    fn dead_units_for_ever(&self, layer: &Layer) -> Option<f64> {
        let found = activation::of_layer(self.graph, layer)?;
        self.dead_for_ever(found.input, &found.function.flat_regions())
    }

    /// How far samples differ; of a sequence, the tokens of its first sample.
    fn distance<T: RunElement>(&self, signals: &Signals<'_, T>, value: ValueId) -> Option<f64> {
        let shape = &self.graph.value(value).shape;
        let data = signals.value(value);
        let (rows, len) = match shape[..] {
            [_, tokens, features] => (tokens, features),
            [rows, ..] => (rows, data.len() / rows.max(1)),
            [] => return None,
        };
        spread(data, rows, len)
    }

    /// The share of units (features, channels) of a value that lie beyond the bounds in every row.
    fn units_beyond<T: RunElement>(
        &self,
        signals: &Signals<'_, T>,
        value: ValueId,
        bounds: Bounds,
    ) -> Option<f64> {
        let shape = &self.graph.value(value).shape;
        let units = unit_count(shape).filter(|_| !signals.value(value).is_empty())?;
        let (low, high) = (T::from_f64(bounds.low), T::from_f64(bounds.high));
        let is_beyond = |x: &T| (*x < low) | (*x > high);
        let beyond = units_where(signals.value(value), shape, is_beyond);
        Some(beyond.len() as f64 / units as f64)
    }

    /// The share of rows that leave the flat regions nowhere.
    fn lost_rows<T: RunElement>(
        &self,
        signals: &Signals<'_, T>,
        pre_activation: ValueId,
        flat: &[(f64, f64)],
    ) -> Option<f64> {
        let shape = &self.graph.value(pre_activation).shape;
        let data = signals.value(pre_activation);
        let (&rows, false) = (shape.first()?, data.is_empty()) else {
            return None;
        };
        let flat = flat_in::<T>(flat);
        let leaves = |x: &T| !is_flat(&flat, x);
        let lost = data
            .chunks_exact((data.len() / rows.max(1)).max(1))
            .filter(|row| !row.iter().any(leaves));
        Some(lost.count() as f64 / rows.max(1) as f64)
    }

    /// The share of units whose pre-activation lies in a flat region whatever the layer before
    /// gives, as far as the range of its activation says.
    fn dead_for_ever(&self, pre_activation: ValueId, flat: &[(f64, f64)]) -> Option<f64> {
        let ValueKind::Output(node, _) = self.graph.value(pre_activation).kind else {
            return None;
        };
        let node = self.graph.node(node);
        if node.op.facts().weight != Some(WeightLayout::UnitsFirst) {
            return None;
        }
        let (low, high) = self.range_of(node.inputs[0])?;
        let weight = Numbers::of(self.graph, node.inputs[1])?;
        let bias = node
            .inputs
            .get(2)
            .and_then(|&bias| Numbers::of(self.graph, bias));
        let fan_in = *self.graph.value(node.inputs[1]).shape.get(1)?;
        let units = *self.graph.value(node.inputs[1]).shape.first()?;
        let is_dead = |unit: &usize| {
            let bias = bias.map_or(0.0, |bias| bias.at(*unit));
            let (mut least, mut most) = (bias, bias);
            for input in 0..fan_in {
                let weight = weight.at(unit * fan_in + input);
                if weight != 0.0 {
                    let ends = (weight * low, weight * high);
                    least += ends.0.min(ends.1);
                    most += ends.0.max(ends.1);
                }
            }
            flat.iter().any(|&(low, high)| least >= low && most <= high)
        };
        let dead = (0..units).filter(is_dead).count();
        Some(dead as f64 / units.max(1) as f64)
    }

    /// The range of the activation that gives a value, looking through views and pooling.
    fn range_of(&self, mut value: ValueId) -> Option<(f64, f64)> {
        loop {
            let ValueKind::Output(node, _) = self.graph.value(value).kind else {
                return None;
            };
            let node = self.graph.node(node);
            if let Some(activation) = node.op.activation() {
                return Some(Activation::range(activation));
            }
            if !node.op.facts().is_view.has(self.mode) && !node.op.facts().selects {
                return None;
            }
            value = *node.inputs.first()?;
        }
    }

    /// The signal-to-noise ratio of the gradient of a layer's weight. Sample i contributes δᵢhᵢᵀ,
    /// whose norm is ‖δᵢ‖‖hᵢ‖ (Goodfellow 2015), so the contributions' variance takes only the
    /// norms of rows.
    fn signal_to_noise(&self, layer: &Layer, run: &LayerRun, seen: &Seen) -> Option<f64> {
        let cotangents = seen.cotangents.as_ref()?;
        let mut nodes = layer.nodes.iter().map(|&node| self.graph.node(node));
        let node = nodes.find(|node| is_linear_on_vectors(node))?;
        let ValueKind::Parameter(id) = self.graph.value(node.inputs[1]).kind else {
            return None;
        };
        let name = &self.graph.parameter(id).name;
        let mut parameters = run.parameters.iter();
        let parameter = parameters.find(|parameter| parameter.name == *name)?;
        let total = parameter.grad_log10_l2?;
        let pairs = seen.input_squares.iter().zip(cotangents);
        let contributions =
            pairs.map(|(square, cotangent)| log10(*cotangent) + 0.5 * square.log10() - total);
        let squares: f64 = contributions
            .map(|relative| 10f64.powf(2.0 * relative))
            .sum();
        let rows = cotangents.len() as f64;
        // In units of the batch gradient's square: the variance of the batch's gradient, and what
        // of the square is left to the expectation.
        let noise = rows / (rows - 1.0) * (squares - 1.0 / rows);
        let ratio = (1.0 - noise).max(0.0) / noise;
        ratio.is_finite().then_some(ratio)
    }

    fn input<T: RunElement>(&self, inputs: &[Tensor<T>]) -> Option<InputRun> {
        let (&value, tensor) = (self.graph.inputs().first()?, inputs.first()?);
        let readers = self.readers_through_views(value);
        let reads_numbers = |node: &&Node| {
            node.op.differentiable(
                node.inputs
                    .iter()
                    .position(|&input| input == value)
                    .unwrap_or(0),
            )
        };
        if readers.is_empty() || !readers.iter().all(reads_numbers) {
            return None;
        }
        let shape = tensor.shape();
        let most = (MOST_ELEMENTS / shape.row_len().max(1)).clamp(1, MOST_ROWS);
        let rows = shape.first().copied().unwrap_or(1).min(most);
        let data = &tensor.data()[..rows * shape.row_len()];
        if data.is_empty() {
            return None;
        }
        let all = Statistics::of(data, 0, None);
        let feature_ratio = match shape[..] {
            [_, features] if features > 1 => feature_ratio(data, features),
            _ => None,
        };
        Some(InputRun {
            mean: all.mean(),
            rms: all.rms().to_f64(),
            max_abs: all.max_abs().to_f64(),
            feature_ratio,
            unscaled: readers.iter().all(|node| node.role == Role::Weight),
        })
    }

    fn readers_through_views(&self, value: ValueId) -> Vec<&'g Node> {
        let mut readers = Vec::new();
        let mut values = vec![value];
        while let Some(value) = values.pop() {
            for node in self
                .graph
                .nodes()
                .iter()
                .filter(|node| node.inputs.contains(&value))
            {
                if node.op.facts().is_view.has(self.mode) {
                    values.push(node.outputs[0]);
                } else {
                    readers.push(node);
                }
            }
        }
        readers
    }

    /// What the logits that go into a loss are worth.
    fn logits<T: RunElement>(
        &self,
        kind: CrossEntropyKind,
        loss: &Node,
        signals: &Signals<'_, T>,
    ) -> Option<OutputRun> {
        let logits = *loss.inputs.first()?;
        let data = signals.value(logits);
        if kind == CrossEntropyKind::Binary {
            let sample = data.iter().take(MOST_ROWS * MOST_ROWS).map(|z| z.to_f64());
            let losses: Vec<f64> = sample.map(|z| softplus(z) - 0.5 * z).collect();
            return Some(OutputRun {
                classes: 2,
                excess_nats: mean(&losses)? - std::f64::consts::LN_2,
            });
        }
        let [rows, classes] = self.graph.value(logits).shape[..] else {
            return None;
        };
        let rows = evenly(rows, MOST_ROWS);
        let excess: Vec<f64> = rows
            .filter_map(|row| data.get(row * classes..(row + 1) * classes))
            .map(|row| {
                let numbers = || row.iter().map(|z| z.to_f64());
                let most = numbers().fold(f64::NEG_INFINITY, f64::max);
                let sum: f64 = numbers().map(|z| (z - most).exp()).sum();
                let mean = numbers().sum::<f64>() / classes.max(1) as f64;
                most + sum.ln() - mean - (classes as f64).ln()
            })
            .collect();
        Some(OutputRun {
            classes,
            excess_nats: mean(&excess)?,
        })
    }
}

impl<T: RunElement> Observer<T> for Probe<'_> {
    fn forward(&mut self, signals: &Signals<'_, T>, nodes: Range<usize>) {
        let seen = signals.map(nodes.clone(), |position| self.look(signals, position));
        for (position, seen) in nodes.zip(seen) {
            self.remember(position, seen);
        }
    }

    fn backward(&mut self, signals: &Signals<'_, T>, nodes: Range<usize>) {
        for position in nodes {
            if let Some(&layer) = self.linear.get(&position) {
                let output = self.graph.nodes()[position].outputs[0];
                self.layers[layer].cotangents = signals.cotangent_row_norms(output);
            }
        }
    }
}

/// The pre-activations beyond which SageMaker Debugger calls an activation saturated.
fn debugger_bounds(activation: &dyn Activation) -> Option<Bounds> {
    let bounds = |low, high| Some(Bounds { low, high });
    match () {
        () if activation.is_same_function(&Tanh) => bounds(-9.4999, 9.4999),
        () if activation.is_same_function(&Sigmoid) => bounds(-23.0, 16.99999),
        () => None,
    }
}

/// A linear map whose weight is a matrix, applied to vectors.
fn is_linear_on_vectors(node: &Node) -> bool {
    let weight = node.op.facts().weight;
    weight.is_some_and(|layout| layout != WeightLayout::Kernel)
}

fn softplus(z: f64) -> f64 {
    z.max(0.0) + (-z.abs()).exp().ln_1p()
}

fn mean(numbers: &[f64]) -> Option<f64> {
    let mean = numbers.iter().sum::<f64>() / numbers.len() as f64;
    mean.is_finite().then_some(mean)
}

fn log10(size: Magnitude) -> f64 {
    if size.is_zero() {
        f64::NEG_INFINITY
    } else {
        size.log10()
    }
}

/// The largest root mean square of a feature over the median of those that are not zero.
fn feature_ratio<T: RunElement>(data: &[T], features: usize) -> Option<f64> {
    let mut squares = vec![0.0; features];
    for row in data.chunks_exact(features) {
        for (square, x) in squares.iter_mut().zip(row) {
            *square += x.to_f64() * x.to_f64();
        }
    }
    squares.retain(|&square| square > 0.0);
    squares.sort_by(f64::total_cmp);
    let median = *squares.get(squares.len() / 2)?;
    let ratio = (squares.last()? / median).sqrt();
    ratio.is_finite().then_some(ratio)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_feature_of_another_scale_shows() {
        let ratio = feature_ratio(&[1.0, 1000.0, 2.0, 1.0, 1000.0, 2.0], 3);
        assert!((ratio.expect("a ratio") - 500.0).abs() < 1e-9);
    }
}

//! What several batches show of one set of weights: which units are dead on how many of them, and how
//! far their gradients agree.

use super::activation;
use super::lookup::parameters_by_layer;
use super::units::{flat_in, is_flat, unit_count, units_where};
use crate::graph::{Graph, ValueId};
use crate::num::{Element, Scaled, scaled};
use crate::run::{Gradients, Observer, RunElement, Signals};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::ops::Range;

/// A layer over several batches.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LayerBatches {
    /// The layer's name.
    pub name: String,
    /// How many units pass no gradient on exactly so many of the batches: of none, of one, … of
    /// all. Empty without an activation that has flat parts.
    pub dead_on: Vec<usize>,
    /// The squared norm of the expectation of its parameters' gradients over the variance of a
    /// batch's about it; 0 where no signal stands out, `None` where it was not measured.
    pub gradient_signal_to_noise: Option<f64>,
}

impl LayerBatches {
    /// The share of units that pass no gradient on any of the batches.
    pub fn dead_on_all(&self) -> Option<f64> {
        let units: usize = self.dead_on.iter().sum();
        let dead = *self.dead_on.last()?;
        (units > 0).then(|| dead as f64 / units as f64)
    }
}

/// One set of weights on several batches.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Batches {
    /// The seed that drew the weights.
    pub seed: u64,
    /// The batches seen, the seed's own among them.
    pub count: usize,
    /// The layers that have something to tell, first to last.
    pub layers: Vec<LayerBatches>,
    /// The signal-to-noise ratio of the gradient of all parameters together.
    pub gradient_signal_to_noise: Option<f64>,
}

impl Batches {
    /// The layer of this name.
    pub fn layer(&self, name: &str) -> Option<&LayerBatches> {
        self.layers.iter().find(|layer| layer.name == name)
    }
}

/// Sees one batch after the other, and adds them up.
#[derive(Debug)]
pub struct BatchesProbe<'g> {
    graph: &'g Graph,
    count: usize,
    /// By node: the activation that a layer ends in with it.
    activations: HashMap<usize, FlatActivation>,
    /// By layer: of each unit, on how many batches it was dead.
    dead: Vec<Vec<usize>>,
    agreement: Vec<Agreement>,
}

/// An activation with flat parts that a layer ends in.
#[derive(Debug)]
struct FlatActivation {
    layer: usize,
    input: ValueId,
    flat: Vec<(f64, f64)>,
}

/// The gradients of a parameter so far.
#[derive(Clone, Debug, Default)]
struct Agreement {
    sum: Vec<f64>,
    squares: f64,
    batches: usize,
    /// They are in units of 2^this, about the size of the largest.
    exponent: i64,
}

impl<'g> BatchesProbe<'g> {
    /// Of a graph.
    pub fn new(graph: &'g Graph) -> Self {
        let mut activations = HashMap::new();
        let mut dead = vec![Vec::new(); graph.layers().len()];
        for (index, layer) in graph.layers().iter().enumerate() {
            let Some(found) = activation::of_layer(graph, layer) else {
                continue;
            };
            let flat = found.function.flat_regions();
            if flat.is_empty() {
                continue;
            }
            let shape = &graph.value(found.input).shape;
            dead[index] = vec![0; unit_count(shape).unwrap_or(0)];
            let node = found.node.index();
            let input = found.input;
            activations.insert(
                node,
                FlatActivation {
                    layer: index,
                    input,
                    flat,
                },
            );
        }
        Self {
            graph,
            count: 0,
            activations,
            dead,
            agreement: vec![Agreement::default(); graph.parameters().len()],
        }
    }

    /// Is there an activation that units can be dead of?
    pub fn has_flat_parts(&self) -> bool {
        !self.activations.is_empty()
    }

    /// Notes that another batch has been seen, and its gradients where they were kept.
    pub fn end_batch<T: RunElement>(&mut self, gradients: &Gradients<T>) {
        self.count += 1;
        for (agreement, gradient) in self.agreement.iter_mut().zip(gradients) {
            if let Some(gradient) = gradient {
                agreement.add(gradient);
            }
        }
    }

    /// What was seen. Each batch held `share` of the rows that there are, drawn without putting
    /// them back: its gradient varies by 1 − `share` of what independent rows' would.
    pub fn finish(self, seed: u64, share: f64) -> Batches {
        let by_layer = parameters_by_layer(self.graph);
        let ratio = |parameters: &[usize]| {
            let mut total = Parts::default();
            for &parameter in parameters {
                total.add(&self.agreement[parameter], self.count);
            }
            let ratio = total.ratio(self.count)?;
            Some(ratio * (1.0 - share))
        };
        let layer = |(index, dead): (usize, &Vec<usize>)| {
            let mut dead_on = Vec::new();
            if !dead.is_empty() {
                dead_on = vec![0; self.count + 1];
                dead.iter().for_each(|&batches| dead_on[batches] += 1);
            }
            let parameters = by_layer.get(&index).map_or(&[][..], Vec::as_slice);
            let found = LayerBatches {
                name: self.graph.layers()[index].name.clone(),
                dead_on,
                gradient_signal_to_noise: ratio(parameters),
            };
            let tells = !found.dead_on.is_empty() || found.gradient_signal_to_noise.is_some();
            tells.then_some(found)
        };
        let all: Vec<usize> = (0..self.graph.parameters().len()).collect();
        Batches {
            seed,
            count: self.count,
            layers: self.dead.iter().enumerate().filter_map(layer).collect(),
            gradient_signal_to_noise: ratio(&all),
        }
    }
}

impl<T: RunElement> Observer<T> for BatchesProbe<'_> {
    fn forward(&mut self, signals: &Signals<'_, T>, nodes: Range<usize>) {
        for position in nodes {
            let Some(FlatActivation { layer, input, flat }) = self.activations.get(&position)
            else {
                continue;
            };
            let flat = flat_in::<T>(flat);
            let (data, shape) = (signals.value(*input), &self.graph.value(*input).shape);
            if data.is_empty() {
                continue;
            }
            for unit in units_where(data, shape, |x| is_flat(&flat, x)) {
                self.dead[*layer][unit] += 1;
            }
        }
    }

    fn backward(&mut self, _: &Signals<'_, T>, _: Range<usize>) {}
}

impl Agreement {
    fn add<T: Element>(&mut self, gradient: &Scaled<T>) {
        self.batches += 1;
        let elements = gradient.tensor.data();
        self.sum.resize(elements.len(), 0.0);
        if elements.iter().all(|&x| x == T::zero()) {
            return;
        }
        let size = match scaled::max_abs(elements) {
            0.0 => gradient.exponent,
            largest => gradient.exponent + i64::from(libm::ilogb(largest)),
        };
        let unit = if self.squares == 0.0 {
            size
        } else {
            self.exponent.max(size)
        };
        if unit != self.exponent {
            scaled::scale(&mut self.sum, self.exponent - unit);
            scaled::scale(
                std::slice::from_mut(&mut self.squares),
                2 * (self.exponent - unit),
            );
            self.exponent = unit;
        }
        let mut term: Vec<f64> = elements.iter().map(|x| x.to_f64()).collect();
        scaled::scale(&mut term, gradient.exponent - unit);
        for (sum, x) in self.sum.iter_mut().zip(term) {
            *sum += x;
            self.squares += x * x;
        }
    }
}

/// ‖Σ g‖² and Σ ‖g‖² of several parameters, in units of 4^`exponent`.
#[derive(Default)]
struct Parts {
    sum: f64,
    squares: f64,
    exponent: Option<i64>,
}

impl Parts {
    fn add(&mut self, of: &Agreement, batches: usize) {
        if of.batches != batches || of.sum.is_empty() || of.squares == 0.0 {
            return;
        }
        let common = self
            .exponent
            .map_or(of.exponent, |own| own.max(of.exponent));
        let factor = |exponent: i64| f64::exp2i((2 * (exponent - common)).clamp(-2000, 0) as i32);
        let (mine, theirs) = (self.exponent.map_or(0.0, factor), factor(of.exponent));
        let square: f64 = of.sum.iter().map(|x| x * x).sum();
        self.sum = self.sum * mine + square * theirs;
        self.squares = self.squares * mine + of.squares * theirs;
        self.exponent = Some(common);
    }

    /// With B batches, mean ḡ and S = Σ‖g − ḡ‖²/(B − 1), the variance of one batch's gradient, the
    /// squared norm of the expectation is ‖ḡ‖² − S/B on average.
    fn ratio(&self, batches: usize) -> Option<f64> {
        if batches < 2 {
            return None;
        }
        let count = batches as f64;
        let mean = self.sum / (count * count);
        let variance = (self.squares - count * mean) / (count - 1.0);
        let ratio = (mean - variance / count).max(0.0) / variance;
        (variance > 0.0 && ratio.is_finite()).then_some(ratio)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::num::Tensor;
    use crate::num::random::Stream;

    fn ratio(signal: f64, noise: f64, exponents: [i64; 3]) -> Option<f64> {
        let size = 4000;
        let mut agreement = Agreement::default();
        for (batch, exponent) in exponents.into_iter().enumerate() {
            let mut data = vec![0.0; size];
            Stream::new(batch as u64, "noise").fill_normal(signal, noise, &mut data);
            let unit = f64::exp2i(exponent as i32);
            data.iter_mut().for_each(|x| *x /= unit);
            agreement.add(&Scaled {
                tensor: Tensor::new([size], data),
                exponent,
            });
        }
        let mut parts = Parts::default();
        parts.add(&agreement, 3);
        parts.ratio(3)
    }

    #[test]
    fn the_ratio_is_that_of_the_expectation_to_one_batch() {
        for (signal, noise) in [(1.0, 1.0), (0.5, 1.0), (3.0, 1.0)] {
            let expected = (signal / noise) * (signal / noise);
            let found = ratio(signal, noise, [0, 0, 0]).expect("a ratio");
            assert!((found / expected - 1.0).abs() < 0.1, "{found}, {expected}");
        }
        assert!(ratio(0.0, 1.0, [0; 3]).expect("a ratio") < 0.05);
    }

    #[test]
    fn exponents_are_of_no_consequence() {
        let plain = ratio(1.0, 1.0, [0, 0, 0]).expect("a ratio");
        let scaled = ratio(1.0, 1.0, [3, -9, 12]).expect("a ratio");
        assert!((plain / scaled - 1.0).abs() < 1e-9, "{plain} {scaled}");
    }

    #[test]
    fn batches_that_agree_to_the_bit_have_no_ratio() {
        let mut agreement = Agreement::default();
        for _ in 0..2 {
            let tensor = Tensor::new([2], vec![1.0, 2.0]);
            agreement.add(&Scaled {
                tensor,
                exponent: 0,
            });
        }
        let mut parts = Parts::default();
        parts.add(&agreement, 2);
        assert_eq!(parts.ratio(2), None);
    }
}

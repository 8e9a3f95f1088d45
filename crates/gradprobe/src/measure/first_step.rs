//! The loss after the first update, on the same batch.

use super::optimiser::Optimiser;
use crate::graph::Graph;
use crate::num::{Element, Scaled, Tensor};
use crate::run::Gradients;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What the first update does to the loss of the batch that it was computed from.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct FirstStep {
    /// The seed that drew the weights and the batch.
    pub seed: u64,
    /// The loss before.
    pub loss_before: f64,
    /// The loss after; `None` where it is not finite.
    pub loss_after: Option<f64>,
}

impl FirstStep {
    /// The loss after over that before; ∞ where it is not finite any more.
    pub fn growth(&self) -> f64 {
        self.loss_after
            .map_or(f64::INFINITY, |after| after / self.loss_before)
    }
}

/// The parameters after the first update of an optimiser. One without a gradient, or that is not
/// trained, stays.
pub fn updated<T: Element>(
    graph: &Graph,
    parameters: &[Arc<Tensor<T>>],
    gradients: &Gradients<T>,
    optimiser: Optimiser,
) -> Vec<Arc<Tensor<T>>> {
    let all = graph.parameters().iter().zip(parameters).zip(gradients);
    all.map(|((parameter, data), gradient)| match gradient {
        Some(gradient) if parameter.trainable => Arc::new(moved(data, gradient, optimiser)),
        _ => Arc::clone(data),
    })
    .collect()
}

fn moved<T: Element>(weights: &Tensor<T>, gradient: &Scaled<T>, optimiser: Optimiser) -> Tensor<T> {
    let exponent = gradient.exponent.clamp(-4000, 4000) as i32;
    let moved = weights.data().iter().zip(gradient.tensor.data());
    let moved = moved.map(|(weight, gradient)| {
        let weight = weight.to_f64();
        T::from_f64(
            weight - optimiser.first_update(weight, libm::scalbn(gradient.to_f64(), exponent)),
        )
    });
    Tensor::new(weights.shape().clone(), moved.collect())
}

impl Optimiser {
    /// What the first update takes from a weight.
    pub fn first_update(self, weight: f64, gradient: f64) -> f64 {
        match self {
            Self::Sgd { learning_rate } => learning_rate * gradient,
            Self::Adam {
                learning_rate,
                epsilon,
                weight_decay,
            } => {
                let step = gradient / (gradient.abs() + epsilon);
                learning_rate * (step + weight_decay * weight)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_update_of_each_optimiser() {
        let sgd = Optimiser::Sgd { learning_rate: 0.1 };
        assert_eq!(sgd.first_update(5.0, 2.0), 0.2);
        let adam = Optimiser::Adam {
            learning_rate: 0.1,
            epsilon: 1e-8,
            weight_decay: 0.5,
        };
        assert!((adam.first_update(2.0, -30.0) - 0.0).abs() < 1e-9);
        assert!((adam.first_update(0.0, 1e-3) - 0.1).abs() < 1e-5);
    }

    #[test]
    fn a_loss_that_is_no_number_has_grown_without_bound() {
        let step = FirstStep {
            seed: 0,
            loss_before: 2.0,
            loss_after: None,
        };
        assert_eq!(step.growth(), f64::INFINITY);
    }
}

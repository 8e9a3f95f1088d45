//! The chain differentiated by the general engine, as a check that shares nothing with the chain
//! rule but the activations' formulas.

use crate::import::chain_graph;
use crate::num::Real;
use crate::num::{Extended, Tensor};
use crate::run::{Executor, Options};
use crate::theory::{Chain, ExactChain};

/// The largest difference between two ways to the same gradients.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Difference {
    /// |a − b|/|b|.
    pub relative: f64,
    /// The layer where it is; 0 for the gradient with respect to x.
    pub layer: usize,
}

/// What the engine's reverse-mode autograd gives, in f64 with scaled cotangents.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Autograd {
    /// It ran.
    Ran {
        /// Index 0: with respect to x; index l: to w_l.
        gradients: Vec<Extended>,
        /// The largest difference from the chain rule, among the layers it can be told for;
        /// `None` where f64 holds too little of the forward signal for any.
        difference: Option<Difference>,
        /// The first layer whose forward value f64 cannot hold, where there is one: gradients
        /// beyond it are not compared.
        unheld: Option<usize>,
    },
    /// The chain is deeper than the graph that would be built for it may be.
    TooDeep {
        /// The most layers.
        limit: usize,
    },
    /// The engine refused.
    Failed {
        /// Why.
        reason: String,
    },
}

impl Autograd {
    pub(super) fn new(chain: &Chain, exact: &ExactChain, limit: usize) -> Self {
        if chain.depth() > limit {
            return Self::TooDeep { limit };
        }
        match differentiate(chain) {
            Ok(gradients) => {
                let unheld = first_unheld(exact);
                let difference = unheld
                    .is_none_or(|layer| derivatives_survive(chain, exact, layer))
                    .then(|| largest_difference(exact, &gradients, unheld));
                Self::Ran {
                    gradients,
                    difference,
                    unheld,
                }
            }
            Err(reason) => Self::Failed { reason },
        }
    }
}

fn differentiate(chain: &Chain) -> Result<Vec<Extended>, String> {
    let graph = chain_graph(chain).map_err(|error| error.to_string())?;
    let options = Options {
        statistics: false,
        keep_gradients: true,
        input_gradients: true,
        threads: 1,
        ..Options::default()
    };
    let mut executor = Executor::<f64>::new(&graph, options).map_err(|error| error.to_string())?;
    let input = [Tensor::new([1], vec![chain.x()])];
    let output = executor.run(&input).map_err(|error| error.to_string())?;
    let step = if chain.has_bias() { 2 } else { 1 };
    let weights = output.gradients.iter().step_by(step);
    let gradients = output.input_gradients.iter().take(1).chain(weights);
    Ok(gradients
        .map(|gradient| match gradient {
            Some(scaled) => Extended::from_parts(scaled.tensor.data()[0], scaled.exponent),
            // No cotangent arrived: the gradient is 0.
            None => Extended::ZERO,
        })
        .collect())
}

/// The largest |exponent| of a forward value that f64 holds together with a scaled cotangent, which
/// is kept within 2^±20.
const HELD_EXPONENT: i64 = 1000;

/// The first layer whose pre-activation or output is beyond f64, with room for a cotangent.
fn first_unheld(exact: &ExactChain) -> Option<usize> {
    let held = |value: Extended| {
        value.is_zero() || {
            let (_, exponent) = value.to_parts();
            exponent.abs() <= HELD_EXPONENT
        }
    };
    exact
        .layers()
        .iter()
        .position(|layer| !held(layer.pre_activation) || !held(layer.output))
        .map(|index| index + 1)
}

/// Are the derivatives from this layer on the same at the arguments that f64 makes of theirs, so
/// that the gradients of the layers before it are not touched?
fn derivatives_survive(chain: &Chain, exact: &ExactChain, from: usize) -> bool {
    const SAME: f64 = 1e-12;
    let formula = chain.activation().in_extended();
    exact.layers()[from - 1..].iter().all(|layer| {
        let held = Extended::from_f64(layer.pre_activation.to_f64());
        let at_held = formula.derivative(held);
        at_held == layer.derivative
            || (at_held / layer.derivative - Extended::ONE).abs().to_f64() < SAME
    })
}

fn largest_difference(
    exact: &ExactChain,
    gradients: &[Extended],
    unheld: Option<usize>,
) -> Difference {
    let mut largest = Difference {
        relative: 0.0,
        layer: 1,
    };
    for (layer, &got) in gradients.iter().enumerate() {
        if unheld.is_some_and(|unheld| layer > unheld) {
            break;
        }
        let expected = exact.gradient(layer).value;
        if got == expected {
            continue;
        }
        let relative = ((got - expected) / expected).abs().to_f64();
        if relative > largest.relative || relative.is_nan() {
            largest = Difference { relative, layer };
        }
    }
    largest
}

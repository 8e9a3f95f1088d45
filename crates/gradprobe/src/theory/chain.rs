//! The scalar chain f = φ(w_L φ(… φ(w₁ x + b₁) …) + b_L), and its gradients by the chain rule.
//!
//! With u_l = w_l h_(l−1) + b_l and h_l = φ(u_l), h₀ = x:
//! ∂f/∂w_l = h_(l−1) φ′(u_l) Π_(k>l) w_k φ′(u_k), and ∂f/∂x = Π_k w_k φ′(u_k).
//! [`ExactChain`] evaluates it to 106 bits without over- or underflow, and bounds its own error
//! (to first order: by the condition number of every step), because a chaotic chain loses all 106.

use crate::num::{Extended, Real};
use crate::ops::activation::Activation;
use std::sync::Arc;

/// The deepest chain that is accepted.
pub const MAX_DEPTH: usize = 1_000_000;

/// A number for every layer: one for all, or each its own.
#[derive(Clone, Debug, PartialEq)]
pub enum LayerValues {
    /// The same for every layer.
    Same(f64),
    /// By layer, the one nearest to the input first.
    Each(Vec<f64>),
}

impl LayerValues {
    /// The value of layer `layer`, counted from 1 at the input.
    ///
    /// # Panics
    /// If the layer is not one of the chain's: that is a defect of the caller.
    #[inline]
    pub fn of(&self, layer: usize) -> f64 {
        match self {
            Self::Same(value) => *value,
            Self::Each(values) => values[layer - 1],
        }
    }

    /// Is it the same everywhere? Then that value.
    pub fn common(&self) -> Option<f64> {
        match self {
            Self::Same(value) => Some(*value),
            Self::Each(values) => {
                let first = *values.first()?;
                values.iter().all(|value| *value == first).then_some(first)
            }
        }
    }

    fn check(&self, name: &'static str, depth: usize) -> Result<(), ChainError> {
        let values = match self {
            Self::Same(value) => std::slice::from_ref(value),
            Self::Each(values) if values.len() != depth => {
                let got = values.len();
                return Err(ChainError::Count { name, depth, got });
            }
            Self::Each(values) => values,
        };
        match values.iter().find(|value| !value.is_finite()) {
            Some(&got) => Err(ChainError::NotFinite { name, got }),
            None => Ok(()),
        }
    }
}

/// Why there is no such chain.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ChainError {
    /// A depth outside 1..=[`MAX_DEPTH`].
    #[error("the depth is {got}, expected 1 to {MAX_DEPTH}")]
    Depth {
        /// The depth asked for.
        got: usize,
    },
    /// As many values as there are not layers.
    #[error("{name} has {got} values, expected 1 or one for each of the {depth} layers")]
    Count {
        /// `w` or `b`.
        name: &'static str,
        /// Layers.
        depth: usize,
        /// Values given.
        got: usize,
    },
    /// An infinity or NaN.
    #[error("{name} is {got}, expected a finite number")]
    NotFinite {
        /// `x`, `w` or `b`.
        name: &'static str,
        /// What was given.
        got: f64,
    },
}

/// A chain: its activation, depth, input, weights and biases.
#[derive(Clone, Debug)]
pub struct Chain {
    activation: Arc<dyn Activation>,
    depth: usize,
    x: f64,
    weights: LayerValues,
    biases: LayerValues,
}

impl Chain {
    /// A chain of `depth` layers.
    ///
    /// # Errors
    /// If the depth is 0 or above [`MAX_DEPTH`], a number is not finite, or there are as many
    /// weights or biases as there are not layers.
    pub fn new(
        activation: Arc<dyn Activation>,
        depth: usize,
        x: f64,
        weights: LayerValues,
        biases: LayerValues,
    ) -> Result<Self, ChainError> {
        if depth == 0 || depth > MAX_DEPTH {
            return Err(ChainError::Depth { got: depth });
        }
        if !x.is_finite() {
            return Err(ChainError::NotFinite { name: "x", got: x });
        }
        weights.check("w", depth)?;
        biases.check("b", depth)?;
        Ok(Self {
            activation,
            depth,
            x,
            weights,
            biases,
        })
    }

    /// The activation of every layer.
    pub fn activation(&self) -> &Arc<dyn Activation> {
        &self.activation
    }
    /// Layers.
    pub fn depth(&self) -> usize {
        self.depth
    }
    /// The input.
    pub fn x(&self) -> f64 {
        self.x
    }
    /// The weights.
    pub fn weights(&self) -> &LayerValues {
        &self.weights
    }
    /// The biases.
    pub fn biases(&self) -> &LayerValues {
        &self.biases
    }
    /// Is any bias not zero?
    pub fn has_bias(&self) -> bool {
        self.biases.common() != Some(0.0)
    }

    /// The same chain with another activation.
    pub fn with_activation(&self, activation: Arc<dyn Activation>) -> Self {
        Self {
            activation,
            ..self.clone()
        }
    }
    /// The same chain with another input.
    pub fn with_input(&self, x: f64) -> Self {
        Self { x, ..self.clone() }
    }
    /// The same chain with one weight for every layer.
    pub fn with_weight(&self, weight: f64) -> Self {
        Self {
            weights: LayerValues::Same(weight),
            ..self.clone()
        }
    }
}

/// One layer of the exact forward pass.
#[derive(Clone, Copy, Debug)]
pub struct ExactLayer {
    /// u_l, the argument of the activation.
    pub pre_activation: Extended,
    /// h_l = φ(u_l).
    pub output: Extended,
    /// φ′(u_l), PyTorch's choice at a kink.
    pub derivative: Extended,
    /// Is u_l at a point where φ has no derivative?
    pub at_kink: bool,
}

/// A gradient and how far it can be relied on.
#[derive(Clone, Copy, Debug)]
pub struct ExactGradient {
    /// The gradient.
    pub value: Extended,
    /// A bound on its relative error, to first order.
    pub relative_error: f64,
}

/// Decimal digits that are shown of an exact number.
const SHOWN_DIGITS: usize = 18;

impl ExactGradient {
    /// How many significant digits of the value hold, at most 18; 0 where none does.
    pub fn digits(&self) -> usize {
        if self.value.is_zero() && self.relative_error == 0.0 {
            return SHOWN_DIGITS;
        }
        let digits = -self.relative_error.log10() - 1.0;
        if digits.is_nan() {
            0
        } else {
            digits.clamp(0.0, SHOWN_DIGITS as f64) as usize
        }
    }

    /// The value in as many significant digits as hold, at most 18, cut off and not rounded; `?`
    /// where none does.
    pub fn to_decimal(&self) -> String {
        match self.digits() {
            0 => "?".to_owned(),
            digits => self.value.to_decimal_cut(digits),
        }
    }
}

/// The chain's forward pass and gradients to 106 bits.
#[derive(Clone, Debug)]
pub struct ExactChain {
    layers: Vec<ExactLayer>,
    /// Index 0: with respect to x; index l: to w_l.
    gradients: Vec<ExactGradient>,
    output_error: f64,
    last_kink: Option<usize>,
}

/// Relative error of one operation of [`Extended`].
const OPERATION_ERROR: f64 = 1.0 / (1u128 << 103) as f64;
/// Relative error of an activation's value or derivative, measured in the tests of `Extended`
/// (4·10⁻³² a function) with a margin for formulas of several.
const FUNCTION_ERROR: f64 = 2e-31;
/// Relative error of the argument that a formula hands on to a function.
const ARGUMENT_ERROR: f64 = 1.0 / (1u128 << 105) as f64;
/// A pre-activation with this relative error has left what a first-order bound can follow.
const LOST: f64 = 0.05;

impl ExactChain {
    /// Runs the chain forward and applies the chain rule.
    pub fn new(chain: &Chain) -> Self {
        let forward = Forward::run(chain);
        let mut gradients = vec![
            ExactGradient {
                value: Extended::ZERO,
                relative_error: 0.0
            };
            chain.depth + 1
        ];
        let x = Extended::from_f64(chain.x);
        let mut downstream = Extended::ONE;
        let mut downstream_error = 0.0;
        for layer in (1..=chain.depth).rev() {
            let at = &forward.layers[layer - 1];
            let (input, input_error) = match layer {
                1 => (x, 0.0),
                _ => (
                    forward.layers[layer - 2].output,
                    forward.output_errors[layer - 2],
                ),
            };
            let local = downstream * at.derivative;
            downstream_error += forward.derivative_errors[layer - 1]
                + product_error(downstream, at.derivative, local);
            let value = local * input;
            let error = downstream_error + input_error + product_error(local, input, value);
            gradients[layer] = ExactGradient::new(value, error, forward.lost);
            let weight = Extended::from_f64(chain.weights.of(layer));
            downstream = local * weight;
            downstream_error += product_error(local, weight, downstream);
        }
        gradients[0] = ExactGradient::new(downstream, downstream_error, forward.lost);
        Self {
            output_error: match forward.lost {
                true => 1.0,
                false => forward.output_errors[chain.depth - 1],
            },
            last_kink: forward
                .layers
                .iter()
                .rposition(|layer| layer.at_kink)
                .map(|index| index + 1),
            layers: forward.layers,
            gradients,
        }
    }

    /// By layer, the one nearest to the input first.
    pub fn layers(&self) -> &[ExactLayer] {
        &self.layers
    }

    /// ∂f/∂w_l for the layer counted from 1 at the input.
    pub fn gradient(&self, layer: usize) -> &ExactGradient {
        &self.gradients[layer]
    }

    /// ∂f/∂x.
    pub fn input_gradient(&self) -> &ExactGradient {
        &self.gradients[0]
    }

    /// f, with its error.
    pub fn output(&self) -> ExactGradient {
        ExactGradient {
            value: self.layers[self.layers.len() - 1].output,
            relative_error: self.output_error,
        }
    }

    /// The layer nearest to the output that is at a kink, if any: the gradients of the layers up
    /// to it are PyTorch's choice.
    pub fn last_kink(&self) -> Option<usize> {
        self.last_kink
    }

    /// The fewest digits that hold in any gradient.
    pub fn fewest_digits(&self) -> usize {
        self.gradients
            .iter()
            .map(ExactGradient::digits)
            .min()
            .unwrap_or(SHOWN_DIGITS)
    }
}

impl ExactGradient {
    fn new(value: Extended, error: f64, lost: bool) -> Self {
        // A factor that is exactly zero makes the product so, whatever the others are.
        let relative_error = match (value.is_zero(), lost) {
            (true, false) => 0.0,
            (_, true) => 1.0,
            (false, false) => error,
        };
        Self {
            value,
            relative_error,
        }
    }
}

/// The product of two f64 is exact in 106 bits.
fn product_error(a: Extended, b: Extended, product: Extended) -> f64 {
    if product.is_zero() || a.is_single() && b.is_single() {
        0.0
    } else {
        OPERATION_ERROR
    }
}

struct Forward {
    layers: Vec<ExactLayer>,
    output_errors: Vec<f64>,
    derivative_errors: Vec<f64>,
    /// Has some pre-activation lost all its digits?
    lost: bool,
}

impl Forward {
    fn run(chain: &Chain) -> Self {
        let formula = chain.activation.in_extended();
        let kinks: Vec<Extended> = chain
            .activation
            .kinks()
            .into_iter()
            .map(Extended::from_f64)
            .collect();
        let mut forward = Self {
            layers: Vec::with_capacity(chain.depth),
            output_errors: Vec::with_capacity(chain.depth),
            derivative_errors: Vec::with_capacity(chain.depth),
            lost: false,
        };
        let (mut h, mut error) = (Extended::from_f64(chain.x), 0.0);
        for layer in 1..=chain.depth {
            let (u, u_error) = affine(chain, layer, h, error);
            let (output, derivative) = formula.value_and_derivative(u);
            forward.lost |= u_error > LOST;
            error = value_error(u, u_error, output, derivative);
            let derivative_error = if derivative.is_zero() || derivative == Extended::ONE {
                0.0
            } else {
                let condition = condition_of_derivative(&*chain.activation, u, derivative);
                FUNCTION_ERROR + condition * (u_error + ARGUMENT_ERROR)
            };
            forward.layers.push(ExactLayer {
                pre_activation: u,
                output,
                derivative,
                at_kink: kinks.contains(&u),
            });
            forward.output_errors.push(error);
            forward.derivative_errors.push(derivative_error);
            h = output;
        }
        forward
    }
}

/// u = w h + b and its relative error.
fn affine(chain: &Chain, layer: usize, h: Extended, error: f64) -> (Extended, f64) {
    let weight = Extended::from_f64(chain.weights.of(layer));
    let product = weight * h;
    let error = error + product_error(weight, h, product);
    let bias = chain.biases.of(layer);
    if bias == 0.0 {
        return (product, error);
    }
    let bias = Extended::from_f64(bias);
    let sum = product + bias;
    let rounding = if product.is_single() {
        0.0
    } else {
        OPERATION_ERROR
    };
    let carried = error + rounding;
    if carried == 0.0 {
        return (sum, 0.0);
    }
    (sum, (product / sum).abs().to_f64() * carried + rounding)
}

/// The relative error of h = φ(u): what u's error becomes, and the function's own.
fn value_error(u: Extended, u_error: f64, output: Extended, derivative: Extended) -> f64 {
    if output == u {
        return u_error;
    }
    if output.is_zero() && derivative.is_zero() {
        return 0.0;
    }
    let condition = if derivative.is_zero() || u.is_zero() {
        0.0
    } else {
        (u * derivative / output).abs().to_f64()
    };
    let carried = if condition == 0.0 {
        0.0
    } else {
        condition * (u_error + ARGUMENT_ERROR)
    };
    carried + FUNCTION_ERROR
}

/// |u φ″(u)/φ′(u)|, by a difference quotient of ln|φ′|.
fn condition_of_derivative(activation: &dyn Activation, u: Extended, derivative: Extended) -> f64 {
    const STEP: f64 = 1.0 / (1 << 20) as f64;
    const FINE_EXPONENT: i64 = -60;
    if u.is_zero() {
        return 0.0;
    }
    let (_, exponent) = u.to_parts();
    if exponent.abs() < 10 {
        let at = u.to_f64();
        let difference =
            activation.ln_abs_derivative(at * (1.0 + STEP)) - activation.ln_abs_derivative(at);
        if difference.is_finite() {
            return difference.abs() / STEP;
        }
    }
    let step = Extended::ONE.scaled(FINE_EXPONENT);
    let beside = activation.in_extended().derivative(u + u * step);
    (beside / derivative - Extended::ONE)
        .scaled(-FINE_EXPONENT)
        .abs()
        .to_f64()
}

#[cfg(test)]
mod tests;

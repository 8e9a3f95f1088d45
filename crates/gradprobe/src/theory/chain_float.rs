//! The chain's gradients as a framework's autograd computes them, in one floating-point type.
//!
//! Reverse mode, in PyTorch's order: forward u = w·h + b and y = φ(u); backward from 1, through
//! the derivative as the framework's formula has it (1 − y² for tanh), then to w and to h. Every
//! tensor operation rounds to the type. f32 and f64 round inside the activation's formula too; the
//! 16-bit types (and the 8-bit ones) compute an activation in f32 and round its result, as PyTorch does.

use super::chain::Chain;
use crate::num::{Dtype, Plain, Real};
use crate::ops::activation::{Activation, ActivationFormula};

/// What a framework's arithmetic makes of the chain.
#[derive(Clone, Debug)]
pub struct FloatChain {
    dtype: Dtype,
    pre_activations: Vec<f64>,
    /// Index 0: x; index l: h_l.
    outputs: Vec<f64>,
    derivatives: Vec<f64>,
    /// Index 0: with respect to x; index l: to w_l.
    gradients: Vec<f64>,
}

impl FloatChain {
    /// Runs the chain forward and backward in a type.
    pub fn new(chain: &Chain, dtype: Dtype) -> Self {
        match dtype {
            Dtype::F64 => run::<f64>(chain, dtype),
            Dtype::F32 | Dtype::Bf16 | Dtype::F16 | Dtype::E5m2 | Dtype::E4m3 => {
                run::<f32>(chain, dtype)
            }
        }
    }

    /// The type computed in.
    pub fn dtype(&self) -> Dtype {
        self.dtype
    }
    /// ∂f/∂w_l for the layer counted from 1 at the input.
    pub fn gradient(&self, layer: usize) -> f64 {
        self.gradients[layer]
    }
    /// ∂f/∂x.
    pub fn input_gradient(&self) -> f64 {
        self.gradients[0]
    }
    /// h_l; h₀ is x as the type holds it.
    pub fn output_of(&self, layer: usize) -> f64 {
        self.outputs[layer]
    }
    /// f.
    pub fn output(&self) -> f64 {
        self.outputs[self.outputs.len() - 1]
    }
    /// u_l.
    pub fn pre_activation(&self, layer: usize) -> f64 {
        self.pre_activations[layer - 1]
    }
    /// φ′(u_l) as the framework computes it.
    pub fn derivative(&self, layer: usize) -> f64 {
        self.derivatives[layer - 1]
    }
}

/// The type that activations are evaluated in.
trait Working: Copy + 'static {
    fn from_f64(value: f64) -> Self;
    fn to_f64(self) -> f64;
    fn formula(activation: &dyn Activation) -> &dyn ActivationFormula<Plain<Self>>;
}

impl Working for f32 {
    fn from_f64(value: f64) -> Self {
        value as f32
    }
    fn to_f64(self) -> f64 {
        f64::from(self)
    }
    fn formula(activation: &dyn Activation) -> &dyn ActivationFormula<Plain<Self>> {
        activation.in_plain_f32()
    }
}

impl Working for f64 {
    fn from_f64(value: f64) -> Self {
        value
    }
    fn to_f64(self) -> f64 {
        self
    }
    fn formula(activation: &dyn Activation) -> &dyn ActivationFormula<Plain<Self>> {
        activation.in_plain_f64()
    }
}

fn run<T: Working>(chain: &Chain, dtype: Dtype) -> FloatChain
where
    Plain<T>: Real,
{
    let depth = chain.depth();
    let formula = T::formula(&**chain.activation());
    // A product of two numbers of at most 24 bits is exact in f64, so rounding that is what the
    // working type's multiplication does; the 16-bit types round once more. For f64 both do nothing.
    let round = |value: f64| dtype.round(T::from_f64(value).to_f64());
    let masks = !chain.activation().underflows();
    let mut result = FloatChain {
        dtype,
        pre_activations: Vec::with_capacity(depth),
        outputs: Vec::with_capacity(depth + 1),
        derivatives: Vec::with_capacity(depth),
        gradients: vec![0.0; depth + 1],
    };
    let mut h = round(chain.x());
    result.outputs.push(h);
    for layer in 1..=depth {
        let product = round(round(chain.weights().of(layer)) * h);
        let bias = chain.biases().of(layer);
        let u = if bias == 0.0 {
            product
        } else {
            round(product + round(bias))
        };
        let argument = Plain(T::from_f64(u));
        let value = formula.framework_value(argument);
        h = round(value.0.to_f64());
        // The backward pass reads the rounded output.
        let derivative = formula.framework_derivative(argument, Plain(T::from_f64(h)));
        result.pre_activations.push(u);
        result.outputs.push(h);
        result.derivatives.push(derivative.0.to_f64());
    }
    let mut cotangent = 1.0;
    for layer in (1..=depth).rev() {
        let derivative = result.derivatives[layer - 1];
        cotangent = if derivative == 0.0 && masks {
            // A mask gives 0 even for an infinite cotangent.
            0.0
        } else {
            round(cotangent * derivative)
        };
        result.gradients[layer] = round(cotangent * result.outputs[layer - 1]);
        cotangent = round(cotangent * round(chain.weights().of(layer)));
    }
    result.gradients[0] = cotangent;
    result
}

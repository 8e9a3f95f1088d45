//! The engine's elementwise op.

use super::{Activation, ActivationElement, Exponential, Softplus};
use crate::num::simd::vectorised;
use crate::num::{Element, Shape, View, ViewMut};
use crate::ops::parallel::{for_rows, largest_of_parts};
use crate::ops::{Autocast, Context, Kernel, Op, OpError, OpFacts, Role, Saved};
use pulp::{Simd, WithSimd};
use std::sync::Arc;

/// An activation applied to every element of its one input.
#[derive(Clone, Debug)]
pub struct ActivationOp {
    activation: Arc<dyn Activation>,
    facts: OpFacts,
}

impl ActivationOp {
    /// The op of an activation.
    pub fn new(activation: Arc<dyn Activation>) -> Self {
        // These are of the functions that frameworks have by name; others are made of such.
        let functions: [&dyn Activation; 2] = [&Exponential, &Softplus];
        let is_single = functions.map(|single| activation.is_same_function(single));
        Self {
            facts: OpFacts {
                is_step: activation.is_step(),
                autocast: match is_single.contains(&true) {
                    true => Autocast::Single,
                    false => Autocast::Promote,
                },
                framework_vjp_cancels: activation.underflows(),
                saturation: activation.saturation_bounds(),
                ..OpFacts::NONE
            },
            activation,
        }
    }
}

impl Op for ActivationOp {
    fn name(&self) -> &'static str {
        let about = self.activation.about();
        about.onnx.unwrap_or(about.name)
    }
    fn role(&self) -> Role {
        Role::Activation
    }
    fn infer(&self, inputs: &[&Shape]) -> Result<Vec<Shape>, OpError> {
        match inputs {
            [shape] => Ok(vec![(*shape).clone()]),
            _ => Err(OpError::InputCount {
                expected: "1".to_owned(),
                got: inputs.len(),
            }),
        }
    }
    fn per_sample(&self, sampled: &[bool], _inputs: &[&Shape]) -> bool {
        sampled.first().copied().unwrap_or(false)
    }
    fn reads_outputs(&self) -> bool {
        false
    }
    fn activation(&self) -> Option<&dyn Activation> {
        Some(&*self.activation)
    }
    fn facts(&self) -> OpFacts {
        self.facts
    }
    fn flops(&self, inputs: &[&Shape], _outputs: &[Shape]) -> u64 {
        // About what a polynomial and a division cost.
        inputs
            .first()
            .map_or(0, |shape| 20 * shape.element_count() as u64)
    }
}

impl<T: ActivationElement> Kernel<T> for ActivationOp {
    fn forward(
        &self,
        context: &Context,
        inputs: &[View<'_, T>],
        outputs: &mut [ViewMut<'_, T>],
    ) -> Result<(), OpError> {
        let ([input], [output]) = (inputs, outputs) else {
            return Err(OpError::InputCount {
                expected: "1".to_owned(),
                got: inputs.len(),
            });
        };
        let kernel = T::activation(&*self.activation);
        for_rows(context.parallel, output.data, 1, |range, output| {
            kernel.apply(&input.data[range], output);
        });
        Ok(())
    }

    fn vjp(
        &self,
        context: &Context,
        saved: Saved<'_, T>,
        cotangents: &[Option<View<'_, T>>],
        gradients: &mut [Option<ViewMut<'_, T>>],
    ) -> Result<i64, OpError> {
        let ([input], [cotangent], [gradient]) = (saved.inputs, cotangents, gradients) else {
            return Err(OpError::InputCount {
                expected: "1".to_owned(),
                got: saved.inputs.len(),
            });
        };
        let Some(gradient) = gradient else {
            return Ok(0);
        };
        let Some(cotangent) = cotangent else {
            gradient.data.fill(T::zero());
            return Ok(0);
        };
        let kernel = T::activation(&*self.activation);
        for_rows(context.parallel, gradient.data, 1, |range, gradient| {
            let cotangent = &cotangent.data[range.clone()];
            kernel.vjp(&input.data[range], cotangent, gradient);
        });
        if !self.activation.underflows() {
            return Ok(0);
        }
        let largest = |data| largest_of_parts(context.parallel, data, largest_magnitude);
        let reached = largest(&*gradient.data);
        if reached.is_nan() || reached >= TINY * largest(cotangent.data) {
            return Ok(0);
        }
        Ok(scaled_vjp(
            &*self.activation,
            input.data,
            cotangent.data,
            gradient.data,
        ))
    }

    fn framework_forward(
        &self,
        context: &Context,
        inputs: &[View<'_, T>],
        outputs: &mut [ViewMut<'_, T>],
    ) -> Result<(), OpError> {
        let kernel = T::activation(&*self.activation);
        let (input, output) = (inputs[0], &mut outputs[0]);
        for_rows(context.parallel, output.data, 1, |range, output| {
            kernel.framework_apply(&input.data[range], output);
        });
        Ok(())
    }

    fn framework_vjp(
        &self,
        context: &Context,
        saved: Saved<'_, T>,
        cotangents: &[Option<View<'_, T>>],
        gradients: &mut [Option<ViewMut<'_, T>>],
    ) -> Result<(), OpError> {
        let (Some(cotangent), Some(gradient)) = (cotangents[0], &mut gradients[0]) else {
            return Ok(());
        };
        let kernel = T::activation(&*self.activation);
        let (input, output) = (saved.inputs[0].data, saved.outputs[0].data);
        for_rows(context.parallel, gradient.data, 1, |range, gradient| {
            let (input, output) = (&input[range.clone()], &output[range.clone()]);
            kernel.framework_vjp(input, output, &cotangent.data[range], gradient);
        });
        Ok(())
    }
}

/// The largest |x| of a slice, NaN if one is NaN.
fn largest_magnitude<T: Element>(data: &[T]) -> f64 {
    vectorised(Largest { data }).to_f64()
}

struct Largest<'a, T> {
    data: &'a [T],
}

impl<T: Element> WithSimd for Largest<'_, T> {
    type Output = T;
    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) -> T {
        // As many running maxima as fill the registers: one alone would be a chain.
        const LANES: usize = 64;
        let mut largest = [T::zero(); LANES];
        let (blocks, rest) = self.data.as_chunks::<LANES>();
        for block in blocks {
            for (largest, &x) in largest.iter_mut().zip(block) {
                *largest = x.abs().maximum(*largest);
            }
        }
        largest
            .into_iter()
            .chain(rest.iter().map(|x| x.abs()))
            .fold(T::zero(), T::maximum)
    }
}

/// The largest |gradient| over the largest |cotangent| below which digits may have been lost.
const TINY: f64 = 1.0 / (1u64 << 60) as f64;

/// Writes the gradients × 2^(−e), the largest of them near 1, and returns e.
fn scaled_vjp<T: Element>(
    activation: &dyn Activation,
    x: &[T],
    cotangent: &[T],
    gradient: &mut [T],
) -> i64 {
    let logarithm = |x: T, cotangent: T| {
        let derivative = activation.log_derivative(x.to_f64());
        let cotangent = cotangent.to_f64();
        (
            derivative.sign * cotangent.signum(),
            derivative.ln_abs + libm::log(cotangent.abs()),
        )
    };
    let largest = x
        .iter()
        .zip(cotangent)
        .map(|(&x, &c)| logarithm(x, c).1)
        .fold(f64::NEG_INFINITY, f64::max);
    if largest == f64::NEG_INFINITY {
        gradient.fill(T::zero());
        return 0;
    }
    let exponent = (largest * std::f64::consts::LOG2_E).floor();
    let offset = exponent * std::f64::consts::LN_2;
    for ((gradient, &x), &c) in gradient.iter_mut().zip(x).zip(cotangent) {
        let (sign, ln_abs) = logarithm(x, c);
        *gradient = if ln_abs == f64::NEG_INFINITY {
            T::zero()
        } else {
            T::from_f64(sign * libm::exp(ln_abs - offset))
        };
    }
    exponent as i64
}

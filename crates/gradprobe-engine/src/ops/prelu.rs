//! PRelu: a leaky ReLU whose slopes are learned (He et al. 2015).

use super::arithmetic::{Binary, forward_binary, vjp_binary};
use super::shapes::{broadcast, broadcast_per_sample, expect_inputs, misfit};
use super::{Autocast, Context, Kernel, Op, OpElement, OpError, OpFacts, Role, Saved};
use crate::num::{Element, Shape, View, ViewMut};

/// x where x > 0, else slope · x; the slope is broadcast to x as NumPy does (a slope for every
/// channel of an image has shape \[C, 1, 1\]). At 0 the derivative is the slope, as in PyTorch.
#[derive(Clone, Copy, Debug, Default)]
pub struct PRelu;

impl Binary for PRelu {
    const READS_INPUTS: bool = true;

    #[inline(always)]
    fn value<T: Element>(x: T, slope: T) -> T {
        T::select(x > T::zero(), x, slope * x)
    }

    #[inline(always)]
    fn pull_a<T: Element>(g: T, x: T, slope: T) -> T {
        T::select(x > T::zero(), g, g * slope)
    }

    #[inline(always)]
    fn pull_b<T: Element>(g: T, _slope: T, x: T) -> T {
        T::select(x > T::zero(), T::zero(), g * x)
    }
}

impl<T: OpElement> Kernel<T> for PRelu {
    fn forward(
        &self,
        context: &Context,
        inputs: &[View<'_, T>],
        outputs: &mut [ViewMut<'_, T>],
    ) -> Result<(), OpError> {
        forward_binary::<Self, T>(context, inputs, outputs);
        Ok(())
    }

    fn vjp(
        &self,
        context: &Context,
        saved: Saved<'_, T>,
        cotangents: &[Option<View<'_, T>>],
        gradients: &mut [Option<ViewMut<'_, T>>],
    ) -> Result<i64, OpError> {
        if let Some(cotangent) = cotangents[0] {
            vjp_binary::<Self, T>(context, saved.inputs, cotangent, gradients);
        }
        Ok(0)
    }
}

impl Op for PRelu {
    fn name(&self) -> &'static str {
        "PRelu"
    }

    fn role(&self) -> Role {
        Role::Activation
    }

    fn facts(&self) -> OpFacts {
        OpFacts {
            autocast: Autocast::Narrow,
            ..OpFacts::default()
        }
    }

    fn infer(&self, inputs: &[&Shape]) -> Result<Vec<Shape>, OpError> {
        expect_inputs(inputs, 2..=2)?;
        let out = broadcast(&[inputs[0], inputs[1]])?;
        if out != *inputs[0] {
            let expected = format!("one that broadcasts to {}", inputs[0]);
            return Err(misfit("shape of the slope", expected, inputs[1]));
        }
        Ok(vec![out])
    }

    fn per_sample(&self, sampled: &[bool], inputs: &[&Shape]) -> bool {
        broadcast_per_sample(sampled, inputs)
    }

    fn reads_outputs(&self) -> bool {
        false
    }
}

//! Losses that compare a prediction with a target of the same shape, element by element.
//!
//! | loss | ℓ(x, t) | ∂ℓ/∂x |
//! |---|---|---|
//! | MeanSquaredError | (x − t)² | 2(x − t) |
//! | MeanAbsoluteError | \|x − t\| | sign(x − t), 0 at 0 |
//! | Huber(δ) | (x − t)²/2 if \|x − t\| ≤ δ, else δ(\|x − t\| − δ/2) | x − t clamped to ±δ |
//! | BinaryCrossEntropyWithLogits | max(x, 0) − x·t + ln(1 + e^(−\|x\|)) | (1 − t)σ(x) − tσ(−x) |
//!
//! As in PyTorch, the target is differentiable too.

use super::Reduction;
use crate::num::simd::vectorised;
use crate::num::sum::sum_map2;
use crate::num::{Element, Shape, View, ViewMut};
use crate::ops::attributes::AttributeReader;
use crate::ops::parallel::for_rows;
use crate::ops::shapes::{expect_inputs, expect_shape, misfit};
use crate::ops::{
    Attributes, Autocast, Context, CrossEntropyKind, Kernel, Op, OpElement, OpError, OpFacts, Role,
    Saved,
};

/// The mean (or sum) of (x − t)².
#[derive(Clone, Copy, Debug, Default)]
pub struct MeanSquaredError {
    /// Mean or sum.
    pub reduction: Reduction,
}

/// The mean (or sum) of |x − t|, PyTorch's `L1Loss`.
#[derive(Clone, Copy, Debug, Default)]
pub struct MeanAbsoluteError {
    /// Mean or sum.
    pub reduction: Reduction,
}

/// Huber's loss: quadratic up to `delta`, linear beyond (Huber 1964).
#[derive(Clone, Copy, Debug)]
pub struct Huber {
    /// Where it turns linear; above 0.
    pub delta: f64,
    /// Mean or sum.
    pub reduction: Reduction,
}

/// −t ln σ(x) − (1 − t) ln σ(−x), from the logit x.
#[derive(Clone, Copy, Debug, Default)]
pub struct BinaryCrossEntropyWithLogits {
    /// Mean or sum.
    pub reduction: Reduction,
}

impl Default for Huber {
    fn default() -> Self {
        Self {
            delta: 1.0,
            reduction: Reduction::Mean,
        }
    }
}

trait Pointwise: Sync {
    fn loss<T: Element>(&self, x: T, t: T) -> T;
    fn by_prediction<T: Element>(&self, x: T, t: T) -> T;
    fn by_target<T: Element>(&self, x: T, t: T) -> T {
        -self.by_prediction(x, t)
    }
    fn check(&self) -> Result<(), OpError> {
        Ok(())
    }
}

impl Pointwise for MeanSquaredError {
    #[inline(always)]
    fn loss<T: Element>(&self, x: T, t: T) -> T {
        (x - t) * (x - t)
    }
    #[inline(always)]
    fn by_prediction<T: Element>(&self, x: T, t: T) -> T {
        (x - t) + (x - t)
    }
}

impl Pointwise for MeanAbsoluteError {
    #[inline(always)]
    fn loss<T: Element>(&self, x: T, t: T) -> T {
        (x - t).abs()
    }
    #[inline(always)]
    fn by_prediction<T: Element>(&self, x: T, t: T) -> T {
        let difference = x - t;
        // Not copysign alone: it would give ±1 at 0 and for NaN, of which PyTorch's sign is 0.
        let zero_or_nan = difference == T::zero() || difference.is_nan();
        T::select(zero_or_nan, T::zero(), T::one().copysign(difference))
    }
}

impl Pointwise for Huber {
    #[inline(always)]
    fn loss<T: Element>(&self, x: T, t: T) -> T {
        let (delta, half) = (T::from_f64(self.delta), T::from_f64(0.5));
        let size = (x - t).abs();
        T::select(
            size <= delta,
            half * size * size,
            delta * (size - half * delta),
        )
    }
    #[inline(always)]
    fn by_prediction<T: Element>(&self, x: T, t: T) -> T {
        let delta = T::from_f64(self.delta);
        let difference = x - t;
        T::select(
            difference.abs() > delta,
            delta.copysign(difference),
            difference,
        )
    }
    fn check(&self) -> Result<(), OpError> {
        if self.delta > 0.0 && self.delta.is_finite() {
            return Ok(());
        }
        Err(OpError::Attribute {
            name: "delta",
            expected: "a number above 0".into(),
            got: self.delta.to_string(),
        })
    }
}

impl Pointwise for BinaryCrossEntropyWithLogits {
    #[inline(always)]
    fn loss<T: Element>(&self, x: T, t: T) -> T {
        // For x > 0, max(x, 0) − x·t = x(1 − t): no cancellation at t = 1.
        let linear = T::select(x > T::zero(), x * (T::one() - t), -(x * t));
        linear + (-x.abs()).exp().ln_1p()
    }
    #[inline(always)]
    fn by_prediction<T: Element>(&self, x: T, t: T) -> T {
        (T::one() - t) * x.sigmoid() - t * (-x).sigmoid()
    }
    #[inline(always)]
    fn by_target<T: Element>(&self, x: T, _t: T) -> T {
        -x
    }
}

fn forward<T: Element>(
    loss: &impl Pointwise,
    reduction: Reduction,
    inputs: &[View<'_, T>],
    outputs: &mut [ViewMut<'_, T>],
) {
    let (x, t) = (inputs[0].data, inputs[1].data);
    let total = sum_map2(x, t, |x, t| loss.loss(x, t));
    outputs[0].data[0] = total * reduction.weight(x.len());
}

fn pull<T: Element>(
    context: &Context,
    factor: T,
    inputs: &[View<'_, T>],
    gradient: &mut ViewMut<'_, T>,
    derivative: impl Fn(T, T) -> T + Sync,
) {
    for_rows(context.parallel, gradient.data, 1, |range, gradient| {
        let (x, t) = (&inputs[0].data[range.clone()], &inputs[1].data[range]);
        vectorised(|| {
            for ((gradient, &x), &t) in gradient.iter_mut().zip(x).zip(t) {
                *gradient = factor * derivative(x, t);
            }
        });
    });
}

fn infer(inputs: &[&Shape]) -> Result<Vec<Shape>, OpError> {
    expect_inputs(inputs, 2..=2)?;
    expect_shape("the target", inputs[0], inputs[1])?;
    if inputs[0].element_count() == 0 {
        return Err(misfit("prediction", "at least one element", inputs[0]));
    }
    Ok(vec![Shape::default()])
}

macro_rules! pointwise_loss {
    ($name:ident, $cross_entropy:expr, $($field:ident: $default:expr),*) => {
        impl $name {
            pub(in crate::ops) fn from_attributes(
                attributes: &Attributes,
            ) -> Result<Box<dyn Op>, OpError> {
                let mut reader = AttributeReader::new(attributes);
                let reduction = Reduction::read(&mut reader)?;
                $(let $field = reader.float(stringify!($field), $default)?;)*
                reader.finish()?;
                let loss = Self { reduction, $($field),* };
                loss.check()?;
                Ok(Box::new(loss))
            }
        }

        impl<T: OpElement> Kernel<T> for $name {
            fn forward(
                &self,
                _context: &Context,
                inputs: &[View<'_, T>],
                outputs: &mut [ViewMut<'_, T>],
            ) -> Result<(), OpError> {
                forward(self, self.reduction, inputs, outputs);
                Ok(())
            }

            fn vjp(
                &self,
                context: &Context,
                saved: Saved<'_, T>,
                cotangents: &[Option<View<'_, T>>],
                gradients: &mut [Option<ViewMut<'_, T>>],
            ) -> Result<i64, OpError> {
                let Some(g) = cotangents[0] else { return Ok(0) };
                let inputs = saved.inputs;
                let factor = g.data[0] * self.reduction.weight(inputs[0].data.len());
                if let Some(gradient) = &mut gradients[0] {
                    pull(context, factor, inputs, gradient, |x, t| self.by_prediction(x, t));
                }
                if let Some(gradient) = &mut gradients[1] {
                    pull(context, factor, inputs, gradient, |x, t| self.by_target(x, t));
                }
                Ok(0)
            }
        }

        impl Op for $name {
            fn name(&self) -> &'static str {
                stringify!($name)
            }

            fn role(&self) -> Role {
                Role::Other
            }

            fn infer(&self, inputs: &[&Shape]) -> Result<Vec<Shape>, OpError> {
                self.check()?;
                infer(inputs)
            }

            fn facts(&self) -> OpFacts {
                OpFacts {
                    cross_entropy: $cross_entropy,
                    autocast: Autocast::Single,
                    ..OpFacts::default()
                }
            }

            fn reads_outputs(&self) -> bool {
                false
            }
        }
    };
}

pointwise_loss!(MeanSquaredError, None,);
pointwise_loss!(MeanAbsoluteError, None,);
pointwise_loss!(Huber, None, delta: 1.0);
pointwise_loss!(BinaryCrossEntropyWithLogits, Some(CrossEntropyKind::Binary),);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binary_cross_entropy_keeps_its_digits_when_the_answer_is_sure() {
        let loss = BinaryCrossEntropyWithLogits::default();
        for (x, t) in [(50.0f64, 1.0), (-50.0, 0.0)] {
            let small = (-50.0f64).exp();
            assert!((loss.loss(x, t) / small - 1.0).abs() < 1e-15);
            assert!((loss.by_prediction(x, t).abs() / small - 1.0).abs() < 1e-15);
        }
        assert_eq!(loss.loss(1000.0f32, 0.0), 1000.0);
    }

    #[test]
    fn a_nan_reaches_the_loss_and_the_gradient_where_it_does_in_pytorch() {
        let nan = f64::NAN;
        assert!(MeanAbsoluteError::default().loss(nan, 0.0).is_nan());
        // PyTorch's sign of NaN is 0.
        assert_eq!(MeanAbsoluteError::default().by_prediction(nan, 0.0), 0.0);
        assert!(Huber::default().by_prediction(nan, 0.0).is_nan());
        assert!(Huber::default().loss(nan, 0.0).is_nan());
    }
}

//! Where: elements of one operand or of another, as a condition says.

use super::broadcast::{Walk, map, sum_back};
use super::shapes::{broadcast, broadcast_per_sample, expect_inputs};
use super::{Context, Kernel, Op, OpElement, OpError, Role, Saved};
use crate::num::{Shape, View, ViewMut};

/// Inputs condition, a and b, broadcast: a where the condition is not 0, else b.
///
/// The condition has no gradient; the cotangent goes to whichever operand was taken.
#[derive(Clone, Copy, Debug, Default)]
pub struct Where;

impl<T: OpElement> Kernel<T> for Where {
    fn forward(
        &self,
        _context: &Context,
        inputs: &[View<'_, T>],
        outputs: &mut [ViewMut<'_, T>],
    ) -> Result<(), OpError> {
        let (condition, a, b) = (inputs[0], inputs[1], inputs[2]);
        let out = &mut outputs[0];
        let walk = Walk::new(out.shape, [condition.shape, a.shape, b.shape]);
        let len = walk.line_len();
        let [condition_step, a_step, b_step] = walk.steps();
        walk.lines(0..walk.line_count(), |line, [condition_at, a_at, b_at]| {
            for (i, out) in out.data[line * len..][..len].iter_mut().enumerate() {
                *out = if condition.data[condition_at + i * condition_step] != T::zero() {
                    a.data[a_at + i * a_step]
                } else {
                    b.data[b_at + i * b_step]
                };
            }
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
        if let Some(condition) = &mut gradients[0] {
            condition.data.fill(T::zero());
        }
        let Some(g) = cotangents[0] else { return Ok(0) };
        let condition = saved.inputs[0];
        T::with_scratch(g.data.len(), |taken| {
            for (operand, if_true) in [(1, true), (2, false)] {
                let Some(gradient) = &mut gradients[operand] else {
                    continue;
                };
                map(context.parallel, g.shape, taken, g, condition, |g, c| {
                    T::select((c != T::zero()) == if_true, g, T::zero())
                });
                let taken = View {
                    shape: g.shape,
                    data: &*taken,
                };
                let own = saved.inputs[operand].shape;
                sum_back(context.parallel, taken, gradient.data, own, |g| g);
            }
        });
        Ok(0)
    }
}

impl Op for Where {
    fn name(&self) -> &'static str {
        "Where"
    }

    fn role(&self) -> Role {
        Role::Other
    }

    fn infer(&self, inputs: &[&Shape]) -> Result<Vec<Shape>, OpError> {
        expect_inputs(inputs, 3..=3)?;
        Ok(vec![broadcast(&[inputs[0], inputs[1], inputs[2]])?])
    }

    fn per_sample(&self, sampled: &[bool], inputs: &[&Shape]) -> bool {
        broadcast_per_sample(sampled, inputs)
    }

    fn differentiable(&self, input: usize) -> bool {
        input > 0
    }

    fn reads_input(&self, input: usize) -> bool {
        input == 0
    }

    fn reads_outputs(&self) -> bool {
        false
    }
}

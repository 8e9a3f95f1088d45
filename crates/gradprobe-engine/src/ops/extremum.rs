//! Min and Max of any number of operands, element by element after broadcasting.

use super::broadcast::{Walk, map, pull_back};
use super::shapes::{broadcast, broadcast_per_sample, expect_inputs};
use super::{Context, Kernel, Op, OpElement, OpError, Role, Saved};
use crate::num::{Element, Shape, View, ViewMut};

/// The largest of the operands, broadcast; NaN if one is NaN. Operands that tie for it share the
/// cotangent evenly, as in PyTorch's `maximum`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Max;

/// The smallest of the operands, broadcast; NaN if one is NaN. Operands that tie for it share the
/// cotangent evenly, as in PyTorch's `minimum`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Min;

trait Extremum: Sync {
    fn best<T: Element>(one: T, other: T) -> T;
    /// Is an operand not the result y? Beside a NaN result none is, and each has the whole
    /// cotangent, as in PyTorch.
    fn is_beaten<T: Element>(x: T, y: T) -> bool;
}

impl Extremum for Max {
    #[inline(always)]
    fn best<T: Element>(one: T, other: T) -> T {
        one.maximum(other)
    }

    #[inline(always)]
    fn is_beaten<T: Element>(x: T, y: T) -> bool {
        x < y
    }
}

impl Extremum for Min {
    #[inline(always)]
    fn best<T: Element>(one: T, other: T) -> T {
        -(-one).maximum(-other)
    }

    #[inline(always)]
    fn is_beaten<T: Element>(x: T, y: T) -> bool {
        x > y
    }
}

/// out = f(out, operand), the operand broadcast to it.
fn fold_in<T: Element>(
    shape: &[usize],
    out: &mut [T],
    operand: View<'_, T>,
    f: impl Fn(T, T) -> T,
) {
    let walk = Walk::new(shape, [operand.shape]);
    let len = walk.line_len();
    walk.lines(0..walk.line_count(), |line, [at]| {
        let out = &mut out[line * len..][..len];
        if walk.steps() == [0] {
            let value = operand.data[at];
            out.iter_mut().for_each(|out| *out = f(*out, value));
        } else {
            for (out, &value) in out.iter_mut().zip(&operand.data[at..]) {
                *out = f(*out, value);
            }
        }
    });
}

macro_rules! extremum {
    ($name:ident) => {
        impl<T: OpElement> Kernel<T> for $name {
            fn forward(
                &self,
                context: &Context,
                inputs: &[View<'_, T>],
                outputs: &mut [ViewMut<'_, T>],
            ) -> Result<(), OpError> {
                let y = &mut outputs[0];
                let (first, second) = (inputs[0], *inputs.get(1).unwrap_or(&inputs[0]));
                map(context.parallel, y.shape, y.data, first, second, Self::best);
                for &operand in inputs.iter().skip(2) {
                    fold_in(y.shape, y.data, operand, Self::best);
                }
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
                let y = saved.outputs[0];
                T::with_scratch(2 * y.data.len(), |scratch| {
                    let (counts, shares) = scratch.split_at_mut(y.data.len());
                    counts.fill(T::zero());
                    for &x in saved.inputs {
                        // The ties of this operand, then added up.
                        map(context.parallel, y.shape, shares, x, y, |x, y| {
                            T::select(Self::is_beaten(x, y), T::zero(), T::one())
                        });
                        for (count, &tie) in counts.iter_mut().zip(&*shares) {
                            *count += tie;
                        }
                    }
                    let operands = g.data.iter().zip(&*counts).zip(y.data);
                    for (share, ((&g, &count), &y)) in shares.iter_mut().zip(operands) {
                        *share = T::select(y.is_nan(), g, g / count);
                    }
                    let share = View {
                        shape: y.shape,
                        data: &*shares,
                    };
                    for (gradient, &x) in gradients.iter_mut().zip(saved.inputs) {
                        if let Some(gradient) = gradient {
                            let term = |g, x, y| T::select(Self::is_beaten(x, y), T::zero(), g);
                            pull_back(context.parallel, share, gradient.data, x, y, term);
                        }
                    }
                });
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
                expect_inputs(inputs, 1..=usize::MAX)?;
                let shapes: Vec<&[usize]> = inputs.iter().map(|shape| &shape[..]).collect();
                Ok(vec![broadcast(&shapes)?])
            }

            fn per_sample(&self, sampled: &[bool], inputs: &[&Shape]) -> bool {
                broadcast_per_sample(sampled, inputs)
            }
        }
    };
}

extremum!(Max);
extremum!(Min);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::num::Tensor;
    use crate::ops::{apply, apply_vjp};

    #[test]
    fn operands_that_tie_share_the_cotangent() {
        let (context, x) = (
            Context::default(),
            [[1.0, 5.0], [1.0, 3.0], [1.0, 5.0]].map(|x| Tensor::new([2], x.to_vec())),
        );
        let y = apply(&Max, &context, &x).expect("they fit");
        assert_eq!(y[0].data(), [1.0, 5.0]);
        let g = Tensor::new([2], vec![6.0, 6.0]);
        let (dx, _) = apply_vjp(&Max, &context, &x, &y, &[g], &[true; 3]).expect("they fit");
        let dx: Vec<&[f64]> = dx.iter().flatten().map(Tensor::data).collect();
        assert_eq!(dx, [[2.0, 3.0], [2.0, 0.0], [2.0, 3.0]]);
    }

    #[test]
    fn a_nan_wins() {
        let context = Context::default();
        for x in [[f64::NAN, 1.0], [1.0, f64::NAN]] {
            let x = x.map(|x| Tensor::new([], vec![x]));
            for op in [&Max as &dyn Op, &Min] {
                let y = apply(op, &context, &x).expect("they fit");
                assert!(y[0].data()[0].is_nan());
            }
        }
    }
}

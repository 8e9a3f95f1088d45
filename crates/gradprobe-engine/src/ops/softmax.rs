//! Softmax and LogSoftmax along an axis, and the stable pieces that cross-entropy shares.
//!
//! Everything is taken relative to the largest entry x⋆ of a lane: with e_k = e^(x_k − x⋆) and
//! r = Σ_{k≠⋆} e_k, the normaliser is 1 + r, ln(1 + r) keeps its digits when one class has won, and
//! 1 − p⋆ = r/(1 + r) does not cancel.

use super::attributes::AttributeReader;
use super::parallel::for_rows;
use super::shapes::{Around, expect_inputs, resolve_axis};
use super::{Attributes, Autocast, Context, Kernel, Op, OpElement, OpError, OpFacts, Role, Saved};
use crate::num::simd::vectorised;
use crate::num::sum::{sum, sum_map, sum_map2};
use crate::num::{Element, Shape, View, ViewMut};
use pulp::{Simd, WithSimd};

/// softmax(x)ᵢ = e^xᵢ / Σₖ e^xₖ along an axis.
///
/// Pull-back: ∂xᵢ = yᵢ (gᵢ − Σₖ yₖ gₖ).
#[derive(Clone, Copy, Debug)]
pub struct Softmax {
    /// The axis; counted from the end where it is negative.
    pub axis: i64,
}

/// ln softmax(x) along an axis.
///
/// Pull-back: ∂xᵢ = gᵢ − e^yᵢ Σₖ gₖ.
#[derive(Clone, Copy, Debug)]
pub struct LogSoftmax {
    /// The axis; counted from the end where it is negative.
    pub axis: i64,
}

impl Default for Softmax {
    fn default() -> Self {
        Self { axis: -1 }
    }
}

impl Default for LogSoftmax {
    fn default() -> Self {
        Self { axis: -1 }
    }
}

/// Where the largest entry of a lane is, and the entry; NaN if there is one.
pub(super) fn peak<T: Element>(lane: &[T]) -> (usize, T) {
    let value = vectorised(Largest(lane));
    let at = lane.iter().position(|&x| x == value);
    (at.unwrap_or(0), value)
}

/// The largest entry; NaN if there is one. (A call of its own, as that below: through a closure it
/// is not inlined into what is compiled for each instruction set.)
struct Largest<'a, T>(&'a [T]);

impl<T: Element> WithSimd for Largest<'_, T> {
    type Output = T;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) -> T {
        // In lanes, for a single chain of maxima would wait for each in turn.
        let first = self.0[0];
        let mut peaks = [first; 32];
        let (groups, rest) = self.0.as_chunks::<32>();
        for group in groups {
            for (peak, &x) in peaks.iter_mut().zip(group) {
                *peak = peak.maximum(x);
            }
        }
        let all = peaks.iter().chain(rest);
        all.fold(first, |peak, &x| peak.maximum(x))
    }
}

/// Writes e^(x_k − x⋆) and returns r = Σ_{k≠⋆} e_k.
pub(super) fn exponentials<T: Element>(lane: &[T], star: usize, peak: T, out: &mut [T]) -> T {
    exponentiate(lane, peak, out);
    sum(&out[..star]) + sum(&out[star + 1..])
}

/// Writes e^(x_k − shift).
fn exponentiate<T: Element>(lane: &[T], shift: T, out: &mut [T]) {
    vectorised(Exponentials { lane, shift, out });
}

struct Exponentials<'a, T> {
    lane: &'a [T],
    shift: T,
    out: &'a mut [T],
}

impl<T: Element> WithSimd for Exponentials<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        for (out, &x) in self.out.iter_mut().zip(self.lane) {
            *out = (x - self.shift).exp();
        }
    }
}

/// A lane's arithmetic, forward and back.
trait Lane: Sync {
    fn forward<T: Element>(x: &[T], y: &mut [T]);
    fn pull<T: Element>(y: &[T], g: &[T], dx: &mut [T]);
}

impl Lane for Softmax {
    fn forward<T: Element>(x: &[T], y: &mut [T]) {
        let (star, peak) = peak(x);
        let total = T::one() + exponentials(x, star, peak, y);
        // The peak's own exponential is 1, unless it is infinite or NaN and all is NaN.
        let total = total * y[star];
        for y in y {
            *y = *y / total;
        }
    }

    fn pull<T: Element>(y: &[T], g: &[T], dx: &mut [T]) {
        // Relative to the peak's cotangent: its own term then is exactly 0, so nothing cancels
        // when y is all but one-hot.
        let (star, _) = peak(y);
        let base = g[star];
        let mean = sum_map2(y, g, |y, g| y * (g - base));
        for ((dx, &y), &g) in dx.iter_mut().zip(y).zip(g) {
            *dx = y * ((g - base) - mean);
        }
    }
}

impl Lane for LogSoftmax {
    fn forward<T: Element>(x: &[T], y: &mut [T]) {
        let (star, peak) = peak(x);
        // An infinite peak leaves no number in its lane, as in PyTorch.
        let log = exponentials(x, star, peak, y).ln_1p() + peak * T::zero();
        for (y, &x) in y.iter_mut().zip(x) {
            *y = (x - peak) - log;
        }
    }

    fn pull<T: Element>(y: &[T], g: &[T], dx: &mut [T]) {
        let (star, _) = peak(y);
        let others = sum(&g[..star]) + sum(&g[star + 1..]);
        let total = others + g[star];
        let lost = sum_map(&y[..star], |y| y.exp()) + sum_map(&y[star + 1..], |y| y.exp());
        exponentiate(y, T::zero(), dx);
        for (dx, &g) in dx.iter_mut().zip(g) {
            *dx = g - *dx * total;
        }
        dx[star] = g[star] * lost - y[star].exp() * others;
    }
}

/// y ← softmax(x) over a lane.
pub(super) fn softmax_lane<T: Element>(x: &[T], y: &mut [T]) {
    <Softmax as Lane>::forward(x, y);
}

/// dx ← the pull-back of g through a lane's softmax y.
pub(super) fn softmax_pull<T: Element>(y: &[T], g: &[T], dx: &mut [T]) {
    <Softmax as Lane>::pull(y, g, dx);
}

/// Calls `work(from, to)` on every lane of `out`; lanes that are not contiguous are gathered first.
fn for_lanes<T: OpElement, const N: usize>(
    context: &Context,
    around: Around,
    from: [&[T]; N],
    out: &mut [T],
    work: impl Fn([&[T]; N], &mut [T]) + Sync,
) {
    let Around { extent, inner, .. } = around;
    let block = extent * inner;
    for_rows(context.parallel, out, block, |rows, out| {
        for (row, out) in rows.zip(out.chunks_exact_mut(block.max(1))) {
            let from = from.map(|from| &from[row * block..][..block]);
            if inner == 1 {
                work(from, out);
                continue;
            }
            T::with_scratch((N + 1) * extent, |scratch| {
                let (result, gathered) = scratch.split_at_mut(extent);
                for lane in 0..inner {
                    for (to, from) in gathered.chunks_exact_mut(extent).zip(from) {
                        for (to, &value) in to.iter_mut().zip(from[lane..].iter().step_by(inner)) {
                            *to = value;
                        }
                    }
                    let operands =
                        std::array::from_fn(|operand| &gathered[operand * extent..][..extent]);
                    work(operands, result);
                    for (to, &value) in out[lane..].iter_mut().step_by(inner).zip(&*result) {
                        *to = value;
                    }
                }
            });
        }
    });
}

macro_rules! softmax_op {
    ($name:ident, is_probability: $is_probability:expr) => {
        impl $name {
            pub(super) fn from_attributes(attributes: &Attributes) -> Result<Box<dyn Op>, OpError> {
                let mut reader = AttributeReader::new(attributes);
                let axis = reader.int("axis", -1)?;
                reader.finish()?;
                Ok(Box::new(Self { axis }))
            }
        }

        impl<T: OpElement> Kernel<T> for $name {
            fn forward(
                &self,
                context: &Context,
                inputs: &[View<'_, T>],
                outputs: &mut [ViewMut<'_, T>],
            ) -> Result<(), OpError> {
                let x = inputs[0];
                let axis = resolve_axis("axis", self.axis, x.shape.len())?;
                let around = Around::axis(x.shape, axis);
                for_lanes(context, around, [x.data], outputs[0].data, |[x], y| {
                    <Self as Lane>::forward(x, y);
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
                if let (Some(g), Some(gradient)) = (cotangents[0], &mut gradients[0]) {
                    let axis = resolve_axis("axis", self.axis, g.shape.len())?;
                    let around = Around::axis(g.shape, axis);
                    let from = [saved.outputs[0].data, g.data];
                    for_lanes(context, around, from, gradient.data, |[y, g], dx| {
                        <Self as Lane>::pull(y, g, dx);
                    });
                }
                Ok(0)
            }
        }

        impl Op for $name {
            fn name(&self) -> &'static str {
                stringify!($name)
            }

            fn role(&self) -> Role {
                Role::Activation
            }

            fn infer(&self, inputs: &[&Shape]) -> Result<Vec<Shape>, OpError> {
                expect_inputs(inputs, 1..=1)?;
                resolve_axis("axis", self.axis, inputs[0].len())?;
                Ok(vec![inputs[0].clone()])
            }

            fn per_sample(&self, sampled: &[bool], inputs: &[&Shape]) -> bool {
                let axis = resolve_axis("axis", self.axis, inputs[0].len());
                sampled[0] && axis.is_ok_and(|axis| axis > 0)
            }

            fn facts(&self) -> OpFacts {
                OpFacts {
                    sums_to_one_along: Some(self.axis),
                    is_probability: $is_probability,
                    autocast: Autocast::Single,
                    ..OpFacts::default()
                }
            }

            fn reads_input(&self, _input: usize) -> bool {
                false
            }
        }
    };
}

softmax_op!(Softmax, is_probability: true);
softmax_op!(LogSoftmax, is_probability: false);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_that_has_won_keeps_its_digits() {
        let x = [40.0f64, 0.0];
        let mut y = [0.0; 2];
        <LogSoftmax as Lane>::forward(&x, &mut y);
        let p = (-40.0f64).exp();
        assert!((y[0] / -p - 1.0).abs() < 1e-15, "{y:?}");
        let mut dx = [0.0; 2];
        <LogSoftmax as Lane>::pull(&y, &[1.0, 0.0], &mut dx);
        assert!((dx[0] / p - 1.0).abs() < 1e-15, "{dx:?}");
        assert!((dx[1] / -p - 1.0).abs() < 1e-15, "{dx:?}");
        <Softmax as Lane>::forward(&x, &mut y);
        <Softmax as Lane>::pull(&y.clone(), &[1.0, 0.0], &mut dx);
        assert!((dx[0] / p - 1.0).abs() < 1e-15, "{dx:?}");
        assert_eq!(dx[0], -dx[1]);
    }

    #[test]
    fn nan_and_infinity_are_not_hidden() {
        for bad in [f32::NAN, f32::INFINITY] {
            let mut y = [0.0f32; 3];
            <Softmax as Lane>::forward(&[1.0, bad, 2.0], &mut y);
            assert!(y[1].is_nan(), "{y:?}");
            <LogSoftmax as Lane>::forward(&[1.0, bad, 2.0], &mut y);
            assert!(y[1].is_nan(), "{y:?}");
        }
        let mut y = [0.0f32; 2];
        <Softmax as Lane>::forward(&[f32::NEG_INFINITY, 0.0], &mut y);
        assert_eq!(y, [0.0, 1.0]);
    }
}

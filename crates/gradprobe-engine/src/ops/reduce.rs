//! Reductions over axes: ReduceSum, ReduceMean, ReduceMax, ReduceMin, ReduceProd, ReduceL1,
//! ReduceL2, ReduceSumSquare, ReduceLogSumExp.
//!
//! | reduction | y | ∂x |
//! |---|---|---|
//! | sum | Σ x | g |
//! | mean | Σ x / n | g/n |
//! | max, min | the largest, the smallest | g, shared evenly by the elements that equal y |
//! | product | Π x | g · the product of the others |
//! | L1 | Σ \|x\| | g·sign(x), 0 where x = 0 |
//! | L2 | √Σ x² | g·x/y, 0 where y = 0 |
//! | sum of squares | Σ x² | 2g·x |
//! | log-sum-exp | ln Σ e^x | g·e^(x − y) |

mod kernels;

use super::attributes::AttributeReader;
use super::broadcast::{map, sum_back};
use super::shapes::{expect_inputs, misfit, resolve_axis};
use super::{Attributes, Autocast, Context, Kernel, Op, OpElement, OpError, OpFacts, Role, Saved};
use crate::num::{Shape, View, ViewMut};
use kernels::{combine, fold, log_sum_exp, norm, others_products, share_among_ties};

/// What a reduction computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReduceKind {
    /// Σ x.
    Sum,
    /// Σ x / n.
    Mean,
    /// The largest element; NaN if there is one.
    Max,
    /// The smallest element; NaN if there is one.
    Min,
    /// Π x.
    Prod,
    /// Σ |x|.
    L1,
    /// √Σ x², without overflow on the way.
    L2,
    /// Σ x².
    SumSquare,
    /// ln Σ e^x, without overflow on the way.
    LogSumExp,
}

/// A reduction over axes; of no elements it gives what changes nothing: 0, 1, −∞ or ∞, and there
/// is no mean of them. Ties of max and min share their cotangent evenly, as in PyTorch's `amax`
/// and in JAX.
#[derive(Clone, Debug)]
pub struct Reduce {
    /// What is computed.
    pub kind: ReduceKind,
    /// The axes, counted from the end where negative; empty for all.
    pub axes: Vec<i64>,
    /// Do reduced axes stay, with an extent of 1?
    pub keep_dims: bool,
}

impl Reduce {
    pub(super) fn from_attributes(
        kind: ReduceKind,
        attributes: &Attributes,
    ) -> Result<Box<dyn Op>, OpError> {
        let mut reader = AttributeReader::new(attributes);
        let axes = reader.ints("axes")?;
        let keep_dims = reader.flag("keepdims", true)?;
        reader.finish()?;
        Ok(Box::new(Self {
            kind,
            axes,
            keep_dims,
        }))
    }

    /// For every axis of the input, is it reduced?
    fn reduced(&self, rank: usize) -> Result<Vec<bool>, OpError> {
        let mut reduced = vec![self.axes.is_empty(); rank];
        for &axis in &self.axes {
            let axis = resolve_axis("axes", axis, rank)?;
            if std::mem::replace(&mut reduced[axis], true) {
                return Err(OpError::Attribute {
                    name: "axes",
                    expected: "every axis at most once".into(),
                    got: format!("{:?}", self.axes),
                });
            }
        }
        Ok(reduced)
    }

    /// The output's shape with the reduced axes kept as 1, and how many elements each output is
    /// made of.
    fn kept(&self, input: &[usize]) -> Result<(Vec<usize>, usize), OpError> {
        let reduced = self.reduced(input.len())?;
        let mut kept = input.to_vec();
        let mut count = 1usize;
        for (extent, _) in kept.iter_mut().zip(reduced).filter(|(_, reduced)| *reduced) {
            count = count.saturating_mul(std::mem::replace(extent, 1));
        }
        Ok((kept, count))
    }
}

impl<T: OpElement> Kernel<T> for Reduce {
    fn forward(
        &self,
        context: &Context,
        inputs: &[View<'_, T>],
        outputs: &mut [ViewMut<'_, T>],
    ) -> Result<(), OpError> {
        let x = inputs[0];
        let (kept, count) = self.kept(x.shape)?;
        let y = &mut *outputs[0].data;
        match self.kind {
            ReduceKind::Sum | ReduceKind::Mean => {
                sum_back(context.parallel, x, y, &kept, |x| x);
                if self.kind == ReduceKind::Mean {
                    let part = T::from_f64(1.0 / count as f64);
                    y.iter_mut().for_each(|y| *y *= part);
                }
            }
            ReduceKind::Max => fold(x, &kept, y, T::from_f64(f64::NEG_INFINITY), T::maximum),
            ReduceKind::Min => {
                let minimum = |y: T, x: T| -(-y).maximum(-x);
                fold(x, &kept, y, T::from_f64(f64::INFINITY), minimum);
            }
            ReduceKind::Prod => fold(x, &kept, y, T::one(), |y, x| y * x),
            ReduceKind::L1 => sum_back(context.parallel, x, y, &kept, |x| x.abs()),
            ReduceKind::L2 => norm(context, x, &kept, y),
            ReduceKind::SumSquare => sum_back(context.parallel, x, y, &kept, |x| x * x),
            ReduceKind::LogSumExp => log_sum_exp(context, x, &kept, y),
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
        let (Some(g), Some(gradient)) = (cotangents[0], &mut gradients[0]) else {
            return Ok(0);
        };
        let x = saved.inputs[0];
        let (kept, count) = self.kept(x.shape)?;
        let under_x = |data| View {
            shape: &kept[..],
            data,
        };
        let g = under_x(g.data);
        let dx = &mut *gradient.data;
        let parallel = context.parallel;
        match self.kind {
            ReduceKind::Sum => map(parallel, x.shape, dx, g, g, |g, _| g),
            ReduceKind::Mean => {
                let part = T::from_f64(1.0 / count as f64);
                map(parallel, x.shape, dx, g, g, |g, _| g * part);
            }
            ReduceKind::Max | ReduceKind::Min => {
                let y = under_x(saved.outputs[0].data);
                share_among_ties(context, x, y, g, dx);
            }
            ReduceKind::Prod => others_products(x, g, dx),
            ReduceKind::L2 => {
                let y = under_x(saved.outputs[0].data);
                let direction = |x, y| T::select(y == T::zero(), T::zero(), x / y);
                map(parallel, x.shape, dx, x, y, direction);
                combine(dx, x.shape, g, |direction, g| direction * g);
            }
            ReduceKind::L1 => map(parallel, x.shape, dx, x, g, |x, g| {
                // As of Abs: PyTorch's sign of 0 and of NaN is 0.
                let zero = T::zero();
                T::select(x > zero, g, T::select(x < zero, -g, zero * g))
            }),
            ReduceKind::SumSquare => map(parallel, x.shape, dx, x, g, |x, g| (x + x) * g),
            ReduceKind::LogSumExp => {
                let y = under_x(saved.outputs[0].data);
                let share = |x: T, y: T| (x - y).exp();
                map(parallel, x.shape, dx, x, y, share);
                combine(dx, x.shape, g, |share, g| share * g);
            }
        }
        Ok(0)
    }
}

impl Op for Reduce {
    fn name(&self) -> &'static str {
        match self.kind {
            ReduceKind::Sum => "ReduceSum",
            ReduceKind::Mean => "ReduceMean",
            ReduceKind::Max => "ReduceMax",
            ReduceKind::Min => "ReduceMin",
            ReduceKind::Prod => "ReduceProd",
            ReduceKind::L1 => "ReduceL1",
            ReduceKind::L2 => "ReduceL2",
            ReduceKind::SumSquare => "ReduceSumSquare",
            ReduceKind::LogSumExp => "ReduceLogSumExp",
        }
    }

    fn role(&self) -> Role {
        Role::Other
    }

    fn facts(&self) -> OpFacts {
        let autocast = match self.kind {
            ReduceKind::Sum
            | ReduceKind::Prod
            | ReduceKind::L1
            | ReduceKind::L2
            | ReduceKind::SumSquare
            | ReduceKind::LogSumExp => Autocast::Single,
            ReduceKind::Mean | ReduceKind::Max | ReduceKind::Min => Autocast::Promote,
        };
        OpFacts {
            autocast,
            ..OpFacts::default()
        }
    }

    fn infer(&self, inputs: &[&Shape]) -> Result<Vec<Shape>, OpError> {
        expect_inputs(inputs, 1..=1)?;
        let (kept, count) = self.kept(inputs[0])?;
        if count == 0 && self.kind == ReduceKind::Mean {
            return Err(misfit(
                "input",
                "at least one element to average",
                inputs[0],
            ));
        }
        if self.keep_dims {
            return Ok(vec![Shape(kept)]);
        }
        let reduced = self.reduced(kept.len())?;
        let left = kept.iter().zip(reduced).filter(|(_, reduced)| !reduced);
        Ok(vec![Shape(left.map(|(&extent, _)| extent).collect())])
    }

    fn per_sample(&self, sampled: &[bool], inputs: &[&Shape]) -> bool {
        let reduced = self.reduced(inputs[0].len());
        sampled[0] && reduced.is_ok_and(|reduced| reduced.first() == Some(&false))
    }

    fn reads_input(&self, _input: usize) -> bool {
        !matches!(self.kind, ReduceKind::Sum | ReduceKind::Mean)
    }

    fn reads_outputs(&self) -> bool {
        matches!(
            self.kind,
            ReduceKind::Max | ReduceKind::Min | ReduceKind::L2 | ReduceKind::LogSumExp
        )
    }

    fn flops(&self, inputs: &[&Shape], _outputs: &[Shape]) -> u64 {
        inputs[0].element_count() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::num::Tensor;
    use crate::ops::{apply, apply_vjp};

    fn reduce(kind: ReduceKind, x: &[f64]) -> (f64, Vec<f64>) {
        let op = Reduce {
            kind,
            axes: vec![],
            keep_dims: false,
        };
        let (context, x) = (Context::default(), [Tensor::new([x.len()], x.to_vec())]);
        let y = apply(&op, &context, &x).expect("it fits");
        let g = Tensor::new([], vec![6.0]);
        let (dx, _) = apply_vjp(&op, &context, &x, &y, &[g], &[true]).expect("it fits");
        (
            y[0].data()[0],
            dx[0].as_ref().expect("wanted").data().to_vec(),
        )
    }

    #[test]
    fn ties_share_their_cotangent() {
        let (y, dx) = reduce(ReduceKind::Max, &[1.0, 3.0, 3.0]);
        assert_eq!((y, dx), (3.0, vec![0.0, 3.0, 3.0]));
        let (y, dx) = reduce(ReduceKind::Min, &[1.0, 3.0, 1.0]);
        assert_eq!((y, dx), (1.0, vec![3.0, 0.0, 3.0]));
    }

    #[test]
    fn a_zero_factor_leaves_the_others_their_products() {
        assert_eq!(
            reduce(ReduceKind::Prod, &[2.0, 0.0, 5.0]),
            (0.0, vec![0.0, 60.0, 0.0])
        );
        assert_eq!(
            reduce(ReduceKind::Prod, &[0.0, 0.0, 5.0]),
            (0.0, vec![0.0; 3])
        );
    }

    #[test]
    fn a_norm_neither_overflows_nor_underflows_on_the_way() {
        for size in [1e200, 1e-200] {
            let norm = reduce(ReduceKind::L2, &[3.0 * size, 4.0 * size]).0;
            assert!((norm / (5.0 * size) - 1.0).abs() < 1e-15, "{norm}");
        }
        assert_eq!(reduce(ReduceKind::L2, &[0.0, 0.0]), (0.0, vec![0.0, 0.0]));
        assert_eq!(
            reduce(ReduceKind::L2, &[f64::INFINITY, 1.0]).0,
            f64::INFINITY
        );
    }

    #[test]
    fn a_log_sum_exp_does_not_overflow_on_the_way() {
        let (y, dx) = reduce(ReduceKind::LogSumExp, &[1000.0, 1000.0]);
        assert_eq!(y, 1000.0 + 2f64.ln());
        assert!(dx.iter().all(|dx| (dx - 3.0).abs() < 1e-12), "{dx:?}");
        let nothing = f64::NEG_INFINITY;
        assert_eq!(
            reduce(ReduceKind::LogSumExp, &[nothing, nothing]).0,
            nothing
        );
        assert_eq!(
            reduce(ReduceKind::L1, &[-2.0, 0.0, 3.0]),
            (5.0, vec![-6.0, 0.0, 6.0])
        );
    }

    #[test]
    fn nothing_reduces_to_what_changes_nothing() {
        use ReduceKind::*;
        let none = f64::NEG_INFINITY;
        let all = [
            (Sum, 0.0),
            (Prod, 1.0),
            (Max, none),
            (Min, f64::INFINITY),
            (L1, 0.0),
            (L2, 0.0),
            (SumSquare, 0.0),
            (LogSumExp, none),
        ];
        for (kind, expected) in all {
            for shape in [vec![2, 0, 4], vec![0, 3], vec![3, 0], vec![0]] {
                let axis = shape
                    .iter()
                    .position(|&extent| extent == 0)
                    .expect("one is");
                let op = Reduce {
                    kind,
                    axes: vec![axis as i64],
                    keep_dims: false,
                };
                let (context, x) = (
                    Context::default(),
                    [Tensor::<f64>::new(Shape::new(&shape[..]), vec![])],
                );
                let y = apply(&op, &context, &x).expect("it fits");
                assert!(!y[0].data().is_empty());
                assert!(
                    y[0].data().iter().all(|&y| y == expected),
                    "{kind:?}: {y:?}"
                );
                let g = y[0].clone();
                let (dx, _) = apply_vjp(&op, &context, &x, &y, &[g], &[true]).expect("it fits");
                assert_eq!(dx[0].as_ref().expect("wanted").data(), [0.0; 0]);
            }
        }
        let mean = Reduce {
            kind: Mean,
            axes: vec![],
            keep_dims: false,
        };
        let error = mean.infer(&[&Shape::from([0])]).expect_err("no mean");
        let expected = "input: expected at least one element to average, got [0]";
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn a_nan_wins_everywhere() {
        use ReduceKind::*;
        for kind in [Sum, Mean, Max, Min, Prod, L1, L2, SumSquare, LogSumExp] {
            for x in [[f64::NAN, 1.0], [1.0, f64::NAN]] {
                assert!(reduce(kind, &x).0.is_nan(), "{kind:?}");
            }
        }
    }
}

//! Scatters: updates written into a copy of the data.

use super::{Blocks, add_back, along_axis, expect_element_indices, gather, tuple_blocks, tuples};
use crate::num::{Element, Shape, View, ViewMut};
use crate::ops::attributes::{AttributeReader, wrong};
use crate::ops::shapes::{expect_inputs, expect_shape, resolve_axis};
use crate::ops::{Attribute, Attributes, Context, Kernel, Op, OpElement, OpError, Role, Saved};

/// What a scatter does with an update.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ScatterReduction {
    /// It takes the element's place; the last one stays where several have one target, and it
    /// alone gets the cotangent.
    #[default]
    Replace,
    /// It is added to the element.
    Add,
    /// The element is multiplied by it.
    Mul,
    /// The larger of the two stays; equals share the cotangent evenly.
    Max,
    /// The smaller of the two stays; equals share the cotangent evenly.
    Min,
}

impl ScatterReduction {
    /// Do the gradients depend on the values of x, the updates and y?
    fn reads_values(self) -> bool {
        matches!(self, Self::Mul | Self::Max | Self::Min)
    }
}

/// x with updates written to where [`GatherElements`](super::GatherElements) would read: inputs x, indices, and updates
/// of the indices' shape. PyTorch's `scatter` and `scatter_reduce`.
#[derive(Clone, Copy, Debug, Default)]
pub struct ScatterElements {
    /// The axis; counted from the end where it is negative.
    pub axis: i64,
    /// What is done with an update.
    pub reduction: ScatterReduction,
}

/// x with updates written to where [`GatherNd`](super::GatherNd) without batch axes would read: inputs x, indices
/// and updates.
#[derive(Clone, Copy, Debug, Default)]
pub struct ScatterNd {
    /// What is done with an update.
    pub reduction: ScatterReduction,
}

fn read_reduction(reader: &mut AttributeReader<'_>) -> Result<ScatterReduction, OpError> {
    match reader.text("reduction", "none")? {
        "none" => Ok(ScatterReduction::Replace),
        "add" => Ok(ScatterReduction::Add),
        "mul" => Ok(ScatterReduction::Mul),
        "max" => Ok(ScatterReduction::Max),
        "min" => Ok(ScatterReduction::Min),
        other => Err(wrong(
            "reduction",
            "none, add, mul, max or min",
            &Attribute::Text(other.into()),
        )),
    }
}

impl ScatterElements {
    pub(in crate::ops) fn from_attributes(attributes: &Attributes) -> Result<Box<dyn Op>, OpError> {
        let mut reader = AttributeReader::new(attributes);
        let axis = reader.int("axis", 0)?;
        let reduction = read_reduction(&mut reader)?;
        reader.finish()?;
        Ok(Box::new(Self { axis, reduction }))
    }

    fn blocks<T: Element>(&self, x: &[usize], indices: View<'_, T>) -> Result<Blocks, OpError> {
        along_axis(x, indices, resolve_axis("axis", self.axis, x.len())?)
    }

    fn updates(&self, x: &Shape, indices: &Shape) -> Result<Vec<usize>, OpError> {
        expect_element_indices(self.axis, x, indices)?;
        Ok(indices.to_vec())
    }

    fn keeps_rows(&self, inputs: &[&Shape]) -> bool {
        let axis = resolve_axis("axis", self.axis, inputs[0].len());
        axis.is_ok_and(|axis| axis > 0) && inputs[0].first() == inputs[1].first()
    }
}

impl ScatterNd {
    pub(in crate::ops) fn from_attributes(attributes: &Attributes) -> Result<Box<dyn Op>, OpError> {
        let mut reader = AttributeReader::new(attributes);
        let reduction = read_reduction(&mut reader)?;
        reader.finish()?;
        Ok(Box::new(Self { reduction }))
    }

    fn blocks<T: Element>(&self, x: &[usize], indices: View<'_, T>) -> Result<Blocks, OpError> {
        tuples(x, indices, 0)
    }

    fn updates(&self, x: &Shape, indices: &Shape) -> Result<Vec<usize>, OpError> {
        tuple_blocks(0, x, indices)
    }

    fn keeps_rows(&self, _inputs: &[&Shape]) -> bool {
        false
    }
}

/// Calls `visit(target, update)` for every element of the updates, in their order.
fn each<T: Element>(blocks: &Blocks, updates: &[T], mut visit: impl FnMut(usize, T)) {
    let targets = blocks
        .starts
        .iter()
        .flat_map(|&start| start..start + blocks.len);
    for (target, &update) in targets.zip(updates) {
        visit(target, update);
    }
}

fn scatter<T: Element>(blocks: &Blocks, reduction: ScatterReduction, updates: &[T], y: &mut [T]) {
    match reduction {
        ScatterReduction::Replace => each(blocks, updates, |at, update| y[at] = update),
        ScatterReduction::Add => add_back(blocks, updates, y),
        ScatterReduction::Mul => each(blocks, updates, |at, update| y[at] *= update),
        ScatterReduction::Max => each(blocks, updates, |at, update| y[at] = y[at].maximum(update)),
        ScatterReduction::Min => each(blocks, updates, |at, update| {
            y[at] = -(-y[at]).maximum(-update);
        }),
    }
}

/// The operands of a pull-back.
struct Pull<'a, T> {
    blocks: &'a Blocks,
    /// The cotangent of y.
    g: &'a [T],
    /// x, the updates and y where the reduction reads them.
    x: &'a [T],
    updates: &'a [T],
    y: &'a [T],
}

impl<T: OpElement> Pull<'_, T> {
    /// ∂x.
    fn data(&self, reduction: ScatterReduction, dx: &mut [T]) {
        dx.copy_from_slice(self.g);
        match reduction {
            ScatterReduction::Add => {}
            ScatterReduction::Replace => {
                for &start in &self.blocks.starts {
                    dx[start..start + self.blocks.len].fill(T::zero());
                }
            }
            ScatterReduction::Mul => each(self.blocks, self.updates, |at, update| dx[at] *= update),
            ScatterReduction::Max | ScatterReduction::Min => self.with_shares(|shares| {
                let operands = dx.iter_mut().zip(self.x).zip(self.y).zip(shares);
                for (((dx, &x), &y), &share) in operands {
                    *dx = T::select(ties(x, y), share, T::zero());
                }
            }),
        }
    }

    /// The cotangents of the updates.
    fn updates(&self, reduction: ScatterReduction, du: &mut [T]) {
        match reduction {
            ScatterReduction::Add => gather(self.blocks, self.g, du),
            ScatterReduction::Replace => {
                gather(self.blocks, self.g, du);
                self.leave_the_last(du);
            }
            ScatterReduction::Mul => self.others_products(du),
            ScatterReduction::Max | ScatterReduction::Min => self.with_shares(|shares| {
                let mut to = du.iter_mut();
                each(self.blocks, self.updates, |at, update| {
                    if let Some(du) = to.next() {
                        *du = T::select(ties(update, self.y[at]), shares[at], T::zero());
                    }
                });
            }),
        }
    }

    /// 0 where another update came later.
    fn leave_the_last(&self, du: &mut [T]) {
        if self.blocks.len == 0 {
            return;
        }
        let mut taken = std::collections::HashSet::with_capacity(self.blocks.starts.len());
        let pairs = du
            .chunks_exact_mut(self.blocks.len)
            .zip(&self.blocks.starts);
        for (du, start) in pairs.rev() {
            if !taken.insert(start) {
                du.fill(T::zero());
            }
        }
    }

    /// g times the product of x and the other updates, from products of those before and of those
    /// after, so that zeros need no case of their own.
    fn others_products(&self, du: &mut [T]) {
        let targets = || {
            let starts = self.blocks.starts.iter();
            starts.flat_map(|&start| start..start + self.blocks.len)
        };
        T::with_scratch(self.g.len(), |products| {
            products.copy_from_slice(self.x);
            for ((du, &update), at) in du.iter_mut().zip(self.updates).zip(targets()) {
                *du = products[at];
                products[at] *= update;
            }
            products.copy_from_slice(self.g);
            let targets: Vec<usize> = targets().collect();
            for ((du, &update), &at) in du.iter_mut().zip(self.updates).zip(&targets).rev() {
                *du *= products[at];
                products[at] *= update;
            }
        });
    }

    /// Calls `work` with g over the number of operands that equal y.
    fn with_shares(&self, work: impl FnOnce(&[T])) {
        T::with_scratch(self.g.len(), |shares| {
            let one = |tie: bool| T::select(tie, T::one(), T::zero());
            for ((count, &x), &y) in shares.iter_mut().zip(self.x).zip(self.y) {
                *count = one(ties(x, y));
            }
            each(self.blocks, self.updates, |at, update| {
                shares[at] += one(ties(update, self.y[at]));
            });
            for (share, &g) in shares.iter_mut().zip(self.g) {
                *share = g / *share;
            }
            work(shares);
        });
    }
}

/// A NaN equals a NaN.
fn ties<T: Element>(x: T, y: T) -> bool {
    x == y || x.is_nan() && y.is_nan()
}

macro_rules! scatter_op {
    ($type:ident, $name:literal) => {
        impl<T: OpElement> Kernel<T> for $type {
            fn forward(
                &self,
                _context: &Context,
                inputs: &[View<'_, T>],
                outputs: &mut [ViewMut<'_, T>],
            ) -> Result<(), OpError> {
                let blocks = self.blocks(inputs[0].shape, inputs[1])?;
                let y = &mut *outputs[0].data;
                y.copy_from_slice(inputs[0].data);
                scatter(&blocks, self.reduction, inputs[2].data, y);
                Ok(())
            }

            fn vjp(
                &self,
                _context: &Context,
                saved: Saved<'_, T>,
                cotangents: &[Option<View<'_, T>>],
                gradients: &mut [Option<ViewMut<'_, T>>],
            ) -> Result<i64, OpError> {
                if let Some(indices) = &mut gradients[1] {
                    indices.data.fill(T::zero());
                }
                let Some(g) = cotangents[0] else { return Ok(0) };
                let pull = Pull {
                    blocks: &self.blocks(g.shape, saved.inputs[1])?,
                    g: g.data,
                    x: saved.inputs[0].data,
                    updates: saved.inputs[2].data,
                    y: saved.outputs[0].data,
                };
                if let Some(dx) = &mut gradients[0] {
                    pull.data(self.reduction, dx.data);
                }
                if let Some(updates) = &mut gradients[2] {
                    pull.updates(self.reduction, updates.data);
                }
                Ok(0)
            }
        }

        impl Op for $type {
            fn name(&self) -> &'static str {
                $name
            }

            fn role(&self) -> Role {
                Role::Other
            }

            fn infer(&self, inputs: &[&Shape]) -> Result<Vec<Shape>, OpError> {
                expect_inputs(inputs, 3..=3)?;
                let updates = self.updates(inputs[0], inputs[1])?;
                expect_shape("the updates", &updates, inputs[2])?;
                Ok(vec![inputs[0].clone()])
            }

            fn per_sample(&self, sampled: &[bool], inputs: &[&Shape]) -> bool {
                sampled == [true; 3] && self.keeps_rows(inputs)
            }

            fn differentiable(&self, input: usize) -> bool {
                input != 1
            }

            fn reads_input(&self, input: usize) -> bool {
                input == 1 || self.reduction.reads_values()
            }

            fn reads_outputs(&self) -> bool {
                self.reduction.reads_values()
            }
        }
    };
}

scatter_op!(ScatterElements, "ScatterElements");
scatter_op!(ScatterNd, "ScatterND");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::num::Tensor;
    use crate::ops::{apply, apply_vjp};

    /// y and ∂x, ∂updates for updates to elements 1 and 1 of x and a cotangent of \[2, 3\].
    fn scattered(reduction: ScatterReduction, x: [f64; 2], updates: [f64; 2]) -> [Vec<f64>; 3] {
        let op = ScatterElements { axis: 0, reduction };
        let inputs = [x, [1.0, 1.0], updates].map(|x| Tensor::new([2], x.to_vec()));
        let context = Context::default();
        let y = apply(&op, &context, &inputs).expect("it fits");
        let g = Tensor::new([2], vec![2.0, 3.0]);
        let (gradients, _) =
            apply_vjp(&op, &context, &inputs, &y, &[g], &[true; 3]).expect("it fits");
        let of = |input: usize| gradients[input].as_ref().expect("wanted").data().to_vec();
        [y[0].data().to_vec(), of(0), of(2)]
    }

    #[test]
    fn the_last_of_several_updates_stays_and_gets_the_cotangent() {
        let [y, dx, du] = scattered(ScatterReduction::Replace, [0.0, 0.0], [5.0, 7.0]);
        assert_eq!([y, dx, du], [[0.0, 7.0], [2.0, 0.0], [0.0, 3.0]]);
    }

    #[test]
    fn equals_share_the_cotangent_and_a_nan_wins() {
        let [y, dx, du] = scattered(ScatterReduction::Max, [0.0, 7.0], [5.0, 7.0]);
        assert_eq!([y, dx, du], [[0.0, 7.0], [2.0, 1.5], [0.0, 1.5]]);
        let [y, dx, du] = scattered(ScatterReduction::Min, [0.0, 5.0], [5.0, 5.0]);
        assert_eq!([y, dx, du], [[0.0, 5.0], [2.0, 1.0], [1.0, 1.0]]);
        let [y, dx, du] = scattered(ScatterReduction::Min, [0.0, 5.0], [f64::NAN, 1.0]);
        assert!(y[1].is_nan());
        assert_eq!([dx, du], [[2.0, 0.0], [3.0, 0.0]]);
    }

    #[test]
    fn a_zero_factor_leaves_the_others_their_products() {
        let [y, dx, du] = scattered(ScatterReduction::Mul, [1.0, 2.0], [0.0, 5.0]);
        assert_eq!([y, dx, du], [[1.0, 0.0], [2.0, 0.0], [30.0, 0.0]]);
    }
}

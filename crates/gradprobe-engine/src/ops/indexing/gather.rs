//! Gathers: blocks of the data one after the other.

use super::{Blocks, add_back, along_axis, expect_element_indices, gather, tuple_blocks, tuples};
use crate::num::{Element, Shape, View, ViewMut};
use crate::ops::attributes::AttributeReader;
use crate::ops::shapes::{expect_inputs, in_memory, resolve_axis};
use crate::ops::{Attributes, Context, Kernel, Op, OpElement, OpError, Role, Saved};

/// y\[i, j, …\] = x\[index\[i, j, …\], j, …\] along `axis` (here the first): inputs x and indices of
/// the same rank, and no larger than x along the other axes. PyTorch's `gather`. The pull-back adds
/// the cotangents to where the elements are from.
#[derive(Clone, Copy, Debug, Default)]
pub struct GatherElements {
    /// The axis; counted from the end where it is negative.
    pub axis: i64,
}

/// The slices of x at the coordinates that the last axis of the indices holds, after
/// `batch_dims` axes that x and the indices share. The pull-back adds the cotangents to where the
/// slices are from.
#[derive(Clone, Copy, Debug, Default)]
pub struct GatherNd {
    /// How many leading axes x and the indices share.
    pub batch_dims: usize,
}

impl GatherElements {
    pub(in crate::ops) fn from_attributes(attributes: &Attributes) -> Result<Box<dyn Op>, OpError> {
        let mut reader = AttributeReader::new(attributes);
        let axis = reader.int("axis", 0)?;
        reader.finish()?;
        Ok(Box::new(Self { axis }))
    }

    fn blocks<T: Element>(&self, x: &[usize], indices: View<'_, T>) -> Result<Blocks, OpError> {
        along_axis(x, indices, resolve_axis("axis", self.axis, x.len())?)
    }

    fn target(&self, x: &Shape, indices: &Shape) -> Result<Shape, OpError> {
        expect_element_indices(self.axis, x, indices)?;
        Ok(indices.clone())
    }

    fn keeps_rows(&self, inputs: &[&Shape]) -> bool {
        let axis = resolve_axis("axis", self.axis, inputs[0].len());
        axis.is_ok_and(|axis| axis > 0) && inputs[0].first() == inputs[1].first()
    }
}

impl GatherNd {
    pub(in crate::ops) fn from_attributes(attributes: &Attributes) -> Result<Box<dyn Op>, OpError> {
        let mut reader = AttributeReader::new(attributes);
        let batch_dims = reader.size("batch_dims", 0, 0)?;
        reader.finish()?;
        Ok(Box::new(Self { batch_dims }))
    }

    fn blocks<T: Element>(&self, x: &[usize], indices: View<'_, T>) -> Result<Blocks, OpError> {
        tuples(x, indices, self.batch_dims)
    }

    fn target(&self, x: &Shape, indices: &Shape) -> Result<Shape, OpError> {
        in_memory(tuple_blocks(self.batch_dims, x, indices)?)
    }

    fn keeps_rows(&self, _inputs: &[&Shape]) -> bool {
        self.batch_dims > 0
    }
}

macro_rules! gather_op {
    ($type:ident, $name:literal) => {
        impl<T: OpElement> Kernel<T> for $type {
            fn forward(
                &self,
                _context: &Context,
                inputs: &[View<'_, T>],
                outputs: &mut [ViewMut<'_, T>],
            ) -> Result<(), OpError> {
                let blocks = self.blocks(inputs[0].shape, inputs[1])?;
                gather(&blocks, inputs[0].data, outputs[0].data);
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
                if let (Some(g), Some(dx)) = (cotangents[0], &mut gradients[0]) {
                    let blocks = self.blocks(dx.shape, saved.inputs[1])?;
                    dx.data.fill(T::zero());
                    add_back(&blocks, g.data, dx.data);
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
                expect_inputs(inputs, 2..=2)?;
                Ok(vec![self.target(inputs[0], inputs[1])?])
            }

            fn per_sample(&self, sampled: &[bool], inputs: &[&Shape]) -> bool {
                sampled == [true, true] && self.keeps_rows(inputs)
            }

            fn differentiable(&self, input: usize) -> bool {
                input == 0
            }

            fn reads_input(&self, input: usize) -> bool {
                input == 1
            }

            fn reads_outputs(&self) -> bool {
                false
            }
        }
    };
}

gather_op!(GatherElements, "GatherElements");
gather_op!(GatherNd, "GatherND");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::num::Tensor;
    use crate::ops::apply;

    #[test]
    fn an_index_out_of_range_is_named() {
        let x = Tensor::new([2], vec![1.0, 2.0]);
        for (index, shown) in [(2.0, "2"), (-3.0, "-3"), (0.5, "0.5"), (f64::NAN, "NaN")] {
            let inputs = [x.clone(), Tensor::new([1], vec![index])];
            let error = apply(&GatherElements::default(), &Context::default(), &inputs)
                .expect_err("no such element");
            assert_eq!(
                error.to_string(),
                format!("index 0 is {shown}, expected a whole number from -2 to 1")
            );
        }
    }
}

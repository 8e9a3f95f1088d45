//! OneHot: classes as rows with one element that differs.

use super::attributes::AttributeReader;
use super::shapes::{expect_inputs, expect_shape, in_memory, resolve_axis};
use super::{Attributes, Context, Kernel, Op, OpElement, OpError, Role, Saved};
use crate::num::{Element, Shape, View, ViewMut};

/// Inputs indices and values \[off, on\]: a new axis of `depth` elements, on at the index and off
/// elsewhere. An index is counted from the end where it is negative; one out of range is off
/// everywhere, as in ONNX.
///
/// ∂values = the sums of the cotangents that are off and on; the indices have no gradient.
#[derive(Clone, Copy, Debug)]
pub struct OneHot {
    /// The extent of the new axis.
    pub depth: usize,
    /// Where the new axis is in the output; counted from its end where it is negative.
    pub axis: i64,
}

impl OneHot {
    pub(super) fn from_attributes(attributes: &Attributes) -> Result<Box<dyn Op>, OpError> {
        let mut reader = AttributeReader::new(attributes);
        let depth = reader.size("depth", 1, 1)?;
        let axis = reader.int("axis", -1)?;
        reader.finish()?;
        Ok(Box::new(Self { depth, axis }))
    }

    /// Calls `visit(element of the output, is it on?)` for every element in order.
    fn elements<T: Element>(
        &self,
        indices: View<'_, T>,
        mut visit: impl FnMut(usize, bool),
    ) -> Result<(), OpError> {
        let axis = resolve_axis("axis", self.axis, indices.shape.len() + 1)?;
        let inner: usize = indices.shape[axis..].iter().product();
        if inner == 0 {
            return Ok(());
        }
        for (block, lanes) in indices.data.chunks_exact(inner).enumerate() {
            for class in 0..self.depth {
                for (lane, index) in lanes.iter().enumerate() {
                    let index = index.to_f64();
                    let on = index == class as f64 || index + self.depth as f64 == class as f64;
                    visit((block * self.depth + class) * inner + lane, on);
                }
            }
        }
        Ok(())
    }
}

impl<T: OpElement> Kernel<T> for OneHot {
    fn forward(
        &self,
        _context: &Context,
        inputs: &[View<'_, T>],
        outputs: &mut [ViewMut<'_, T>],
    ) -> Result<(), OpError> {
        let (values, y) = (inputs[1].data, &mut *outputs[0].data);
        self.elements(inputs[0], |at, on| y[at] = values[usize::from(on)])
    }

    fn vjp(
        &self,
        _context: &Context,
        saved: Saved<'_, T>,
        cotangents: &[Option<View<'_, T>>],
        gradients: &mut [Option<ViewMut<'_, T>>],
    ) -> Result<i64, OpError> {
        if let Some(indices) = &mut gradients[0] {
            indices.data.fill(T::zero());
        }
        if let (Some(g), Some(gradient)) = (cotangents[0], &mut gradients[1]) {
            gradient.data.fill(T::zero());
            let sums = &mut *gradient.data;
            self.elements(saved.inputs[0], |at, on| {
                sums[usize::from(on)] += g.data[at]
            })?;
        }
        Ok(0)
    }
}

impl Op for OneHot {
    fn name(&self) -> &'static str {
        "OneHot"
    }

    fn role(&self) -> Role {
        Role::Other
    }

    fn infer(&self, inputs: &[&Shape]) -> Result<Vec<Shape>, OpError> {
        expect_inputs(inputs, 2..=2)?;
        expect_shape("the values", &[2], inputs[1])?;
        let mut out = inputs[0].to_vec();
        out.insert(resolve_axis("axis", self.axis, out.len() + 1)?, self.depth);
        Ok(vec![in_memory(out)?])
    }

    fn per_sample(&self, sampled: &[bool], inputs: &[&Shape]) -> bool {
        let axis = resolve_axis("axis", self.axis, inputs[0].len() + 1);
        sampled == [true, false] && axis.is_ok_and(|axis| axis > 0)
    }

    fn differentiable(&self, input: usize) -> bool {
        input == 1
    }

    fn reads_input(&self, input: usize) -> bool {
        input == 0
    }

    fn reads_outputs(&self) -> bool {
        false
    }
}

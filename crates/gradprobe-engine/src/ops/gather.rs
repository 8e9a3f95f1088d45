//! Gather: slices along an axis by index; on axis 0 of a table, an embedding.

use super::attributes::AttributeReader;
use super::indexing::place;
use super::shapes::{Around, expect_inputs, misfit, resolve_axis};
use super::{Attributes, Context, Kernel, Op, OpElement, OpError, Role, Saved};
use crate::num::{Shape, View, ViewMut};

/// y\[a…, i…, b…\] = x\[a…, index\[i…\], b…\], as in ONNX; inputs x\[a…, n, b…\] and the indices
/// \[i…\], whole numbers from −n to n − 1 that count from the end where they are negative. With
/// axis 0 and a table \[vocabulary, dimension\] it is an embedding.
///
/// Pull-back: ∂x is zero, plus each slice of the cotangent at its index, in the order of the
/// indices. The indices have no gradient.
#[derive(Clone, Copy, Debug, Default)]
pub struct Gather {
    /// The axis of x; counted from the end where it is negative.
    pub axis: i64,
}

impl Gather {
    pub(super) fn from_attributes(attributes: &Attributes) -> Result<Box<dyn Op>, OpError> {
        let mut reader = AttributeReader::new(attributes);
        let axis = reader.int("axis", 0)?;
        reader.finish()?;
        Ok(Box::new(Self { axis }))
    }
}

impl<T: OpElement> Kernel<T> for Gather {
    fn forward(
        &self,
        _context: &Context,
        inputs: &[View<'_, T>],
        outputs: &mut [ViewMut<'_, T>],
    ) -> Result<(), OpError> {
        let (x, indices) = (inputs[0], inputs[1].data);
        let axis = resolve_axis("axis", self.axis, x.shape.len())?;
        let Around { extent, inner, .. } = Around::axis(x.shape, axis);
        if inner == 0 || indices.is_empty() {
            return Ok(());
        }
        let blocks = outputs[0].data.chunks_exact_mut(indices.len() * inner);
        for (block, x) in blocks.zip(x.data.chunks_exact((extent * inner).max(1))) {
            for (position, (to, &index)) in block.chunks_exact_mut(inner).zip(indices).enumerate() {
                let at = place(index, extent, position)?;
                to.copy_from_slice(&x[at * inner..][..inner]);
            }
        }
        Ok(())
    }

    fn vjp(
        &self,
        _context: &Context,
        saved: Saved<'_, T>,
        cotangents: &[Option<View<'_, T>>],
        gradients: &mut [Option<ViewMut<'_, T>>],
    ) -> Result<i64, OpError> {
        if let Some(gradient) = &mut gradients[1] {
            gradient.data.fill(T::zero());
        }
        let (Some(g), Some(gradient)) = (cotangents[0], &mut gradients[0]) else {
            return Ok(0);
        };
        gradient.data.fill(T::zero());
        let indices = saved.inputs[1].data;
        let axis = resolve_axis("axis", self.axis, gradient.shape.len())?;
        let around = Around::axis(gradient.shape, axis);
        add_slices(around, indices, g.data, T::one(), gradient.data)?;
        Ok(0)
    }

    fn add_gradient(
        &self,
        saved: Saved<'_, T>,
        cotangents: &[Option<View<'_, T>>],
        input: usize,
        factor: T,
        total: &mut [T],
    ) -> Result<bool, OpError> {
        let (0, Some(g)) = (input, cotangents[0]) else {
            return Ok(false);
        };
        let (x, indices) = (saved.inputs[0], saved.inputs[1].data);
        let axis = resolve_axis("axis", self.axis, x.shape.len())?;
        add_slices(Around::axis(x.shape, axis), indices, g.data, factor, total)?;
        Ok(true)
    }
}

/// Adds each slice of the cotangent × `factor` at its index: on one thread in the order of the
/// indices, for the same bits whatever runs beside it.
fn add_slices<T: OpElement>(
    around: Around,
    indices: &[T],
    g: &[T],
    factor: T,
    total: &mut [T],
) -> Result<(), OpError> {
    let Around { extent, inner, .. } = around;
    if inner == 0 || indices.is_empty() {
        return Ok(());
    }
    let blocks = g.chunks_exact(indices.len() * inner);
    for (block, sums) in blocks.zip(total.chunks_exact_mut((extent * inner).max(1))) {
        for (position, (from, &index)) in block.chunks_exact(inner).zip(indices).enumerate() {
            let at = place(index, extent, position)?;
            for (sum, &term) in sums[at * inner..][..inner].iter_mut().zip(from) {
                *sum += term * factor;
            }
        }
    }
    Ok(())
}

impl Op for Gather {
    fn name(&self) -> &'static str {
        "Gather"
    }

    fn role(&self) -> Role {
        Role::Other
    }

    fn infer(&self, inputs: &[&Shape]) -> Result<Vec<Shape>, OpError> {
        expect_inputs(inputs, 2..=2)?;
        let (x, indices) = (inputs[0], inputs[1]);
        let axis = resolve_axis("axis", self.axis, x.len())?;
        if x[axis] == 0 {
            return Err(misfit("input", format!("slices along axis {axis}"), x));
        }
        let mut out = x[..axis].to_vec();
        out.extend_from_slice(indices);
        out.extend_from_slice(&x[axis + 1..]);
        let out = Shape(out);
        match out.checked_len() {
            Some(_) => Ok(vec![out]),
            None => Err(misfit("output", "a size that can be counted", out)),
        }
    }

    fn per_sample(&self, sampled: &[bool], inputs: &[&Shape]) -> bool {
        let Ok(axis) = resolve_axis("axis", self.axis, inputs[0].len()) else {
            return false;
        };
        match sampled {
            [false, true] => axis == 0 && !inputs[1].is_empty(),
            [true, false] => axis > 0,
            _ => false,
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::num::Tensor;
    use crate::ops::apply;

    #[test]
    fn an_index_out_of_range_is_named() {
        let table = Tensor::<f32>::zeros([4, 2]);
        for bad in [4.0f32, -5.0, 0.5, f32::NAN] {
            let indices = Tensor::new([2], vec![0.0, bad]);
            let inputs = [table.clone(), indices];
            let error = apply(&Gather::default(), &Context::default(), &inputs);
            let expected = format!("index 1 is {bad}, expected a whole number from -4 to 3");
            assert_eq!(error.expect_err("no such row").to_string(), expected);
        }
    }
}

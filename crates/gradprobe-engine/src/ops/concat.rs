//! Concat: tensors one after the other along an axis.

use super::attributes::AttributeReader;
use super::shapes::{Around, expect_inputs, misfit, resolve_axis};
use super::{Attributes, Context, Kernel, Op, OpElement, OpError, Role, Saved};
use crate::num::{Shape, View, ViewMut};

/// The inputs (one or more) joined along `axis`; their other extents must be equal.
#[derive(Clone, Copy, Debug)]
pub struct Concat {
    /// The axis; counted from the end where it is negative.
    pub axis: i64,
}

impl Concat {
    pub(super) fn from_attributes(attributes: &Attributes) -> Result<Box<dyn Op>, OpError> {
        let mut reader = AttributeReader::new(attributes);
        let axis = reader.int("axis", 0)?;
        reader.finish()?;
        Ok(Box::new(Self { axis }))
    }
}

impl<T: OpElement> Kernel<T> for Concat {
    fn forward(
        &self,
        _context: &Context,
        inputs: &[View<'_, T>],
        outputs: &mut [ViewMut<'_, T>],
    ) -> Result<(), OpError> {
        let out = &mut outputs[0];
        let axis = resolve_axis("axis", self.axis, out.shape.len())?;
        let mut at = 0;
        for block in 0..Around::axis(out.shape, axis).outer {
            for input in inputs {
                let len: usize = input.shape[axis..].iter().product();
                out.data[at..at + len].copy_from_slice(&input.data[block * len..][..len]);
                at += len;
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
        let Some(g) = cotangents[0] else { return Ok(0) };
        let axis = resolve_axis("axis", self.axis, g.shape.len())?;
        let mut at = 0;
        for block in 0..Around::axis(g.shape, axis).outer {
            for (input, gradient) in saved.inputs.iter().zip(gradients.iter_mut()) {
                let len: usize = input.shape[axis..].iter().product();
                if let Some(gradient) = gradient {
                    gradient.data[block * len..][..len].copy_from_slice(&g.data[at..at + len]);
                }
                at += len;
            }
        }
        Ok(0)
    }
}

impl Op for Concat {
    fn name(&self) -> &'static str {
        "Concat"
    }

    fn role(&self) -> Role {
        Role::Other
    }

    fn infer(&self, inputs: &[&Shape]) -> Result<Vec<Shape>, OpError> {
        expect_inputs(inputs, 1..=usize::MAX)?;
        let mut out = inputs[0].to_vec();
        let axis = resolve_axis("axis", self.axis, out.len())?;
        for (position, input) in inputs.iter().enumerate().skip(1) {
            let fits = input.len() == out.len()
                && (0..out.len()).all(|other| other == axis || input[other] == out[other]);
            if !fits {
                return Err(misfit(
                    format!("input {position}"),
                    format!("the extents of {} but for axis {axis}", inputs[0]),
                    input,
                ));
            }
            out[axis] = out[axis]
                .checked_add(input[axis])
                .ok_or_else(|| misfit("output", "a tensor that fits in memory", input))?;
        }
        Ok(vec![Shape(out)])
    }

    fn per_sample(&self, sampled: &[bool], inputs: &[&Shape]) -> bool {
        let axis = resolve_axis("axis", self.axis, inputs[0].len());
        axis.is_ok_and(|axis| axis > 0) && sampled.iter().all(|&sampled| sampled)
    }

    fn reads_input(&self, _input: usize) -> bool {
        false
    }

    fn reads_outputs(&self) -> bool {
        false
    }
}

//! Transpose: the axes in another order.

use super::attributes::AttributeReader;
use super::shapes::{expect_inputs, misfit};
use super::{Attributes, Context, Kernel, Op, OpElement, OpError, Role, Saved};
use crate::num::{Element, Shape, View, ViewMut};

/// Axis i of the output is axis `permutation[i]` of the input, as in ONNX.
#[derive(Clone, Debug, Default)]
pub struct Transpose {
    /// The input's axes in their new order; empty reverses them.
    pub permutation: Vec<usize>,
}

impl Transpose {
    pub(super) fn from_attributes(attributes: &Attributes) -> Result<Box<dyn Op>, OpError> {
        let mut reader = AttributeReader::new(attributes);
        let permutation = reader.sizes("perm", 0)?;
        reader.finish()?;
        Ok(Box::new(Self { permutation }))
    }

    fn axes(&self, rank: usize) -> Vec<usize> {
        if self.permutation.is_empty() {
            (0..rank).rev().collect()
        } else {
            self.permutation.clone()
        }
    }
}

impl<T: OpElement> Kernel<T> for Transpose {
    fn forward(
        &self,
        _context: &Context,
        inputs: &[View<'_, T>],
        outputs: &mut [ViewMut<'_, T>],
    ) -> Result<(), OpError> {
        permute(
            inputs[0],
            &mut outputs[0],
            &self.axes(inputs[0].shape.len()),
        );
        Ok(())
    }

    fn vjp(
        &self,
        _context: &Context,
        _saved: Saved<'_, T>,
        cotangents: &[Option<View<'_, T>>],
        gradients: &mut [Option<ViewMut<'_, T>>],
    ) -> Result<i64, OpError> {
        if let (Some(cotangent), Some(gradient)) = (cotangents[0], &mut gradients[0]) {
            let axes = self.axes(cotangent.shape.len());
            let mut inverse = vec![0; axes.len()];
            for (to, &from) in axes.iter().enumerate() {
                inverse[from] = to;
            }
            permute(cotangent, gradient, &inverse);
        }
        Ok(0)
    }
}

/// `to` = `from` with its axes in the order of `axes`.
pub(super) fn permute<T: Element>(from: View<'_, T>, to: &mut ViewMut<'_, T>, axes: &[usize]) {
    to.as_array_mut()
        .assign(&from.as_array().permuted_axes(axes));
}

impl Op for Transpose {
    fn name(&self) -> &'static str {
        "Transpose"
    }

    fn role(&self) -> Role {
        Role::Other
    }

    fn infer(&self, inputs: &[&Shape]) -> Result<Vec<Shape>, OpError> {
        expect_inputs(inputs, 1..=1)?;
        let axes = self.axes(inputs[0].len());
        let mut sorted = axes.clone();
        sorted.sort_unstable();
        if !sorted.iter().copied().eq(0..inputs[0].len()) {
            return Err(misfit(
                "perm",
                format!("every axis of {} once", inputs[0]),
                format!("{axes:?}"),
            ));
        }
        Ok(vec![Shape(
            axes.iter().map(|&axis| inputs[0][axis]).collect(),
        )])
    }

    fn per_sample(&self, sampled: &[bool], inputs: &[&Shape]) -> bool {
        sampled[0] && self.axes(inputs[0].len()).first() == Some(&0)
    }

    fn reads_input(&self, _input: usize) -> bool {
        false
    }

    fn reads_outputs(&self) -> bool {
        false
    }
}

//! Linear: y = x·Wᵀ + b, with W\[out, in\] as PyTorch lays it out.

use super::attributes::AttributeReader;
use super::shapes::{expect_inputs, expect_shape, misfit};
use super::{
    Attributes, Autocast, Context, Kernel, Op, OpElement, OpError, OpFacts, Role, Saved,
    WeightLayout,
};
use crate::num::linalg::{Matrix, MatrixMut};
use crate::num::sum::column_sums;
use crate::num::threads::join;
use crate::num::{Shape, View, ViewMut};
use std::ops::Range;

/// y\[…, out\] = x\[…, in\] · W\[out, in\]ᵀ + b\[out\]; inputs x, W and, with `bias`, b.
///
/// Pull-back: ∂x = g·W, ∂W = gᵀ·x and ∂b = Σ g, the sums over every leading axis.
#[derive(Clone, Copy, Debug)]
pub struct Linear {
    /// Is there a third input, the bias?
    pub bias: bool,
}

impl Linear {
    pub(super) fn from_attributes(attributes: &Attributes) -> Result<Box<dyn Op>, OpError> {
        let mut reader = AttributeReader::new(attributes);
        let bias = reader.flag("bias", true)?;
        reader.finish()?;
        Ok(Box::new(Self { bias }))
    }
}

impl<T: OpElement> Kernel<T> for Linear {
    fn forward(
        &self,
        context: &Context,
        inputs: &[View<'_, T>],
        outputs: &mut [ViewMut<'_, T>],
    ) -> Result<(), OpError> {
        let (x, w) = (inputs[0], inputs[1]);
        let (fan_out, fan_in) = (w.shape[0], w.shape[1]);
        let rows = x.data.len() / fan_in;
        let out = &mut outputs[0];
        if let Some(bias) = inputs.get(2) {
            for row in out.data.chunks_exact_mut(fan_out) {
                row.copy_from_slice(bias.data);
            }
        }
        T::matmul_tiled(
            MatrixMut::new(out.data, rows, fan_out),
            Matrix::new(x.data, rows, fan_in),
            Matrix::new(w.data, fan_out, fan_in).transposed(),
            self.bias,
            context.parallel,
        );
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
        let (x, w) = (saved.inputs[0], saved.inputs[1]);
        let (fan_out, fan_in) = (w.shape[0], w.shape[1]);
        let rows = g.data.len() / fan_out;
        let g_matrix = Matrix::new(g.data, rows, fan_out);
        let (of_input, of_weight) = gradients.split_at_mut(1);
        // Side by side, since either may be too small to be shared among threads.
        join(
            context.parallel,
            || {
                if let Some(gradient) = &mut of_input[0] {
                    T::matmul_tiled(
                        MatrixMut::new(gradient.data, rows, fan_in),
                        g_matrix,
                        Matrix::new(w.data, fan_out, fan_in),
                        false,
                        context.parallel,
                    );
                }
            },
            || {
                if let Some(gradient) = &mut of_weight[0] {
                    T::matmul_tiled(
                        MatrixMut::new(gradient.data, fan_out, fan_in),
                        g_matrix.transposed(),
                        Matrix::new(x.data, rows, fan_in),
                        false,
                        context.parallel,
                    );
                }
            },
        );
        if let Some(Some(gradient)) = gradients.get_mut(2) {
            column_sums(gradient.data, g.data);
        }
        Ok(0)
    }

    fn vjp_rows(
        &self,
        context: &Context,
        saved: Saved<'_, T>,
        cotangents: &[Option<View<'_, T>>],
        input: usize,
        rows: Range<usize>,
        gradient: &mut [T],
    ) -> Result<Option<i64>, OpError> {
        let (Some(g), 1) = (cotangents[0], input) else {
            return Ok(None);
        };
        let (x, w) = (saved.inputs[0], saved.inputs[1]);
        let (fan_out, fan_in) = (w.shape[0], w.shape[1]);
        let samples = g.data.len() / fan_out;
        let part = &g.data[rows.start.min(g.data.len())..];
        T::matmul_tiled(
            MatrixMut::new(gradient, rows.len(), fan_in),
            Matrix::with_row_stride(part, samples, rows.len(), fan_out).transposed(),
            Matrix::new(x.data, samples, fan_in),
            false,
            context.parallel,
        );
        Ok(Some(0))
    }
}

impl Op for Linear {
    fn name(&self) -> &'static str {
        "Linear"
    }

    fn role(&self) -> Role {
        Role::Weight
    }

    fn infer(&self, inputs: &[&Shape]) -> Result<Vec<Shape>, OpError> {
        let count = 2 + usize::from(self.bias);
        expect_inputs(inputs, count..=count)?;
        let (x, w) = (inputs[0], inputs[1]);
        let &[fan_out, fan_in] = &w[..] else {
            return Err(misfit("weight", "a matrix [out, in]", w));
        };
        if fan_in == 0 || fan_out == 0 {
            return Err(misfit("weight", "at least one input and one output", w));
        }
        let Some((&last, leading)) = x.split_last() else {
            return Err(misfit("input", "at least one axis", "a scalar"));
        };
        if last != fan_in {
            return Err(OpError::Mismatch {
                one: format!("weight takes {fan_in} features"),
                other: format!("input has {last}"),
            });
        }
        if let Some(bias) = inputs.get(2) {
            expect_shape("the bias", &[fan_out], bias)?;
        }
        let mut out = leading.to_vec();
        out.push(fan_out);
        Ok(vec![Shape(out)])
    }

    fn per_sample(&self, sampled: &[bool], inputs: &[&Shape]) -> bool {
        sampled.first() == Some(&true) && !sampled[1..].contains(&true) && inputs[0].len() > 1
    }

    fn rows_per_call(&self, inputs: &[&Shape]) -> usize {
        let inner: usize = inputs[0].iter().skip(1).rev().skip(1).product();
        rows_for_weight(inputs[1].element_count()).div_ceil(inner.max(1))
    }

    fn facts(&self) -> OpFacts {
        OpFacts {
            weight: Some(WeightLayout::UnitsFirst),
            autocast: Autocast::Narrow,
            bias_of_product: Some(2),
            ..OpFacts::default()
        }
    }

    fn reads_input(&self, input: usize) -> bool {
        input < 2
    }

    fn reads_outputs(&self) -> bool {
        false
    }

    fn flops(&self, inputs: &[&Shape], _outputs: &[Shape]) -> u64 {
        let weights = inputs[1].element_count() as u64;
        let rows = inputs[0].element_count() / inputs[1].last().map_or(1, |&extent| extent.max(1));
        (2 * rows as u64).saturating_mul(weights)
    }
}

/// Rows of the left factor that make a product with a matrix of `weights` elements efficient: the
/// whole of it is packed anew in every call.
pub(super) fn rows_for_weight(weights: usize) -> usize {
    match weights {
        0..=0x3_ffff => 32,
        0x4_0000..=0xf_ffff => 64,
        _ => 128,
    }
}

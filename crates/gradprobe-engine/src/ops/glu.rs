//! Gated linear units.

use super::activation::{self, Activation};
use super::attributes::AttributeReader;
use super::shapes::{Around, expect_inputs, misfit, resolve_axis};
use super::{Attributes, Context, Kernel, Op, OpElement, OpError, Role, Saved};
use crate::num::{Shape, View, ViewMut};
use std::sync::Arc;

/// y = a · φ(b), where a and b are the halves of x along an axis: with the logistic function the
/// GLU of Dauphin et al. 2017, with SiLU and GELU the SwiGLU and GEGLU of Shazeer 2020.
///
/// Pull-back: ∂a = g·φ(b), ∂b = g·a·φ′(b).
#[derive(Clone, Debug)]
pub struct Glu {
    /// The axis; counted from the end where it is negative.
    pub axis: i64,
    /// φ.
    pub activation: Arc<dyn Activation>,
}

impl Glu {
    pub(super) fn from_attributes(attributes: &Attributes) -> Result<Box<dyn Op>, OpError> {
        let mut reader = AttributeReader::new(attributes);
        let axis = reader.int("axis", -1)?;
        let name = reader.text("activation", "sigmoid")?;
        reader.finish()?;
        let activation = activation::parse(name).map_err(|error| OpError::Value {
            what: error.to_string(),
        })?;
        Ok(Box::new(Self { axis, activation }))
    }

    /// Elements of half a block.
    fn half(&self, shape: &[usize]) -> Result<usize, OpError> {
        let axis = resolve_axis("axis", self.axis, shape.len())?;
        let Around { extent, inner, .. } = Around::axis(shape, axis);
        Ok(extent / 2 * inner)
    }
}

impl<T: OpElement> Kernel<T> for Glu {
    fn forward(
        &self,
        _context: &Context,
        inputs: &[View<'_, T>],
        outputs: &mut [ViewMut<'_, T>],
    ) -> Result<(), OpError> {
        let half = self.half(inputs[0].shape)?;
        if half == 0 {
            return Ok(());
        }
        let kernel = T::activation(&*self.activation);
        let blocks = inputs[0].data.chunks_exact(2 * half);
        for (y, x) in outputs[0].data.chunks_exact_mut(half).zip(blocks) {
            let (a, b) = x.split_at(half);
            kernel.apply(b, y);
            y.iter_mut().zip(a).for_each(|(y, &a)| *y *= a);
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
        let (Some(g), Some(gradient)) = (cotangents[0], &mut gradients[0]) else {
            return Ok(0);
        };
        let half = self.half(gradient.shape)?;
        if half == 0 {
            return Ok(0);
        }
        let kernel = T::activation(&*self.activation);
        let blocks = saved.inputs[0].data.chunks_exact(2 * half);
        T::with_scratch(half, |gated| {
            let blocks = gradient.data.chunks_exact_mut(2 * half).zip(blocks);
            for ((dx, x), g) in blocks.zip(g.data.chunks_exact(half)) {
                let (a, b) = x.split_at(half);
                let (da, db) = dx.split_at_mut(half);
                for ((gated, &g), &a) in gated.iter_mut().zip(g).zip(a) {
                    *gated = g * a;
                }
                kernel.vjp(b, gated, db);
                kernel.apply(b, da);
                da.iter_mut().zip(g).for_each(|(da, &g)| *da *= g);
            }
        });
        Ok(0)
    }
}

impl Op for Glu {
    fn name(&self) -> &'static str {
        "Glu"
    }

    fn role(&self) -> Role {
        Role::Activation
    }

    fn infer(&self, inputs: &[&Shape]) -> Result<Vec<Shape>, OpError> {
        expect_inputs(inputs, 1..=1)?;
        let x = inputs[0];
        let axis = resolve_axis("axis", self.axis, x.len())?;
        if !x[axis].is_multiple_of(2) || x.contains(&0) || x.checked_len().is_none() {
            let expected = format!("an even number of places along axis {axis}");
            return Err(misfit("input", expected, x));
        }
        let mut out = x.to_vec();
        out[axis] /= 2;
        Ok(vec![Shape(out)])
    }

    fn per_sample(&self, sampled: &[bool], inputs: &[&Shape]) -> bool {
        let axis = resolve_axis("axis", self.axis, inputs[0].len());
        sampled[0] && axis.is_ok_and(|axis| axis > 0)
    }

    fn reads_outputs(&self) -> bool {
        false
    }

    fn flops(&self, inputs: &[&Shape], _outputs: &[Shape]) -> u64 {
        // About what a polynomial and a division cost.
        (inputs[0].element_count() as u64).saturating_mul(10)
    }
}

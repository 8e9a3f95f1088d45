//! Expand: a tensor broadcast to a larger shape.

use super::attributes::AttributeReader;
use super::broadcast::{map, sum_back};
use super::shapes::{broadcast, expect_inputs, in_memory};
use super::{Attributes, Context, Kernel, Op, OpElement, OpError, Role, Saved};
use crate::num::{Shape, View, ViewMut};

/// x broadcast against `shape`, as in ONNX: either may have extents of 1 or fewer axes. The
/// pull-back sums over what was repeated.
#[derive(Clone, Debug, Default)]
pub struct Expand {
    /// What x is broadcast against.
    pub shape: Vec<usize>,
}

impl Expand {
    pub(super) fn from_attributes(attributes: &Attributes) -> Result<Box<dyn Op>, OpError> {
        let mut reader = AttributeReader::new(attributes);
        let shape = reader.sizes("shape", 0)?;
        reader.finish()?;
        Ok(Box::new(Self { shape }))
    }
}

impl<T: OpElement> Kernel<T> for Expand {
    fn forward(
        &self,
        context: &Context,
        inputs: &[View<'_, T>],
        outputs: &mut [ViewMut<'_, T>],
    ) -> Result<(), OpError> {
        let (x, y) = (inputs[0], &mut outputs[0]);
        map(context.parallel, y.shape, y.data, x, x, |x, _| x);
        Ok(())
    }

    fn vjp(
        &self,
        context: &Context,
        _saved: Saved<'_, T>,
        cotangents: &[Option<View<'_, T>>],
        gradients: &mut [Option<ViewMut<'_, T>>],
    ) -> Result<i64, OpError> {
        if let (Some(g), Some(dx)) = (cotangents[0], &mut gradients[0]) {
            sum_back(context.parallel, g, dx.data, dx.shape, |g| g);
        }
        Ok(0)
    }
}

impl Op for Expand {
    fn name(&self) -> &'static str {
        "Expand"
    }

    fn role(&self) -> Role {
        Role::Other
    }

    fn infer(&self, inputs: &[&Shape]) -> Result<Vec<Shape>, OpError> {
        expect_inputs(inputs, 1..=1)?;
        Ok(vec![in_memory(broadcast(&[inputs[0], &self.shape])?.0)?])
    }

    fn per_sample(&self, sampled: &[bool], inputs: &[&Shape]) -> bool {
        let x = inputs[0];
        let own = self.shape.len() < x.len()
            || self.shape.len() == x.len() && (self.shape[0] == 1 || self.shape[0] == x[0]);
        sampled[0] && !x.is_empty() && own
    }

    fn reads_input(&self, _input: usize) -> bool {
        false
    }

    fn reads_outputs(&self) -> bool {
        false
    }
}

//! CumSum: running sums along an axis.

use super::attributes::AttributeReader;
use super::shapes::{Around, expect_inputs, resolve_axis};
use super::{Attributes, Autocast, Context, Kernel, Op, OpElement, OpError, OpFacts, Role, Saved};
use crate::num::{Element, Shape, View, ViewMut};

/// yᵢ = Σ xⱼ over j ≤ i along `axis`. The pull-back is the running sum from the other end.
#[derive(Clone, Copy, Debug, Default)]
pub struct CumSum {
    /// The axis; counted from the end where it is negative.
    pub axis: i64,
    /// Sum over j < i: the element itself is left out.
    pub exclusive: bool,
    /// Sum from the end on.
    pub reverse: bool,
}

impl CumSum {
    pub(super) fn from_attributes(attributes: &Attributes) -> Result<Box<dyn Op>, OpError> {
        let mut reader = AttributeReader::new(attributes);
        let sum = Self {
            axis: reader.int("axis", 0)?,
            exclusive: reader.flag("exclusive", false)?,
            reverse: reader.flag("reverse", false)?,
        };
        reader.finish()?;
        Ok(Box::new(sum))
    }

    fn run<T: Element>(
        &self,
        reverse: bool,
        from: View<'_, T>,
        to: &mut [T],
    ) -> Result<(), OpError> {
        let axis = resolve_axis("axis", self.axis, from.shape.len())?;
        let Around {
            outer,
            extent,
            inner,
        } = Around::axis(from.shape, axis);
        for block in 0..outer {
            let mut before = None;
            for step in 0..extent {
                let index = if reverse { extent - 1 - step } else { step };
                let at = (block * extent + index) * inner;
                for offset in 0..inner {
                    let so_far = before.map_or(T::zero(), |before: usize| {
                        let left_out = if self.exclusive {
                            from.data[before + offset]
                        } else {
                            T::zero()
                        };
                        to[before + offset] + left_out
                    });
                    to[at + offset] = if self.exclusive {
                        so_far
                    } else {
                        so_far + from.data[at + offset]
                    };
                }
                before = Some(at);
            }
        }
        Ok(())
    }
}

impl<T: OpElement> Kernel<T> for CumSum {
    fn forward(
        &self,
        _context: &Context,
        inputs: &[View<'_, T>],
        outputs: &mut [ViewMut<'_, T>],
    ) -> Result<(), OpError> {
        self.run(self.reverse, inputs[0], outputs[0].data)
    }

    fn vjp(
        &self,
        _context: &Context,
        _saved: Saved<'_, T>,
        cotangents: &[Option<View<'_, T>>],
        gradients: &mut [Option<ViewMut<'_, T>>],
    ) -> Result<i64, OpError> {
        if let (Some(g), Some(dx)) = (cotangents[0], &mut gradients[0]) {
            self.run(!self.reverse, g, dx.data)?;
        }
        Ok(0)
    }
}

impl Op for CumSum {
    fn name(&self) -> &'static str {
        "CumSum"
    }

    fn role(&self) -> Role {
        Role::Other
    }

    fn facts(&self) -> OpFacts {
        OpFacts {
            autocast: Autocast::Single,
            ..OpFacts::default()
        }
    }

    fn infer(&self, inputs: &[&Shape]) -> Result<Vec<Shape>, OpError> {
        expect_inputs(inputs, 1..=1)?;
        resolve_axis("axis", self.axis, inputs[0].len())?;
        Ok(vec![inputs[0].clone()])
    }

    fn per_sample(&self, sampled: &[bool], inputs: &[&Shape]) -> bool {
        let axis = resolve_axis("axis", self.axis, inputs[0].len());
        sampled[0] && axis.is_ok_and(|axis| axis > 0)
    }

    fn reads_input(&self, _input: usize) -> bool {
        false
    }

    fn reads_outputs(&self) -> bool {
        false
    }
}

//! Split: a tensor cut in pieces along an axis.

use super::attributes::AttributeReader;
use super::shapes::{Around, expect_inputs, misfit, resolve_axis};
use super::{Attributes, Context, Kernel, Op, OpElement, OpError, Role, Saved};
use crate::num::{Shape, View, ViewMut};

/// The most pieces.
const MOST_PIECES: usize = 1 << 16;

/// The pieces of x along `axis`, one an output; their pull-back puts the cotangents side by side.
#[derive(Clone, Debug, Default)]
pub struct Split {
    /// The axis; counted from the end where it is negative.
    pub axis: i64,
    /// The extent of every piece; empty for pieces of equal extent.
    pub split: Vec<usize>,
    /// How many pieces of equal extent (the last may be smaller), where `split` is empty.
    pub pieces: usize,
}

impl Split {
    pub(super) fn from_attributes(attributes: &Attributes) -> Result<Box<dyn Op>, OpError> {
        let mut reader = AttributeReader::new(attributes);
        let axis = reader.int("axis", 0)?;
        let split = reader.sizes("split", 0)?;
        let pieces = reader.size("num_outputs", 0, 1)?;
        reader.finish()?;
        Ok(Box::new(Self {
            axis,
            split,
            pieces,
        }))
    }

    fn extents(&self, whole: usize) -> Result<Vec<usize>, OpError> {
        let refused = |name, expected: String, got: String| {
            Err(OpError::Attribute {
                name,
                expected,
                got,
            })
        };
        if !self.split.is_empty() {
            let sum = self.split.iter().copied().fold(0, usize::saturating_add);
            if sum != whole || self.split.len() > MOST_PIECES {
                let expected = format!("extents that add up to the {whole} of the axis");
                return refused("split", expected, format!("{:?}", self.split));
            }
            return Ok(self.split.clone());
        }
        if self.pieces == 0 {
            return refused("split", "given, or num_outputs".into(), "missing".into());
        }
        let each = whole.div_ceil(self.pieces);
        let last = (self.pieces - 1)
            .checked_mul(each)
            .and_then(|others| whole.checked_sub(others));
        match last {
            Some(last) if self.pieces <= MOST_PIECES => {
                let mut extents = vec![each; self.pieces];
                extents[self.pieces - 1] = last;
                Ok(extents)
            }
            _ => refused(
                "num_outputs",
                format!("a number of pieces that {whole} can be cut into"),
                self.pieces.to_string(),
            ),
        }
    }
}

impl<T: OpElement> Kernel<T> for Split {
    fn forward(
        &self,
        _context: &Context,
        inputs: &[View<'_, T>],
        outputs: &mut [ViewMut<'_, T>],
    ) -> Result<(), OpError> {
        let x = inputs[0];
        let axis = resolve_axis("axis", self.axis, x.shape.len())?;
        let mut at = 0;
        for block in 0..Around::axis(x.shape, axis).outer {
            for y in outputs.iter_mut() {
                let len: usize = y.shape[axis..].iter().product();
                y.data[block * len..][..len].copy_from_slice(&x.data[at..at + len]);
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
        let Some(dx) = &mut gradients[0] else {
            return Ok(0);
        };
        let axis = resolve_axis("axis", self.axis, dx.shape.len())?;
        let mut at = 0;
        for block in 0..Around::axis(dx.shape, axis).outer {
            for (y, g) in saved.outputs.iter().zip(cotangents) {
                let len: usize = y.shape[axis..].iter().product();
                let dx = &mut dx.data[at..at + len];
                match g {
                    Some(g) => dx.copy_from_slice(&g.data[block * len..][..len]),
                    None => dx.fill(T::zero()),
                }
                at += len;
            }
        }
        Ok(0)
    }
}

impl Op for Split {
    fn name(&self) -> &'static str {
        "Split"
    }

    fn role(&self) -> Role {
        Role::Other
    }

    fn infer(&self, inputs: &[&Shape]) -> Result<Vec<Shape>, OpError> {
        expect_inputs(inputs, 1..=1)?;
        let x = inputs[0];
        if x.is_empty() {
            return Err(misfit("input", "at least one axis", "a scalar"));
        }
        let axis = resolve_axis("axis", self.axis, x.len())?;
        let piece = |extent| {
            let mut shape = x.clone();
            shape.0[axis] = extent;
            shape
        };
        Ok(self.extents(x[axis])?.into_iter().map(piece).collect())
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

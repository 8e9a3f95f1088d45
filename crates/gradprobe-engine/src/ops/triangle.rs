//! Trilu: the upper or the lower triangle of matrices.

use super::attributes::AttributeReader;
use super::shapes::{expect_inputs, misfit};
use super::{Attributes, Context, Kernel, Op, OpElement, OpError, Role, Saved};
use crate::num::{Element, Shape, View, ViewMut};

/// The matrices of the last two axes with zeros below (or above) a diagonal.
#[derive(Clone, Copy, Debug)]
pub struct Trilu {
    /// Keep the upper triangle, else the lower.
    pub upper: bool,
    /// Which diagonal is the last that is kept: 0 the main one, above it if positive.
    pub diagonal: i64,
}

impl Default for Trilu {
    fn default() -> Self {
        Self {
            upper: true,
            diagonal: 0,
        }
    }
}

impl Trilu {
    pub(super) fn from_attributes(attributes: &Attributes) -> Result<Box<dyn Op>, OpError> {
        let mut reader = AttributeReader::new(attributes);
        let upper = reader.flag("upper", true)?;
        let diagonal = reader.int("k", 0)?;
        reader.finish()?;
        Ok(Box::new(Self { upper, diagonal }))
    }

    fn run<T: Element>(&self, from: View<'_, T>, to: &mut [T]) {
        let &[.., rows, columns] = from.shape else {
            return;
        };
        if columns == 0 {
            return;
        }
        let lines = from
            .data
            .chunks_exact(columns)
            .zip(to.chunks_exact_mut(columns));
        for (line, (from, to)) in lines.enumerate() {
            // The kept columns are from `edge` on, or up to it.
            let edge = ((line % rows) as i64).saturating_add(self.diagonal);
            let edge = if self.upper {
                edge
            } else {
                edge.saturating_add(1)
            };
            let edge = edge.clamp(0, columns as i64) as usize;
            to.copy_from_slice(from);
            if self.upper {
                to[..edge].fill(T::zero());
            } else {
                to[edge..].fill(T::zero());
            }
        }
    }
}

impl<T: OpElement> Kernel<T> for Trilu {
    fn forward(
        &self,
        _context: &Context,
        inputs: &[View<'_, T>],
        outputs: &mut [ViewMut<'_, T>],
    ) -> Result<(), OpError> {
        self.run(inputs[0], outputs[0].data);
        Ok(())
    }

    fn vjp(
        &self,
        _context: &Context,
        _saved: Saved<'_, T>,
        cotangents: &[Option<View<'_, T>>],
        gradients: &mut [Option<ViewMut<'_, T>>],
    ) -> Result<i64, OpError> {
        if let (Some(g), Some(dx)) = (cotangents[0], &mut gradients[0]) {
            self.run(g, dx.data);
        }
        Ok(0)
    }
}

impl Op for Trilu {
    fn name(&self) -> &'static str {
        "Trilu"
    }

    fn role(&self) -> Role {
        Role::Other
    }

    fn infer(&self, inputs: &[&Shape]) -> Result<Vec<Shape>, OpError> {
        expect_inputs(inputs, 1..=1)?;
        if inputs[0].len() < 2 {
            return Err(misfit("input", "at least two axes", inputs[0]));
        }
        Ok(vec![inputs[0].clone()])
    }

    fn per_sample(&self, sampled: &[bool], inputs: &[&Shape]) -> bool {
        sampled[0] && inputs[0].len() > 2
    }

    fn reads_input(&self, _input: usize) -> bool {
        false
    }

    fn reads_outputs(&self) -> bool {
        false
    }
}

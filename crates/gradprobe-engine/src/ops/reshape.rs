//! Ops that change the shape and not the elements: Reshape, Flatten, Squeeze, Unsqueeze, Identity.

use super::attributes::AttributeReader;
use super::shapes::{expect_inputs, misfit, resolve_axes};
use super::{Attributes, Context, Kernel, Modes, Op, OpElement, OpError, OpFacts, Role, Saved};
use crate::num::{Shape, View, ViewMut};

/// The elements in row-major order under another shape.
#[derive(Clone, Debug, Default)]
pub struct Reshape {
    /// The new extents; 0 copies the input's extent at this axis and −1 (once) is what is left,
    /// as in ONNX.
    pub shape: Vec<i64>,
    /// Does 0 mean an extent of 0?
    pub allow_zero: bool,
}

/// A matrix of the axes before `axis` by those from it on, as in ONNX.
#[derive(Clone, Copy, Debug)]
pub struct Flatten {
    /// The first axis that goes into the columns; counted from the end where it is negative.
    pub axis: i64,
}

/// x without some axes of extent 1.
#[derive(Clone, Debug, Default)]
pub struct Squeeze {
    /// The axes to drop, counted from the end where negative; empty for all of extent 1.
    pub axes: Vec<i64>,
}

/// x with new axes of extent 1.
#[derive(Clone, Debug, Default)]
pub struct Unsqueeze {
    /// Where the new axes are in the output, counted from its end where negative.
    pub axes: Vec<i64>,
}

/// x.
#[derive(Clone, Copy, Debug, Default)]
pub struct Identity;

impl Default for Flatten {
    fn default() -> Self {
        Self { axis: 1 }
    }
}

impl Reshape {
    pub(super) fn from_attributes(attributes: &Attributes) -> Result<Box<dyn Op>, OpError> {
        let mut reader = AttributeReader::new(attributes);
        let shape = reader.ints("shape")?;
        let allow_zero = reader.flag("allowzero", false)?;
        reader.finish()?;
        Ok(Box::new(Self { shape, allow_zero }))
    }

    fn target(&self, input: &Shape) -> Result<Vec<usize>, OpError> {
        let wrong = |expected: &str, got: i64| OpError::Attribute {
            name: "shape",
            expected: expected.into(),
            got: got.to_string(),
        };
        let mut target = Vec::with_capacity(self.shape.len());
        let mut free = None;
        for (axis, &extent) in self.shape.iter().enumerate() {
            target.push(match extent {
                0 if !self.allow_zero => *input.get(axis).ok_or_else(|| {
                    wrong("an extent above 0, for the input has no such axis", extent)
                })?,
                -1 if free.is_none() => {
                    free = Some(axis);
                    1
                }
                -1 => return Err(wrong("given with -1 once", extent)),
                extent => usize::try_from(extent)
                    .map_err(|_| wrong("made of extents of at least -1", extent))?,
            });
        }
        let fixed = Shape(target.clone()).checked_len().unwrap_or(usize::MAX);
        let count = input.element_count();
        if let Some(axis) = free
            && fixed > 0
            && count.is_multiple_of(fixed)
        {
            target[axis] = count / fixed;
        }
        if Shape(target.clone()).checked_len() != Some(count) {
            let asked = format!("{:?}", self.shape);
            return Err(misfit(
                "new shape",
                format!("{count} elements, as {input} has"),
                asked,
            ));
        }
        Ok(target)
    }
}

impl Flatten {
    pub(super) fn from_attributes(attributes: &Attributes) -> Result<Box<dyn Op>, OpError> {
        let mut reader = AttributeReader::new(attributes);
        let axis = reader.int("axis", 1)?;
        reader.finish()?;
        Ok(Box::new(Self { axis }))
    }

    fn target(&self, input: &Shape) -> Result<Vec<usize>, OpError> {
        let rank = input.len() as i64;
        // The axis may be the rank itself, which resolve_axis refuses.
        let axis = if self.axis < 0 {
            self.axis + rank
        } else {
            self.axis
        };
        if !(0..=rank).contains(&axis) {
            return Err(OpError::Attribute {
                name: "axis",
                expected: format!("between -{rank} and {rank}"),
                got: self.axis.to_string(),
            });
        }
        let count = |extents: &[usize]| {
            let product = Shape::new(extents).checked_len();
            product.ok_or_else(|| misfit("input", "a tensor that fits in memory", input))
        };
        let (rows, columns) = input.split_at(axis as usize);
        Ok(vec![count(rows)?, count(columns)?])
    }
}

impl Squeeze {
    pub(super) fn from_attributes(attributes: &Attributes) -> Result<Box<dyn Op>, OpError> {
        let mut reader = AttributeReader::new(attributes);
        let axes = reader.ints("axes")?;
        reader.finish()?;
        Ok(Box::new(Self { axes }))
    }

    fn target(&self, input: &Shape) -> Result<Vec<usize>, OpError> {
        let axes = resolve_axes("axes", &self.axes, input.len())?;
        if let Some(&axis) = axes.iter().find(|&&axis| input[axis] != 1) {
            return Err(misfit(
                format!("extent of axis {axis}"),
                "1, to be dropped",
                input[axis],
            ));
        }
        let kept = |&(axis, &extent): &(usize, &usize)| match axes.is_empty() {
            true => extent != 1,
            false => !axes.contains(&axis),
        };
        let left = input.iter().enumerate().filter(kept);
        Ok(left.map(|(_, &extent)| extent).collect())
    }
}

impl Unsqueeze {
    pub(super) fn from_attributes(attributes: &Attributes) -> Result<Box<dyn Op>, OpError> {
        let mut reader = AttributeReader::new(attributes);
        let axes = reader.ints("axes")?;
        reader.finish()?;
        Ok(Box::new(Self { axes }))
    }

    fn target(&self, input: &Shape) -> Result<Vec<usize>, OpError> {
        let rank = input.len() + self.axes.len();
        let axes = resolve_axes("axes", &self.axes, rank)?;
        let mut extents = input.iter().copied();
        let extent = |axis| match axes.contains(&axis) {
            true => Some(1),
            false => extents.next(),
        };
        Ok((0..rank).filter_map(extent).collect())
    }
}

impl Identity {
    fn target(&self, input: &Shape) -> Result<Vec<usize>, OpError> {
        Ok(input.to_vec())
    }
}

macro_rules! view_op {
    ($name:ident) => {
        impl<T: OpElement> Kernel<T> for $name {
            fn forward(
                &self,
                _context: &Context,
                inputs: &[View<'_, T>],
                outputs: &mut [ViewMut<'_, T>],
            ) -> Result<(), OpError> {
                outputs[0].data.copy_from_slice(inputs[0].data);
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
                    gradient.data.copy_from_slice(cotangent.data);
                }
                Ok(0)
            }
        }

        impl Op for $name {
            fn name(&self) -> &'static str {
                stringify!($name)
            }

            fn role(&self) -> Role {
                Role::Other
            }

            fn facts(&self) -> OpFacts {
                OpFacts {
                    is_view: Modes::ALWAYS,
                    ..OpFacts::default()
                }
            }

            fn infer(&self, inputs: &[&Shape]) -> Result<Vec<Shape>, OpError> {
                expect_inputs(inputs, 1..=1)?;
                Ok(vec![Shape(self.target(inputs[0])?)])
            }

            fn per_sample(&self, sampled: &[bool], inputs: &[&Shape]) -> bool {
                // The rows stay what they are where axis 0 keeps its extent.
                let rows = inputs[0].first();
                let keeps = |target: Vec<usize>| rows.is_some() && target.first() == rows;
                sampled[0] && self.target(inputs[0]).is_ok_and(keeps)
            }

            fn reads_input(&self, _input: usize) -> bool {
                false
            }

            fn reads_outputs(&self) -> bool {
                false
            }
        }
    };
}

view_op!(Reshape);
view_op!(Flatten);
view_op!(Squeeze);
view_op!(Unsqueeze);
view_op!(Identity);

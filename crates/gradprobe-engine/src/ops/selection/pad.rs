//! Pad.

use super::{CONSTANT, Picks};
use crate::num::Shape;
use crate::ops::attributes::{AttributeReader, wrong};
use crate::ops::shapes::{expect_len, misfit, resolve_axes};
use crate::ops::{Attribute, Attributes, Op, OpError};

/// What padding is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum PadMode {
    /// One number.
    #[default]
    Constant,
    /// The elements mirrored at the first and the last, these not repeated.
    Reflect,
    /// The first or the last element.
    Edge,
    /// The elements from the other end on.
    Wrap,
}

/// Elements added before and after the axes, as in ONNX; negative numbers take some away.
#[derive(Clone, Debug, Default)]
pub struct Pad {
    /// How many: all the begins, then all the ends. Empty for none.
    pub pads: Vec<i64>,
    /// The axes that they are for, counted from the end where negative; empty for all.
    pub axes: Vec<i64>,
    /// What is added.
    pub mode: PadMode,
    /// The number that is added in mode `Constant`.
    pub value: f64,
}

impl Pad {
    pub(in crate::ops) fn from_attributes(attributes: &Attributes) -> Result<Box<dyn Op>, OpError> {
        let mut reader = AttributeReader::new(attributes);
        let pads = reader.ints("pads")?;
        let axes = reader.ints("axes")?;
        let mode = match reader.text("mode", "constant")? {
            "constant" => PadMode::Constant,
            "reflect" => PadMode::Reflect,
            "edge" => PadMode::Edge,
            "wrap" => PadMode::Wrap,
            other => {
                let expected = "constant, reflect, edge or wrap";
                return Err(wrong("mode", expected, &Attribute::Text(other.into())));
            }
        };
        let value = reader.bound("value", 0.0)?;
        reader.finish()?;
        Ok(Box::new(Self {
            pads,
            axes,
            mode,
            value,
        }))
    }

    /// For every axis, what is added before and after it.
    pub(super) fn each(&self, rank: usize) -> Result<Vec<(i64, i64)>, OpError> {
        let mut each = vec![(0, 0); rank];
        if self.pads.is_empty() && self.axes.is_empty() {
            return Ok(each);
        }
        let axes = match &self.axes[..] {
            [] => (0..rank).collect(),
            axes => resolve_axes("axes", axes, rank)?,
        };
        expect_len("pads", &self.pads, 2 * axes.len())?;
        let (begins, ends) = self.pads.split_at(axes.len());
        for (axis, (&begin, &end)) in axes.into_iter().zip(begins.iter().zip(ends)) {
            each[axis] = (begin, end);
        }
        Ok(each)
    }

    pub(super) fn target(&self, input: &[usize]) -> Result<Vec<usize>, OpError> {
        let mut target = Vec::with_capacity(input.len());
        for (axis, (&extent, (begin, end))) in input.iter().zip(self.each(input.len())?).enumerate()
        {
            let padded = extent as i128 + i128::from(begin) + i128::from(end);
            let padded = usize::try_from(padded).map_err(|_| OpError::Attribute {
                name: "pads",
                expected: format!("to leave axis {axis}, of {extent}, an extent of at least 0"),
                got: format!("{begin} and {end}"),
            })?;
            let too_few = match self.mode {
                PadMode::Constant => false,
                PadMode::Edge | PadMode::Wrap => extent == 0,
                PadMode::Reflect => extent < 2,
            };
            if too_few && (begin > 0 || end > 0) {
                let expected = format!("elements to pad axis {axis} with");
                return Err(misfit("input", expected, Shape::new(input)));
            }
            target.push(padded);
        }
        Ok(target)
    }

    pub(super) fn picks(&self, input: &[usize]) -> Result<Vec<Picks>, OpError> {
        let each = self.each(input.len())?;
        let picks = input.iter().zip(each).map(|(&extent, (begin, end))| {
            if (begin, end) == (0, 0) {
                return None;
            }
            let extent = extent as i64;
            let pick = |output: i64| {
                let index = output - begin;
                match self.mode {
                    _ if (0..extent).contains(&index) => index as usize,
                    PadMode::Constant => CONSTANT,
                    PadMode::Edge => index.clamp(0, extent - 1) as usize,
                    PadMode::Wrap => index.rem_euclid(extent) as usize,
                    PadMode::Reflect => {
                        let last = extent - 1;
                        (last - (index.rem_euclid(2 * last) - last).abs()) as usize
                    }
                }
            };
            Some((0..extent + begin + end).map(pick).collect())
        });
        Ok(picks.collect())
    }

    pub(super) fn constant(&self) -> f64 {
        self.value
    }

    pub(super) fn keeps_rows(&self, rank: usize) -> bool {
        self.each(rank)
            .is_ok_and(|each| each.first() == Some(&(0, 0)))
    }
}

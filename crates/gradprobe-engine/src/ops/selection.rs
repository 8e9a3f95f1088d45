//! Ops whose every output is one element of the input or a constant, chosen axis by axis: Slice,
//! Pad, Tile.
//!
//! y\[i, j, …\] = x\[a(i), b(j), …\]; the pull-back adds the cotangents of the outputs that copy
//! an element.

mod pad;

pub use pad::{Pad, PadMode};

use super::attributes::AttributeReader;
use super::shapes::{expect_inputs, expect_len, in_memory, resolve_axes};
use super::{Attributes, Context, Kernel, Op, OpElement, OpError, Role, Saved};
use crate::num::{Element, Shape, View, ViewMut};

/// An output index that copies nothing.
const CONSTANT: usize = usize::MAX;

/// For every index along an output axis, the input index along it, or [`CONSTANT`]; `None` where
/// the axis stays as it is.
type Picks = Option<Vec<usize>>;

/// What is copied from where.
struct Selection {
    /// For every axis up to the last that changes: its picks, and the elements that a step of the
    /// input is.
    axes: Vec<(Vec<usize>, usize)>,
    /// Elements that lie together: the axes that stay.
    block: usize,
}

impl Selection {
    fn new(input: &[usize], picks: Vec<Picks>) -> Self {
        let changed = picks.iter().rposition(Option::is_some).map_or(0, |i| i + 1);
        let block = Shape::new(&input[changed..]).element_count();
        let mut step = block;
        let mut axes: Vec<(Vec<usize>, usize)> = picks
            .into_iter()
            .zip(input)
            .take(changed)
            .rev()
            .map(|(picks, &extent)| {
                let own = step;
                step = extent.saturating_mul(step);
                (picks.unwrap_or_else(|| (0..extent).collect()), own)
            })
            .collect();
        axes.reverse();
        Self { axes, block }
    }

    /// Calls `visit(where a block of the output begins, where its block of the input does)`.
    fn blocks(&self, mut visit: impl FnMut(usize, Option<usize>)) {
        if self.block > 0 {
            self.blocks_from(0, Some(0), &mut 0, &mut visit);
        }
    }

    fn blocks_from(
        &self,
        axis: usize,
        from: Option<usize>,
        to: &mut usize,
        visit: &mut impl FnMut(usize, Option<usize>),
    ) {
        let Some((picks, step)) = self.axes.get(axis) else {
            visit(*to, from);
            *to += self.block;
            return;
        };
        for &pick in picks {
            let from = from.filter(|_| pick != CONSTANT);
            let from = from.map(|from| from + pick * step);
            self.blocks_from(axis + 1, from, to, visit);
        }
    }

    fn forward<T: Element>(&self, x: &[T], y: &mut [T], constant: T) {
        let block = self.block;
        self.blocks(|to, from| match from {
            Some(from) => y[to..to + block].copy_from_slice(&x[from..from + block]),
            None => y[to..to + block].fill(constant),
        });
    }

    fn pull<T: Element>(&self, g: &[T], dx: &mut [T]) {
        let block = self.block;
        dx.fill(T::zero());
        self.blocks(|to, from| {
            if let Some(from) = from {
                let dx = &mut dx[from..from + block];
                for (dx, &g) in dx.iter_mut().zip(&g[to..to + block]) {
                    *dx += g;
                }
            }
        });
    }
}

/// Elements at regular steps along some axes, as ONNX's `Slice` and NumPy's `x[start:end:step]`.
///
/// Starts and ends are counted from the end of the axis where negative, and what lies outside of
/// it is cut off.
#[derive(Clone, Debug, Default)]
pub struct Slice {
    /// The first index of every sliced axis.
    pub starts: Vec<i64>,
    /// The index at which each ends, itself excluded.
    pub ends: Vec<i64>,
    /// The sliced axes, counted from the end where negative; empty for the first ones.
    pub axes: Vec<i64>,
    /// The steps, not 0; a negative one goes backwards. Empty for ones.
    pub steps: Vec<i64>,
}

/// Where a slice of one axis begins, its step, and how many indices it has.
#[derive(Clone, Copy)]
struct Range {
    start: i64,
    step: i64,
    count: usize,
}

impl Slice {
    pub(super) fn from_attributes(attributes: &Attributes) -> Result<Box<dyn Op>, OpError> {
        let mut reader = AttributeReader::new(attributes);
        let slice = Self {
            starts: reader.ints("starts")?,
            ends: reader.ints("ends")?,
            axes: reader.ints("axes")?,
            steps: reader.ints("steps")?,
        };
        reader.finish()?;
        Ok(Box::new(slice))
    }

    /// For every axis, its range if it is sliced.
    fn ranges(&self, input: &[usize]) -> Result<Vec<Option<Range>>, OpError> {
        let count = self.starts.len();
        expect_len("ends", &self.ends, count)?;
        let axes = match &self.axes[..] {
            [] if count <= input.len() => (0..count).collect(),
            axes => {
                expect_len("axes", axes, count)?;
                resolve_axes("axes", axes, input.len())?
            }
        };
        if !self.steps.is_empty() {
            expect_len("steps", &self.steps, count)?;
        }
        let mut ranges = vec![None; input.len()];
        for (position, axis) in axes.into_iter().enumerate() {
            let step = *self.steps.get(position).unwrap_or(&1);
            if step == 0 {
                return Err(OpError::Attribute {
                    name: "steps",
                    expected: "made of numbers other than 0".into(),
                    got: format!("{:?}", self.steps),
                });
            }
            let extent = input[axis].min(i64::MAX as usize) as i64;
            let place = |index: i64| match index {
                0.. => index,
                _ => index.saturating_add(extent),
            };
            let (start, end) = (place(self.starts[position]), place(self.ends[position]));
            let (start, distance) = if step > 0 {
                let start = start.clamp(0, extent);
                (start, end.clamp(0, extent) - start)
            } else {
                let start = start.clamp(-1, extent - 1);
                (start, start - end.clamp(-1, extent - 1))
            };
            let count = distance.max(0).unsigned_abs();
            let count = count.div_ceil(step.unsigned_abs());
            ranges[axis] = Some(Range {
                start,
                step,
                count: count as usize,
            });
        }
        Ok(ranges)
    }

    fn target(&self, input: &[usize]) -> Result<Vec<usize>, OpError> {
        let ranges = self.ranges(input)?.into_iter().zip(input);
        let extent = |(range, &extent): (Option<Range>, _)| range.map_or(extent, |r| r.count);
        Ok(ranges.map(extent).collect())
    }

    fn picks(&self, input: &[usize]) -> Result<Vec<Picks>, OpError> {
        let pick = |range: Range| {
            let index = |i: usize| (range.start + i as i64 * range.step) as usize;
            (0..range.count).map(index).collect()
        };
        Ok(self
            .ranges(input)?
            .into_iter()
            .map(|range| range.map(pick))
            .collect())
    }

    fn constant(&self) -> f64 {
        0.0
    }

    fn keeps_rows(&self, rank: usize) -> bool {
        match &self.axes[..] {
            [] => self.starts.is_empty(),
            axes => resolve_axes("axes", axes, rank).is_ok_and(|axes| !axes.contains(&0)),
        }
    }
}

/// The input repeated along its axes.
#[derive(Clone, Debug, Default)]
pub struct Tile {
    /// How often along each axis; empty for once.
    pub repeats: Vec<usize>,
}

impl Tile {
    pub(super) fn from_attributes(attributes: &Attributes) -> Result<Box<dyn Op>, OpError> {
        let mut reader = AttributeReader::new(attributes);
        let repeats = reader.sizes("repeats", 0)?;
        reader.finish()?;
        Ok(Box::new(Self { repeats }))
    }

    fn target(&self, input: &[usize]) -> Result<Vec<usize>, OpError> {
        if self.repeats.is_empty() {
            return Ok(input.to_vec());
        }
        expect_len("repeats", &self.repeats, input.len())?;
        let extents = input.iter().zip(&self.repeats);
        let extents = extents.map(|(&extent, &times)| extent.saturating_mul(times));
        Ok(extents.collect())
    }

    fn picks(&self, input: &[usize]) -> Result<Vec<Picks>, OpError> {
        let picks = input.iter().enumerate().map(|(axis, &extent)| {
            let times = *self.repeats.get(axis).unwrap_or(&1);
            let repeated = || (0..times).flat_map(|_| 0..extent).collect();
            (times != 1).then(repeated)
        });
        Ok(picks.collect())
    }

    fn constant(&self) -> f64 {
        0.0
    }

    fn keeps_rows(&self, _rank: usize) -> bool {
        self.repeats.first().is_none_or(|&times| times == 1)
    }
}

macro_rules! selection_op {
    ($name:ident) => {
        impl<T: OpElement> Kernel<T> for $name {
            fn forward(
                &self,
                _context: &Context,
                inputs: &[View<'_, T>],
                outputs: &mut [ViewMut<'_, T>],
            ) -> Result<(), OpError> {
                let x = inputs[0];
                let selection = Selection::new(x.shape, self.picks(x.shape)?);
                selection.forward(x.data, outputs[0].data, T::from_f64(self.constant()));
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
                    let selection = Selection::new(dx.shape, self.picks(dx.shape)?);
                    selection.pull(g.data, dx.data);
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

            fn infer(&self, inputs: &[&Shape]) -> Result<Vec<Shape>, OpError> {
                expect_inputs(inputs, 1..=1)?;
                Ok(vec![in_memory(self.target(inputs[0])?)?])
            }

            fn per_sample(&self, sampled: &[bool], inputs: &[&Shape]) -> bool {
                sampled[0] && self.keeps_rows(inputs[0].len())
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

selection_op!(Slice);
selection_op!(Pad);
selection_op!(Tile);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::num::Tensor;
    use crate::ops::apply;

    fn on_five(op: &dyn Op) -> Vec<f64> {
        let x = Tensor::new([5], vec![0.0, 1.0, 2.0, 3.0, 4.0]);
        let y = apply(op, &Context::default(), &[x]).expect("it fits");
        y[0].data().to_vec()
    }

    #[test]
    fn a_slice_is_that_of_numpy() {
        let slice = |start, end, step| {
            on_five(&Slice {
                starts: vec![start],
                ends: vec![end],
                steps: vec![step],
                ..Slice::default()
            })
        };
        assert_eq!(slice(1, i64::MAX, 2), [1.0, 3.0]);
        assert_eq!(slice(-2, 100, 1), [3.0, 4.0]);
        assert_eq!(slice(-1, i64::MIN, -2), [4.0, 2.0, 0.0]);
        assert_eq!(slice(3, 0, -1), [3.0, 2.0, 1.0]);
        assert_eq!(slice(i64::MIN, i64::MAX, i64::MAX), [0.0]);
        assert!(slice(3, 3, 1).is_empty());
        assert!(slice(4, 1, 1).is_empty());
    }

    #[test]
    fn padding_is_that_of_numpy() {
        let pad = |mode, begin, end| {
            on_five(&Pad {
                pads: vec![begin, end],
                mode,
                value: 9.0,
                ..Pad::default()
            })
        };
        let middle = [0.0, 1.0, 2.0, 3.0, 4.0];
        let around = |before: &[f64], after: &[f64]| [before, &middle, after].concat();
        assert_eq!(pad(PadMode::Constant, 1, 1), around(&[9.0], &[9.0]));
        assert_eq!(pad(PadMode::Reflect, 2, 1), around(&[2.0, 1.0], &[3.0]));
        assert_eq!(pad(PadMode::Edge, 2, 1), around(&[0.0, 0.0], &[4.0]));
        assert_eq!(pad(PadMode::Wrap, 2, 1), around(&[3.0, 4.0], &[0.0]));
        assert_eq!(pad(PadMode::Constant, -2, -1), [2.0, 3.0]);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let pad = Pad {
            pads: vec![-3, -3],
            ..Pad::default()
        };
        let error = pad.infer(&[&Shape::from([5])]).expect_err("nothing left");
        assert_eq!(
            error.to_string(),
            "pads is -3 and -3, expected to leave axis 0, of 5, an extent of at least 0"
        );
        let tile = Tile {
            repeats: vec![usize::MAX, 2],
        };
        assert!(tile.infer(&[&Shape::from([5, 5])]).is_err());
    }
}

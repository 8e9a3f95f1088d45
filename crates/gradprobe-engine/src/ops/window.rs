//! Sliding windows over one to three spatial axes: what convolution and pooling share.
//!
//! Fewer than three axes are padded in front with axes of extent 1, so that one set of loops
//! serves signals, images and volumes. An output *line* is a run of outputs along the last axis.

use super::OpError;
use super::attributes::{Attribute, AttributeReader, wrong};
use super::shapes::misfit;
use crate::num::Element;
use crate::num::simd::vectorised;
use pulp::{Simd, WithSimd};
use std::ops::Range;

/// How the ends of the spatial axes are padded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Padding {
    /// So much before the first and after the last position: all the begins, then all the ends,
    /// as ONNX orders them. Empty means none.
    Explicit(Vec<usize>),
    /// So that the output has ⌈input/stride⌉ positions; an odd one is added at the end.
    SameUpper,
    /// The same; an odd one is added at the beginning.
    SameLower,
}

impl Default for Padding {
    fn default() -> Self {
        Self::Explicit(Vec::new())
    }
}

impl From<Vec<usize>> for Padding {
    fn from(pads: Vec<usize>) -> Self {
        Self::Explicit(pads)
    }
}

impl Padding {
    /// Reads `auto_pad` and `pads`.
    pub(super) fn read(reader: &mut AttributeReader<'_>) -> Result<Self, OpError> {
        let pads = reader.sizes("pads", 0)?;
        let auto_pad = reader.text("auto_pad", "NOTSET")?;
        let padding = match auto_pad {
            "NOTSET" => return Ok(Self::Explicit(pads)),
            "VALID" => Self::default(),
            "SAME_UPPER" => Self::SameUpper,
            "SAME_LOWER" => Self::SameLower,
            other => {
                let expected = "NOTSET, VALID, SAME_UPPER or SAME_LOWER";
                return Err(wrong("auto_pad", expected, &Attribute::Text(other.into())));
            }
        };
        if pads.iter().any(|&pad| pad > 0) {
            return Err(OpError::Attribute {
                name: "pads",
                expected: format!("none beside auto_pad = {auto_pad}"),
                got: format!("{pads:?}"),
            });
        }
        Ok(padding)
    }
}

/// The attributes of a sliding window, one entry a spatial axis; an empty list stands for its
/// default.
#[derive(Clone, Copy, Debug)]
pub(super) struct WindowAttributes<'a> {
    pub(super) kernel: &'a [usize],
    pub(super) strides: &'a [usize],
    pub(super) padding: &'a Padding,
    pub(super) dilations: &'a [usize],
    /// Round the number of outputs up, not down.
    pub(super) ceil_mode: bool,
}

/// A window along one axis: output o reads the inputs o·stride − begin + k·dilation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Axis {
    pub(super) input: usize,
    pub(super) output: usize,
    pub(super) kernel: usize,
    pub(super) stride: usize,
    pub(super) dilation: usize,
    /// Padding in front; negative where a cropped input is read.
    pub(super) begin: isize,
    /// Padding behind.
    pub(super) end: usize,
}

impl Axis {
    const TRIVIAL: Self = Self {
        input: 1,
        output: 1,
        kernel: 1,
        stride: 1,
        dilation: 1,
        begin: 0,
        end: 0,
    };

    /// Where tap k of output o reads, if that is inside the input.
    fn source(&self, output: usize, tap: usize) -> Option<usize> {
        let at = (output * self.stride + tap * self.dilation) as isize - self.begin;
        usize::try_from(at).ok().filter(|&at| at < self.input)
    }

    /// The outputs whose tap k is inside the input, and where the first of them reads.
    fn outputs_of(&self, tap: usize) -> (Range<usize>, usize) {
        let shift = (tap * self.dilation) as isize - self.begin;
        let before = usize::try_from(-shift).unwrap_or(0);
        let first = before.div_ceil(self.stride);
        let last = self.input as isize - shift;
        let end = usize::try_from(last).map_or(0, |room| room.div_ceil(self.stride));
        let (first, end) = (first, end.min(self.output));
        if first >= end {
            return (0..0, 0);
        }
        let source = (first * self.stride) as isize + shift;
        (first..end, source as usize)
    }

    /// Taps of output o that are inside the input, and inside the input with its padding.
    pub(super) fn tap_counts(&self, output: usize) -> (usize, usize) {
        let mut counts = (0, 0);
        for tap in 0..self.kernel {
            let at = (output * self.stride + tap * self.dilation) as isize - self.begin;
            counts.0 += usize::from(at >= 0 && at < self.input as isize);
            counts.1 += usize::from(at < (self.input + self.end) as isize);
        }
        counts
    }
}

/// Resolves the attributes against the spatial extents of an input.
pub(super) fn resolve(
    attributes: &WindowAttributes<'_>,
    input: &[usize],
) -> Result<Vec<Axis>, OpError> {
    let rank = input.len();
    if !(1..=3).contains(&rank) {
        return Err(misfit("number of spatial axes", "1 to 3", rank));
    }
    let WindowAttributes {
        kernel,
        strides,
        padding,
        dilations,
        ceil_mode,
    } = *attributes;
    let entry = |name, list: &[usize], axis: usize| match list {
        [] => Ok(1),
        list if list.len() == rank && list[axis] > 0 => Ok(list[axis]),
        list => Err(OpError::Attribute {
            name,
            expected: format!("{rank} numbers of at least 1"),
            got: format!("{list:?}"),
        }),
    };
    (0..rank)
        .map(|axis| {
            let extent = input[axis];
            let kernel = entry("kernel_shape", kernel, axis)?;
            let stride = entry("strides", strides, axis)?;
            let dilation = entry("dilations", dilations, axis)?;
            let too_large = || misfit("window", "a size that fits in memory", "a larger one");
            let reach = (kernel - 1)
                .checked_mul(dilation)
                .and_then(|reach| reach.checked_add(1))
                .filter(|&reach| reach <= isize::MAX as usize / 4)
                .ok_or_else(too_large)?;
            let same = |upper: bool| {
                let output = extent.div_ceil(stride);
                let span = output.saturating_sub(1).saturating_mul(stride);
                let total = span.saturating_add(reach).saturating_sub(extent);
                let smaller = total / 2;
                if upper {
                    (smaller, total - smaller)
                } else {
                    (total - smaller, smaller)
                }
            };
            let (begin, end) = match padding {
                Padding::SameUpper => same(true),
                Padding::SameLower => same(false),
                Padding::Explicit(pads) if pads.is_empty() => (0, 0),
                Padding::Explicit(pads) if pads.len() == 2 * rank => {
                    (pads[axis], pads[rank + axis])
                }
                Padding::Explicit(pads) => {
                    return Err(OpError::Attribute {
                        name: "pads",
                        expected: format!("{} numbers, the begins and then the ends", 2 * rank),
                        got: format!("{pads:?}"),
                    });
                }
            };
            let padded = extent
                .checked_add(begin)
                .and_then(|padded| padded.checked_add(end))
                .filter(|&padded| padded <= isize::MAX as usize / 4)
                .ok_or_else(too_large)?;
            let Some(room) = padded.checked_sub(reach) else {
                return Err(OpError::Mismatch {
                    one: format!("window spans {reach} positions along axis {}", axis + 2),
                    other: format!("input has {padded} with its padding"),
                });
            };
            let mut output = room / stride + 1;
            if ceil_mode {
                output = room.div_ceil(stride) + 1;
                // A last window that would begin behind the input reads padding only: PyTorch
                // drops it.
                if (output - 1).saturating_mul(stride) >= extent + begin {
                    output -= 1;
                }
            }
            Ok(Axis {
                input: extent,
                output,
                kernel,
                stride,
                dilation,
                begin: begin as isize,
                end,
            })
        })
        .collect()
}

/// to\[i\] = from\[i·step\].
pub(super) fn copy_steps<T: Element>(to: &mut [T], from: &[T], step: usize) {
    match step {
        1 => to.copy_from_slice(&from[..to.len()]),
        // Pairs are read as vectors; what an iterator steps over is not.
        2 => vectorised(EverySecond { to, from }),
        _ => {
            for (to, &from) in to.iter_mut().zip(from.iter().step_by(step)) {
                *to = from;
            }
        }
    }
}

struct EverySecond<'a, T> {
    to: &'a mut [T],
    from: &'a [T],
}

impl<T: Element> WithSimd for EverySecond<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        let (pairs, rest) = self.from.as_chunks::<2>();
        let whole = self.to.len().min(pairs.len());
        let (to, last) = self.to.split_at_mut(whole);
        for (to, pair) in to.iter_mut().zip(pairs) {
            *to = pair[0];
        }
        // The last one may end the slice.
        for (to, &from) in last.iter_mut().zip(rest) {
            *to = from;
        }
    }
}

/// A window over a volume.
#[derive(Clone, Debug)]
pub(super) struct Window {
    pub(super) axes: [Axis; 3],
    /// For every tap along the last axis: the outputs it reads inside the input for, and where
    /// the first of them reads.
    columns: Vec<(Range<usize>, usize)>,
}

impl Window {
    /// From one to three axes.
    pub(super) fn new(axes: &[Axis]) -> Self {
        let mut all = [Axis::TRIVIAL; 3];
        all[3 - axes.len()..].copy_from_slice(axes);
        let columns = (0..all[2].kernel)
            .map(|tap| all[2].outputs_of(tap))
            .collect();
        Self { axes: all, columns }
    }

    /// The window that carries cotangents back where every stride is 1: over the outputs, with
    /// the kernel's taps reversed.
    pub(super) fn reversed(&self) -> Self {
        let axes = self.axes.map(|axis| Axis {
            input: axis.output,
            output: axis.input,
            begin: ((axis.kernel - 1) * axis.dilation) as isize - axis.begin,
            end: 0,
            ..axis
        });
        Self::new(&axes)
    }

    pub(super) fn input_len(&self) -> usize {
        self.axes.iter().map(|axis| axis.input).product()
    }

    pub(super) fn output_len(&self) -> usize {
        self.axes.iter().map(|axis| axis.output).product()
    }

    pub(super) fn taps(&self) -> usize {
        self.axes.iter().map(|axis| axis.kernel).product()
    }

    /// Outputs of a line.
    pub(super) fn line_len(&self) -> usize {
        self.axes[2].output
    }

    pub(super) fn line_count(&self) -> usize {
        self.axes[0].output * self.axes[1].output
    }

    /// The step between the inputs of neighbouring outputs of a line.
    pub(super) fn step(&self) -> usize {
        self.axes[2].stride
    }

    pub(super) fn unit_strides(&self) -> bool {
        self.axes.iter().all(|axis| axis.stride == 1)
    }

    /// Is every output computed from the input at its own position alone?
    pub(super) fn is_pointwise(&self) -> bool {
        let pointwise =
            |axis: &Axis| axis.kernel == 1 && axis.begin == 0 && axis.input == axis.output;
        self.unit_strides() && self.axes.iter().all(pointwise)
    }

    /// Calls `visit(tap, outputs, source)` for every tap of an output line: the outputs of the
    /// line that the tap reads inside the input for (often all, maybe none), and the index of the
    /// element that the first of them reads; the next reads `step` further on.
    #[inline]
    pub(super) fn line(&self, line: usize, mut visit: impl FnMut(usize, Range<usize>, usize)) {
        let [depth, height, width] = &self.axes;
        let (d, h) = (line / height.output, line % height.output);
        let mut tap = 0;
        for depth_tap in 0..depth.kernel {
            let plane = depth.source(d, depth_tap);
            for height_tap in 0..height.kernel {
                let row = height.source(h, height_tap);
                for (outputs, first) in &self.columns {
                    match (plane, row) {
                        (Some(plane), Some(row)) => {
                            let start = (plane * height.input + row) * width.input;
                            visit(tap, outputs.clone(), start + first);
                        }
                        _ => visit(tap, 0..0, 0),
                    }
                    tap += 1;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis(input: usize, kernel: usize, stride: usize, pads: [usize; 2], ceil: bool) -> usize {
        let attributes = WindowAttributes {
            kernel: &[kernel],
            strides: &[stride],
            padding: &Padding::Explicit(pads.to_vec()),
            dilations: &[],
            ceil_mode: ceil,
        };
        resolve(&attributes, &[input]).expect("it fits")[0].output
    }

    #[test]
    fn output_extents_are_those_of_pytorch() {
        assert_eq!(axis(28, 5, 1, [0, 0], false), 24);
        assert_eq!(axis(28, 3, 2, [1, 1], false), 14);
        assert_eq!(axis(7, 2, 2, [0, 0], false), 3);
        assert_eq!(axis(7, 2, 2, [0, 0], true), 4);
        // The fourth window would begin in the padding behind the input.
        assert_eq!(axis(6, 1, 2, [0, 1], true), 3);
        assert_eq!(axis(5, 3, 2, [1, 1], true), 3);
    }

    #[test]
    fn same_padding_keeps_the_extent() {
        for (padding, begin) in [(Padding::SameUpper, 1), (Padding::SameLower, 2)] {
            let attributes = WindowAttributes {
                kernel: &[4],
                strides: &[1],
                padding: &padding,
                dilations: &[],
                ceil_mode: false,
            };
            let axis = resolve(&attributes, &[9]).expect("it fits")[0];
            assert_eq!((axis.output, axis.begin), (9, begin));
        }
    }

    #[test]
    fn a_window_larger_than_the_input_or_than_memory_is_refused() {
        let refused = |kernel: usize, dilation: usize, pad: usize| {
            let attributes = WindowAttributes {
                kernel: &[kernel],
                strides: &[],
                padding: &Padding::Explicit(vec![pad, pad]),
                dilations: &[dilation],
                ceil_mode: false,
            };
            resolve(&attributes, &[5]).expect_err("refused").to_string()
        };
        assert_eq!(
            refused(4, 3, 1),
            "window spans 10 positions along axis 2, input has 7 with its padding"
        );
        assert!(refused(usize::MAX, usize::MAX, 0).contains("fits in memory"));
        assert!(refused(1, 1, usize::MAX).contains("fits in memory"));
        assert!(refused(0, 1, 0).starts_with("kernel_shape is [0]"));
    }

    #[test]
    fn taps_read_where_they_should() {
        let axes = [Axis {
            input: 5,
            output: 3,
            kernel: 3,
            stride: 2,
            dilation: 1,
            begin: 1,
            end: 1,
        }];
        let window = Window::new(&axes);
        let mut seen = Vec::new();
        window.line(0, |tap, outputs, source| seen.push((tap, outputs, source)));
        assert_eq!(seen, [(0, 1..3, 1), (1, 0..3, 0), (2, 0..2, 1)]);
    }
}

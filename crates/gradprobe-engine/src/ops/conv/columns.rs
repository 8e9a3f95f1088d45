//! Convolution as matrix products: a tile of a few output lines is laid out as columns (im2col)
//! and multiplied while it is in cache. The whole image's columns are never made: they are the
//! image `taps` times over, and memory would set the pace.

use super::{Plan, fill_planes};
use crate::num::Element;
use crate::num::linalg::{Matrix, MatrixMut, for_columns};
use crate::ops::parallel::for_each_part;
use crate::ops::window::copy_steps;
use crate::ops::{Context, OpElement};
use std::ops::Range;

/// Elements of a tile that stay in the second-level cache beside the weight's panels.
const TILE_ELEMENTS: usize = 3 << 15;
/// Elements of a weight that does not stay in the second-level cache beside a tile, and the fewest
/// columns of a tile then.
const LARGE_WEIGHT: usize = 1 << 17;
const LEAST_COLUMNS_FOR_LARGE_WEIGHT: usize = 192;
/// Positions of a tile where the columns are the image itself: three times as many as a product
/// sums up at once, for a weight's gradient.
const POINTWISE_TILE: usize = 3 * 384;
/// Parts that the channels of an input are pulled back in, and the fewest channels of one.
const CHANNEL_PARTS: usize = 4;
const LEAST_CHANNELS: usize = 16;
/// Elements between two runs that may be copied with them.
const MOST_BETWEEN: usize = 16;
/// Channels of a block of a kernel that is turned round.
const TURNED_BLOCK: usize = 8;

/// The products of a convolution that is not depthwise.
pub(super) struct Columns<'a> {
    pub(super) plan: &'a Plan,
    /// Output lines of a tile.
    lines: usize,
}

impl<'a> Columns<'a> {
    pub(super) fn new(plan: &'a Plan, least_columns: usize) -> Self {
        let line = plan.window.line_len().max(1);
        let all = plan.window.line_count().max(1);
        let fitting = TILE_ELEMENTS / (plan.fan_in() * line).max(1);
        // A weight that leaves the cache is read anew for every tile.
        let least = match plan.kernels * plan.fan_in() {
            0..LARGE_WEIGHT => least_columns,
            _ => least_columns.max(LEAST_COLUMNS_FOR_LARGE_WEIGHT),
        };
        let lines = fitting.max(least.div_ceil(line)).clamp(1, all);
        // Tiles of about one size.
        let lines = all.div_ceil(all.div_ceil(lines));
        Self { plan, lines }
    }

    /// The positions of every tile.
    fn tiles(&self) -> impl Iterator<Item = Range<usize>> + use<> {
        let (len, all) = (self.tile_len().max(1), self.plan.window.output_len());
        (0..all)
            .step_by(len)
            .map(move |first| first..(first + len).min(all))
    }

    /// Positions of a tile.
    fn tile_len(&self) -> usize {
        match self.plan.window.is_pointwise() {
            true => POINTWISE_TILE,
            false => self.lines * self.plan.window.line_len(),
        }
    }

    /// Is there one tile, whose product has to be shared if anything is?
    fn is_one_tile(&self) -> bool {
        self.plan.window.output_len() <= self.tile_len()
    }

    /// Calls `work` with the columns of a tile of a group's image: the matrix \[fan_in, positions\]
    /// of what each of these output positions reads.
    fn with_columns<T: OpElement, R>(
        &self,
        x: &[T],
        positions: Range<usize>,
        work: impl FnOnce(Matrix<'_, T>) -> R,
    ) -> R {
        let window = &self.plan.window;
        let (fan_in, count) = (self.plan.fan_in(), positions.len());
        if window.is_pointwise() {
            let x = &x[positions.start..];
            return work(Matrix::with_row_stride(
                x,
                fan_in,
                count,
                window.output_len(),
            ));
        }
        T::with_scratch(fan_in * count, |columns| {
            let line = window.line_len();
            let lines = positions.start / line..positions.end / line;
            self.gather(x, lines, columns, count);
            work(Matrix::new(columns, fan_in, count))
        })
    }

    /// A group's weight: a row for each of its kernels.
    pub(super) fn weight_of<'w, T>(&self, w: &'w [T], group: usize) -> Matrix<'w, T> {
        let (kernels, fan_in) = (self.plan.kernels, self.plan.fan_in());
        Matrix::new(group_of(w, group, kernels * fan_in), kernels, fan_in)
    }

    /// y = W ∗ x for a batch, with the bias if there is one.
    pub(super) fn forward<T: OpElement>(
        &self,
        context: &Context,
        x: &[T],
        w: &[T],
        bias: Option<&[T]>,
        y: &mut [T],
    ) {
        let plan = self.plan;
        self.for_images(
            context,
            (x, plan.input_len()),
            (y, plan.output_len()),
            |x, y| self.forward_together(context, x, w, bias, y),
            |parallel, x, y| {
                if let Some(bias) = bias {
                    fill_planes(y, plan.window.output_len(), bias);
                }
                self.forward_one(parallel, x, w, y, bias.is_some());
            },
        );
    }

    /// ∂x = Wᵀ g for a batch.
    pub(super) fn pull_input<T: OpElement>(
        &self,
        context: &Context,
        w: &[T],
        g: &[T],
        dx: &mut [T],
    ) {
        let plan = self.plan;
        self.for_images(
            context,
            (g, plan.output_len()),
            (dx, plan.input_len()),
            |g, dx| self.pull_input_together(context, w, g, dx),
            |parallel, g, dx| self.pull_input_one(parallel, w, g, dx),
        );
    }

    /// y = W ∗ x for one sample, added to what is there if `accumulate`.
    fn forward_one<T: OpElement>(
        &self,
        parallel: bool,
        x: &[T],
        w: &[T],
        y: &mut [T],
        accumulate: bool,
    ) {
        let plan = self.plan;
        let outputs = plan.window.output_len();
        for group in 0..plan.groups {
            let x = group_of(x, group, plan.channels * plan.window.input_len());
            let w = self.weight_of(w, group);
            let len = plan.kernels * outputs;
            let y = MatrixMut::new(&mut y[group * len..][..len], plan.kernels, outputs);
            if self.is_one_tile() {
                self.with_columns(x, 0..outputs, |columns| {
                    T::matmul_tiled(y, w, columns, accumulate, parallel);
                });
                continue;
            }
            for_columns(y, self.tile_len(), parallel, &|positions, y| {
                self.with_columns(x, positions, |columns| {
                    T::matmul_columns(y, w, columns, accumulate);
                });
            });
        }
    }

    /// ∂W = g ∗ x for one sample, added to what is there if `accumulate`.
    pub(super) fn weight_gradient_of_one<T: OpElement>(
        &self,
        x: &[T],
        g: &[T],
        dw: &mut [T],
        accumulate: bool,
    ) {
        let plan = self.plan;
        let outputs = plan.window.output_len();
        for group in 0..plan.groups {
            let x = group_of(x, group, plan.channels * plan.window.input_len());
            let g = group_of(g, group, plan.kernels * outputs);
            let len = plan.kernels * plan.fan_in();
            let dw = &mut dw[group * len..][..len];
            for positions in self.tiles() {
                let accumulate = accumulate || positions.start > 0;
                let (g, count) = (&g[positions.start..], positions.len());
                let g = Matrix::with_row_stride(g, plan.kernels, count, outputs);
                let dw = MatrixMut::new(dw, plan.kernels, plan.fan_in());
                self.with_columns(x, positions, |columns| {
                    T::matmul(dw, g, columns.transposed(), accumulate);
                });
            }
        }
    }

    /// ∂x = Wᵀ g, tile by tile, each tile's columns added to where they came from; for strides
    /// above 1, where [`forward`](Self::forward) with the kernel turned round does not serve, and
    /// where turning it would cost more.
    fn pull_input_one<T: OpElement>(&self, parallel: bool, w: &[T], g: &[T], dx: &mut [T]) {
        let plan = self.plan;
        let outputs = plan.window.output_len();
        let len = plan.channels * plan.window.input_len();
        for (group, dx) in dx.chunks_exact_mut(len).enumerate() {
            let w = self.weight_of(w, group).transposed();
            let g = group_of(g, group, plan.kernels * outputs);
            let g_of = |positions: &Range<usize>| {
                let (g, count) = (&g[positions.start..], positions.len());
                Matrix::with_row_stride(g, plan.kernels, count, outputs)
            };
            if plan.window.is_pointwise() {
                let dx = MatrixMut::new(dx, plan.channels, outputs);
                if self.is_one_tile() {
                    T::matmul_tiled(dx, w, g_of(&(0..outputs)), false, parallel);
                    continue;
                }
                for_columns(dx, self.tile_len(), parallel, &|positions, dx| {
                    T::matmul_columns(dx, w, g_of(&positions), false);
                });
            } else {
                self.pull_channels(parallel, w, g_of, dx);
            }
        }
    }

    /// The same for a group and a window that is not pointwise: `w` is the group's Wᵀ, and
    /// `g_of(positions)` the cotangents of a tile.
    fn pull_channels<'g, T: OpElement>(
        &self,
        parallel: bool,
        w: Matrix<'_, T>,
        g_of: impl Fn(&Range<usize>) -> Matrix<'g, T> + Sync,
        dx: &mut [T],
    ) {
        let plan = self.plan;
        let (taps, line) = (plan.window.taps(), plan.window.line_len());
        let channels = plan.channels.div_ceil(CHANNEL_PARTS).max(LEAST_CHANNELS);
        for_each_part(
            parallel,
            dx,
            channels * plan.window.input_len(),
            |part, dx| {
                dx.fill(T::zero());
                let first = part * channels;
                let rows = first * taps..(first + channels).min(plan.channels) * taps;
                T::with_scratch(rows.len() * self.tile_len(), |scratch| {
                    for positions in self.tiles() {
                        let count = positions.len();
                        let columns = &mut scratch[..rows.len() * count];
                        let of_part = MatrixMut::new(columns, rows.len(), count);
                        T::matmul(of_part, w.rows(rows.clone()), g_of(&positions), false);
                        let lines = positions.start / line..positions.end / line;
                        self.scatter(columns, lines, dx, count);
                    }
                });
            },
        );
    }

    /// What the taps of the output lines `tile` read, as a matrix \[fan_in, positions\] whose rows
    /// lie `width` apart.
    pub(super) fn gather<T: Element>(
        &self,
        x: &[T],
        tile: Range<usize>,
        columns: &mut [T],
        width: usize,
    ) {
        let window = &self.plan.window;
        let (len, step) = (window.line_len(), window.step());
        // The same for every channel: which runs are read from where, and which are padding.
        let mut runs = Vec::with_capacity(tile.len() * window.taps());
        let mut gaps = Vec::new();
        for (position, line) in tile.enumerate() {
            window.line(line, |tap, outputs, source| {
                let at = tap * width + position * len;
                gaps.push(at..at + outputs.start);
                gaps.push(at + outputs.end..at + len);
                runs.push(Run {
                    to: at + outputs.start..at + outputs.end,
                    source,
                });
            });
        }
        runs.retain(|run| !run.to.is_empty());
        gaps.retain(|gap| !gap.is_empty());
        if step == 1 {
            runs = joined(runs, width);
        }
        // What pads the ends of lines is mostly one element, which is written without a call.
        let (single, gaps): (Vec<_>, Vec<_>) = gaps.into_iter().partition(|gap| gap.len() == 1);
        let planes = x.chunks_exact(window.input_len());
        let blocks = columns.chunks_mut(window.taps() * width);
        for (plane, block) in planes.zip(blocks) {
            for run in &runs {
                copy_steps(&mut block[run.to.clone()], &plane[run.source..], step);
            }
            // After the runs, which may reach across them.
            for gap in &gaps {
                block[gap.clone()].fill(T::zero());
            }
            for gap in &single {
                block[gap.start] = T::zero();
            }
        }
    }

    /// Adds such a matrix to where it was read from.
    pub(super) fn scatter<T: Element>(
        &self,
        columns: &[T],
        tile: Range<usize>,
        dx: &mut [T],
        width: usize,
    ) {
        let window = &self.plan.window;
        let (len, step) = (window.line_len(), window.step());
        // The same for every channel.
        let mut runs = Vec::with_capacity(tile.len() * window.taps());
        for (position, line) in tile.enumerate() {
            window.line(line, |tap, outputs, source| {
                let at = tap * width + position * len;
                if !outputs.is_empty() {
                    runs.push((at + outputs.start, outputs.len(), source));
                }
            });
        }
        let planes = dx.chunks_exact_mut(window.input_len());
        // Of the last there may be less, after the positions of the last row.
        let blocks = columns.chunks(window.taps() * width);
        for (plane, block) in planes.zip(blocks) {
            for &(at, len, source) in &runs {
                let from = &block[at..at + len];
                let to = &mut plane[source..];
                if step == 1 {
                    to.iter_mut().zip(from).for_each(|(to, &from)| *to += from);
                } else {
                    let to = to.iter_mut().step_by(step);
                    to.zip(from).for_each(|(to, &from)| *to += from);
                }
            }
        }
    }
}

/// Where the columns have what lies in a plane from `source` on.
struct Run {
    to: Range<usize>,
    source: usize,
}

/// Runs that go on in the plane where those before them would, as one that copies what lies
/// between them too: lines are short, and each would be a call. Rows lie `width` apart.
fn joined(mut runs: Vec<Run>, width: usize) -> Vec<Run> {
    runs.sort_unstable_by_key(|run| run.to.start);
    runs.dedup_by(|next, run| {
        // Between two rows the columns of another image may lie.
        let goes_on = next.to.start / width == run.to.start / width
            && next.source.checked_sub(run.source) == Some(next.to.start - run.to.start)
            && next.to.start - run.to.end <= MOST_BETWEEN;
        if goes_on {
            run.to.end = next.to.end;
        }
        goes_on
    });
    runs
}

pub(super) fn group_of<T>(data: &[T], group: usize, len: usize) -> &[T] {
    &data[group * len..][..len]
}

/// The kernel with its taps reversed and its channels exchanged within each group:
/// \[groups, kernels, channels, taps\] → \[groups, channels, kernels, taps\].
pub(super) fn turn_weight<T: Element>(plan: &Plan, w: &[T], turned: &mut [T]) {
    let taps = plan.window.taps();
    let (kernels, channels) = (plan.kernels, plan.channels);
    let len = kernels * channels * taps;
    for (w, turned) in w.chunks_exact(len).zip(turned.chunks_exact_mut(len)) {
        // In blocks, for rows that far apart fall on the same lines of the cache.
        for first in (0..channels).step_by(TURNED_BLOCK) {
            let block = first..(first + TURNED_BLOCK).min(channels);
            for kernel in 0..kernels {
                for channel in block.clone() {
                    let w = &w[(kernel * channels + channel) * taps..][..taps];
                    let to = &mut turned[(channel * kernels + kernel) * taps..][..taps];
                    for (to, &from) in to.iter_mut().zip(w.iter().rev()) {
                        *to = from;
                    }
                }
            }
        }
    }
}

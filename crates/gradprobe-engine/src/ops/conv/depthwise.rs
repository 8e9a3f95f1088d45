//! Convolution where every kernel sees one channel: as a matrix product each would be a single row.
//!
//! A plane is laid out with its padding, and cut into *phases* by the remainders of its
//! coordinates modulo the strides. In that layout every tap reads the outputs' positions moved by
//! one offset, so that a whole plane is one long loop, whatever the length of its lines. Some
//! positions between the lines belong to no output: they are computed and left out (for the
//! weight's gradient their cotangent is 0).

use super::Plan;
use crate::num::Element;
use crate::num::simd::vectorised;
use crate::num::sum::dot;
use crate::ops::parallel::for_each_part;
use crate::ops::window::{Axis, Window, copy_steps};
use crate::ops::{Context, OpElement};
use pulp::{Simd, WithSimd};

/// Positions that are computed together: several vectors of any width.
const CHUNK: usize = 64;

/// Kernels that are worth a hand-over to another thread.
const KERNELS_OF_PART: usize = 8;

/// Where everything lies in the layout of a window.
struct Layout {
    axes: [Axis; 3],
    /// The remainders along each axis that taps read, ascending: at most as many as there are taps,
    /// however large the strides are.
    remainders: [Vec<usize>; 3],
    /// Places of a phase along each axis.
    extents: [usize; 3],
    /// Places of a phase.
    volume: usize,
    /// From the first output to behind the last.
    len: usize,
    /// By tap: its phase, and its offset within the phase.
    taps: Vec<(usize, usize)>,
}

impl Layout {
    fn new(window: &Window) -> Self {
        let axes = window.axes;
        let extents =
            axes.map(|axis| axis.output + (axis.kernel - 1) * axis.dilation / axis.stride);
        let place = |at: [usize; 3]| (at[0] * extents[1] + at[1]) * extents[2] + at[2];
        let remainders = axes.map(|axis| {
            let reached = (0..axis.kernel).map(|tap| tap * axis.dilation % axis.stride);
            let mut distinct: Vec<usize> = reached.collect();
            distinct.sort_unstable();
            distinct.dedup();
            distinct
        });
        let mut taps = Vec::with_capacity(window.taps());
        for d in 0..axes[0].kernel {
            for h in 0..axes[1].kernel {
                for w in 0..axes[2].kernel {
                    let taps_of = [d, h, w];
                    let reach = |axis: usize| taps_of[axis] * axes[axis].dilation;
                    let phase = (0..3).fold(0, |phase, axis| {
                        let remainder = reach(axis) % axes[axis].stride;
                        let own = remainders[axis].partition_point(|&other| other < remainder);
                        phase * remainders[axis].len() + own
                    });
                    let offset = [0, 1, 2].map(|axis| reach(axis) / axes[axis].stride);
                    taps.push((phase, place(offset)));
                }
            }
        }
        let last = axes.map(|axis| axis.output.saturating_sub(1));
        Self {
            axes,
            remainders,
            extents,
            volume: extents.iter().product(),
            len: place(last) + 1,
            taps,
        }
    }

    fn phases(&self) -> usize {
        self.remainders.iter().map(Vec::len).product()
    }

    /// Elements that a plane takes, with room for the last chunk.
    fn plane_len(&self) -> usize {
        self.phases() * self.volume + CHUNK
    }

    fn largest_offset(&self) -> usize {
        self.taps
            .iter()
            .map(|&(_, offset)| offset)
            .max()
            .unwrap_or(0)
    }

    /// Calls `visit(start, count, at)` for every run of inputs along the last axis that a phase
    /// holds: `count` inputs from `start` on, a stride apart, which lie side by side from `at` on.
    fn runs(&self, mut visit: impl FnMut(usize, usize, usize)) {
        let [depth, height, width] = &self.axes;
        // The phase of an input along an axis, and its place there.
        let place = |axis: usize, input: usize| {
            let at = usize::try_from(input as isize + self.axes[axis].begin).ok()?;
            let (remainder, place) = (at % self.axes[axis].stride, at / self.axes[axis].stride);
            let phase = self.remainders[axis].binary_search(&remainder).ok()?;
            (place < self.extents[axis]).then_some((phase, place))
        };
        let cropped = usize::try_from(-width.begin).unwrap_or(0);
        let starts: Vec<(usize, usize, usize, usize)> = (cropped..width.input)
            .take(width.stride)
            .filter_map(|start| {
                let (phase, at) = place(2, start)?;
                let inside = (width.input - start).div_ceil(width.stride);
                Some((start, inside.min(self.extents[2] - at), phase, at))
            })
            .collect();
        for d in 0..depth.input {
            let Some((d_phase, d_at)) = place(0, d) else {
                continue;
            };
            for h in 0..height.input {
                let Some((h_phase, h_at)) = place(1, h) else {
                    continue;
                };
                let phase = d_phase * self.remainders[1].len() + h_phase;
                let phase = phase * self.remainders[2].len();
                let line = (d_at * self.extents[1] + h_at) * self.extents[2];
                let row = (d * height.input + h) * width.input;
                for &(start, count, w_phase, at) in &starts {
                    let at = (phase + w_phase) * self.volume + line + at;
                    visit(row + start, count, at);
                }
            }
        }
    }

    /// Lays a plane out; `laid` is zero where there is padding.
    fn lay<T: Element>(&self, x: &[T], laid: &mut [T]) {
        let step = self.axes[2].stride;
        self.runs(|start, count, at| {
            copy_steps(&mut laid[at..at + count], &x[start..], step);
        });
    }

    /// Adds what is laid out to a plane.
    fn add_to<T: Element>(&self, laid: &[T], x: &mut [T]) {
        let step = self.axes[2].stride;
        self.runs(|start, count, at| {
            let from = &laid[at..at + count];
            match step {
                1 => add(x[start..].iter_mut(), from),
                2 => add(x[start..].iter_mut().step_by(2), from),
                _ => add(x[start..].iter_mut().step_by(step), from),
            }
        });
    }

    /// Calls `visit(line of outputs, where it lies)`.
    fn lines(&self, mut visit: impl FnMut(usize, usize)) {
        let [depth, height, _] = &self.axes;
        for d in 0..depth.output {
            for h in 0..height.output {
                let at = (d * self.extents[1] + h) * self.extents[2];
                visit(d * height.output + h, at);
            }
        }
    }
}

#[inline(always)]
fn add<'a, T: Element>(to: impl Iterator<Item = &'a mut T>, from: &[T]) {
    to.zip(from).for_each(|(to, &from)| *to += from);
}

/// out\[p\] = Σ weight · source\[offset + p\] over the taps (weight, offset).
struct Correlate<'a, T> {
    taps: &'a [(T, usize)],
    source: &'a [T],
    out: &'a mut [T],
}

impl<T: Element> WithSimd for Correlate<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        let (chunks, _) = self.out.as_chunks_mut::<CHUNK>();
        for (chunk, out) in chunks.iter_mut().enumerate() {
            let mut sums = [T::zero(); CHUNK];
            for &(weight, offset) in self.taps {
                let source = &self.source[offset + chunk * CHUNK..][..CHUNK];
                for (sum, &x) in sums.iter_mut().zip(source) {
                    *sum += weight * x;
                }
            }
            *out = sums;
        }
    }
}

/// y += W ∗ x for one sample; its kernels are shared among the threads if `parallel`.
pub(super) fn forward<T: OpElement>(parallel: bool, plan: &Plan, x: &[T], w: &[T], y: &mut [T]) {
    let layout = Layout::new(&plan.window);
    let (taps, outputs) = (plan.window.taps(), plan.window.output_len());
    for_each_part(parallel, y, KERNELS_OF_PART * outputs, |part, y| {
        let first = part * KERNELS_OF_PART;
        forward_kernels(plan, &layout, x, (first, &w[first * taps..]), y);
    });
}

/// The same for the kernels from the `first` on, whose weights and outputs are given.
fn forward_kernels<T: OpElement>(
    plan: &Plan,
    layout: &Layout,
    x: &[T],
    (first, w): (usize, &[T]),
    y: &mut [T],
) {
    let (line_len, out_len) = (plan.window.line_len(), layout.len.next_multiple_of(CHUNK));
    T::with_scratch(layout.plane_len() + out_len, |scratch| {
        let (laid, out) = scratch.split_at_mut(layout.plane_len());
        laid.fill(T::zero());
        let kernels = w.chunks_exact(plan.window.taps());
        let planes = y.chunks_exact_mut(plan.window.output_len());
        let mut taps = Vec::with_capacity(layout.taps.len());
        for (kernel, (w, y)) in (first..).zip(kernels.zip(planes)) {
            if kernel % plan.kernels == 0 || kernel == first {
                layout.lay(channel(plan, x, kernel), laid);
            }
            taps.clear();
            let offsets = layout.taps.iter();
            let offsets = offsets.map(|&(phase, offset)| phase * layout.volume + offset);
            taps.extend(w.iter().copied().zip(offsets));
            vectorised(Correlate {
                taps: &taps,
                source: laid,
                out: &mut *out,
            });
            layout.lines(|line, at| {
                let y = &mut y[line * line_len..][..line_len];
                add(y.iter_mut(), &out[at..at + line_len]);
            });
        }
    });
}

/// ∂x += Wᵀ g for one sample; its channels are shared among the threads if `parallel`.
pub(super) fn pull_input<T: OpElement>(
    parallel: bool,
    plan: &Plan,
    w: &[T],
    g: &[T],
    dx: &mut [T],
) {
    let window = &plan.window;
    let layout = Layout::new(window);
    let channels = KERNELS_OF_PART.div_ceil(plan.kernels.max(1));
    for_each_part(parallel, dx, channels * window.input_len(), |part, dx| {
        let first = part * channels * plan.kernels;
        let (w, g) = (
            &w[first * window.taps()..],
            &g[first * window.output_len()..],
        );
        pull_channels(plan, &layout, w, g, dx);
    });
}

/// The same for some channels, from whose first kernel on `w` and `g` are given.
fn pull_channels<T: OpElement>(plan: &Plan, layout: &Layout, w: &[T], g: &[T], dx: &mut [T]) {
    let window = &plan.window;
    // Positions in front of the first cotangent, which offsets lead back to.
    let front = layout.largest_offset();
    let phase_len = layout.volume.next_multiple_of(CHUNK);
    let wide_len = front + phase_len;
    T::with_scratch(
        wide_len + layout.phases() * layout.volume + CHUNK,
        |scratch| {
            let (wide, laid) = scratch.split_at_mut(wide_len);
            wide.fill(T::zero());
            let kernels = w.chunks_exact(window.taps());
            let planes = g.chunks_exact(window.output_len());
            let mut taps = Vec::with_capacity(layout.taps.len());
            let count = dx.len() / window.input_len() * plan.kernels;
            for (kernel, (w, g)) in kernels.zip(planes).enumerate().take(count) {
                spread(layout, g, &mut wide[front..]);
                for phase in 0..layout.phases() {
                    taps.clear();
                    for (&w, &(of_phase, offset)) in w.iter().zip(&layout.taps) {
                        if of_phase == phase {
                            taps.push((w, front - offset));
                        }
                    }
                    // The last chunk may run into the next phase, which is written later.
                    vectorised(Correlate {
                        taps: &taps,
                        source: wide,
                        out: &mut laid[phase * layout.volume..][..phase_len],
                    });
                }
                let at = kernel / plan.kernels * window.input_len();
                layout.add_to(laid, &mut dx[at..at + window.input_len()]);
            }
        },
    );
}

/// ∂W = g ∗ x over the batch, kernel by kernel.
pub(super) fn pull_weight<T: OpElement>(
    context: &Context,
    plan: &Plan,
    x: &[T],
    g: &[T],
    dw: &mut [T],
) {
    let window = &plan.window;
    let layout = Layout::new(window);
    let (input_len, output_len) = (plan.input_len(), plan.output_len());
    let len = window.taps() * KERNELS_OF_PART;
    for_each_part(context.parallel, dw, len, |part, dw| {
        dw.fill(T::zero());
        T::with_scratch(layout.plane_len() + layout.len, |scratch| {
            let (laid, wide) = scratch.split_at_mut(layout.plane_len());
            laid.fill(T::zero());
            wide.fill(T::zero());
            for (kernel, dw) in dw.chunks_exact_mut(window.taps()).enumerate() {
                let kernel = part * KERNELS_OF_PART + kernel;
                for (x, g) in x.chunks_exact(input_len).zip(g.chunks_exact(output_len)) {
                    layout.lay(channel(plan, x, kernel), laid);
                    let g = &g[kernel * window.output_len()..][..window.output_len()];
                    spread(&layout, g, wide);
                    for (dw, &(phase, offset)) in dw.iter_mut().zip(&layout.taps) {
                        let at = phase * layout.volume + offset;
                        *dw += dot(wide, &laid[at..at + layout.len]);
                    }
                }
            }
        });
    });
}

/// Copies the lines of a plane of outputs to where they lie.
fn spread<T: Element>(layout: &Layout, g: &[T], wide: &mut [T]) {
    let len = layout.axes[2].output;
    layout.lines(|line, at| wide[at..at + len].copy_from_slice(&g[line * len..][..len]));
}

/// The channel of a sample that a kernel sees.
fn channel<'a, T>(plan: &Plan, x: &'a [T], kernel: usize) -> &'a [T] {
    let len = plan.window.input_len();
    &x[kernel / plan.kernels * len..][..len]
}

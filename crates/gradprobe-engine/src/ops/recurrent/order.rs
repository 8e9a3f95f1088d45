//! The order in which a pass walks samples and steps.
//!
//! Inside a pass the batch is cut into parts of a few samples. A part is walked over time on one
//! thread, without meeting the others, so its steps lie one after the other in memory:
//! \[part, step, sample of the part, …\]. Where the batch is cut depends on its size alone.

use super::options::Extents;
use rayon::prelude::*;
use std::ops::Range;

/// The fewest samples of a part: a product by the recurrent weight reads all of that weight.
const LEAST_ROWS: usize = 8;
/// Parts of a large batch.
const PARTS: usize = 8;

/// The samples of each part.
pub(super) fn parts(batch: usize) -> impl ExactSizeIterator<Item = Range<usize>> + Clone {
    let rows = batch.div_ceil(PARTS).max(LEAST_ROWS);
    (0..batch.div_ceil(rows)).map(move |part| part * rows..((part + 1) * rows).min(batch))
}

/// Where the rows of one direction lie outside and inside.
#[derive(Clone, Copy, Debug)]
pub(super) struct Order<'a> {
    pub extents: Extents,
    pub direction: usize,
    pub directions: usize,
    pub reversed: bool,
    /// How many steps of each sample there are; empty where all are.
    pub lengths: &'a [usize],
}

impl Order<'_> {
    /// How many steps of a sample there are.
    pub fn length(&self, sample: usize) -> usize {
        let length = self.lengths.get(sample);
        length.copied().unwrap_or(self.extents.time)
    }

    /// Is there such a step of the sample?
    pub fn is_step(&self, sample: usize, step: usize) -> bool {
        step < self.length(sample)
    }

    /// The time of a step; beyond the end of a sample each step keeps its place.
    fn time(&self, sample: usize, step: usize) -> usize {
        match self.length(sample) {
            length if self.reversed && step < length => length - 1 - step,
            _ => step,
        }
    }

    /// The row of x of a sample at a step.
    pub fn input_row(&self, sample: usize, step: usize) -> usize {
        let Extents { time, batch, .. } = self.extents;
        if self.extents.batch_first {
            sample * time + self.time(sample, step)
        } else {
            self.time(sample, step) * batch + sample
        }
    }

    /// The row of Y of a sample at a step.
    pub fn output_row(&self, sample: usize, step: usize) -> usize {
        let Extents { time, batch, .. } = self.extents;
        if self.extents.batch_first {
            (sample * time + self.time(sample, step)) * self.directions + self.direction
        } else {
            (self.time(sample, step) * self.directions + self.direction) * batch + sample
        }
    }

    /// The row of a sample in the states before the first step and after the last.
    pub fn state_row(&self, sample: usize) -> usize {
        if self.extents.batch_first {
            sample * self.directions + self.direction
        } else {
            self.direction * self.extents.batch + sample
        }
    }

    /// Calls `visit(row inside, row of x, is there such a step?)` for every sample and step, in
    /// the order of the inside.
    pub fn for_inputs(&self, mut visit: impl FnMut(usize, usize, bool)) {
        let mut inside = 0;
        for samples in parts(self.extents.batch) {
            for step in 0..self.extents.time {
                for sample in samples.clone() {
                    let is_step = self.is_step(sample, step);
                    visit(inside, self.input_row(sample, step), is_step);
                    inside += 1;
                }
            }
        }
    }
}

/// Row `index` of a matrix with rows of `len` elements.
pub(super) fn row<T>(data: &[T], index: usize, len: usize) -> &[T] {
    &data[index * len..][..len]
}

/// The same to write to.
pub(super) fn row_mut<T>(data: &mut [T], index: usize, len: usize) -> &mut [T] {
    &mut data[index * len..][..len]
}

/// Cuts the first `len` elements off a slice.
pub(super) fn take<'a, T>(rest: &mut &'a mut [T], len: usize) -> &'a mut [T] {
    let (first, after) = std::mem::take(rest).split_at_mut(len);
    *rest = after;
    first
}

/// Works on every part, side by side if `parallel`. Behind a pointer, so that rayon's machinery is
/// compiled once an element type.
pub(super) fn for_parts<P: Send>(parallel: bool, parts: Vec<P>, work: &(dyn Fn(P) + Sync)) {
    if parallel && parts.len() > 1 {
        parts.into_par_iter().for_each(work);
    } else {
        parts.into_iter().for_each(work);
    }
}

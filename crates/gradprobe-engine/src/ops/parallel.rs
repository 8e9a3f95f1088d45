//! Splitting a kernel's rows over the threads.
//!
//! Each function has a generic face, through which sequential work is inlined, and a parallel part
//! behind a pointer: rayon's machinery is compiled once an element type, not once a kernel.

use crate::num::Element;
use rayon::prelude::*;
use std::ops::Range;

/// The fewest pairs of a piece: neighbours share cache lines of what they are computed from.
const LEAST_PAIRS: usize = 16;
/// Elements that are worth a hand-over to another thread (about 10 µs of elementwise work).
const PIECE: usize = 1 << 15;

/// Calls `work(rows, their elements)` for pieces of `data`, each of whole rows of `row_len`
/// elements; in parallel if `parallel`. The pieces depend on the extents alone. `work` must treat
/// every row on its own, for without `parallel` there is one piece.
pub(super) fn for_rows<T: Send>(
    parallel: bool,
    data: &mut [T],
    row_len: usize,
    work: impl Fn(Range<usize>, &mut [T]) + Sync,
) {
    if data.is_empty() {
        return;
    }
    let rows = data.len() / row_len;
    let rows_per_piece = (PIECE / row_len).max(1);
    if !parallel || rows <= rows_per_piece {
        return work(0..rows, data);
    }
    in_parallel(data, rows_per_piece * row_len, &|piece, part: &mut [T]| {
        let first = piece * rows_per_piece;
        work(first..first + part.len() / row_len, part);
    });
}

/// Calls `work(piece, its elements)` for pieces of `len` elements.
fn in_parallel<T: Send>(data: &mut [T], len: usize, work: &(dyn Fn(usize, &mut [T]) + Sync)) {
    data.par_chunks_mut(len)
        .enumerate()
        .for_each(|(piece, part)| work(piece, part));
}

/// The same for kernels that also write two numbers a row: `work(rows, their elements, firsts,
/// seconds)`.
pub(super) fn for_rows_with_pairs<T: Send>(
    parallel: bool,
    data: &mut [T],
    row_len: usize,
    firsts: &mut [T],
    seconds: &mut [T],
    work: impl Fn(Range<usize>, &mut [T], &mut [T], &mut [T]) + Sync,
) {
    if data.is_empty() {
        return;
    }
    let rows = data.len() / row_len;
    let rows_per_piece = (PIECE / row_len).max(1);
    if !parallel || rows <= rows_per_piece {
        return work(0..rows, data, firsts, seconds);
    }
    data.par_chunks_mut(rows_per_piece * row_len)
        .zip(firsts.par_chunks_mut(rows_per_piece))
        .zip(seconds.par_chunks_mut(rows_per_piece))
        .enumerate()
        .for_each(|(piece, ((part, firsts), seconds))| {
            let first = piece * rows_per_piece;
            work(first..first + firsts.len(), part, firsts, seconds);
        });
}

/// Calls `work(positions, firsts, seconds)` for pieces of two slices of one length, where an
/// element of each costs `cost` elements of work.
pub(super) fn for_pairs<T: Send>(
    parallel: bool,
    cost: usize,
    firsts: &mut [T],
    seconds: &mut [T],
    work: impl Fn(Range<usize>, &mut [T], &mut [T]) + Sync,
) {
    let per_piece = (PIECE / cost.max(1)).max(LEAST_PAIRS);
    if !parallel || firsts.len() <= per_piece {
        return work(0..firsts.len(), firsts, seconds);
    }
    firsts
        .par_chunks_mut(per_piece)
        .zip(seconds.par_chunks_mut(per_piece))
        .enumerate()
        .for_each(|(piece, (firsts, seconds))| {
            let first = piece * per_piece;
            work(first..first + firsts.len(), firsts, seconds);
        });
}

/// Calls `work(part, its elements)` for every part of `len` elements, each worth a hand-over of
/// its own; in parallel if `parallel`.
pub(super) fn for_each_part<T: Send>(
    parallel: bool,
    data: &mut [T],
    len: usize,
    work: impl Fn(usize, &mut [T]) + Sync,
) {
    if data.is_empty() {
        return;
    }
    if parallel {
        in_parallel(data, len, &work);
    } else {
        let parts = data.chunks_mut(len).enumerate();
        parts.for_each(|(part, data)| work(part, data));
    }
}

/// The same for parts of two slices: `work(part, firsts, seconds)`.
pub(super) fn for_each_two_parts<T: Send>(
    parallel: bool,
    firsts: (&mut [T], usize),
    seconds: (&mut [T], usize),
    work: impl Fn(usize, &mut [T], &mut [T]) + Sync,
) {
    let ((firsts, first_len), (seconds, second_len)) = (firsts, seconds);
    if firsts.is_empty() || seconds.is_empty() {
        return;
    }
    if parallel {
        firsts
            .par_chunks_mut(first_len)
            .zip(seconds.par_chunks_mut(second_len))
            .enumerate()
            .for_each(|(part, (firsts, seconds))| work(part, firsts, seconds));
    } else {
        let parts = firsts
            .chunks_mut(first_len)
            .zip(seconds.chunks_mut(second_len));
        parts
            .enumerate()
            .for_each(|(part, (firsts, seconds))| work(part, firsts, seconds));
    }
}

/// The largest of what `work` gives for parts of `data` (NaN if it gives one), in parallel if
/// `parallel`. The maximum does not depend on where the parts are cut.
pub(super) fn largest_of_parts<T: Sync>(
    parallel: bool,
    data: &[T],
    work: impl Fn(&[T]) -> f64 + Sync + Send,
) -> f64 {
    if !parallel || data.len() <= PIECE {
        return work(data);
    }
    data.par_chunks(PIECE)
        .map(work)
        .reduce(|| f64::NEG_INFINITY, Element::maximum)
}

//! Splitting a kernel's rows over the threads.

use rayon::prelude::*;
use std::ops::Range;

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
    data.par_chunks_mut(rows_per_piece * row_len)
        .enumerate()
        .for_each(|(piece, part)| {
            let first = piece * rows_per_piece;
            work(first..first + part.len() / row_len, part);
        });
}

//! How a product is cut: into tiles that threads share, and each tile into blocks that faer's
//! kernels compute at full speed.

use super::MatrixElement;
use crate::num::threads::join;
use faer::linalg::matmul::matmul as faer_matmul;
use faer::reborrow::{IntoConst, ReborrowMut};
use faer::traits::ComplexField;
use faer::{Accum, MatMut, MatRef, Par};
use std::ops::Range;

/// Tiles begin at multiples of this many columns: faer's kernels compute 12, 24, 48 or 96 at once,
/// by type and instruction set, and what is left over at a lower speed.
const COLUMN_UNIT: usize = 192;
/// Tiles begin at multiples of this many rows.
const ROW_UNIT: usize = 64;

/// Bytes of a row, or of a column, of the blocks that a tile is computed in where faer's kernels are
/// those of AVX2. A block of less than 256 rows and columns of f32 is what its own blocking takes as
/// one piece; a larger one it cuts at multiples of 16, which are none of the 24 (12 of f64) that a
/// kernel computes at once: up to a fifth of the time went into what is left over.
const BLOCK_BYTES: usize = 960;

/// The rows of the right factor that such a block multiplies at a time: more than that faer cuts too.
const BLOCK_DEPTH: usize = 384;
/// Columns of a result that make a copy of the left factor worth while.
const WORTH_A_COPY: usize = 24;

/// Cuts the result along its longer side into about `count` tiles.
pub(super) fn tiles<T: MatrixElement + ComplexField>(
    dst: MatMut<'_, T>,
    lhs: MatRef<'_, T>,
    rhs: MatRef<'_, T>,
    mode: Accum,
    count: usize,
    parallel: bool,
) {
    if count < 2 {
        return tile(dst, lhs, rhs, mode);
    }
    let width = |extent: usize, unit: usize| {
        let units = (extent as f64 / (count * unit) as f64).round() as usize;
        units.max(1) * unit
    };
    let (rows, columns) = (dst.nrows(), dst.ncols());
    if columns >= rows {
        let width = width(columns, COLUMN_UNIT);
        split_columns(dst, 0..columns, width, parallel, &|columns, dst| {
            tile(dst, lhs, rhs.subcols(columns.start, columns.len()), mode);
        });
    } else {
        let (dst, width) = (dst.transpose_mut(), width(rows, ROW_UNIT));
        split_columns(dst, 0..rows, width, parallel, &|rows, dst| {
            let lhs = lhs.subrows(rows.start, rows.len());
            tile(dst.transpose_mut(), lhs, rhs, mode);
        });
    }
}

/// Calls `work(columns, their place)` for every `width` columns, side by side if `parallel`.
pub(super) fn split_columns<T: Send>(
    dst: MatMut<'_, T>,
    columns: Range<usize>,
    width: usize,
    parallel: bool,
    work: &(impl Fn(Range<usize>, MatMut<'_, T>) + Sync),
) {
    let count = columns.len().div_ceil(width);
    if count < 2 {
        return work(columns, dst);
    }
    let half = count.div_ceil(2) * width;
    let middle = columns.start + half;
    let (before, after) = dst.split_at_col_mut(half);
    join(
        parallel,
        || split_columns(before, columns.start..middle, width, parallel, work),
        || split_columns(after, middle..columns.end, width, parallel, work),
    );
}

/// One tile, block by block. faer packs the right factor of a row-major product and reads the left
/// one where it lies, down its columns if it is transposed: from as many pages as the block is
/// deep. A copy costs a small part of what that does.
fn tile<T: MatrixElement + ComplexField>(
    mut dst: MatMut<'_, T>,
    lhs: MatRef<'_, T>,
    rhs: MatRef<'_, T>,
    mode: Accum,
) {
    let (rows, inner, columns) = (lhs.nrows(), lhs.ncols(), rhs.ncols());
    if rows == 0 || columns == 0 {
        return;
    }
    if inner == 0 {
        if mode == Accum::Replace {
            dst.fill(<T as ComplexField>::zero_impl());
        }
        return;
    }
    let (most, deepest) = match has_avx2_alone() {
        true => (BLOCK_BYTES / size_of::<T>(), BLOCK_DEPTH),
        false => (usize::MAX, usize::MAX),
    };
    let apart = lhs.col_stride().unsigned_abs();
    let copies = lhs.row_stride() == 1 && apart > rows.min(most) && columns >= WORTH_A_COPY;
    let room = match copies {
        true => rows.min(most) * inner.min(deepest),
        false => 0,
    };
    T::with_scratch(room, |copy| {
        for first in (0..inner).step_by(deepest) {
            let depth = deepest.min(inner - first);
            let mode = if first > 0 { Accum::Add } else { mode };
            for row in (0..rows).step_by(most) {
                let height = most.min(rows - row);
                let mut lhs = lhs.submatrix(row, first, height, depth);
                if copies {
                    let copy = &mut copy[..height * depth];
                    let mut copy = MatMut::from_column_major_slice_mut(copy, height, depth);
                    copy.copy_from(lhs);
                    lhs = copy.into_const();
                }
                for column in (0..columns).step_by(most) {
                    let width = most.min(columns - column);
                    faer_matmul(
                        dst.rb_mut().submatrix_mut(row, column, height, width),
                        mode,
                        lhs,
                        rhs.submatrix(first, column, depth, width),
                        T::one(),
                        Par::Seq,
                    );
                }
            }
        }
    });
}

fn has_avx2_alone() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        is_x86_feature_detected!("avx2") && !is_x86_feature_detected!("avx512f")
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        false
    }
}

//! Products of a few rows by one matrix that many steps share: it is laid out once.
//!
//! A general product lays out its right factor at every call, which for the eight rows of a
//! recurrent step costs as much as the multiplication.

use super::linalg::{Matrix, MatrixMut};
use super::scratch::Scratch;
use super::simd::vectorised;
use pulp::bytemuck::cast_slice;
use pulp::{Simd, WithSimd};
use std::marker::PhantomData;

/// Vectors in a row of a panel. By four rows of the left factor they are twelve sums, which keep
/// two multipliers of a latency of five busy, and leave four of sixteen registers.
const VECTORS: usize = 3;
/// Rows of a panel that a first-level cache holds beside what multiplies them.
const BLOCK: usize = 256;

/// A right factor in panels of columns: for every row of a panel, its columns side by side, the
/// last panel filled up with zeros.
#[derive(Clone, Copy, Debug)]
pub struct Packed<'a, T> {
    data: &'a [T],
    rows: usize,
    columns: usize,
}

/// An element that such products are defined for.
pub trait PackedElement: Scratch {
    /// Columns of a panel on this machine.
    fn panel() -> usize;

    /// dst ← (dst if `accumulate`, else 0) + lhs · rhs, on the caller's thread. Each element is
    /// summed over the rows of `rhs` in their order, so it does not depend on what other rows
    /// `lhs` has.
    ///
    /// # Panics
    /// If the extents do not fit, or `lhs` is a transpose.
    fn matmul_packed(
        dst: MatrixMut<'_, Self>,
        lhs: Matrix<'_, Self>,
        rhs: Packed<'_, Self>,
        accumulate: bool,
    );
}

/// Elements that a matrix takes in panels.
pub fn packed_len<T: PackedElement>(rows: usize, columns: usize) -> usize {
    rows * columns.next_multiple_of(T::panel())
}

impl<'a, T: PackedElement> Packed<'a, T> {
    /// Lays a matrix out in `to`, which has [`packed_len`] elements.
    ///
    /// # Panics
    /// If it has not.
    pub fn new(matrix: Matrix<'_, T>, to: &'a mut [T]) -> Self {
        let (rows, columns) = matrix.extents();
        assert_eq!(
            to.len(),
            packed_len::<T>(rows, columns),
            "room for the panels"
        );
        let most = T::panel();
        for (number, panel) in to.chunks_exact_mut((rows * most).max(1)).enumerate() {
            let first = number * most;
            let width = most.min(columns - first);
            if let Some(transpose) = matrix.row_major_transpose() {
                // Columns lie whole: each is read once, from its begin to its end.
                panel.fill(T::zero());
                for column in 0..width {
                    let from = transpose.row(first + column);
                    for (row, &x) in panel.chunks_exact_mut(most).zip(from) {
                        row[column] = x;
                    }
                }
                continue;
            }
            for (row, panel) in panel.chunks_exact_mut(most).enumerate() {
                let (used, filling) = panel.split_at_mut(width);
                used.copy_from_slice(&matrix.row(row)[first..first + width]);
                filling.fill(T::zero());
            }
        }
        Self::of_panels(to, rows, columns)
    }

    /// The matrix of these extents that [`new`](Self::new) laid out before.
    ///
    /// # Panics
    /// If its panels take another number of elements.
    pub fn of_panels(panels: &'a [T], rows: usize, columns: usize) -> Self {
        assert_eq!(
            panels.len(),
            packed_len::<T>(rows, columns),
            "the panels of it"
        );
        Self {
            data: panels,
            rows,
            columns,
        }
    }
}

/// Asks how many numbers a vector has.
struct Lanes<T>(PhantomData<T>);

/// A product over all panels.
struct Product<'a, T> {
    dst: MatrixMut<'a, T>,
    lhs: Matrix<'a, T>,
    rhs: Packed<'a, T>,
    accumulate: bool,
}

/// A part of a panel: its rows from `begin` to `end`, its columns from `column` on, and whether
/// their sums are added to what is there.
#[derive(Clone, Copy)]
struct Block<'a, T> {
    panel: &'a [T],
    begin: usize,
    end: usize,
    column: usize,
    accumulate: bool,
}

impl<T: Copy + std::ops::Add<Output = T>> Product<'_, T> {
    /// Writes the sums of one row of the result, or adds them to it.
    #[inline(always)]
    fn store(&mut self, row: usize, block: Block<'_, T>, sums: &[T]) {
        let to = &mut self.dst.row_mut(row)[block.column..];
        let pairs = to.iter_mut().zip(sums);
        if block.accumulate {
            pairs.for_each(|(to, &sum)| *to = *to + sum);
        } else {
            pairs.for_each(|(to, &sum)| *to = sum);
        }
    }
}

macro_rules! packed {
    ($type:ty, $lanes:ident, $splat:ident, $fma:ident, $as_simd:ident) => {
        impl WithSimd for Lanes<$type> {
            type Output = usize;

            #[inline(always)]
            fn with_simd<S: Simd>(self, _simd: S) -> usize {
                S::$lanes
            }
        }

        impl Product<'_, $type> {
            /// The rows from `first` on, `ROWS` at a time, by a block. Returns the first row that
            /// is left.
            #[inline(always)]
            fn rows<const ROWS: usize, S: Simd>(
                &mut self,
                simd: S,
                mut first: usize,
                block: Block<'_, $type>,
            ) -> usize {
                let (vectors, _) = S::$as_simd(block.panel);
                let (steps, _) = vectors.as_chunks::<VECTORS>();
                let inner = block.end - block.begin;
                while first + ROWS <= self.lhs.extents().0 {
                    let lines: [&[$type]; ROWS] = std::array::from_fn(|row| {
                        &self.lhs.row(first + row)[block.begin..block.end]
                    });
                    let mut sums = [[simd.$splat(0.0); VECTORS]; ROWS];
                    for (k, step) in steps.iter().enumerate().take(inner) {
                        for row in 0..ROWS {
                            let factor = simd.$splat(lines[row][k]);
                            for vector in 0..VECTORS {
                                let sum = sums[row][vector];
                                sums[row][vector] = simd.$fma(factor, step[vector], sum);
                            }
                        }
                    }
                    for (row, sums) in sums.iter().enumerate() {
                        self.store(first + row, block, cast_slice(sums));
                    }
                    first += ROWS;
                }
                first
            }
        }

        impl WithSimd for Product<'_, $type> {
            type Output = ();

            #[inline(always)]
            fn with_simd<S: Simd>(mut self, simd: S) {
                let (_, inner) = self.lhs.extents();
                let width = VECTORS * S::$lanes;
                let whole = self.rhs.data.chunks_exact((inner * width).max(1));
                for (number, panel) in whole.enumerate() {
                    for begin in (0..inner).step_by(BLOCK) {
                        let end = inner.min(begin + BLOCK);
                        let block = Block {
                            panel: &panel[begin * width..end * width],
                            begin,
                            end,
                            column: number * width,
                            accumulate: self.accumulate || begin > 0,
                        };
                        let mut row = 0;
                        if S::REGISTER_COUNT >= 32 {
                            row = self.rows::<8, S>(simd, row, block);
                        }
                        row = self.rows::<4, S>(simd, row, block);
                        row = self.rows::<2, S>(simd, row, block);
                        self.rows::<1, S>(simd, row, block);
                    }
                }
            }
        }

        impl PackedElement for $type {
            fn panel() -> usize {
                VECTORS * vectorised(Lanes::<$type>(PhantomData))
            }

            fn matmul_packed(
                mut dst: MatrixMut<'_, Self>,
                lhs: Matrix<'_, Self>,
                rhs: Packed<'_, Self>,
                accumulate: bool,
            ) {
                let (rows, inner) = lhs.extents();
                assert_eq!(inner, rhs.rows, "inner extents differ");
                assert_eq!(dst.extents(), (rows, rhs.columns), "outer extents differ");
                if inner == 0 && !accumulate {
                    (0..rows).for_each(|row| dst.row_mut(row).fill(0.0));
                }
                vectorised(Product {
                    dst,
                    lhs,
                    rhs,
                    accumulate,
                });
            }
        }
    };
}

packed!(f32, F32_LANES, splat_f32s, mul_add_f32s, as_simd_f32s);
packed!(f64, F64_LANES, splat_f64s, mul_add_f64s, as_simd_f64s);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::num::linalg::MatrixElement;

    #[test]
    fn a_packed_product_is_the_product() {
        let numbers = |len: usize| -> Vec<f64> {
            (0..len).map(|i| ((i * 7919) % 109) as f64 - 54.0).collect()
        };
        for (rows, inner, columns) in [
            (8, 16, 64),
            (13, 7, 70),
            (15, 600, 50),
            (1, 1, 1),
            (3, 0, 5),
        ] {
            let (a, b) = (numbers(rows * inner), numbers(inner * columns));
            let a = Matrix::new(&a, rows, inner);
            for transposed in [false, true] {
                let b = match transposed {
                    false => Matrix::new(&b, inner, columns),
                    true => Matrix::new(&b, columns, inner).transposed(),
                };
                let mut panels = vec![f64::NAN; packed_len::<f64>(inner, columns)];
                let packed = Packed::new(b, &mut panels);
                for accumulate in [false, true] {
                    let (mut got, mut expected) =
                        (vec![1.0; rows * columns], vec![1.0; rows * columns]);
                    let dst = MatrixMut::new(&mut got, rows, columns);
                    f64::matmul_packed(dst, a, packed, accumulate);
                    let dst = MatrixMut::new(&mut expected, rows, columns);
                    f64::matmul(dst, a, b, accumulate);
                    // Integers: every order of summation is exact.
                    assert_eq!(got, expected);
                }
            }
        }
    }
}

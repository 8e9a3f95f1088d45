//! Products of a few rows by one matrix that many steps share: it is laid out once.
//!
//! A general product lays out its right factor at every call, which for the eight rows of a
//! recurrent step costs as much as the multiplication.

use super::linalg::{Matrix, MatrixMut};
use super::scratch::Scratch;
use super::simd::vectorised;
use pulp::bytemuck::cast_slice;
use pulp::{Simd, WithSimd};

/// Columns of a panel: whole vectors of any width.
const PANEL: usize = 32;

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
    /// dst ← (dst if `accumulate`, else 0) + lhs · rhs, on the caller's thread. Each element is one
    /// chain of fused multiplications and additions over the rows of `rhs`, so it does not depend
    /// on what other rows `lhs` has.
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
pub fn packed_len(rows: usize, columns: usize) -> usize {
    rows * columns.next_multiple_of(PANEL)
}

impl<'a, T: Scratch> Packed<'a, T> {
    /// Lays a matrix out in `to`, which has [`packed_len`] elements.
    ///
    /// # Panics
    /// If it has not.
    pub fn new(matrix: Matrix<'_, T>, to: &'a mut [T]) -> Self {
        let (rows, columns) = matrix.extents();
        assert_eq!(to.len(), packed_len(rows, columns), "room for the panels");
        for (number, panel) in to.chunks_exact_mut((rows * PANEL).max(1)).enumerate() {
            let first = number * PANEL;
            let width = PANEL.min(columns - first);
            if let Some(transpose) = matrix.row_major_transpose() {
                // Columns lie whole: each is read once, from its begin to its end.
                panel.fill(T::zero());
                for column in 0..width {
                    let from = transpose.row(first + column);
                    for (row, &x) in panel.chunks_exact_mut(PANEL).zip(from) {
                        row[column] = x;
                    }
                }
                continue;
            }
            for (row, panel) in panel.chunks_exact_mut(PANEL).enumerate() {
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
        assert_eq!(panels.len(), packed_len(rows, columns), "the panels of it");
        Self {
            data: panels,
            rows,
            columns,
        }
    }
}

/// A product over all panels.
struct Product<'a, T> {
    dst: MatrixMut<'a, T>,
    lhs: Matrix<'a, T>,
    rhs: Packed<'a, T>,
    accumulate: bool,
}

impl<T: Copy> Product<'_, T> {
    /// Writes a block of sums, one row of `PANEL` a row of the result.
    #[inline(always)]
    fn store(&mut self, row: usize, panel: usize, sums: &[T])
    where
        T: std::ops::Add<Output = T>,
    {
        let first = panel * PANEL;
        let width = PANEL.min(self.rhs.columns - first);
        let to = &mut self.dst.row_mut(row)[first..first + width];
        if self.accumulate {
            to.iter_mut()
                .zip(sums)
                .for_each(|(to, &sum)| *to = *to + sum);
        } else {
            to.copy_from_slice(&sums[..width]);
        }
    }
}

macro_rules! packed {
    ($type:ty, $lanes:ident, $splat:ident, $fma:ident, $as_simd:ident) => {
        impl Product<'_, $type> {
            /// The rows from `first` on, `ROWS` at a time, by one panel of `VECTORS` vectors.
            /// Returns the first row that is left.
            #[inline(always)]
            fn rows<const ROWS: usize, const VECTORS: usize, S: Simd>(
                &mut self,
                simd: S,
                mut first: usize,
                number: usize,
            ) -> usize {
                let (count, inner) = self.lhs.extents();
                let panel = &self.rhs.data[number * inner * PANEL..][..inner * PANEL];
                while first + ROWS <= count {
                    let lines: [&[$type]; ROWS] =
                        std::array::from_fn(|row| &self.lhs.row(first + row)[..inner]);
                    let mut sums = [[simd.$splat(0.0); VECTORS]; ROWS];
                    let (vectors, _) = S::$as_simd(panel);
                    let (steps, _) = vectors.as_chunks::<VECTORS>();
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
                        self.store(first + row, number, cast_slice(sums));
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
                for number in 0..self.rhs.columns.div_ceil(PANEL) {
                    // As many sums as half of the registers hold, or a little more.
                    let mut row = 0;
                    match (PANEL / S::$lanes, S::REGISTER_COUNT) {
                        (2, _) => {
                            row = self.rows::<8, 2, S>(simd, row, number);
                            row = self.rows::<4, 2, S>(simd, row, number);
                            row = self.rows::<2, 2, S>(simd, row, number);
                            self.rows::<1, 2, S>(simd, row, number);
                        }
                        (4, 32) => {
                            row = self.rows::<4, 4, S>(simd, row, number);
                            row = self.rows::<2, 4, S>(simd, row, number);
                            self.rows::<1, 4, S>(simd, row, number);
                        }
                        (4, _) => {
                            row = self.rows::<3, 4, S>(simd, row, number);
                            row = self.rows::<2, 4, S>(simd, row, number);
                            self.rows::<1, 4, S>(simd, row, number);
                        }
                        (8, _) => {
                            self.rows::<1, 8, S>(simd, row, number);
                        }
                        (16, _) => {
                            self.rows::<1, 16, S>(simd, row, number);
                        }
                        _ => {
                            self.rows::<1, PANEL, S>(simd, row, number);
                        }
                    }
                }
            }
        }

        impl PackedElement for $type {
            fn matmul_packed(
                dst: MatrixMut<'_, Self>,
                lhs: Matrix<'_, Self>,
                rhs: Packed<'_, Self>,
                accumulate: bool,
            ) {
                let (rows, inner) = lhs.extents();
                assert_eq!(inner, rhs.rows, "inner extents differ");
                assert_eq!(dst.extents(), (rows, rhs.columns), "outer extents differ");
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
        for (rows, inner, columns) in [(8, 16, 64), (13, 7, 70), (1, 1, 1), (3, 0, 5)] {
            let (a, b) = (numbers(rows * inner), numbers(inner * columns));
            let a = Matrix::new(&a, rows, inner);
            for transposed in [false, true] {
                let b = match transposed {
                    false => Matrix::new(&b, inner, columns),
                    true => Matrix::new(&b, columns, inner).transposed(),
                };
                let mut panels = vec![f64::NAN; packed_len(inner, columns)];
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

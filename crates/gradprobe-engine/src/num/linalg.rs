//! Dense linear algebra. Only this file and those below it name faer.

mod spectral;
mod tiles;

pub use spectral::{SpectralElement, ThinSvd, orthonormal, thin_svd};

use super::scratch::Scratch;
use faer::{Accum, MatMut, MatRef};
use std::ops::Range;
use tiles::{split_columns, tiles};

/// An element that matrix products are defined for.
pub trait MatrixElement: Scratch {
    /// dst ← (dst if `accumulate`, else 0) + lhs · rhs.
    fn matmul(
        dst: MatrixMut<'_, Self>,
        lhs: Matrix<'_, Self>,
        rhs: Matrix<'_, Self>,
        accumulate: bool,
    );

    /// The same for some columns of a result.
    fn matmul_columns(
        dst: ColumnsMut<'_, Self>,
        lhs: Matrix<'_, Self>,
        rhs: Matrix<'_, Self>,
        accumulate: bool,
    );

    /// The same, a large product split into tiles of the result, which run in parallel if
    /// `parallel`. The tiles depend on the extents alone, so the result is the same bits for
    /// either choice and any number of threads (but may differ from [`matmul`](Self::matmul)'s in
    /// the last bits).
    fn matmul_tiled(
        dst: MatrixMut<'_, Self>,
        lhs: Matrix<'_, Self>,
        rhs: Matrix<'_, Self>,
        accumulate: bool,
        parallel: bool,
    );
}

/// Multiplications that a tile is worth: 2^24 take about 0.3 ms on one core, so that handing a
/// tile to another thread and packing its operands anew cost little beside it.
const TILE_PRODUCTS: usize = 1 << 24;
/// The most tiles of a product.
const MOST_TILES: usize = 16;

/// A borrowed matrix with strides in elements.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a, T> {
    data: &'a [T],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a, T> Matrix<'a, T> {
    /// A row-major matrix over a slice.
    ///
    /// # Panics
    /// If the slice does not hold exactly `rows · columns` elements.
    pub fn new(data: &'a [T], rows: usize, columns: usize) -> Self {
        assert_eq!(
            data.len(),
            rows * columns,
            "the slice does not hold the matrix"
        );
        Self {
            data,
            rows,
            columns,
            row_stride: columns,
            column_stride: 1,
        }
    }

    /// A matrix whose rows lie `row_stride` apart.
    ///
    /// # Panics
    /// If the slice ends before the last row.
    pub fn with_row_stride(data: &'a [T], rows: usize, columns: usize, row_stride: usize) -> Self {
        assert!(row_stride >= columns, "rows must not overlap");
        assert!(
            rows == 0 || data.len() >= (rows - 1) * row_stride + columns,
            "the slice is too short"
        );
        Self {
            data,
            rows,
            columns,
            row_stride,
            column_stride: 1,
        }
    }

    /// Rows and columns.
    pub(super) fn extents(&self) -> (usize, usize) {
        (self.rows, self.columns)
    }

    /// A row of a row-major matrix.
    pub(super) fn row(&self, row: usize) -> &'a [T] {
        assert_eq!(self.column_stride, 1, "the rows lie whole");
        &self.data[row * self.row_stride..][..self.columns]
    }

    /// Some of its rows.
    pub fn rows(self, rows: Range<usize>) -> Self
    where
        T: Copy,
    {
        assert!(rows.end <= self.rows, "the matrix has these rows");
        Self {
            data: &self.data[rows.start * self.row_stride..],
            rows: rows.len(),
            ..self
        }
    }

    /// The transpose of a matrix whose columns lie whole.
    pub(super) fn row_major_transpose(self) -> Option<Self>
    where
        T: Copy,
    {
        (self.column_stride != 1).then(|| self.transposed())
    }

    /// The transpose, without a copy.
    pub fn transposed(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }
}

/// A borrowed matrix to write to, row-major.
#[derive(Debug)]
pub struct MatrixMut<'a, T> {
    data: &'a mut [T],
    rows: usize,
    columns: usize,
    row_stride: usize,
}

impl<'a, T> MatrixMut<'a, T> {
    /// A row-major matrix over a slice.
    ///
    /// # Panics
    /// If the slice does not hold exactly `rows · columns` elements.
    pub fn new(data: &'a mut [T], rows: usize, columns: usize) -> Self {
        assert_eq!(
            data.len(),
            rows * columns,
            "the slice does not hold the matrix"
        );
        Self {
            data,
            rows,
            columns,
            row_stride: columns,
        }
    }

    /// A matrix whose rows lie `row_stride` apart; what lies between them is left alone.
    ///
    /// # Panics
    /// If the slice ends before the last row.
    pub fn with_row_stride(
        data: &'a mut [T],
        rows: usize,
        columns: usize,
        row_stride: usize,
    ) -> Self {
        assert!(row_stride >= columns, "rows must not overlap");
        assert!(
            rows == 0 || data.len() >= (rows - 1) * row_stride + columns,
            "the slice is too short"
        );
        Self {
            data,
            rows,
            columns,
            row_stride,
        }
    }
}

impl<T> MatrixMut<'_, T> {
    /// Rows and columns.
    pub(super) fn extents(&self) -> (usize, usize) {
        (self.rows, self.columns)
    }

    /// A row to write to.
    pub(super) fn row_mut(&mut self, row: usize) -> &mut [T] {
        &mut self.data[row * self.row_stride..][..self.columns]
    }
}

/// Some columns of a matrix, to write to beside others who write to others.
#[derive(Debug)]
pub struct ColumnsMut<'a, T>(MatMut<'a, T>);

/// Calls `work(columns, their place)` for every so many columns of `dst`, side by side if
/// `parallel`.
pub fn for_columns<T: Send>(
    dst: MatrixMut<'_, T>,
    width: usize,
    parallel: bool,
    work: &(impl Fn(Range<usize>, ColumnsMut<'_, T>) + Sync),
) {
    let (columns, dst) = (0..dst.columns, view_mut(dst));
    split_columns(dst, columns, width.max(1), parallel, &|columns, dst| {
        work(columns, ColumnsMut(dst));
    });
}

fn view<'a, T>(matrix: &Matrix<'a, T>) -> MatRef<'a, T> {
    if matrix.column_stride == 1 {
        MatRef::from_row_major_slice_with_stride(
            matrix.data,
            matrix.rows,
            matrix.columns,
            matrix.row_stride,
        )
    } else {
        MatRef::from_column_major_slice_with_stride(
            matrix.data,
            matrix.rows,
            matrix.columns,
            matrix.column_stride,
        )
    }
}

fn view_mut<'a, T>(matrix: MatrixMut<'a, T>) -> MatMut<'a, T> {
    // Not `from_row_major_slice_with_stride_mut`: in faer 0.24.4 it exchanges the two strides and
    // so writes past the end of the slice.
    MatMut::from_column_major_slice_with_stride_mut(
        matrix.data,
        matrix.columns,
        matrix.rows,
        matrix.row_stride,
    )
    .transpose_mut()
}

fn check<T>(dst: (usize, usize), lhs: &Matrix<'_, T>, rhs: &Matrix<'_, T>) {
    assert_eq!(lhs.columns, rhs.rows, "inner extents differ");
    assert_eq!(dst, (lhs.rows, rhs.columns), "outer extents differ");
}

fn mode(accumulate: bool) -> Accum {
    if accumulate {
        Accum::Add
    } else {
        Accum::Replace
    }
}

macro_rules! matrix_element {
    ($type:ty) => {
        impl MatrixElement for $type {
            fn matmul(
                dst: MatrixMut<'_, Self>,
                lhs: Matrix<'_, Self>,
                rhs: Matrix<'_, Self>,
                accumulate: bool,
            ) {
                Self::matmul_columns(ColumnsMut(view_mut(dst)), lhs, rhs, accumulate);
            }

            fn matmul_columns(
                dst: ColumnsMut<'_, Self>,
                lhs: Matrix<'_, Self>,
                rhs: Matrix<'_, Self>,
                accumulate: bool,
            ) {
                check(dst.0.shape(), &lhs, &rhs);
                // Sequential on purpose: the callers split the work at places that depend on the
                // shapes alone, so that a result is the same bits for any number of threads.
                tiles(dst.0, view(&lhs), view(&rhs), mode(accumulate), 1, false);
            }

            fn matmul_tiled(
                dst: MatrixMut<'_, Self>,
                lhs: Matrix<'_, Self>,
                rhs: Matrix<'_, Self>,
                accumulate: bool,
                parallel: bool,
            ) {
                check(dst.extents(), &lhs, &rhs);
                let products = dst
                    .rows
                    .saturating_mul(dst.columns)
                    .saturating_mul(lhs.columns);
                let count = (products / TILE_PRODUCTS).clamp(1, MOST_TILES);
                let mode = mode(accumulate);
                tiles(view_mut(dst), view(&lhs), view(&rhs), mode, count, parallel);
            }
        }
    };
}

matrix_element!(f32);
matrix_element!(f64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_of_transposes_and_strided_parts_are_right() {
        let a = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        let mut aat = [0.0f64; 4];
        f64::matmul(
            MatrixMut::new(&mut aat, 2, 2),
            Matrix::new(&a, 2, 3),
            Matrix::new(&a, 2, 3).transposed(),
            false,
        );
        assert_eq!(aat, [14.0, 32.0, 32.0, 77.0]);
        let mut part = [10.0f64; 6];
        f64::matmul(
            MatrixMut::with_row_stride(&mut part, 2, 2, 3),
            Matrix::with_row_stride(&a, 2, 2, 3),
            Matrix::new(&[1.0, 0.0, 0.0, 1.0], 2, 2),
            true,
        );
        assert_eq!(part, [11.0, 12.0, 10.0, 14.0, 15.0, 10.0]);
    }

    #[test]
    fn a_product_over_nothing_is_zero() {
        let mut out = [5.0f64; 6];
        let product = |out: &mut [f64], accumulate: bool| {
            let (lhs, rhs) = (Matrix::new(&[], 2, 0), Matrix::new(&[], 0, 3));
            f64::matmul(MatrixMut::new(out, 2, 3), lhs, rhs, accumulate);
        };
        product(&mut out, true);
        assert_eq!(out, [5.0; 6]);
        product(&mut out, false);
        assert_eq!(out, [0.0; 6]);
    }

    #[test]
    fn a_product_of_many_blocks_is_the_sums_that_define_it() {
        let (rows, inner, columns) = (300, 900, 250);
        let a: Vec<f64> = (0..rows * inner).map(|i| (i % 1009) as f64).collect();
        let b: Vec<f64> = (0..inner * columns).map(|i| (i % 997) as f64).collect();
        for (left, right) in [(false, false), (true, false), (false, true), (true, true)] {
            let lhs = match left {
                false => Matrix::new(&a, rows, inner),
                true => Matrix::new(&a, inner, rows).transposed(),
            };
            let rhs = match right {
                false => Matrix::new(&b, inner, columns),
                true => Matrix::new(&b, columns, inner).transposed(),
            };
            let at = |matrix: &Matrix<'_, f64>, row: usize, column: usize| {
                matrix.data[row * matrix.row_stride + column * matrix.column_stride]
            };
            for accumulate in [false, true] {
                let mut out = vec![3.0; rows * columns];
                let dst = MatrixMut::new(&mut out, rows, columns);
                f64::matmul(dst, lhs, rhs, accumulate);
                for (index, &got) in out.iter().enumerate() {
                    let (row, column) = (index / columns, index % columns);
                    let sum: f64 = (0..inner)
                        .map(|k| at(&lhs, row, k) * at(&rhs, k, column))
                        .sum();
                    // Integers below 2^53: every order of summation is exact.
                    let expected = if accumulate { 3.0 + sum } else { sum };
                    assert_eq!(got, expected, "{left} {right} at {row}, {column}");
                }
            }
        }
    }

    #[test]
    fn a_tiled_product_is_the_product_and_the_same_bits_in_parallel() {
        let numbers = |len: usize| -> Vec<f64> {
            (0..len)
                .map(|i| ((i * 7919) % 1009) as f64 - 504.0)
                .collect()
        };
        for (rows, inner, columns) in [(300, 1024, 700), (1000, 2000, 70), (3, 5, 7)] {
            let (a, b) = (numbers(rows * inner), numbers(inner * columns));
            let product = |parallel: Option<bool>| {
                let mut out = vec![1.0; rows * columns];
                let dst = MatrixMut::new(&mut out, rows, columns);
                let (a, b) = (
                    Matrix::new(&a, rows, inner),
                    Matrix::new(&b, inner, columns),
                );
                match parallel {
                    None => f64::matmul(dst, a, b, true),
                    Some(parallel) => f64::matmul_tiled(dst, a, b, true, parallel),
                }
                out
            };
            // The entries are integers below 2^53: every order of summation is exact.
            assert_eq!(product(None), product(Some(false)));
            assert_eq!(product(Some(true)), product(Some(false)));
        }
    }
}

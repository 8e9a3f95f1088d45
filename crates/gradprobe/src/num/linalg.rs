//! Dense linear algebra. The only file that names faer.

use super::element::Element;
use faer::linalg::matmul::matmul as faer_matmul;
use faer::{Accum, MatMut, MatRef, Par};

/// An element that matrix products are defined for.
pub trait MatrixElement: Element {
    /// dst ← (dst if `accumulate`, else 0) + lhs · rhs.
    fn matmul(
        dst: MatrixMut<'_, Self>,
        lhs: Matrix<'_, Self>,
        rhs: Matrix<'_, Self>,
        accumulate: bool,
    );
}

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

macro_rules! matrix_element {
    ($type:ty) => {
        impl MatrixElement for $type {
            fn matmul(
                dst: MatrixMut<'_, Self>,
                lhs: Matrix<'_, Self>,
                rhs: Matrix<'_, Self>,
                accumulate: bool,
            ) {
                assert_eq!(lhs.columns, rhs.rows, "inner extents differ");
                assert_eq!(
                    (dst.rows, dst.columns),
                    (lhs.rows, rhs.columns),
                    "outer extents differ"
                );
                if dst.rows == 0 || dst.columns == 0 {
                    return;
                }
                // faer 0.24's own constructor for row-major slices swaps the strides.
                let target = MatMut::from_column_major_slice_with_stride_mut(
                    dst.data,
                    dst.columns,
                    dst.rows,
                    dst.row_stride,
                )
                .transpose_mut();
                let mode = if accumulate {
                    Accum::Add
                } else {
                    Accum::Replace
                };
                // Sequential on purpose: the callers split the work at places that depend on the
                // shapes alone, so that a result is the same bits for any number of threads.
                faer_matmul(target, mode, view(&lhs), view(&rhs), 1.0, Par::Seq);
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
}

//! Singular values and orthonormal bases.

use super::{Matrix, MatrixElement, view};
use faer::diag::Diag;
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::matmul::matmul as faer_matmul;
use faer::linalg::svd::{ComputeSvdVectors, svd, svd_scratch};
use faer::{Accum, Mat, MatRef, Par, Side};

/// An element that singular values are computed in.
pub trait SpectralElement: MatrixElement {
    /// The singular values of a matrix, largest first: min(rows, columns) of them, each to about
    /// the largest times the type's precision. `None` where an element is not finite or the
    /// iteration does not converge.
    fn singular_values(matrix: Matrix<'_, Self>) -> Option<Vec<f64>>;
}

fn is_finite<T: MatrixElement>(data: MatRef<'_, T>) -> bool {
    let finite = |row: usize| (0..data.ncols()).all(|column| data[(row, column)].is_finite());
    (0..data.nrows()).all(finite)
}

/// By the singular value decomposition.
fn decomposed(data: MatRef<'_, f64>) -> Option<Vec<f64>> {
    let (rows, columns) = data.shape();
    let none = ComputeSvdVectors::No;
    let scratch = svd_scratch::<f64>(rows, columns, none, none, Par::Seq, Default::default());
    let mut memory = MemBuffer::new(scratch);
    let mut values = Diag::<f64>::zeros(rows.min(columns));
    let stack = MemStack::new(&mut memory);
    let parameters = Default::default();
    svd(
        data,
        values.as_mut(),
        None,
        None,
        Par::Seq,
        stack,
        parameters,
    )
    .ok()?;
    Some(values.column_vector().iter().copied().collect())
}

/// As roots of the eigenvalues of A·Aᵀ or Aᵀ·A, whichever is smaller: half the work. In f64 the
/// squares cost what lies below 1e-8 of the largest value, which is less than an f32 matrix's own
/// rounding, 6e-8.
fn by_squares(data: MatRef<'_, f32>) -> Option<Vec<f64>> {
    let (rows, columns) = data.shape();
    let data = if rows > columns {
        data.transpose()
    } else {
        data
    };
    let wide = Mat::from_fn(data.nrows(), data.ncols(), |row, column| {
        f64::from(data[(row, column)])
    });
    let mut squares = Mat::<f64>::zeros(data.nrows(), data.nrows());
    faer_matmul(
        squares.as_mut(),
        Accum::Replace,
        wide.as_ref(),
        wide.transpose(),
        1.0,
        Par::Seq,
    );
    let ascending = squares.self_adjoint_eigenvalues(Side::Lower).ok()?;
    let roots = ascending.iter().rev().map(|square| square.max(0.0).sqrt());
    Some(roots.collect())
}

impl SpectralElement for f32 {
    fn singular_values(matrix: Matrix<'_, Self>) -> Option<Vec<f64>> {
        let data = view(&matrix);
        if is_finite(data) {
            by_squares(data)
        } else {
            None
        }
    }
}

impl SpectralElement for f64 {
    fn singular_values(matrix: Matrix<'_, Self>) -> Option<Vec<f64>> {
        let data = view(&matrix);
        if is_finite(data) {
            decomposed(data)
        } else {
            None
        }
    }
}

/// The thin singular value decomposition A = U Σ Vᵀ of a small matrix.
#[derive(Clone, Debug)]
pub struct ThinSvd {
    /// Row i is the i-th left singular vector.
    pub left: Vec<Vec<f64>>,
    /// Largest first.
    pub values: Vec<f64>,
    /// Row i is the i-th right singular vector.
    pub right: Vec<Vec<f64>>,
}

/// The thin singular value decomposition of a matrix; `None` where an element is not finite or the
/// iteration does not converge.
pub fn thin_svd(matrix: Matrix<'_, f64>) -> Option<ThinSvd> {
    let svd = view(&matrix).thin_svd().ok()?;
    let columns = |of: faer::MatRef<'_, f64>| -> Vec<Vec<f64>> {
        let column = |index| of.col(index).iter().copied().collect();
        (0..of.ncols()).map(column).collect()
    };
    let values: Vec<f64> = svd.S().column_vector().iter().copied().collect();
    let finite = values.iter().all(|value| value.is_finite());
    finite.then(|| ThinSvd {
        left: columns(svd.U()),
        values,
        right: columns(svd.V()),
    })
}

/// Puts an orthonormal basis of what some vectors span in their place (rows of one length, at most
/// that many), by Householder reflections.
pub fn orthonormal(vectors: &mut Vec<f64>, length: usize) {
    if vectors.is_empty() {
        return;
    }
    let matrix = MatRef::from_column_major_slice(vectors, length, vectors.len() / length);
    let basis = matrix.qr().compute_thin_Q();
    vectors.clear();
    for column in basis.col_iter() {
        vectors.extend(column.iter());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::num::Stream;

    /// A rotation of the plane of two coordinates, applied to the rows of a matrix.
    fn rotate(rows: &mut [Vec<f64>], one: usize, other: usize, angle: f64) {
        let (sin, cos) = (libm::sin(angle), libm::cos(angle));
        for row in rows {
            let (a, b) = (row[one], row[other]);
            row[one] = cos * a - sin * b;
            row[other] = sin * a + cos * b;
        }
    }

    #[test]
    fn rotations_leave_the_singular_values_alone() {
        let known = [7.0, 3.0, 1.0, 1e-3, 0.0];
        let mut rows: Vec<Vec<f64>> = (0..known.len())
            .map(|i| {
                (0..8)
                    .map(|j| if i == j { known[i] } else { 0.0 })
                    .collect()
            })
            .collect();
        for (step, (one, other)) in [(0, 5), (1, 6), (2, 7), (0, 1), (3, 4)].iter().enumerate() {
            rotate(&mut rows, *one, *other, 0.4 + step as f64);
        }
        let data = rows.concat();
        let matrix = Matrix::new(&data, 5, 8);
        for matrix in [matrix, matrix.transposed()] {
            let values = f64::singular_values(matrix).expect("finite");
            for (value, known) in values.iter().zip(known) {
                assert!((value - known).abs() < 1e-14, "{value} {known}");
            }
        }
        let single: Vec<f32> = data.iter().map(|&x| x as f32).collect();
        let values = f32::singular_values(Matrix::new(&single, 5, 8)).expect("finite");
        for (value, known) in values.iter().zip(known) {
            assert!((value - known).abs() < 2e-6, "{value} {known}");
        }
        let svd = thin_svd(matrix).expect("finite");
        for (i, row) in rows.iter().enumerate() {
            for (j, entry) in row.iter().enumerate() {
                let product = |k: usize| svd.left[k][i] * svd.values[k] * svd.right[k][j];
                let sum: f64 = (0..5).map(product).sum();
                assert!((sum - entry).abs() < 1e-13);
            }
        }
    }

    #[test]
    fn what_is_not_finite_has_none() {
        assert_eq!(
            f64::singular_values(Matrix::new(&[1.0, f64::NAN], 1, 2)),
            None
        );
        assert_eq!(
            f32::singular_values(Matrix::new(&[1.0, f32::INFINITY], 2, 1)),
            None
        );
        assert_eq!(f64::singular_values(Matrix::new(&[], 0, 3)), Some(vec![]));
    }

    #[test]
    fn a_basis_is_orthonormal_and_spans_the_vectors() {
        let mut stream = Stream::new(1, "basis");
        let vectors: Vec<f64> = (0..4 * 20).map(|_| stream.normal()).collect();
        let mut basis = vectors.clone();
        orthonormal(&mut basis, 20);
        let rows = || basis.chunks_exact(20);
        let dot = |a: &[f64], b: &[f64]| -> f64 { a.iter().zip(b).map(|(a, b)| a * b).sum() };
        for (i, one) in rows().enumerate() {
            for (j, other) in rows().enumerate() {
                let expected = f64::from(u8::from(i == j));
                assert!((dot(one, other) - expected).abs() < 1e-14);
            }
        }
        for vector in vectors.chunks_exact(20) {
            let inside: f64 = rows().map(|b| dot(b, vector).powi(2)).sum();
            assert!((inside - dot(vector, vector)).abs() < 1e-12);
        }
    }
}

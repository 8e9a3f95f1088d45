//! The largest singular values of a linear map that is only known by what it does to vectors.
//!
//! Block Golub–Kahan–Lanczos bidiagonalisation in its Rayleigh–Ritz form, with the whole basis kept
//! and orthogonalised (Golub and Kahan, SIAM J. Numer. Anal. 2, 1965; Golub, Luk and Overton, ACM
//! TOMS 7, 1981): the space that is searched grows by the residuals of what is found in it, and
//! those residuals bound the error.

use super::Stream;
use super::linalg::{Matrix, MatrixElement, MatrixMut, ThinSvd, orthonormal, thin_svd};

/// Vectors beyond those asked for that the search starts with: a cluster at the edge converges
/// faster then.
const OVERSAMPLING: usize = 6;

/// A linear map known by its products.
pub trait LinearMap {
    /// Why a product fails.
    type Error;
    /// Length of what it makes.
    fn rows(&self) -> usize;
    /// Length of what it takes.
    fn columns(&self) -> usize;
    /// A·v for each of some vectors, one after the other.
    ///
    /// # Errors
    /// If it cannot be computed.
    fn apply(&mut self, vectors: &[f64]) -> Result<Vec<f64>, Self::Error>;
    /// Aᵀ·u for each of some vectors, one after the other.
    ///
    /// # Errors
    /// If it cannot be computed.
    fn apply_transpose(&mut self, vectors: &[f64]) -> Result<Vec<f64>, Self::Error>;
}

/// What is searched for, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct Search {
    /// How many singular values.
    pub count: usize,
    /// What a residual may be, as a share of the largest value.
    pub tolerance: f64,
    /// How often the space is grown.
    pub most_steps: usize,
    /// Use the threads that it is called on?
    pub parallel: bool,
}

/// What a search found.
#[derive(Clone, Debug, PartialEq)]
pub struct Largest {
    /// Singular values, largest first.
    pub values: Vec<f64>,
    /// Of each: a singular value lies within this of it (‖Aᵀu − σv‖, with A·v = σu).
    pub residuals: Vec<f64>,
    /// Did every residual reach the tolerance?
    pub converged: bool,
    /// An estimate of the sum of the squares of all singular values, ‖A‖²_F, from the random
    /// vectors that the search starts with.
    pub sum_of_squares: f64,
}

/// The largest singular values, each residual within the tolerance, or what is found when the space
/// was grown often enough. `None` where a product is not finite.
///
/// # Errors
/// Those of the map.
pub fn largest_singular_values<M: LinearMap>(
    map: &mut M,
    search: &Search,
    stream: &mut Stream,
) -> Result<Option<Largest>, M::Error> {
    let (rows, columns) = (map.rows(), map.columns());
    let count = search.count.min(rows).min(columns);
    let start = (count + OVERSAMPLING).min(columns);
    let mut fresh: Vec<f64> = (0..start * columns).map(|_| stream.normal()).collect();
    orthonormal(&mut fresh, columns);
    let mut basis = Basis::new(columns, search.parallel);
    let mut images = Basis::new(rows, search.parallel);
    // A · basis = images · projected, by columns.
    let mut projected: Vec<Vec<f64>> = Vec::new();
    let mut sum_of_squares = 0.0;
    for step in 1.. {
        let products = map.apply(&fresh)?;
        if step == 1 {
            sum_of_squares = dot(&products, &products) * columns as f64 / start.max(1) as f64;
        }
        basis.vectors.append(&mut fresh);
        projected.extend(images.span(products));
        let Some(svd) = decompose(&projected, images.count()) else {
            return Ok(None);
        };
        // Of a map of lower rank all that it has are found at once; the others are zero.
        let found = count.min(svd.values.len());
        let left = images.combine(&svd.left[..found]);
        let right = basis.combine(&svd.right[..found]);
        let mut residuals = map.apply_transpose(&left)?;
        for ((residual, right), &value) in residuals
            .chunks_exact_mut(columns)
            .zip(right.chunks_exact(columns))
            .zip(&svd.values)
        {
            add(residual, -value, right);
        }
        let sizes: Vec<f64> = residuals.chunks_exact(columns).map(norm).collect();
        if !sizes.iter().all(|size| size.is_finite()) {
            return Ok(None);
        }
        let enough = search.tolerance * svd.values.first().copied().unwrap_or_default();
        let exhausted = basis.count() >= columns;
        let converged = exhausted || sizes.iter().all(|&size| size <= enough);
        if converged || step >= search.most_steps {
            let (mut values, mut residuals) = (svd.values, sizes);
            values.resize(count, 0.0);
            residuals.resize(count, 0.0);
            return Ok(Some(Largest {
                values,
                residuals,
                converged,
                sum_of_squares,
            }));
        }
        let open = residuals.chunks_exact(columns).zip(sizes);
        let open = open.filter(|&(_, size)| size > enough);
        let open = open.take(columns - basis.count());
        fresh = open.flat_map(|(residual, _)| residual).copied().collect();
        basis.complete(&mut fresh);
    }
    Ok(None)
}

/// The singular value decomposition of a matrix given by its columns, of `rows` rows.
fn decompose(columns: &[Vec<f64>], rows: usize) -> Option<ThinSvd> {
    let entry = |column: &Vec<f64>, row: usize| column.get(row).copied().unwrap_or_default();
    let transposed: Vec<f64> = columns
        .iter()
        .flat_map(|column| (0..rows).map(|row| entry(column, row)))
        .collect();
    thin_svd(Matrix::new(&transposed, columns.len(), rows).transposed())
}

/// Orthonormal vectors of one length, one after the other.
struct Basis {
    vectors: Vec<f64>,
    length: usize,
    parallel: bool,
}

impl Basis {
    fn new(length: usize, parallel: bool) -> Self {
        Self {
            vectors: Vec::new(),
            length,
            parallel,
        }
    }

    fn count(&self) -> usize {
        self.vectors.len() / self.length.max(1)
    }

    /// Makes vectors orthonormal, and orthogonal to the basis.
    fn complete(&self, vectors: &mut Vec<f64>) {
        // Twice is enough (Giraud et al., Numer. Math. 101, 2005).
        for _ in 0..2 {
            self.remove_from(vectors);
            orthonormal(vectors, self.length);
        }
    }

    /// Takes the vectors' components in the basis out of them, and returns those: a row for each
    /// vector.
    fn remove_from(&self, vectors: &mut [f64]) -> Vec<f64> {
        let (count, length) = (self.count(), self.length);
        let many = vectors.len() / length.max(1);
        let basis = Matrix::new(&self.vectors, count, length);
        let mut components = vec![0.0; many * count];
        f64::matmul_tiled(
            MatrixMut::new(&mut components, many, count),
            Matrix::new(vectors, many, length),
            basis.transposed(),
            false,
            self.parallel,
        );
        let negative: Vec<f64> = components.iter().map(|component| -component).collect();
        f64::matmul_tiled(
            MatrixMut::new(vectors, many, length),
            Matrix::new(&negative, many, count),
            basis,
            true,
            self.parallel,
        );
        components
    }

    /// Grows the basis until it spans the vectors too; returns their components.
    fn span(&mut self, mut vectors: Vec<f64>) -> Vec<Vec<f64>> {
        let length = self.length;
        let whole: Vec<f64> = vectors.chunks_exact(length).map(norm).collect();
        let known = self.count();
        let first = self.remove_from(&mut vectors);
        let mut all = Vec::with_capacity(whole.len());
        for (index, (vector, whole)) in vectors.chunks_exact_mut(length).zip(whole).enumerate() {
            let mut components = first[index * known..(index + 1) * known].to_vec();
            components.resize(self.count(), 0.0);
            // What joined the basis since is taken out too, and the rounding of the first time.
            for _ in 0..2 {
                let again = self.remove_from(vector);
                components.iter_mut().zip(again).for_each(|(a, b)| *a += b);
            }
            let size = norm(vector);
            // Less is rounding: such a direction would be an arbitrary one.
            if size > 1e-14 * whole || size.is_nan() {
                self.vectors.extend(vector.iter().map(|x| x / size));
                components.push(size);
            }
            all.push(components);
        }
        all
    }

    /// Sums of the basis' vectors, one for each row of weights.
    fn combine(&self, weights: &[Vec<f64>]) -> Vec<f64> {
        let (count, length) = (self.count(), self.length);
        let all: Vec<f64> = weights.iter().flatten().copied().collect();
        let mut sums = vec![0.0; weights.len() * length];
        f64::matmul_tiled(
            MatrixMut::new(&mut sums, weights.len(), length),
            Matrix::new(&all, weights.len(), count),
            Matrix::new(&self.vectors, count, length),
            false,
            self.parallel,
        );
        sums
    }
}

fn dot(one: &[f64], other: &[f64]) -> f64 {
    one.iter().zip(other).map(|(a, b)| a * b).sum()
}

fn norm(vector: &[f64]) -> f64 {
    dot(vector, vector).sqrt()
}

fn add(to: &mut [f64], factor: f64, vector: &[f64]) {
    to.iter_mut()
        .zip(vector)
        .for_each(|(to, &x)| *to += factor * x);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::num::linalg::SpectralElement;
    use std::convert::Infallible;

    struct Dense {
        rows: Vec<Vec<f64>>,
    }

    impl LinearMap for Dense {
        type Error = Infallible;
        fn rows(&self) -> usize {
            self.rows.len()
        }
        fn columns(&self) -> usize {
            self.rows[0].len()
        }
        fn apply(&mut self, vectors: &[f64]) -> Result<Vec<f64>, Infallible> {
            let vectors = vectors.chunks_exact(self.columns());
            let product = |v| self.rows.iter().map(move |row| dot(row, v));
            Ok(vectors.flat_map(product).collect())
        }
        fn apply_transpose(&mut self, vectors: &[f64]) -> Result<Vec<f64>, Infallible> {
            let vectors = vectors.chunks_exact(self.rows());
            let product = |u: &[f64]| {
                let mut out = vec![0.0; self.columns()];
                for (row, &u) in self.rows.iter().zip(u) {
                    add(&mut out, u, row);
                }
                out
            };
            Ok(vectors.flat_map(product).collect())
        }
    }

    fn search(count: usize, tolerance: f64, most_steps: usize) -> Search {
        Search {
            count,
            tolerance,
            most_steps,
            parallel: false,
        }
    }

    fn gaussian(rows: usize, columns: usize) -> Dense {
        let mut stream = Stream::new(7, "matrix");
        let row = |_| (0..columns).map(|_| stream.normal()).collect();
        Dense {
            rows: (0..rows).map(row).collect(),
        }
    }

    #[test]
    fn the_edge_of_a_gaussian_matrix_is_found_without_the_matrix() {
        // Its singular values crowd at the edge, which is the hard case.
        for (rows, columns) in [(150, 400), (400, 150)] {
            let mut map = gaussian(rows, columns);
            let data = map.rows.concat();
            let exact = f64::singular_values(Matrix::new(&data, rows, columns)).expect("finite");
            let mut stream = Stream::new(0, "start");
            let Ok(found) = largest_singular_values(&mut map, &search(10, 1e-6, 60), &mut stream);
            let found = found.expect("finite");
            assert!(found.converged);
            let squares: f64 = exact.iter().map(|x| x * x).sum();
            assert!((found.sum_of_squares / squares - 1.0).abs() < 0.1);
            for ((value, residual), exact) in found.values.iter().zip(&found.residuals).zip(&exact)
            {
                assert!((value - exact).abs() <= 1e-10 * exact, "{value} {exact}");
                assert!((value - exact).abs() <= residual.max(1e-10));
            }
        }
    }

    #[test]
    fn an_unfinished_search_says_so_and_its_residuals_bound_the_error() {
        let mut map = gaussian(150, 400);
        let data = map.rows.concat();
        let exact = f64::singular_values(Matrix::new(&data, 150, 400)).expect("finite");
        let mut stream = Stream::new(0, "start");
        let Ok(found) = largest_singular_values(&mut map, &search(4, 1e-12, 2), &mut stream);
        let found = found.expect("finite");
        assert!(!found.converged);
        for (value, residual) in found.values.iter().zip(&found.residuals) {
            assert!(exact.iter().any(|exact| (value - exact).abs() <= *residual));
        }
    }

    #[test]
    fn a_space_that_is_exhausted_is_exact() {
        let mut map = gaussian(5, 9);
        let data = map.rows.concat();
        let exact = f64::singular_values(Matrix::new(&data, 5, 9)).expect("finite");
        let mut stream = Stream::new(0, "start");
        let Ok(found) = largest_singular_values(&mut map, &search(50, 1e-9, 100), &mut stream);
        let found = found.expect("finite");
        assert_eq!(found.values.len(), 5);
        for (value, exact) in found.values.iter().zip(&exact) {
            assert!((value - exact).abs() < 1e-12 * exact, "{value} {exact}");
        }
        assert!(found.converged);
    }

    #[test]
    fn a_map_of_low_rank_has_zeros() {
        for rank in [0, 2] {
            let mut map = gaussian(30, 40);
            for row in rank..30 {
                map.rows[row] = vec![0.0; 40];
            }
            let exact = f64::singular_values(Matrix::new(&map.rows.concat(), 30, 40));
            let mut stream = Stream::new(0, "start");
            let Ok(found) = largest_singular_values(&mut map, &search(5, 1e-6, 60), &mut stream);
            let (found, exact) = (found.expect("finite"), exact.expect("finite"));
            assert!(found.converged);
            assert_eq!(found.values.len(), 5);
            assert_eq!(found.values.iter().filter(|&&x| x > 0.0).count(), rank);
            for (value, exact) in found.values.iter().zip(&exact) {
                assert!((value - exact).abs() <= 1e-12 * exact, "{value} {exact}");
            }
        }
    }

    #[test]
    fn what_is_not_finite_has_none() {
        let mut map = gaussian(5, 9);
        map.rows[2][3] = f64::NAN;
        let mut stream = Stream::new(0, "start");
        assert_eq!(
            largest_singular_values(&mut map, &search(2, 1e-9, 10), &mut stream),
            Ok(None)
        );
    }
}

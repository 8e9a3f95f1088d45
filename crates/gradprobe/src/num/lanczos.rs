//! The largest singular values of a linear map that is only known by what it does to vectors.
//!
//! Block Golub–Kahan–Lanczos bidiagonalisation in its Rayleigh–Ritz form, with the whole basis kept
//! and orthogonalised (Golub and Kahan, SIAM J. Numer. Anal. 2, 1965; Golub, Luk and Overton, ACM
//! TOMS 7, 1981): the space that is searched grows by the residuals of what is found in it, and
//! those residuals bound the error.

use super::Stream;
use super::linalg::{Matrix, ThinSvd, orthonormal, thin_svd};

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
    /// A·v for each of some vectors.
    ///
    /// # Errors
    /// If it cannot be computed.
    fn apply(&mut self, vectors: &[Vec<f64>]) -> Result<Vec<Vec<f64>>, Self::Error>;
    /// Aᵀ·u for each of some vectors.
    ///
    /// # Errors
    /// If it cannot be computed.
    fn apply_transpose(&mut self, vectors: &[Vec<f64>]) -> Result<Vec<Vec<f64>>, Self::Error>;
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

/// The `count` largest singular values, each residual at most `tolerance` times the largest value,
/// or what is found when the search space was grown `most_steps` times. `None` where a product is
/// not finite.
///
/// # Errors
/// Those of the map.
pub fn largest_singular_values<M: LinearMap>(
    map: &mut M,
    count: usize,
    tolerance: f64,
    most_steps: usize,
    stream: &mut Stream,
) -> Result<Option<Largest>, M::Error> {
    let (rows, columns) = (map.rows(), map.columns());
    let count = count.min(rows).min(columns);
    let start = (count + OVERSAMPLING).min(columns);
    let mut normal = || (0..columns).map(|_| stream.normal()).collect();
    let mut fresh = orthonormal(&(0..start).map(|_| normal()).collect::<Vec<_>>());
    let mut basis = Basis::default();
    let mut images = Basis::default();
    // A · basis = images · projected, by columns.
    let mut projected: Vec<Vec<f64>> = Vec::new();
    let mut sum_of_squares = 0.0;
    for step in 1.. {
        let products = map.apply(&fresh)?;
        if step == 1 {
            let squares: f64 = products.iter().map(|image| dot(image, image)).sum();
            sum_of_squares = squares * columns as f64 / start.max(1) as f64;
        }
        basis.append(fresh);
        projected.extend(images.span(products));
        let Some(svd) = decompose(&projected, images.vectors.len()) else {
            return Ok(None);
        };
        let left = |i: usize| images.combine(&svd.left[i], rows);
        let left: Vec<Vec<f64>> = (0..count).map(left).collect();
        let mut residuals = map.apply_transpose(&left)?;
        for (i, residual) in residuals.iter_mut().enumerate() {
            let right = basis.combine(&svd.right[i], columns);
            add(residual, -svd.values[i], &right);
        }
        let sizes: Vec<f64> = residuals.iter().map(|residual| norm(residual)).collect();
        if !sizes.iter().all(|size| size.is_finite()) {
            return Ok(None);
        }
        let enough = tolerance * svd.values.first().copied().unwrap_or_default();
        let exhausted = basis.vectors.len() >= columns;
        let converged = exhausted || sizes.iter().all(|&size| size <= enough);
        if converged || step >= most_steps {
            return Ok(Some(Largest {
                values: svd.values.into_iter().take(count).collect(),
                residuals: sizes,
                converged,
                sum_of_squares,
            }));
        }
        let open = residuals.into_iter().zip(sizes);
        let open = open.filter(|&(_, size)| size > enough);
        fresh = open.map(|(residual, _)| residual).collect();
        fresh.truncate(columns - basis.vectors.len());
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

/// Orthonormal vectors of one length.
#[derive(Default)]
struct Basis {
    vectors: Vec<Vec<f64>>,
}

impl Basis {
    fn append(&mut self, mut orthonormal: Vec<Vec<f64>>) {
        self.vectors.append(&mut orthonormal);
    }

    /// Makes `vectors` orthonormal, and orthogonal to the basis.
    fn complete(&self, vectors: &mut Vec<Vec<f64>>) {
        // Twice is enough (Giraud et al., Numer. Math. 101, 2005).
        for _ in 0..2 {
            for vector in vectors.iter_mut() {
                self.remove_from(vector);
            }
            *vectors = orthonormal(vectors);
        }
    }

    /// Takes the vector's components in the basis out of it, and returns them.
    fn remove_from(&self, vector: &mut [f64]) -> Vec<f64> {
        let component = |with: &Vec<f64>| {
            let component = dot(vector, with);
            add(vector, -component, with);
            component
        };
        self.vectors.iter().map(component).collect()
    }

    /// Grows the basis until it spans the vectors too; returns their components.
    fn span(&mut self, vectors: Vec<Vec<f64>>) -> Vec<Vec<f64>> {
        let of_one = |mut vector: Vec<f64>| {
            let whole = norm(&vector);
            let mut components = self.remove_from(&mut vector);
            let again = self.remove_from(&mut vector);
            components.iter_mut().zip(again).for_each(|(a, b)| *a += b);
            let size = norm(&vector);
            // Less is rounding: such a direction would be an arbitrary one.
            if size > 1e-14 * whole || size.is_nan() {
                vector.iter_mut().for_each(|x| *x /= size);
                self.vectors.push(vector);
                components.push(size);
            }
            components
        };
        vectors.into_iter().map(of_one).collect()
    }

    fn combine(&self, weights: &[f64], length: usize) -> Vec<f64> {
        let mut sum = vec![0.0; length];
        for (&weight, vector) in weights.iter().zip(&self.vectors) {
            add(&mut sum, weight, vector);
        }
        sum
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
        products: usize,
    }

    impl LinearMap for Dense {
        type Error = Infallible;
        fn rows(&self) -> usize {
            self.rows.len()
        }
        fn columns(&self) -> usize {
            self.rows[0].len()
        }
        fn apply(&mut self, vectors: &[Vec<f64>]) -> Result<Vec<Vec<f64>>, Infallible> {
            self.products += vectors.len();
            let product = |v: &Vec<f64>| self.rows.iter().map(|row| dot(row, v)).collect();
            Ok(vectors.iter().map(product).collect())
        }
        fn apply_transpose(&mut self, vectors: &[Vec<f64>]) -> Result<Vec<Vec<f64>>, Infallible> {
            self.products += vectors.len();
            let product = |u: &Vec<f64>| {
                let mut out = vec![0.0; self.columns()];
                for (row, &u) in self.rows.iter().zip(u) {
                    add(&mut out, u, row);
                }
                out
            };
            Ok(vectors.iter().map(product).collect())
        }
    }

    fn gaussian(rows: usize, columns: usize) -> Dense {
        let mut stream = Stream::new(7, "matrix");
        let row = |_| (0..columns).map(|_| stream.normal()).collect();
        Dense {
            rows: (0..rows).map(row).collect(),
            products: 0,
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
            let Ok(found) = largest_singular_values(&mut map, 10, 1e-6, 60, &mut stream);
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
        let Ok(found) = largest_singular_values(&mut map, 4, 1e-12, 2, &mut stream);
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
        let Ok(found) = largest_singular_values(&mut map, 50, 1e-9, 100, &mut stream);
        let found = found.expect("finite");
        assert_eq!(found.values.len(), 5);
        for (value, exact) in found.values.iter().zip(&exact) {
            assert!((value - exact).abs() < 1e-12 * exact, "{value} {exact}");
        }
        assert!(found.converged);
    }

    #[test]
    fn what_is_not_finite_has_none() {
        let mut map = gaussian(5, 9);
        map.rows[2][3] = f64::NAN;
        let mut stream = Stream::new(0, "start");
        assert_eq!(
            largest_singular_values(&mut map, 2, 1e-9, 10, &mut stream),
            Ok(None)
        );
    }
}

//! Random matrices with orthonormal columns.
//!
//! Not a QR factorisation of a library, whose last bits depend on the processor's vector length:
//! the product of Householder reflections of normal vectors of falling length, which is the Q of a
//! normal matrix's QR without the factorisation (Stewart, "The efficient generation of random
//! orthogonal matrices", SIAM J. Numer. Anal. 17, 1980). About 4/3 n³ operations for an n × n
//! matrix, a few columns at a time so that they stay in the innermost cache. Columns do not
//! depend on each other, so the bits do not depend on how they are shared among threads.

use crate::num::Stream;
use rayon::prelude::*;

/// Columns worked on at once: the accumulators fill the vector registers.
const LANES: usize = 16;
/// Matrices with fewer elements than this are not worth a second thread.
const PARALLEL_ELEMENTS: usize = 1 << 14;

/// A `rows` × `columns` matrix in row-major order with orthonormal columns (rows, if there are
/// fewer of those), evenly distributed over all such matrices (by Haar's measure).
pub fn orthogonal(rows: usize, columns: usize, stream: &mut Stream) -> Vec<f64> {
    if rows < columns {
        let tall = tall(columns, rows, stream);
        let mut wide = vec![0.0; tall.len()];
        for (column, tall_row) in tall.chunks_exact(rows.max(1)).enumerate() {
            for (row, &value) in tall_row.iter().enumerate() {
                wide[row * columns + column] = value;
            }
        }
        wide
    } else {
        tall(rows, columns, stream)
    }
}

/// A reflection I − v vᵀ that leaves the first `first` coordinates alone, ‖v‖² = 2, and the sign
/// that makes the distribution even.
struct Reflection<'a> {
    first: usize,
    vector: &'a [f64],
    sign: f64,
}

fn tall(rows: usize, columns: usize, stream: &mut Stream) -> Vec<f64> {
    // Reflection k moves the last `rows − k` coordinates.
    let total: usize = (0..columns).map(|k| rows - k).sum();
    let mut numbers = vec![0.0f64; total];
    stream.fill_normal(0.0, 1.0, &mut numbers);
    let mut reflections = Vec::with_capacity(columns);
    let mut rest = &mut numbers[..];
    for first in 0..columns {
        let (vector, after) = rest.split_at_mut(rows - first);
        rest = after;
        let sign = reflect(vector);
        reflections.push(Reflection {
            first,
            vector,
            sign,
        });
    }
    let mut out = vec![0.0; rows * columns];
    let blocks = columns.div_ceil(LANES);
    let block = |index: usize| columns_of_the_product(index * LANES, rows, &reflections);
    let blocks: Vec<Vec<[f64; LANES]>> = if rows * columns >= PARALLEL_ELEMENTS {
        (0..blocks).into_par_iter().map(block).collect()
    } else {
        (0..blocks).map(block).collect()
    };
    for (index, block) in blocks.iter().enumerate() {
        let start = index * LANES;
        let width = LANES.min(columns - start);
        for (row, values) in block.iter().enumerate() {
            out[row * columns + start..][..width].copy_from_slice(&values[..width]);
        }
    }
    out
}

/// Turns a vector x into the v, ‖v‖² = 2, of the reflection that takes x to a multiple of the first
/// axis; returns the sign of that multiple.
fn reflect(x: &mut [f64]) -> f64 {
    let norm = x.iter().map(|x| x * x).sum::<f64>().sqrt();
    let sign = 1f64.copysign(x[0]);
    x[0] += sign * norm;
    // ‖x + sign‖x‖e₁‖² = 2‖x‖(‖x‖ + |x₀|).
    let scale = (1.0 / (norm * x[0].abs())).sqrt();
    x.iter_mut().for_each(|x| *x *= scale);
    -sign
}

/// Columns `start`.. of H₀ H₁ …, each with its sign.
fn columns_of_the_product(
    start: usize,
    rows: usize,
    reflections: &[Reflection<'_>],
) -> Vec<[f64; LANES]> {
    let width = LANES.min(reflections.len() - start);
    let mut block = vec![[0.0; LANES]; rows];
    for lane in 0..width {
        block[start + lane][lane] = reflections[start + lane].sign;
    }
    // A later reflection leaves these columns of the identity alone.
    for reflection in reflections[..start + width].iter().rev() {
        let moved = &mut block[reflection.first..];
        let mut products = [0.0; LANES];
        for (row, &v) in moved.iter().zip(reflection.vector) {
            for (product, &value) in products.iter_mut().zip(row) {
                *product += v * value;
            }
        }
        for (row, &v) in moved.iter_mut().zip(reflection.vector) {
            for (value, &product) in row.iter_mut().zip(&products) {
                *value -= v * product;
            }
        }
    }
    block
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The largest entry of |QᵀQ − I| over the columns.
    fn defect(q: &[f64], rows: usize, columns: usize) -> f64 {
        let mut worst = 0f64;
        for a in 0..columns {
            for b in 0..=a {
                let product: f64 = (0..rows)
                    .map(|row| q[row * columns + a] * q[row * columns + b])
                    .sum();
                worst = worst.max((product - f64::from(u8::from(a == b))).abs());
            }
        }
        worst
    }

    #[test]
    fn the_shorter_side_is_orthonormal_to_1e_12() {
        for (rows, columns) in [(1, 1), (7, 7), (40, 17), (200, 200), (130, 1)] {
            let q = orthogonal(rows, columns, &mut Stream::new(1, "q"));
            assert!(defect(&q, rows, columns) < 1e-12, "{rows} x {columns}");
            let wide = orthogonal(columns, rows, &mut Stream::new(1, "q"));
            let transposed: Vec<f64> = (0..rows * columns)
                .map(|index| wide[index % columns * rows + index / columns])
                .collect();
            assert!(defect(&transposed, rows, columns) < 1e-12);
        }
    }

    #[test]
    fn the_distribution_is_haars() {
        // Of a Haar-distributed orthogonal n × n matrix: E q_ij = 0, E q_ij² = 1/n,
        // E q_ij⁴ = 3/(n(n + 2)), E trace = 0, E trace² = 1, and both determinants occur.
        let n = 5;
        let draws = 20_000;
        let (mut first, mut second, mut fourth) = ([0.0; 25], [0.0; 25], [0.0; 25]);
        let (mut trace, mut trace_squared) = (0.0, 0.0);
        for seed in 0..draws {
            let q = orthogonal(n, n, &mut Stream::new(seed, "haar"));
            for (index, &value) in q.iter().enumerate() {
                first[index] += value / draws as f64;
                second[index] += value.powi(2) / draws as f64;
                fourth[index] += value.powi(4) / draws as f64;
            }
            let sum: f64 = (0..n).map(|i| q[6 * i]).sum();
            trace += sum / draws as f64;
            trace_squared += sum * sum / draws as f64;
        }
        // Tolerances are about five standard errors.
        assert!(first.iter().all(|m| m.abs() < 0.016), "{first:?}");
        assert!(second.iter().all(|m| (m - 0.2).abs() < 0.009), "{second:?}");
        assert!(fourth.iter().all(|m| (m - 3.0 / 35.0).abs() < 0.006));
        assert!(trace.abs() < 0.036 && (trace_squared - 1.0).abs() < 0.05);
    }
}

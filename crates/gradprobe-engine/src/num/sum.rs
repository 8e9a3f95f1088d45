//! Sums whose rounding error hardly grows with their length, and whose order depends on the
//! length alone.
//!
//! A sum runs in interleaved partial sums (so that it vectorises) over blocks, and the blocks'
//! sums are added up pairwise: the error bound is about (64 + log₂ n) ε Σ|x| in place of n ε Σ|x|
//! (Higham, *Accuracy and Stability of Numerical Algorithms*, §4.2).

use super::element::Element;
use super::simd::vectorised;
use pulp::{Simd, WithSimd};

/// Partial sums that run side by side.
const LANES: usize = 16;
/// The same where there are enough elements: an addition waits for the one before it in its lane.
const WIDE: usize = 4 * LANES;
/// Elements of a block of a sum over a slice.
const BLOCK: usize = 64 * LANES;
/// Rows of a block of a sum over rows, and blocks of a block of these.
const ROW_BLOCK: usize = 64;
/// Columns whose sums are kept at a time.
const COLUMN_STRIP: usize = 64;

/// Σ x.
pub fn sum<T: Element>(values: &[T]) -> T {
    sum_map(values, |value| value)
}

/// Σ f(x).
pub fn sum_map<T: Element>(values: &[T], f: impl Fn(T) -> T) -> T {
    sum_halves(values, &f)
}

fn sum_halves<T: Element>(values: &[T], f: &impl Fn(T) -> T) -> T {
    if values.len() > BLOCK {
        let (left, right) = values.split_at(half(values.len()));
        return sum_halves(left, f) + sum_halves(right, f);
    }
    vectorised(SumMap { values, f })
}

/// Σ x², in f64 whatever the type.
pub fn square_sum<T: Element>(values: &[T]) -> f64 {
    vectorised(SquareSum { values })
}

struct SquareSum<'a, T> {
    values: &'a [T],
}

impl<T: Element> WithSimd for SquareSum<'_, T> {
    type Output = f64;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) -> f64 {
        let mut lanes = [0.0; LANES];
        let (groups, rest) = self.values.as_chunks::<LANES>();
        for group in groups {
            for lane in 0..LANES {
                let x = group[lane].to_f64();
                lanes[lane] += x * x;
            }
        }
        for (lane, value) in lanes.iter_mut().zip(rest) {
            let x = value.to_f64();
            *lane += x * x;
        }
        fold(lanes)
    }
}

/// sums += values, and Σ values² in return, in f64 whatever the type.
pub fn add_with_squares<T: Element>(values: &[T], sums: &mut [f64]) -> f64 {
    vectorised(AddWithSquares { values, sums })
}

struct AddWithSquares<'a, T> {
    values: &'a [T],
    sums: &'a mut [f64],
}

impl<T: Element> WithSimd for AddWithSquares<'_, T> {
    type Output = f64;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) -> f64 {
        let mut lanes = [0.0; LANES];
        let (groups, rest) = self.values.as_chunks::<LANES>();
        let (sums, rest_sums) = self.sums.as_chunks_mut::<LANES>();
        for (group, sums) in groups.iter().zip(sums) {
            for lane in 0..LANES {
                let x = group[lane].to_f64();
                sums[lane] += x;
                lanes[lane] += x * x;
            }
        }
        for ((lane, value), sum) in lanes.iter_mut().zip(rest).zip(rest_sums) {
            let x = value.to_f64();
            *sum += x;
            *lane += x * x;
        }
        fold(lanes)
    }
}

/// A call that is compiled for each instruction set. (A closure would reach it through a shim that
/// is not inlined, and so not vectorised.)
struct SumMap<'a, T, F> {
    values: &'a [T],
    f: &'a F,
}

impl<T: Element, F: Fn(T) -> T> WithSimd for SumMap<'_, T, F> {
    type Output = T;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) -> T {
        let (wide, values) = self.values.as_chunks::<WIDE>();
        let mut lanes = [T::zero(); LANES];
        if !wide.is_empty() {
            let mut sums = [T::zero(); WIDE];
            for group in wide {
                for lane in 0..WIDE {
                    sums[lane] += (self.f)(group[lane]);
                }
            }
            lanes = narrow(sums);
        }
        let (groups, rest) = values.as_chunks::<LANES>();
        for group in groups {
            for lane in 0..LANES {
                lanes[lane] += (self.f)(group[lane]);
            }
        }
        for (lane, &value) in lanes.iter_mut().zip(rest) {
            *lane += (self.f)(value);
        }
        fold(lanes)
    }
}

/// Σ f(x, y) over two slices of one length.
pub fn sum_map2<T: Element>(left: &[T], right: &[T], f: impl Fn(T, T) -> T) -> T {
    debug_assert_eq!(left.len(), right.len());
    sum_halves2(left, right, &f)
}

fn sum_halves2<T: Element>(left: &[T], right: &[T], f: &impl Fn(T, T) -> T) -> T {
    if left.len() > BLOCK {
        let at = half(left.len());
        let ((left, left_rest), (right, right_rest)) = (left.split_at(at), right.split_at(at));
        return sum_halves2(left, right, f) + sum_halves2(left_rest, right_rest, f);
    }
    vectorised(SumMap2 { left, right, f })
}

/// The same of two slices.
struct SumMap2<'a, T, F> {
    left: &'a [T],
    right: &'a [T],
    f: &'a F,
}

impl<T: Element, F: Fn(T, T) -> T> WithSimd for SumMap2<'_, T, F> {
    type Output = T;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) -> T {
        let (wide_left, left) = self.left.as_chunks::<WIDE>();
        let (wide_right, right) = self.right.as_chunks::<WIDE>();
        let mut lanes = [T::zero(); LANES];
        if !wide_left.is_empty() {
            let mut sums = [T::zero(); WIDE];
            for (left, right) in wide_left.iter().zip(wide_right) {
                for lane in 0..WIDE {
                    sums[lane] += (self.f)(left[lane], right[lane]);
                }
            }
            lanes = narrow(sums);
        }
        let (lefts, left_rest) = left.as_chunks::<LANES>();
        let (rights, right_rest) = right.as_chunks::<LANES>();
        for (left, right) in lefts.iter().zip(rights) {
            for lane in 0..LANES {
                lanes[lane] += (self.f)(left[lane], right[lane]);
            }
        }
        let rest = left_rest.iter().zip(right_rest);
        for (lane, (&x, &y)) in lanes.iter_mut().zip(rest) {
            *lane += (self.f)(x, y);
        }
        fold(lanes)
    }
}

/// Four sums to one.
#[inline(always)]
fn narrow<T: Element>(sums: [T; WIDE]) -> [T; LANES] {
    let mut lanes = [T::zero(); LANES];
    for lane in 0..LANES {
        let pairs = (
            sums[lane] + sums[lane + LANES],
            sums[lane + 2 * LANES] + sums[lane + 3 * LANES],
        );
        lanes[lane] = pairs.0 + pairs.1;
    }
    lanes
}

fn half(len: usize) -> usize {
    (len / 2).next_multiple_of(BLOCK)
}

/// Σ x·y.
pub fn dot<T: Element>(left: &[T], right: &[T]) -> T {
    sum_map2(left, right, |x, y| x * y)
}

/// out[j] = Σ over the rows i of what `add` puts there.
///
/// `add(i, first_column, sums)` adds row i's terms of the columns from `first_column` on to `sums`.
pub fn column_sums_by<T: Element>(
    out: &mut [T],
    row_count: usize,
    add: impl Fn(usize, usize, &mut [T]),
) {
    for (strip, out) in out.chunks_mut(COLUMN_STRIP).enumerate() {
        let first_column = strip * COLUMN_STRIP;
        let mut levels = [[T::zero(); COLUMN_STRIP]; 3];
        let [total, middle, sums] = &mut levels;
        let width = out.len();
        let flush = |from: &mut [T; COLUMN_STRIP], to: &mut [T; COLUMN_STRIP]| {
            for (to, from) in to.iter_mut().zip(from) {
                *to += std::mem::take(from);
            }
        };
        for row in 0..row_count {
            add(row, first_column, &mut sums[..width]);
            if (row + 1) % ROW_BLOCK == 0 {
                flush(sums, middle);
                if (row + 1) % (ROW_BLOCK * ROW_BLOCK) == 0 {
                    flush(middle, total);
                }
            }
        }
        flush(sums, middle);
        flush(middle, total);
        out.copy_from_slice(&total[..width]);
    }
}

/// out[j] = Σᵢ rows[i, j], for row-major rows of `out.len()` columns.
pub fn column_sums<T: Element>(out: &mut [T], rows: &[T]) {
    let columns = out.len();
    if columns == 0 {
        return;
    }
    column_sums_by(out, rows.len() / columns, |row, first, sums| {
        let from = row * columns + first;
        let values = &rows[from..from + sums.len()];
        for (sum, &value) in sums.iter_mut().zip(values) {
            *sum += value;
        }
    });
}

#[inline(always)]
fn fold<T: Element>(mut lanes: [T; LANES]) -> T {
    let mut width = LANES / 2;
    while width > 0 {
        for lane in 0..width {
            let other = lanes[lane + width];
            lanes[lane] += other;
        }
        width /= 2;
    }
    lanes[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_million_tenths_sum_up_in_f32() {
        let values = vec![0.1f32; 1_000_000];
        assert!((sum(&values) - 100_000.0).abs() < 0.1);
        assert!((dot(&values, &values) - 10_000.0).abs() < 0.01);
        let mut columns = [0.0f32; 4];
        column_sums(&mut columns, &values);
        assert!(columns.iter().all(|sum| (sum - 25_000.0).abs() < 0.1));
    }

    #[test]
    fn columns_are_summed_apart() {
        let (rows, columns) = (200, 70);
        let data: Vec<f64> = (0..rows * columns).map(|i| i as f64).collect();
        let mut sums = vec![f64::NAN; columns];
        column_sums(&mut sums, &data);
        for (column, &sum) in sums.iter().enumerate() {
            let exact: usize = (0..rows).map(|row| row * columns + column).sum();
            assert_eq!(sum, exact as f64);
        }
    }
}

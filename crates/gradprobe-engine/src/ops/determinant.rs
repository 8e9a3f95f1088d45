//! Det: determinants of square matrices.
//!
//! Everything is computed in double precision from an LU factorisation with complete pivoting,
//! P·A·Q = L·U. The derivative of det A is the matrix of its cofactors, det(A)·A⁻ᵀ where there is
//! an inverse. Where the rank is one less, the cofactors are the product of the null vectors from
//! either side, which complete pivoting shows: U then ends in exactly one zero (PyTorch 2.15 gives
//! a gradient of 0 there). Where it is less still, they are 0.

use super::parallel::for_rows;
use super::shapes::{expect_inputs, in_memory, misfit};
use super::{Context, Kernel, Op, OpElement, OpError, Role, Saved};
use crate::num::{Element, Shape, View, ViewMut};

/// The determinant of each matrix \[…, n, n\] → \[…\].
///
/// Pull-back: g·det(A)·A⁻ᵀ, the cofactors.
#[derive(Clone, Copy, Debug, Default)]
pub struct Det;

/// L and U in one matrix, with what was exchanged.
struct Factors {
    n: usize,
    lu: Vec<f64>,
    /// Which row of the matrix each row of L·U is.
    rows: Vec<usize>,
    columns: Vec<usize>,
    /// Of the exchanges: 1 or −1.
    sign: f64,
}

impl Factors {
    fn of<T: Element>(matrix: &[T], n: usize) -> Self {
        let mut factors = Self {
            n,
            lu: matrix.iter().map(|x| x.to_f64()).collect(),
            rows: (0..n).collect(),
            columns: (0..n).collect(),
            sign: 1.0,
        };
        for step in 0..n {
            factors.exchange(step);
            factors.eliminate(step);
        }
        factors
    }

    /// Brings the largest element of what is left to its first corner; a NaN counts as largest.
    fn exchange(&mut self, step: usize) {
        let n = self.n;
        let (mut row, mut column) = (step, step);
        let mut largest = self.lu[step * n + step].abs();
        for i in step..n {
            for j in step..n {
                let size = self.lu[i * n + j].abs();
                if size > largest || size.is_nan() && !largest.is_nan() {
                    (largest, row, column) = (size, i, j);
                }
            }
        }
        if row != step {
            (0..n).for_each(|j| self.lu.swap(step * n + j, row * n + j));
            self.rows.swap(step, row);
            self.sign = -self.sign;
        }
        if column != step {
            (0..n).for_each(|i| self.lu.swap(i * n + step, i * n + column));
            self.columns.swap(step, column);
            self.sign = -self.sign;
        }
    }

    fn eliminate(&mut self, step: usize) {
        let n = self.n;
        let (done, rest) = self.lu.split_at_mut((step + 1) * n);
        let pivots = &done[step * n..];
        if pivots[step] == 0.0 {
            return;
        }
        for row in rest.chunks_exact_mut(n) {
            let factor = row[step] / pivots[step];
            row[step] = factor;
            let operands = row[step + 1..].iter_mut().zip(&pivots[step + 1..]);
            for (x, &pivot) in operands {
                *x = (-factor).mul_add(pivot, *x);
            }
        }
    }

    fn pivot(&self, at: usize) -> f64 {
        self.lu[at * self.n + at]
    }

    fn determinant(&self) -> f64 {
        (0..self.n).fold(self.sign, |product, at| product * self.pivot(at))
    }

    /// Writes `g` × the cofactors.
    fn cofactors<T: Element>(&self, g: f64, gradient: &mut [T]) {
        let n = self.n;
        if n == 1 {
            return gradient.fill(T::from_f64(g));
        }
        let zeros = (0..n).filter(|&at| self.pivot(at) == 0.0).count();
        match zeros {
            0 => {
                let scale = g * self.determinant();
                let mut solution = vec![0.0; n];
                for i in 0..n {
                    self.solve_unit(i, scale, &mut solution);
                    let row = &mut gradient[self.rows[i] * n..][..n];
                    for (&column, &x) in self.columns.iter().zip(&solution) {
                        row[column] = T::from_f64(x);
                    }
                }
            }
            1 => {
                let (right, left) = self.null_vectors();
                let others = (0..n - 1).fold(self.sign, |product, at| product * self.pivot(at));
                for (&row, &w) in self.rows.iter().zip(&left) {
                    for (&column, &v) in self.columns.iter().zip(&right) {
                        gradient[row * n + column] = T::from_f64(g * others * (v * w));
                    }
                }
            }
            _ => gradient.fill(T::zero()),
        }
    }

    /// Solves L·U·x = scale · unit vector i.
    fn solve_unit(&self, i: usize, scale: f64, x: &mut [f64]) {
        let n = self.n;
        x.fill(0.0);
        x[i] = scale;
        for row in i + 1..n {
            let known = self.lu[row * n + i..row * n + row].iter().zip(&x[i..row]);
            let sum: f64 = known.map(|(l, x)| l * x).sum();
            x[row] -= sum;
        }
        self.back_substitute(n, x);
    }

    /// Solves U·x = x for the first `count` rows.
    fn back_substitute(&self, count: usize, x: &mut [f64]) {
        let n = self.n;
        for row in (0..count).rev() {
            let later = self.lu[row * n + row + 1..row * n + count].iter();
            let sum: f64 = later.zip(&x[row + 1..count]).map(|(u, x)| u * x).sum();
            x[row] = (x[row] - sum) / self.pivot(row);
        }
    }

    /// v with U·v = 0 and w with wᵀ·L·U = 0, where the last pivot alone is 0; both end in 1.
    fn null_vectors(&self) -> (Vec<f64>, Vec<f64>) {
        let n = self.n;
        let last = n - 1;
        let mut right: Vec<f64> = (0..n).map(|row| -self.lu[row * n + last]).collect();
        self.back_substitute(last, &mut right);
        right[last] = 1.0;
        let mut left = vec![0.0; n];
        left[last] = 1.0;
        for column in (0..last).rev() {
            let below = (column + 1..n).map(|row| self.lu[row * n + column] * left[row]);
            left[column] = -below.sum::<f64>();
        }
        (right, left)
    }
}

fn order(shape: &[usize]) -> usize {
    shape.last().copied().unwrap_or(0)
}

impl<T: OpElement> Kernel<T> for Det {
    fn forward(
        &self,
        context: &Context,
        inputs: &[View<'_, T>],
        outputs: &mut [ViewMut<'_, T>],
    ) -> Result<(), OpError> {
        let x = inputs[0];
        let n = order(x.shape);
        for_rows(context.parallel, outputs[0].data, 1, |matrices, y| {
            for (y, matrix) in y.iter_mut().zip(matrices) {
                let elements = &x.data[matrix * n * n..][..n * n];
                *y = T::from_f64(Factors::of(elements, n).determinant());
            }
        });
        Ok(())
    }

    fn vjp(
        &self,
        context: &Context,
        saved: Saved<'_, T>,
        cotangents: &[Option<View<'_, T>>],
        gradients: &mut [Option<ViewMut<'_, T>>],
    ) -> Result<i64, OpError> {
        let (Some(g), Some(gradient)) = (cotangents[0], &mut gradients[0]) else {
            return Ok(0);
        };
        let x = saved.inputs[0];
        let n = order(x.shape);
        for_rows(context.parallel, gradient.data, n * n, |matrices, dx| {
            for (dx, matrix) in dx.chunks_exact_mut(n * n).zip(matrices) {
                let elements = &x.data[matrix * n * n..][..n * n];
                Factors::of(elements, n).cofactors(g.data[matrix].to_f64(), dx);
            }
        });
        Ok(0)
    }
}

impl Op for Det {
    fn name(&self) -> &'static str {
        "Det"
    }

    fn role(&self) -> Role {
        Role::Other
    }

    fn infer(&self, inputs: &[&Shape]) -> Result<Vec<Shape>, OpError> {
        expect_inputs(inputs, 1..=1)?;
        match &inputs[0][..] {
            [batch @ .., rows, columns] if rows == columns && *rows > 0 => {
                in_memory(vec![*rows, *columns])?;
                Ok(vec![in_memory(batch.to_vec())?])
            }
            _ => Err(misfit("input", "square matrices", inputs[0])),
        }
    }

    fn per_sample(&self, sampled: &[bool], inputs: &[&Shape]) -> bool {
        sampled[0] && inputs[0].len() > 2
    }

    fn reads_outputs(&self) -> bool {
        false
    }

    fn flops(&self, inputs: &[&Shape], _outputs: &[Shape]) -> u64 {
        let order = order(inputs[0]) as u64;
        (inputs[0].element_count() as u64).saturating_mul(order)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cofactors(matrix: &[f64], n: usize) -> Vec<f64> {
        let mut gradient = vec![f64::NAN; n * n];
        Factors::of(matrix, n).cofactors(1.0, &mut gradient);
        gradient
    }

    #[test]
    fn a_singular_matrix_has_cofactors() {
        assert_eq!(cofactors(&[1.0, 2.0, 2.0, 4.0], 2), [4.0, -2.0, -2.0, 1.0]);
        assert_eq!(cofactors(&[0.0], 1), [1.0]);
        assert_eq!(cofactors(&[f64::INFINITY], 1), [1.0]);
        // The third row is the sum of the others.
        let matrix = [1.0, 0.0, 2.0, 0.0, 1.0, 1.0, 1.0, 1.0, 3.0];
        let expected = [2.0, 1.0, -1.0, 2.0, 1.0, -1.0, -2.0, -1.0, 1.0];
        for (got, expected) in cofactors(&matrix, 3).iter().zip(expected) {
            assert!((got - expected).abs() < 1e-15, "{got}, expected {expected}");
        }
    }

    #[test]
    fn a_matrix_of_rank_two_less_has_none() {
        let ones = [1.0; 9];
        assert_eq!(cofactors(&ones, 3), [0.0; 9]);
        assert_eq!(cofactors(&[0.0; 4], 2), [0.0; 4]);
    }

    #[test]
    fn what_is_not_finite_spreads_as_in_pytorch() {
        let nan = Factors::of(&[f64::NAN, 0.0, 0.0, 1.0], 2);
        assert!(nan.determinant().is_nan());
        assert!(
            cofactors(&[f64::NAN, 0.0, 0.0, 1.0], 2)
                .iter()
                .all(|x| x.is_nan())
        );
        let infinite = [f64::INFINITY, 0.0, 0.0, 1.0];
        assert_eq!(Factors::of(&infinite, 2).determinant(), f64::INFINITY);
        let finite = cofactors(&infinite, 2)
            .iter()
            .filter(|x| x.is_finite())
            .count();
        assert_eq!(finite, 0);
    }
}

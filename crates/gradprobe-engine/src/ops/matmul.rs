//! MatMul: batches of matrix products, broadcast as NumPy's `matmul` does.

use super::broadcast::Walk;
use super::linear::rows_for_weight;
use super::parallel::for_each_part;
use super::shapes::{broadcast, broadcast_per_sample, expect_inputs, misfit};
use super::{
    Autocast, Context, Kernel, Op, OpElement, OpError, OpFacts, Role, Saved, WeightLayout,
};
use crate::num::linalg::{Matrix, MatrixMut};
use crate::num::{Shape, View, ViewMut};

/// Multiplications of a batch of products that are worth a call of their own.
const PRODUCTS_PER_CALL: usize = 1 << 20;

/// y\[…, m, n\] = Σₖ a\[…, m, k\] · b\[…, k, n\], the leading axes broadcast. A vector on the left
/// is a row, one on the right a column, and the axis of extent 1 is then dropped.
///
/// Pull-back: ∂a = g·bᵀ, ∂b = aᵀ·g, summed over what was broadcast.
#[derive(Clone, Copy, Debug, Default)]
pub struct MatMul;

/// The extents of a product.
struct Plan {
    rows: usize,
    inner: usize,
    columns: usize,
    /// The broadcast leading axes.
    batch: Shape,
    /// For every matrix of the result, which matrices of a and b it is the product of.
    pairs: Vec<[usize; 2]>,
}

/// A shape as (leading axes, rows, columns).
fn split(shape: &[usize], vector_is_row: bool) -> Option<(&[usize], usize, usize)> {
    match shape {
        [] => None,
        &[extent] if vector_is_row => Some((&[], 1, extent)),
        &[extent] => Some((&[], extent, 1)),
        [leading @ .., rows, columns] => Some((leading, *rows, *columns)),
    }
}

impl Plan {
    fn new(a: &[usize], b: &[usize]) -> Result<Self, OpError> {
        let scalar = |what| misfit(what, "at least one axis", "a scalar");
        let (a_leading, rows, inner) = split(a, true).ok_or_else(|| scalar("left operand"))?;
        let (b_leading, b_rows, columns) =
            split(b, false).ok_or_else(|| scalar("right operand"))?;
        if inner != b_rows {
            return Err(OpError::Mismatch {
                one: format!("left operand has {inner} columns"),
                other: format!("right operand has {b_rows} rows"),
            });
        }
        let batch = broadcast(&[a_leading, b_leading])?;
        Ok(Self {
            rows,
            inner,
            columns,
            batch,
            pairs: Vec::new(),
        })
    }

    /// With the pairs, and a batch that b does not enumerate folded into the rows of a.
    fn with_pairs(a: &[usize], b: &[usize]) -> Result<Self, OpError> {
        let mut plan = Self::new(a, b)?;
        let leading = |shape: &[usize]| shape[..shape.len().saturating_sub(2)].to_vec();
        let (a, b) = (leading(a), leading(b));
        if b.iter().all(|&extent| extent == 1) && a.len() >= b.len() {
            plan.rows *= plan.batch.element_count();
            plan.pairs.push([0, 0]);
            return Ok(plan);
        }
        let walk = Walk::new(&plan.batch, [&a, &b]);
        let [a_step, b_step] = walk.steps();
        walk.lines(0..walk.line_count(), |_, [a_at, b_at]| {
            let line = (0..walk.line_len()).map(|i| [a_at + i * a_step, b_at + i * b_step]);
            plan.pairs.extend(line);
        });
        Ok(plan)
    }

    fn a<'a, T>(&self, data: &'a [T], index: usize) -> Matrix<'a, T> {
        let len = self.rows * self.inner;
        Matrix::new(&data[index * len..][..len], self.rows, self.inner)
    }

    fn b<'a, T>(&self, data: &'a [T], index: usize) -> Matrix<'a, T> {
        let len = self.inner * self.columns;
        Matrix::new(&data[index * len..][..len], self.inner, self.columns)
    }

    fn y<'a, T>(&self, data: &'a [T], index: usize) -> Matrix<'a, T> {
        let len = self.rows * self.columns;
        Matrix::new(&data[index * len..][..len], self.rows, self.columns)
    }
}

/// Writes products to `out`, matrices of `len` elements: `write(triple, matrix, accumulate)`.
/// Those with one target, as `target` says, add up in their order; else they may run in parallel.
fn for_products<T: OpElement>(
    parallel: bool,
    triples: &[[usize; 3]],
    out: &mut [T],
    len: usize,
    target: impl Fn([usize; 3]) -> usize,
    write: impl Fn([usize; 3], &mut [T], bool) + Sync,
) {
    if out.len() == triples.len() * len {
        // No matrix is broadcast, so each is the target of the product at its own position.
        return for_each_part(parallel, out, len, |index, out| {
            write(triples[index], out, false);
        });
    }
    out.fill(T::zero());
    for &triple in triples {
        write(triple, &mut out[target(triple) * len..][..len], true);
    }
}

impl<T: OpElement> Kernel<T> for MatMul {
    fn forward(
        &self,
        context: &Context,
        inputs: &[View<'_, T>],
        outputs: &mut [ViewMut<'_, T>],
    ) -> Result<(), OpError> {
        let (a, b) = (inputs[0], inputs[1]);
        let plan = Plan::with_pairs(a.shape, b.shape)?;
        let (rows, columns) = (plan.rows, plan.columns);
        let out = &mut *outputs[0].data;
        for_each_part(
            context.parallel,
            out,
            (rows * columns).max(1),
            |index, out| {
                let [left, right] = plan.pairs[index];
                let (a, b) = (plan.a(a.data, left), plan.b(b.data, right));
                let out = MatrixMut::new(out, rows, columns);
                T::matmul_tiled(out, a, b, false, context.parallel);
            },
        );
        Ok(())
    }

    fn vjp(
        &self,
        context: &Context,
        saved: Saved<'_, T>,
        cotangents: &[Option<View<'_, T>>],
        gradients: &mut [Option<ViewMut<'_, T>>],
    ) -> Result<i64, OpError> {
        let Some(g) = cotangents[0] else { return Ok(0) };
        let (a, b) = (saved.inputs[0], saved.inputs[1]);
        let plan = Plan::with_pairs(a.shape, b.shape)?;
        let parallel = context.parallel;
        // Which matrices of a, b and g.
        let triples: Vec<[usize; 3]> = plan
            .pairs
            .iter()
            .enumerate()
            .map(|(index, &[left, right])| [left, right, index])
            .collect();
        let (rows, inner, columns) = (plan.rows, plan.inner, plan.columns);
        if let Some(gradient) = &mut gradients[0] {
            let write = |[_, right, index]: [usize; 3], out: &mut [T], accumulate| {
                let (g, b) = (plan.y(g.data, index), plan.b(b.data, right));
                let out = MatrixMut::new(out, rows, inner);
                T::matmul_tiled(out, g, b.transposed(), accumulate, parallel);
            };
            for_products(
                parallel,
                &triples,
                gradient.data,
                rows * inner,
                |[left, ..]| left,
                write,
            );
        }
        if let Some(gradient) = &mut gradients[1] {
            let write = |[left, _, index]: [usize; 3], out: &mut [T], accumulate| {
                let (a, g) = (plan.a(a.data, left), plan.y(g.data, index));
                let out = MatrixMut::new(out, inner, columns);
                T::matmul_tiled(out, a.transposed(), g, accumulate, parallel);
            };
            let right = |[_, right, _]: [usize; 3]| right;
            for_products(
                parallel,
                &triples,
                gradient.data,
                inner * columns,
                right,
                write,
            );
        }
        Ok(0)
    }
}

impl Op for MatMul {
    fn name(&self) -> &'static str {
        "MatMul"
    }

    fn role(&self) -> Role {
        Role::Weight
    }

    fn infer(&self, inputs: &[&Shape]) -> Result<Vec<Shape>, OpError> {
        expect_inputs(inputs, 2..=2)?;
        let plan = Plan::new(inputs[0], inputs[1])?;
        let mut out = plan.batch.0;
        if inputs[0].len() > 1 {
            out.push(plan.rows);
        }
        if inputs[1].len() > 1 {
            out.push(plan.columns);
        }
        Ok(vec![Shape(out)])
    }

    fn per_sample(&self, sampled: &[bool], inputs: &[&Shape]) -> bool {
        let (a, b) = (inputs[0], inputs[1]);
        if a.len() <= 2 && b.len() <= 2 {
            // Axis 0 is the rows of a.
            return a.len() == 2 && sampled == [true, false];
        }
        let leading = |shape: &Shape| Shape::new(&shape[..shape.len().saturating_sub(2)]);
        broadcast_per_sample(sampled, &[&leading(a), &leading(b)])
    }

    fn rows_per_call(&self, inputs: &[&Shape]) -> usize {
        let (a, b) = (inputs[0], inputs[1]);
        let Ok(plan) = Plan::new(a, b) else { return 1 };
        if b.len() <= 2 {
            let inner: usize = a.iter().rev().skip(1).rev().skip(1).product();
            return rows_for_weight(b.element_count()).div_ceil(inner.max(1));
        }
        let inner: usize = plan.batch.iter().skip(1).product();
        let products = [inner, plan.rows, plan.inner, plan.columns];
        let per_row = products
            .iter()
            .fold(1usize, |all, &extent| all.saturating_mul(extent));
        (PRODUCTS_PER_CALL / per_row.max(1)).max(1)
    }

    fn facts(&self) -> OpFacts {
        OpFacts {
            weight: Some(WeightLayout::UnitsLast),
            autocast: Autocast::Narrow,
            ..OpFacts::default()
        }
    }

    fn reads_outputs(&self) -> bool {
        false
    }

    fn flops(&self, inputs: &[&Shape], outputs: &[Shape]) -> u64 {
        let inner = inputs[0].last().map_or(1, |&extent| extent as u64);
        let outputs = outputs.first().map_or(0, Shape::element_count) as u64;
        outputs.saturating_mul(2 * inner)
    }
}

//! Walking operands that are broadcast against each other, and pulling cotangents back through
//! the broadcast (which sums over what was repeated).

use super::parallel::for_rows;
use crate::num::sum::{column_sums_by, sum_map, sum_map2};
use crate::num::{Element, View};
use std::ops::Range;

/// How N operands lie under their broadcast result, axes merged where they allow it. The result
/// is row-major, so its line i begins at element i · `line_len`.
#[derive(Debug)]
pub(super) struct Walk<const N: usize> {
    extents: Vec<usize>,
    strides: Vec<[usize; N]>,
}

impl<const N: usize> Walk<N> {
    /// `operands` must broadcast to `result`.
    pub(super) fn new(result: &[usize], operands: [&[usize]; N]) -> Self {
        let mut extents: Vec<usize> = Vec::with_capacity(result.len());
        let mut strides: Vec<[usize; N]> = Vec::with_capacity(result.len());
        let mut next = [1; N];
        for (axis, &extent) in result.iter().enumerate().rev() {
            if extent == 1 {
                continue;
            }
            let mut stride = [0; N];
            for (operand, shape) in operands.iter().enumerate() {
                let own = axis.checked_sub(result.len() - shape.len());
                if let Some(own) = own
                    && shape[own] != 1
                {
                    stride[operand] = next[operand];
                    next[operand] *= shape[own];
                }
            }
            match (extents.last_mut(), strides.last()) {
                (Some(inner), Some(steps))
                    if (0..N).all(|operand| stride[operand] == steps[operand] * *inner) =>
                {
                    *inner *= extent;
                }
                _ => {
                    extents.push(extent);
                    strides.push(stride);
                }
            }
        }
        if extents.is_empty() {
            extents.push(1);
            strides.push([0; N]);
        }
        extents.reverse();
        strides.reverse();
        Self { extents, strides }
    }

    /// Elements of a line: the innermost axis.
    pub(super) fn line_len(&self) -> usize {
        self.extents[self.extents.len() - 1]
    }

    /// For every operand, 1 if it advances along a line and 0 if it repeats one element.
    pub(super) fn steps(&self) -> [usize; N] {
        self.strides[self.strides.len() - 1]
    }

    pub(super) fn line_count(&self) -> usize {
        self.extents[..self.extents.len() - 1].iter().product()
    }

    /// Calls `visit(line, where each operand's line begins)`.
    pub(super) fn lines(&self, lines: Range<usize>, mut visit: impl FnMut(usize, [usize; N])) {
        let outer = self.extents.len() - 1;
        let mut index = vec![0; outer];
        let mut offsets = [0; N];
        let mut rest = lines.start;
        for axis in (0..outer).rev() {
            index[axis] = rest % self.extents[axis].max(1);
            rest /= self.extents[axis].max(1);
            for (offset, stride) in offsets.iter_mut().zip(&self.strides[axis]) {
                *offset += index[axis] * stride;
            }
        }
        for line in lines {
            visit(line, offsets);
            for axis in (0..outer).rev() {
                index[axis] += 1;
                for (offset, stride) in offsets.iter_mut().zip(&self.strides[axis]) {
                    *offset += stride;
                }
                if index[axis] < self.extents[axis] {
                    break;
                }
                for (offset, stride) in offsets.iter_mut().zip(&self.strides[axis]) {
                    *offset -= index[axis] * stride;
                }
                index[axis] = 0;
            }
        }
    }
}

/// out = f(a, b), broadcast to the shape `result` of `out`.
pub(super) fn map<T: Element>(
    parallel: bool,
    result: &[usize],
    out: &mut [T],
    a: View<'_, T>,
    b: View<'_, T>,
    f: impl Fn(T, T) -> T + Sync,
) {
    let walk = Walk::new(result, [a.shape, b.shape]);
    let len = walk.line_len();
    let steps = walk.steps();
    if walk.line_count() == 1 && steps == [1, 1] {
        return for_rows(parallel, out, 1, |range, out| {
            let (a, b) = (&a.data[range.clone()], &b.data[range]);
            for ((out, &a), &b) in out.iter_mut().zip(a).zip(b) {
                *out = f(a, b);
            }
        });
    }
    for_rows(parallel, out, len, |range, out| {
        let first = range.start;
        walk.lines(range, |line, [a_at, b_at]| {
            let out = &mut out[(line - first) * len..][..len];
            match steps {
                [0, 0] => out.fill(f(a.data[a_at], b.data[b_at])),
                [0, _] => {
                    let a = a.data[a_at];
                    for (out, &b) in out.iter_mut().zip(&b.data[b_at..]) {
                        *out = f(a, b);
                    }
                }
                [_, 0] => {
                    let b = b.data[b_at];
                    for (out, &a) in out.iter_mut().zip(&a.data[a_at..]) {
                        *out = f(a, b);
                    }
                }
                _ => {
                    for ((out, &a), &b) in out.iter_mut().zip(&a.data[a_at..]).zip(&b.data[b_at..])
                    {
                        *out = f(a, b);
                    }
                }
            }
        });
    });
}

/// gradient[i] = Σ `term(cotangent, own, other)` over the elements of the result that `own[i]`
/// was broadcast to.
pub(super) fn pull_back<T: Element>(
    parallel: bool,
    cotangent: View<'_, T>,
    gradient: &mut [T],
    own: View<'_, T>,
    other: View<'_, T>,
    term: impl Fn(T, T, T) -> T + Sync,
) {
    let walk = Walk::new(cotangent.shape, [own.shape, other.shape]);
    let len = walk.line_len();
    let steps = walk.steps();
    if gradient.len() == cotangent.data.len() {
        return for_rows(parallel, gradient, len, |range, gradient| {
            let first = range.start;
            walk.lines(range, |line, [own_at, other_at]| {
                let gradient = &mut gradient[(line - first) * len..][..len];
                let cotangent = &cotangent.data[line * len..];
                let own = &own.data[own_at..];
                write_line(
                    gradient,
                    cotangent,
                    own,
                    &other.data[other_at..],
                    steps[1],
                    &term,
                );
            });
        });
    }
    if walk.line_count() > 1
        && gradient.len() == len
        && steps == [1, 1]
        && other.data.len() == cotangent.data.len()
    {
        return column_sums_by(gradient, walk.line_count(), |row, first, sums| {
            let at = row * len + first;
            let operands = cotangent.data[at..]
                .iter()
                .zip(&own.data[first..])
                .zip(&other.data[at..]);
            for (sum, ((&g, &own), &other)) in sums.iter_mut().zip(operands) {
                *sum += term(g, own, other);
            }
        });
    }
    gradient.fill(T::zero());
    walk.lines(0..walk.line_count(), |line, [own_at, other_at]| {
        let cotangent = &cotangent.data[line * len..][..len];
        if len == 0 {
            return;
        }
        match steps {
            [0, 0] => {
                let (own, other) = (own.data[own_at], other.data[other_at]);
                gradient[own_at] += sum_map(cotangent, |g| term(g, own, other));
            }
            [0, _] => {
                let own = own.data[own_at];
                let other = &other.data[other_at..][..len];
                gradient[own_at] += sum_map2(cotangent, other, |g, other| term(g, own, other));
            }
            [_, step] => {
                let gradient = &mut gradient[own_at..][..len];
                let operands = cotangent.iter().zip(&own.data[own_at..]);
                if step == 0 {
                    let other = other.data[other_at];
                    for (gradient, (&g, &own)) in gradient.iter_mut().zip(operands) {
                        *gradient += term(g, own, other);
                    }
                } else {
                    let operands = operands.zip(&other.data[other_at..]);
                    for (gradient, ((&g, &own), &other)) in gradient.iter_mut().zip(operands) {
                        *gradient += term(g, own, other);
                    }
                }
            }
        }
    });
}

/// gradient[i] = Σ `term(cotangent)` over the elements of the result that element i of an operand
/// of shape `own` was broadcast to.
pub(super) fn sum_back<T: Element>(
    parallel: bool,
    cotangent: View<'_, T>,
    gradient: &mut [T],
    own: &[usize],
    term: impl Fn(T) -> T + Sync,
) {
    if gradient.len() == cotangent.data.len() {
        return for_rows(parallel, gradient, 1, |range, gradient| {
            for (gradient, &g) in gradient.iter_mut().zip(&cotangent.data[range]) {
                *gradient = term(g);
            }
        });
    }
    let walk = Walk::new(cotangent.shape, [own]);
    let len = walk.line_len();
    if gradient.len() == len && walk.steps() == [1] {
        return column_sums_by(gradient, walk.line_count(), |row, first, sums| {
            for (sum, &g) in sums.iter_mut().zip(&cotangent.data[row * len + first..]) {
                *sum += term(g);
            }
        });
    }
    gradient.fill(T::zero());
    walk.lines(0..walk.line_count(), |line, [at]| {
        let cotangent = &cotangent.data[line * len..][..len];
        if walk.steps() == [1] {
            for (gradient, &g) in gradient[at..].iter_mut().zip(cotangent) {
                *gradient += term(g);
            }
        } else if len > 0 {
            gradient[at] += sum_map(cotangent, &term);
        }
    });
}

/// One line of an operand that is not itself broadcast.
#[inline(always)]
fn write_line<T: Element>(
    gradient: &mut [T],
    cotangent: &[T],
    own: &[T],
    other: &[T],
    other_step: usize,
    term: &impl Fn(T, T, T) -> T,
) {
    let operands = cotangent.iter().zip(own);
    if other_step == 0 {
        if let Some(&other) = other.first() {
            for (gradient, (&g, &own)) in gradient.iter_mut().zip(operands) {
                *gradient = term(g, own, other);
            }
        }
    } else {
        for (gradient, ((&g, &own), &other)) in gradient.iter_mut().zip(operands.zip(other)) {
            *gradient = term(g, own, other);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_are_merged_as_far_as_the_broadcast_allows() {
        let walk = Walk::new(&[2, 3, 4, 5], [&[2, 3, 4, 5], &[3, 1, 1]]);
        assert_eq!(walk.extents, [2, 3, 20]);
        assert_eq!(walk.strides, [[60, 0], [20, 1], [1, 0]]);
        let same = Walk::new(&[2, 3, 4], [&[2, 3, 4], &[2, 3, 4]]);
        assert_eq!(same.extents, [24]);
        let scalar = Walk::new(&[], [&[], &[1]]);
        assert_eq!((scalar.line_len(), scalar.line_count()), (1, 1));
    }

    #[test]
    fn a_walk_may_begin_anywhere() {
        let walk = Walk::new(&[3, 4, 5], [&[3, 1, 5], &[4, 1]]);
        let mut all = Vec::new();
        walk.lines(0..walk.line_count(), |line, offsets| {
            all.push((line, offsets))
        });
        for start in 0..all.len() {
            let mut rest = Vec::new();
            walk.lines(start..all.len(), |line, offsets| rest.push((line, offsets)));
            assert_eq!(rest, all[start..]);
        }
        assert_eq!(all[5], (5, [5, 1]));
    }
}

//! Resampling along axes: every output is a weighted sum of a few inputs along one axis at a
//! time. What Resize and adaptive average pooling share.

use super::OpElement;
use super::parallel::for_rows;
use super::shapes::Around;
use crate::num::Element;

/// Which inputs along an axis every output is made of.
#[derive(Clone, Debug)]
pub(super) struct Taps {
    /// The axis.
    pub(super) axis: usize,
    /// For every output, (input, weight).
    pub(super) of: Vec<Vec<(usize, f64)>>,
}

/// y = x resampled along `taps.axis` of `shape`, the input's.
fn along<T: Element>(parallel: bool, taps: &Taps, shape: &[usize], x: &[T], y: &mut [T]) {
    let Around { extent, inner, .. } = Around::axis(shape, taps.axis);
    let (from, to) = (extent * inner, taps.of.len() * inner);
    if to == 0 {
        return;
    }
    for_rows(parallel, y, to, |rows, y| {
        for (row, y) in rows.zip(y.chunks_exact_mut(to)) {
            let x = &x[row * from..][..from];
            for (y, taps) in y.chunks_exact_mut(inner).zip(&taps.of) {
                y.fill(T::zero());
                for &(source, weight) in taps {
                    let weight = T::from_f64(weight);
                    for (y, &x) in y.iter_mut().zip(&x[source * inner..]) {
                        *y += weight * x;
                    }
                }
            }
        }
    });
}

/// The transpose of [`along`]: dx from g.
fn along_back<T: Element>(parallel: bool, taps: &Taps, shape: &[usize], g: &[T], dx: &mut [T]) {
    let Around { extent, inner, .. } = Around::axis(shape, taps.axis);
    let (from, to) = (extent * inner, taps.of.len() * inner);
    if from == 0 {
        return;
    }
    for_rows(parallel, dx, from, |rows, dx| {
        for (row, dx) in rows.zip(dx.chunks_exact_mut(from)) {
            let g = &g[row * to..][..to];
            dx.fill(T::zero());
            for (g, taps) in g.chunks_exact(inner.max(1)).zip(&taps.of) {
                for &(source, weight) in taps {
                    let weight = T::from_f64(weight);
                    for (dx, &g) in dx[source * inner..].iter_mut().zip(g) {
                        *dx += weight * g;
                    }
                }
            }
        }
    });
}

/// The shapes on the way: before the first axis is resampled, after it, and so on.
fn stages(taps: &[Taps], shape: &[usize]) -> Vec<Vec<usize>> {
    let mut stages = vec![shape.to_vec()];
    let mut shape = shape.to_vec();
    for taps in taps {
        shape[taps.axis] = taps.of.len();
        stages.push(shape.clone());
    }
    stages
}

/// y = x of `shape` resampled along one axis after the other.
pub(super) fn resample<T: OpElement>(
    parallel: bool,
    taps: &[Taps],
    shape: &[usize],
    x: &[T],
    y: &mut [T],
) {
    let Some((last, first)) = taps.split_last() else {
        return y.copy_from_slice(x);
    };
    let stages = stages(taps, shape);
    let mut current = None;
    for (taps, pair) in first.iter().zip(stages.windows(2)) {
        let mut next = vec![T::zero(); pair[1].iter().product()];
        along(
            parallel,
            taps,
            &pair[0],
            current.as_deref().unwrap_or(x),
            &mut next,
        );
        current = Some(next);
    }
    let from = &stages[first.len()];
    along(parallel, last, from, current.as_deref().unwrap_or(x), y);
}

/// The transpose of [`resample`]: dx of `shape` from g.
pub(super) fn resample_back<T: OpElement>(
    parallel: bool,
    taps: &[Taps],
    shape: &[usize],
    g: &[T],
    dx: &mut [T],
) {
    let Some((first, rest)) = taps.split_first() else {
        return dx.copy_from_slice(g);
    };
    let stages = stages(taps, shape);
    let mut current = None;
    for (taps, before) in rest.iter().zip(&stages[1..]).rev() {
        let mut next = vec![T::zero(); before.iter().product()];
        along_back(
            parallel,
            taps,
            before,
            current.as_deref().unwrap_or(g),
            &mut next,
        );
        current = Some(next);
    }
    along_back(parallel, first, shape, current.as_deref().unwrap_or(g), dx);
}

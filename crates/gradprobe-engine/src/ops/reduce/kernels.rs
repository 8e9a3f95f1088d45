//! The reductions that are more than a sum, and their pull-backs.

use crate::num::{Element, View};
use crate::ops::broadcast::{Walk, map, pull_back};
use crate::ops::{Context, OpElement};

/// y = the fold of the elements of x that lie over each y.
pub(super) fn fold<T: Element>(
    x: View<'_, T>,
    kept: &[usize],
    y: &mut [T],
    start: T,
    combine: impl Fn(T, T) -> T,
) {
    y.fill(start);
    let walk = Walk::new(x.shape, [kept]);
    let len = walk.line_len();
    walk.lines(0..walk.line_count(), |line, [at]| {
        let x = &x.data[line * len..][..len];
        if walk.steps() == [0] {
            y[at] = x.iter().fold(y[at], |y, &x| combine(y, x));
        } else {
            for (y, &x) in y[at..].iter_mut().zip(x) {
                *y = combine(*y, x);
            }
        }
    });
}

/// dx = f(dx, g), g broadcast to dx.
pub(super) fn combine<T: Element>(
    dx: &mut [T],
    shape: &[usize],
    g: View<'_, T>,
    f: impl Fn(T, T) -> T,
) {
    let walk = Walk::new(shape, [g.shape]);
    let len = walk.line_len();
    walk.lines(0..walk.line_count(), |line, [at]| {
        let dx = &mut dx[line * len..][..len];
        if walk.steps() == [0] {
            let g = g.data[at];
            dx.iter_mut().for_each(|dx| *dx = f(*dx, g));
        } else {
            for (dx, &g) in dx.iter_mut().zip(&g.data[at..]) {
                *dx = f(*dx, g);
            }
        }
    });
}

/// y = √Σ x², each x taken relative to the largest so that no square leaves the range.
pub(super) fn norm<T: OpElement>(context: &Context, x: View<'_, T>, kept: &[usize], y: &mut [T]) {
    T::with_scratch(y.len(), |largest| {
        fold(x, kept, largest, T::zero(), |largest, x| {
            largest.maximum(x.abs())
        });
        let scale = View {
            shape: kept,
            data: &*largest,
        };
        let square = |x: T, scale: T, _| {
            let ratio = T::select(scale == T::zero(), T::zero(), x / scale);
            ratio * ratio
        };
        pull_back(context.parallel, x, y, scale, scale, square);
        for (y, &scale) in y.iter_mut().zip(&*largest) {
            *y = if scale.is_finite() {
                scale * y.sqrt()
            } else {
                scale
            };
        }
    });
}

/// y = ln Σ e^x, each x taken relative to the largest so that no exponential leaves the range.
pub(super) fn log_sum_exp<T: OpElement>(
    context: &Context,
    x: View<'_, T>,
    kept: &[usize],
    y: &mut [T],
) {
    T::with_scratch(y.len(), |largest| {
        fold(x, kept, largest, T::from_f64(f64::NEG_INFINITY), T::maximum);
        let peak = View {
            shape: kept,
            data: &*largest,
        };
        let term = |x: T, peak: T, _| (x - peak).exp();
        pull_back(context.parallel, x, y, peak, peak, term);
        for (y, &peak) in y.iter_mut().zip(&*largest) {
            *y = if peak.is_finite() {
                peak + y.ln()
            } else {
                peak
            };
        }
    });
}

/// ∂x of a maximum or minimum y: the elements that equal y share g evenly. A NaN equals a NaN.
pub(super) fn share_among_ties<T: OpElement>(
    context: &Context,
    x: View<'_, T>,
    y: View<'_, T>,
    g: View<'_, T>,
    dx: &mut [T],
) {
    let ties = |x: T, y: T| {
        let tie = x == y || x.is_nan() && y.is_nan();
        T::select(tie, T::one(), T::zero())
    };
    T::with_scratch(g.data.len(), |shares| {
        pull_back(context.parallel, x, shares, y, y, |x, y, _| ties(x, y));
        for (share, &g) in shares.iter_mut().zip(g.data) {
            *share = g / *share;
        }
        map(context.parallel, x.shape, dx, x, y, ties);
        let shares = View {
            shape: g.shape,
            data: &*shares,
        };
        combine(dx, x.shape, shares, |tie, share| {
            T::select(tie == T::zero(), tie, share)
        });
    });
}

/// ∂x of a product: g times the product of the other elements, from products of those before and
/// of those after, so that zeros need no case of their own.
pub(super) fn others_products<T: OpElement>(x: View<'_, T>, g: View<'_, T>, dx: &mut [T]) {
    let mut owners = vec![0; x.data.len()];
    let walk = Walk::new(x.shape, [g.shape]);
    let (len, [step]) = (walk.line_len(), walk.steps());
    walk.lines(0..walk.line_count(), |line, [at]| {
        for (offset, owner) in owners[line * len..][..len].iter_mut().enumerate() {
            *owner = at + offset * step;
        }
    });
    T::with_scratch(g.data.len(), |products| {
        products.fill(T::one());
        for ((dx, &x), &owner) in dx.iter_mut().zip(x.data).zip(&owners) {
            *dx = products[owner];
            products[owner] *= x;
        }
        products.copy_from_slice(g.data);
        for ((dx, &x), &owner) in dx.iter_mut().zip(x.data).zip(&owners).rev() {
            *dx *= products[owner];
            products[owner] *= x;
        }
    });
}

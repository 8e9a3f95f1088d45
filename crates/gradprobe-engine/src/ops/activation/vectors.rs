//! An activation's formula over slices, in vectors.

use super::formula::Formula;
use crate::num::{Element, Real};
use pulp::{Simd, WithSimd};

/// Calls `redo` for the entries beyond the formula's vector limit, infinities included.
#[inline(always)]
pub(super) fn for_each_beyond<T: Element, F: Formula>(x: &[T], mut redo: impl FnMut(usize)) {
    if F::VECTOR_LIMIT < f64::INFINITY {
        let limit = T::from_f64(F::VECTOR_LIMIT);
        for (i, &x) in x.iter().enumerate() {
            if x.abs() > limit {
                redo(i);
            }
        }
    }
}

// Structs and not closures: a closure is not sure to be inlined into the copies of `dispatch`
// that are compiled for each instruction set, and is then compiled for the oldest.

/// Entries of which it is decided together which way they are computed. Each entry's own size
/// decides which result it is given, so that a result does not depend on its neighbours.
const BLOCK: usize = 64;

/// How a block is computed.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    /// All within the inner limit.
    Inner,
    /// None within it.
    Outer,
    /// Some are: both ways, and of each entry the one that is its own.
    Mixed,
}

#[inline(always)]
fn is_inner<F: Formula, T: Real>(x: T) -> bool {
    x.abs() <= T::from_f64(F::INNER_LIMIT)
}

/// Calls `block(where it lies, its way)` for the blocks of `x`, each entry times `weight`.
#[inline(always)]
fn for_blocks<F: Formula, T: Real>(
    weight: T,
    x: &[T],
    mut block: impl FnMut(std::ops::Range<usize>, Way),
) {
    if F::INNER_LIMIT == 0.0 {
        return block(0..x.len(), Way::Outer);
    }
    let mut start = 0;
    for part in x.chunks(BLOCK) {
        let (mut some_inside, mut some_outside) = (false, false);
        for &x in part {
            let inside = is_inner::<F, T>(weight * x);
            some_inside |= inside;
            some_outside |= !inside;
        }
        let way = match (some_inside, some_outside) {
            (_, false) => Way::Inner,
            (false, true) => Way::Outer,
            (true, true) => Way::Mixed,
        };
        block(start..start + part.len(), way);
        start += part.len();
    }
}

pub(super) struct Apply<'a, F, T> {
    pub formula: &'a F,
    pub x: &'a [T],
    pub y: &'a mut [T],
}

impl<F: Formula, T: Real> WithSimd for Apply<'_, F, T> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        for_blocks::<F, T>(T::one(), self.x, |block, way| {
            let pairs = self.y[block.clone()].iter_mut().zip(&self.x[block]);
            match way {
                Way::Inner => pairs.for_each(|(y, &x)| *y = self.formula.inner(x).0),
                Way::Outer => pairs.for_each(|(y, &x)| *y = self.formula.vector_value(x)),
                Way::Mixed => pairs.for_each(|(y, &x)| {
                    let (inner, outer) = (self.formula.inner(x).0, self.formula.vector_value(x));
                    *y = T::select(is_inner::<F, T>(x), inner, outer);
                }),
            }
        });
    }
}

pub(super) struct Vjp<'a, F, T> {
    pub formula: &'a F,
    pub x: &'a [T],
    pub cotangent: &'a [T],
    pub gradient: &'a mut [T],
}

impl<F: Formula, T: Real> WithSimd for Vjp<'_, F, T> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        let formula = self.formula;
        for_blocks::<F, T>(T::one(), self.x, |block, way| {
            let operands = self.x[block.clone()]
                .iter()
                .zip(&self.cotangent[block.clone()]);
            let each = self.gradient[block].iter_mut().zip(operands);
            match way {
                Way::Inner => each.for_each(|(g, (&x, &cotangent))| {
                    *g = cotangent * formula.inner(x).1;
                }),
                Way::Outer => each.for_each(|(g, (&x, &cotangent))| {
                    *g = formula.pull(x, cotangent);
                }),
                Way::Mixed => each.for_each(|(g, (&x, &cotangent))| {
                    let (inner, outer) = (formula.inner(x).1, formula.vector_derivative(x));
                    *g = cotangent * T::select(is_inner::<F, T>(x), inner, outer);
                }),
            }
        });
    }
}

pub(super) struct FrameworkApply<'a, F, T> {
    pub formula: &'a F,
    pub x: &'a [T],
    pub y: &'a mut [T],
}

impl<F: Formula, T: Real> WithSimd for FrameworkApply<'_, F, T> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        for (y, &x) in self.y.iter_mut().zip(self.x) {
            *y = self.formula.framework_value(x);
        }
    }
}

pub(super) struct FrameworkVjp<'a, F, T> {
    pub formula: &'a F,
    pub x: &'a [T],
    pub y: &'a [T],
    pub cotangent: &'a [T],
    pub gradient: &'a mut [T],
}

impl<F: Formula, T: Real> WithSimd for FrameworkVjp<'_, F, T> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        let masks = !self.formula.underflows();
        let operands = self.x.iter().zip(self.y).zip(self.cotangent);
        for (gradient, ((&x, &y), &cotangent)) in self.gradient.iter_mut().zip(operands) {
            let derivative = self.formula.framework_derivative(x, y);
            let masked = masks & (derivative == T::zero());
            *gradient = T::select(masked, T::zero(), cotangent * derivative);
        }
    }
}

pub(super) struct Both<'a, F, T> {
    pub formula: &'a F,
    pub weight: T,
    pub x: &'a [T],
    pub y: &'a mut [T],
    pub derivative: &'a mut [T],
}

impl<F: Formula, T: Real> WithSimd for Both<'_, F, T> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        let Self {
            formula, weight, ..
        } = self;
        for_blocks::<F, T>(weight, self.x, |block, way| {
            let x = &self.x[block.clone()];
            let y = &mut self.y[block.clone()];
            let derivative = &mut self.derivative[block];
            if way == Way::Inner {
                for ((y, derivative), &x) in y.iter_mut().zip(derivative).zip(x) {
                    (*y, *derivative) = formula.inner(weight * x);
                }
                return;
            }
            for ((y, derivative), &x) in y.iter_mut().zip(derivative.iter_mut()).zip(x) {
                let x = weight * x;
                (*y, *derivative) = if F::VECTOR_LIMIT < f64::INFINITY {
                    (formula.vector_value(x), formula.vector_derivative(x))
                } else if F::IN_HALVES {
                    formula.begin(x)
                } else {
                    formula.value_and_derivative(x)
                };
            }
            if F::IN_HALVES {
                for ((y, derivative), &x) in y.iter_mut().zip(derivative.iter_mut()).zip(x) {
                    (*y, *derivative) = formula.end(weight * x, (*y, *derivative));
                }
            }
            if way == Way::Mixed {
                for ((y, derivative), &x) in y.iter_mut().zip(derivative).zip(x) {
                    let x = weight * x;
                    let (value, slope) = formula.inner(x);
                    let inside = is_inner::<F, T>(x);
                    *y = T::select(inside, value, *y);
                    *derivative = T::select(inside, slope, *derivative);
                }
            }
        });
    }
}

//! Add, Sub, Mul, Div, Mod, Fmod, Pow (broadcasting as NumPy does), Neg and Sum.
//!
//! | op | value | ∂/∂a | ∂/∂b |
//! |---|---|---|---|
//! | Add | a + b | g | g |
//! | Sub | a − b | g | −g |
//! | Mul | a·b | g·b | g·a |
//! | Div | a/b | g/b | −g·(a/b)/b |
//! | Mod | a − b·⌊a/b⌋ | g | −g·⌊a/b⌋ |
//! | Fmod | a − b·trunc(a/b) | g | −g·trunc(a/b) |
//! | Pow | a^b | g·b·a^(b−1), 0 where b = 0 | g·a^b·ln a, 0 where a = 0 and b ≥ 0 |

use super::broadcast::{Walk, map, pull_back, sum_back};
use super::parallel::for_rows;
use super::shapes::{broadcast, broadcast_per_sample, expect_inputs};
use super::{Autocast, Context, Kernel, Op, OpElement, OpError, OpFacts, Role, Saved};
use crate::num::{Element, Shape, View, ViewMut};

/// An op of two operands, element by element after broadcasting.
pub(super) trait Binary: Sync {
    /// Do the pull-backs read the operands? If not, these may have been freed.
    const READS_INPUTS: bool;

    fn value<T: Element>(a: T, b: T) -> T;
    /// Cotangent of a, from that of the result.
    fn pull_a<T: Element>(g: T, a: T, b: T) -> T;
    /// Cotangent of b, from that of the result.
    fn pull_b<T: Element>(g: T, b: T, a: T) -> T;
}

pub(super) fn forward_binary<B: Binary, T: Element>(
    context: &Context,
    inputs: &[View<'_, T>],
    outputs: &mut [ViewMut<'_, T>],
) {
    let out = &mut outputs[0];
    map(
        context.parallel,
        out.shape,
        out.data,
        inputs[0],
        inputs[1],
        B::value,
    );
}

pub(super) fn vjp_binary<B: Binary, T: Element>(
    context: &Context,
    inputs: &[View<'_, T>],
    cotangent: View<'_, T>,
    gradients: &mut [Option<ViewMut<'_, T>>],
) {
    let (a, b) = (inputs[0], inputs[1]);
    let parallel = context.parallel;
    if let Some(gradient) = &mut gradients[0] {
        if B::READS_INPUTS {
            pull_back(parallel, cotangent, gradient.data, a, b, B::pull_a);
        } else {
            let pull = |g| B::pull_a(g, T::zero(), T::zero());
            sum_back(parallel, cotangent, gradient.data, a.shape, pull);
        }
    }
    if let Some(gradient) = &mut gradients[1] {
        if B::READS_INPUTS {
            pull_back(parallel, cotangent, gradient.data, b, a, B::pull_b);
        } else {
            let pull = |g| B::pull_b(g, T::zero(), T::zero());
            sum_back(parallel, cotangent, gradient.data, b.shape, pull);
        }
    }
}

macro_rules! binary {
    (
        $(#[$doc:meta])* $name:ident,
        value: $value:expr,
        pull_a: $pull_a:expr,
        pull_b: $pull_b:expr,
        reads_inputs: $reads:expr
        $(, autocast: $autocast:expr)?
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default)]
        pub struct $name;

        impl Binary for $name {
            const READS_INPUTS: bool = $reads;

            #[inline(always)]
            fn value<T: Element>(a: T, b: T) -> T {
                let value: fn(T, T) -> T = $value;
                value(a, b)
            }
            #[inline(always)]
            fn pull_a<T: Element>(g: T, a: T, b: T) -> T {
                let pull: fn(T, T, T) -> T = $pull_a;
                pull(g, a, b)
            }
            #[inline(always)]
            fn pull_b<T: Element>(g: T, b: T, a: T) -> T {
                let pull: fn(T, T, T) -> T = $pull_b;
                pull(g, b, a)
            }
        }

        impl<T: OpElement> Kernel<T> for $name {
            fn forward(
                &self,
                context: &Context,
                inputs: &[View<'_, T>],
                outputs: &mut [ViewMut<'_, T>],
            ) -> Result<(), OpError> {
                forward_binary::<Self, T>(context, inputs, outputs);
                Ok(())
            }

            fn vjp(
                &self,
                context: &Context,
                saved: Saved<'_, T>,
                cotangents: &[Option<View<'_, T>>],
                gradients: &mut [Option<ViewMut<'_, T>>],
            ) -> Result<i64, OpError> {
                if let Some(cotangent) = cotangents[0] {
                    vjp_binary::<Self, T>(context, saved.inputs, cotangent, gradients);
                }
                Ok(0)
            }
        }

        impl Op for $name {
            fn name(&self) -> &'static str {
                stringify!($name)
            }

            fn role(&self) -> Role {
                Role::Other
            }

            fn facts(&self) -> OpFacts {
                OpFacts {
                    $(autocast: $autocast,)?
                    ..OpFacts::default()
                }
            }

            fn infer(&self, inputs: &[&Shape]) -> Result<Vec<Shape>, OpError> {
                expect_inputs(inputs, 2..=2)?;
                Ok(vec![broadcast(&[inputs[0], inputs[1]])?])
            }

            fn per_sample(&self, sampled: &[bool], inputs: &[&Shape]) -> bool {
                broadcast_per_sample(sampled, inputs)
            }

            fn reads_input(&self, _input: usize) -> bool {
                <Self as Binary>::READS_INPUTS
            }

            fn reads_outputs(&self) -> bool {
                false
            }
        }
    };
}

binary!(
    /// a + b.
    Add,
    value: |a, b| a + b,
    pull_a: |g, _, _| g,
    pull_b: |g, _, _| g,
    reads_inputs: false
);
binary!(
    /// a − b.
    Sub,
    value: |a, b| a - b,
    pull_a: |g, _, _| g,
    pull_b: |g, _, _| -g,
    reads_inputs: false
);
binary!(
    /// a · b.
    Mul,
    value: |a, b| a * b,
    pull_a: |g, _, b| g * b,
    pull_b: |g, _, a| g * a,
    reads_inputs: true
);
binary!(
    /// a / b.
    Div,
    value: |a, b| a / b,
    pull_a: |g, _, b| g / b,
    pull_b: |g, b, a| -(g * (a / b) / b),
    reads_inputs: true
);
binary!(
    /// The remainder of a / b with the sign of b, as Python's `%`.
    Mod,
    value: modulo,
    pull_a: |g, _, _| g,
    pull_b: |g, b, a| -(g * floor_quotient(a, b)),
    reads_inputs: true
);
binary!(
    /// The remainder of a / b with the sign of a, as C's `fmod`.
    Fmod,
    value: remainder,
    pull_a: |g, _, _| g,
    pull_b: |g, b, a| -(g * whole_quotient(a, b, remainder(a, b))),
    reads_inputs: true
);
binary!(
    /// a^b. A negative base has a power where b is whole, and no derivative with respect to b
    /// (NaN), as in PyTorch.
    Pow,
    value: power,
    pull_a: |g, a, b| {
        if b == T::zero() {
            T::zero()
        } else {
            g * (b * power(a, b - T::one()))
        }
    },
    pull_b: |g, b, a| {
        let flat = a == T::zero() && b >= T::zero();
        g * T::select(flat, T::zero(), power(a, b) * a.ln())
    },
    reads_inputs: true,
    autocast: Autocast::Single
);

/// C's `fmod`, which is exact: also where the quotient is larger than the type counts.
fn remainder<T: Element>(a: T, b: T) -> T {
    T::from_f64(a.to_f64() % b.to_f64())
}

fn modulo<T: Element>(a: T, b: T) -> T {
    let remainder = remainder(a, b);
    if is_on_other_side(remainder, b) {
        remainder + b
    } else {
        remainder
    }
}

fn is_on_other_side<T: Element>(remainder: T, b: T) -> bool {
    remainder != T::zero() && (remainder < T::zero()) != (b < T::zero())
}

/// The largest whole number that is not above a / b: also where b is infinite.
fn floor_quotient<T: Element>(a: T, b: T) -> T {
    let remainder = remainder(a, b);
    let towards_zero = whole_quotient(a, b, remainder);
    if is_on_other_side(remainder, b) {
        towards_zero - T::one()
    } else {
        towards_zero
    }
}

/// The whole number q of a = q·b + r.
fn whole_quotient<T: Element>(a: T, b: T, r: T) -> T {
    T::from_f64(((a - r) / b).to_f64().round())
}

/// base^exponent. The exponents of squares, roots and the like need no logarithm; the others go
/// through libm, the same on every machine.
fn power<T: Element>(base: T, exponent: T) -> T {
    match exponent.to_f64() {
        2.0 => base * base,
        1.0 => base,
        -1.0 => T::one() / base,
        exponent => T::from_f64(libm::pow(base.to_f64(), exponent)),
    }
}

/// −x.
#[derive(Clone, Copy, Debug, Default)]
pub struct Neg;

impl<T: OpElement> Kernel<T> for Neg {
    fn forward(
        &self,
        context: &Context,
        inputs: &[View<'_, T>],
        outputs: &mut [ViewMut<'_, T>],
    ) -> Result<(), OpError> {
        negate(context, inputs[0].data, outputs[0].data);
        Ok(())
    }

    fn vjp(
        &self,
        context: &Context,
        _saved: Saved<'_, T>,
        cotangents: &[Option<View<'_, T>>],
        gradients: &mut [Option<ViewMut<'_, T>>],
    ) -> Result<i64, OpError> {
        if let (Some(cotangent), Some(gradient)) = (cotangents[0], &mut gradients[0]) {
            negate(context, cotangent.data, gradient.data);
        }
        Ok(0)
    }
}

fn negate<T: Element>(context: &Context, from: &[T], to: &mut [T]) {
    for_rows(context.parallel, to, 1, |range, to| {
        for (to, &from) in to.iter_mut().zip(&from[range]) {
            *to = -from;
        }
    });
}

impl Op for Neg {
    fn name(&self) -> &'static str {
        "Neg"
    }

    fn role(&self) -> Role {
        Role::Other
    }

    fn infer(&self, inputs: &[&Shape]) -> Result<Vec<Shape>, OpError> {
        expect_inputs(inputs, 1..=1)?;
        Ok(vec![inputs[0].clone()])
    }

    fn per_sample(&self, sampled: &[bool], inputs: &[&Shape]) -> bool {
        broadcast_per_sample(sampled, inputs)
    }

    fn reads_input(&self, _input: usize) -> bool {
        false
    }

    fn reads_outputs(&self) -> bool {
        false
    }
}

/// The sum of one or more operands, broadcast against each other.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sum;

impl<T: OpElement> Kernel<T> for Sum {
    fn forward(
        &self,
        context: &Context,
        inputs: &[View<'_, T>],
        outputs: &mut [ViewMut<'_, T>],
    ) -> Result<(), OpError> {
        let out = &mut outputs[0];
        let first = inputs[0];
        let second = inputs.get(1);
        let f = |a, b| if second.is_some() { a + b } else { a };
        map(
            context.parallel,
            out.shape,
            out.data,
            first,
            *second.unwrap_or(&first),
            f,
        );
        for operand in inputs.iter().skip(2) {
            add_broadcast(out, *operand);
        }
        Ok(())
    }

    fn vjp(
        &self,
        context: &Context,
        saved: Saved<'_, T>,
        cotangents: &[Option<View<'_, T>>],
        gradients: &mut [Option<ViewMut<'_, T>>],
    ) -> Result<i64, OpError> {
        let Some(cotangent) = cotangents[0] else {
            return Ok(0);
        };
        for (gradient, own) in gradients.iter_mut().zip(saved.inputs) {
            if let Some(gradient) = gradient {
                sum_back(context.parallel, cotangent, gradient.data, own.shape, |g| g);
            }
        }
        Ok(0)
    }
}

fn add_broadcast<T: Element>(out: &mut ViewMut<'_, T>, operand: View<'_, T>) {
    let walk = Walk::new(out.shape, [operand.shape]);
    let len = walk.line_len();
    walk.lines(0..walk.line_count(), |line, [at]| {
        let out = &mut out.data[line * len..][..len];
        if walk.steps() == [0] {
            let value = operand.data[at];
            out.iter_mut().for_each(|out| *out += value);
        } else {
            for (out, &value) in out.iter_mut().zip(&operand.data[at..]) {
                *out += value;
            }
        }
    });
}

impl Op for Sum {
    fn name(&self) -> &'static str {
        "Sum"
    }

    fn role(&self) -> Role {
        Role::Other
    }

    fn infer(&self, inputs: &[&Shape]) -> Result<Vec<Shape>, OpError> {
        expect_inputs(inputs, 1..=usize::MAX)?;
        let shapes: Vec<&[usize]> = inputs.iter().map(|shape| &shape[..]).collect();
        Ok(vec![broadcast(&shapes)?])
    }

    fn per_sample(&self, sampled: &[bool], inputs: &[&Shape]) -> bool {
        broadcast_per_sample(sampled, inputs)
    }

    fn reads_input(&self, _input: usize) -> bool {
        false
    }

    fn reads_outputs(&self) -> bool {
        false
    }
}

//! Functions of one operand, element by element, that are not activations: Abs, Cos, Exp, Log,
//! Reciprocal, Sqrt, Clip, and the steps Ceil, Floor, Round and Sign; Tan, the hyperbolic functions
//! and inverses in `trigonometric`. (Sin, Erf and Atan are activations: see
//! [`activation`](super::activation).)
//!
//! | op | y | ∂x |
//! |---|---|---|
//! | Abs | \|x\| | g·sign(x), 0·g at 0 |
//! | Cos | cos x | −g·sin x |
//! | Exp | e^x | g·y |
//! | Log | ln x | g/x |
//! | Reciprocal | 1/x | −g·y² |
//! | Sqrt | √x | g/(2y), infinite at 0 |
//! | Ceil, Floor, Round, Sign | | 0 |
//! | Clip | x within \[min, max\] | g where min < x < max, else 0 |
//!
//! At kinks and poles they are what PyTorch computes.

use super::attributes::AttributeReader;
use super::parallel::for_rows;
use super::shapes::expect_inputs;
use super::{Attributes, Autocast, Context, Kernel, Op, OpElement, OpError, OpFacts, Role, Saved};
use crate::num::{Element, Shape, View, ViewMut};

/// Which of x and y a pull-back reads; what it does not read may have been freed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reads {
    Input,
    Output,
}

trait Unary: Sync {
    const READS: Reads;
    const FACTS: OpFacts = OpFacts::NONE;

    fn value<T: Element>(&self, x: T) -> T;
    /// The cotangent of x, from that of y and from x or y, as `READS` says.
    fn pull<T: Element>(&self, g: T, read: T) -> T;
}

macro_rules! unary_op {
    ($name:ident) => {
        impl<T: OpElement> Kernel<T> for $name {
            fn forward(
                &self,
                context: &Context,
                inputs: &[View<'_, T>],
                outputs: &mut [ViewMut<'_, T>],
            ) -> Result<(), OpError> {
                let x = inputs[0].data;
                for_rows(context.parallel, outputs[0].data, 1, |range, y| {
                    for (y, &x) in y.iter_mut().zip(&x[range]) {
                        *y = self.value(x);
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
                let read = match Self::READS {
                    Reads::Input => saved.inputs[0].data,
                    Reads::Output => saved.outputs[0].data,
                };
                for_rows(context.parallel, gradient.data, 1, |range, dx| {
                    let operands = g.data[range.clone()].iter().zip(&read[range]);
                    for (dx, (&g, &read)) in dx.iter_mut().zip(operands) {
                        *dx = self.pull(g, read);
                    }
                });
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

            fn infer(&self, inputs: &[&Shape]) -> Result<Vec<Shape>, OpError> {
                expect_inputs(inputs, 1..=1)?;
                Ok(vec![inputs[0].clone()])
            }

            fn per_sample(&self, sampled: &[bool], _inputs: &[&Shape]) -> bool {
                sampled[0]
            }

            fn facts(&self) -> $crate::ops::OpFacts {
                Self::FACTS
            }

            fn reads_input(&self, _input: usize) -> bool {
                Self::READS == Reads::Input
            }

            fn reads_outputs(&self) -> bool {
                Self::READS == Reads::Output
            }
        }
    };
}

macro_rules! unary {
    (
        $(#[$doc:meta])* $name:ident,
        value: $value:expr,
        reads: $reads:ident,
        pull: $pull:expr
        $(, facts: $facts:expr)?
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default)]
        pub struct $name;

        impl Unary for $name {
            const READS: Reads = Reads::$reads;
            $(const FACTS: OpFacts = $facts;)?

            #[inline(always)]
            fn value<T: Element>(&self, x: T) -> T {
                let value: fn(T) -> T = $value;
                value(x)
            }
            #[inline(always)]
            fn pull<T: Element>(&self, g: T, read: T) -> T {
                let pull: fn(T, T) -> T = $pull;
                pull(g, read)
            }
        }

        unary_op!($name);
    };
}

mod trigonometric;

pub use trigonometric::{Acos, Acosh, Asin, Asinh, Atanh, Cosh, Sinh, Tan};

unary!(
    /// |x|.
    Abs,
    value: |x| x.abs(),
    reads: Input,
    pull: |g, x| {
        let zero = T::zero();
        // PyTorch's sign of 0 and of NaN is 0, by which it multiplies.
        T::select(x > zero, g, T::select(x < zero, -g, zero * g))
    }
);
unary!(
    /// cos x.
    Cos,
    value: |x| x.cos(),
    reads: Input,
    pull: |g, x| -(g * x.sin())
);
unary!(
    /// e^x.
    Exp,
    value: |x| x.exp(),
    reads: Output,
    pull: |g, y| g * y,
    facts: SINGLE
);
unary!(
    /// ln x: −∞ at 0, NaN below.
    Log,
    value: |x| x.ln(),
    reads: Input,
    pull: |g, x| g / x,
    facts: SINGLE
);
unary!(
    /// 1/x.
    Reciprocal,
    value: |x| T::one() / x,
    reads: Output,
    pull: |g, y| -(g * y * y),
    facts: SINGLE
);
unary!(
    /// √x; NaN below 0.
    Sqrt,
    value: |x| x.sqrt(),
    reads: Output,
    pull: |g, y| g / (y + y)
);

unary!(
    /// The least whole number that is not below x. Its derivative is 0, as in PyTorch.
    Ceil,
    value: |x| T::from_f64(x.to_f64().ceil()),
    reads: Output,
    pull: flat,
    facts: STEP
);
unary!(
    /// The largest whole number that is not above x. Its derivative is 0, as in PyTorch.
    Floor,
    value: |x| T::from_f64(x.to_f64().floor()),
    reads: Output,
    pull: flat,
    facts: STEP
);
unary!(
    /// The nearest whole number, of two as near the even one. Its derivative is 0, as in PyTorch.
    Round,
    value: |x| T::from_f64(x.to_f64().round_ties_even()),
    reads: Output,
    pull: flat,
    facts: STEP
);
unary!(
    /// −1, 0 or 1; 0 for NaN, as in PyTorch. Its derivative is 0, likewise.
    Sign,
    value: |x| {
        let one = T::one().copysign(x);
        T::select(x == T::zero() || x.is_nan(), T::zero(), one)
    },
    reads: Output,
    pull: flat,
    facts: STEP
);

const SINGLE: OpFacts = OpFacts {
    autocast: Autocast::Single,
    ..OpFacts::NONE
};
const STEP: OpFacts = OpFacts {
    is_step: true,
    ..OpFacts::NONE
};

/// 0, whatever arrives.
fn flat<T: Element>(_g: T, _y: T) -> T {
    T::zero()
}

/// x, but no less than `min` and no more than `max`; `max` where they cross, as in ONNX. The
/// cotangent passes where min < x < max, the ends excluded, as through PyTorch's `clamp` (2.15)
/// and `hardtanh`.
#[derive(Clone, Copy, Debug)]
pub struct Clip {
    /// The least value; −∞ for none.
    pub min: f64,
    /// The largest value; +∞ for none.
    pub max: f64,
}

impl Default for Clip {
    fn default() -> Self {
        Self {
            min: f64::NEG_INFINITY,
            max: f64::INFINITY,
        }
    }
}

impl Clip {
    pub(super) fn from_attributes(attributes: &Attributes) -> Result<Box<dyn Op>, OpError> {
        let mut reader = AttributeReader::new(attributes);
        let min = reader.bound("min", f64::NEG_INFINITY)?;
        let max = reader.bound("max", f64::INFINITY)?;
        reader.finish()?;
        Ok(Box::new(Self { min, max }))
    }
}

impl Unary for Clip {
    const READS: Reads = Reads::Input;

    #[inline(always)]
    fn value<T: Element>(&self, x: T) -> T {
        let (min, max) = (T::from_f64(self.min), T::from_f64(self.max));
        let raised = T::select(x < min, min, x);
        T::select(raised > max, max, raised)
    }

    #[inline(always)]
    fn pull<T: Element>(&self, g: T, x: T) -> T {
        let (min, max) = (T::from_f64(self.min), T::from_f64(self.max));
        // An infinite bound is none.
        let above = x > min || self.min == f64::NEG_INFINITY;
        let below = x < max || self.max == f64::INFINITY;
        T::select(above && below, g, T::zero())
    }
}

unary_op!(Clip);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinks_and_poles_are_those_of_pytorch() {
        assert_eq!(Abs.pull(3.0, 0.0), 0.0);
        assert_eq!(Abs.pull(3.0, -2.0), -3.0);
        assert_eq!(Sqrt.pull(3.0, 0.0), f64::INFINITY);
        assert_eq!(Log.value(0.0), f64::NEG_INFINITY);
        assert!(Log.value(-1.0).is_nan());
        let clip = Clip {
            min: -1.0,
            max: 2.0,
        };
        assert_eq!([-3.0, 0.5, 7.0].map(|x| clip.value(x)), [-1.0, 0.5, 2.0]);
        assert_eq!(
            [-1.0, 0.5, 2.0, 2.5].map(|x| clip.pull(3.0, x)),
            [0.0, 3.0, 0.0, 0.0]
        );
        let crossed = Clip {
            min: 1.0,
            max: -1.0,
        };
        assert_eq!(crossed.value(0.0), -1.0);
    }

    #[test]
    fn a_step_is_taken_where_pytorch_takes_it() {
        assert_eq!([0.5, 1.5, -2.5].map(|x| Round.value(x)), [0.0, 2.0, -2.0]);
        assert_eq!([-0.5, 1.0].map(|x| Ceil.value(x)), [0.0, 1.0]);
        assert_eq!([-0.5, 1.0].map(|x| Floor.value(x)), [-1.0, 1.0]);
        assert_eq!([-7.0, 0.0, 2.0].map(|x| Sign.value(x)), [-1.0, 0.0, 1.0]);
    }

    #[test]
    fn a_nan_goes_on_where_the_function_is_smooth_and_is_selected_where_it_is_not() {
        fn check(op: &impl Unary, pulled: f64) {
            assert!(op.value(f64::NAN).is_nan());
            let pull = op.pull(1.0, f64::NAN);
            assert!(pull == pulled || pull.is_nan() && pulled.is_nan());
        }
        check(&Cos, f64::NAN);
        check(&Exp, f64::NAN);
        check(&Log, f64::NAN);
        check(&Reciprocal, f64::NAN);
        check(&Sqrt, f64::NAN);
        check(&Abs, 0.0);
        check(&Ceil, 0.0);
        check(&Floor, 0.0);
        check(&Round, 0.0);
        let (min, max) = (-1.0, 1.0);
        check(&Clip { min, max }, 0.0);
        assert_eq!(Sign.value(f64::NAN), 0.0);
    }
}

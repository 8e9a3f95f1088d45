//! Comparisons and logic, element by element after broadcasting: what conditions and masks are
//! made of. Their results are 1 for true and 0 for false, and have no gradient.

use super::broadcast::map;
use super::shapes::{broadcast, broadcast_per_sample, expect_inputs};
use super::{Context, Kernel, Op, OpElement, OpError, OpFacts, Role, Saved};
use crate::num::{Element, Shape, View, ViewMut};

macro_rules! comparison {
    ($(#[$doc:meta])* $name:ident, $operands:literal, $holds:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default)]
        pub struct $name;

        impl<T: OpElement> Kernel<T> for $name {
            fn forward(
                &self,
                context: &Context,
                inputs: &[View<'_, T>],
                outputs: &mut [ViewMut<'_, T>],
            ) -> Result<(), OpError> {
                let (a, b) = (inputs[0], inputs[$operands - 1]);
                let out = &mut outputs[0];
                let holds: fn(T, T) -> bool = $holds;
                map(context.parallel, out.shape, out.data, a, b, |a, b| {
                    T::select(holds(a, b), T::one(), T::zero())
                });
                Ok(())
            }

            fn vjp(
                &self,
                _context: &Context,
                _saved: Saved<'_, T>,
                _cotangents: &[Option<View<'_, T>>],
                gradients: &mut [Option<ViewMut<'_, T>>],
            ) -> Result<i64, OpError> {
                for gradient in gradients.iter_mut().flatten() {
                    gradient.data.fill(T::zero());
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

            fn infer(&self, inputs: &[&Shape]) -> Result<Vec<Shape>, OpError> {
                expect_inputs(inputs, $operands..=$operands)?;
                Ok(vec![broadcast(&[inputs[0], inputs[$operands - 1]])?])
            }

            fn per_sample(&self, sampled: &[bool], inputs: &[&Shape]) -> bool {
                broadcast_per_sample(sampled, inputs)
            }

            fn facts(&self) -> OpFacts {
                OpFacts {
                    is_step: true,
                    ..OpFacts::default()
                }
            }

            fn differentiable(&self, _input: usize) -> bool {
                false
            }

            fn reads_input(&self, _input: usize) -> bool {
                false
            }

            fn reads_outputs(&self) -> bool {
                false
            }
        }
    };
}

fn truth<T: Element>(x: T) -> bool {
    x != T::zero()
}

comparison!(
    /// Are both operands other than 0?
    And,
    2,
    |a, b| truth(a) && truth(b)
);
comparison!(
    /// a = b.
    Equal,
    2,
    |a, b| a == b
);
comparison!(
    /// a > b; false for a NaN, as all orders are.
    Greater,
    2,
    |a, b| a > b
);
comparison!(
    /// a ≥ b.
    GreaterOrEqual,
    2,
    |a, b| a >= b
);
comparison!(
    /// Is it not a number?
    IsNaN,
    1,
    |a, _| a.is_nan()
);
comparison!(
    /// a < b.
    Less,
    2,
    |a, b| a < b
);
comparison!(
    /// a ≤ b.
    LessOrEqual,
    2,
    |a, b| a <= b
);
comparison!(
    /// Is the operand 0?
    Not,
    1,
    |a, _| !truth(a)
);
comparison!(
    /// Is either operand other than 0?
    Or,
    2,
    |a, b| truth(a) || truth(b)
);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::num::Tensor;
    use crate::ops::apply;

    #[test]
    fn comparisons_are_those_of_ieee_754() {
        let of = |op: &dyn Op, operands: &[f64]| {
            let operands: Vec<_> = operands.iter().map(|&x| Tensor::new([], vec![x])).collect();
            let y = apply(op, &Context::default(), &operands).expect("they fit");
            y[0].data()[0] == 1.0
        };
        assert!(of(&Equal, &[0.0, -0.0]) && !of(&Equal, &[f64::NAN, f64::NAN]));
        assert!(of(&Greater, &[2.0, 1.0]) && !of(&Greater, &[f64::NAN, 1.0]));
        assert!(of(&LessOrEqual, &[1.0, 1.0]) && !of(&Less, &[1.0, 1.0]));
        assert!(of(&And, &[1.0, 2.0]) && !of(&And, &[1.0, 0.0]) && of(&Or, &[1.0, 0.0]));
        assert!(of(&Not, &[0.0]) && of(&IsNaN, &[f64::NAN]));
    }
}

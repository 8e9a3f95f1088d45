//! Straight-through estimators.

use super::shapes::{expect_inputs, expect_shape};
use super::{Context, Kernel, Op, OpElement, OpError, Role, Saved};
use crate::num::{Shape, View, ViewMut};

/// Inputs x and y = f(x): the value is y, the gradient passes as if it were x (Bengio, Léonard and
/// Courville 2013).
///
/// ∂x = g, ∂y = 0. It is in no specification and no file, so the registry has no row for it: the
/// ONNX importer puts it where it is asked to.
#[derive(Clone, Copy, Debug, Default)]
pub struct StraightThrough;

impl<T: OpElement> Kernel<T> for StraightThrough {
    fn forward(
        &self,
        _context: &Context,
        inputs: &[View<'_, T>],
        outputs: &mut [ViewMut<'_, T>],
    ) -> Result<(), OpError> {
        outputs[0].data.copy_from_slice(inputs[1].data);
        Ok(())
    }

    fn vjp(
        &self,
        _context: &Context,
        _saved: Saved<'_, T>,
        cotangents: &[Option<View<'_, T>>],
        gradients: &mut [Option<ViewMut<'_, T>>],
    ) -> Result<i64, OpError> {
        let [dx, dy] = gradients else {
            return Ok(0);
        };
        if let (Some(dx), Some(g)) = (dx, cotangents[0]) {
            dx.data.copy_from_slice(g.data);
        }
        if let Some(dy) = dy {
            dy.data.fill(T::zero());
        }
        Ok(0)
    }
}

impl Op for StraightThrough {
    fn name(&self) -> &'static str {
        "StraightThrough"
    }

    fn role(&self) -> Role {
        Role::Other
    }

    fn infer(&self, inputs: &[&Shape]) -> Result<Vec<Shape>, OpError> {
        expect_inputs(inputs, 2..=2)?;
        expect_shape("y", &inputs[0][..], inputs[1])?;
        Ok(vec![inputs[0].clone()])
    }

    fn per_sample(&self, sampled: &[bool], _inputs: &[&Shape]) -> bool {
        sampled.iter().all(|&sampled| sampled)
    }

    fn differentiable(&self, input: usize) -> bool {
        input == 0
    }

    fn reads_input(&self, _input: usize) -> bool {
        false
    }

    fn reads_outputs(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::num::Tensor;
    use crate::ops::{apply, apply_vjp};

    #[test]
    fn the_value_is_that_of_y_and_the_gradient_that_of_x() {
        let (x, y) = (
            Tensor::new([2, 2], vec![0.2, -0.7, 1.5, -2.5]),
            Tensor::new([2, 2], vec![1.0, -1.0, 1.0, -1.0]),
        );
        let context = Context::default();
        let inputs = [x, y.clone()];
        let outputs = apply(&StraightThrough, &context, &inputs).expect("fits");
        assert_eq!(outputs[0].data(), y.data());
        let cotangent = Tensor::new([2, 2], vec![3.0, 0.5, f64::NAN, -1.0]);
        let wanted = [true, true];
        let cotangents = std::slice::from_ref(&cotangent);
        let pulled = apply_vjp(
            &StraightThrough,
            &context,
            &inputs,
            &outputs,
            cotangents,
            &wanted,
        );
        let (gradients, exponent) = pulled.expect("pulls back");
        assert_eq!(exponent, 0);
        let dx = gradients[0].as_ref().expect("a gradient").data();
        assert_eq!(dx[..2], [3.0, 0.5]);
        assert!(dx[2].is_nan());
        assert_eq!(gradients[1].as_ref().expect("zeros").data(), [0.0; 4]);
    }
}

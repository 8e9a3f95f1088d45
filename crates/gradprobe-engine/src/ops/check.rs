//! Holding an op's pull-back against central differences, for whoever writes an op.

use super::{Context, Op, OpError, apply, apply_vjp};
use crate::num::Tensor;

/// The step of the differences, relative to max(1, |x|). With four points the error of the
/// formula is about h⁴ f⁗′/30 and that of rounding about 1e-16 |f|/h: both near 1e-13.
const STEP: f64 = 1e-3;
/// An entry's error is relative to the entry, but to no less than this part of the largest one.
const SMALLEST_PART: f64 = 1e-3;
/// Rounding of the differences, relative to Σ|cotangent · output|, times what would make an error
/// of 1e-8 of it.
const ROUNDING_FLOOR: f64 = 1e-5;

/// Where a gradient is farthest from the differences.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GradientError {
    /// Which input.
    pub input: usize,
    /// Which of its elements, in row-major order.
    pub element: usize,
    /// What the pull-back says.
    pub pulled_back: f64,
    /// What the central difference says.
    pub difference: f64,
    /// Their relative distance.
    pub relative: f64,
}

/// Compares an op's pull-back with central differences in f64, from cotangents drawn from `seed`,
/// in every element of every differentiable input. Returns the worst; `None` where there is
/// nothing to compare.
///
/// The differences are f′(x) ≈ (f(x − 2h) − 8f(x − h) + 8f(x + h) − f(x + 2h))/12h with
/// h = 1e-3 max(1, |x|), so keep the inputs 2h away from kinks. An entry's error is relative to
/// the entry itself or a thousandth of the largest, whichever is larger. A correct pull-back stays
/// below 1e-6; an error is NaN where either side is.
///
/// ```
/// use gradprobe_engine::num::Tensor;
/// use gradprobe_engine::ops::{Context, Mul, check_gradients};
///
/// let a = Tensor::new([2, 2], vec![1.0, -2.0, 3.0, 0.5]);
/// let b = Tensor::new([2], vec![0.3, -4.0]);
/// let worst = check_gradients(&Mul, &Context::default(), &[a, b], 7)?;
/// assert!(worst.expect("four elements").relative < 1e-6);
/// # Ok::<(), gradprobe_engine::ops::OpError>(())
/// ```
pub fn check_gradients(
    op: &dyn Op,
    context: &Context,
    inputs: &[Tensor<f64>],
    seed: u64,
) -> Result<Option<GradientError>, OpError> {
    let outputs = apply(op, context, inputs)?;
    let visible = outputs.len() - op.kept_outputs();
    let mut draw = Draw(seed);
    let cotangents: Vec<Tensor<f64>> = outputs[..visible]
        .iter()
        .map(|output| draw.tensor_like(output))
        .collect();
    let wanted: Vec<bool> = (0..inputs.len())
        .map(|input| op.differentiable(input))
        .collect();
    let (gradients, exponent) = apply_vjp(op, context, inputs, &outputs, &cotangents, &wanted)?;
    let scale = f64::exp2(exponent as f64);

    let value = |inputs: &[Tensor<f64>]| -> Result<f64, OpError> {
        let outputs = apply(op, context, inputs)?;
        Ok(terms(&cotangents, &outputs).sum())
    };
    let floor = ROUNDING_FLOOR * terms(&cotangents, &outputs).map(f64::abs).sum::<f64>();
    let mut worst: Option<GradientError> = None;
    let mut inputs = inputs.to_vec();
    for (input, gradient) in gradients.iter().enumerate() {
        let Some(gradient) = gradient else { continue };
        let mut differences = Vec::with_capacity(gradient.data().len());
        for element in 0..gradient.data().len() {
            let x = inputs[input].data()[element];
            let step = STEP * x.abs().max(1.0);
            let mut at = |steps: f64| {
                inputs[input].data_mut()[element] = x + steps * step;
                value(&inputs)
            };
            let far = at(-2.0)? - at(2.0)?;
            let near = at(1.0)? - at(-1.0)?;
            inputs[input].data_mut()[element] = x;
            differences.push((far + 8.0 * near) / (12.0 * step));
        }
        let largest = differences
            .iter()
            .fold(0.0, |most: f64, d| most.max(d.abs()));
        for (element, (&pulled_back, difference)) in
            gradient.data().iter().zip(differences).enumerate()
        {
            let pulled_back = pulled_back * scale;
            let size = difference.abs().max(SMALLEST_PART * largest) + floor;
            let distance = (pulled_back - difference).abs();
            let relative = if distance == 0.0 {
                0.0
            } else {
                distance / size
            };
            // A NaN is worse than any number.
            let worse = |worst: GradientError| {
                !worst.relative.is_nan() && (relative > worst.relative || relative.is_nan())
            };
            if worst.is_none_or(worse) {
                worst = Some(GradientError {
                    input,
                    element,
                    pulled_back,
                    difference,
                    relative,
                });
            }
        }
    }
    Ok(worst)
}

fn terms(cotangents: &[Tensor<f64>], outputs: &[Tensor<f64>]) -> impl Iterator<Item = f64> {
    let pairs = cotangents.iter().zip(outputs);
    pairs.flat_map(|(cotangent, output)| {
        let elements = cotangent.data().iter().zip(output.data());
        elements.map(|(cotangent, output)| cotangent * output)
    })
}

/// splitmix64 (Steele, Lea and Flood 2014): enough to draw cotangents from.
struct Draw(u64);

impl Draw {
    fn tensor_like(&mut self, tensor: &Tensor<f64>) -> Tensor<f64> {
        let data = tensor.data().iter().map(|_| self.signed_unit()).collect();
        Tensor::new(tensor.shape().clone(), data)
    }

    /// Uniform between −1 and 1, of magnitude 0.1 at least so that no term is lost.
    fn signed_unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^= bits >> 31;
        let unit = (bits >> 11) as f64 / (1u64 << 53) as f64;
        let size = 0.1 + 0.9 * (2.0 * unit).fract();
        if unit < 0.5 { -size } else { size }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::num::{Shape, View, ViewMut};
    use crate::ops::{Kernel, OpElement, Role, Saved};

    /// x² with the derivative of x³/3.
    #[derive(Debug)]
    struct Wrong;

    impl<T: OpElement> Kernel<T> for Wrong {
        fn forward(
            &self,
            _context: &Context,
            inputs: &[View<'_, T>],
            outputs: &mut [ViewMut<'_, T>],
        ) -> Result<(), OpError> {
            for (y, &x) in outputs[0].data.iter_mut().zip(inputs[0].data) {
                *y = x * x;
            }
            Ok(())
        }

        fn vjp(
            &self,
            _context: &Context,
            saved: Saved<'_, T>,
            cotangents: &[Option<View<'_, T>>],
            gradients: &mut [Option<ViewMut<'_, T>>],
        ) -> Result<i64, OpError> {
            if let (Some(g), Some(gradient)) = (cotangents[0], &mut gradients[0]) {
                let operands = g.data.iter().zip(saved.inputs[0].data);
                for (gradient, (&g, &x)) in gradient.data.iter_mut().zip(operands) {
                    *gradient = g * x * x;
                }
            }
            Ok(0)
        }
    }

    impl Op for Wrong {
        fn name(&self) -> &'static str {
            "Wrong"
        }
        fn role(&self) -> Role {
            Role::Other
        }
        fn infer(&self, inputs: &[&Shape]) -> Result<Vec<Shape>, OpError> {
            Ok(vec![inputs[0].clone()])
        }
    }

    #[test]
    fn a_wrong_derivative_is_found_where_it_is_wrong() {
        // x² = 2x at 0 and 2 only.
        let x = Tensor::new([3], vec![0.0, 2.0, 1.0]);
        let worst = check_gradients(&Wrong, &Context::default(), &[x], 1)
            .expect("it runs")
            .expect("three elements");
        assert_eq!(worst.element, 2);
        assert!((worst.relative - 0.5).abs() < 1e-3, "{worst:?}");
    }

    #[test]
    fn a_nan_is_the_worst_error() {
        let x = Tensor::new([2], vec![f64::NAN, 1.0]);
        let worst = check_gradients(&Wrong, &Context::default(), &[x], 1)
            .expect("it runs")
            .expect("two elements");
        assert!(worst.relative.is_nan(), "{worst:?}");
    }
}

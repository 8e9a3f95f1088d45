//! RMSNorm: every sample by its root mean square (Zhang and Sennrich 2019).

use super::{check_epsilon, normalised_axes};
use crate::num::sum::{column_sums_by, sum_map, sum_map2};
use crate::num::{Shape, View, ViewMut};
use crate::ops::attributes::AttributeReader;
use crate::ops::parallel::for_rows;
use crate::ops::shapes::{expect_inputs, resolve_axis};
use crate::ops::{Attributes, Context, Kernel, Op, OpElement, OpError, Role, Saved};

/// y = scale · x/√(mean(x²) + ε) over the axes from `axis` on; inputs x and scale of the shape of
/// those axes.
///
/// Pull-back, with r = 1/√(mean(x²) + ε), x̂ = x·r and h = g·scale:
/// ∂x = (h − x̂ mean(h·x̂))·r, ∂scale = Σ g·x̂.
///
/// Keeps r.
#[derive(Clone, Copy, Debug)]
pub struct RmsNorm {
    /// The first axis that is normalised; counted from the end where it is negative.
    pub axis: i64,
    /// What is added to the mean square.
    pub epsilon: f64,
}

impl Default for RmsNorm {
    fn default() -> Self {
        Self {
            axis: -1,
            epsilon: 1e-5,
        }
    }
}

impl RmsNorm {
    pub(in crate::ops) fn from_attributes(attributes: &Attributes) -> Result<Box<dyn Op>, OpError> {
        let mut reader = AttributeReader::new(attributes);
        let axis = reader.int("axis", -1)?;
        let epsilon = reader.float("epsilon", 1e-5)?;
        reader.finish()?;
        check_epsilon(epsilon)?;
        Ok(Box::new(Self { axis, epsilon }))
    }
}

impl<T: OpElement> Kernel<T> for RmsNorm {
    fn forward(
        &self,
        context: &Context,
        inputs: &[View<'_, T>],
        outputs: &mut [ViewMut<'_, T>],
    ) -> Result<(), OpError> {
        let (x, scale) = (inputs[0].data, inputs[1].data);
        let len = scale.len();
        let epsilon = T::from_f64(self.epsilon);
        let part = T::from_f64(1.0 / len as f64);
        let [y, inverse] = outputs else {
            unreachable!("infer gives two outputs");
        };
        for_rows(context.parallel, inverse.data, 1, |rows, inverse| {
            for (row, inverse) in rows.zip(inverse) {
                let mean_square = sum_map(&x[row * len..][..len], |x| x * x) * part;
                *inverse = T::one() / (mean_square + epsilon).sqrt();
            }
        });
        let inverse = &*inverse.data;
        for_rows(context.parallel, y.data, len, |rows, y| {
            for (row, y) in rows.zip(y.chunks_exact_mut(len)) {
                let operands = x[row * len..].iter().zip(scale);
                for (y, (&x, &scale)) in y.iter_mut().zip(operands) {
                    *y = x * inverse[row] * scale;
                }
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
        let Some(g) = cotangents[0] else { return Ok(0) };
        let (x, scale) = (saved.inputs[0].data, saved.inputs[1].data);
        let inverse = saved.outputs[1].data;
        let len = scale.len();
        let part = T::from_f64(1.0 / len as f64);
        if let Some(gradient) = &mut gradients[0] {
            for_rows(context.parallel, gradient.data, len, |rows, gradient| {
                for (row, dx) in rows.zip(gradient.chunks_exact_mut(len)) {
                    let inverse = inverse[row];
                    let (x, g) = (&x[row * len..][..len], &g.data[row * len..][..len]);
                    for ((dx, &g), &scale) in dx.iter_mut().zip(g).zip(scale) {
                        *dx = g * scale;
                    }
                    let slope = sum_map2(dx, x, |h, x| h * (x * inverse)) * part;
                    for (dx, &x) in dx.iter_mut().zip(x) {
                        *dx = (*dx - (x * inverse) * slope) * inverse;
                    }
                }
            });
        }
        if let Some(gradient) = &mut gradients[1] {
            column_sums_by(gradient.data, inverse.len(), |row, first, sums| {
                let at = row * len + first;
                for (sum, (&g, &x)) in sums.iter_mut().zip(g.data[at..].iter().zip(&x[at..])) {
                    *sum += g * (x * inverse[row]);
                }
            });
        }
        Ok(0)
    }
}

impl Op for RmsNorm {
    fn name(&self) -> &'static str {
        "RMSNormalization"
    }

    fn role(&self) -> Role {
        Role::Normalisation
    }

    fn infer(&self, inputs: &[&Shape]) -> Result<Vec<Shape>, OpError> {
        check_epsilon(self.epsilon)?;
        expect_inputs(inputs, 2..=2)?;
        let x = inputs[0];
        let (leading, _) = normalised_axes(x, self.axis, inputs[1])?;
        Ok(vec![x.clone(), Shape::new(leading)])
    }

    fn kept_outputs(&self) -> usize {
        1
    }

    fn per_sample(&self, sampled: &[bool], inputs: &[&Shape]) -> bool {
        let axis = resolve_axis("axis", self.axis, inputs[0].len());
        sampled[0] && !sampled[1] && axis.is_ok_and(|axis| axis > 0)
    }

    fn reads_outputs(&self) -> bool {
        false
    }
}

//! LayerNorm: every sample by its own mean and variance (Ba, Kiros and Hinton 2016).

use super::{check_epsilon, normalised_axes};
use crate::num::sum::{column_sums, column_sums_by, sum, sum_map, sum_map2};
use crate::num::{Element, Shape, View, ViewMut};
use crate::ops::attributes::AttributeReader;
use crate::ops::parallel::{for_rows, for_rows_with_pairs};
use crate::ops::shapes::{expect_inputs, expect_shape, resolve_axis};
use crate::ops::{
    Attributes, Autocast, Context, Kernel, Op, OpElement, OpError, OpFacts, Role, Saved,
};

/// y = scale · (x − mean)/√(variance + ε) + bias, over the axes from `axis` on, with the biased
/// variance; inputs x, scale and (if given) bias of the shape of those axes.
///
/// Pull-back, with h = g·scale and means over the same axes:
/// ∂x = (h − mean(h) − x̂ mean(h·x̂))/σ, ∂scale = Σ g·x̂, ∂bias = Σ g.
///
/// Keeps the means and 1/σ.
#[derive(Clone, Copy, Debug)]
pub struct LayerNorm {
    /// The first axis that is normalised; counted from the end where it is negative.
    pub axis: i64,
    /// What is added to the variance.
    pub epsilon: f64,
}

impl Default for LayerNorm {
    fn default() -> Self {
        Self {
            axis: -1,
            epsilon: 1e-5,
        }
    }
}

impl LayerNorm {
    pub(in crate::ops) fn from_attributes(attributes: &Attributes) -> Result<Box<dyn Op>, OpError> {
        let mut reader = AttributeReader::new(attributes);
        let axis = reader.int("axis", -1)?;
        let epsilon = reader.float("epsilon", 1e-5)?;
        reader.finish()?;
        check_epsilon(epsilon)?;
        Ok(Box::new(Self { axis, epsilon }))
    }
}

/// The mean and 1/√(variance + ε) of a row.
pub(super) fn moments<T: Element>(x: &[T], epsilon: T) -> (T, T) {
    let part = T::from_f64(1.0 / x.len() as f64);
    let rough = sum(x) * part;
    let mean = rough + sum_map(x, |x| x - rough) * part;
    let variance = sum_map(x, |x| (x - mean) * (x - mean)) * part;
    (mean, T::one() / (variance + epsilon).sqrt())
}

impl<T: OpElement> Kernel<T> for LayerNorm {
    fn forward(
        &self,
        context: &Context,
        inputs: &[View<'_, T>],
        outputs: &mut [ViewMut<'_, T>],
    ) -> Result<(), OpError> {
        let (x, scale, bias) = (inputs[0].data, inputs[1].data, inputs.get(2));
        let len = scale.len();
        let epsilon = T::from_f64(self.epsilon);
        let [y, mean, inverse] = outputs else {
            unreachable!("infer gives three outputs");
        };
        let work =
            |rows: std::ops::Range<usize>, y: &mut [T], mean: &mut [T], inverse: &mut [T]| {
                let x = x[rows.start * len..].chunks_exact(len);
                let kept = mean.iter_mut().zip(inverse);
                for ((y, x), (mean, inverse)) in y.chunks_exact_mut(len).zip(x).zip(kept) {
                    (*mean, *inverse) = moments(x, epsilon);
                    for ((y, &x), &scale) in y.iter_mut().zip(x).zip(scale) {
                        *y = (x - *mean) * *inverse * scale;
                    }
                    if let Some(bias) = bias {
                        for (y, &bias) in y.iter_mut().zip(bias.data) {
                            *y += bias;
                        }
                    }
                }
            };
        for_rows_with_pairs(context.parallel, y.data, len, mean.data, inverse.data, work);
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
        let (mean, inverse) = (saved.outputs[1].data, saved.outputs[2].data);
        let len = scale.len();
        if let Some(gradient) = &mut gradients[0] {
            let part = T::from_f64(1.0 / len as f64);
            for_rows(context.parallel, gradient.data, len, |rows, gradient| {
                T::with_scratch(len, |normalised| {
                    for (row, dx) in rows.zip(gradient.chunks_exact_mut(len)) {
                        let (mean, inverse) = (mean[row], inverse[row]);
                        let (x, g) = (&x[row * len..][..len], &g.data[row * len..][..len]);
                        for (normalised, &x) in normalised.iter_mut().zip(x) {
                            *normalised = (x - mean) * inverse;
                        }
                        for ((dx, &g), &scale) in dx.iter_mut().zip(g).zip(scale) {
                            *dx = g * scale;
                        }
                        let level = sum(dx) * part;
                        let slope = sum_map2(dx, normalised, |h, x| h * x) * part;
                        for (dx, &normalised) in dx.iter_mut().zip(&*normalised) {
                            *dx = ((*dx - level) - normalised * slope) * inverse;
                        }
                    }
                });
            });
        }
        if let Some(gradient) = &mut gradients[1] {
            column_sums_by(gradient.data, mean.len(), |row, first, sums| {
                let at = row * len + first;
                for (sum, (&g, &x)) in sums.iter_mut().zip(g.data[at..].iter().zip(&x[at..])) {
                    *sum += g * ((x - mean[row]) * inverse[row]);
                }
            });
        }
        if let Some(Some(gradient)) = gradients.get_mut(2) {
            column_sums(gradient.data, g.data);
        }
        Ok(0)
    }
}

impl Op for LayerNorm {
    fn name(&self) -> &'static str {
        "LayerNormalization"
    }

    fn role(&self) -> Role {
        Role::Normalisation
    }

    fn facts(&self) -> OpFacts {
        OpFacts {
            autocast: Autocast::Single,
            ..OpFacts::default()
        }
    }

    fn infer(&self, inputs: &[&Shape]) -> Result<Vec<Shape>, OpError> {
        check_epsilon(self.epsilon)?;
        expect_inputs(inputs, 2..=3)?;
        let x = inputs[0];
        let (leading, normalised) = normalised_axes(x, self.axis, inputs[1])?;
        if let Some(bias) = inputs.get(2) {
            expect_shape("the bias", normalised, bias)?;
        }
        let kept = Shape::new(leading);
        Ok(vec![x.clone(), kept.clone(), kept])
    }

    fn kept_outputs(&self) -> usize {
        2
    }

    fn per_sample(&self, sampled: &[bool], inputs: &[&Shape]) -> bool {
        let axis = resolve_axis("axis", self.axis, inputs[0].len());
        sampled[0] && !sampled[1..].contains(&true) && axis.is_ok_and(|axis| axis > 0)
    }

    fn reads_input(&self, input: usize) -> bool {
        input < 2
    }

    fn reads_outputs(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_mean_does_not_cancel_the_variance() {
        // Exact in f32: 2^20 + {−1, 1}/2, of mean 2^20 and variance 1/4.
        let x: Vec<f32> = (0..1000)
            .map(|i| 1_048_576.0 + if i % 2 == 0 { 0.5 } else { -0.5 })
            .collect();
        assert_eq!(moments(&x, 0.0), (1_048_576.0, 2.0));
    }
}

//! BatchNorm: every channel by its mean and variance over the batch (Ioffe and Szegedy 2015).

use super::channels::{
    Channels, Normalise, Pull, batch_moments, over_block, pull_samples, sums_of_products,
};
use super::check_epsilon;
use crate::num::sum::{sum, sum_map2};
use crate::num::{Shape, View, ViewMut};
use crate::ops::attributes::AttributeReader;
use crate::ops::parallel::{for_pairs, for_rows};
use crate::ops::shapes::{expect_inputs, expect_shape, misfit};
use crate::ops::{
    Attributes, Context, Kernel, Mode, Modes, Op, OpElement, OpError, OpFacts, Role, Saved,
};

/// y = scale · (x − mean)/√(variance + ε) + bias for every channel of x\[N, C, …\]; inputs x and,
/// of shape \[C\], scale, bias, running mean and running variance.
///
/// In training the mean and the biased variance are the batch's (the running ones are neither
/// read nor updated) and the pull-back goes through them:
/// ∂x = scale·(g − mean(g) − x̂ mean(g·x̂))/σ. In inference they are the running ones:
/// ∂x = scale·g/σ. In both ∂scale = Σ g·x̂ and ∂bias = Σ g.
///
/// Keeps the means and 1/σ that it used.
#[derive(Clone, Copy, Debug)]
pub struct BatchNorm {
    /// What is added to the variance.
    pub epsilon: f64,
}

impl Default for BatchNorm {
    fn default() -> Self {
        Self { epsilon: 1e-5 }
    }
}

impl BatchNorm {
    pub(in crate::ops) fn from_attributes(attributes: &Attributes) -> Result<Box<dyn Op>, OpError> {
        let mut reader = AttributeReader::new(attributes);
        let epsilon = reader.float("epsilon", 1e-5)?;
        reader.finish()?;
        check_epsilon(epsilon)?;
        Ok(Box::new(Self { epsilon }))
    }
}

impl<T: OpElement> Kernel<T> for BatchNorm {
    fn forward(
        &self,
        context: &Context,
        inputs: &[View<'_, T>],
        outputs: &mut [ViewMut<'_, T>],
    ) -> Result<(), OpError> {
        let x = Channels::new(inputs[0]);
        let (scale, bias) = (inputs[1].data, inputs[2].data);
        let epsilon = T::from_f64(self.epsilon);
        let [y, mean, inverse] = outputs else {
            unreachable!("infer gives three outputs");
        };
        if context.mode == Mode::Train {
            if x.count() < 2 {
                return Err(OpError::Value {
                    what: "a batch of one value per channel has no variance to train on: \
                           expected 2 values or more"
                        .into(),
                });
            }
            batch_moments(context, x, epsilon, mean.data, inverse.data);
        } else {
            mean.data.copy_from_slice(inputs[3].data);
            for (inverse, &variance) in inverse.data.iter_mut().zip(inputs[4].data) {
                *inverse = T::one() / (variance + epsilon).sqrt();
            }
        }
        let (mean, inverse) = (&*mean.data, &*inverse.data);
        for_rows(
            context.parallel,
            y.data,
            x.channels * x.positions,
            |samples, y| {
                let blocks = y.chunks_exact_mut(x.positions);
                let channels = samples.flat_map(|sample| (0..x.channels).map(move |c| (sample, c)));
                for (y, (sample, channel)) in blocks.zip(channels) {
                    let (mean, bias) = (mean[channel], bias[channel]);
                    let factor = inverse[channel] * scale[channel];
                    over_block(
                        x.positions,
                        Normalise {
                            x: x.block(sample, channel),
                            y,
                            mean,
                            factor,
                            bias,
                        },
                    );
                }
            },
        );
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
        let (x, g) = (Channels::new(saved.inputs[0]), Channels::new(g));
        let scale = saved.inputs[1].data;
        let (mean, inverse) = (saved.outputs[1].data, saved.outputs[2].data);
        let train = context.mode == Mode::Train;
        for constant in gradients.iter_mut().skip(3).flatten() {
            constant.data.fill(T::zero());
        }
        let [dx, dscale, dbias, ..] = gradients else {
            unreachable!("infer takes five inputs");
        };
        if !(train && dx.is_some() || dscale.is_some() || dbias.is_some()) {
            if let Some(dx) = dx {
                pull_samples(context, dx.data, x, g, |channel| Pull {
                    scale: scale[channel],
                    inverse: inverse[channel],
                    ..Pull::default()
                });
            }
            return Ok(0);
        }
        T::with_scratch(2 * x.channels, |sums| {
            let (levels, slopes) = sums.split_at_mut(x.channels);
            for_pairs(
                context.parallel,
                x.count(),
                levels,
                slopes,
                |range, levels, slopes| {
                    if x.positions == 1 {
                        g.sums(range.clone(), levels, |_, g| g);
                        sums_of_products(x, g, range, slopes, mean, inverse);
                        return;
                    }
                    // Both while a sample's channel is in cache.
                    for (channel, (level, slope)) in range.zip(levels.iter_mut().zip(slopes)) {
                        let (mean, inverse) = (mean[channel], inverse[channel]);
                        let mut sums = (0.0, 0.0);
                        for sample in 0..x.samples {
                            let (x, g) = (x.block(sample, channel), g.block(sample, channel));
                            sums.0 += sum(g).to_f64();
                            sums.1 += sum_map2(x, g, |x, g| g * ((x - mean) * inverse)).to_f64();
                        }
                        (*level, *slope) = (T::from_f64(sums.0), T::from_f64(sums.1));
                    }
                },
            );
            if let Some(dscale) = dscale {
                dscale.data.copy_from_slice(slopes);
            }
            if let Some(dbias) = dbias {
                dbias.data.copy_from_slice(levels);
            }
            let Some(dx) = dx else { return };
            if !train {
                return pull_samples(context, dx.data, x, g, |channel| Pull {
                    scale: scale[channel],
                    inverse: inverse[channel],
                    ..Pull::default()
                });
            }
            let part = T::from_f64(1.0 / x.count() as f64);
            levels.iter_mut().for_each(|level| *level *= part);
            slopes.iter_mut().for_each(|slope| *slope *= part);
            let (levels, slopes) = (&*levels, &*slopes);
            pull_samples(context, dx.data, x, g, |channel| Pull {
                batch: Some((mean[channel], levels[channel], slopes[channel])),
                scale: scale[channel],
                inverse: inverse[channel],
            });
        });
        Ok(0)
    }
}

impl Op for BatchNorm {
    fn name(&self) -> &'static str {
        "BatchNormalization"
    }

    fn role(&self) -> Role {
        Role::Normalisation
    }

    fn facts(&self) -> OpFacts {
        OpFacts {
            batch_statistics: true,
            keeps_samples_apart: Modes {
                train: false,
                eval: true,
            },
            // All gradients are made of the same two sums over the batch.
            pulls_back_at_once: true,
            ..OpFacts::default()
        }
    }

    fn infer(&self, inputs: &[&Shape]) -> Result<Vec<Shape>, OpError> {
        check_epsilon(self.epsilon)?;
        expect_inputs(inputs, 5..=5)?;
        let x = inputs[0];
        if x.len() < 2 {
            return Err(misfit("input", "at least the axes [batch, channels]", x));
        }
        if x.contains(&0) {
            return Err(misfit("input", "at least one value per channel", x));
        }
        let names = [
            "the scale",
            "the bias",
            "the running mean",
            "the running variance",
        ];
        for (name, &input) in names.iter().zip(&inputs[1..]) {
            expect_shape(name, &[x[1]], input)?;
        }
        let kept = Shape::from([x[1]]);
        Ok(vec![x.clone(), kept.clone(), kept])
    }

    fn kept_outputs(&self) -> usize {
        2
    }

    fn differentiable(&self, input: usize) -> bool {
        input < 3
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
    use crate::num::Tensor;

    #[test]
    fn a_large_mean_does_not_cancel_the_variance() {
        for shape in [[512, 3, 1], [2, 3, 256]] {
            // Exact in f32: 2^20 ± 1/2, of mean 2^20 and variance 1/4.
            let mut x = Tensor::<f32>::zeros(shape);
            for (i, x) in x.data_mut().iter_mut().enumerate() {
                *x = 1_048_576.0 + if (i / 3) % 2 == 0 { 0.5 } else { -0.5 };
            }
            let (mut mean, mut inverse) = ([0.0f32; 3], [0.0f32; 3]);
            let context = Context::default();
            batch_moments(
                &context,
                Channels::new(x.view()),
                0.0,
                &mut mean,
                &mut inverse,
            );
            for (mean, inverse) in mean.iter().zip(&inverse) {
                assert!((mean - 1_048_576.0).abs() < 0.1, "{shape:?}: {mean}");
                assert!((inverse - 2.0).abs() < 0.02, "{shape:?}: {inverse}");
            }
        }
    }
}

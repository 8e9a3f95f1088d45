//! BatchNorm: every channel by its mean and variance over the batch (Ioffe and Szegedy 2015).

use super::check_epsilon;
use crate::num::simd::vectorised;
use crate::num::sum::{column_sums_by, sum, sum_map, sum_map2};
use crate::num::{Element, Shape, View, ViewMut};
use crate::ops::attributes::AttributeReader;
use crate::ops::parallel::{for_pairs, for_rows};
use crate::ops::shapes::{expect_inputs, expect_shape, misfit};
use crate::ops::{Attributes, Context, Kernel, Mode, Op, OpElement, OpError, Role, Saved};
use pulp::{Simd, WithSimd};
use std::ops::Range;

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

/// A tensor \[N, C, …\] as samples × channels × positions.
#[derive(Clone, Copy)]
struct Channels<'a, T> {
    data: &'a [T],
    samples: usize,
    channels: usize,
    positions: usize,
}

impl<'a, T: Element> Channels<'a, T> {
    fn new(view: View<'a, T>) -> Self {
        Self {
            data: view.data,
            samples: view.shape[0],
            channels: view.shape[1],
            positions: view.shape[2..].iter().product(),
        }
    }

    /// Elements of a channel.
    fn count(&self) -> usize {
        self.samples * self.positions
    }

    fn block(&self, sample: usize, channel: usize) -> &'a [T] {
        let at = (sample * self.channels + channel) * self.positions;
        &self.data[at..at + self.positions]
    }

    /// The mean and the variance of a channel, of which each sample is read while it is in cache:
    /// its own moments first, which are then merged (Chan, Golub and LeVeque 1979).
    fn moments(&self, channel: usize) -> (T, T) {
        let part = 1.0 / self.positions as f64;
        let (mut mean, mut deviation) = (0.0, 0.0);
        for sample in 0..self.samples {
            let block = self.block(sample, channel);
            let rounded = T::from_f64(sum(block).to_f64() * part);
            // What the rounding of the mean left out is in the sum of what is left.
            let centred = sum_map(block, |x| x - rounded).to_f64() * part;
            let squares = sum_map(block, |x| (x - rounded) * (x - rounded)).to_f64();
            let own = rounded.to_f64() + centred;
            let delta = own - mean;
            let seen = sample as f64;
            mean += delta / (seen + 1.0);
            deviation += squares - centred * centred * self.positions as f64;
            deviation += delta * delta * self.positions as f64 * (seen / (seen + 1.0));
        }
        let variance = (deviation / self.count() as f64).max(0.0);
        // `max` takes a NaN for nothing.
        let variance = if deviation.is_nan() {
            deviation
        } else {
            variance
        };
        (T::from_f64(mean), T::from_f64(variance))
    }

    /// out[c] = Σ f(c, x) over the elements x of channel c, for a range of channels.
    fn sums(&self, range: Range<usize>, out: &mut [T], f: impl Fn(usize, T) -> T) {
        if self.positions == 1 {
            return column_sums_by(out, self.samples, |sample, first, sums| {
                let channel = range.start + first;
                let values = &self.data[sample * self.channels + channel..];
                for (offset, (sum, &x)) in sums.iter_mut().zip(values).enumerate() {
                    *sum += f(channel + offset, x);
                }
            });
        }
        column_sums_by(out, self.samples, |sample, first, sums| {
            for (offset, sum) in sums.iter_mut().enumerate() {
                let channel = range.start + first + offset;
                *sum += sum_map(self.block(sample, channel), |x| f(channel, x));
            }
        });
    }
}

/// The mean and 1/√(variance + ε) of every channel of the batch.
fn batch_moments<T: OpElement>(
    context: &Context,
    x: Channels<'_, T>,
    epsilon: T,
    mean: &mut [T],
    inverse: &mut [T],
) {
    let part = T::from_f64(1.0 / x.count() as f64);
    for_pairs(
        context.parallel,
        x.count(),
        mean,
        inverse,
        |range, mean, inverse| {
            let first = range.start;
            if x.positions > 1 {
                for (channel, (mean, inverse)) in range.zip(mean.iter_mut().zip(inverse)) {
                    let (level, variance) = x.moments(channel);
                    *mean = level;
                    *inverse = T::one() / (variance + epsilon).sqrt();
                }
                return;
            }
            x.sums(range.clone(), mean, |_, x| x);
            mean.iter_mut().for_each(|mean| *mean *= part);
            x.sums(range.clone(), inverse, |channel, x| {
                x - mean[channel - first]
            });
            for (mean, &correction) in mean.iter_mut().zip(&*inverse) {
                *mean += correction * part;
            }
            x.sums(range, inverse, |channel, x| {
                let centred = x - mean[channel - first];
                centred * centred
            });
            for inverse in inverse {
                *inverse = T::one() / (*inverse * part + epsilon).sqrt();
            }
        },
    );
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

/// out[c] = Σ g·x̂ over channel c.
fn sums_of_products<T: Element>(
    x: Channels<'_, T>,
    g: Channels<'_, T>,
    range: Range<usize>,
    out: &mut [T],
    mean: &[T],
    inverse: &[T],
) {
    column_sums_by(out, x.samples, |sample, first, sums| {
        let first = range.start + first;
        if x.positions == 1 {
            let at = sample * x.channels + first;
            let kept = mean[first..].iter().zip(&inverse[first..]);
            let operands = x.data[at..].iter().zip(&g.data[at..]).zip(kept);
            for (sum, ((&x, &g), (&mean, &inverse))) in sums.iter_mut().zip(operands) {
                *sum += g * ((x - mean) * inverse);
            }
            return;
        }
        for (offset, sum) in sums.iter_mut().enumerate() {
            let channel = first + offset;
            let (mean, inverse) = (mean[channel], inverse[channel]);
            *sum += sum_map2(
                x.block(sample, channel),
                g.block(sample, channel),
                |x, g| g * ((x - mean) * inverse),
            );
        }
    });
}

/// Runs over a block of `len` elements; a few of them cost less than the choice of the vectors.
fn over_block<W: WithSimd>(len: usize, work: W) -> W::Output {
    const FEW: usize = 32;
    if len < FEW {
        work.with_simd(pulp::Scalar)
    } else {
        vectorised(work)
    }
}

/// y = (x − mean) · factor + bias.
struct Normalise<'a, T> {
    x: &'a [T],
    y: &'a mut [T],
    mean: T,
    factor: T,
    bias: T,
}

impl<T: Element> WithSimd for Normalise<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        let (mean, factor, bias) = (self.mean, self.factor, self.bias);
        for (y, &x) in self.y.iter_mut().zip(self.x) {
            *y = (x - mean) * factor + bias;
        }
    }
}

/// How a channel's cotangents are pulled back.
#[derive(Clone, Copy, Default)]
struct Pull<T> {
    scale: T,
    inverse: T,
    /// In training, the mean, the mean of g and that of g·x̂.
    batch: Option<(T, T, T)>,
}

/// dx from x and g, of one channel of one sample.
struct PullBlock<'a, T> {
    pull: Pull<T>,
    x: &'a [T],
    g: &'a [T],
    dx: &'a mut [T],
}

impl<T: Element> WithSimd for PullBlock<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        let Pull {
            scale,
            inverse,
            batch,
        } = self.pull;
        let operands = self.x.iter().zip(self.g);
        let dx = self.dx.iter_mut().zip(operands);
        let Some((mean, level, slope)) = batch else {
            return dx.for_each(|(dx, (_, &g))| *dx = g * scale * inverse);
        };
        let factor = scale * inverse;
        for (dx, (&x, &g)) in dx {
            let normalised = (x - mean) * inverse;
            *dx = ((g - level) - normalised * slope) * factor;
        }
    }
}

/// dx, sample by sample.
fn pull_samples<T: Element>(
    context: &Context,
    dx: &mut [T],
    x: Channels<'_, T>,
    g: Channels<'_, T>,
    pull: impl Fn(usize) -> Pull<T> + Sync,
) {
    for_rows(
        context.parallel,
        dx,
        x.channels * x.positions,
        |samples, dx| {
            let blocks = dx.chunks_exact_mut(x.positions);
            let channels = samples.flat_map(|sample| (0..x.channels).map(move |c| (sample, c)));
            for (dx, (sample, channel)) in blocks.zip(channels) {
                over_block(
                    x.positions,
                    PullBlock {
                        pull: pull(channel),
                        x: x.block(sample, channel),
                        g: g.block(sample, channel),
                        dx,
                    },
                );
            }
        },
    );
}

impl Op for BatchNorm {
    fn name(&self) -> &'static str {
        "BatchNormalization"
    }

    fn role(&self) -> Role {
        Role::Normalisation
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

    fn keeps_samples_apart(&self, mode: Mode) -> bool {
        mode == Mode::Eval
    }

    fn pulls_back_at_once(&self) -> bool {
        // All gradients are made of the same two sums over the batch.
        true
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

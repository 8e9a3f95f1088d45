//! What normalising a channel over the batch is made of: its moments, and the loops forward and back.

use crate::num::simd::vectorised;
use crate::num::sum::{column_sums_by, sum, sum_map, sum_map2};
use crate::num::{Element, View};
use crate::ops::parallel::{for_pairs, for_rows};
use crate::ops::{Context, OpElement};
use pulp::{Simd, WithSimd};
use std::ops::Range;

/// A tensor \[N, C, …\] as samples × channels × positions.
#[derive(Clone, Copy)]
pub(super) struct Channels<'a, T> {
    pub(super) data: &'a [T],
    pub(super) samples: usize,
    pub(super) channels: usize,
    pub(super) positions: usize,
}

impl<'a, T: Element> Channels<'a, T> {
    pub(super) fn new(view: View<'a, T>) -> Self {
        Self {
            data: view.data,
            samples: view.shape[0],
            channels: view.shape[1],
            positions: view.shape[2..].iter().product(),
        }
    }

    /// Elements of a channel.
    pub(super) fn count(&self) -> usize {
        self.samples * self.positions
    }

    pub(super) fn block(&self, sample: usize, channel: usize) -> &'a [T] {
        let at = (sample * self.channels + channel) * self.positions;
        &self.data[at..at + self.positions]
    }

    /// The mean and the variance of a channel, of which each sample is read while it is in cache:
    /// its own moments first, which are then merged (Chan, Golub and LeVeque 1979).
    pub(super) fn moments(&self, channel: usize) -> (T, T) {
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
    pub(super) fn sums(&self, range: Range<usize>, out: &mut [T], f: impl Fn(usize, T) -> T) {
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
pub(super) fn batch_moments<T: OpElement>(
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

/// out[c] = Σ g·x̂ over channel c.
pub(super) fn sums_of_products<T: Element>(
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
pub(super) fn over_block<W: WithSimd>(len: usize, work: W) -> W::Output {
    const FEW: usize = 32;
    if len < FEW {
        work.with_simd(pulp::Scalar)
    } else {
        vectorised(work)
    }
}

/// y = (x − mean) · factor + bias.
pub(super) struct Normalise<'a, T> {
    pub(super) x: &'a [T],
    pub(super) y: &'a mut [T],
    pub(super) mean: T,
    pub(super) factor: T,
    pub(super) bias: T,
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
pub(super) struct Pull<T> {
    pub(super) scale: T,
    pub(super) inverse: T,
    /// In training, the mean, the mean of g and that of g·x̂.
    pub(super) batch: Option<(T, T, T)>,
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
pub(super) fn pull_samples<T: Element>(
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

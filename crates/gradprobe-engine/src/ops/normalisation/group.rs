//! GroupNorm and InstanceNorm: the channels of every sample, in groups or one by one, by their own
//! mean and variance (Wu and He 2018; Ulyanov, Vedaldi and Lempitsky 2016).

use super::check_epsilon;
use super::layer::moments;
use crate::num::sum::{column_sums_by, sum, sum_map2};
use crate::num::{Shape, View, ViewMut};
use crate::ops::attributes::AttributeReader;
use crate::ops::parallel::{for_pairs, for_rows};
use crate::ops::shapes::{expect_inputs, expect_shape, misfit};
use crate::ops::{
    Attributes, Autocast, Context, Kernel, Op, OpElement, OpError, OpFacts, Role, Saved,
};

/// y = scale · (x − mean)/√(variance + ε) + bias, with the mean and the biased variance of each of
/// `groups` groups of channels of each sample; inputs x\[N, C, …\], scale\[C\] and bias\[C\].
///
/// Pull-back, with h = g·scale and means over the same group:
/// ∂x = (h − mean(h) − x̂ mean(h·x̂))/σ, ∂scale = Σ g·x̂, ∂bias = Σ g.
///
/// Keeps the means and 1/σ.
#[derive(Clone, Copy, Debug)]
pub struct GroupNorm {
    /// How many groups the channels are in.
    pub groups: usize,
    /// What is added to the variance.
    pub epsilon: f64,
}

/// [`GroupNorm`] with a group for every channel.
#[derive(Clone, Copy, Debug)]
pub struct InstanceNorm {
    /// What is added to the variance.
    pub epsilon: f64,
}

impl Default for InstanceNorm {
    fn default() -> Self {
        Self { epsilon: 1e-5 }
    }
}

impl GroupNorm {
    pub(in crate::ops) fn from_attributes(attributes: &Attributes) -> Result<Box<dyn Op>, OpError> {
        let mut reader = AttributeReader::new(attributes);
        let groups = reader.size("num_groups", 1, 1)?;
        let epsilon = reader.float("epsilon", 1e-5)?;
        reader.finish()?;
        check_epsilon(epsilon)?;
        Ok(Box::new(Self { groups, epsilon }))
    }

    fn group_count(&self, _channels: usize) -> usize {
        self.groups
    }
}

impl InstanceNorm {
    pub(in crate::ops) fn from_attributes(attributes: &Attributes) -> Result<Box<dyn Op>, OpError> {
        let mut reader = AttributeReader::new(attributes);
        let epsilon = reader.float("epsilon", 1e-5)?;
        reader.finish()?;
        check_epsilon(epsilon)?;
        Ok(Box::new(Self { epsilon }))
    }

    fn group_count(&self, channels: usize) -> usize {
        channels
    }
}

/// How the elements of x\[N, C, …\] lie in groups.
#[derive(Clone, Copy)]
struct Groups {
    groups: usize,
    /// Channels of a group.
    channels: usize,
    /// Elements of a channel of a sample.
    positions: usize,
}

impl Groups {
    fn new(x: &[usize], groups: usize) -> Self {
        Self {
            groups,
            channels: x[1] / groups,
            positions: x[2..].iter().product(),
        }
    }

    /// Elements of a group of a sample.
    fn len(&self) -> usize {
        self.channels * self.positions
    }

    /// The channels of a group, the groups counted over all samples.
    fn channels_of(&self, group: usize) -> std::ops::Range<usize> {
        let first = group % self.groups * self.channels;
        first..first + self.channels
    }
}

fn forward<T: OpElement>(
    context: &Context,
    groups: Groups,
    epsilon: f64,
    inputs: &[View<'_, T>],
    outputs: &mut [ViewMut<'_, T>],
) {
    let (x, scale, bias) = (inputs[0].data, inputs[1].data, inputs[2].data);
    let [y, mean, inverse] = outputs else {
        unreachable!("infer gives three outputs");
    };
    let len = groups.len();
    let epsilon = T::from_f64(epsilon);
    for_pairs(
        context.parallel,
        len,
        mean.data,
        inverse.data,
        |range, mean, inverse| {
            for (group, (mean, inverse)) in range.zip(mean.iter_mut().zip(inverse)) {
                (*mean, *inverse) = moments(&x[group * len..][..len], epsilon);
            }
        },
    );
    let (mean, inverse) = (&*mean.data, &*inverse.data);
    for_rows(context.parallel, y.data, len, |range, y| {
        for (group, y) in range.zip(y.chunks_exact_mut(len)) {
            let x = x[group * len..].chunks_exact(groups.positions);
            let planes = y.chunks_exact_mut(groups.positions).zip(x);
            for ((y, x), channel) in planes.zip(groups.channels_of(group)) {
                let (mean, bias) = (mean[group], bias[channel]);
                let factor = inverse[group] * scale[channel];
                for (y, &x) in y.iter_mut().zip(x) {
                    *y = (x - mean) * factor + bias;
                }
            }
        }
    });
}

fn vjp<T: OpElement>(
    context: &Context,
    groups: Groups,
    saved: Saved<'_, T>,
    g: &[T],
    gradients: &mut [Option<ViewMut<'_, T>>],
) {
    let (x, scale) = (saved.inputs[0].data, saved.inputs[1].data);
    let (mean, inverse) = (saved.outputs[1].data, saved.outputs[2].data);
    let (len, positions) = (groups.len(), groups.positions);
    if let Some(gradient) = &mut gradients[0] {
        let part = T::from_f64(1.0 / len as f64);
        for_rows(context.parallel, gradient.data, len, |range, gradient| {
            for (group, dx) in range.zip(gradient.chunks_exact_mut(len)) {
                let (mean, inverse) = (mean[group], inverse[group]);
                let (x, g) = (&x[group * len..][..len], &g[group * len..][..len]);
                let planes = dx
                    .chunks_exact_mut(positions)
                    .zip(g.chunks_exact(positions));
                for ((dx, g), channel) in planes.zip(groups.channels_of(group)) {
                    for (dx, &g) in dx.iter_mut().zip(g) {
                        *dx = g * scale[channel];
                    }
                }
                let level = sum(dx) * part;
                let slope = sum_map2(dx, x, |h, x| h * ((x - mean) * inverse)) * part;
                for (dx, &x) in dx.iter_mut().zip(x) {
                    let normalised = (x - mean) * inverse;
                    *dx = ((*dx - level) - normalised * slope) * inverse;
                }
            }
        });
    }
    let channels = groups.groups * groups.channels;
    let samples = mean.len() / groups.groups;
    let block = |sample: usize, channel: usize| {
        let at = (sample * channels + channel) * positions;
        at..at + positions
    };
    if let Some(gradient) = &mut gradients[1] {
        column_sums_by(gradient.data, samples, |sample, first, sums| {
            for (channel, total) in (first..).zip(sums) {
                let group = sample * groups.groups + channel / groups.channels;
                let (mean, inverse) = (mean[group], inverse[group]);
                let at = block(sample, channel);
                *total += sum_map2(&g[at.clone()], &x[at], |g, x| g * ((x - mean) * inverse));
            }
        });
    }
    if let Some(gradient) = &mut gradients[2] {
        column_sums_by(gradient.data, samples, |sample, first, sums| {
            for (channel, total) in (first..).zip(sums) {
                *total += sum(&g[block(sample, channel)]);
            }
        });
    }
}

macro_rules! group_norm {
    ($type:ident, $name:literal, $autocast:expr) => {
        impl<T: OpElement> Kernel<T> for $type {
            fn forward(
                &self,
                context: &Context,
                inputs: &[View<'_, T>],
                outputs: &mut [ViewMut<'_, T>],
            ) -> Result<(), OpError> {
                let x = inputs[0].shape;
                let groups = Groups::new(x, self.group_count(x[1]));
                forward(context, groups, self.epsilon, inputs, outputs);
                Ok(())
            }

            fn vjp(
                &self,
                context: &Context,
                saved: Saved<'_, T>,
                cotangents: &[Option<View<'_, T>>],
                gradients: &mut [Option<ViewMut<'_, T>>],
            ) -> Result<i64, OpError> {
                if let Some(g) = cotangents[0] {
                    let x = saved.inputs[0].shape;
                    let groups = Groups::new(x, self.group_count(x[1]));
                    vjp(context, groups, saved, g.data, gradients);
                }
                Ok(0)
            }
        }

        impl Op for $type {
            fn name(&self) -> &'static str {
                $name
            }

            fn role(&self) -> Role {
                Role::Normalisation
            }

            fn infer(&self, inputs: &[&Shape]) -> Result<Vec<Shape>, OpError> {
                check_epsilon(self.epsilon)?;
                expect_inputs(inputs, 3..=3)?;
                let x = inputs[0];
                if x.len() < 2 {
                    return Err(misfit("input", "at least the axes [batch, channels]", x));
                }
                if x[1..].contains(&0) {
                    return Err(misfit("input", "at least one value per channel", x));
                }
                let groups = self.group_count(x[1]);
                if groups == 0 || x[1] % groups != 0 {
                    return Err(OpError::Attribute {
                        name: "num_groups",
                        expected: format!("a divisor of the {} channels", x[1]),
                        got: groups.to_string(),
                    });
                }
                expect_shape("the scale", &[x[1]], inputs[1])?;
                expect_shape("the bias", &[x[1]], inputs[2])?;
                let kept = Shape::from([x[0], groups]);
                Ok(vec![x.clone(), kept.clone(), kept])
            }

            fn facts(&self) -> OpFacts {
                OpFacts {
                    autocast: $autocast,
                    ..OpFacts::default()
                }
            }

            fn kept_outputs(&self) -> usize {
                2
            }

            fn per_sample(&self, sampled: &[bool], _inputs: &[&Shape]) -> bool {
                sampled[0] && !sampled[1..].contains(&true)
            }

            fn reads_input(&self, input: usize) -> bool {
                input < 2
            }

            fn reads_outputs(&self) -> bool {
                false
            }
        }
    };
}

group_norm!(GroupNorm, "GroupNormalization", Autocast::Single);
group_norm!(InstanceNorm, "InstanceNormalization", Autocast::Promote);

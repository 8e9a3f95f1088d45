//! LRN: every element by the squares at its place in the channels around (Krizhevsky, Sutskever
//! and Hinton 2012).

use crate::num::{Element, Shape, View, ViewMut};
use crate::ops::attributes::AttributeReader;
use crate::ops::parallel::for_rows;
use crate::ops::shapes::{expect_inputs, misfit};
use crate::ops::{
    Attributes, Autocast, Context, Kernel, Op, OpElement, OpError, OpFacts, Role, Saved,
};
use std::ops::Range;

/// y\[n, c, p\] = x\[n, c, p\]/s^β with s = k + α/size · Σ x² over the channels from
/// c − ⌊(size − 1)/2⌋ to c + ⌈(size − 1)/2⌉.
///
/// Pull-back: ∂x\[c\] = g\[c\]/s\[c\]^β − 2αβ/size · x\[c\] · Σ g·x/s^(β + 1) over the channels in
/// whose sums c is.
///
/// Keeps s.
#[derive(Clone, Copy, Debug)]
pub struct LocalResponseNorm {
    /// α.
    pub alpha: f64,
    /// β.
    pub beta: f64,
    /// k, above 0.
    pub bias: f64,
    /// How many channels a sum is over.
    pub size: usize,
}

impl Default for LocalResponseNorm {
    fn default() -> Self {
        Self {
            alpha: 1e-4,
            beta: 0.75,
            bias: 1.0,
            size: 1,
        }
    }
}

impl LocalResponseNorm {
    pub(in crate::ops) fn from_attributes(attributes: &Attributes) -> Result<Box<dyn Op>, OpError> {
        let mut reader = AttributeReader::new(attributes);
        let norm = Self {
            alpha: reader.float("alpha", 1e-4)?,
            beta: reader.float("beta", 0.75)?,
            bias: reader.float("bias", 1.0)?,
            size: reader.size("size", 1, 1)?,
        };
        reader.finish()?;
        Ok(Box::new(norm))
    }

    /// The channels that the sum of channel c is over.
    fn around(&self, channel: usize, channels: usize) -> Range<usize> {
        let before = (self.size - 1) / 2;
        let after = (self.size - 1).div_ceil(2);
        channel.saturating_sub(before)
            ..channel
                .saturating_add(after)
                .saturating_add(1)
                .min(channels)
    }

    /// The channels in whose sums channel c is.
    fn whose(&self, channel: usize, channels: usize) -> Range<usize> {
        let before = (self.size - 1).div_ceil(2);
        let after = (self.size - 1) / 2;
        channel.saturating_sub(before)
            ..channel
                .saturating_add(after)
                .saturating_add(1)
                .min(channels)
    }

    /// s^(−exponent).
    fn inverse_power<T: Element>(s: T, exponent: f64) -> T {
        T::from_f64(libm::pow(s.to_f64(), -exponent))
    }
}

impl<T: OpElement> Kernel<T> for LocalResponseNorm {
    fn forward(
        &self,
        context: &Context,
        inputs: &[View<'_, T>],
        outputs: &mut [ViewMut<'_, T>],
    ) -> Result<(), OpError> {
        let x = inputs[0];
        let channels = x.shape[1];
        let positions: usize = x.shape[2..].iter().product();
        let [y, sums] = outputs else {
            unreachable!("infer gives two outputs");
        };
        let alpha = T::from_f64(self.alpha / self.size as f64);
        for_rows(context.parallel, sums.data, positions, |planes, sums| {
            for (plane, sums) in planes.zip(sums.chunks_exact_mut(positions)) {
                let (sample, channel) = (plane / channels, plane % channels);
                sums.fill(T::zero());
                for other in self.around(channel, channels) {
                    let x = &x.data[(sample * channels + other) * positions..];
                    for (sum, &x) in sums.iter_mut().zip(x) {
                        *sum += x * x;
                    }
                }
                for sum in sums {
                    *sum = T::from_f64(self.bias) + alpha * *sum;
                }
            }
        });
        let sums = &*sums.data;
        for_rows(context.parallel, y.data, 1, |range, y| {
            let operands = x.data[range.clone()].iter().zip(&sums[range]);
            for (y, (&x, &s)) in y.iter_mut().zip(operands) {
                *y = x * Self::inverse_power(s, self.beta);
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
        let (x, sums) = (saved.inputs[0], saved.outputs[1].data);
        let channels = x.shape[1];
        let positions: usize = x.shape[2..].iter().product();
        let factor = T::from_f64(-2.0 * self.alpha * self.beta / self.size as f64);
        T::with_scratch(x.data.len(), |terms| {
            for_rows(context.parallel, terms, 1, |range, terms| {
                for (i, term) in range.zip(terms) {
                    let power = Self::inverse_power(sums[i], self.beta + 1.0);
                    *term = g.data[i] * x.data[i] * power;
                }
            });
            let terms = &*terms;
            for_rows(context.parallel, gradient.data, positions, |planes, dx| {
                for (plane, dx) in planes.zip(dx.chunks_exact_mut(positions)) {
                    let (sample, channel) = (plane / channels, plane % channels);
                    dx.fill(T::zero());
                    for other in self.whose(channel, channels) {
                        let terms = &terms[(sample * channels + other) * positions..];
                        for (dx, &term) in dx.iter_mut().zip(terms) {
                            *dx += term;
                        }
                    }
                    for (i, dx) in (plane * positions..).zip(dx) {
                        let own = g.data[i] * Self::inverse_power(sums[i], self.beta);
                        *dx = own + factor * x.data[i] * *dx;
                    }
                }
            });
        });
        Ok(0)
    }
}

impl Op for LocalResponseNorm {
    fn name(&self) -> &'static str {
        "LRN"
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
        expect_inputs(inputs, 1..=1)?;
        if self.size == 0 {
            return Err(OpError::Attribute {
                name: "size",
                expected: "a whole number of at least 1".into(),
                got: "0".into(),
            });
        }
        let x = inputs[0];
        if x.len() < 2 || x[1..].contains(&0) {
            let expected = "[batch, channels] and any further axes, of at least 1";
            return Err(misfit("input", expected, x));
        }
        Ok(vec![x.clone(), x.clone()])
    }

    fn kept_outputs(&self) -> usize {
        1
    }

    fn per_sample(&self, sampled: &[bool], _inputs: &[&Shape]) -> bool {
        sampled[0]
    }

    fn reads_outputs(&self) -> bool {
        false
    }

    fn flops(&self, inputs: &[&Shape], _outputs: &[Shape]) -> u64 {
        (inputs[0].element_count() as u64).saturating_mul(20 + 2 * self.size.min(1 << 20) as u64)
    }
}

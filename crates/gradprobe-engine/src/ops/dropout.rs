//! Dropout: elements at random set to zero, the others made larger (Srivastava et al. 2014).

use super::attributes::AttributeReader;
use super::parallel::for_rows;
use super::shapes::{broadcast_per_sample, expect_inputs};
use super::{
    Attributes, Context, Kernel, Mode, Modes, Op, OpElement, OpError, OpFacts, Role, Saved,
};
use crate::num::{Element, Shape, View, ViewMut};

/// In training x/(1 − p) or, with probability p, 0; in inference x.
///
/// Whether an element is kept depends on the node's random key and the element's position in the
/// whole batch alone, so not on threads, nor on how the batch is split, nor on the element type.
#[derive(Clone, Copy, Debug)]
pub struct Dropout {
    /// The probability p that an element is set to zero, between 0 and 1.
    pub probability: f64,
    /// Is there a second output, 1 where an element was kept and else 0?
    pub with_mask: bool,
}

impl Default for Dropout {
    fn default() -> Self {
        Self {
            probability: 0.5,
            with_mask: false,
        }
    }
}

impl Dropout {
    pub(super) fn from_attributes(attributes: &Attributes) -> Result<Box<dyn Op>, OpError> {
        let mut reader = AttributeReader::new(attributes);
        let dropout = Self {
            probability: reader.float("ratio", 0.5)?,
            with_mask: reader.flag("mask", false)?,
        };
        reader.finish()?;
        dropout.check()?;
        Ok(Box::new(dropout))
    }

    fn check(&self) -> Result<(), OpError> {
        if (0.0..=1.0).contains(&self.probability) {
            return Ok(());
        }
        Err(OpError::Attribute {
            name: "ratio",
            expected: "a probability between 0 and 1".into(),
            got: self.probability.to_string(),
        })
    }

    fn is_identity(&self, mode: Mode) -> bool {
        mode == Mode::Eval || self.probability == 0.0
    }

    /// to = from · mask/(1 − p), which is its own pull-back.
    fn drop<T: Element>(&self, context: &Context, shape: &[usize], from: &[T], to: &mut [T]) {
        let scale = T::from_f64(1.0 / (1.0 - self.probability));
        self.mask(context, shape, from, to, scale);
    }

    /// to = from · mask · scale.
    fn mask<T: Element>(
        &self,
        context: &Context,
        shape: &[usize],
        from: &[T],
        to: &mut [T],
        scale: T,
    ) {
        if self.is_identity(context.mode) {
            return to.copy_from_slice(from);
        }
        // Of 2^64 equally likely numbers, those from here on are kept; a probability of 1 keeps
        // none (the cast saturates, and the comparison is strict).
        let threshold = (self.probability * (1u64 << 32) as f64 * (1u64 << 32) as f64) as u64;
        let all = self.probability >= 1.0;
        let key = mix(context.random_key);
        let row_len: usize = shape.iter().skip(1).product();
        let first = (context.first_row as u64).wrapping_mul(row_len as u64);
        for_rows(context.parallel, to, 1, |range, to| {
            let start = first.wrapping_add(range.start as u64);
            for ((to, &from), position) in to.iter_mut().zip(&from[range]).zip(start..) {
                let kept = !all && random(key, position) >= threshold;
                // Zero times the element, so that a NaN is not dropped in silence.
                *to = from * T::select(kept, scale, T::zero());
            }
        });
    }
}

/// The number at a position of the stream of a key: splitmix64 (Steele, Lea and Flood 2014) with
/// its state computed from the position.
fn random(key: u64, position: u64) -> u64 {
    mix(key.wrapping_add(position.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
}

/// The finaliser of splitmix64: every bit of the result depends on every bit given.
fn mix(bits: u64) -> u64 {
    let bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

impl<T: OpElement> Kernel<T> for Dropout {
    fn forward(
        &self,
        context: &Context,
        inputs: &[View<'_, T>],
        outputs: &mut [ViewMut<'_, T>],
    ) -> Result<(), OpError> {
        let x = inputs[0];
        self.drop(context, x.shape, x.data, outputs[0].data);
        if let [_, mask] = outputs {
            let ones = vec![T::one(); x.data.len()];
            self.mask(context, x.shape, &ones, mask.data, T::one());
        }
        Ok(())
    }

    fn vjp(
        &self,
        context: &Context,
        _saved: Saved<'_, T>,
        cotangents: &[Option<View<'_, T>>],
        gradients: &mut [Option<ViewMut<'_, T>>],
    ) -> Result<i64, OpError> {
        match (cotangents[0], &mut gradients[0]) {
            (Some(g), Some(gradient)) => self.drop(context, g.shape, g.data, gradient.data),
            // Of the mask alone.
            (None, Some(gradient)) => gradient.data.fill(T::zero()),
            _ => {}
        }
        Ok(0)
    }
}

impl Op for Dropout {
    fn name(&self) -> &'static str {
        "Dropout"
    }

    fn role(&self) -> Role {
        Role::Other
    }

    fn facts(&self) -> OpFacts {
        OpFacts {
            is_view: Modes::of(|mode| self.is_identity(mode) && !self.with_mask),
            is_random: Modes::of(|mode| !self.is_identity(mode)),
            ..OpFacts::default()
        }
    }

    fn infer(&self, inputs: &[&Shape]) -> Result<Vec<Shape>, OpError> {
        self.check()?;
        expect_inputs(inputs, 1..=1)?;
        let outputs = 1 + usize::from(self.with_mask);
        Ok(vec![inputs[0].clone(); outputs])
    }

    fn per_sample(&self, sampled: &[bool], inputs: &[&Shape]) -> bool {
        broadcast_per_sample(sampled, inputs)
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

    fn ones(probability: f64, key: u64, count: usize) -> Vec<f64> {
        let context = Context {
            random_key: key,
            ..Context::default()
        };
        let mut out = vec![f64::NAN; count];
        let from = vec![1.0; count];
        let dropout = Dropout {
            probability,
            ..Dropout::default()
        };
        dropout.drop(&context, &[count], &from, &mut out);
        out
    }

    #[test]
    fn the_share_of_zeros_is_the_probability_and_the_mean_is_kept() {
        let count = 100_000;
        for probability in [0.1, 0.5, 0.9] {
            for key in 0..4 {
                let out = ones(probability, key, count);
                let zeros = out.iter().filter(|&&x| x == 0.0).count() as f64;
                // Five standard deviations of a binomial.
                let deviation = (probability * (1.0 - probability) * count as f64).sqrt();
                let off = (zeros - probability * count as f64).abs();
                assert!(
                    off < 5.0 * deviation,
                    "{probability}, key {key}: {zeros} zeros"
                );
                let kept = 1.0 / (1.0 - probability);
                assert!(out.iter().all(|&x| x == 0.0 || x == kept));
            }
        }
        assert!(ones(1.0, 3, 1000).iter().all(|&x| x == 0.0));
        assert!(ones(0.0, 3, 1000).iter().all(|&x| x == 1.0));
    }

    #[test]
    fn streams_of_neighbouring_keys_differ() {
        // Two independent fair masks agree in half of the places.
        let (one, other) = (ones(0.5, 7, 100_000), ones(0.5, 8, 100_000));
        let equal = one.iter().zip(&other).filter(|(a, b)| a == b).count() as f64;
        assert!((equal / 100_000.0 - 0.5).abs() < 0.01, "{equal}");
    }
}

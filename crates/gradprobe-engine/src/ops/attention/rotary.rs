//! The rotary embedding of positions (Su et al. 2021).

use super::heads::Heads;
use crate::num::{Element, Shape, View, ViewMut};
use crate::ops::attributes::AttributeReader;
use crate::ops::shapes::{expect_inputs, misfit};
use crate::ops::{Attributes, Context, Kernel, Op, OpElement, OpError, Role, Saved};

/// Every pair of features of a head turned by an angle that grows with time:
/// (a, b) ↦ (a·cos − b·sin, a·sin + b·cos), where pair i of d/2 turns by
/// t·base^(−2i/d) at time t. Inputs x\[batch, heads, time, dim\], or \[batch, time, heads · dim\]
/// with `heads`; with `caches` the cosines and sines \[time, d/2\] or \[batch, time, d/2\] in place
/// of the formula.
///
/// Pull-back: turned by the opposite angles; ∂cos = a·g_a + b·g_b and ∂sin = a·g_b − b·g_a, summed
/// over what shares them.
#[derive(Clone, Copy, Debug)]
pub struct RotaryEmbedding {
    /// The base of the wavelengths.
    pub base: f64,
    /// Are the pairs neighbours, rather than half of the features apart?
    pub interleaved: bool,
    /// Heads of x, where they lie side by side in its last axis.
    pub heads: Option<usize>,
    /// How many of the first features of a head are turned (d); all unless given.
    pub rotated: Option<usize>,
    /// Are the cosines and sines given?
    pub caches: bool,
}

impl Default for RotaryEmbedding {
    fn default() -> Self {
        Self {
            base: 10_000.0,
            interleaved: false,
            heads: None,
            rotated: None,
            caches: false,
        }
    }
}

impl RotaryEmbedding {
    pub(in crate::ops) fn from_attributes(attributes: &Attributes) -> Result<Box<dyn Op>, OpError> {
        let mut reader = AttributeReader::new(attributes);
        let some = |extent: usize| (extent > 0).then_some(extent);
        let base = reader.float("base", 10_000.0)?;
        let interleaved = reader.flag("interleaved", false)?;
        let heads = some(reader.size("num_heads", 0, 0)?);
        let rotated = some(reader.size("rotary_embedding_dim", 0, 0)?);
        let caches = reader.flag("caches", false)?;
        reader.finish()?;
        Ok(Box::new(Self {
            base,
            interleaved,
            heads,
            rotated,
            caches,
        }))
    }

    /// Where the heads are, and how many pairs of each are turned.
    fn extents(&self, x: &Shape) -> Result<(Heads, usize), OpError> {
        if !(self.base.is_finite() && self.base > 0.0) {
            return Err(OpError::Attribute {
                name: "base",
                expected: "a number above 0".into(),
                got: self.base.to_string(),
            });
        }
        let heads = Heads::read("input", x, self.heads, "num_heads")?;
        let rotated = self.rotated.unwrap_or(heads.dim);
        if !rotated.is_multiple_of(2) || rotated == 0 || rotated > heads.dim {
            return Err(OpError::Attribute {
                name: "rotary_embedding_dim",
                expected: format!("an even number up to the {} features of a head", heads.dim),
                got: rotated.to_string(),
            });
        }
        Ok((heads, rotated / 2))
    }

    /// Turns `from` into `to`, backwards if `backwards`.
    fn turn<T: OpElement>(
        &self,
        from: View<'_, T>,
        caches: Option<[View<'_, T>; 2]>,
        to: &mut [T],
        backwards: bool,
    ) -> Result<(), OpError> {
        let (heads, pairs) = self.extents(&Shape::new(from.shape))?;
        let sign = if backwards { -T::one() } else { T::one() };
        let own = if caches.is_some() {
            0
        } else {
            heads.time * pairs
        };
        T::with_scratch(2 * own, |scratch| {
            let (cos, sin) = scratch.split_at_mut(own);
            for (index, (cos, sin)) in cos.iter_mut().zip(&mut *sin).enumerate() {
                let (time, pair) = (index / pairs, index % pairs);
                let exponent = -(pair as f64) / pairs as f64;
                let angle = time as f64 * libm::pow(self.base, exponent);
                (*cos, *sin) = (T::from_f64(libm::cos(angle)), T::from_f64(libm::sin(angle)));
            }
            let (cos, sin, by_sample) = match caches {
                Some([cos, sin]) => (cos.data, sin.data, cos.shape.len() == 3),
                None => (&*cos, &*sin, false),
            };
            for sample in 0..heads.batch {
                for head in 0..heads.heads {
                    let (start, stride) = heads.place(sample, head);
                    for time in 0..heads.time {
                        let at = if by_sample {
                            sample * heads.time + time
                        } else {
                            time
                        };
                        let place = start + time * stride;
                        self.turn_row(
                            &from.data[place..][..heads.dim],
                            &mut to[place..][..heads.dim],
                            &cos[at * pairs..][..pairs],
                            &sin[at * pairs..][..pairs],
                            sign,
                        );
                    }
                }
            }
        });
        Ok(())
    }

    /// The gradients of the caches that are wanted.
    fn pull_caches<T: OpElement>(
        &self,
        x: View<'_, T>,
        g: &[T],
        [cos, sin]: [Option<&mut ViewMut<'_, T>>; 2],
    ) -> Result<(), OpError> {
        let (heads, pairs) = self.extents(&Shape::new(x.shape))?;
        for (gradient, is_sine) in [(cos, false), (sin, true)] {
            let Some(gradient) = gradient else { continue };
            let by_sample = gradient.shape.len() == 3;
            gradient.data.fill(T::zero());
            for sample in 0..heads.batch {
                for (head, time) in
                    (0..heads.heads).flat_map(|head| (0..heads.time).map(move |time| (head, time)))
                {
                    let (start, stride) = heads.place(sample, head);
                    let (x, g) = (
                        &x.data[start + time * stride..],
                        &g[start + time * stride..],
                    );
                    let at = if by_sample {
                        sample * heads.time + time
                    } else {
                        time
                    };
                    let sums = &mut gradient.data[at * pairs..][..pairs];
                    for (pair, sum) in sums.iter_mut().enumerate() {
                        let (one, other) = self.members(pair, pairs);
                        *sum += if is_sine {
                            x[one] * g[other] - x[other] * g[one]
                        } else {
                            x[one] * g[one] + x[other] * g[other]
                        };
                    }
                }
            }
        }
        Ok(())
    }

    /// The two features of a pair.
    fn members(&self, pair: usize, pairs: usize) -> (usize, usize) {
        if self.interleaved {
            (2 * pair, 2 * pair + 1)
        } else {
            (pair, pairs + pair)
        }
    }

    fn turn_row<T: Element>(&self, from: &[T], to: &mut [T], cos: &[T], sin: &[T], sign: T) {
        let pairs = cos.len();
        to[2 * pairs..].copy_from_slice(&from[2 * pairs..]);
        for pair in 0..pairs {
            let (one, other) = self.members(pair, pairs);
            let (a, b) = (from[one], from[other]);
            let (cos, sin) = (cos[pair], sign * sin[pair]);
            to[one] = a * cos - b * sin;
            to[other] = a * sin + b * cos;
        }
    }
}

fn caches<'a, T>(inputs: &[View<'a, T>]) -> Option<[View<'a, T>; 2]>
where
    View<'a, T>: Copy,
{
    Some([*inputs.get(1)?, *inputs.get(2)?])
}

impl<T: OpElement> Kernel<T> for RotaryEmbedding {
    fn forward(
        &self,
        _context: &Context,
        inputs: &[View<'_, T>],
        outputs: &mut [ViewMut<'_, T>],
    ) -> Result<(), OpError> {
        self.turn(inputs[0], caches(inputs), outputs[0].data, false)
    }

    fn vjp(
        &self,
        _context: &Context,
        saved: Saved<'_, T>,
        cotangents: &[Option<View<'_, T>>],
        gradients: &mut [Option<ViewMut<'_, T>>],
    ) -> Result<i64, OpError> {
        let Some(g) = cotangents[0] else { return Ok(0) };
        if let Some(gradient) = &mut gradients[0] {
            self.turn(g, caches(saved.inputs), gradient.data, true)?;
        }
        if let [_, cos, sin] = gradients {
            self.pull_caches(saved.inputs[0], g.data, [cos.as_mut(), sin.as_mut()])?;
        }
        Ok(0)
    }
}

impl Op for RotaryEmbedding {
    fn name(&self) -> &'static str {
        "RotaryEmbedding"
    }

    fn role(&self) -> Role {
        Role::Other
    }

    fn infer(&self, inputs: &[&Shape]) -> Result<Vec<Shape>, OpError> {
        let count = if self.caches { 3 } else { 1 };
        expect_inputs(inputs, count..=count)?;
        let (heads, pairs) = self.extents(inputs[0])?;
        for (what, cache) in ["cosines", "sines"].into_iter().zip(&inputs[1..]) {
            let fits =
                cache[..] == [heads.time, pairs] || cache[..] == [heads.batch, heads.time, pairs];
            if !fits || cache.len() != inputs[1].len() {
                let expected = format!(
                    "[{time}, {pairs}] or [{}, {time}, {pairs}], both alike",
                    heads.batch,
                    time = heads.time
                );
                return Err(misfit(format!("shape of the {what}"), expected, cache));
            }
        }
        Ok(vec![inputs[0].clone()])
    }

    fn per_sample(&self, sampled: &[bool], inputs: &[&Shape]) -> bool {
        let by_sample = inputs.get(1).is_some_and(|cache| cache.len() == 3);
        sampled[0] && sampled[1..].iter().all(|&sampled| sampled == by_sample)
    }

    fn reads_input(&self, input: usize) -> bool {
        // x is read for the gradients of the caches.
        input > 0 || self.caches
    }

    fn reads_outputs(&self) -> bool {
        false
    }

    fn flops(&self, inputs: &[&Shape], _outputs: &[Shape]) -> u64 {
        (inputs[0].element_count() as u64).saturating_mul(6)
    }
}

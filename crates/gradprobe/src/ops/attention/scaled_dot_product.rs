//! Scaled dot-product attention (Vaswani et al. 2017), in heads and groups of heads.

use super::heads::Heads;
use crate::num::linalg::{Matrix, MatrixMut};
use crate::num::{Element, Shape, View, ViewMut};
use crate::ops::attributes::AttributeReader;
use crate::ops::shapes::{expect_inputs, misfit};
use crate::ops::softmax::{softmax_lane, softmax_pull};
use crate::ops::{Attributes, Context, Kernel, Op, OpElement, OpError, Role, Saved};

/// y = softmax(s·q·kᵀ + mask)·v for every sample and head; inputs q, k and v, each
/// \[batch, heads, time, dim\], or \[batch, time, heads · dim\] with `query_heads` and `key_heads`,
/// and with `mask` what is added to the scores, which broadcasts to
/// \[batch, heads, queries, keys\] (−∞ hides a key). y has the layout of q, with the dim of v.
///
/// Where there are fewer heads of keys and values than of queries, each serves a group of
/// neighbouring ones (Ainslie et al. 2023). With `causal` query i sees the keys 0 to i.
///
/// Pull-back, with p the softmax and P = g·vᵀ: ∂v = pᵀ·g, the scores' cotangent is
/// ∂z = p·(P − Σ p·P), ∂q = s·∂z·k, ∂k = s·∂zᵀ·q and ∂mask = ∂z, summed over a group and over what
/// was broadcast. Keeps p.
#[derive(Clone, Copy, Debug, Default)]
pub struct Attention {
    /// Heads of q, where they lie side by side in its last axis.
    pub query_heads: Option<usize>,
    /// Heads of k and v, likewise.
    pub key_heads: Option<usize>,
    /// Is what comes later hidden?
    pub causal: bool,
    /// s; 1/√dim unless given.
    pub scale: Option<f64>,
    /// Is there a fourth input, the mask?
    pub mask: bool,
}

/// The extents of a call.
struct Extents {
    q: Heads,
    k: Heads,
    v: Heads,
    y: Heads,
}

impl Extents {
    /// Query heads that share a head of keys.
    fn group(&self) -> usize {
        self.q.heads / self.k.heads
    }

    /// Scores of a head.
    fn scores(&self) -> usize {
        self.q.time * self.k.time
    }
}

/// Where the element of a mask is that belongs to a score: the step of each axis, 0 where it is
/// repeated.
#[derive(Clone, Copy)]
struct MaskSteps([usize; 4]);

impl MaskSteps {
    fn new(mask: &[usize]) -> Self {
        let mut steps = [0; 4];
        let mut next = 1;
        for (axis, &extent) in mask.iter().enumerate().rev() {
            if extent != 1 {
                steps[4 - mask.len() + axis] = next;
                next *= extent;
            }
        }
        Self(steps)
    }

    /// Calls `visit(score of the head, element of the mask)`.
    fn visit(
        self,
        sample: usize,
        head: usize,
        [queries, keys]: [usize; 2],
        mut visit: impl FnMut(usize, usize),
    ) {
        let [of_sample, of_head, of_query, of_key] = self.0;
        let start = sample * of_sample + head * of_head;
        for query in 0..queries {
            for key in 0..keys {
                let at = start + query * of_query + key * of_key;
                visit(query * keys + key, at);
            }
        }
    }
}

impl Attention {
    pub(in crate::ops) fn from_attributes(attributes: &Attributes) -> Result<Box<dyn Op>, OpError> {
        let mut reader = AttributeReader::new(attributes);
        let some = |heads: usize| (heads > 0).then_some(heads);
        let query_heads = some(reader.size("q_num_heads", 0, 0)?);
        let key_heads = some(reader.size("kv_num_heads", 0, 0)?);
        let causal = reader.flag("is_causal", false)?;
        let scale = reader.float("scale", 0.0)?;
        let mask = reader.flag("mask", false)?;
        reader.finish()?;
        Ok(Box::new(Self {
            query_heads,
            key_heads,
            causal,
            scale: (scale != 0.0).then_some(scale),
            mask,
        }))
    }

    fn extents(&self, inputs: [&Shape; 3]) -> Result<Extents, OpError> {
        let key_heads = self.key_heads.or(self.query_heads);
        let q = Heads::read("query", inputs[0], self.query_heads, "q_num_heads")?;
        let k = Heads::read("key", inputs[1], key_heads, "kv_num_heads")?;
        let v = Heads::read("value", inputs[2], key_heads, "kv_num_heads")?;
        let mismatch = |one: String, other: String| Err(OpError::Mismatch { one, other });
        if k.dim != q.dim {
            return mismatch(
                format!("query has {} features a head", q.dim),
                format!("key has {}", k.dim),
            );
        }
        if (v.batch, v.heads, v.time) != (k.batch, k.heads, k.time) || k.batch != q.batch {
            return mismatch(
                format!("query is {}", inputs[0]),
                format!("key is {} and value is {}", inputs[1], inputs[2]),
            );
        }
        if !q.heads.is_multiple_of(k.heads) {
            return mismatch(
                format!("query has {} heads", q.heads),
                format!("key has {}, which is no divisor", k.heads),
            );
        }
        let y = Heads { dim: v.dim, ..q };
        Ok(Extents { q, k, v, y })
    }

    /// The extents of a call that `infer` has let pass.
    fn extents_of<T>(&self, inputs: &[View<'_, T>]) -> Result<Extents, OpError> {
        let [q, k, v] = [0, 1, 2].map(|input| Shape::new(inputs[input].shape));
        self.extents([&q, &k, &v])
    }

    fn factor<T: Element>(&self, dim: usize) -> T {
        T::from_f64(self.scale.unwrap_or(1.0 / (dim as f64).sqrt()))
    }

    /// Keys that a query sees.
    fn seen(&self, query: usize, keys: usize) -> usize {
        if self.causal {
            keys.min(query + 1)
        } else {
            keys
        }
    }
}

impl<T: OpElement> Kernel<T> for Attention {
    fn forward(
        &self,
        _context: &Context,
        inputs: &[View<'_, T>],
        outputs: &mut [ViewMut<'_, T>],
    ) -> Result<(), OpError> {
        let extents = self.extents_of(inputs)?;
        let Extents { q, k, v, y } = &extents;
        let (queries, keys) = (q.time, k.time);
        let factor = self.factor::<T>(q.dim);
        let [out, softmax, ..] = outputs else {
            unreachable!("infer gives two outputs");
        };
        T::with_scratch(extents.scores(), |scores| {
            for (index, p) in softmax.data.chunks_exact_mut(extents.scores()).enumerate() {
                let (sample, head) = (index / q.heads, index % q.heads);
                let of_keys = head / extents.group();
                T::matmul(
                    MatrixMut::new(scores, queries, keys),
                    q.matrix(inputs[0].data, sample, head),
                    k.matrix(inputs[1].data, sample, of_keys).transposed(),
                    false,
                );
                scores.iter_mut().for_each(|score| *score *= factor);
                if let Some(mask) = inputs.get(3) {
                    let steps = MaskSteps::new(mask.shape);
                    steps.visit(sample, head, [queries, keys], |score, at| {
                        scores[score] += mask.data[at];
                    });
                }
                let lanes = scores.chunks_exact(keys).zip(p.chunks_exact_mut(keys));
                for (query, (scores, p)) in lanes.enumerate() {
                    let (p, hidden) = p.split_at_mut(self.seen(query, keys));
                    softmax_lane(&scores[..p.len()], p);
                    hidden.fill(T::zero());
                }
                T::matmul(
                    y.matrix_mut(out.data, sample, head),
                    Matrix::new(p, queries, keys),
                    v.matrix(inputs[2].data, sample, of_keys),
                    false,
                );
            }
        });
        Ok(())
    }

    fn vjp(
        &self,
        _context: &Context,
        saved: Saved<'_, T>,
        cotangents: &[Option<View<'_, T>>],
        gradients: &mut [Option<ViewMut<'_, T>>],
    ) -> Result<i64, OpError> {
        let Some(g) = cotangents[0] else { return Ok(0) };
        let extents = self.extents_of(saved.inputs)?;
        let Extents { q, k, v, y } = &extents;
        let (queries, keys, group) = (q.time, k.time, extents.group());
        let factor = self.factor::<T>(q.dim);
        let inputs = saved.inputs;
        if let Some(Some(gradient)) = gradients.get_mut(3) {
            gradient.data.fill(T::zero());
        }
        let through_scores = gradients
            .iter()
            .enumerate()
            .any(|(input, gradient)| input != 2 && gradient.is_some());
        T::with_scratch(2 * extents.scores(), |scratch| {
            let (dp, dz) = scratch.split_at_mut(extents.scores());
            let softmaxes = saved.outputs[1].data.chunks_exact(extents.scores());
            for (index, p) in softmaxes.enumerate() {
                let (sample, head) = (index / q.heads, index % q.heads);
                let of_keys = head / group;
                // The first of a group writes, the others add.
                let accumulate = head % group > 0;
                let g = y.matrix(g.data, sample, head);
                if let Some(gradient) = &mut gradients[2] {
                    T::matmul(
                        v.matrix_mut(gradient.data, sample, of_keys),
                        Matrix::new(p, queries, keys).transposed(),
                        g,
                        accumulate,
                    );
                }
                if !through_scores {
                    continue;
                }
                T::matmul(
                    MatrixMut::new(dp, queries, keys),
                    g,
                    v.matrix(inputs[2].data, sample, of_keys).transposed(),
                    false,
                );
                let lanes = p.chunks_exact(keys).zip(dp.chunks_exact(keys));
                for (query, (dz, (p, dp))) in dz.chunks_exact_mut(keys).zip(lanes).enumerate() {
                    let seen = self.seen(query, keys);
                    let (dz, hidden) = dz.split_at_mut(seen);
                    softmax_pull(&p[..seen], &dp[..seen], dz);
                    hidden.fill(T::zero());
                }
                if let Some(Some(gradient)) = gradients.get_mut(3) {
                    let steps = MaskSteps::new(gradient.shape);
                    steps.visit(sample, head, [queries, keys], |score, at| {
                        gradient.data[at] += dz[score];
                    });
                }
                dz.iter_mut().for_each(|z| *z *= factor);
                let dz = Matrix::new(dz, queries, keys);
                if let Some(gradient) = &mut gradients[0] {
                    T::matmul(
                        q.matrix_mut(gradient.data, sample, head),
                        dz,
                        k.matrix(inputs[1].data, sample, of_keys),
                        false,
                    );
                }
                if let Some(gradient) = &mut gradients[1] {
                    T::matmul(
                        k.matrix_mut(gradient.data, sample, of_keys),
                        dz.transposed(),
                        q.matrix(inputs[0].data, sample, head),
                        accumulate,
                    );
                }
            }
        });
        Ok(0)
    }
}

impl Op for Attention {
    fn name(&self) -> &'static str {
        "Attention"
    }

    fn role(&self) -> Role {
        Role::Other
    }

    fn infer(&self, inputs: &[&Shape]) -> Result<Vec<Shape>, OpError> {
        let count = 3 + usize::from(self.mask);
        expect_inputs(inputs, count..=count)?;
        let Extents { q, k, y, .. } = self.extents([inputs[0], inputs[1], inputs[2]])?;
        let scores = Shape::from([q.batch, q.heads, q.time, k.time]);
        if let Some(mask) = inputs.get(3) {
            let tail = scores.iter().rev().zip(mask.iter().rev());
            let fits = |(&whole, &own): (&usize, &usize)| own == whole || own == 1;
            if mask.len() > 4 || !tail.clone().all(fits) {
                let expected = format!("one that broadcasts to {scores}");
                return Err(misfit("shape of the mask", expected, mask));
            }
        }
        let outputs = vec![y.shape(), scores];
        match outputs.iter().find(|shape| shape.checked_len().is_none()) {
            Some(large) => Err(misfit("scores", "a size that can be counted", large)),
            None => Ok(outputs),
        }
    }

    fn kept_outputs(&self) -> usize {
        1
    }

    fn per_sample(&self, sampled: &[bool], inputs: &[&Shape]) -> bool {
        if sampled[..3] != [true; 3] {
            return false;
        }
        let Some(mask) = inputs.get(3) else {
            return true;
        };
        let by_sample = mask.len() == 4 && mask[0] == inputs[0][0];
        if sampled[3] {
            by_sample
        } else {
            mask.len() < 4 || mask[0] == 1
        }
    }

    fn main_input(&self) -> usize {
        // The values: what reaches queries and keys has passed the softmax's small derivative.
        2
    }

    fn reads_input(&self, input: usize) -> bool {
        input < 3
    }

    fn reads_outputs(&self) -> bool {
        false
    }

    fn flops(&self, inputs: &[&Shape], outputs: &[Shape]) -> u64 {
        let scores = outputs.get(1).map_or(1, Shape::element_count) as u64;
        let features = inputs[0].last().copied().unwrap_or(1) as u64;
        // Two products, with a dim between that of a head and the whole width.
        let heads = self.query_heads.unwrap_or(1) as u64;
        scores
            .saturating_mul(4)
            .saturating_mul((features / heads.max(1)).max(1))
    }
}

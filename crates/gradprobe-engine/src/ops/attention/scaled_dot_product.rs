//! Scaled dot-product attention (Vaswani et al. 2017), in heads and groups of heads.

use super::heads::Heads;
use crate::num::linalg::{Matrix, MatrixMut};
use crate::num::{Element, Shape, View, ViewMut};
use crate::ops::attributes::AttributeReader;
use crate::ops::parallel::{for_each_part, for_each_two_parts};
use crate::ops::shapes::{expect_inputs, misfit};
use crate::ops::softmax::{softmax_lane, softmax_pull};
use crate::ops::{
    Attributes, Autocast, Context, Kernel, Op, OpElement, OpError, OpFacts, Role, Saved,
};

/// y = softmax(s·q·kᵀ + mask)·v for every sample and head; inputs q, k and v, each
/// \[batch, heads, time, dim\], or \[batch, time, heads · dim\] with `query_heads` and `key_heads`,
/// and with `mask` what is added to the scores, which broadcasts to
/// \[batch, heads, queries, keys\] (−∞ hides a key). y has the layout of q, with the dim of v.
///
/// Where there are fewer heads of keys and values than of queries, each serves a group of
/// neighbouring ones (Ainslie et al. 2023). With `causal` query i sees the keys 0 to i. Where the
/// mask hides every key from a query, y is 0 there and nothing is pulled back, as in PyTorch.
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
        context: &Context,
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
        // Heads side by side cannot be written by several threads: each writes its own first.
        let head_len = y.head_len();
        T::with_scratch(q.batch * q.heads * head_len, |heads| {
            for_each_two_parts(
                context.parallel,
                (&mut *softmax.data, extents.scores()),
                (&mut *heads, head_len),
                |index, p, out| {
                    let (sample, head) = (index / q.heads, index % q.heads);
                    let of_keys = head / extents.group();
                    T::with_scratch(extents.scores(), |scores| {
                        T::matmul(
                            MatrixMut::new(scores, queries, keys),
                            q.matrix(inputs[0].data, sample, head),
                            k.matrix(inputs[1].data, sample, of_keys).transposed(),
                            false,
                        );
                        scores.iter_mut().for_each(|score| *score *= factor);
                        // By query: does it see a key?
                        let mut sees = vec![inputs.len() < 4; queries];
                        if let Some(mask) = inputs.get(3) {
                            let steps = MaskSteps::new(mask.shape);
                            let hides = T::from_f64(f64::NEG_INFINITY);
                            steps.visit(sample, head, [queries, keys], |score, at| {
                                let (query, key) = (score / keys, score % keys);
                                sees[query] |=
                                    key < self.seen(query, keys) && mask.data[at] != hides;
                                scores[score] += mask.data[at];
                            });
                        }
                        let lanes = scores.chunks_exact(keys).zip(p.chunks_exact_mut(keys));
                        for (query, (scores, p)) in lanes.enumerate() {
                            if !sees[query] {
                                p.fill(T::zero());
                                continue;
                            }
                            let (p, hidden) = p.split_at_mut(self.seen(query, keys));
                            softmax_lane(&scores[..p.len()], p);
                            hidden.fill(T::zero());
                        }
                    });
                    T::matmul(
                        MatrixMut::new(out, queries, y.dim),
                        Matrix::new(p, queries, keys),
                        v.matrix(inputs[2].data, sample, of_keys),
                        false,
                    );
                },
            );
            for (index, head) in heads.chunks_exact(head_len.max(1)).enumerate() {
                y.put(out.data, index / q.heads, index % q.heads, head);
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
        let scores = extents.scores();
        let softmax = saved.outputs[1].data;
        let wants_mask = matches!(gradients.get(3), Some(Some(_)));
        // What the heads that share their keys write: ∂q of each, ∂k, ∂v, and ∂z of each.
        let lens = [
            group * q.head_len(),
            k.head_len(),
            v.head_len(),
            if wants_mask { group * scores } else { 0 },
        ];
        let part_len: usize = lens.iter().sum();
        T::with_scratch(k.batch * k.heads * part_len, |parts| {
            let wanted = [0, 1, 2].map(|input| gradients[input].is_some());
            for_each_part(context.parallel, parts, part_len.max(1), |part, out| {
                let (sample, of_keys) = (part / k.heads, part % k.heads);
                let (dq, rest) = out.split_at_mut(lens[0]);
                let (dk, rest) = rest.split_at_mut(lens[1]);
                let (dv, dmask) = rest.split_at_mut(lens[2]);
                for member in 0..group {
                    let head = of_keys * group + member;
                    let p = &softmax[(sample * q.heads + head) * scores..][..scores];
                    // The first of a group writes, the others add.
                    let accumulate = member > 0;
                    let g = y.matrix(g.data, sample, head);
                    if wanted[2] {
                        T::matmul(
                            MatrixMut::new(dv, keys, v.dim),
                            Matrix::new(p, queries, keys).transposed(),
                            g,
                            accumulate,
                        );
                    }
                    if !through_scores {
                        continue;
                    }
                    T::with_scratch(2 * scores, |scratch| {
                        let (dp, dz) = scratch.split_at_mut(scores);
                        T::matmul(
                            MatrixMut::new(dp, queries, keys),
                            g,
                            v.matrix(inputs[2].data, sample, of_keys).transposed(),
                            false,
                        );
                        let lanes = p.chunks_exact(keys).zip(dp.chunks_exact(keys));
                        let lanes = dz.chunks_exact_mut(keys).zip(lanes);
                        for (query, (dz, (p, dp))) in lanes.enumerate() {
                            let seen = self.seen(query, keys);
                            let (dz, hidden) = dz.split_at_mut(seen);
                            softmax_pull(&p[..seen], &dp[..seen], dz);
                            hidden.fill(T::zero());
                        }
                        if wants_mask {
                            dmask[member * scores..][..scores].copy_from_slice(dz);
                        }
                        dz.iter_mut().for_each(|z| *z *= factor);
                        let dz = Matrix::new(dz, queries, keys);
                        if wanted[0] {
                            let len = q.head_len();
                            T::matmul(
                                MatrixMut::new(&mut dq[member * len..][..len], queries, q.dim),
                                dz,
                                k.matrix(inputs[1].data, sample, of_keys),
                                false,
                            );
                        }
                        if wanted[1] {
                            T::matmul(
                                MatrixMut::new(dk, keys, k.dim),
                                dz.transposed(),
                                q.matrix(inputs[0].data, sample, head),
                                accumulate,
                            );
                        }
                    });
                }
            });
            for (part, out) in parts.chunks_exact(part_len.max(1)).enumerate() {
                let (sample, of_keys) = (part / k.heads, part % k.heads);
                let (dq, rest) = out.split_at(lens[0]);
                let (dk, rest) = rest.split_at(lens[1]);
                let (dv, dmask) = rest.split_at(lens[2]);
                for (own, (input, from)) in [(k, (1, dk)), (v, (2, dv))] {
                    if let Some(gradient) = &mut gradients[input] {
                        own.put(gradient.data, sample, of_keys, from);
                    }
                }
                for member in 0..group {
                    let head = of_keys * group + member;
                    if let Some(gradient) = &mut gradients[0] {
                        let from = &dq[member * q.head_len()..][..q.head_len()];
                        q.put(gradient.data, sample, head, from);
                    }
                    if let Some(Some(gradient)) = gradients.get_mut(3) {
                        let dz = &dmask[member * scores..][..scores];
                        let steps = MaskSteps::new(gradient.shape);
                        steps.visit(sample, head, [queries, keys], |score, at| {
                            gradient.data[at] += dz[score];
                        });
                    }
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

    fn facts(&self) -> OpFacts {
        OpFacts {
            autocast: Autocast::Narrow,
            // The values: what reaches queries and keys has passed the softmax's small derivative.
            main_input: 2,
            ..OpFacts::default()
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::num::Tensor;
    use crate::ops::{apply, apply_vjp};

    #[test]
    fn a_query_that_sees_nothing_gives_nothing_and_gets_nothing() {
        let op = Attention {
            mask: true,
            ..Attention::default()
        };
        let hidden = f64::NEG_INFINITY;
        let inputs = [
            Tensor::new([1, 1, 2, 1], vec![0.5, 2.0]),
            Tensor::new([1, 1, 2, 1], vec![1.0, -1.0]),
            Tensor::new([1, 1, 2, 1], vec![3.0, 4.0]),
            Tensor::new([2, 2], vec![0.0, hidden, hidden, hidden]),
        ];
        let context = Context::default();
        let y = apply(&op, &context, &inputs).expect("it fits");
        assert_eq!(y[0].data(), [3.0, 0.0]);
        let g = Tensor::new([1, 1, 2, 1], vec![1.0, 1.0]);
        let (gradients, _) =
            apply_vjp(&op, &context, &inputs, &y, &[g], &[true; 4]).expect("it fits");
        let gradients: Vec<&[f64]> = gradients.iter().flatten().map(Tensor::data).collect();
        assert_eq!(gradients[2], [1.0, 0.0]);
        for gradient in [gradients[0], gradients[1], gradients[3]] {
            assert!(gradient.iter().all(|&x| x == 0.0), "{gradients:?}");
        }
    }
}

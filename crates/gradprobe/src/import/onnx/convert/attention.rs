//! Attention and rotary positions.

use super::call::{Call, Outcome, one};
use super::indexing::check_rows;
use crate::import::onnx::fault::Fault;
use crate::import::onnx::tensors::Kind;
use crate::import::onnx::value::Operand;
use crate::num::{Shape, Tensor};
use crate::ops::{Attribute, Attributes};

/// The inputs of ONNX's Attention after query, key and value.
mod at {
    pub const MASK: usize = 3;
    pub const PAST_KEY: usize = 4;
    pub const PAST_VALUE: usize = 5;
    pub const LENGTHS: usize = 6;
}

/// The output that shows the scores.
const SCORES: usize = 3;

/// One op of the engine, with everything that hides keys in its mask; made of products and a
/// softmax where the scores are bent by a cap or are an output.
pub(super) fn attention(call: &mut Call<'_, '_>) -> Outcome {
    let softcap = call.float("softcap", 0.0)?;
    let has_past = call.optional(at::PAST_KEY).is_some() || call.optional(at::PAST_VALUE).is_some();
    let composed = softcap != 0.0 || call.is_read(SCORES);
    let mut attributes = call.pass(&["q_num_heads", "kv_num_heads", "is_causal", "scale"])?;
    let (q, k, v) = (call.input(0)?, call.input(1)?, call.input(2)?);
    let cache = (1..SCORES).any(|output| call.is_read(output));
    if !composed && !has_past && !cache {
        let [batch, heads, queries, keys] = extents(&attributes, &q, &k)?;
        let hiding = Hiding::read(call, [batch, heads, queries, keys], 0)?;
        let mut inputs = vec![q, k, v];
        if let Some(bias) = hiding.bias(call, true)? {
            attributes.insert("mask".into(), Attribute::Int(1));
            inputs.push(bias);
        }
        attributes.insert("is_causal".into(), hiding.left_to_the_op());
        let outputs = call.emit("Attention", &attributes, &inputs)?;
        return Ok(outputs.into_iter().take(1).map(Some).collect());
    }
    let flat = q.shape.len() == 3;
    let heads = |name: &str| match attributes.get(name) {
        Some(Attribute::Int(heads)) => *heads,
        _ => 0,
    };
    let (q_heads, kv_heads) = (heads("q_num_heads"), heads("kv_num_heads"));
    let q = in_heads(call, q, q_heads)?;
    let mut k = in_heads(call, k, kv_heads)?;
    let mut v = in_heads(call, v, kv_heads)?;
    let mut past = 0;
    if let (Some(past_k), Some(past_v)) =
        (call.optional(at::PAST_KEY), call.optional(at::PAST_VALUE))
    {
        past = past_k.shape.get(2).copied().unwrap_or(0);
        let axis = [("axis", Attribute::Int(2))];
        k = call.with("Concat", &axis, &[past_k, k])?;
        v = call.with("Concat", &axis, &[past_v, v])?;
    }
    let (&[batch, heads, queries, _], &[_, _, keys, _]) = (&q.shape[..], &k.shape[..]) else {
        return Err("has no heads".into());
    };
    let hiding = Hiding::read(call, [batch, heads, queries, keys], past)?;
    let mut outputs = vec![None, Some(k.clone()), Some(v.clone())];
    let y = if composed {
        let (y, scores) = from_products(call, [q, k, v], softcap, &hiding)?;
        outputs.push(scores);
        y
    } else {
        attributes.retain(|name, _| name == "scale");
        by_op(call, [q, k, v], attributes, &hiding)?
    };
    outputs[0] = Some(if flat { side_by_side(call, y)? } else { y });
    Ok(outputs)
}

/// y \[batch, heads, queries, dim\] by the engine's op.
pub(super) fn by_op(
    call: &mut Call<'_, '_>,
    projected: [Operand; 3],
    mut attributes: Attributes,
    hiding: &Hiding,
) -> Result<Operand, Fault> {
    let mut inputs = projected.to_vec();
    if let Some(bias) = hiding.bias(call, true)? {
        attributes.insert("mask".into(), Attribute::Int(1));
        inputs.push(bias);
    }
    attributes.insert("is_causal".into(), hiding.left_to_the_op());
    let made = call.emit("Attention", &attributes, &inputs)?.into_iter();
    Ok(made.take(1).next().ok_or("has no output")?)
}

/// \[batch, heads, queries, keys\].
fn extents(attributes: &Attributes, q: &Operand, k: &Operand) -> Result<[usize; 4], Fault> {
    match (&q.shape[..], &k.shape[..]) {
        (&[batch, heads, queries, _], &[_, _, keys, _]) => Ok([batch, heads, queries, keys]),
        (&[batch, queries, _], &[_, keys, _]) => {
            let heads = match attributes.get("q_num_heads") {
                Some(&Attribute::Int(heads)) => usize::try_from(heads).unwrap_or(0),
                _ => 0,
            };
            Ok([batch, heads, queries, keys])
        }
        _ => Err(format!("expected three or four axes, got shape {}", q.shape).into()),
    }
}

/// What hides keys from queries.
pub(super) struct Hiding {
    pub mask: Option<Operand>,
    /// How many keys of each sample are no padding \[batch, 1, 1, 1\].
    pub lengths: Option<Operand>,
    pub causal: bool,
    /// How far to the left and to the right of its own place a query sees.
    pub window: [Option<i64>; 2],
    pub queries: usize,
    pub keys: usize,
    /// Keys before the first query.
    pub past: usize,
}

impl Hiding {
    fn read(
        call: &mut Call<'_, '_>,
        [batch, _, queries, keys]: [usize; 4],
        past: usize,
    ) -> Result<Self, Fault> {
        let side = |name: &'static str| -> Result<Option<i64>, Fault> {
            let size = call.int(name, -1)?;
            Ok((size >= 0).then_some(size))
        };
        let window = [side("left_window_size")?, side("right_window_size")?];
        let causal = call.int("is_causal", 0)? == 1;
        let mask = match call.optional(at::MASK) {
            Some(mask) => Some(padded(call, mask, keys)?),
            None => None,
        };
        let lengths = call.optional(at::LENGTHS);
        let lengths = match lengths.filter(|lengths| !call.session.is_whole_lengths(lengths)) {
            Some(lengths) => Some(call.reshape(&lengths, &[batch, 1, 1, 1])?),
            None => None,
        };
        Ok(Self {
            mask,
            lengths,
            causal,
            window,
            queries,
            keys,
            past,
        })
    }

    /// Is the first query at the first key, and nothing else hidden by place?
    fn is_plain(&self) -> bool {
        self.past == 0 && self.lengths.is_none() && self.window == [None, None]
    }

    /// What the engine's op does about what comes later.
    fn left_to_the_op(&self) -> Attribute {
        Attribute::Int(i64::from(self.causal && self.is_plain()))
    }

    /// What is added to the scores; without what the engine's op can hide, if `by_op`.
    fn bias(&self, call: &mut Call<'_, '_>, by_op: bool) -> Result<Option<Operand>, Fault> {
        let by_place = match self.is_plain() && (by_op || !self.causal) {
            true => None,
            false => self.seen(call)?,
        };
        let by_place = match by_place {
            Some(seen) => Some(added(call, seen)?),
            None => None,
        };
        Ok(match (self.mask.clone(), by_place) {
            (Some(mask), Some(place)) => Some(call.plain("Add", &[mask, place])?),
            (mask, place) => mask.or(place),
        })
    }

    /// Which keys a query sees by their places \[queries, keys\], or with the lengths
    /// \[batch, 1, queries, keys\].
    fn seen(&self, call: &mut Call<'_, '_>) -> Result<Option<Operand>, Fault> {
        let (queries, keys) = (self.queries, self.keys);
        // The key's place less the query's, each counted from its own beginning.
        let shape = Shape::from([queries, keys]);
        call.session.charge_folded(&shape)?;
        let places = |of: &dyn Fn(usize) -> f64| {
            let places = (0..queries * keys).map(of).collect();
            Operand::known(Kind::Int, Tensor::new(shape.clone(), places))
        };
        let apart = places(&|at| (at % keys) as f64 - (at / keys) as f64);
        // The place of the first query among the keys.
        let first = match &self.lengths {
            None => Operand::int(self.past as i64),
            Some(lengths) => call.plain("Sub", &[lengths.clone(), Operand::int(queries as i64)])?,
        };
        let mut conditions = Vec::new();
        if self.causal {
            conditions.push(call.plain("LessOrEqual", &[apart.clone(), first.clone()])?);
        }
        if let [Some(left), _] = self.window {
            let least = call.plain("Sub", &[first.clone(), Operand::int(left)])?;
            conditions.push(call.plain("GreaterOrEqual", &[apart.clone(), least])?);
        }
        if let [_, Some(right)] = self.window {
            let most = call.plain("Add", &[first, Operand::int(right)])?;
            conditions.push(call.plain("LessOrEqual", &[apart, most])?);
        }
        if let Some(lengths) = &self.lengths {
            let key = places(&|at| (at % keys) as f64);
            conditions.push(call.plain("Less", &[key, lengths.clone()])?);
        }
        let mut conditions = conditions.into_iter();
        let Some(mut seen) = conditions.next() else {
            return Ok(None);
        };
        for condition in conditions {
            seen = call.plain("And", &[seen, condition])?;
        }
        Ok(Some(seen))
    }
}

/// A mask as what is added to the scores.
fn added(call: &mut Call<'_, '_>, mask: Operand) -> Result<Operand, Fault> {
    if mask.kind != Kind::Bool {
        return Ok(mask);
    }
    let (shown, hidden) = (Operand::float(0.0), Operand::float(f64::NEG_INFINITY));
    call.plain("Where", &[mask, shown, hidden])
}

/// A mask as what is added to the scores; keys that it says nothing of are hidden.
fn padded(call: &mut Call<'_, '_>, mask: Operand, keys: usize) -> Result<Operand, Fault> {
    let mask = added(call, mask)?;
    let Some((&own, leading)) = mask.shape.split_last() else {
        return Ok(mask);
    };
    if own >= keys {
        return Ok(mask);
    }
    let mut shape = leading.to_vec();
    shape.push(keys - own);
    let shape = Shape(shape);
    call.session.charge_folded(&shape)?;
    let hidden = vec![f64::NEG_INFINITY; shape.element_count()];
    let hidden = Operand::known(Kind::Float, Tensor::new(shape, hidden));
    call.with("Concat", &[("axis", Attribute::Int(-1))], &[mask, hidden])
}

fn transposed(call: &mut Call<'_, '_>, x: &Operand, order: [i64; 4]) -> Result<Operand, Fault> {
    let order = Attribute::Ints(order.to_vec());
    call.with("Transpose", &[("perm", order)], std::slice::from_ref(x))
}

/// \[batch, heads, time, dim\], also where the heads lie side by side.
pub(super) fn in_heads(call: &mut Call<'_, '_>, x: Operand, heads: i64) -> Result<Operand, Fault> {
    match x.shape[..] {
        [_, _, _, _] => Ok(x),
        [batch, time, features] => {
            let heads = usize::try_from(heads).unwrap_or(0);
            if heads == 0 || features % heads != 0 {
                return Err(format!("{features} features in {heads} heads").into());
            }
            let x = call.reshape(&x, &[batch, time, heads, features / heads])?;
            transposed(call, &x, [0, 2, 1, 3])
        }
        _ => Err(format!("expected three or four axes, got shape {}", x.shape).into()),
    }
}

/// Every head of keys or values as often as queries share it.
fn repeated(call: &mut Call<'_, '_>, x: Operand, heads: usize) -> Result<Operand, Fault> {
    let [batch, own, time, dim] = x.shape[..] else {
        return Err("has no heads".into());
    };
    if own == heads {
        return Ok(x);
    }
    if own == 0 || !heads.is_multiple_of(own) {
        return Err(format!("query has {heads} heads, key has {own}").into());
    }
    let column = call.reshape(&x, &[batch, own, 1, time, dim])?;
    let extents = [batch, own, heads / own, time, dim].map(|extent| extent as i64);
    let shape = Attribute::Ints(extents.to_vec());
    let wide = call.with("Expand", &[("shape", shape)], &[column])?;
    call.reshape(&wide, &[batch, heads, time, dim])
}

/// y with its heads side by side.
pub(super) fn side_by_side(call: &mut Call<'_, '_>, y: Operand) -> Result<Operand, Fault> {
    let y = transposed(call, &y, [0, 2, 1, 3])?;
    let [batch, time, heads, dim] = y.shape[..] else {
        return Err("has no heads".into());
    };
    call.reshape(&y, &[batch, time, heads * dim])
}

/// y \[batch, heads, queries, dim\] step by step, and the scores at the step that is asked for.
pub(super) fn from_products(
    call: &mut Call<'_, '_>,
    [q, k, v]: [Operand; 3],
    softcap: f64,
    hiding: &Hiding,
) -> Result<(Operand, Option<Operand>), Fault> {
    let heads = q.shape[1];
    let (k, v) = (repeated(call, k, heads)?, repeated(call, v, heads)?);
    let dim = q.shape[3].max(1) as f64;
    let scale = match call.float("scale", 0.0)? {
        0.0 => 1.0 / dim.sqrt(),
        scale => scale,
    };
    let keys = transposed(call, &k, [0, 1, 3, 2])?;
    let product = call.plain("MatMul", &[q, keys])?;
    let mut scores = call.plain("Mul", &[product, Operand::float(scale)])?;
    let mut stages = vec![scores.clone()];
    if softcap > 0.0 {
        let small = call.plain("Div", &[scores, Operand::float(softcap)])?;
        let bent = call.activation("tanh", &small)?;
        scores = call.plain("Mul", &[bent, Operand::float(softcap)])?;
    }
    stages.push(scores.clone());
    let bias = hiding.bias(call, false)?;
    if let Some(bias) = &bias {
        scores = call.plain("Add", &[scores, bias.clone()])?;
    }
    stages.push(scores.clone());
    let softmax = [("axis", Attribute::Int(-1))];
    let weights = match bias {
        None => call.with("Softmax", &softmax, &[scores])?,
        Some(bias) => {
            // A query from which all is hidden attends to nothing; its scores are taken out
            // before the softmax, whose pull-back would be NaN.
            let most = [("axes", Attribute::Ints(vec![-1]))];
            let most = call.with("ReduceMax", &most, &[bias])?;
            let blind = call.plain("Equal", &[most, Operand::float(f64::NEG_INFINITY)])?;
            let zero = Operand::float(0.0);
            let finite = call.plain("Where", &[blind.clone(), zero.clone(), scores])?;
            let weights = call.with("Softmax", &softmax, &[finite])?;
            call.plain("Where", &[blind, zero, weights])?
        }
    };
    stages.push(weights.clone());
    let y = call.plain("MatMul", &[weights, v])?;
    let stage = usize::try_from(call.int("qk_matmul_output_mode", 0)?).unwrap_or(0);
    Ok((y, stages.get(stage).cloned()))
}

pub(super) fn rotary(call: &mut Call<'_, '_>) -> Outcome {
    let some = |name| -> Result<Option<usize>, Fault> {
        let value = usize::try_from(call.int(name, 0)?).unwrap_or(0);
        Ok((value > 0).then_some(value))
    };
    let extents = [some("num_heads")?, some("rotary_embedding_dim")?];
    let interleaved = call.int("interleaved", 0)? != 0;
    let (x, caches) = (call.input(0)?, [call.input(1)?, call.input(2)?]);
    let positions = call.optional(3);
    one(rotated(call, x, caches, positions, extents, interleaved)?)
}

/// x with its features turned by the cosines and sines of its positions, which are a row a step or
/// looked up. `extents` are the heads of x, where they lie side by side, and how many features of a
/// head are turned, if not all.
pub(super) fn rotated(
    call: &mut Call<'_, '_>,
    x: Operand,
    caches: [Operand; 2],
    positions: Option<Operand>,
    [heads, dim]: [Option<usize>; 2],
    interleaved: bool,
) -> Result<Operand, Fault> {
    let mut attributes = vec![
        ("caches", Attribute::Int(1)),
        ("interleaved", Attribute::Int(i64::from(interleaved))),
    ];
    for (name, value) in [("num_heads", heads), ("rotary_embedding_dim", dim)] {
        attributes.extend(value.map(|value| (name, Attribute::Int(value as i64))));
    }
    let mut inputs = vec![x];
    for cache in caches {
        // A table of the formula's values, whatever the file calls it.
        let cache = call.session.frozen(&cache);
        inputs.push(match &positions {
            Some(positions) => {
                check_rows(call, &cache, positions, 0)?;
                call.plain("Gather", &[cache, positions.clone()])?
            }
            None => cache,
        });
    }
    call.with("RotaryEmbedding", &attributes, &inputs)
}

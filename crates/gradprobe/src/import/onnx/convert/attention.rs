//! Attention and rotary positions.

use super::call::{Call, Outcome};
use crate::import::onnx::session::Fault;
use crate::import::onnx::tensors::Kind;
use crate::import::onnx::value::Operand;
use crate::num::{Shape, Tensor};
use crate::ops::Attribute;

/// One op of the engine where that says all; else made of products and a softmax: with a cap on
/// the scores, with past keys and values, with the scores as an output.
pub(super) fn attention(call: &mut Call<'_, '_>) -> Outcome {
    call.refuse(call.optional(6).is_some(), "nonpad_kv_seqlen")?;
    let softcap = call.float("softcap", 0.0)?;
    let has_past = call.optional(4).is_some() || call.optional(5).is_some();
    let plain = softcap == 0.0 && !has_past && !(1..4).any(|output| call.is_read(output));
    let mut attributes = call.pass(&["q_num_heads", "kv_num_heads", "is_causal", "scale"])?;
    if !plain {
        return composed(call, softcap);
    }
    let mut inputs = vec![call.input(0)?, call.input(1)?, call.input(2)?];
    if let Some(mask) = call.optional(3) {
        attributes.insert("mask".into(), Attribute::Int(1));
        inputs.push(added(call, mask)?);
    }
    let outputs = call.emit("Attention", &attributes, &inputs)?;
    Ok(outputs.into_iter().take(1).map(Some).collect())
}

/// A mask as what is added to the scores.
fn added(call: &mut Call<'_, '_>, mask: Operand) -> Result<Operand, Fault> {
    if mask.kind != Kind::Bool {
        return Ok(mask);
    }
    let (shown, hidden) = (Operand::float(0.0), Operand::float(f64::NEG_INFINITY));
    call.plain("Where", &[mask, shown, hidden])
}

fn transposed(call: &mut Call<'_, '_>, x: &Operand, order: [i64; 4]) -> Result<Operand, Fault> {
    let order = Attribute::Ints(order.to_vec());
    call.with("Transpose", &[("perm", order)], std::slice::from_ref(x))
}

/// \[batch, heads, time, dim\], also where the heads lie side by side.
fn in_heads(call: &mut Call<'_, '_>, x: Operand, heads: i64) -> Result<Operand, Fault> {
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

fn composed(call: &mut Call<'_, '_>, softcap: f64) -> Outcome {
    let (q_heads, kv_heads) = (call.int("q_num_heads", 0)?, call.int("kv_num_heads", 0)?);
    let flat = call.input(0)?.shape.len() == 3;
    let (q, k, v) = (call.input(0)?, call.input(1)?, call.input(2)?);
    let q = in_heads(call, q, q_heads)?;
    let mut k = in_heads(call, k, kv_heads)?;
    let mut v = in_heads(call, v, kv_heads)?;
    let mut past = 0;
    if let (Some(past_k), Some(past_v)) = (call.optional(4), call.optional(5)) {
        past = past_k.shape.get(2).copied().unwrap_or(0);
        let axis = [("axis", Attribute::Int(2))];
        k = call.with("Concat", &axis, &[past_k, k])?;
        v = call.with("Concat", &axis, &[past_v, v])?;
    }
    let present = [k.clone(), v.clone()];
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
    if let Some(mask) = call.optional(3) {
        let mask = added(call, mask)?;
        scores = call.plain("Add", &[scores, mask])?;
    }
    if call.int("is_causal", 0)? == 1 {
        let (queries, keys) = (scores.shape[2], scores.shape[3]);
        let hidden = |at: usize| at % keys > at / keys + past;
        let steps = (0..queries * keys).map(|at| if hidden(at) { f64::NEG_INFINITY } else { 0.0 });
        let mask = Tensor::new(Shape::from([queries, keys]), steps.collect());
        scores = call.plain("Add", &[scores, Operand::known(Kind::Float, mask)])?;
    }
    stages.push(scores.clone());
    let weights = call.with("Softmax", &[("axis", Attribute::Int(-1))], &[scores])?;
    stages.push(weights.clone());
    let mut y = call.plain("MatMul", &[weights, v])?;
    if flat {
        y = transposed(call, &y, [0, 2, 1, 3])?;
        let [batch, time, heads, dim] = y.shape[..] else {
            return Err("has no heads".into());
        };
        y = call.reshape(&y, &[batch, time, heads * dim])?;
    }
    let stage = usize::try_from(call.int("qk_matmul_output_mode", 0)?).unwrap_or(0);
    let [k, v] = present.map(Some);
    Ok(vec![Some(y), k, v, stages.get(stage).cloned()])
}

pub(super) fn rotary(call: &mut Call<'_, '_>) -> Outcome {
    let mut attributes = call.pass(&["interleaved", "num_heads", "rotary_embedding_dim"])?;
    attributes.insert("caches".into(), Attribute::Int(1));
    let mut inputs = vec![call.input(0)?];
    for cache in 1..3 {
        let cache = call.input(cache)?;
        inputs.push(match call.optional(3) {
            Some(positions) => call.plain("Gather", &[cache, positions])?,
            None => cache,
        });
    }
    let outputs = call.emit("RotaryEmbedding", &attributes, &inputs)?;
    Ok(outputs.into_iter().map(Some).collect())
}

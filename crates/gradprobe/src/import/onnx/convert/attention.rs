//! Attention and rotary positions.

use super::call::{Call, Outcome};
use crate::import::onnx::tensors::Kind;
use crate::import::onnx::value::Operand;
use crate::ops::Attribute;

pub(super) fn attention(call: &mut Call<'_, '_>) -> Outcome {
    call.refuse(
        call.optional(4).is_some() || call.optional(5).is_some(),
        "a cache of past keys and values",
    )?;
    call.refuse(call.optional(6).is_some(), "nonpad_kv_seqlen")?;
    call.refuse(call.float("softcap", 0.0)? != 0.0, "softcap")?;
    let mut attributes = call.pass(&["q_num_heads", "kv_num_heads", "is_causal", "scale"])?;
    let mut inputs = vec![call.input(0)?, call.input(1)?, call.input(2)?];
    if let Some(mask) = call.optional(3) {
        attributes.insert("mask".into(), Attribute::Int(1));
        let added = if mask.kind == Kind::Bool {
            let (shown, hidden) = (Operand::float(0.0), Operand::float(f64::NEG_INFINITY));
            call.plain("Where", &[mask, shown, hidden])?
        } else {
            mask
        };
        inputs.push(added);
    }
    let outputs = call.emit("Attention", &attributes, &inputs)?;
    Ok(outputs.into_iter().take(1).map(Some).collect())
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

//! The first layers and the attention of transformers, projections included.

use super::MICROSOFT;
use super::expansion::{Expansion, float, int, ints};
use crate::import::onnx::error::OnnxError;

/// The inputs of the attention that has its projections.
mod at {
    pub const BIAS: usize = 2;
    pub const MASK: usize = 3;
    pub const PAST: usize = 4;
    pub const ATTENTION_BIAS: usize = 5;
    pub const PAST_LENGTH: usize = 6;
}

/// x·W + b cut into queries, keys and values, and attention of these; the state is one tensor
/// \[2, batch, heads, time, dim\].
pub(super) fn attention(call: &mut Expansion<'_>) -> Result<(), OnnxError> {
    call.refuse_input(at::PAST_LENGTH, "a length of the state")?;
    for name in ["do_rotary", "past_present_share_buffer"] {
        if call.int(name, 0)? != 0 {
            return Err(OnnxError::new(format!("attribute {name} is not supported")));
        }
    }
    call.ignore(&["rotary_embedding_dim"]);
    let attributes = call.same_of(&["num_heads", "scale", "mask_filter_value", "unidirectional"]);
    let sizes = call
        .ints("qkv_hidden_sizes")?
        .filter(|sizes| !sizes.is_empty());
    let (x, weight) = (call.input(0)?, call.input(1)?);
    let mut product = call.value("MatMul", &[&x, &weight], vec![]);
    if let Some(bias) = call.optional(at::BIAS) {
        product = call.value("Add", &[&product, &bias], vec![]);
    }
    let mut inputs: Vec<String> = ["query", "key", "value"]
        .iter()
        .map(|what| call.free_name(what))
        .collect();
    let mut split = vec![int("axis", -1)];
    split.push(match sizes {
        Some(sizes) => ints("split", &sizes),
        None => int("num_outputs", 3),
    });
    call.node("Split", vec![product], inputs.clone(), split);
    inputs.push(String::new());
    inputs.push(call.optional(at::MASK).unwrap_or_default());
    inputs.push(call.optional(at::ATTENTION_BIAS).unwrap_or_default());
    if let Some(past) = call.optional(at::PAST) {
        for half in 0..2 {
            let half = call.scalar(half);
            inputs.push(call.value("Gather", &[&past, &half], vec![int("axis", 0)]));
        }
    }
    let mut outputs = vec![call.output(0).unwrap_or_else(|| call.free_name("y"))];
    let present = call.output(1);
    if present.is_some() {
        outputs.extend([
            call.free_name("present_key"),
            call.free_name("present_value"),
        ]);
    }
    call.node_of(
        MICROSOFT,
        "MultiHeadAttention",
        inputs,
        outputs.clone(),
        attributes,
    );
    if let Some(present) = present {
        let halves = outputs[1..].iter().map(String::as_str);
        let halves: Vec<&str> = halves.collect();
        let mut stacked = Vec::new();
        for half in halves {
            stacked.push(call.value("Unsqueeze", &[half], vec![ints("axes", &[0])]));
        }
        call.node("Concat", stacked, vec![present], vec![int("axis", 0)]);
    }
    Ok(())
}

/// The inputs of the first layers of BERT.
mod of {
    pub const SEGMENTS: usize = 1;
    pub const WORD_TABLE: usize = 2;
    pub const POSITION_TABLE: usize = 3;
    pub const SEGMENT_TABLE: usize = 4;
    pub const SCALE: usize = 5;
    pub const SHIFT: usize = 6;
    pub const MASK: usize = 7;
    pub const POSITIONS: usize = 8;
}

/// The sum of the tables' rows for words, positions and segments, normalised; the number of words
/// that the mask shows, and the sum itself.
pub(super) fn embedding(call: &mut Expansion<'_>) -> Result<(), OnnxError> {
    call.ignore(&["mask_index_type"]);
    let epsilon = call.float("epsilon", 1e-12)?;
    let words = call.input(0)?;
    let table = call.input(of::WORD_TABLE)?;
    let mut sum = call.value("Gather", &[&table, &words], vec![int("axis", 0)]);
    let table = call.input(of::SEGMENT_TABLE);
    let of_segments = match (call.optional(of::SEGMENTS), table) {
        (Some(segments), table) => Some((table?, segments)),
        // Where nothing says a word's segment, it is in the first.
        (None, Ok(table)) => Some((table, call.scalar(0))),
        (None, Err(_)) => None,
    };
    let table = call.input(of::POSITION_TABLE)?;
    let positions = match call.optional(of::POSITIONS) {
        Some(positions) => positions,
        None => places(call, &words),
    };
    let of_positions = call.value("Gather", &[&table, &positions], vec![int("axis", 0)]);
    let named = call.output(2);
    let whole = named.unwrap_or_else(|| call.free_name("sum"));
    match of_segments {
        Some((table, segments)) => {
            let of_segments = call.value("Gather", &[&table, &segments], vec![int("axis", 0)]);
            sum = call.value("Add", &[&sum, &of_positions], vec![]);
            call.node("Add", vec![sum, of_segments], vec![whole.clone()], vec![]);
        }
        None => call.node("Add", vec![sum, of_positions], vec![whole.clone()], vec![]),
    }
    let (scale, shift) = (call.input(of::SCALE)?, call.input(of::SHIFT)?);
    let attributes = vec![int("axis", -1), float("epsilon", epsilon)];
    call.result("LayerNormalization", &[&whole, &scale, &shift], attributes);
    if let Some(count) = call.output(1) {
        let axes = vec![ints("axes", &[1]), int("keepdims", 0)];
        match call.optional(of::MASK) {
            Some(mask) => call.node("ReduceSum", vec![mask], vec![count], axes),
            // Without a mask there is nothing to count, and the operator says 0.
            None => {
                let none = call.value("Sub", &[&words, &words], vec![]);
                call.node("ReduceSum", vec![none], vec![count], axes);
            }
        }
    }
    Ok(())
}

/// 0, 1, 2, … as far as words \[batch, time\] go.
fn places(call: &mut Expansion<'_>, words: &str) -> String {
    let shape = call.value("Shape", &[words], vec![]);
    let axis = call.scalar(1);
    let time = call.value("Gather", &[&shape, &axis], vec![int("axis", 0)]);
    let (zero, one) = (call.scalar(0), call.scalar(1));
    call.value("Range", &[&zero, &time, &one], vec![])
}

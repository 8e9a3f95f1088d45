//! Recurrent layers.

use super::call::{Call, Outcome};
use super::recurrent_steps::{Kind, write_out};
use crate::import::onnx::fault::Fault;
use crate::import::onnx::session::Use;
use crate::import::onnx::value::Operand;
use crate::ops::{Attribute, Attributes};

/// The inputs of ONNX's recurrent operators.
mod at {
    pub const BIAS: usize = 3;
    pub const LENGTHS: usize = 4;
    pub const INITIAL_H: usize = 5;
    pub const INITIAL_C: usize = 6;
    pub const PEEPHOLES: usize = 7;
}

pub(super) fn lstm(call: &mut Call<'_, '_>) -> Outcome {
    if call.int("input_forget", 0)? != 0 || !is_usual(call, Kind::Lstm) {
        return written_out(call, Kind::Lstm);
    }
    recurrent(call, "LSTM", true, Attributes::new())
}

pub(super) fn gru(call: &mut Call<'_, '_>) -> Outcome {
    if !is_usual(call, Kind::Gru) {
        return written_out(call, Kind::Gru);
    }
    let attributes = call.pass(&["linear_before_reset"])?;
    recurrent(call, "GRU", false, attributes)
}

pub(super) fn rnn(call: &mut Call<'_, '_>) -> Outcome {
    let activations = call.texts("activations");
    let first = activations.first().map_or("Tanh", String::as_str);
    let is_own = ["tanh", "relu"].contains(&&first.to_lowercase()[..]);
    let same = activations.iter().all(|other| other == first);
    if !is_own || !same || call.has("clip") {
        return written_out(call, Kind::Rnn);
    }
    let attributes = [("activation".to_owned(), Attribute::Text(first.to_owned()))];
    recurrent(call, "RNN", false, attributes.into_iter().collect())
}

/// Are the activations those of the engine's cell, and not clipped?
fn is_usual(call: &Call<'_, '_>, kind: Kind) -> bool {
    let given = call.texts("activations");
    let mut pairs = given.iter().zip(kind.usual().iter().cycle());
    !call.has("clip") && pairs.all(|(given, usual)| given.eq_ignore_ascii_case(usual))
}

/// Step by step; sequences are then of one length.
fn written_out(call: &mut Call<'_, '_>, kind: Kind) -> Outcome {
    let lengths = lengths(call)?;
    call.refuse(
        lengths.is_some(),
        "sequences of unequal lengths together with clip, input_forget or other activations than \
         the usual",
    )?;
    write_out(call, kind)
}

/// The lengths of the sequences, where they say something: those that are all the whole length
/// do not.
fn lengths(call: &Call<'_, '_>) -> Result<Option<Operand>, Fault> {
    let x = call.input(0)?;
    let batch_first = call.int("layout", 0)? == 1;
    let time = x.shape.get(usize::from(batch_first)).copied().unwrap_or(0);
    let lengths = call.optional(at::LENGTHS);
    let lengths = lengths.filter(|lengths| !call.session.is_whole_lengths(lengths));
    let known = lengths
        .as_ref()
        .and_then(|lengths| call.session.numbers(lengths));
    let all_whole = known.is_some_and(|known| known.data().iter().all(|&x| x == time as f64));
    Ok(lengths.filter(|_| !all_whole))
}

fn recurrent(
    call: &mut Call<'_, '_>,
    op: &str,
    has_cell_state: bool,
    mut attributes: Attributes,
) -> Outcome {
    let x = call.input(0)?;
    let has_lengths = lengths(call)?.is_some();
    let hidden = call.input(2)?.shape.last().copied().unwrap_or(1);
    for input in [1, 2, at::BIAS] {
        call.used_as(input, Use::Recurrent(hidden));
    }
    attributes.extend(call.pass(&["direction", "hidden_size", "layout"])?);
    let mut inputs = vec![x, call.input(1)?, call.input(2)?];
    let optional = [
        ("bias", at::BIAS, true),
        ("initial_h", at::INITIAL_H, true),
        ("initial_c", at::INITIAL_C, has_cell_state),
        ("peepholes", at::PEEPHOLES, has_cell_state),
        ("lengths", at::LENGTHS, has_lengths),
    ];
    for (flag, index, takes) in optional {
        if let Some(operand) = call.optional(index).filter(|_| takes) {
            attributes.insert(flag.into(), Attribute::Int(1));
            inputs.push(operand);
        }
    }
    let outputs = call.emit(op, &attributes, &inputs)?;
    Ok(outputs.into_iter().map(Some).collect())
}

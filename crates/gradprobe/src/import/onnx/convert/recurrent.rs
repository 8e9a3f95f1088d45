//! Recurrent layers.

use super::call::{Call, Outcome};
use crate::import::onnx::fault::Fault;
use crate::import::onnx::session::Use;
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
    expect_activations(call, &["Sigmoid", "Tanh", "Tanh"])?;
    call.refuse(call.int("input_forget", 0)? != 0, "input_forget")?;
    recurrent(call, "LSTM", true, Attributes::new())
}

pub(super) fn gru(call: &mut Call<'_, '_>) -> Outcome {
    expect_activations(call, &["Sigmoid", "Tanh"])?;
    let attributes = call.pass(&["linear_before_reset"])?;
    recurrent(call, "GRU", false, attributes)
}

pub(super) fn rnn(call: &mut Call<'_, '_>) -> Outcome {
    let activations = call.texts("activations");
    let first = activations
        .first()
        .map_or("Tanh", String::as_str)
        .to_owned();
    call.refuse(
        activations.iter().any(|other| *other != first),
        "an activation a direction",
    )?;
    let attributes = [("activation".to_owned(), Attribute::Text(first))];
    recurrent(call, "RNN", false, attributes.into_iter().collect())
}

fn expect_activations(call: &Call<'_, '_>, expected: &[&str]) -> Result<(), Fault> {
    let given = call.texts("activations");
    let fits = given
        .iter()
        .zip(expected.iter().cycle())
        .all(|(given, expected)| given.eq_ignore_ascii_case(expected));
    if fits {
        return Ok(());
    }
    Err(format!("activations {given:?} are not supported, only {expected:?}").into())
}

fn recurrent(
    call: &mut Call<'_, '_>,
    op: &str,
    has_cell_state: bool,
    mut attributes: Attributes,
) -> Outcome {
    call.refuse(call.has("clip"), "clip")?;
    let x = call.input(0)?;
    let batch_first = call.int("layout", 0)? == 1;
    let time = x.shape.get(usize::from(batch_first)).copied().unwrap_or(0);
    // Lengths that are all the whole length say nothing.
    let lengths = call.optional(at::LENGTHS);
    let lengths = lengths.filter(|lengths| !call.session.is_whole_lengths(lengths));
    let known = lengths
        .as_ref()
        .and_then(|lengths| call.session.numbers(lengths));
    let all_whole = known.is_some_and(|known| known.data().iter().all(|&x| x == time as f64));
    let has_lengths = lengths.is_some() && !all_whole;
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

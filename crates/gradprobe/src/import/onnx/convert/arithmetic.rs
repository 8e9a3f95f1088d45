//! Sums, products and quotients. Whole numbers divide as in C: towards zero.

use super::call::{Call, Outcome, one};
use crate::import::onnx::fault::Fault;
use crate::import::onnx::session::Use;
use crate::import::onnx::tensors::Kind;
use crate::import::onnx::value::Operand;

/// An op of two inputs, in which weights are used so.
fn binary(call: &mut Call<'_, '_>, op: &str, usage: Use) -> Outcome {
    let inputs = align(call)?;
    for input in 0..2 {
        call.used_as(input, usage);
    }
    one(call.plain(op, &inputs)?)
}

/// The operands; before opset 7 the second one could be laid along the axes from `axis` on.
fn align(call: &mut Call<'_, '_>) -> Result<[Operand; 2], Fault> {
    let (a, mut b) = (call.input(0)?, call.input(1)?);
    if call.opset() < 7 && call.int("broadcast", 0)? == 1 && b.shape.len() < a.shape.len() {
        let last = (a.shape.len() - b.shape.len()) as i64;
        let axis = call.axis(call.int("axis", last)?, a.shape.len())?;
        let mut shape = b.shape.to_vec();
        shape.extend(std::iter::repeat_n(
            1,
            a.shape.len().saturating_sub(axis + b.shape.len()),
        ));
        b = call.reshape(&b, &shape)?;
    }
    Ok([a, b])
}

pub(super) fn add(call: &mut Call<'_, '_>) -> Outcome {
    binary(call, "Add", Use::Shift(0))
}

pub(super) fn sub(call: &mut Call<'_, '_>) -> Outcome {
    binary(call, "Sub", Use::Shift(0))
}

pub(super) fn mul(call: &mut Call<'_, '_>) -> Outcome {
    binary(call, "Mul", Use::Scale)
}

pub(super) fn div(call: &mut Call<'_, '_>) -> Outcome {
    let whole = call.input(0)?.kind == Kind::Int;
    let quotient = binary(call, "Div", Use::Scale)?;
    match quotient.into_iter().flatten().next() {
        Some(quotient) if whole => one(truncated(call, &quotient)?),
        quotient => Ok(vec![quotient]),
    }
}

/// Rounded towards zero.
pub(super) fn truncated(call: &mut Call<'_, '_>, x: &Operand) -> Result<Operand, Fault> {
    let x = std::slice::from_ref(x);
    let size = call.plain("Abs", x)?;
    let whole = call.plain("Floor", &[size])?;
    let sign = call.plain("Sign", x)?;
    call.plain("Mul", &[sign, whole])
}

pub(super) fn sum(call: &mut Call<'_, '_>) -> Outcome {
    let inputs = call.all();
    one(call.plain("Sum", &inputs)?)
}

pub(super) fn mean(call: &mut Call<'_, '_>) -> Outcome {
    let inputs = call.all();
    let sum = call.plain("Sum", &inputs)?;
    let count = Operand::float(inputs.len().max(1) as f64);
    one(call.plain("Div", &[sum, count])?)
}

pub(super) fn modulo(call: &mut Call<'_, '_>) -> Outcome {
    let op = match call.int("fmod", 0)? {
        1 => "Fmod",
        _ => "Mod",
    };
    let inputs = call.all();
    one(call.plain(op, &inputs)?)
}

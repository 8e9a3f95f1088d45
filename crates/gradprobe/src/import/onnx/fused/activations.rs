//! Activations, alone or after a bias.

use super::expansion::{Expansion, float, int, text};
use crate::import::onnx::error::OnnxError;

/// x·Φ(x).
pub(super) fn gelu(call: &mut Expansion<'_>) -> Result<(), OnnxError> {
    let x = call.input(0)?;
    call.result("Gelu", &[&x], vec![]);
    Ok(())
}

/// The approximation by tanh.
pub(super) fn by_tanh() -> Vec<crate::import::onnx::messages::Attribute> {
    vec![text("approximate", "tanh")]
}

pub(super) fn fast_gelu(call: &mut Expansion<'_>) -> Result<(), OnnxError> {
    let x = call.input(0)?;
    let shifted = match call.optional(1) {
        Some(bias) => call.value("Add", &[&x, &bias], vec![]),
        None => x,
    };
    call.result("Gelu", &[&shifted], by_tanh());
    Ok(())
}

pub(super) fn bias_gelu(call: &mut Expansion<'_>) -> Result<(), OnnxError> {
    let (x, bias) = (call.input(0)?, call.input(1)?);
    let shifted = call.value("Add", &[&x, &bias], vec![]);
    call.result("Gelu", &[&shifted], vec![]);
    Ok(())
}

/// x·σ(αx).
pub(super) fn quick_gelu(call: &mut Expansion<'_>) -> Result<(), OnnxError> {
    let alpha = call.float("alpha", 1.702)?;
    let x = call.input(0)?;
    call.result("Swish", &[&x], vec![float("alpha", alpha)]);
    Ok(())
}

/// (x + bias) cut in halves along the last axis: the first times GELU of the second.
pub(super) fn bias_split_gelu(call: &mut Expansion<'_>) -> Result<(), OnnxError> {
    let (x, bias) = (call.input(0)?, call.input(1)?);
    let shifted = call.value("Add", &[&x, &bias], vec![]);
    let halves = vec![call.free_name("left"), call.free_name("right")];
    let along = vec![int("axis", -1), int("num_outputs", 2)];
    call.node("Split", vec![shifted], halves.clone(), along);
    let gate = call.value("Gelu", &[&halves[1]], vec![]);
    call.result("Mul", &[&halves[0], &gate], vec![]);
    Ok(())
}

pub(super) fn bias_add(call: &mut Expansion<'_>) -> Result<(), OnnxError> {
    let (x, bias, skip) = (call.input(0)?, call.input(1)?, call.input(2)?);
    let shifted = call.value("Add", &[&x, &bias], vec![]);
    call.result("Add", &[&shifted, &skip], vec![]);
    Ok(())
}

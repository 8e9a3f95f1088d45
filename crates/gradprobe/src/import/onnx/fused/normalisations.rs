//! Normalisations, alone or behind a residual sum.

use super::expansion::{Expansion, float, int, ints};
use super::products::{channels_first, channels_last};
use crate::import::onnx::error::OnnxError;

/// What is added to a variance behind a residual sum, unless the file says otherwise.
const EPSILON_OF_SKIP: f32 = 1e-12;
/// What is added to a variance, unless the file says otherwise.
const EPSILON: f32 = 1e-5;

pub(super) fn layer(call: &mut Expansion<'_>) -> Result<(), OnnxError> {
    call.ignore(&["stash_type"]);
    let attributes = call.same_of(&["axis", "epsilon"]);
    let mut inputs = vec![call.input(0)?, call.input(1)?];
    inputs.extend(call.optional(2));
    let outputs = (0..3).map(|output| call.output(output).unwrap_or_default());
    let outputs = outputs.collect();
    call.node("LayerNormalization", inputs, outputs, attributes);
    Ok(())
}

/// By the root mean square over the axes from one on.
pub(super) fn simplified(call: &mut Expansion<'_>) -> Result<(), OnnxError> {
    call.ignore(&["stash_type"]);
    let epsilon = call.float("epsilon", EPSILON)?;
    let axis = call.int("axis", -1)?;
    let (x, scale) = (call.input(0)?, call.input(1)?);
    root_mean_square(call, &x, &scale, axis, epsilon);
    if let Some(inverse) = call.output(1) {
        inverse_root_mean_square(call, &x, axis, epsilon, inverse)?;
    }
    Ok(())
}

fn root_mean_square(call: &mut Expansion<'_>, x: &str, scale: &str, axis: i64, epsilon: f32) {
    let attributes = vec![int("axis", axis), float("epsilon", epsilon)];
    call.result("RMSNormalization", &[x, scale], attributes);
}

/// 1/√(mean(x²) + ε) over the last axis.
fn inverse_root_mean_square(
    call: &mut Expansion<'_>,
    x: &str,
    axis: i64,
    epsilon: f32,
    output: String,
) -> Result<(), OnnxError> {
    if axis != -1 {
        return Err(OnnxError::new(format!(
            "its output 1 with axis {axis} is not supported"
        )));
    }
    let square = call.value("Mul", &[x, x], vec![]);
    let axes = vec![ints("axes", &[axis]), int("keepdims", 1)];
    let mean = call.value("ReduceMean", &[&square], axes);
    let epsilon = call.number(epsilon);
    let raised = call.value("Add", &[&mean, &epsilon], vec![]);
    let root = call.value("Sqrt", &[&raised], vec![]);
    call.node("Reciprocal", vec![root], vec![output], vec![]);
    Ok(())
}

/// input + bias + skip, called like the fourth output. The bias belongs to the product, which may
/// be either summand.
fn residual(call: &mut Expansion<'_>, bias: Option<String>) -> Result<String, OnnxError> {
    let (mut branch, mut skip) = (call.input(0)?, call.input(1)?);
    if let Some(bias) = bias {
        let swap = !call.makers.is_product(&branch) && call.makers.is_product(&skip);
        let product = if swap { &mut skip } else { &mut branch };
        *product = call.value("Add", &[&*product, &bias], vec![]);
    }
    let sum = call.output(3).unwrap_or_else(|| call.free_name("sum"));
    call.node("Add", vec![branch, skip], vec![sum.clone()], vec![]);
    Ok(sum)
}

pub(super) fn skip_layer(call: &mut Expansion<'_>) -> Result<(), OnnxError> {
    let epsilon = call.float("epsilon", EPSILON_OF_SKIP)?;
    let bias = call.optional(4);
    let sum = residual(call, bias)?;
    let mut inputs = vec![sum, call.input(2)?];
    inputs.extend(call.optional(3));
    let outputs = (0..3).map(|output| call.output(output).unwrap_or_default());
    let outputs = outputs.collect();
    let attributes = vec![int("axis", -1), float("epsilon", epsilon)];
    call.node("LayerNormalization", inputs, outputs, attributes);
    Ok(())
}

pub(super) fn skip_simplified(call: &mut Expansion<'_>) -> Result<(), OnnxError> {
    let epsilon = call.float("epsilon", EPSILON_OF_SKIP)?;
    let bias = call.optional(3);
    let sum = residual(call, bias)?;
    let scale = call.input(2)?;
    root_mean_square(call, &sum, &scale, -1, epsilon);
    if let Some(inverse) = call.output(2) {
        inverse_root_mean_square(call, &sum, -1, epsilon, inverse)?;
    }
    Ok(())
}

/// Groups of channels of images, the channels last unless the file says otherwise, and SiLU behind
/// it where the file asks for it.
pub(super) fn group(call: &mut Expansion<'_>) -> Result<(), OnnxError> {
    let epsilon = call.float("epsilon", EPSILON)?;
    let groups = call.int("groups", 0)?;
    let last = call.int("channels_last", 1)? != 0;
    let activation = match call.int("activation", 0)? {
        0 => false,
        1 => true,
        other => {
            return Err(OnnxError::new(format!(
                "attribute activation: expected 0 (none) or 1 (SiLU), got {other}"
            )));
        }
    };
    if groups <= 0 {
        return Err(OnnxError::new(format!(
            "attribute groups: expected a number above 0, got {groups}"
        )));
    }
    let (x, scale, shift) = (call.input(0)?, call.input(1)?, call.input(2)?);
    let x = match last {
        true => channels_first(call, &x),
        false => x,
    };
    let attributes = vec![int("num_groups", groups), float("epsilon", epsilon)];
    let inputs = [&x[..], &scale, &shift];
    match (last, activation) {
        (false, false) => call.result("GroupNormalization", &inputs, attributes),
        (false, true) => {
            let y = call.value("GroupNormalization", &inputs, attributes);
            call.result("Swish", &[&y], vec![]);
        }
        (true, _) => {
            let mut y = call.value("GroupNormalization", &inputs, attributes);
            if activation {
                y = call.value("Swish", &[&y], vec![]);
            }
            channels_last(call, &y);
        }
    }
    Ok(())
}

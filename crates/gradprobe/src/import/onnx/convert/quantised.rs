//! Weights that are stored as whole numbers times a scale.

use super::call::{Call, Outcome, one};
use crate::import::onnx::value::{Operand, Source};
use crate::num::Tensor;

/// (x − zero point) · scale, where all of them are in the file. Rounding a signal has no gradient.
pub(super) fn dequantise(call: &mut Call<'_, '_>) -> Outcome {
    let x = call.input(0)?;
    let scale = call.input(1)?;
    let zero_point = call.optional(2);
    let axis = call.int("axis", 1)?;
    let block = call.int("block_size", 0)?;
    call.refuse(block > 0, "a scale for every block of numbers (block_size)")?;
    let whole = [Some(&x), zero_point.as_ref()];
    let is_signal = |operand: &&Operand| matches!(operand.source, Source::Value(_));
    if whole.iter().flatten().any(is_signal) || is_signal(&&scale) {
        return Err(
            "the model computes with whole numbers, and rounding has no gradient: export the \
             float model"
                .into(),
        );
    }
    let numbers = |operand: &Operand| call.session.numbers(operand);
    let lacks = || "reads a list of tensors where a tensor belongs";
    let x_numbers = numbers(&x).ok_or_else(lacks)?;
    let scales = numbers(&scale).ok_or_else(lacks)?;
    let zero_points = match &zero_point {
        Some(operand) => Some(numbers(operand).ok_or_else(lacks)?),
        None => None,
    };
    let count = scales.data().len();
    let axis = if count == 1 {
        0
    } else {
        call.axis(axis, x.shape.len())?
    };
    let extent = if count == 1 { 1 } else { x.shape[axis] };
    let fits = count == extent
        && zero_points
            .as_ref()
            .is_none_or(|it| it.data().len() == count);
    if !fits {
        return Err(format!(
            "its scale has {count} numbers for axis {axis} of a tensor of shape {}",
            x.shape
        )
        .into());
    }
    let inner: usize = if count == 1 {
        1
    } else {
        x.shape[axis + 1..].iter().product()
    };
    let data = x_numbers.data().iter().enumerate().map(|(at, &number)| {
        let channel = if count == 1 { 0 } else { at / inner % extent };
        let zero = zero_points
            .as_ref()
            .map_or(0.0, |zero| zero.data()[channel]);
        (number - zero) * scales.data()[channel]
    });
    let tensor = Tensor::new(x.shape.clone(), data.collect());
    call.session.charge_folded(&x.shape)?;
    call.session.count("quantised weights");
    one(Operand::known(
        crate::import::onnx::tensors::Kind::Float,
        tensor,
    ))
}

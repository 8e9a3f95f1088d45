//! Reductions, running sums, norms.

use super::call::{Call, Outcome, one};
use crate::import::onnx::fault::Fault;
use crate::import::onnx::value::Operand;
use crate::ops::Attribute;

pub(super) fn reduce(call: &mut Call<'_, '_>) -> Outcome {
    let op = call.node.message.op_type.clone();
    one(reduced(call, &op)?)
}

fn reduced(call: &mut Call<'_, '_>, op: &str) -> Result<Operand, Fault> {
    let input = call.input(0)?;
    let axes = call.ints_or_input("axes", 1)?.unwrap_or_default();
    let keep = call.int("keepdims", 1)?;
    let none_is_all = call.int("noop_with_empty_axes", 0)? == 0;
    if axes.is_empty() && !none_is_all {
        return Ok(input);
    }
    let attributes = [
        ("axes", Attribute::Ints(axes)),
        ("keepdims", Attribute::Int(keep)),
    ];
    call.with(op, &attributes, &[input])
}

pub(super) fn reduce_log_sum(call: &mut Call<'_, '_>) -> Outcome {
    let sum = reduced(call, "ReduceSum")?;
    one(call.plain("Log", &[sum])?)
}

pub(super) fn lp_normalization(call: &mut Call<'_, '_>) -> Outcome {
    let input = call.input(0)?;
    let op = match call.int("p", 2)? {
        1 => "ReduceL1",
        2 => "ReduceL2",
        p => return Err(format!("p = {p} is not supported").into()),
    };
    let attributes = [
        ("axes", Attribute::Ints(vec![call.int("axis", -1)?])),
        ("keepdims", Attribute::Int(1)),
    ];
    let norm = call.with(op, &attributes, std::slice::from_ref(&input))?;
    // What is all zeros stays so.
    let is_zero = call.plain("Equal", &[norm.clone(), Operand::float(0.0)])?;
    let divisor = call.plain("Where", &[is_zero, Operand::float(1.0), norm])?;
    one(call.plain("Div", &[input, divisor])?)
}

pub(super) fn cumulative_sum(call: &mut Call<'_, '_>) -> Outcome {
    let axis = call.constant_scalar(1, "the axis")?.unwrap_or(0.0);
    let mut attributes = call.pass(&["exclusive", "reverse"])?;
    attributes.insert("axis".into(), Attribute::Int(axis as i64));
    let input = call.input(0)?;
    let outputs = call.emit("CumSum", &attributes, &[input])?;
    Ok(outputs.into_iter().map(Some).collect())
}

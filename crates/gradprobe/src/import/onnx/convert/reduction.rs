//! Reductions, running sums, norms.

use super::call::{Call, Outcome, one};
use crate::import::onnx::session::Fault;
use crate::import::onnx::value::Operand;
use crate::ops::Attribute;

pub(super) fn reduce(call: &mut Call<'_, '_>) -> Outcome {
    let op = call.node.message.op_type.clone();
    one(reduced(call, &op)?)
}

fn reduced(call: &mut Call<'_, '_>, op: &str) -> Result<Operand, Fault> {
    let input = call.input(0)?;
    let axes = call.ints_or_input("axes", 1)?.unwrap_or_default();
    if axes.is_empty() && call.int("noop_with_empty_axes", 0)? == 1 {
        return Ok(input);
    }
    let attributes = [
        ("axes", Attribute::Ints(axes)),
        ("keepdims", Attribute::Int(call.int("keepdims", 1)?)),
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
    one(call.plain("Div", &[input, norm])?)
}

pub(super) fn cumulative_sum(call: &mut Call<'_, '_>) -> Outcome {
    let axis = call.constant_scalar(1, "the axis")?.unwrap_or(0.0);
    let mut attributes = call.pass(&["exclusive", "reverse"])?;
    attributes.insert("axis".into(), Attribute::Int(axis as i64));
    let input = call.input(0)?;
    let outputs = call.emit("CumSum", &attributes, &[input])?;
    Ok(outputs.into_iter().map(Some).collect())
}

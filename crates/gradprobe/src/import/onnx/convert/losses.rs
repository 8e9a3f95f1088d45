//! Losses that are part of the model.

use super::call::{Call, Outcome, one};
use crate::import::onnx::session::Fault;
use crate::ops::Attribute;

fn reduction(call: &Call<'_, '_>) -> Result<String, Fault> {
    call.refuse(call.optional(2).is_some(), "weights of the classes")?;
    call.refuse(call.has("ignore_index"), "ignore_index")?;
    let reduction = call.text("reduction", "mean")?;
    call.refuse(reduction == "none", "reduction none")?;
    Ok(reduction)
}

pub(super) fn softmax_cross_entropy(call: &mut Call<'_, '_>) -> Outcome {
    let reduction = reduction(call)?;
    let (logits, target) = (call.input(0)?, call.input(1)?);
    call.session.count("loss");
    let attributes = [("reduction", Attribute::Text(reduction))];
    one(call.with("SoftmaxCrossEntropyLoss", &attributes, &[logits, target])?)
}

/// −x at the target's class, x being logarithms of probabilities.
pub(super) fn negative_log_likelihood(call: &mut Call<'_, '_>) -> Outcome {
    let op = match &reduction(call)?[..] {
        "sum" => "ReduceSum",
        _ => "ReduceMean",
    };
    let (x, target) = (call.input(0)?, call.input(1)?);
    call.session.count("loss");
    let axes = Attribute::Ints(vec![1]);
    let index = call.with("Unsqueeze", &[("axes", axes)], &[target])?;
    let axis = Attribute::Int(1);
    let chosen = call.with("GatherElements", &[("axis", axis)], &[x, index])?;
    let negative = call.plain("Neg", &[chosen])?;
    let keep = Attribute::Int(0);
    one(call.with(op, &[("keepdims", keep)], &[negative])?)
}

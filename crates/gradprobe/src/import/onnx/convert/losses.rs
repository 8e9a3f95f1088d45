//! Losses that are part of the model.

use super::call::{Call, Outcome};
use crate::import::onnx::fault::Fault;
use crate::import::onnx::tensors::Kind;
use crate::import::onnx::value::Operand;
use crate::num::Tensor;
use crate::ops::Attribute;

/// One op where it is the plain loss, else made of log-softmax and the logarithms' loss.
pub(super) fn softmax_cross_entropy(call: &mut Call<'_, '_>) -> Outcome {
    let (logits, target) = (call.input(0)?, call.input(1)?);
    let reduction = call.text("reduction", "mean")?;
    let plain = call.optional(2).is_none() && !call.has("ignore_index") && reduction != "none";
    let mut outputs = Vec::new();
    if plain {
        call.session.count("loss");
        let attributes = [("reduction", Attribute::Text(reduction))];
        let inputs = [logits.clone(), target];
        outputs.push(Some(call.with(
            "SoftmaxCrossEntropyLoss",
            &attributes,
            &inputs,
        )?));
    }
    if !plain || call.is_read(1) {
        let axis = Attribute::Int(1);
        let logarithms = call.with("LogSoftmax", &[("axis", axis)], &[logits])?;
        if !plain {
            outputs.push(Some(loss_of_logarithms(call, logarithms.clone())?));
        }
        outputs.push(Some(logarithms));
    }
    Ok(outputs)
}

pub(super) fn negative_log_likelihood(call: &mut Call<'_, '_>) -> Outcome {
    let logarithms = call.input(0)?;
    Ok(vec![Some(loss_of_logarithms(call, logarithms)?)])
}

/// −w_t·x_t at the target's class t, x being logarithms of probabilities; the mean is that of the
/// weights too. A target of `ignore_index` has weight 0.
fn loss_of_logarithms(call: &mut Call<'_, '_>, x: Operand) -> Result<Operand, Fault> {
    call.session.count("loss");
    let reduction = call.text("reduction", "mean")?;
    let mut target = call.input(1)?;
    let mut weight = None;
    if call.has("ignore_index") {
        let ignored = Operand::int(call.int("ignore_index", 0)?);
        let is_ignored = call.plain("Equal", &[target.clone(), ignored])?;
        target = call.plain("Where", &[is_ignored.clone(), Operand::int(0), target])?;
        weight = Some(call.plain("Not", &[is_ignored])?.of_kind(Kind::Float));
    }
    if let Some(weights) = call.constant(2, "the weights of the classes")? {
        let weights = Operand::known(Kind::Float, Tensor::clone(&weights));
        let own = call.plain("Gather", &[weights, target.clone()])?;
        weight = Some(match weight {
            Some(weight) => call.plain("Mul", &[weight, own])?,
            None => own,
        });
    }
    let axes = Attribute::Ints(vec![1]);
    let index = call.with("Unsqueeze", &[("axes", axes.clone())], &[target])?;
    let chosen = call.with(
        "GatherElements",
        &[("axis", Attribute::Int(1))],
        &[x, index],
    )?;
    let chosen = call.with("Squeeze", &[("axes", axes)], &[chosen])?;
    let mut loss = call.plain("Neg", &[chosen])?;
    if let Some(weight) = &weight {
        loss = call.plain("Mul", &[loss, weight.clone()])?;
    }
    let flat = [("keepdims", Attribute::Int(0))];
    match (&reduction[..], weight) {
        ("none", _) => Ok(loss),
        ("sum", _) => call.with("ReduceSum", &flat, &[loss]),
        (_, None) => call.with("ReduceMean", &flat, &[loss]),
        (_, Some(weight)) => {
            let sum = call.with("ReduceSum", &flat, &[loss])?;
            let weights = call.with("ReduceSum", &flat, &[weight])?;
            call.plain("Div", &[sum, weights])
        }
    }
}

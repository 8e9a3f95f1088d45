//! Dropout: the identity, unless it is asked for.

use super::call::{Call, Outcome};
use crate::import::onnx::tensors::Kind;
use crate::import::onnx::value::Operand;
use crate::num::Tensor;
use crate::ops::Attribute;

/// With the mask as a second output: all ones where nothing is dropped.
pub(super) fn dropout(call: &mut Call<'_, '_>) -> Outcome {
    let input = call.input(0)?;
    let attribute = call.float("ratio", 0.5)?;
    // Where nothing is dropped nobody needs to know how much.
    let ratio = match call.session.dropout {
        true => call.constant_scalar(1, "the ratio")?.unwrap_or(attribute),
        false => 0.0,
    };
    if ratio > 0.0 {
        call.session.count("dropout that drops");
        let mut attributes = vec![("ratio".to_owned(), Attribute::Float(ratio))];
        if call.is_read(1) {
            attributes.push(("mask".to_owned(), Attribute::Int(1)));
        }
        let attributes = attributes.into_iter().collect();
        let outputs = call.emit("Dropout", &attributes, &[input])?;
        let kinds = [Kind::Float, Kind::Bool];
        let outputs = outputs.into_iter().zip(kinds);
        return Ok(outputs
            .map(|(output, kind)| Some(output.of_kind(kind)))
            .collect());
    }
    call.session.count("dropout");
    let mut outputs = vec![Some(input.clone())];
    if call.is_read(1) {
        call.session.charge_folded(&input.shape)?;
        let ones = vec![1.0; input.shape.element_count()];
        let ones = Tensor::new(input.shape, ones);
        outputs.push(Some(Operand::known(Kind::Bool, ones)));
    }
    Ok(outputs)
}

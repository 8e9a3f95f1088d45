//! Operators of the domain `ai.onnx.ml` that pipelines over tables are exported with.

use super::call::{Call, Outcome, one};
use super::indexing::check_rows;
use crate::import::onnx::fault::Fault;
use crate::import::onnx::tensors::Kind;
use crate::import::onnx::value::Operand;
use crate::num::Tensor;
use crate::ops::Attribute;

/// A number, or one a feature, as it broadcasts with rows of features.
fn a_feature(
    call: &Call<'_, '_>,
    name: &'static str,
    default: f64,
    x: &Operand,
) -> Result<Operand, Fault> {
    let numbers = call.floats(name)?.unwrap_or_default();
    match numbers[..] {
        [] => return Ok(Operand::float(default)),
        [number] => return Ok(Operand::float(number)),
        _ => {}
    }
    let features = x.shape.last().copied().unwrap_or(0);
    if x.shape.len() > 2 || numbers.len() != features {
        return Err(format!(
            "attribute {name} has {} numbers: expected 1, or one a feature of {}",
            numbers.len(),
            x.shape
        )
        .into());
    }
    let numbers = Tensor::new([features], numbers);
    Ok(Operand::known(Kind::Float, numbers))
}

/// (x − offset)·scale.
pub(super) fn scaler(call: &mut Call<'_, '_>) -> Outcome {
    let x = call.input(0)?.of_kind(Kind::Float);
    let offset = a_feature(call, "offset", 0.0, &x)?;
    let scale = a_feature(call, "scale", 1.0, &x)?;
    let centred = call.plain("Sub", &[x, offset])?;
    one(call.plain("Mul", &[centred, scale])?)
}

/// The chosen elements of the last axis; of a list they are one row.
pub(super) fn array_feature_extractor(call: &mut Call<'_, '_>) -> Outcome {
    let (x, chosen) = (call.input(0)?, call.input(1)?);
    let count = chosen.shape.element_count();
    if count == 0 {
        return Err("chooses nothing".into());
    }
    let chosen = call.reshape(&chosen, &[count])?;
    let kind = x.kind;
    let rank = x.shape.len();
    check_rows(call, &x, &chosen, rank.saturating_sub(1))?;
    let axis = [("axis", Attribute::Int(-1))];
    let picked = call.with("Gather", &axis, &[x, chosen])?;
    let picked = match rank {
        1 => call.reshape(&picked, &[1, count])?,
        _ => picked,
    };
    one(picked.of_kind(kind))
}

/// 1 where x is above a threshold, else 0.
pub(super) fn binarizer(call: &mut Call<'_, '_>) -> Outcome {
    let threshold = call.float("threshold", 0.0)?;
    let x = call.input(0)?;
    let above = call.plain("Greater", &[x, Operand::float(threshold)])?;
    one(above.of_kind(Kind::Float))
}

/// The inputs side by side, a list as one row.
pub(super) fn feature_vectorizer(call: &mut Call<'_, '_>) -> Outcome {
    let said = call.ints("inputdimensions")?;
    let mut rows = Vec::new();
    for x in call.all() {
        let x = match x.shape[..] {
            [features] => call.reshape(&x, &[1, features])?,
            [_, _] => x,
            _ => return Err(format!("expected rows of features, got shape {}", x.shape).into()),
        };
        rows.push(x.of_kind(Kind::Float));
    }
    let own: Vec<i64> = rows.iter().map(|x| x.shape[1] as i64).collect();
    if let Some(said) = said.filter(|said| *said != own) {
        return Err(format!("inputdimensions is {said:?}, but the inputs have {own:?}").into());
    }
    one(call.with("Concat", &[("axis", Attribute::Int(1))], &rows)?)
}

/// Every row divided by its largest element, the sum of its magnitudes or its Euclidean norm.
pub(super) fn normalizer(call: &mut Call<'_, '_>) -> Outcome {
    let op = match &call.text("norm", "MAX")?[..] {
        "MAX" => "ReduceMax",
        "L1" => "ReduceL1",
        "L2" => "ReduceL2",
        other => {
            let other = other.escape_debug();
            return Err(format!("attribute norm: expected MAX, L1 or L2, got {other}").into());
        }
    };
    let x = call.input(0)?.of_kind(Kind::Float);
    let axes = [("axes", Attribute::Ints(vec![-1]))];
    let size = call.with(op, &axes, std::slice::from_ref(&x))?;
    // A row of zeros stays what it is.
    let empty = call.plain("Equal", &[size.clone(), Operand::float(0.0)])?;
    let size = call.plain("Where", &[empty, Operand::float(1.0), size])?;
    one(call.plain("Div", &[x, size])?)
}

//! Lookups, winners, one-hot rows.

use super::call::{Call, Outcome, one};
use crate::import::onnx::fault::Fault;
use crate::import::onnx::session::Use;
use crate::import::onnx::tensors::Kind;
use crate::import::onnx::value::Operand;
use crate::ops::{Attribute, Attributes};

pub(super) fn gather(call: &mut Call<'_, '_>) -> Outcome {
    call.used_as(0, Use::Table);
    let attributes = call.pass(&["axis"])?;
    let (table, indices) = (call.input(0)?, call.input(1)?);
    let axis = call.axis(call.int("axis", 0)?, table.shape.len())?;
    check_rows(call, &table, &indices, axis)?;
    let outputs = call.emit("Gather", &attributes, &[table, indices])?;
    Ok(outputs.into_iter().map(Some).collect())
}

/// Refuses known indices of rows that a table has not.
pub(super) fn check_rows(
    call: &Call<'_, '_>,
    table: &Operand,
    indices: &Operand,
    axis: usize,
) -> Result<(), Fault> {
    let Some(numbers) = call.session.numbers(indices) else {
        return Ok(());
    };
    let rows = table.shape.get(axis).copied().unwrap_or(0) as f64;
    let outside = |&&index: &&f64| index < -rows || index >= rows;
    match numbers.data().iter().find(outside) {
        Some(index) => Err(format!("looks up row {index} of {rows}").into()),
        None => Ok(()),
    }
}

pub(super) fn arg_max(call: &mut Call<'_, '_>) -> Outcome {
    winner(call, true)
}

pub(super) fn arg_min(call: &mut Call<'_, '_>) -> Outcome {
    winner(call, false)
}

fn winner(call: &mut Call<'_, '_>, largest: bool) -> Outcome {
    call.refuse(call.int("select_last_index", 0)? == 1, "select_last_index")?;
    let axis = call.int("axis", 0)?;
    let attributes: Attributes = [
        ("k".to_owned(), Attribute::Int(1)),
        ("axis".to_owned(), Attribute::Int(axis)),
        ("largest".to_owned(), Attribute::Int(i64::from(largest))),
    ]
    .into_iter()
    .collect();
    let input = call.input(0)?;
    let outputs = call.emit("TopK", &attributes, &[input])?;
    let index = outputs.into_iter().nth(1).ok_or("has no indices")?;
    let index = index.of_kind(Kind::Int);
    if call.int("keepdims", 1)? != 0 {
        return one(index);
    }
    let axes = Attribute::Ints(vec![axis]);
    one(call.with("Squeeze", &[("axes", axes)], &[index])?)
}

pub(super) fn top_k(call: &mut Call<'_, '_>) -> Outcome {
    let mut attributes = call.pass(&["axis", "largest", "sorted"])?;
    let k = match call.constant_scalar(1, "k")? {
        Some(k) => k as i64,
        None => call.int("k", 1)?,
    };
    attributes.insert("k".into(), Attribute::Int(k));
    let input = call.input(0)?;
    let outputs = call.emit("TopK", &attributes, &[input])?;
    let kinds = [None, Some(Kind::Int)].into_iter();
    let outputs = outputs
        .into_iter()
        .zip(kinds)
        .map(|(output, kind)| match kind {
            Some(kind) => output.of_kind(kind),
            None => output,
        });
    Ok(outputs.map(Some).collect())
}

pub(super) fn one_hot(call: &mut Call<'_, '_>) -> Outcome {
    let depth = call
        .constant_scalar(1, "the depth")?
        .ok_or("lacks its depth")?;
    let attributes = [
        ("depth", Attribute::Int(depth as i64)),
        ("axis", Attribute::Int(call.int("axis", -1)?)),
    ];
    let (indices, values) = (call.input(0)?, call.input(2)?);
    let kind = values.kind;
    one(call
        .with("OneHot", &attributes, &[indices, values])?
        .of_kind(kind))
}

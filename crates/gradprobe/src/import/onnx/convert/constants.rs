//! What is known before anything runs: constants, shapes, ranges, where there are zeros.

use super::call::{Call, Outcome, one, shortest};
use crate::graph::ParameterData;
use crate::import::onnx::tensors::{Kind, Stored, element_type, kind};
use crate::import::onnx::value::Operand;
use crate::num::{Shape, Tensor};
use std::sync::Arc;

pub(super) fn constant(call: &mut Call<'_, '_>) -> Outcome {
    let (name, trained) = output(call);
    if let Some(stored) = call.tensor("value")? {
        return one(call.session.tensor(&name, stored, trained)?);
    }
    let floats =
        |values: Vec<f64>| Operand::known(Kind::Float, Tensor::new([values.len()], values));
    one(match () {
        () if call.has("value_int") => Operand::int(call.int("value_int", 0)?),
        () if call.has("value_float") => Operand::float(call.float("value_float", 0.0)?),
        () if call.has("value_ints") => Operand::ints(call.ints("value_ints")?.unwrap_or_default()),
        () if call.has("value_floats") => floats(call.floats("value_floats")?.unwrap_or_default()),
        () => return Err("holds no tensor of numbers".into()),
    })
}

/// The name of the output, and is it a weight?
fn output(call: &Call<'_, '_>) -> (String, bool) {
    let name = call
        .node
        .message
        .output
        .first()
        .cloned()
        .unwrap_or_default();
    let trained = call.session.analysis.weights.is_trained(&name);
    (name, trained)
}

pub(super) fn constant_of_shape(call: &mut Call<'_, '_>) -> Outcome {
    let extents = call
        .constant_ints(0, "the shape")?
        .ok_or("lacks its input, the shape")?;
    let shape = crate::import::onnx::tensors::shape(&extents)?;
    let value = call.tensor("value")?;
    let kind = value.as_ref().map_or(Kind::Float, |value| value.kind);
    let fill = value
        .map(|value| value.wide())
        .and_then(|value| value.data().first().copied())
        .unwrap_or(0.0);
    let count = shape.element_count();
    call.session.charge(count as u128 * 8)?;
    let (name, trained) = output(call);
    if trained && kind == Kind::Float {
        let tensor = Tensor::new(shape, vec![fill as f32; count]);
        let data = ParameterData::F32(Arc::new(tensor));
        return one(call.session.tensor(&name, Stored { kind, data }, true)?);
    }
    one(Operand::known(kind, Tensor::new(shape, vec![fill; count])))
}

pub(super) fn shape(call: &mut Call<'_, '_>) -> Outcome {
    let input = call.input(0)?;
    let rank = input.shape.len() as i64;
    let bound = |at: i64| (if at < 0 { at + rank } else { at }).clamp(0, rank) as usize;
    let start = bound(call.int("start", 0)?);
    let end = bound(call.int("end", rank)?).max(start);
    let extents = input.shape[start..end].iter();
    one(Operand::ints(extents.map(|&extent| extent as i64)))
}

pub(super) fn size(call: &mut Call<'_, '_>) -> Outcome {
    let input = call.input(0)?;
    one(Operand::int(input.shape.element_count() as i64))
}

pub(super) fn range(call: &mut Call<'_, '_>) -> Outcome {
    let kind = call.input(0)?.kind;
    let mut ends = [0.0; 3];
    for (index, what) in ["the start", "the limit", "the step"]
        .into_iter()
        .enumerate()
    {
        ends[index] = call
            .constant_scalar(index, what)?
            .ok_or_else(|| format!("lacks {what}"))?;
    }
    let [start, limit, step] = ends;
    let count = ((limit - start) / step).ceil().max(0.0);
    if !count.is_finite() {
        return Err(format!("from {start} to {limit} by {step} has no end").into());
    }
    let shape = Shape::from([count as usize]);
    call.session.charge_folded(&shape)?;
    let data = (0..count as usize).map(|k| start + k as f64 * step);
    let data = match kind {
        Kind::Float => data.map(|x| shortest(x as f32)).collect(),
        _ => data.collect(),
    };
    one(Operand::known(kind, Tensor::new(shape, data)))
}

/// Ones on a diagonal of a matrix of the input's shape.
pub(super) fn eye_like(call: &mut Call<'_, '_>) -> Outcome {
    let input = call.input(0)?;
    let kind = match i32::try_from(call.int("dtype", 0)?) {
        Ok(0) => input.kind,
        number => kind(element_type(number.unwrap_or(-1))?),
    };
    let offset = call.int("k", 0)?;
    let &[rows, columns] = &input.shape[..] else {
        return Err(format!("expected a matrix, got shape {}", input.shape).into());
    };
    call.session.charge_folded(&input.shape)?;
    let mut data = vec![0.0; input.shape.element_count()];
    for row in 0..rows {
        let column = i64::try_from(row)
            .ok()
            .and_then(|row| row.checked_add(offset));
        let column = column.and_then(|column| usize::try_from(column).ok());
        if let Some(column) = column.filter(|&column| column < columns) {
            data[row * columns + column] = 1.0;
        }
    }
    one(Operand::known(kind, Tensor::new(input.shape, data)))
}

/// The coordinates of what is not 0, a row an axis: how many there are has to be known.
pub(super) fn non_zero(call: &mut Call<'_, '_>) -> Outcome {
    let x = call.constant(0, "the input")?.ok_or("lacks its input")?;
    let shape = x.shape();
    let found = x.data().iter().enumerate();
    let found = found.filter(|&(_, &x)| x != 0.0).map(|(at, _)| at);
    let found: Vec<usize> = found.collect();
    let made = Shape::from([shape.len(), found.len()]);
    call.session.charge_folded(&made)?;
    let mut data = Vec::with_capacity(made.element_count());
    let mut stride = shape.element_count();
    for &extent in shape.iter() {
        stride /= extent.max(1);
        let coordinate = |&at: &usize| (at / stride.max(1) % extent.max(1)) as f64;
        data.extend(found.iter().map(coordinate));
    }
    one(Operand::known(Kind::Int, Tensor::new(made, data)))
}

//! What moves elements: reshapes, slices, pads, copies.

use super::call::{Call, Outcome, one};
use crate::ops::{Attribute, Attributes};

pub(super) fn identity(call: &mut Call<'_, '_>) -> Outcome {
    one(call.input(0)?)
}

pub(super) fn reshape(call: &mut Call<'_, '_>) -> Outcome {
    let shape = call
        .ints_or_input("shape", 1)?
        .ok_or("lacks its second input, the shape")?;
    let attributes = [
        ("shape", Attribute::Ints(shape)),
        ("allowzero", Attribute::Int(call.int("allowzero", 0)?)),
    ];
    let input = call.input(0)?;
    one(call.with("Reshape", &attributes, &[input])?)
}

pub(super) fn squeeze(call: &mut Call<'_, '_>) -> Outcome {
    let axes = call.ints_or_input("axes", 1)?.unwrap_or_default();
    let input = call.input(0)?;
    one(call.with("Squeeze", &[("axes", Attribute::Ints(axes))], &[input])?)
}

pub(super) fn unsqueeze(call: &mut Call<'_, '_>) -> Outcome {
    let axes = call.ints_or_input("axes", 1)?.ok_or("lacks its axes")?;
    let input = call.input(0)?;
    one(call.with("Unsqueeze", &[("axes", Attribute::Ints(axes))], &[input])?)
}

/// To the shape that x and the given one are broadcast to.
pub(super) fn expand(call: &mut Call<'_, '_>) -> Outcome {
    let given = call
        .constant_ints(1, "the shape")?
        .ok_or("lacks its second input, the shape")?;
    let input = call.input(0)?;
    let rank = given.len().max(input.shape.len());
    let at = |extents: &[i64], axis: usize| {
        let missing = rank - extents.len();
        if axis < missing {
            1
        } else {
            extents[axis - missing]
        }
    };
    let own: Vec<i64> = input.shape.iter().map(|&extent| extent as i64).collect();
    let shape: Vec<i64> = (0..rank)
        .map(|axis| match (at(&own, axis), at(&given, axis)) {
            (own, 1) => own,
            (_, given) => given,
        })
        .collect();
    if shape == own {
        return one(input);
    }
    one(call.with("Expand", &[("shape", Attribute::Ints(shape))], &[input])?)
}

pub(super) fn tile(call: &mut Call<'_, '_>) -> Outcome {
    let repeats = call
        .constant_ints(1, "the repeats")?
        .ok_or("lacks its second input, the repeats")?;
    let input = call.input(0)?;
    one(call.with("Tile", &[("repeats", Attribute::Ints(repeats))], &[input])?)
}

pub(super) fn slice(call: &mut Call<'_, '_>) -> Outcome {
    let mut attributes = Attributes::new();
    for (index, name) in ["starts", "ends", "axes", "steps"].into_iter().enumerate() {
        if let Some(ints) = call.ints_or_input(name, index + 1)? {
            attributes.insert(name.into(), Attribute::Ints(ints));
        }
    }
    let input = call.input(0)?;
    let outputs = call.emit("Slice", &attributes, &[input])?;
    Ok(outputs.into_iter().map(Some).collect())
}

pub(super) fn split(call: &mut Call<'_, '_>) -> Outcome {
    let mut attributes = call.pass(&["axis", "num_outputs"])?;
    match call.ints_or_input("split", 1)? {
        Some(split) => {
            attributes.remove("num_outputs");
            attributes.insert("split".into(), Attribute::Ints(split));
        }
        None => {
            let outputs = call.node.message.output.len() as i64;
            let given = attributes.entry("num_outputs".into());
            given.or_insert(Attribute::Int(outputs));
        }
    }
    let input = call.input(0)?;
    let outputs = call.emit("Split", &attributes, &[input])?;
    Ok(outputs.into_iter().map(Some).collect())
}

pub(super) fn pad(call: &mut Call<'_, '_>) -> Outcome {
    let pads = match call.ints("paddings")? {
        Some(pads) => Some(pads),
        None => call.ints_or_input("pads", 1)?,
    };
    let pads = pads.ok_or("lacks its pads")?;
    let mut attributes = call.pass(&["mode"])?;
    attributes.insert("pads".into(), Attribute::Ints(pads));
    let value = match call.constant_scalar(2, "the value")? {
        Some(value) => value,
        None => call.float("value", 0.0)?,
    };
    if let Some(axes) = call.constant_ints(3, "the axes")? {
        attributes.insert("axes".into(), Attribute::Ints(axes));
    }
    attributes.insert("value".into(), Attribute::Float(value));
    let input = call.input(0)?;
    let outputs = call.emit("Pad", &attributes, &[input])?;
    Ok(outputs.into_iter().map(Some).collect())
}

pub(super) fn trilu(call: &mut Call<'_, '_>) -> Outcome {
    let diagonal = call.constant_scalar(1, "the diagonal")?.unwrap_or(0.0);
    let mut attributes = call.pass(&["upper"])?;
    attributes.insert("k".into(), Attribute::Int(diagonal as i64));
    let input = call.input(0)?;
    let outputs = call.emit("Trilu", &attributes, &[input])?;
    Ok(outputs.into_iter().map(Some).collect())
}

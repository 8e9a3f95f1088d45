//! Lists of tensors: how long they are and which element is meant is known before anything runs.

use super::call::{Call, Outcome, one};
use crate::import::onnx::fault::Fault;
use crate::import::onnx::value::{Operand, Source};
use crate::ops::Attribute;
use std::sync::Arc;

/// The most tensors in a list.
const MOST: usize = 1 << 12;

/// A list as an output, counted with what copying it takes.
fn made(call: &mut Call<'_, '_>, list: Vec<Operand>) -> Outcome {
    let is_list = |operand: &Operand| matches!(operand.source, Source::Sequence(_));
    call.refuse(list.iter().any(is_list), "a list of lists")?;
    if list.len() > MOST {
        return Err(format!("makes a list of more than {MOST} tensors").into());
    }
    call.session
        .charge((list.len() * size_of::<Operand>()) as u128)?;
    one(Operand::sequence(list))
}

/// The list at the first input.
fn list(call: &Call<'_, '_>) -> Result<Arc<Vec<Operand>>, Fault> {
    match call.input(0)?.source {
        Source::Sequence(list) => Ok(list),
        _ => Err("reads a tensor where a list of tensors belongs".into()),
    }
}

/// The place that an input says, counted from the front; `None` where it is left out. There are
/// `count` places.
fn place(call: &Call<'_, '_>, input: usize, count: usize) -> Result<Option<usize>, Fault> {
    let Some(place) = call.constant_scalar(input, "the place")? else {
        return Ok(None);
    };
    let from_front = if place < 0.0 {
        place + count as f64
    } else {
        place
    };
    if from_front >= 0.0 && from_front < count as f64 {
        return Ok(Some(from_front as usize));
    }
    Err(format!("place {place} of a list with {count} places").into())
}

pub(super) fn construct(call: &mut Call<'_, '_>) -> Outcome {
    let tensors = call.all();
    made(call, tensors)
}

pub(super) fn empty(call: &mut Call<'_, '_>) -> Outcome {
    call.int("dtype", 1)?;
    one(Operand::sequence(Vec::new()))
}

pub(super) fn at(call: &mut Call<'_, '_>) -> Outcome {
    let list = list(call)?;
    let place = place(call, 1, list.len())?.ok_or("lacks the place")?;
    one(list[place].clone())
}

pub(super) fn insert(call: &mut Call<'_, '_>) -> Outcome {
    let mut list = Vec::clone(&*list(call)?);
    let tensor = call.input(1)?;
    match place(call, 2, list.len() + 1)? {
        Some(place) => list.insert(place, tensor),
        None => list.push(tensor),
    }
    made(call, list)
}

pub(super) fn erase(call: &mut Call<'_, '_>) -> Outcome {
    let mut list = Vec::clone(&*list(call)?);
    match place(call, 1, list.len())? {
        Some(place) => drop(list.remove(place)),
        None => drop(list.pop()),
    }
    made(call, list)
}

pub(super) fn length(call: &mut Call<'_, '_>) -> Outcome {
    one(Operand::int(list(call)?.len() as i64))
}

/// Pieces along an axis: of the extents that are given, of one extent that is, or of 1 each.
pub(super) fn split(call: &mut Call<'_, '_>) -> Outcome {
    let input = call.input(0)?;
    let axis = call.axis(call.int("axis", 0)?, input.shape.len())?;
    let whole = input.shape.get(axis).copied().unwrap_or(0);
    let given = call.constant(1, "the extents")?;
    let keep_axis = call.int("keepdims", 1)? != 0 || given.is_some();
    let of_each = |each: usize| -> Vec<i64> {
        let pieces = whole.div_ceil(each.max(1)).min(MOST + 1);
        let piece = |index| each.min(whole - index * each) as i64;
        (0..pieces).map(piece).collect()
    };
    let extents = match &given {
        None => of_each(1),
        Some(each) if each.shape().is_empty() => {
            let each = each.data().first().copied().unwrap_or(0.0);
            call.refuse(each < 1.0, "an extent of less than 1")?;
            of_each(each as usize)
        }
        Some(extents) => extents.data().iter().map(|&x| x as i64).collect(),
    };
    if extents.len() > MOST {
        return Err(format!("makes a list of more than {MOST} tensors").into());
    }
    let attributes = [
        ("axis".to_owned(), Attribute::Int(axis as i64)),
        ("split".to_owned(), Attribute::Ints(extents)),
    ];
    let mut pieces = call.emit("Split", &attributes.into_iter().collect(), &[input])?;
    if !keep_axis {
        let axes = Attribute::Ints(vec![axis as i64]);
        for piece in &mut pieces {
            let whole = std::slice::from_ref(piece);
            *piece = call.with("Squeeze", &[("axes", axes.clone())], whole)?;
        }
    }
    made(call, pieces)
}

pub(super) fn concat(call: &mut Call<'_, '_>) -> Outcome {
    let mut parts = Vec::clone(&*list(call)?);
    let axis = call.int("axis", 0)?;
    if call.int("new_axis", 0)? != 0 {
        let axes = Attribute::Ints(vec![axis]);
        for part in &mut parts {
            let whole = std::slice::from_ref(part);
            *part = call.with("Unsqueeze", &[("axes", axes.clone())], whole)?;
        }
    }
    one(call.with("Concat", &[("axis", Attribute::Int(axis))], &parts)?)
}

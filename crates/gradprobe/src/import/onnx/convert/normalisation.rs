//! Normalisations.

use super::call::{Call, Outcome, one};
use crate::import::onnx::batch_norms::AXES_AFTER;
use crate::import::onnx::fault::Fault;
use crate::import::onnx::session::Use;
use crate::import::onnx::value::Operand;
use crate::ops::{Attribute, Mode};

/// Scale and shift at these inputs.
fn affine(call: &mut Call<'_, '_>) {
    call.used_as(1, Use::Scale);
    call.used_as(2, Use::Shift(0));
}

/// Whatever the file says, the mode decides about the statistics: an exporter writes the
/// inference form for a network that is being trained.
pub(super) fn batch(call: &mut Call<'_, '_>) -> Outcome {
    affine(call);
    let mut inputs = Vec::with_capacity(5);
    for input in 0..5 {
        let operand = call.input(input)?;
        inputs.push(if input < 3 {
            operand
        } else {
            call.session.frozen(&operand)
        });
    }
    call.session.count(if call.has(AXES_AFTER) {
        "batch-norm written out"
    } else if call.int("training_mode", 0)? == 0 {
        "batch-norm in inference form"
    } else {
        "batch-norm"
    });
    let attributes = call.pass(&["epsilon"])?;
    let turned = turned_to_front(call, &mut inputs)?;
    let running = if call.is_read(1) || call.is_read(2) {
        running_statistics(call, &inputs)?.map(Some)
    } else {
        [None, None]
    };
    let outputs = call.emit("BatchNormalization", &attributes, &inputs)?;
    let mut outputs = outputs.into_iter().take(1).collect::<Vec<_>>();
    if let Some(back) = turned {
        let back = [("perm", Attribute::Ints(back))];
        outputs = vec![call.with("Transpose", &back, &outputs)?];
    }
    let mut outputs: Vec<Option<Operand>> = outputs.into_iter().map(Some).collect();
    outputs.extend(running);
    Ok(outputs)
}

/// Brings the channels of one that was written out to the axis that the op has them on; the order
/// of axes that turns the result back, where one was needed.
fn turned_to_front(
    call: &mut Call<'_, '_>,
    inputs: &mut [Operand],
) -> Result<Option<Vec<i64>>, Fault> {
    let after = call.int(AXES_AFTER, -1)?;
    let rank = inputs[0].shape.len() as i64;
    let channels = rank - 1 - after;
    if after < 0 || channels == 1 {
        return Ok(None);
    }
    if channels < 1 {
        return Err("has its channels on the axis of the batch".into());
    }
    let mut order: Vec<i64> = (0..rank).collect();
    let axis = order.remove(channels as usize);
    order.insert(1, axis);
    let mut back = vec![0; rank as usize];
    for (to, &from) in order.iter().enumerate() {
        back[from as usize] = to as i64;
    }
    let forth = [("perm", Attribute::Ints(order))];
    inputs[0] = call.with("Transpose", &forth, &inputs[..1])?;
    Ok(Some(back))
}

/// The running mean and variance after the step: momentum times the old ones and the rest of the
/// batch's; in inference the old ones.
fn running_statistics(call: &mut Call<'_, '_>, inputs: &[Operand]) -> Result<[Operand; 2], Fault> {
    let [x, .., mean, variance] = inputs else {
        return Err("lacks its statistics".into());
    };
    let old = [mean.clone(), variance.clone()];
    if call.session.mode == Mode::Eval {
        return Ok(old);
    }
    let momentum = call.float("momentum", 0.9)?;
    let axes: Vec<i64> = (0..x.shape.len() as i64)
        .filter(|&axis| axis != 1)
        .collect();
    let over = |keep: i64| {
        [
            ("axes", Attribute::Ints(axes.clone())),
            ("keepdims", Attribute::Int(keep)),
        ]
    };
    let mean = call.with("ReduceMean", &over(1), std::slice::from_ref(x))?;
    let centred = call.plain("Sub", &[x.clone(), mean])?;
    let squares = call.plain("Mul", &[centred.clone(), centred])?;
    let variance = call.with("ReduceMean", &over(0), &[squares])?;
    let mean = call.with("ReduceMean", &over(0), std::slice::from_ref(x))?;
    let mut after = |old: Operand, new: Operand| -> Result<Operand, Fault> {
        let old = call.plain("Mul", &[old, Operand::float(momentum)])?;
        let new = call.plain("Mul", &[new, Operand::float(1.0 - momentum)])?;
        call.plain("Add", &[old, new])
    };
    let [old_mean, old_variance] = old;
    Ok([after(old_mean, mean)?, after(old_variance, variance)?])
}

pub(super) fn instance(call: &mut Call<'_, '_>) -> Outcome {
    affine(call);
    let attributes = call.pass(&["epsilon"])?;
    let inputs = call.all();
    let outputs = call.emit("InstanceNormalization", &attributes, &inputs)?;
    Ok(outputs.into_iter().take(1).map(Some).collect())
}

pub(super) fn layer(call: &mut Call<'_, '_>) -> Outcome {
    affine(call);
    let attributes = call.pass(&["axis", "epsilon"])?;
    let x = call.input(0)?;
    let axis = call.axis(call.int("axis", -1)?, x.shape.len())?;
    let extents = x.shape[axis..].to_vec();
    let mut inputs = vec![x];
    for input in 1..3 {
        if let Some(operand) = call.optional(input) {
            inputs.push(filling(call, operand, &extents)?);
        }
    }
    let x = inputs[0].clone();
    let outputs = call.emit("LayerNormalization", &attributes, &inputs)?;
    let mut outputs: Vec<Option<Operand>> = outputs.into_iter().take(1).map(Some).collect();
    if call.is_read(1) || call.is_read(2) {
        let epsilon = call.float("epsilon", 1e-5)?;
        outputs.extend(moments(call, x, axis, epsilon)?.map(Some));
    }
    Ok(outputs)
}

/// The mean and 1/√(variance + ε) over the axes from one on.
fn moments(
    call: &mut Call<'_, '_>,
    x: Operand,
    axis: usize,
    epsilon: f64,
) -> Result<[Operand; 2], Fault> {
    let axes = (axis..x.shape.len()).map(|axis| axis as i64).collect();
    let axes = [("axes", Attribute::Ints(axes))];
    let mean = call.with("ReduceMean", &axes, std::slice::from_ref(&x))?;
    let centred = call.plain("Sub", &[x, mean.clone()])?;
    let squares = call.plain("Mul", &[centred.clone(), centred])?;
    let variance = call.with("ReduceMean", &axes, &[squares])?;
    let raised = call.plain("Add", &[variance, Operand::float(epsilon)])?;
    let deviation = call.plain("Sqrt", &[raised])?;
    Ok([mean, call.plain("Reciprocal", &[deviation])?])
}

/// A scale or shift of the very shape that is normalised.
fn filling(call: &mut Call<'_, '_>, operand: Operand, extents: &[usize]) -> Result<Operand, Fault> {
    if operand.shape[..] == *extents {
        return Ok(operand);
    }
    if operand.shape.element_count() == extents.iter().product::<usize>() {
        return call.reshape(&operand, extents);
    }
    let shape = extents.iter().map(|&extent| extent as i64).collect();
    call.with("Expand", &[("shape", Attribute::Ints(shape))], &[operand])
}

pub(super) fn rms(call: &mut Call<'_, '_>) -> Outcome {
    call.used_as(1, Use::Scale);
    let attributes = call.pass(&["axis", "epsilon"])?;
    let x = call.input(0)?;
    let axis = call.axis(call.int("axis", -1)?, x.shape.len())?;
    let extents = x.shape[axis..].to_vec();
    let scale = call.input(1)?;
    let scale = filling(call, scale, &extents)?;
    let outputs = call.emit("RMSNormalization", &attributes, &[x, scale])?;
    Ok(outputs.into_iter().take(1).map(Some).collect())
}

/// Before opset 21 scale and bias had an element a group.
pub(super) fn group(call: &mut Call<'_, '_>) -> Outcome {
    affine(call);
    let x = call.input(0)?;
    let channels = x.shape.get(1).copied().unwrap_or(1);
    let groups = usize::try_from(call.int("num_groups", 1)?)
        .unwrap_or(0)
        .max(1);
    let mut inputs = vec![x];
    for input in 1..3 {
        let operand = call.input(input)?;
        let by_group = operand.shape[..] == [groups] && groups != channels;
        inputs.push(if by_group && channels % groups == 0 {
            let column = call.reshape(&operand, &[groups, 1])?;
            let shape = Attribute::Ints(vec![groups as i64, (channels / groups) as i64]);
            let wide = call.with("Expand", &[("shape", shape)], &[column])?;
            call.reshape(&wide, &[channels])?
        } else {
            operand
        });
    }
    let attributes = call.pass(&["epsilon", "num_groups"])?;
    let outputs = call.emit("GroupNormalization", &attributes, &inputs)?;
    let output = outputs.into_iter().next();
    one(output.ok_or("has no output")?)
}

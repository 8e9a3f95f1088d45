//! Activations with parameters, casts, clips, softmax.

use super::arithmetic::truncated;
use super::call::{Call, Outcome, cast_known, one};
use crate::import::onnx::fault::Fault;
use crate::import::onnx::tensors::{Kind, element_type, kind};
use crate::import::onnx::value::{Operand, Source};
use crate::num::Tensor;
use crate::ops::{Attribute, Role};

/// An activation with a parameter.
fn parametrised(
    call: &mut Call<'_, '_>,
    name: &str,
    attribute: &'static str,
    default: f64,
) -> Outcome {
    let value = call.float(attribute, default)?;
    let input = call.input(0)?;
    one(call.activation(&format!("{name}={value}"), &input)?)
}

pub(super) fn celu(call: &mut Call<'_, '_>) -> Outcome {
    parametrised(call, "celu", "alpha", 1.0)
}

pub(super) fn elu(call: &mut Call<'_, '_>) -> Outcome {
    parametrised(call, "elu", "alpha", 1.0)
}

pub(super) fn leaky_relu(call: &mut Call<'_, '_>) -> Outcome {
    parametrised(call, "leaky-relu", "alpha", 0.01)
}

pub(super) fn gelu(call: &mut Call<'_, '_>) -> Outcome {
    let name = match &call.text("approximate", "none")?[..] {
        "tanh" => "gelu-tanh",
        _ => "gelu",
    };
    let input = call.input(0)?;
    one(call.activation(name, &input)?)
}

/// γ·elu with ONNX's constants is an activation of its own; with others it is made of two.
pub(super) fn selu(call: &mut Call<'_, '_>) -> Outcome {
    let alpha = call.float("alpha", 1.673_263_2)?;
    let gamma = call.float("gamma", 1.050_701)?;
    let input = call.input(0)?;
    if (alpha - 1.673_263_2).abs() < 1e-6 && (gamma - 1.050_701).abs() < 1e-6 {
        return one(call.activation("selu", &input)?);
    }
    let elu = call.activation(&format!("elu={alpha}"), &input)?;
    one(call.plain("Mul", &[elu, Operand::float(gamma)])?)
}

pub(super) fn swish(call: &mut Call<'_, '_>) -> Outcome {
    let alpha = call.float("alpha", 1.0)?;
    let input = call.input(0)?;
    if alpha == 1.0 {
        return one(call.activation("silu", &input)?);
    }
    let scaled = call.plain("Mul", &[input.clone(), Operand::float(alpha)])?;
    let gate = call.activation("sigmoid", &scaled)?;
    one(call.plain("Mul", &[input, gate])?)
}

pub(super) fn shrink(call: &mut Call<'_, '_>) -> Outcome {
    let (bias, lambda) = (call.float("bias", 0.0)?, call.float("lambd", 0.5)?);
    let input = call.input(0)?;
    let name = match () {
        () if bias == lambda => "soft-shrink",
        () if bias == 0.0 => "hard-shrink",
        () => return Err(format!("bias {bias} with lambd {lambda} is not supported").into()),
    };
    one(call.activation(&format!("{name}={lambda}"), &input)?)
}

pub(super) fn thresholded_relu(call: &mut Call<'_, '_>) -> Outcome {
    let alpha = call.float("alpha", 1.0)?;
    let input = call.input(0)?;
    one(thresholded(call, &input, alpha)?)
}

/// x where x > α, else 0: selected, for a product with a mask would let an infinite or NaN
/// cotangent through.
pub(super) fn thresholded(
    call: &mut Call<'_, '_>,
    x: &Operand,
    alpha: f64,
) -> Result<Operand, Fault> {
    let stops = call.plain("LessOrEqual", &[x.clone(), Operand::float(alpha)])?;
    as_activation(call, "Where", &[stops, Operand::float(0.0), x.clone()])
}

/// An op that stands for an activation.
fn as_activation(call: &mut Call<'_, '_>, op: &str, inputs: &[Operand]) -> Result<Operand, Fault> {
    let attributes = crate::ops::Attributes::new();
    let outputs = call.emit_as(op, &attributes, inputs, Some(Role::Activation))?;
    let output = outputs.into_iter().next();
    output.ok_or_else(|| format!("{op} has no output").into())
}

pub(super) fn hard_sigmoid(call: &mut Call<'_, '_>) -> Outcome {
    let (alpha, beta) = (call.float("alpha", 0.2)?, call.float("beta", 0.5)?);
    let input = call.input(0)?;
    // Files hold f32: this is what is written for a sixth, and no number near it is.
    if alpha == f64::from(1.0f32 / 6.0) && beta == 0.5 {
        return one(call.activation("hard-sigmoid", &input)?);
    }
    let scaled = call.plain("Mul", &[input, Operand::float(alpha)])?;
    let shifted = call.plain("Add", &[scaled, Operand::float(beta)])?;
    one(clipped(call, &shifted, 0.0, 1.0)?)
}

fn clipped(call: &mut Call<'_, '_>, x: &Operand, min: f64, max: f64) -> Result<Operand, Fault> {
    match (min, max) {
        (0.0, 6.0) => return call.activation("relu6", x),
        (-1.0, 1.0) => return call.activation("hard-tanh", x),
        (0.0, f64::INFINITY) => return call.activation("relu", x),
        _ => {}
    }
    let attributes = [
        ("min".to_owned(), Attribute::Float(min)),
        ("max".to_owned(), Attribute::Float(max)),
    ];
    let attributes = attributes.into_iter().collect();
    let inputs = std::slice::from_ref(x);
    let outputs = call.emit_as("Clip", &attributes, inputs, Some(Role::Activation))?;
    let output = outputs.into_iter().next();
    output.ok_or_else(|| "Clip has no output".into())
}

pub(super) fn clip(call: &mut Call<'_, '_>) -> Outcome {
    let bound = |call: &Call<'_, '_>, name: &'static str, index: usize, none: f64| match call
        .constant_scalar(index, name)?
    {
        Some(bound) => Ok::<f64, Fault>(bound),
        None => call.float(name, none),
    };
    let min = bound(call, "min", 1, f64::NEG_INFINITY)?;
    let max = bound(call, "max", 2, f64::INFINITY)?;
    let input = call.input(0)?;
    one(clipped(call, &input, min, max)?)
}

pub(super) fn prelu(call: &mut Call<'_, '_>) -> Outcome {
    let (x, slope) = (call.input(0)?, call.input(1)?);
    one(call.plain("PRelu", &[x, slope])?)
}

pub(super) fn exclusive_or(call: &mut Call<'_, '_>) -> Outcome {
    let inputs = call.all();
    let same = call.plain("Equal", &inputs)?;
    one(call.plain("Not", &[same])?)
}

/// What is ±∞, or only the one of the two that is asked for.
pub(super) fn is_infinite(call: &mut Call<'_, '_>) -> Outcome {
    let input = call.input(0)?;
    let positive = call.int("detect_positive", 1)? != 0;
    let negative = call.int("detect_negative", 1)? != 0;
    let infinity = Operand::float(f64::INFINITY);
    one(match (positive, negative) {
        (true, true) => {
            let size = call.plain("Abs", &[input])?;
            call.plain("Equal", &[size, infinity])?
        }
        (true, false) => call.plain("Equal", &[input, infinity])?,
        (false, true) => call.plain("Equal", &[input, Operand::float(f64::NEG_INFINITY)])?,
        // Nothing is less than −∞.
        (false, false) => call.plain("Less", &[input, Operand::float(f64::NEG_INFINITY)])?,
    })
}

pub(super) fn cast(call: &mut Call<'_, '_>) -> Outcome {
    let to = i32::try_from(call.int("to", 0)?).unwrap_or(0);
    let kind = kind(element_type(to)?);
    cast_to(call, kind)
}

pub(super) fn cast_like(call: &mut Call<'_, '_>) -> Outcome {
    let kind = call.input(1)?.kind;
    cast_to(call, kind)
}

fn cast_to(call: &mut Call<'_, '_>, kind: Kind) -> Outcome {
    let input = call.input(0)?;
    let from = input.kind;
    if from == kind {
        return one(input);
    }
    if let Source::Known(tensor) = &input.source {
        let data = tensor.data().iter().map(|&x| cast_known(kind, from, x));
        let tensor = Tensor::new(tensor.shape().clone(), data.collect());
        return one(Operand::known(kind, tensor));
    }
    let converted = match (kind, from) {
        (Kind::Bool, _) => {
            let zero = call.plain("Equal", &[input, Operand::float(0.0)])?;
            call.plain("Not", &[zero])?
        }
        (Kind::Int, Kind::Float) => truncated(call, &input)?,
        _ => input,
    };
    one(converted.of_kind(kind))
}

pub(super) fn softmax(call: &mut Call<'_, '_>) -> Outcome {
    along_axis(call, "Softmax")
}

pub(super) fn log_softmax(call: &mut Call<'_, '_>) -> Outcome {
    along_axis(call, "LogSoftmax")
}

/// Along an axis; before opset 13 over all axes from one on.
fn along_axis(call: &mut Call<'_, '_>, op: &str) -> Outcome {
    let input = call.input(0)?;
    let rank = input.shape.len();
    let old = call.opset() < 13;
    let axis = call.axis(call.int("axis", if old { 1 } else { -1 })?, rank)?;
    let later: usize = input.shape.iter().skip(axis + 1).product();
    if !old || later == 1 {
        let axis = Attribute::Int(axis as i64);
        return one(call.with(op, &[("axis", axis)], &[input])?);
    }
    let mut flat = input.shape[..axis].to_vec();
    flat.push(input.shape[axis..].iter().product());
    let rows = call.reshape(&input, &flat)?;
    let softmax = call.with(op, &[("axis", Attribute::Int(-1))], &[rows])?;
    one(call.reshape(&softmax, &input.shape)?)
}

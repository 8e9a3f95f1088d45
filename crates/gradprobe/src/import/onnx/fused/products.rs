//! Products and convolutions with an activation behind them.

use super::activations::by_tanh;
use super::expansion::{Expansion, float, ints};
use crate::import::onnx::error::{OnnxError, quoted};
use crate::import::onnx::messages::Attribute;

/// The activations that may stand behind a product, with their parameters in the order in which
/// they are listed.
#[rustfmt::skip]
const ACTIVATIONS: &[(&str, &[&str])] = &[
    ("Celu", &["alpha"]),
    ("Clip", &["min", "max"]),
    ("Elu", &["alpha"]),
    ("HardSigmoid", &["alpha", "beta"]),
    ("HardSwish", &[]),
    ("LeakyRelu", &["alpha"]),
    ("Mish", &[]),
    ("Relu", &[]),
    ("Selu", &["alpha", "gamma"]),
    ("Sigmoid", &[]),
    ("Softplus", &[]),
    ("Softsign", &[]),
    ("Tanh", &[]),
    ("ThresholdedRelu", &["alpha"]),
];

/// The activation that an attribute names, with the names of its parameters.
fn activation(
    call: &Expansion<'_>,
) -> Result<Option<(&'static str, &'static [&'static str])>, OnnxError> {
    let Some(name) = call.text("activation")?.filter(|name| !name.is_empty()) else {
        return Ok(None);
    };
    let known = ACTIVATIONS.iter().find(|(known, _)| *known == name);
    let known = known.copied().ok_or_else(|| {
        OnnxError::new(format!("its activation {} is not supported", quoted(&name)))
    })?;
    Ok(Some(known))
}

const OF_CONV: [&str; 6] = [
    "auto_pad",
    "pads",
    "strides",
    "dilations",
    "group",
    "kernel_shape",
];

/// activation(conv(x, w) + b + z).
pub(super) fn conv(call: &mut Expansion<'_>) -> Result<(), OnnxError> {
    let parameters = call.floats("activation_params")?;
    let activation = activation(call)?;
    let attributes = call.same_of(&OF_CONV);
    let mut inputs = vec![call.input(0)?, call.input(1)?];
    inputs.extend(call.optional(2));
    let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
    let summand = call.optional(3);
    let Some((name, names)) = activation else {
        match summand {
            None => call.result("Conv", &inputs, attributes),
            Some(z) => {
                let product = call.value("Conv", &inputs, attributes);
                call.result("Add", &[&product, &z], vec![]);
            }
        }
        return Ok(());
    };
    if parameters.len() != names.len() {
        return Err(OnnxError::new(format!(
            "activation_params has {} numbers, {name} takes {}",
            parameters.len(),
            names.len()
        )));
    }
    let mut value = call.value("Conv", &inputs, attributes);
    if let Some(z) = summand {
        value = call.value("Add", &[&value, &z], vec![]);
    }
    let parameters = names.iter().zip(&parameters);
    let parameters = parameters
        .map(|(name, &value)| float(name, value))
        .collect();
    call.result(name, &[&value], parameters);
    Ok(())
}

/// activation(α·A·B + β·C).
pub(super) fn gemm(call: &mut Expansion<'_>) -> Result<(), OnnxError> {
    let activation = activation(call)?;
    let attributes = call.same_of(&["alpha", "beta", "transA", "transB"]);
    let mut inputs = vec![call.input(0)?, call.input(1)?];
    inputs.extend(call.optional(2));
    let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
    let Some((name, names)) = activation else {
        call.result("Gemm", &inputs, attributes);
        return Ok(());
    };
    let mut parameters: Vec<Attribute> = Vec::new();
    for (given, own) in [
        ("activation_alpha", "alpha"),
        ("activation_beta", "beta"),
        ("activation_gamma", "gamma"),
        ("leaky_relu_alpha", "alpha"),
    ] {
        if let Some(mut parameter) = call.same(given).filter(|_| names.contains(&own)) {
            parameter.name = own.into();
            parameters.push(parameter);
        }
    }
    let product = call.value("Gemm", &inputs, attributes);
    call.result(name, &[&product], parameters);
    Ok(())
}

/// GELU by tanh of x·W + b.
pub(super) fn gemm_fast_gelu(call: &mut Expansion<'_>) -> Result<(), OnnxError> {
    let (x, weight) = (call.input(0)?, call.input(1)?);
    let mut value = call.value("MatMul", &[&x, &weight], vec![]);
    if let Some(bias) = call.optional(2) {
        value = call.value("Add", &[&value, &bias], vec![]);
    }
    call.result("Gelu", &[&value], by_tanh());
    Ok(())
}

/// A convolution of images \[batch, height, width, channels\].
pub(super) fn channels_last_conv(call: &mut Expansion<'_>) -> Result<(), OnnxError> {
    let attributes = call.same_of(&OF_CONV);
    let mut inputs = vec![call.input(0)?, call.input(1)?];
    inputs.extend(call.optional(2));
    inputs[0] = channels_first(call, &inputs[0]);
    let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
    let value = call.value("Conv", &inputs, attributes);
    channels_last(call, &value);
    Ok(())
}

/// Images with their channels before their lines.
pub(super) fn channels_first(call: &mut Expansion<'_>, x: &str) -> String {
    call.value("Transpose", &[x], vec![ints("perm", &[0, 3, 1, 2])])
}

/// The first output: images with their channels last.
pub(super) fn channels_last(call: &mut Expansion<'_>, x: &str) {
    call.result("Transpose", &[x], vec![ints("perm", &[0, 2, 3, 1])]);
}

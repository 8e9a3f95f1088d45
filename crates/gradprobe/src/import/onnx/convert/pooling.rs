//! Pooling and resizing.

use super::call::{Call, Outcome, one};
use crate::import::onnx::fault::Fault;
use crate::import::onnx::tensors::Kind;
use crate::ops::{Attribute, Attributes};

const WINDOW: [&str; 6] = [
    "kernel_shape",
    "strides",
    "pads",
    "dilations",
    "auto_pad",
    "ceil_mode",
];

pub(super) fn max_pool(call: &mut Call<'_, '_>) -> Outcome {
    let mut attributes = call.pass(&WINDOW)?;
    let order = call.int("storage_order", 0)?;
    let input = call.input(0)?;
    if call.is_read(1) {
        attributes.insert("indices".into(), Attribute::Int(1));
        attributes.insert("storage_order".into(), Attribute::Int(order));
    }
    let outputs = call.emit("MaxPool", &attributes, &[input])?.into_iter();
    let kinds = [None, Some(Kind::Int)];
    let outputs = outputs.zip(kinds).map(|(output, kind)| match kind {
        Some(kind) => output.of_kind(kind),
        None => output,
    });
    Ok(outputs.map(Some).collect())
}

pub(super) fn average_pool(call: &mut Call<'_, '_>) -> Outcome {
    let mut names = WINDOW.to_vec();
    names.push("count_include_pad");
    let attributes = call.pass(&names)?;
    let input = call.input(0)?;
    let outputs = call.emit("AveragePool", &attributes, &[input])?;
    Ok(outputs.into_iter().map(Some).collect())
}

/// Scales, or sizes, for axes: what is not empty of the inputs at these places.
fn extents(
    call: &Call<'_, '_>,
    scales: usize,
    sizes: Option<usize>,
) -> Result<(Vec<f64>, Vec<i64>), Fault> {
    let scales = call.constant(scales, "the scales")?;
    let scales = scales
        .map(|scales| scales.data().to_vec())
        .unwrap_or_default();
    let sizes = match sizes {
        Some(sizes) => call.constant_ints(sizes, "the sizes")?.unwrap_or_default(),
        None => Vec::new(),
    };
    if scales.is_empty() && sizes.is_empty() {
        return Err("has neither scales nor sizes".into());
    }
    Ok((scales, sizes))
}

pub(super) fn resize(call: &mut Call<'_, '_>) -> Outcome {
    let mut attributes = call.pass(&[
        "mode",
        "coordinate_transformation_mode",
        "nearest_mode",
        "cubic_coeff_a",
        "antialias",
        "exclude_outside",
        "extrapolation_value",
        "axes",
    ])?;
    let (mut scales, mut sizes) = if call.opset() < 11 {
        attributes.insert(
            "coordinate_transformation_mode".into(),
            Attribute::Text("asymmetric".into()),
        );
        attributes.insert("nearest_mode".into(), Attribute::Text("floor".into()));
        extents(call, 1, None)?
    } else {
        extents(call, 2, Some(3))?
    };
    let input = call.input(0)?;
    let policy = call.text("keep_aspect_ratio_policy", "stretch")?;
    if policy != "stretch" && !sizes.is_empty() {
        (scales, sizes) = keeping_ratio(call, &policy, &input.shape, &sizes)?;
    }
    let crops = matches!(
        attributes.get("coordinate_transformation_mode"),
        Some(Attribute::Text(mode)) if mode == "tf_crop_and_resize"
    );
    if crops {
        let region = call.constant(1, "the region")?.ok_or("lacks its region")?;
        attributes.insert("roi".into(), Attribute::Floats(region.data().to_vec()));
    }
    sized(&mut attributes, scales, sizes);
    one(resized(call, &attributes)?)
}

/// The scales and sizes when the smaller or the larger of the factors holds for all axes.
fn keeping_ratio(
    call: &Call<'_, '_>,
    policy: &str,
    shape: &[usize],
    sizes: &[i64],
) -> Result<(Vec<f64>, Vec<i64>), Fault> {
    let axes = match call.ints("axes")? {
        Some(axes) => axes,
        None => (0..shape.len() as i64).collect(),
    };
    let mut extents = Vec::with_capacity(axes.len());
    for axis in axes {
        extents.push(shape[call.axis(axis, shape.len())?] as f64);
    }
    let factors = sizes
        .iter()
        .zip(&extents)
        .map(|(&size, extent)| size as f64 / extent);
    let factor = match policy {
        "not_larger" => factors.fold(f64::INFINITY, f64::min),
        "not_smaller" => factors.fold(0.0, f64::max),
        other => return Err(format!("keep_aspect_ratio_policy {other:?} is not known").into()),
    };
    let rounded = |extent: &f64| (factor * extent).round().max(1.0) as i64;
    let sizes = extents.iter().map(rounded).collect();
    Ok((vec![factor; extents.len()], sizes))
}

fn sized(attributes: &mut Attributes, scales: Vec<f64>, sizes: Vec<i64>) {
    if !scales.is_empty() {
        attributes.insert("scales".into(), Attribute::Floats(scales));
    }
    if !sizes.is_empty() {
        attributes.insert("sizes".into(), Attribute::Ints(sizes));
    }
}

fn resized(
    call: &mut Call<'_, '_>,
    attributes: &Attributes,
) -> Result<crate::import::onnx::value::Operand, Fault> {
    let input = call.input(0)?;
    let outputs = call.emit("Resize", attributes, &[input])?;
    let output = outputs.into_iter().next();
    output.ok_or_else(|| "has no output".into())
}

pub(super) fn upsample(call: &mut Call<'_, '_>) -> Outcome {
    let mut attributes = call.pass(&["mode"])?;
    let text = |text: &str| Attribute::Text(text.into());
    if matches!(attributes.get("mode"), Some(Attribute::Text(mode)) if mode == "bilinear") {
        attributes.insert("mode".into(), text("linear"));
    }
    attributes.insert("coordinate_transformation_mode".into(), text("asymmetric"));
    attributes.insert("nearest_mode".into(), text("floor"));
    let scales = match call.floats("scales")? {
        Some(scales) => scales,
        None => extents(call, 1, None)?.0,
    };
    sized(&mut attributes, scales, Vec::new());
    one(resized(call, &attributes)?)
}

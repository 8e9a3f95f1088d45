//! Signals and their spectra.

use super::call::{Call, Outcome, one};
use crate::import::onnx::fault::Fault;
use crate::import::onnx::tensors::{Kind, element_type, kind};
use crate::import::onnx::value::Operand;
use crate::num::{Shape, Tensor};
use crate::ops::Attribute;

/// A whole number of at least `least` from an input that has to be constant; `None` if it is not
/// given.
fn constant_size(
    call: &Call<'_, '_>,
    index: usize,
    what: &str,
    least: i64,
) -> Result<Option<usize>, Fault> {
    let Some(number) = call.constant_scalar(index, what)? else {
        return Ok(None);
    };
    // Whole numbers up to 2^53 are exact here.
    let fits = number.fract() == 0.0 && (least as f64..=9e15).contains(&number);
    if !fits {
        let expected = format!("a whole number of at least {least}");
        return Err(format!("{what} is {number}, expected {expected}").into());
    }
    Ok(Some(number as usize))
}

/// The axis is an input from opset 20 on; before, an attribute, counted without a default of −2.
pub(super) fn dft(call: &mut Call<'_, '_>) -> Outcome {
    let mut attributes = call.pass(&["inverse", "onesided"])?;
    let axis = match call.opset() {
        ..20 => call.int("axis", 1)?,
        _ => call.constant_scalar(2, "the axis")?.unwrap_or(-2.0) as i64,
    };
    attributes.insert("axis".into(), Attribute::Int(axis));
    if let Some(length) = constant_size(call, 1, "the DFT's length", 1)? {
        attributes.insert("dft_length".into(), Attribute::Int(length as i64));
    }
    let input = call.input(0)?;
    let outputs = call.emit("DFT", &attributes, &[input])?;
    Ok(outputs.into_iter().map(Some).collect())
}

/// Frames looked up by index, each weighed by the window and transformed.
pub(super) fn stft(call: &mut Call<'_, '_>) -> Outcome {
    let signal = call.input(0)?;
    let &[_, samples, _] = &signal.shape[..] else {
        let expected = "[batch, samples, 1 or 2]";
        return Err(format!("the signal has shape {}, expected {expected}", signal.shape).into());
    };
    let step = constant_size(call, 1, "the step between frames", 1)?;
    let step = step.ok_or("lacks its second input, the step between frames")?;
    let window = call.optional(2);
    let of_window = window.as_ref().map(|window| window.shape.element_count());
    let given = constant_size(call, 3, "the length of a frame", 1)?;
    let length = given.or(of_window).unwrap_or(samples);
    if let Some(window) = &window
        && window.shape[..] != [length]
    {
        let got = &window.shape;
        return Err(format!("the window has shape {got}, expected [{length}]").into());
    }
    let Some(room) = samples.checked_sub(length).filter(|_| length > 0) else {
        return Err(format!("a frame of {length} in a signal of {samples} samples").into());
    };
    let frames = room / step + 1;
    let shape = Shape::from([frames, length]);
    call.session.charge_folded(&shape)?;
    let indices = (0..frames).flat_map(|frame| (0..length).map(move |at| frame * step + at));
    let indices = indices.map(|index| index as f64).collect();
    let indices = Operand::known(Kind::Int, Tensor::new(shape, indices));
    let axis = |axis: i64| ("axis", Attribute::Int(axis));
    let mut cut = call.with("Gather", &[axis(1)], &[signal, indices])?;
    if let Some(window) = window {
        let window = call.reshape(&window, &[length, 1])?;
        cut = call.plain("Mul", &[cut, window])?;
    }
    let one_sided = Attribute::Int(call.int("onesided", 1)?);
    one(call.with("DFT", &[axis(2), ("onesided", one_sided)], &[cut])?)
}

/// The triangular filters of a mel spectrogram, a column a filter, each 1 at its centre.
pub(super) fn mel_weight_matrix(call: &mut Call<'_, '_>) -> Outcome {
    let mut sizes = [0; 3];
    for (index, what) in [
        "the number of mel bins",
        "the DFT's length",
        "the sample rate",
    ]
    .into_iter()
    .enumerate()
    {
        let size = constant_size(call, index, what, 1)?;
        sizes[index] = size.ok_or_else(|| format!("lacks {what}"))?;
    }
    let mut edges = [0.0; 2];
    for (edge, what) in ["the lower edge", "the upper edge"].into_iter().enumerate() {
        let hertz = call.constant_scalar(3 + edge, what)?;
        edges[edge] = hertz.ok_or_else(|| format!("lacks {what}"))?;
    }
    let kind = match i32::try_from(call.int("output_datatype", 1)?) {
        Ok(number) => kind(element_type(number)?),
        Err(_) => return Err("output_datatype is no element type".into()),
    };
    let [bins, length, rate] = sizes;
    let rows = length / 2 + 1;
    let shape = Shape::from([rows, bins]);
    call.session.charge_folded(&shape)?;
    let corners = mel_corners(bins, length, rate, edges);
    let inside = |corner: &i64| (0..rows as i64).contains(corner);
    if !corners.iter().all(inside) {
        let [lower, upper] = edges;
        let most = rate / 2;
        return Err(
            format!("the edges {lower} and {upper} Hz are not between 0 and {most} Hz").into(),
        );
    }
    let mut data = vec![0.0; rows * bins];
    for (bin, corner) in corners.windows(3).enumerate() {
        let [left, centre, right] = [corner[0], corner[1], corner[2]];
        for row in left..right.max(centre + 1) {
            let weight = match row {
                row if row == centre => 1.0,
                row if row < centre => (row - left) as f64 / (centre - left) as f64,
                row => (right - row) as f64 / (right - centre) as f64,
            };
            data[row as usize * bins + bin] = match kind {
                Kind::Float => weight,
                Kind::Int | Kind::Bool => weight.trunc(),
            };
        }
    }
    one(Operand::known(kind, Tensor::new(shape, data)))
}

/// The frequencies, as rows of the spectrum, between which the filters lie: evenly spaced by
/// mel = 2595 log₁₀(1 + f/700), as ONNX divides them (by the number of filters and 2).
fn mel_corners(bins: usize, length: usize, rate: usize, edges: [f64; 2]) -> Vec<i64> {
    let mel = |hertz: f64| 2595.0 * libm::log1p(hertz / 700.0) / std::f64::consts::LN_10;
    let [lowest, highest] = edges.map(mel);
    let step = (highest - lowest) / (bins + 2) as f64;
    let corner = |index: usize| {
        let mel = index as f64 * step + lowest;
        let hertz = 700.0 * libm::expm1(mel / 2595.0 * std::f64::consts::LN_10);
        ((length + 1) as f64 * hertz / rate as f64).floor() as i64
    };
    (0..bins + 2).map(corner).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn corners_of_mel_filters_rise_from_edge_to_edge() {
        let corners = mel_corners(8, 16, 8192, [0.0, 4096.0]);
        assert_eq!(corners.len(), 10);
        assert!(corners.is_sorted());
        assert_eq!(corners[0], 0);
        assert!(corners[9] <= 8);
    }
}

//! Grids of places, and images put together from blocks.

use super::call::{Call, Outcome, one};
use crate::import::onnx::fault::Fault;
use crate::import::onnx::tensors::{Kind, shape};
use crate::import::onnx::value::Operand;
use crate::num::{Shape, Tensor};
use crate::ops::{Attribute, Attributes, Role};

/// The places of the output in the input's coordinates: the grid of the identity, a row
/// (x, y[, z], 1) a place, times the transposed matrices.
pub(super) fn affine_grid(call: &mut Call<'_, '_>) -> Outcome {
    let theta = call.input(0)?;
    let size = call
        .constant_ints(1, "the size")?
        .ok_or("lacks its second input, the size")?;
    let size = shape(&size)?;
    let rank = size.len().saturating_sub(2);
    if !(2..=3).contains(&rank) {
        return Err(format!("size {size}: expected 4 or 5 extents").into());
    }
    let expected = [size[0], rank, rank + 1];
    if theta.shape[..] != expected {
        let expected = Shape::from(expected);
        return Err(format!("theta has shape {}, expected {expected}", theta.shape).into());
    }
    let align_corners = call.int("align_corners", 0)? != 0;
    let grid = identity_grid(call, &size[2..], align_corners)?;
    let perm = [("perm", Attribute::Ints(vec![0, 2, 1]))];
    let turned = call.with("Transpose", &perm, &[theta])?;
    let none = Attributes::new();
    let made = call.emit_as("MatMul", &none, &[grid, turned], Some(Role::Other))?;
    let made = made.into_iter().next().ok_or("MatMul has no output")?;
    let mut out = vec![size[0]];
    out.extend(&size[2..]);
    out.push(rank);
    one(call.reshape(&made, &out)?)
}

/// \[1, places, axes + 1\]: the coordinate along the last axis first, and a 1 behind them.
fn identity_grid(
    call: &mut Call<'_, '_>,
    extents: &[usize],
    align_corners: bool,
) -> Result<Operand, Fault> {
    let places = Shape(extents.to_vec()).element_count();
    let made = Shape::from([1, places, extents.len() + 1]);
    call.session.charge_folded(&made)?;
    let coordinate = |index: usize, extent: usize| {
        let (index, extent) = (index as f64, extent as f64);
        match align_corners {
            true if extent == 1.0 => 0.0,
            true => 2.0 * index / (extent - 1.0) - 1.0,
            false => (2.0 * index + 1.0) / extent - 1.0,
        }
    };
    let mut data = Vec::with_capacity(made.element_count());
    for place in 0..places {
        let mut rest = place;
        for &extent in extents.iter().rev() {
            data.push(coordinate(rest % extent, extent));
            rest /= extent;
        }
        data.push(1.0);
    }
    Ok(Operand::known(Kind::Float, Tensor::new(made, data)))
}

pub(super) fn col2im(call: &mut Call<'_, '_>) -> Outcome {
    let mut attributes = call.pass(&["strides", "pads", "dilations"])?;
    for (index, name) in [(1, "image_shape"), (2, "block_shape")] {
        let extents = call.constant_ints(index, name)?;
        let extents = extents.ok_or_else(|| format!("lacks its input {index}, {name}"))?;
        attributes.insert(name.into(), Attribute::Ints(extents));
    }
    let input = call.input(0)?;
    let outputs = call.emit("Col2Im", &attributes, &[input])?;
    Ok(outputs.into_iter().map(Some).collect())
}

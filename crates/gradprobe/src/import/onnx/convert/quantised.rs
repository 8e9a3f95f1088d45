//! Weights that are stored as whole numbers times a scale.

use super::call::{Call, Outcome, one};
use crate::import::onnx::fault::Fault;
use crate::import::onnx::value::{Operand, Source};
use crate::num::{Shape, Tensor};

/// (x − zero point) · scale, where all of them are in the file. Rounding a signal has no gradient.
pub(super) fn dequantise(call: &mut Call<'_, '_>) -> Outcome {
    let x = call.input(0)?;
    let scale = call.input(1)?;
    let zero_point = call.optional(2);
    let axis = call.int("axis", 1)?;
    let block = call.int("block_size", 0)?;
    let whole = [Some(&x), zero_point.as_ref()];
    let is_signal = |operand: &&Operand| matches!(operand.source, Source::Value(_));
    if whole.iter().flatten().any(is_signal) || is_signal(&&scale) {
        return Err(
            "the model computes with whole numbers, and rounding has no gradient: export the \
             float model"
                .into(),
        );
    }
    let numbers = |operand: &Operand| call.session.numbers(operand);
    let lacks = || "reads a list of tensors where a tensor belongs";
    let x_numbers = numbers(&x).ok_or_else(lacks)?;
    let scales = numbers(&scale).ok_or_else(lacks)?;
    let zero_points = match &zero_point {
        Some(operand) => Some(numbers(operand).ok_or_else(lacks)?),
        None => None,
    };
    let places = Places::of(call, &x.shape, scales.shape(), axis, block)?;
    if let Some(zero_points) = &zero_points
        && zero_points.data().len() != scales.data().len()
    {
        return Err(format!(
            "its zero point has {} numbers and its scale {}",
            zero_points.data().len(),
            scales.data().len()
        )
        .into());
    }
    let data = x_numbers.data().iter().enumerate().map(|(at, &number)| {
        let place = places.of_element(at);
        let zero = zero_points.as_ref().map_or(0.0, |zero| zero.data()[place]);
        (number - zero) * scales.data()[place]
    });
    let tensor = Tensor::new(x.shape.clone(), data.collect());
    call.session.charge_folded(&x.shape)?;
    call.session.count("quantised weights");
    one(Operand::known(
        crate::import::onnx::tensors::Kind::Float,
        tensor,
    ))
}

/// Which scale belongs to which number.
enum Places {
    /// One for all.
    One,
    /// One for every place along an axis, whose steps have `inner` numbers each.
    Axis { extent: usize, inner: usize },
    /// One for every block of so many numbers along an axis.
    Blocks {
        extent: usize,
        inner: usize,
        block: usize,
    },
}

impl Places {
    fn of(
        call: &Call<'_, '_>,
        shape: &Shape,
        scales: &Shape,
        axis: i64,
        block: i64,
    ) -> Result<Self, Fault> {
        let misfits = || -> Fault {
            let of_blocks = match block > 0 {
                true => format!(", in blocks of {block}"),
                false => String::new(),
            };
            format!(
                "its scale has shape {scales} for axis {axis}{of_blocks} of a tensor of shape {shape}"
            )
            .into()
        };
        let block = usize::try_from(block).map_err(|_| misfits())?;
        let count = scales.element_count();
        if count == 1 && block == 0 {
            return Ok(Self::One);
        }
        let at = call.axis(axis, shape.len())?;
        let inner = shape[at + 1..].iter().product();
        let extent = shape[at];
        if block == 0 {
            let fits = count == extent;
            return fits
                .then_some(Self::Axis { extent, inner })
                .ok_or_else(misfits);
        }
        let mut expected = shape.to_vec();
        expected[at] = extent.div_ceil(block);
        let blocks = Self::Blocks {
            extent,
            inner,
            block,
        };
        (scales[..] == expected[..])
            .then_some(blocks)
            .ok_or_else(misfits)
    }

    /// The place among the scales of that of an element.
    fn of_element(&self, at: usize) -> usize {
        match *self {
            Self::One => 0,
            Self::Axis { extent, inner } => at / inner % extent,
            Self::Blocks {
                extent,
                inner,
                block,
            } => {
                let (outer, along) = (at / (inner * extent), at / inner % extent);
                (outer * extent.div_ceil(block) + along / block) * inner + at % inner
            }
        }
    }
}

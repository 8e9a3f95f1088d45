//! Matrix products and convolutions.

use super::call::{Call, Outcome, one};
use crate::import::onnx::fault::Fault;
use crate::import::onnx::modules::holds_batch_norm;
use crate::import::onnx::session::Use;
use crate::import::onnx::value::Operand;
use crate::ops::Attribute;

pub(super) fn matmul(call: &mut Call<'_, '_>) -> Outcome {
    let (a, b) = (call.input(0)?, call.input(1)?);
    call.used_as(0, Use::Matrix(true));
    call.used_as(1, Use::Matrix(false));
    one(call.plain("MatMul", &[a, b])?)
}

/// α·A·B of batches of matrices, each as it is or with its last axes exchanged; before that its first
/// axis may become the last but one.
pub(super) fn fused_matmul(call: &mut Call<'_, '_>) -> Outcome {
    let alpha = call.float("alpha", 1.0)?;
    let mut operands = Vec::with_capacity(2);
    for (index, [flip, roll]) in [["transA", "transBatchA"], ["transB", "transBatchB"]]
        .into_iter()
        .enumerate()
    {
        let x = call.input(index)?;
        let rank = x.shape.len() as i64;
        // A list has nothing to exchange.
        let flip = call.int(flip, 0)? != 0 && rank > 1;
        let roll = call.int(roll, 0)? != 0 && rank > 2;
        call.used_as(index, Use::Matrix((index == 0) != flip));
        let mut order: Vec<i64> = (0..rank).collect();
        if roll {
            let last = order.len() - 1;
            order[..last].rotate_left(1);
        }
        if flip {
            let last = order.len() - 1;
            order.swap(last - 1, last);
        }
        operands.push(if flip || roll {
            call.with("Transpose", &[("perm", Attribute::Ints(order))], &[x])?
        } else {
            x
        });
    }
    let product = call.plain("MatMul", &operands)?;
    one(scaled(call, product, alpha)?)
}

/// α·A·B + β·C with A and B as they are or transposed. x·Wᵀ + b, which is what linear layers
/// become, stays one op.
pub(super) fn gemm(call: &mut Call<'_, '_>) -> Outcome {
    let (alpha, beta) = (call.float("alpha", 1.0)?, call.float("beta", 1.0)?);
    let (mut a, b) = (call.input(0)?, call.input(1)?);
    let c = call.optional(2);
    let of_rows = call.int("transB", 0)? != 0;
    if a.shape.len() != 2 || b.shape.len() != 2 {
        return Err(format!("expected two matrices, got {} and {}", a.shape, b.shape).into());
    }
    call.used_as(1, Use::Matrix(of_rows));
    call.used_as(2, Use::Shift(b.shape[usize::from(of_rows)]));
    if call.int("transA", 0)? != 0 {
        a = transposed(call, a)?;
    }
    let product = if of_rows && alpha == 1.0 {
        let mut inputs = vec![a, b];
        let units = inputs[1].shape[0];
        let bias = c
            .as_ref()
            .filter(|c| c.shape[..] == [units] && beta == 1.0)
            .cloned();
        let has_bias = bias.is_some();
        inputs.extend(bias);
        let flag = Attribute::Int(i64::from(has_bias));
        let product = call.with("Linear", &[("bias", flag)], &inputs)?;
        if has_bias {
            return one(product);
        }
        product
    } else {
        let b = if of_rows { transposed(call, b)? } else { b };
        let product = call.plain("MatMul", &[a, b])?;
        scaled(call, product, alpha)?
    };
    match c {
        None => one(product),
        Some(_) if beta == 0.0 => one(product),
        Some(c) => {
            let c = scaled(call, c, beta)?;
            one(call.plain("Add", &[product, c])?)
        }
    }
}

fn transposed(call: &mut Call<'_, '_>, matrix: Operand) -> Result<Operand, Fault> {
    call.with(
        "Transpose",
        &[("perm", Attribute::Ints(vec![1, 0]))],
        &[matrix],
    )
}

fn scaled(call: &mut Call<'_, '_>, x: Operand, factor: f64) -> Result<Operand, Fault> {
    if factor == 1.0 {
        return Ok(x);
    }
    call.plain("Mul", &[x, Operand::float(factor)])
}

/// Notes the uses of kernel and bias, and checks that the kernel is what the node says.
fn kernel(call: &mut Call<'_, '_>) -> Result<(), Fault> {
    let groups = usize::try_from(call.int("group", 1)?).unwrap_or(1);
    let kernel = call.input(1)?;
    let fan_in = kernel.shape.iter().skip(1).product();
    call.used_as(1, Use::Kernel(groups));
    call.used_as(2, Use::Shift(fan_in));
    let said = call.ints("kernel_shape")?;
    let is: Vec<i64> = kernel.shape.iter().skip(2).map(|&n| n as i64).collect();
    if let Some(said) = said
        && said != is
    {
        return Err(format!("kernel_shape is {said:?}, but the weight's is {is:?}").into());
    }
    if holds_batch_norm(&call.node.message) {
        call.session.count("folded batch norm");
    }
    Ok(())
}

pub(super) fn conv(call: &mut Call<'_, '_>) -> Outcome {
    kernel(call)?;
    let attributes = call.pass(&["auto_pad", "pads", "strides", "dilations", "group"])?;
    let inputs = call.all();
    let outputs = call.emit("Conv", &attributes, &inputs)?;
    Ok(outputs.into_iter().map(Some).collect())
}

pub(super) fn conv_transpose(call: &mut Call<'_, '_>) -> Outcome {
    kernel(call)?;
    let attributes = call.pass(&[
        "auto_pad",
        "pads",
        "strides",
        "dilations",
        "group",
        "output_padding",
        "output_shape",
    ])?;
    let inputs = call.all();
    let outputs = call.emit("ConvTranspose", &attributes, &inputs)?;
    Ok(outputs.into_iter().map(Some).collect())
}

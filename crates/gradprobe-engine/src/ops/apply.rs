//! Applying one op to tensors, outside a graph.

use super::{Context, Op, OpElement, OpError, Saved};
use crate::num::{Shape, Tensor, View};

/// A gradient for every input that one was wanted for.
pub type InputGradients<T> = Vec<Option<Tensor<T>>>;

/// The outputs of an op, kept ones included.
pub fn apply<T: OpElement>(
    op: &dyn Op,
    context: &Context,
    inputs: &[Tensor<T>],
) -> Result<Vec<Tensor<T>>, OpError> {
    let shapes: Vec<&Shape> = inputs.iter().map(Tensor::shape).collect();
    // NaN, so that an element that the kernel forgets is seen.
    let mut outputs: Vec<Tensor<T>> = op
        .infer(&shapes)?
        .into_iter()
        .map(|shape| filled(shape, T::from_f64(f64::NAN)))
        .collect();
    let inputs: Vec<View<'_, T>> = inputs.iter().map(Tensor::view).collect();
    let mut writes: Vec<_> = outputs.iter_mut().map(Tensor::view_mut).collect();
    T::kernel(op).forward(context, &inputs, &mut writes)?;
    Ok(outputs)
}

/// The gradients of an op with respect to the inputs that are `wanted`, with the exponent e: the
/// true ones are 2^e times as large. `outputs` is what [`apply`] returned; `cotangents` has one
/// entry an output that is not a kept one.
pub fn apply_vjp<T: OpElement>(
    op: &dyn Op,
    context: &Context,
    inputs: &[Tensor<T>],
    outputs: &[Tensor<T>],
    cotangents: &[Tensor<T>],
    wanted: &[bool],
) -> Result<(InputGradients<T>, i64), OpError> {
    let nan = T::from_f64(f64::NAN);
    let mut gradients: InputGradients<T> = inputs
        .iter()
        .zip(wanted)
        .map(|(input, &wanted)| wanted.then(|| filled(input.shape().clone(), nan)))
        .collect();
    let inputs: Vec<View<'_, T>> = inputs.iter().map(Tensor::view).collect();
    let outputs: Vec<View<'_, T>> = outputs.iter().map(Tensor::view).collect();
    let cotangents: Vec<_> = cotangents.iter().map(|g| Some(g.view())).collect();
    let mut writes: Vec<_> = gradients
        .iter_mut()
        .map(|gradient| gradient.as_mut().map(Tensor::view_mut))
        .collect();
    let saved = Saved {
        inputs: &inputs,
        outputs: &outputs,
    };
    let exponent = T::kernel(op).vjp(context, saved, &cotangents, &mut writes)?;
    Ok((gradients, exponent))
}

fn filled<T: OpElement>(shape: Shape, value: T) -> Tensor<T> {
    let data = vec![value; shape.element_count()];
    Tensor::new(shape, data)
}

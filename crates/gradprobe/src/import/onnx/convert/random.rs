//! Random numbers: where dropout is the identity they are their means, so that a mask that is drawn
//! and divided by how much of it is left is 1, as dropout and stochastic depth are written out.
//! Where dropout is asked for they are drawn, once.

use super::call::{Call, Outcome, one};
use crate::import::onnx::fault::Fault;
use crate::import::onnx::tensors::{self, Kind};
use crate::import::onnx::value::{Operand, Source};
use crate::num::{Shape, Stream, Tensor};

/// The shape that is drawn: of the input, else what the attribute says.
fn shape(call: &Call<'_, '_>) -> Result<Shape, Fault> {
    if let Some(like) = call.optional(0) {
        return Ok(like.shape);
    }
    let extents = call.ints("shape")?.ok_or("lacks its shape")?;
    Ok(tensors::shape(&extents)?)
}

/// Notes that something is drawn; the stream that it is drawn from, if it is drawn.
fn stream(call: &mut Call<'_, '_>, shape: &Shape) -> Result<Option<Stream>, Fault> {
    call.int("dtype", 1)?;
    call.session.charge_folded(shape)?;
    call.session.count(match call.session.dropout {
        true => "random numbers that are drawn",
        false => "random numbers",
    });
    let name = call.session.node_name.clone();
    Ok(call.session.dropout.then(|| Stream::new(0, &name)))
}

pub(super) fn uniform(call: &mut Call<'_, '_>) -> Outcome {
    let (low, high) = (call.float("low", 0.0)?, call.float("high", 1.0)?);
    let shape = shape(call)?;
    let source = match stream(call, &shape)? {
        None => Source::Uniform(low, high),
        Some(mut stream) => {
            let mut drawn = vec![0.0; shape.element_count()];
            stream.fill_uniform(low, high, &mut drawn);
            return one(Operand::known(Kind::Float, Tensor::new(shape, drawn)));
        }
    };
    one(Operand {
        kind: Kind::Float,
        shape,
        source,
    })
}

pub(super) fn normal(call: &mut Call<'_, '_>) -> Outcome {
    let (mean, scale) = (call.float("mean", 0.0)?, call.float("scale", 1.0)?);
    let shape = shape(call)?;
    let stream = stream(call, &shape)?;
    let mut drawn = vec![mean; shape.element_count()];
    if let Some(mut stream) = stream {
        stream.fill_normal(mean, scale, &mut drawn);
    }
    one(Operand::known(Kind::Float, Tensor::new(shape, drawn)))
}

pub(super) fn bernoulli(call: &mut Call<'_, '_>) -> Outcome {
    let probabilities = call.input(0)?;
    let Some(mut stream) = stream(call, &probabilities.shape)? else {
        return one(probabilities);
    };
    let mut drawn = vec![0.0; probabilities.shape.element_count()];
    stream.fill_uniform(0.0, 1.0, &mut drawn);
    let drawn = Tensor::new(probabilities.shape.clone(), drawn);
    let drawn = Operand::known(Kind::Float, drawn);
    let mask = call.plain("Less", &[drawn, probabilities])?;
    one(mask.of_kind(Kind::Float))
}

pub(super) fn greater(call: &mut Call<'_, '_>) -> Outcome {
    compare(call, "Greater")
}

pub(super) fn greater_or_equal(call: &mut Call<'_, '_>) -> Outcome {
    compare(call, "GreaterOrEqual")
}

pub(super) fn less(call: &mut Call<'_, '_>) -> Outcome {
    compare(call, "Less")
}

pub(super) fn less_or_equal(call: &mut Call<'_, '_>) -> Outcome {
    compare(call, "LessOrEqual")
}

/// A comparison; of random numbers with one that is known, how often it holds.
fn compare(call: &mut Call<'_, '_>, op: &str) -> Outcome {
    let (a, b) = (call.input(0)?, call.input(1)?);
    let (low, high, bound, random_first) = match (&a.source, &b.source) {
        (&Source::Uniform(low, high), _) => (low, high, call.session.numbers(&b), true),
        (_, &Source::Uniform(low, high)) => (low, high, call.session.numbers(&a), false),
        _ => return one(call.plain(op, &[a, b])?),
    };
    let random = if random_first { &a } else { &b };
    let bound = match bound.as_ref().map(|bound| bound.data()) {
        Some(&[bound]) => bound,
        _ => return one(call.plain(op, &[a, b])?),
    };
    let below = ((bound - low) / (high - low)).clamp(0.0, 1.0);
    let below = if below.is_nan() { 0.0 } else { below };
    let holds = if op.starts_with("Less") == random_first {
        below
    } else {
        1.0 - below
    };
    let count = random.shape.element_count();
    let mask = Tensor::new(random.shape.clone(), vec![holds; count]);
    one(Operand::known(Kind::Float, mask))
}

//! What is differentiated: the value that is judged, and the loss that is added to it.

use super::error::{OnnxError, quoted};
use super::fault::Fault;
use super::loss::{self, Decided, Judged};
use super::model::Flat;
use super::options::OnnxOptions;
use super::session::Session;
use super::value::Operand;
use super::whole_numbers::last_floating_value;
use crate::data::read_arrays;
use crate::graph::{Origin, ValueId};
use crate::import::spec::default_limit;
use crate::num::{Shape, Tensor};
use crate::ops::{Attribute, Attributes, find_op};
use std::path::Path;
use std::sync::Arc;

/// The value that is judged: what was asked for, else the first output.
pub(super) fn choose_output(model: &Flat, options: &OnnxOptions) -> Result<Judged, OnnxError> {
    let made_by = loss::made_by(model);
    let outputs = || model.graph.output.iter().map(|info| info.name.as_str());
    let name = match &options.output {
        Some(asked) if made_by.contains_key(asked.as_str()) => asked.as_str(),
        Some(asked) => {
            let names: Vec<String> = outputs().map(quoted).collect();
            return Err(
                OnnxError::new(format!("makes no value {}", quoted(asked))).help(format!(
                    "its outputs are {} (`-o FILE` writes the result to a file)",
                    names.join(", ")
                )),
            );
        }
        None => outputs()
            .next()
            .ok_or_else(|| OnnxError::new("has no output"))?,
    };
    if !made_by.contains_key(name) {
        return Err(OnnxError::new(format!(
            "no node makes its output {}",
            quoted(name)
        )));
    }
    let Some(floating) = last_floating_value(model, &made_by, name) else {
        return Ok(loss::judged(model, &made_by, name, options.loss));
    };
    let mut judged = loss::judged(model, &made_by, floating, options.loss);
    judged.whole = Some(name.to_owned());
    Ok(judged)
}

/// The array of a target's file.
pub(super) fn target_of(file: &Path, options: &OnnxOptions) -> Result<Arc<Tensor<f64>>, OnnxError> {
    let limit = options.max_memory.unwrap_or_else(default_limit);
    let mut arrays = read_arrays(file, limit).map_err(|error| OnnxError::new(error.to_string()))?;
    let at = arrays.iter().position(|array| array.name == "target");
    match at {
        Some(at) => Ok(Arc::new(arrays.swap_remove(at).tensor)),
        None if arrays.len() == 1 => Ok(Arc::new(arrays.swap_remove(0).tensor)),
        None => {
            let file = file.display().to_string();
            let file = file.escape_debug();
            Err(OnnxError::new(format!("`{file}` has no array `target`")))
        }
    }
}

/// Adds the loss of an output, with a further input for the target.
pub(super) fn add_loss(
    session: &mut Session<'_>,
    decided: Decided,
    output: &Operand,
    target: &Shape,
) -> Result<ValueId, Fault> {
    let mut value = session.value(output)?;
    let axis = |axis: i64| ("axis".to_owned(), Attribute::Int(axis));
    if let Decided::CrossEntropy {
        tokens: true,
        probabilities: false,
    } = decided
    {
        value = add(session, "tokens", "Flatten", [axis(2)], &[value])?;
    }
    let name = session.free_name("target");
    let target = session.builder.input(name, target.clone())?;
    if let Some(op) = decided.op() {
        return add(session, "loss", op, [], &[value, target]);
    }
    // −Σ p ln softmax(x), a row's mean.
    let of_tokens = matches!(decided, Decided::CrossEntropy { tokens: true, .. });
    let class_axis = if of_tokens { 2 } else { 1 };
    let classes = output.shape.get(class_axis).copied().unwrap_or(1).max(1);
    let rows = output.shape.element_count() / classes;
    let axes = [axis(class_axis as i64)];
    let logarithms = add(session, "loss.log_softmax", "LogSoftmax", axes, &[value])?;
    let weighted = add(session, "loss.weighted", "Mul", [], &[logarithms, target])?;
    let keep = [("keepdims".to_owned(), Attribute::Int(0))];
    let sum = add(session, "loss.sum", "ReduceSum", keep, &[weighted])?;
    let scale = session.value(&Operand::float(-1.0 / rows.max(1) as f64))?;
    add(session, "loss", "Mul", [], &[sum, scale])
}

/// Adds a node that belongs to no layer.
fn add<const N: usize>(
    session: &mut Session<'_>,
    name: &str,
    op: &str,
    attributes: [(String, Attribute); N],
    inputs: &[ValueId],
) -> Result<ValueId, Fault> {
    let entry = find_op(op).ok_or_else(|| Fault::from(format!("the engine has no op {op}")))?;
    let attributes: Attributes = attributes.into_iter().collect();
    let made = Arc::from((entry.from_attributes)(&attributes)?);
    let name = session.free_name(name);
    let outputs = session
        .builder
        .node_with(name, made, inputs, None, Origin::default())?;
    Ok(outputs[0])
}

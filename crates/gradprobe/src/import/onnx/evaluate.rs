//! The outputs of a model for given inputs, computed at once or as a graph of one of the inputs.

use super::analysis::analyse;
use super::error::{OnnxError, quoted};
use super::fault::Fault;
use super::model::flatten;
use super::operators::{check_operators, reads_of};
use super::reader;
use super::session::Session;
use super::tensors::{Kind, element_type, kind};
use super::value::{Operand, Source};
use super::weights::Said;
use crate::data::Array;
use crate::graph::{Graph, Objective, Origin};
use crate::import::spec::default_limit;
use crate::num::Tensor;
use crate::ops::{Add, Mode, Mul, Reduce, ReduceKind};
use std::path::Path;
use std::sync::Arc;

/// Computes the outputs of a model in double precision, by name. In training mode dropout drops.
///
/// This is what the conformance tests run; a check runs a graph instead, see
/// [`OnnxNetwork`](super::OnnxNetwork).
///
/// # Errors
/// If the model cannot be read or converted, or an input is missing or does not fit.
pub fn evaluate(path: &Path, inputs: &[Array], mode: Mode) -> Result<Vec<Array>, OnnxError> {
    converted(path, inputs, None, mode, |session, outputs| {
        let mut arrays = Vec::with_capacity(outputs.len());
        for (name, operand) in outputs {
            let numbers = session.numbers(&operand).ok_or_else(|| {
                OnnxError::new(format!("output {} is not computed", quoted(&name)))
            })?;
            let tensor = Tensor::clone(&numbers);
            arrays.push(Array { name, tensor });
        }
        Ok(arrays)
    })
}

/// The graph of Σ cotangent · output over the outputs that have a cotangent, as a function of one
/// input; the others are known. `None` if no such output depends on it.
///
/// This is what the conformance tests differentiate.
///
/// # Errors
/// If the model cannot be read or converted, or an input is missing or does not fit, or has to be
/// constant.
pub fn weighted_outputs(
    path: &Path,
    inputs: &[Array],
    input: &str,
    cotangents: &[Array],
    mode: Mode,
) -> Result<Option<Graph>, OnnxError> {
    converted(path, inputs, Some(input), mode, |mut session, outputs| {
        let fault = |fault: Fault| fault.unplaced();
        let mut sum = None;
        for (name, operand) in outputs {
            let Some(cotangent) = cotangents.iter().find(|array| array.name == name) else {
                continue;
            };
            let Source::Value(value) = operand.source else {
                continue;
            };
            let cotangent = Operand::known(Kind::Float, cotangent.tensor.clone());
            let cotangent = session.value(&cotangent).map_err(fault)?;
            let mut node = |name: &str, op: Arc<dyn crate::ops::Op>, operands: &[_]| {
                let name = session.free_name(name);
                let made = session
                    .builder
                    .node_with(name, op, operands, None, Origin::default());
                made.map(|outputs| outputs[0])
                    .map_err(|error| OnnxError::new(error.to_string()))
            };
            let weighted = node("weighted", Arc::new(Mul), &[value, cotangent])?;
            let total = Arc::new(Reduce {
                kind: ReduceKind::Sum,
                axes: Vec::new(),
                keep_dims: false,
            });
            let total = node("total", total, &[weighted])?;
            sum = Some(match sum {
                None => total,
                Some(sum) => node("sum", Arc::new(Add), &[sum, total])?,
            });
        }
        let Some(sum) = sum else { return Ok(None) };
        let graph = session.builder.finish(sum, Objective::Loss(sum));
        Ok(Some(
            graph.map_err(|error| OnnxError::new(error.to_string()))?,
        ))
    })
}

/// Converts a model for given inputs, one of which may be free, and hands on its outputs.
fn converted<R>(
    path: &Path,
    inputs: &[Array],
    free: Option<&str>,
    mode: Mode,
    finish: impl FnOnce(Session<'_>, Vec<(String, Operand)>) -> Result<R, OnnxError>,
) -> Result<R, OnnxError> {
    let limit = default_limit();
    let run = || {
        let model = flatten(reader::read(path, limit)?)?;
        let outputs = model.graph.output.iter().map(|info| info.name.as_str());
        let outputs: Vec<&str> = outputs.collect();
        let folder = path.parent().unwrap_or(Path::new(""));
        let mut analysis = analyse(&model, &outputs, folder, Said::default())?;
        analysis.weights.clear();
        check_operators(&model, &analysis)?;
        let read = reads_of(&model, &analysis, &outputs);
        let mut session = Session::new(&model, &analysis, folder, limit, mode, true);
        for info in &model.graph.input {
            let Some(given) = inputs.iter().find(|array| array.name == info.name) else {
                continue;
            };
            let of_tensor = info
                .r#type
                .as_ref()
                .and_then(|known| known.tensor_type.as_ref());
            let kind = match of_tensor {
                Some(tensor) => kind(element_type(tensor.elem_type)?),
                None => Kind::Float,
            };
            let mut operand = Operand::known(kind, given.tensor.clone());
            if free == Some(info.name.as_str()) {
                session.reserve(&info.name);
                let shape = operand.shape.clone();
                let value = session.builder.input(info.name.clone(), shape);
                let value = value.map_err(|error| OnnxError::new(error.to_string()))?;
                session.layers.is_input(value);
                operand.source = Source::Value(value);
            }
            session.define(&info.name, operand);
        }
        session.read_initialisers(&read)?;
        session.convert_all()?;
        let mut made = Vec::with_capacity(outputs.len());
        for name in outputs {
            session.need(name)?;
            let operand = session.find(name);
            let operand = operand.ok_or_else(|| {
                OnnxError::new(format!("output {} is not computed", quoted(name)))
            })?;
            made.push((name.to_owned(), operand));
        }
        finish(session, made)
    };
    run().map_err(|error: OnnxError| error.in_file(path))
}

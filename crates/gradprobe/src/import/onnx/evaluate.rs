//! The outputs of a model for given inputs, without a graph: every node is computed at once.

use super::analysis::analyse;
use super::error::{OnnxError, quoted};
use super::model::flatten;
use super::network::{check_operators, reads_of};
use super::reader;
use super::session::Session;
use super::tensors::{Kind, element_type, kind};
use super::value::Operand;
use crate::data::Array;
use crate::import::spec::default_limit;
use crate::num::Tensor;
use crate::ops::Mode;
use std::path::Path;

/// Computes the outputs of a model in double precision, by name.
///
/// This is what the conformance tests run; a check runs a graph instead, see
/// [`OnnxNetwork`](super::OnnxNetwork).
///
/// # Errors
/// If the model cannot be read or converted, or an input is missing or does not fit.
pub fn evaluate(path: &Path, inputs: &[Array], mode: Mode) -> Result<Vec<Array>, OnnxError> {
    let limit = default_limit();
    let run = || {
        let model = flatten(reader::read(path, limit)?)?;
        let outputs: Vec<&str> = model
            .graph
            .output
            .iter()
            .map(|info| info.name.as_str())
            .collect();
        let mut analysis = analyse(&model, &outputs);
        analysis.trained.clear();
        check_operators(&model, &analysis)?;
        let read = reads_of(&model, &analysis, &outputs);
        let folder = path.parent().unwrap_or(Path::new(""));
        let mut session = Session::new(&model, &analysis, folder, limit, mode);
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
            session.define(&info.name, Operand::known(kind, given.tensor.clone()));
        }
        session.read_initialisers(&read)?;
        session.convert_all()?;
        let mut arrays = Vec::with_capacity(outputs.len());
        for name in outputs {
            session.need(name)?;
            let operand = session.find(name);
            let numbers = operand.and_then(|operand| session.numbers(&operand));
            let numbers = numbers.ok_or_else(|| {
                OnnxError::new(format!("output {} is not computed", quoted(name)))
            })?;
            arrays.push(Array {
                name: name.to_owned(),
                tensor: Tensor::clone(&numbers),
            });
        }
        Ok(arrays)
    };
    run().map_err(|error: OnnxError| error.in_file(path))
}

//! Tensors that an exporter computed from parameters get the parameters' names back, and a token
//! that it repeated for every sample becomes one again.

use super::names::is_made_up;
use crate::import::onnx::messages::{Node as Message, Tensor};
use crate::import::onnx::model::{Flat, Node};
use crate::import::onnx::tensors;
use std::collections::{HashMap, HashSet};
use std::path::Path;

/// The version of Expand that is put in; it is the same in all.
const OPSET: i64 = 13;
/// A parameter's name is made of so many others at most.
const MOST_NAMES: usize = 4;

/// What is to be said of tensors that were computed from parameters: their names.
#[derive(Debug, Default)]
pub(in crate::import::onnx) struct Folded {
    /// Those that are more than rearranged.
    pub computed: Vec<String>,
    /// Penalties, which have no gradient any more.
    pub penalties: Vec<String>,
}

/// Names the tensors that were computed from parameters after them.
pub(in crate::import::onnx) fn restore_folded(model: &mut Flat, folder: &Path) -> Folded {
    let mut taken: HashSet<String> = model
        .nodes
        .iter()
        .flat_map(|node| node.message.output.clone())
        .collect();
    taken.extend(
        model
            .graph
            .initializer
            .iter()
            .map(|tensor| tensor.name.clone()),
    );
    taken.extend(model.graph.input.iter().map(|input| input.name.clone()));
    let initialisers = model.graph.initializer.iter();
    let dims_of: HashMap<String, Vec<i64>> = initialisers
        .map(|tensor| (tensor.name.clone(), tensor.dims.clone()))
        .collect();
    let mut renamed: HashMap<String, String> = HashMap::new();
    let mut computed = Vec::new();
    let mut penalties = Vec::new();
    let mut repeated = Vec::new();
    for index in 0..model.graph.initializer.len() {
        let old = model.graph.initializer[index].name.clone();
        let sources = model.notes.folded_from(&old).unwrap_or_default();
        if sources.is_empty() || !tensors::is_float(&model.graph.initializer[index]) {
            continue;
        }
        if is_penalty(&model.graph.initializer[index].dims, &sources, |name| {
            dims_of.get(name)
        }) {
            penalties.push(old);
            continue;
        }
        let names = sources.iter().take(MOST_NAMES).copied();
        let mut joined = names.collect::<Vec<_>>().join("+");
        if sources.len() > MOST_NAMES {
            joined.push_str("+…");
        }
        let operation = operation_of(&old);
        let is_rearranged = sources.len() == 1 && is_rearrangement(operation);
        let new = match sources.len() == 1 && !is_rearranged && !is_repetition(operation) {
            true => format!("{operation}({joined})"),
            false => joined,
        };
        if taken.contains(&new) {
            continue;
        }
        if is_repetition(operation) {
            repeated.push((index, old.clone()));
        } else if sources.len() > 1 || !is_rearranged {
            computed.push(new.clone());
        }
        taken.insert(new.clone());
        renamed.insert(old, new);
    }
    rename(model, &renamed);
    for (index, operation) in repeated {
        repeat_in_graph(model, index, &operation, folder);
    }
    for index in joined(model) {
        let result = format!("{}/repeated", model.graph.initializer[index].name);
        repeat_in_graph(model, index, &result, folder);
    }
    Folded {
        computed,
        penalties,
    }
}

/// Is a tensor with these extents a penalty on the parameters that it was computed from: one number
/// of several, which are still in the file?
pub(super) fn is_penalty<D: AsRef<[i64]>>(
    dims: &[i64],
    sources: &[&str],
    dims_of: impl Fn(&str) -> Option<D>,
) -> bool {
    let is_one = |dims: &[i64]| dims.iter().all(|&extent| extent == 1);
    let sources: Option<Vec<D>> = sources.iter().map(|&name| dims_of(name)).collect();
    let of_several = |sources: Vec<D>| sources.iter().any(|dims| !is_one(dims.as_ref()));
    is_one(dims) && sources.is_some_and(of_several)
}

/// Tensors without a name of the framework's that are joined to the signal, along another axis than
/// that of the samples: they have as many samples as the signal, as no parameter has.
fn joined(model: &Flat) -> Vec<usize> {
    let is_noted = |name: &str| {
        let notes = &model.notes;
        notes.is_parameter(name).is_some() || notes.folded_from(name).is_some()
    };
    let concats = model.nodes.iter().filter(|node| {
        let axis = node.attribute("axis").map_or(0, |axis| axis.i);
        node.is_standard() && node.message.op_type == "Concat" && axis != 0
    });
    let names: HashSet<&str> = concats
        .flat_map(|node| node.message.input.iter().map(String::as_str))
        .filter(|name| is_made_up(name) && !is_noted(name))
        .collect();
    let tensors = model.graph.initializer.iter().enumerate();
    let tensors = tensors.filter(|(_, tensor)| {
        tensors::is_float(tensor) && tensor.dims.len() > 1 && names.contains(&tensor.name[..])
    });
    tensors.map(|(index, _)| index).collect()
}

/// The operation that made a tensor, by the name that PyTorch's exporter gives its result: `exp_1`;
/// what it breaks an operation down into is called `val_3`.
fn operation_of(name: &str) -> &str {
    let bare = name.trim_end_matches(|c: char| c.is_ascii_digit());
    bare.strip_suffix('_')
        .filter(|stem| !stem.is_empty())
        .unwrap_or(name)
}

fn is_rearrangement(operation: &str) -> bool {
    matches!(
        operation,
        "val"
            | "t"
            | "transpose"
            | "permute"
            | "view"
            | "reshape"
            | "unsqueeze"
            | "squeeze"
            | "clone"
            | "contiguous"
            | "to"
            | "_to_copy"
            | "alias"
            | "detach"
            | "flatten"
    )
}

/// Does it say the same several times?
fn is_repetition(operation: &str) -> bool {
    matches!(operation, "expand" | "expand_as" | "repeat")
}

fn rename(model: &mut Flat, names: &HashMap<String, String>) {
    for tensor in &mut model.graph.initializer {
        if let Some(new) = names.get(&tensor.name) {
            model.notes.rename(&tensor.name, new);
            tensor.name.clone_from(new);
        }
    }
    for node in &mut model.nodes {
        rename_reads(&mut node.message, names);
    }
    for output in &mut model.graph.output {
        if let Some(new) = names.get(&output.name) {
            output.name.clone_from(new);
        }
    }
    for tensor in &mut model.tensors {
        if let Some(new) = tensor.became.as_ref().and_then(|name| names.get(name)) {
            tensor.became = Some(new.clone());
        }
    }
}

fn rename_reads(message: &mut Message, names: &HashMap<String, String>) {
    for input in &mut message.input {
        if let Some(new) = names.get(input) {
            input.clone_from(new);
        }
    }
    for graph in message.attribute.iter_mut().filter_map(|it| it.g.as_mut()) {
        graph
            .node
            .iter_mut()
            .for_each(|node| rename_reads(node, names));
        for output in &mut graph.output {
            if let Some(new) = names.get(&output.name) {
                output.name.clone_from(new);
            }
        }
    }
}

/// Puts one sample of a tensor that says the same for each in its place, and an Expand after it:
/// so the parameter's gradient is the sum over the samples.
fn repeat_in_graph(model: &mut Flat, index: usize, result: &str, folder: &Path) {
    let tensor = &model.graph.initializer[index];
    let Some(one) = first_sample(tensor, folder) else {
        return;
    };
    let shape = Tensor {
        name: format!("{result}/shape"),
        dims: vec![tensor.dims.len() as i64],
        data_type: INT64,
        int64_data: tensor.dims.clone(),
        ..Tensor::default()
    };
    let name = one.name.clone();
    let names = HashMap::from([(name.clone(), result.to_owned())]);
    for node in &mut model.nodes {
        rename_reads(&mut node.message, &names);
    }
    let message = Message {
        op_type: "Expand".into(),
        input: vec![name, shape.name.clone()],
        output: vec![result.to_owned()],
        ..Message::default()
    };
    let node = Node {
        message,
        opset: OPSET,
        position: 0,
    };
    model.nodes.insert(0, node);
    model.graph.initializer[index] = one;
    model.graph.initializer.push(shape);
}

/// The element type of whole numbers, by ONNX's number.
const INT64: i32 = 7;

/// The first sample, where all samples are the same.
fn first_sample(tensor: &Tensor, folder: &Path) -> Option<Tensor> {
    let samples = usize::try_from(*tensor.dims.first()?).ok()?;
    let bytes = tensors::bytes(tensor, folder).ok()?;
    if samples < 2 || bytes.is_empty() || !bytes.len().is_multiple_of(samples) {
        return None;
    }
    let each = bytes.len() / samples;
    let first = bytes.slice(..each);
    if !bytes.chunks_exact(each).all(|sample| sample == first) {
        return None;
    }
    let mut dims = tensor.dims.clone();
    dims[0] = 1;
    Some(Tensor {
        name: tensor.name.clone(),
        dims,
        data_type: tensor.data_type,
        raw_data: first,
        ..Tensor::default()
    })
}

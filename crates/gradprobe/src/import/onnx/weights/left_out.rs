//! Biases that an exporter left out because they are zeros: the parameter is there in training, and
//! has a gradient. PyTorch notes at the node that its operation reads one; where that note is lost,
//! its optimiser still notes at the node that it removed a bias of zeros.

use super::merged::last_part;
use super::names::is_made_up;
use crate::import::onnx::messages::{Node as Message, Tensor};
use crate::import::onnx::model::{Flat, Node};
use crate::import::onnx::tensors;
use bytes::Bytes;
use std::collections::HashSet;

/// The version of Add that is put in; it is the same in all.
const OPSET: i64 = 13;
/// The most elements of a bias: what a file says of its extents need not be true.
const LONGEST: i64 = 1 << 24;

/// A bias to put back.
struct Missing {
    node: usize,
    name: String,
    zeros: Tensor,
}

/// Puts the biases back. Returns their names.
pub(in crate::import::onnx) fn restore_left_out(model: &mut Flat) -> Vec<String> {
    let missing = find(model);
    let names = missing.iter().map(|bias| bias.name.clone()).collect();
    // From behind, for nodes are put in.
    for bias in missing.into_iter().rev() {
        let message = &mut model.nodes[bias.node].message;
        if message.op_type == "MatMul" {
            let product = format!("{} (without bias)", message.output[0]);
            let sum = std::mem::replace(&mut message.output[0], product.clone());
            let add = Message {
                op_type: "Add".into(),
                input: vec![product, bias.name.clone()],
                output: vec![sum],
                name: message.name.clone(),
                metadata_props: message.metadata_props.clone(),
                ..Message::default()
            };
            let position = model.nodes[bias.node].position;
            let node = Node {
                message: add,
                opset: OPSET,
                position,
            };
            model.nodes.insert(bias.node + 1, node);
        } else {
            message.input.truncate(2);
            message.input.push(bias.name.clone());
        }
        model.notes.add(&bias.name, Some(true));
        model.graph.initializer.push(bias.zeros);
    }
    names
}

fn find(model: &Flat) -> Vec<Missing> {
    let notes = &model.notes;
    let mut present: HashSet<&str> = HashSet::new();
    for tensor in &model.graph.initializer {
        present.insert(&tensor.name);
        present.extend(notes.folded_from(&tensor.name).unwrap_or_default());
    }
    let mut found: Vec<Missing> = Vec::new();
    for (node, entry) in model.nodes.iter().enumerate() {
        let message = &entry.message;
        let has_bias = message.input.get(2).is_some_and(|name| !name.is_empty());
        let takes_bias = matches!(&message.op_type[..], "Gemm" | "Conv" | "MatMul");
        if !takes_bias || has_bias {
            continue;
        }
        let Some((_, reads)) = notes.operation(message) else {
            let name = of_removed(message).filter(|name| {
                !present.contains(&name[..]) && found.iter().all(|other| other.name != *name)
            });
            if let Some(name) = name
                && let Some(zeros) = zeros(model, entry, &name)
            {
                found.push(Missing { node, name, zeros });
            }
            continue;
        };
        let is_missing = |target: &&&str| {
            notes.is_parameter(target) == Some(true)
                && last_part(target).ends_with("bias")
                && !present.contains(**target)
                && found.iter().all(|other| other.name != **target)
        };
        let missing: Vec<&str> = reads.iter().filter(is_missing).copied().collect();
        if let [name] = missing[..]
            && let Some(zeros) = zeros(model, entry, name)
        {
            found.push(Missing {
                node,
                name: name.to_owned(),
                zeros,
            });
        }
    }
    found
}

/// What the bias is called that PyTorch's optimiser notes to have removed: it stands beside the
/// weight.
fn of_removed(message: &Message) -> Option<String> {
    const RULE: &str = "pkg.onnxscript.rewriter.rule_name";
    let mut notes = message.metadata_props.iter();
    let rule = &notes.find(|entry| entry.key == RULE)?.value;
    let weight = message.input.get(1)?;
    let (module, _) = weight.rsplit_once('.').filter(|_| !is_made_up(weight))?;
    rule.starts_with("RemoveOptionalBias")
        .then(|| format!("{module}.bias"))
}

/// Zeros for the units of the weight that a node reads.
fn zeros(model: &Flat, node: &Node, name: &str) -> Option<Tensor> {
    let weight = node.message.input.get(1)?;
    let weight = model
        .graph
        .initializer
        .iter()
        .find(|it| it.name == *weight)?;
    let is_transposed = node.attribute("transB").is_some_and(|it| it.i != 0);
    let units = match &node.message.op_type[..] {
        "Conv" => weight.dims.first(),
        "Gemm" if is_transposed => weight.dims.first(),
        _ => weight.dims.last(),
    };
    let units = units
        .copied()
        .filter(|&units| (1..=LONGEST).contains(&units))?;
    let size = tensors::element_type(weight.data_type).ok()?.size();
    Some(Tensor {
        name: name.to_owned(),
        dims: vec![units],
        data_type: weight.data_type,
        raw_data: Bytes::from(vec![0; units as usize * size]),
        ..Tensor::default()
    })
}

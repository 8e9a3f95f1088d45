//! Weights that an exporter wrote twice: the table of an embedding that is tied to the last layer
//! stands a second time, transposed, where that layer multiplies.

use super::messages::{Attribute, Node as Message, Tensor};
use super::model::{Flat, Node};
use std::collections::{HashMap, HashSet};

/// The version of Transpose that is put in; it is the same in all.
const OPSET: i64 = 13;
/// An attribute that is a list of whole numbers, by ONNX's number.
const INTS: i32 = 7;
/// The most tables of one shape that a copy is compared with.
const MOST_TABLES: usize = 16;

/// Puts in place of each second copy the transpose of the table, so that both uses add to one
/// gradient.
pub(super) fn tie(model: &mut Flat) {
    let looked_up = inputs_of(model, "Gather", 0);
    let multiplied = inputs_of(model, "MatMul", 1);
    let named = |names: &HashSet<&str>| -> Vec<usize> {
        let tensors = model.graph.initializer.iter().enumerate();
        let matrices = tensors.filter(|(_, tensor)| is_matrix(tensor));
        let found = matrices.filter(|(_, tensor)| names.contains(tensor.name.as_str()));
        found.map(|(index, _)| index).collect()
    };
    let mut by_shape: HashMap<(i64, i64), Vec<usize>> = HashMap::new();
    for table in named(&looked_up) {
        let tensor = &model.graph.initializer[table];
        let of_shape = by_shape.entry((tensor.dims[0], tensor.dims[1]));
        let of_shape = of_shape.or_default();
        if of_shape.len() < MOST_TABLES {
            of_shape.push(table);
        }
    }
    let mut copies = Vec::new();
    for copy in named(&multiplied) {
        let tensor = &model.graph.initializer[copy];
        let shape = (tensor.dims[1], tensor.dims[0]);
        let tables = by_shape.get(&shape).map_or(&[][..], Vec::as_slice);
        let same = |&&table: &&usize| is_transpose(tensor, &model.graph.initializer[table]);
        if let Some(&table) = tables.iter().find(same)
            && table != copy
        {
            copies.push((copy, table));
        }
    }
    for &(copy, table) in &copies {
        let message = Message {
            input: vec![model.graph.initializer[table].name.clone()],
            output: vec![model.graph.initializer[copy].name.clone()],
            op_type: "Transpose".into(),
            attribute: vec![Attribute {
                name: "perm".into(),
                ints: vec![1, 0],
                kind: INTS,
                ..Attribute::default()
            }],
            ..Message::default()
        };
        let node = Node {
            message,
            opset: OPSET,
            position: 0,
        };
        model.nodes.insert(0, node);
    }
    let mut index = 0;
    model.graph.initializer.retain(|_| {
        index += 1;
        !copies.iter().any(|&(copy, _)| copy == index - 1)
    });
}

/// What the nodes of an operator read at a place.
fn inputs_of<'m>(model: &'m Flat, op: &str, place: usize) -> HashSet<&'m str> {
    let nodes = model.nodes.iter().map(|node| &node.message);
    let of_op = nodes.filter(|message| message.op_type == op);
    of_op
        .filter_map(|message| message.input.get(place).map(String::as_str))
        .collect()
}

/// Two axes of more than one row, kept as bytes: exporters keep no others where this happens.
fn is_matrix(tensor: &Tensor) -> bool {
    matches!(tensor.dims[..], [rows, columns] if rows > 1 && columns > 1)
        && element_size(tensor).is_some()
}

/// The bytes of an element, where they are in the file and there are as many as the shape says.
fn element_size(tensor: &Tensor) -> Option<usize> {
    let mut extents = tensor
        .dims
        .iter()
        .map(|&extent| usize::try_from(extent).ok());
    let count = extents.try_fold(1usize, |count, extent| count.checked_mul(extent?))?;
    let len = tensor.raw_data.len();
    (count > 0 && len > 0 && len.is_multiple_of(count)).then(|| len / count)
}

fn is_transpose(copy: &Tensor, table: &Tensor) -> bool {
    let (Some(size), Some(&rows)) = (element_size(copy), table.dims.first()) else {
        return false;
    };
    if copy.data_type != table.data_type || copy.raw_data.len() != table.raw_data.len() {
        return false;
    }
    let Ok(rows) = usize::try_from(rows) else {
        return false;
    };
    let elements = table.raw_data.chunks_exact(size);
    let columns = elements.len() / rows;
    let first = &table.raw_data[..size];
    if elements.clone().all(|element| element == first) {
        return false;
    }
    let transposed = |(at, element): (usize, &[u8])| {
        let (row, column) = (at / columns, at % columns);
        let start = (column * rows + row) * size;
        copy.raw_data[start..].starts_with(element)
    };
    elements.enumerate().all(transposed)
}

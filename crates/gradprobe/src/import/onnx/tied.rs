//! Weights that an exporter wrote twice: the table of an embedding that is tied to the last layer
//! stands a second time, transposed, where that layer multiplies.

use super::messages::{Attribute, Node as Message, Tensor};
use super::model::{Flat, Node};
use super::tensors;
use bytes::Bytes;
use std::collections::{HashMap, HashSet};
use std::path::Path;

/// The version of Transpose that is put in; it is the same in all.
const OPSET: i64 = 13;
/// An attribute that is a list of whole numbers, by ONNX's number.
const INTS: i32 = 7;
/// The most tables of one shape that a copy is compared with.
const MOST_TABLES: usize = 16;

/// Puts in place of each second copy the transpose of the table, so that both uses add to one
/// gradient. `folder` is where files of external data are.
pub(super) fn tie(model: &mut Flat, folder: &Path) {
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
        if tables.is_empty() {
            continue;
        }
        let Some(copied) = elements(tensor, folder) else {
            continue;
        };
        let same = |&&table: &&usize| {
            let table = &model.graph.initializer[table];
            tensor.data_type == table.data_type
                && elements(table, folder).is_some_and(|table| is_transpose(&copied, &table))
        };
        if let Some(&table) = tables.iter().find(same)
            && table != copy
        {
            copies.push((copy, table));
        }
    }
    copies.extend(noted_copies(model, folder, &copies));
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
    for &(copy, table) in &copies {
        let copy = Some(&model.graph.initializer[copy].name);
        let table = &model.graph.initializer[table].name;
        for tensor in model
            .tensors
            .iter_mut()
            .filter(|it| it.became.as_ref() == copy)
        {
            tensor.became = Some(table.clone());
        }
    }
    let mut index = 0;
    model.graph.initializer.retain(|_| {
        index += 1;
        !copies.iter().any(|&(copy, _)| copy == index - 1)
    });
}

/// Matrices that the exporter says it transposed from others that stand in the file as well.
fn noted_copies(model: &Flat, folder: &Path, known: &[(usize, usize)]) -> Vec<(usize, usize)> {
    let tensors = &model.graph.initializer;
    let places = tensors.iter().enumerate();
    let places: HashMap<&str, usize> = places.map(|(at, it)| (it.name.as_str(), at)).collect();
    let is_known = |copy: usize| known.iter().any(|&(at, _)| at == copy);
    let mut copies = Vec::new();
    for (copy, tensor) in tensors.iter().enumerate() {
        let sources = model.notes.folded_from(&tensor.name).unwrap_or_default();
        let [source] = sources[..] else { continue };
        let Some(&table) = places.get(source).filter(|&&table| table != copy) else {
            continue;
        };
        let both_are_matrices = is_matrix(tensor) && is_matrix(&tensors[table]);
        if is_known(copy) || !both_are_matrices {
            continue;
        }
        let of = |at: usize| elements(&tensors[at], folder);
        if let (Some(copied), Some(original)) = (of(copy), of(table))
            && is_transpose(&copied, &original)
        {
            copies.push((copy, table));
        }
    }
    copies
}

/// What the nodes of an operator read at a place.
fn inputs_of<'m>(model: &'m Flat, op: &str, place: usize) -> HashSet<&'m str> {
    let nodes = model.nodes.iter().map(|node| &node.message);
    let of_op = nodes.filter(|message| message.op_type == op);
    of_op
        .filter_map(|message| message.input.get(place).map(String::as_str))
        .collect()
}

/// Two axes of more than one row.
fn is_matrix(tensor: &Tensor) -> bool {
    matches!(tensor.dims[..], [rows, columns] if rows > 1 && columns > 1)
        && tensors::is_float(tensor)
}

/// A matrix as bytes.
struct Elements {
    bytes: Bytes,
    /// Of one element.
    size: usize,
    rows: usize,
}

/// The elements of a matrix, where they are kept as bytes: exporters keep no others where weights
/// are tied.
fn elements(tensor: &Tensor, folder: &Path) -> Option<Elements> {
    let bytes = tensors::bytes(tensor, folder).ok()?;
    let rows = usize::try_from(*tensor.dims.first()?).ok()?;
    let columns = usize::try_from(*tensor.dims.get(1)?).ok()?;
    let count = rows.checked_mul(columns)?;
    let is_whole = count > 0 && !bytes.is_empty() && bytes.len().is_multiple_of(count);
    is_whole.then(|| Elements {
        size: bytes.len() / count,
        bytes,
        rows,
    })
}

fn is_transpose(copy: &Elements, table: &Elements) -> bool {
    let size = table.size;
    if copy.bytes.len() != table.bytes.len() || copy.size != size {
        return false;
    }
    let elements = table.bytes.chunks_exact(size);
    let columns = elements.len() / table.rows;
    let first = &table.bytes[..size];
    if elements.clone().all(|element| element == first) {
        return false;
    }
    let transposed = |(at, element): (usize, &[u8])| {
        let (row, column) = (at / columns, at % columns);
        let start = (column * table.rows + row) * size;
        copy.bytes[start..].starts_with(element)
    };
    elements.enumerate().all(transposed)
}

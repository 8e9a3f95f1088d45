//! A node that stands for others, and these as they are added.

use crate::import::onnx::error::{OnnxError, quoted};
use crate::import::onnx::messages::{Attribute, Entry, Node as Message};
use std::cell::RefCell;
use std::collections::HashMap;

/// Under which a node notes the operator that the file has in its place.
const WRITTEN_AS: &str = "gradprobe.written_as";

/// The operator that the file has in place of a node, where it is another one.
pub(in crate::import::onnx) fn written_as(node: &Message) -> Option<&str> {
    let mut notes = node.metadata_props.iter();
    let note = notes.find(|entry| entry.key == WRITTEN_AS);
    note.map(|entry| entry.value.as_str())
}

/// The kinds of an attribute, by ONNX's number.
mod kind {
    pub const FLOAT: i32 = 1;
    pub const INT: i32 = 2;
    pub const STRING: i32 = 3;
    pub const FLOATS: i32 = 6;
    pub const INTS: i32 = 7;
}

pub(super) fn float(name: &str, value: f32) -> Attribute {
    Attribute {
        name: name.into(),
        f: value,
        kind: kind::FLOAT,
        ..Attribute::default()
    }
}

pub(super) fn int(name: &str, value: i64) -> Attribute {
    Attribute {
        name: name.into(),
        i: value,
        kind: kind::INT,
        ..Attribute::default()
    }
}

pub(super) fn ints(name: &str, values: &[i64]) -> Attribute {
    Attribute {
        name: name.into(),
        ints: values.to_vec(),
        kind: kind::INTS,
        ..Attribute::default()
    }
}

pub(super) fn text(name: &str, value: &str) -> Attribute {
    Attribute {
        name: name.into(),
        s: value.as_bytes().to_vec().into(),
        kind: kind::STRING,
        ..Attribute::default()
    }
}

/// Which operator makes each value of a graph.
#[derive(Debug, Default)]
pub(in crate::import::onnx) struct Makers(HashMap<String, String>);

impl Makers {
    pub fn of(nodes: &[Message]) -> Self {
        let each = |node: &Message| {
            let op = node.op_type.clone();
            let outputs = node.output.clone().into_iter();
            outputs.map(move |output| (output, op.clone()))
        };
        Self(nodes.iter().flat_map(each).collect())
    }

    /// Is the value a product with a weight matrix, to which a layer's bias is added?
    pub fn is_product(&self, value: &str) -> bool {
        let products = ["MatMul", "Gemm", "FusedMatMul", "TransposeMatMul", "Conv"];
        let maker = self.0.get(value);
        maker.is_some_and(|op| products.contains(&op.as_str()))
    }
}

/// A node on its way to the ones that it stands for.
pub(super) struct Expansion<'a> {
    node: &'a Message,
    pub makers: &'a Makers,
    pub nodes: Vec<Message>,
    /// The attributes that were asked for.
    asked: RefCell<Vec<&'static str>>,
}

impl<'a> Expansion<'a> {
    pub fn new(node: &'a Message, makers: &'a Makers) -> Self {
        Self {
            node,
            makers,
            nodes: Vec::new(),
            asked: RefCell::default(),
        }
    }

    /// Refuses an attribute that was not asked for: it would change the result.
    pub fn finish(&self) -> Result<(), OnnxError> {
        let asked = self.asked.borrow();
        let mut names = self.node.attribute.iter().map(|found| &found.name[..]);
        match names.find(|name| !asked.contains(name)) {
            Some(name) => Err(OnnxError::new(format!(
                "attribute {} is not supported",
                quoted(name)
            ))),
            None => Ok(()),
        }
    }

    /// An input that has to be there.
    pub fn input(&self, index: usize) -> Result<String, OnnxError> {
        let lacks = || OnnxError::new(format!("lacks its input {index}"));
        self.optional(index).ok_or_else(lacks)
    }

    /// An input that may be left out.
    pub fn optional(&self, index: usize) -> Option<String> {
        let name = self.node.input.get(index)?;
        (!name.is_empty()).then(|| name.clone())
    }

    /// Refuses an input that changes the result in a way that is not supported.
    pub fn refuse_input(&self, index: usize, what: &str) -> Result<(), OnnxError> {
        match self.optional(index) {
            Some(name) => Err(OnnxError::new(format!(
                "{what} ({}) is not supported",
                quoted(&name)
            ))),
            None => Ok(()),
        }
    }

    /// The name of an output, where anything may read it.
    pub fn output(&self, index: usize) -> Option<String> {
        let name = self.node.output.get(index)?;
        (!name.is_empty()).then(|| name.clone())
    }

    fn attribute(&self, name: &'static str) -> Option<&Attribute> {
        self.asked.borrow_mut().push(name);
        let mut attributes = self.node.attribute.iter();
        attributes.find(|attribute| attribute.name == name)
    }

    /// Takes note of attributes that change nothing here.
    pub fn ignore(&self, names: &[&'static str]) {
        self.asked.borrow_mut().extend(names);
    }

    /// An attribute as it is.
    pub fn same(&self, name: &'static str) -> Option<Attribute> {
        self.attribute(name).cloned()
    }

    /// These attributes as they are, those that there are.
    pub fn same_of(&self, names: &[&'static str]) -> Vec<Attribute> {
        names.iter().filter_map(|&name| self.same(name)).collect()
    }

    pub fn int(&self, name: &'static str, default: i64) -> Result<i64, OnnxError> {
        match self.attribute(name) {
            None => Ok(default),
            Some(found) if matches!(found.kind, 0 | kind::INT) => Ok(found.i),
            Some(_) => Err(wrong(name, "a whole number")),
        }
    }

    pub fn float(&self, name: &'static str, default: f32) -> Result<f32, OnnxError> {
        match self.attribute(name) {
            None => Ok(default),
            Some(found) if matches!(found.kind, 0 | kind::FLOAT) => Ok(found.f),
            Some(_) => Err(wrong(name, "a number")),
        }
    }

    pub fn text(&self, name: &'static str) -> Result<Option<String>, OnnxError> {
        match self.attribute(name) {
            None => Ok(None),
            Some(found) if matches!(found.kind, 0 | kind::STRING) => {
                Ok(Some(String::from_utf8_lossy(&found.s).into_owned()))
            }
            Some(_) => Err(wrong(name, "a text")),
        }
    }

    pub fn floats(&self, name: &'static str) -> Result<Vec<f32>, OnnxError> {
        match self.attribute(name) {
            None => Ok(Vec::new()),
            Some(found) if matches!(found.kind, 0 | kind::FLOATS) => Ok(found.floats.clone()),
            Some(_) => Err(wrong(name, "a list of numbers")),
        }
    }

    pub fn ints(&self, name: &'static str) -> Result<Option<Vec<i64>>, OnnxError> {
        match self.attribute(name) {
            None => Ok(None),
            Some(found) if matches!(found.kind, 0 | kind::INTS) => Ok(Some(found.ints.clone())),
            Some(_) => Err(wrong(name, "a list of whole numbers")),
        }
    }

    /// Adds a node of ONNX's own whose outputs are called so.
    pub fn node(
        &mut self,
        op: &str,
        inputs: Vec<String>,
        outputs: Vec<String>,
        attribute: Vec<Attribute>,
    ) {
        self.node_of("", op, inputs, outputs, attribute);
    }

    /// Adds a node of a domain.
    pub fn node_of(
        &mut self,
        domain: &str,
        op: &str,
        inputs: Vec<String>,
        outputs: Vec<String>,
        attribute: Vec<Attribute>,
    ) {
        let mut notes = self.node.metadata_props.clone();
        notes.push(Entry {
            key: WRITTEN_AS.into(),
            value: self.node.op_type.clone(),
        });
        self.nodes.push(Message {
            input: inputs,
            output: outputs,
            name: self.node.name.clone(),
            op_type: op.into(),
            attribute,
            domain: domain.into(),
            metadata_props: notes,
        });
    }

    /// Adds a node of ONNX's own with one output, and returns what that is called.
    pub fn value(&mut self, op: &str, inputs: &[&str], attributes: Vec<Attribute>) -> String {
        let name = self.free_name(op);
        let inputs = inputs.iter().map(|&input| input.to_owned()).collect();
        self.node(op, inputs, vec![name.clone()], attributes);
        name
    }

    /// Adds the node that makes the first output.
    pub fn result(&mut self, op: &str, inputs: &[&str], attributes: Vec<Attribute>) {
        let name = self.output(0).unwrap_or_else(|| self.free_name(op));
        let inputs = inputs.iter().map(|&input| input.to_owned()).collect();
        self.node(op, inputs, vec![name], attributes);
    }

    /// A known whole number without axes.
    pub fn scalar(&mut self, value: i64) -> String {
        self.value("Constant", &[], vec![int("value_int", value)])
    }

    /// A known real number without axes.
    pub fn number(&mut self, value: f32) -> String {
        self.value("Constant", &[], vec![float("value_float", value)])
    }

    /// A name that nothing in the file has: the first output is made once, by this node.
    pub fn free_name(&self, what: &str) -> String {
        let mut outputs = self.node.output.iter().filter(|name| !name.is_empty());
        let first = outputs.next().map_or("", String::as_str);
        format!("{first}/{what}#{}", self.nodes.len())
    }
}

fn wrong(name: &str, expected: &str) -> OnnxError {
    OnnxError::new(format!("attribute {name}: expected {expected}"))
}

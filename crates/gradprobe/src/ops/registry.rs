//! The flat table of ops: one row an op.

use super::Op;
use std::collections::BTreeMap;

/// An attribute of an op, as a file gives it.
#[derive(Clone, Debug, PartialEq)]
pub enum Attribute {
    /// A whole number.
    Int(i64),
    /// A real number.
    Float(f64),
    /// A word.
    Text(String),
    /// Whole numbers.
    Ints(Vec<i64>),
}

/// The attributes of a node by name.
pub type Attributes = BTreeMap<String, Attribute>;

/// A row of the registry.
pub struct OpEntry {
    /// The op's name, as in ONNX where ONNX has it.
    pub name: &'static str,
    /// What it computes, in one line.
    pub about: &'static str,
    /// Makes the op from a node's attributes.
    pub from_attributes: fn(&Attributes) -> Result<Box<dyn Op>, super::OpError>,
}

/// Every op the engine knows, sorted by name.
pub fn registry() -> &'static [OpEntry] {
    &[]
}

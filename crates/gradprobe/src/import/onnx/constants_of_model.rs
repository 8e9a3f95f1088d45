//! Numbers a channel that a model has in its file, also where they are computed from others.

use super::messages::Node as Message;
use super::model::Flat;
use super::tensors::{Kind, read};
use std::collections::HashMap;
use std::path::Path;

/// Nodes that are looked through, one behind the other.
const DEEPEST: usize = 16;

/// Numbers along one axis; the others have one element.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Vector {
    pub numbers: Vec<f64>,
    /// How many axes come after theirs.
    pub axes_after: usize,
    /// The variance that is in them, where it is known.
    pub root: Option<Root>,
    /// The tensors of the file that they are from.
    pub names: Vec<String>,
}

/// √(variance + ε), by which something is divided.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Root {
    pub variance: Vec<f64>,
    pub epsilon: f64,
}

impl Vector {
    /// The products of the elements; widths must be the same.
    pub fn times(&self, other: &Self) -> Self {
        let numbers = self.numbers.iter().zip(&other.numbers);
        Self {
            numbers: numbers.map(|(a, b)| a * b).collect(),
            axes_after: self.axes_after,
            root: self.root.clone().or_else(|| other.root.clone()),
            names: [&self.names[..], &other.names[..]].concat(),
        }
    }

    /// The reciprocals of the elements.
    pub fn inverse(&self) -> Self {
        Self {
            numbers: self.numbers.iter().map(|x| 1.0 / x).collect(),
            ..self.clone()
        }
    }
}

/// A number or numbers a channel.
#[derive(Clone, Debug)]
struct Known {
    numbers: Vec<f64>,
    axes_after: usize,
    /// Under a square root or not: the variance and ε that were added.
    root: Option<Root>,
    names: Vec<String>,
}

/// The constants of a model.
pub(super) struct Constants<'m> {
    model: &'m Flat,
    folder: &'m Path,
    initialisers: HashMap<&'m str, usize>,
    made_by: HashMap<&'m str, usize>,
    known: HashMap<String, Option<Known>>,
}

impl<'m> Constants<'m> {
    /// Those of the file, and what nodes make of them.
    pub fn new(model: &'m Flat, folder: &'m Path) -> Self {
        let tensors = model.graph.initializer.iter().enumerate();
        let initialisers = tensors.map(|(index, tensor)| (tensor.name.as_str(), index));
        let nodes = model.nodes.iter().enumerate();
        let made_by = nodes.filter_map(|(index, node)| match &node.message.output[..] {
            [output] => Some((output.as_str(), index)),
            _ => None,
        });
        Self {
            model,
            folder,
            initialisers: initialisers.collect(),
            made_by: made_by.collect(),
            known: HashMap::new(),
        }
    }

    /// Is it in the file, or made of what is?
    pub fn is_constant(&self, name: &str) -> bool {
        self.is_constant_within(name, DEEPEST)
    }

    fn is_constant_within(&self, name: &str, depth: usize) -> bool {
        if self.initialisers.contains_key(name) {
            return true;
        }
        let Some(&node) = self.made_by.get(name).filter(|_| depth > 0) else {
            return false;
        };
        let message = &self.model.nodes[node].message;
        let mut inputs = message.input.iter().filter(|input| !input.is_empty());
        message.op_type == "Constant"
            || (message.input.len() <= 4
                && !message.input.is_empty()
                && inputs.all(|input| self.is_constant_within(input, depth - 1)))
    }

    /// Real numbers along one axis, more than one of them.
    pub fn vector(&mut self, name: &str) -> Option<Vector> {
        let known = self.known(name, DEEPEST)?;
        (known.numbers.len() > 1).then_some(Vector {
            numbers: known.numbers,
            axes_after: known.axes_after,
            root: known.root,
            names: known.names,
        })
    }

    fn known(&mut self, name: &str, depth: usize) -> Option<Known> {
        if let Some(known) = self.known.get(name) {
            return known.clone();
        }
        let known = match self.initialisers.get(name) {
            Some(&index) => self.of_tensor(&self.model.graph.initializer[index], name),
            None => self.of_node(name, depth),
        };
        self.known.insert(name.to_owned(), known.clone());
        known
    }

    fn of_tensor(&self, tensor: &super::messages::Tensor, name: &str) -> Option<Known> {
        let mut wide = tensor.dims.iter().filter(|&&extent| extent != 1);
        if let (Some(_), Some(_)) = (wide.next(), wide.next()) {
            return None;
        }
        let stored = read(tensor, self.folder).ok()?;
        let numbers = stored.wide();
        let mut from_last = tensor.dims.iter().rev();
        let axes_after = from_last.position(|&extent| extent != 1).unwrap_or(0);
        (stored.kind == Kind::Float).then(|| Known {
            numbers: numbers.data().to_vec(),
            axes_after,
            root: None,
            names: vec![name.to_owned()],
        })
    }

    fn of_node(&mut self, name: &str, depth: usize) -> Option<Known> {
        let index = *self.made_by.get(name).filter(|_| depth > 0)?;
        let message: &'m Message = &self.model.nodes[index].message;
        let op = &message.op_type[..];
        if op == "Constant" {
            let mut values = message.attribute.iter();
            let value = values.find(|attribute| attribute.name == "value")?;
            return self.of_tensor(value.t.as_ref()?, name);
        }
        let first = self.known(message.input.first()?, depth - 1)?;
        match op {
            "Identity" | "Cast" => Some(first),
            "Sqrt" => Some(first.map(f64::sqrt)),
            "Reciprocal" => Some(first.map(|x| 1.0 / x)),
            "Neg" => Some(Known {
                root: None,
                ..first.map(|x| -x)
            }),
            "Add" | "Sub" | "Mul" | "Div" | "Pow" => {
                let second = self.known(message.input.get(1)?, depth - 1)?;
                first.with(op, &second)
            }
            "Reshape" | "Unsqueeze" => self.reshaped(first, message),
            _ => None,
        }
    }

    /// A vector under a shape that still has one axis.
    fn reshaped(&self, known: Known, message: &Message) -> Option<Known> {
        let index = *self.initialisers.get(message.input.get(1)?.as_str())?;
        let numbers = read(&self.model.graph.initializer[index], self.folder).ok()?;
        let numbers = numbers.wide();
        if message.op_type == "Unsqueeze" {
            // Axes at the end are those that come after.
            let after = numbers.data().iter().filter(|&&axis| axis != 0.0).count();
            return Some(Known {
                axes_after: known.axes_after + after,
                ..known
            });
        }
        let mut from_last = numbers.data().iter().rev();
        let axes_after = from_last.position(|&extent| extent != 1.0)?;
        let others = numbers.data().iter().filter(|&&extent| extent != 1.0);
        (others.count() == 1).then_some(Known {
            axes_after,
            ..known
        })
    }
}

impl Known {
    fn map(&self, of: impl Fn(f64) -> f64) -> Self {
        Self {
            numbers: self.numbers.iter().map(|&x| of(x)).collect(),
            ..self.clone()
        }
    }

    /// An operation of two, one of which may be a single number.
    fn with(&self, op: &str, other: &Self) -> Option<Self> {
        let (mine, theirs) = (self.numbers.len(), other.numbers.len());
        let same = mine == theirs && self.axes_after == other.axes_after;
        if !(same || mine == 1 || theirs == 1) {
            return None;
        }
        let of = |a: f64, b: f64| match op {
            "Add" => a + b,
            "Sub" => a - b,
            "Mul" => a * b,
            "Div" => a / b,
            _ => a.powf(b),
        };
        let at = |known: &Self, index: usize| known.numbers[index % known.numbers.len()];
        let numbers: Vec<f64> = (0..mine.max(theirs))
            .map(|index| of(at(self, index), at(other, index)))
            .collect();
        let wide = if mine >= theirs { self } else { other };
        // A variance with ε added may come under a root; products keep the root that they have.
        let root = match (op, mine > 1, theirs == 1) {
            ("Add", true, true) => Some(Root {
                variance: self.numbers.clone(),
                epsilon: other.numbers[0],
            }),
            ("Mul" | "Div", ..) => self.root.clone().or_else(|| other.root.clone()),
            ("Pow", true, true) => self.root.clone(),
            _ => None,
        };
        Some(Self {
            numbers,
            axes_after: wide.axes_after,
            root,
            names: [&self.names[..], &other.names[..]].concat(),
        })
    }
}

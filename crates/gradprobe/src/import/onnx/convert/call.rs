//! A node as its converter sees it: inputs, attributes, and ways to add ops of the engine.

use crate::import::onnx::error::quoted;
use crate::import::onnx::fault::Fault;
use crate::import::onnx::messages::Attribute as Message;
use crate::import::onnx::model::Node;
use crate::import::onnx::session::{Session, Use};
use crate::import::onnx::tensors::{Kind, Stored, read};
use crate::import::onnx::value::Operand;
use crate::import::onnx::walk::Body;
use crate::num::Tensor;
use crate::ops::activation::{self, ActivationOp};
use crate::ops::{Attribute, Attributes, Role, find_op};
use std::cell::RefCell;
use std::sync::Arc;

/// What a converter returns: the outputs, `None` for one that is not supported.
pub(super) type Outcome = Result<Vec<Option<Operand>>, Fault>;

/// One output.
pub(super) fn one(operand: Operand) -> Outcome {
    Ok(vec![Some(operand)])
}

/// A node to be converted.
pub(super) struct Call<'s, 'm> {
    pub session: &'s mut Session<'m>,
    pub node: &'s Node,
    pub inputs: Vec<Option<Operand>>,
    /// The attributes that the converter asked for.
    pub asked: RefCell<Vec<&'static str>>,
}

/// Attributes that change nothing here: what only matters to running statistics, random masks,
/// number formats, or versions long past.
const WITHOUT_EFFECT: [&str; 12] = [
    "momentum",
    "spatial",
    "consumed_inputs",
    "is_test",
    "seed",
    "saturate",
    "stash_type",
    "round_mode",
    "softmax_precision",
    "qk_matmul_output_mode",
    "output_sequence",
    "broadcast",
];

/// The kinds of an attribute, by ONNX's number.
mod kind {
    pub const FLOAT: i32 = 1;
    pub const INT: i32 = 2;
    pub const STRING: i32 = 3;
    pub const FLOATS: i32 = 6;
    pub const INTS: i32 = 7;
}

impl Call<'_, '_> {
    fn attribute(&self, name: &'static str) -> Option<&Message> {
        self.asked.borrow_mut().push(name);
        self.node.attribute(name)
    }

    /// Refuses an attribute that the converter did not ask for: it would change the result.
    pub fn finish(&self) -> Result<(), Fault> {
        let asked = self.asked.borrow();
        let known = |name: &str| asked.contains(&name) || WITHOUT_EFFECT.contains(&name);
        let mut names = self
            .node
            .message
            .attribute
            .iter()
            .map(|found| &found.name[..]);
        match names.find(|name| !known(name)) {
            Some(name) => Err(format!("attribute {} is not supported", quoted(name)).into()),
            None => Ok(()),
        }
    }

    pub fn opset(&self) -> i64 {
        self.node.opset
    }

    /// An input that has to be there.
    pub fn input(&self, index: usize) -> Result<Operand, Fault> {
        self.optional(index)
            .ok_or_else(|| format!("lacks its input {index}").into())
    }

    /// An input that may be left out.
    pub fn optional(&self, index: usize) -> Option<Operand> {
        self.inputs.get(index).cloned().flatten()
    }

    /// Every input that is there.
    pub fn all(&self) -> Vec<Operand> {
        self.inputs.iter().flatten().cloned().collect()
    }

    fn wrong(&self, name: &str, expected: &str) -> Fault {
        format!("attribute {name}: expected {expected}").into()
    }

    pub fn has(&self, name: &'static str) -> bool {
        self.attribute(name).is_some()
    }

    pub fn int(&self, name: &'static str, default: i64) -> Result<i64, Fault> {
        match self.attribute(name) {
            None => Ok(default),
            Some(found) if matches!(found.kind, 0 | kind::INT) => Ok(found.i),
            Some(_) => Err(self.wrong(name, "a whole number")),
        }
    }

    pub fn float(&self, name: &'static str, default: f64) -> Result<f64, Fault> {
        match self.attribute(name) {
            None => Ok(default),
            // The number that was written, not its nearest float: 1e-5 and not 9.99999974e-6.
            Some(found) if matches!(found.kind, 0 | kind::FLOAT) => Ok(shortest(found.f)),
            Some(_) => Err(self.wrong(name, "a number")),
        }
    }

    pub fn text(&self, name: &'static str, default: &str) -> Result<String, Fault> {
        match self.attribute(name) {
            None => Ok(default.to_owned()),
            Some(found) if matches!(found.kind, 0 | kind::STRING) => {
                Ok(String::from_utf8_lossy(&found.s).into_owned())
            }
            Some(_) => Err(self.wrong(name, "a text")),
        }
    }

    pub fn texts(&self, name: &'static str) -> Vec<String> {
        let strings = self.attribute(name).map(|found| &found.strings[..]);
        let strings = strings.unwrap_or_default().iter();
        strings
            .map(|text| String::from_utf8_lossy(text).into_owned())
            .collect()
    }

    pub fn ints(&self, name: &'static str) -> Result<Option<Vec<i64>>, Fault> {
        match self.attribute(name) {
            None => Ok(None),
            Some(found) if matches!(found.kind, 0 | kind::INTS) => Ok(Some(found.ints.clone())),
            Some(_) => Err(self.wrong(name, "a list of whole numbers")),
        }
    }

    pub fn floats(&self, name: &'static str) -> Result<Option<Vec<f64>>, Fault> {
        match self.attribute(name) {
            None => Ok(None),
            Some(found) if matches!(found.kind, 0 | kind::FLOATS) => {
                Ok(Some(found.floats.iter().map(|&x| shortest(x)).collect()))
            }
            Some(_) => Err(self.wrong(name, "a list of numbers")),
        }
    }

    pub fn body(&self, name: &'static str) -> Result<Body, Fault> {
        let found = self.attribute(name);
        let graph = found.and_then(|found| found.g.clone());
        let graph = graph.ok_or_else(|| format!("lacks its graph {name}"))?;
        Ok(Body::new(graph, self.opset()))
    }

    /// A tensor in an attribute.
    pub fn tensor(&self, name: &'static str) -> Result<Option<Stored>, Fault> {
        let found = self.attribute(name).and_then(|found| found.t.as_ref());
        Ok(found
            .map(|tensor| read(tensor, self.session.folder))
            .transpose()?)
    }

    /// The numbers of an input that has to be known: constant, or decided by the batch.
    pub fn constant(&self, index: usize, what: &str) -> Result<Option<Arc<Tensor<f64>>>, Fault> {
        let Some(operand) = self.optional(index) else {
            return Ok(None);
        };
        let name = self.node.message.input.get(index);
        let what = format!("{what} ({})", quoted(name.map_or("", String::as_str)));
        let place = self.node.place();
        let numbers = self.session.deciding_numbers(&operand, &place, &what)?;
        Ok(Some(numbers))
    }

    /// The whole numbers of an input that has to be known.
    pub fn constant_ints(&self, index: usize, what: &str) -> Result<Option<Vec<i64>>, Fault> {
        let numbers = self.constant(index, what)?;
        Ok(numbers.map(|numbers| numbers.data().iter().map(|&x| x as i64).collect()))
    }

    /// Whole numbers that are an attribute in old versions and an input in new ones.
    pub fn ints_or_input(
        &self,
        name: &'static str,
        index: usize,
    ) -> Result<Option<Vec<i64>>, Fault> {
        match self.ints(name)? {
            Some(ints) => Ok(Some(ints)),
            None => self.constant_ints(index, name),
        }
    }

    /// One number of an input that has to be known.
    pub fn constant_scalar(&self, index: usize, what: &str) -> Result<Option<f64>, Fault> {
        let Some(numbers) = self.constant(index, what)? else {
            return Ok(None);
        };
        match numbers.data() {
            [number] => Ok(Some(*number)),
            _ => Err(format!("{what}: expected one number, got shape {}", numbers.shape()).into()),
        }
    }

    /// Does anything read this output? In a body it may be.
    pub fn is_read(&self, output: usize) -> bool {
        let name = self.node.message.output.get(output);
        let is_read = |name: &String| {
            self.session.is_in_body() || self.session.analysis.readers.contains_key(name)
        };
        name.is_some_and(|name| !name.is_empty() && is_read(name))
    }

    /// Attributes of the node by name, as the engine's ops read them.
    pub fn pass(&self, names: &[&'static str]) -> Result<Attributes, Fault> {
        let mut attributes = Attributes::new();
        for &name in names {
            let Some(found) = self.attribute(name) else {
                continue;
            };
            let value = match effective_kind(found) {
                kind::FLOAT => Attribute::Float(shortest(found.f)),
                kind::INT => Attribute::Int(found.i),
                kind::STRING => Attribute::Text(self.text(name, "")?),
                kind::FLOATS => {
                    Attribute::Floats(found.floats.iter().map(|&x| shortest(x)).collect())
                }
                kind::INTS => Attribute::Ints(found.ints.clone()),
                _ => return Err(self.wrong(name, "a number or a text")),
            };
            attributes.insert(name.to_owned(), value);
        }
        Ok(attributes)
    }

    /// Adds an op of the registry.
    pub fn emit(
        &mut self,
        op: &str,
        attributes: &Attributes,
        inputs: &[Operand],
    ) -> Result<Vec<Operand>, Fault> {
        self.emit_as(op, attributes, inputs, None)
    }

    /// Adds an op of the registry, in a role other than its own.
    pub fn emit_as(
        &mut self,
        op: &str,
        attributes: &Attributes,
        inputs: &[Operand],
        role: Option<Role>,
    ) -> Result<Vec<Operand>, Fault> {
        let entry = find_op(op).ok_or_else(|| format!("the engine has no op {op}"))?;
        let made = (entry.from_attributes)(attributes)?;
        self.note_indices(op, attributes, inputs);
        let signals = inputs.iter().filter(|input| self.session.is_signal(input));
        let role = role.or(match (op, signals.count()) {
            ("Add" | "Sum", 2..) => Some(Role::Residual),
            ("MatMul" | "Einsum", 2..) => Some(Role::Other),
            _ => None,
        });
        self.session.emit(Arc::from(made), inputs, role)
    }

    /// Of an op that looks up, notes how many rows its indices may name.
    fn note_indices(&mut self, op: &str, attributes: &Attributes, inputs: &[Operand]) {
        let of_axis = matches!(op, "Gather" | "GatherElements" | "ScatterElements");
        let axis = match attributes.get("axis") {
            Some(Attribute::Int(axis)) if of_axis => *axis,
            _ => 0,
        };
        let [data, indices, ..] = inputs else { return };
        if of_axis || matches!(op, "GatherND" | "ScatterND") {
            let axis = self.axis(axis, data.shape.len()).ok();
            let rows = axis.and_then(|axis| data.shape.get(axis).copied());
            self.session.note_index(indices, rows.unwrap_or(0));
        }
    }

    /// Adds an op without attributes and with one output.
    pub fn plain(&mut self, op: &str, inputs: &[Operand]) -> Result<Operand, Fault> {
        self.with(op, &[], inputs)
    }

    /// Adds an op with one output.
    pub fn with(
        &mut self,
        op: &str,
        attributes: &[(&str, Attribute)],
        inputs: &[Operand],
    ) -> Result<Operand, Fault> {
        let attributes: Attributes = attributes
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.clone()))
            .collect();
        let mut outputs = self.emit(op, &attributes, inputs)?.into_iter();
        let output = outputs.next();
        output.ok_or_else(|| format!("{op} has no output").into())
    }

    /// Adds an activation by the name that the activations' registry has.
    pub fn activation(&mut self, name: &str, input: &Operand) -> Result<Operand, Fault> {
        let activation = activation::parse(name).map_err(|error| error.to_string())?;
        let op = Arc::new(ActivationOp::new(activation));
        let inputs = std::slice::from_ref(input);
        let mut outputs = self.session.emit(op, inputs, None)?.into_iter();
        let output = outputs.next();
        output.ok_or_else(|| format!("{name} has no output").into())
    }

    /// a under another shape.
    pub fn reshape(&mut self, input: &Operand, shape: &[usize]) -> Result<Operand, Fault> {
        if input.shape[..] == *shape {
            return Ok(input.clone());
        }
        let shape = shape.iter().map(|&extent| extent as i64).collect();
        let attributes = [
            ("shape", Attribute::Ints(shape)),
            ("allowzero", Attribute::Int(1)),
        ];
        self.with("Reshape", &attributes, std::slice::from_ref(input))
    }

    /// Notes how the weight at an input is used.
    pub fn used_as(&mut self, input: usize, usage: Use) {
        if let Some(operand) = self.optional(input) {
            self.session.note_use(&operand, usage);
        }
    }

    /// An axis from an attribute, counted from the front.
    pub fn axis(&self, axis: i64, rank: usize) -> Result<usize, Fault> {
        let counted = if axis < 0 { axis + rank as i64 } else { axis };
        usize::try_from(counted)
            .ok()
            .filter(|&axis| axis < rank.max(1))
            .ok_or_else(|| format!("axis {axis} of a tensor of {rank} axes").into())
    }

    /// Refuses a feature that the engine has not.
    pub fn refuse(&self, refused: bool, what: &str) -> Result<(), Fault> {
        if refused {
            return Err(format!("{what} is not supported").into());
        }
        Ok(())
    }
}

/// The kind of an attribute, which files of the first version do not say.
fn effective_kind(attribute: &Message) -> i32 {
    match attribute.kind {
        0 if !attribute.ints.is_empty() => kind::INTS,
        0 if !attribute.floats.is_empty() => kind::FLOATS,
        0 if !attribute.s.is_empty() => kind::STRING,
        0 if attribute.f != 0.0 => kind::FLOAT,
        0 => kind::INT,
        known => known,
    }
}

/// A float as the shortest decimal that means it.
pub(super) fn shortest(x: f32) -> f64 {
    x.to_string().parse().unwrap_or(f64::from(x))
}

/// What a cast makes of known numbers.
pub(super) fn cast_known(kind: Kind, from: Kind, x: f64) -> f64 {
    match (kind, from) {
        (Kind::Bool, _) => f64::from(u8::from(x != 0.0)),
        (Kind::Int, Kind::Float) => x.trunc(),
        _ => x,
    }
}

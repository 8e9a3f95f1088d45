//! A conversion in progress: names and what they stand for, the graph so far, weights, layers.
//!
//! A node whose inputs are all known is computed at once by the engine's own ops in double
//! precision, in which whole numbers below 2^53 are exact: that is how shape arithmetic is folded.

use super::analysis::Analysis;
use super::course::Course;
use super::error::OnnxError;
use super::fault::Fault;
use super::layer_names::Wrapping;
use super::layers::Layers;
use super::model::Flat;
use super::straight_through::Estimators;
use super::tensors::{self, Kind, Stored};
use super::value::{Operand, Source};
use crate::graph::{GraphBuilder, Origin, ParameterData, ValueId, ValueKind};
use crate::import::spec::shown_bytes;
use crate::num::{Shape, Tensor};
use crate::ops::{Context, Mode, Op, Role, apply};
use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

/// How a weight is used, which says how to draw a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// A matrix \[in, out\], or with `true` \[out, in\].
    Matrix(bool),
    /// A kernel, with the groups of its convolution.
    Kernel(usize),
    /// A factor: a normalisation's scale.
    Scale,
    /// Added, beside a weight with so many inputs a unit.
    Shift(usize),
    /// Rows looked up by index.
    Table,
    /// \[directions, gates · hidden, inputs\], or biases, of a recurrent layer with so many units.
    Recurrent(usize),
}

/// A tensor of the file.
#[derive(Debug)]
pub(super) struct Weight {
    pub name: String,
    pub stored: Stored,
    pub trained: bool,
    /// The parameter it became.
    pub value: Option<ValueId>,
    pub usage: Option<Use>,
}

/// The most elements that are computed in advance, all nodes together.
const MOST_FOLDED: usize = 1 << 27;
/// The most nodes of the engine's graph.
const MOST_NODES: usize = 2_000_000;

/// A conversion in progress.
pub(super) struct Session<'m> {
    pub model: &'m Flat,
    pub analysis: &'m Analysis,
    pub folder: &'m Path,
    pub builder: GraphBuilder,
    pub weights: Vec<Weight>,
    pub layers: Layers,
    /// How many nodes of each kind the report speaks of.
    pub counts: HashMap<&'static str, usize>,
    /// The names of the graph and of the bodies that are open in it.
    pub scopes: Vec<HashMap<String, Operand>>,
    names: HashSet<String>,
    /// What the nodes that are added are called, and where they are from.
    pub node_name: String,
    pub origin: Origin,
    /// Nodes of bodies that were converted.
    pub in_bodies: usize,
    folded: usize,
    emitted: usize,
    bytes: u128,
    limit: u64,
    pub mode: Mode,
    /// Do Dropout nodes drop?
    pub dropout: bool,
    /// Inputs that say that every sequence is as long as there is room for.
    pub whole_lengths: HashSet<ValueId>,
    /// What the inputs decide.
    pub course: RefCell<Course>,
    /// What looks like a straight-through estimator, and whether it is taken for one.
    pub estimators: Estimators,
    pub straight_through: bool,
    /// Rows that inputs index: of each, the fewest that something looked up in has.
    pub indexed: HashMap<ValueId, usize>,
}

impl<'m> Session<'m> {
    pub fn new(
        model: &'m Flat,
        analysis: &'m Analysis,
        folder: &'m Path,
        limit: u64,
        mode: Mode,
        dropout: bool,
    ) -> Self {
        let trained = analysis.weights.trained();
        let wrapping = Wrapping::of(trained.map(String::as_str));
        Self {
            model,
            analysis,
            folder,
            builder: GraphBuilder::new(),
            weights: Vec::new(),
            layers: Layers::new(wrapping),
            counts: HashMap::new(),
            scopes: vec![HashMap::new()],
            names: HashSet::new(),
            node_name: String::new(),
            origin: Origin::default(),
            in_bodies: 0,
            folded: 0,
            emitted: 0,
            bytes: 0,
            limit,
            mode,
            dropout: dropout && mode == Mode::Train,
            whole_lengths: HashSet::new(),
            course: RefCell::default(),
            estimators: Estimators::default(),
            straight_through: false,
            indexed: HashMap::new(),
        }
    }

    /// Is the node that is converted in the body of another one?
    pub fn is_in_body(&self) -> bool {
        self.scopes.len() > 1
    }

    /// Gives a name a meaning, in the innermost scope.
    pub fn define(&mut self, name: &str, operand: Operand) {
        if let Some(scope) = self.scopes.last_mut() {
            scope.insert(name.to_owned(), operand);
        }
    }

    /// What a name stands for.
    pub fn find(&self, name: &str) -> Option<Operand> {
        let mut scopes = self.scopes.iter().rev();
        scopes.find_map(|scope| scope.get(name)).cloned()
    }

    /// Counts something that the report speaks of.
    pub fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    /// Reads the file's initialisers that live nodes or the outputs read.
    pub fn read_initialisers(&mut self, wanted: &HashSet<&str>) -> Result<(), OnnxError> {
        let model = self.model;
        for tensor in &model.graph.initializer {
            if !wanted.contains(tensor.name.as_str()) {
                continue;
            }
            let trained = self.analysis.weights.is_trained(&tensor.name);
            let stored = tensors::read(tensor, self.folder)?;
            let operand = self.tensor(&tensor.name, stored, trained)?;
            self.define(&tensor.name, operand);
        }
        Ok(())
    }

    /// A tensor of the file as an operand.
    pub fn tensor(
        &mut self,
        name: &str,
        stored: Stored,
        trained: bool,
    ) -> Result<Operand, OnnxError> {
        let (kind, shape) = (stored.kind, stored.shape().clone());
        // What hides scores from a softmax is a mask, whatever it is called.
        let hides = || match &stored.data {
            ParameterData::F32(tensor) => tensor.data().contains(&f32::NEG_INFINITY),
            ParameterData::F64(tensor) => tensor.data().contains(&f64::NEG_INFINITY),
        };
        if trained && kind == Kind::Float && shape.element_count() > 0 && !hides() {
            self.charge(shape.element_count() as u128 * 8)?;
            self.weights.push(Weight {
                name: name.to_owned(),
                stored,
                trained: true,
                value: None,
                usage: None,
            });
            let source = Source::Weight(self.weights.len() - 1);
            return Ok(Operand {
                kind,
                shape,
                source,
            });
        }
        self.charge(shape.element_count() as u128 * 8)?;
        let source = Source::Known(stored.wide());
        Ok(Operand {
            kind,
            shape,
            source,
        })
    }

    /// Counts memory.
    pub fn charge(&mut self, bytes: u128) -> Result<(), OnnxError> {
        self.bytes += bytes;
        if self.bytes > u128::from(self.limit) {
            return Err(OnnxError::new(format!(
                "needs more than the {} of memory that are allowed",
                shown_bytes(u128::from(self.limit))
            ))
            .help("lower --dim, or raise --max-memory"));
        }
        Ok(())
    }

    /// Applies an op: at once if all its inputs are known, else as a node of the graph.
    pub fn emit(
        &mut self,
        op: Arc<dyn Op>,
        inputs: &[Operand],
        role: Option<Role>,
    ) -> Result<Vec<Operand>, Fault> {
        let kind = match op.name() {
            "Equal" | "Greater" | "GreaterOrEqual" | "Less" | "LessOrEqual" | "And" | "Or"
            | "Not" | "IsNaN" => Kind::Bool,
            "Where" => inputs.get(1).map_or(Kind::Float, |input| input.kind),
            _ => inputs.first().map_or(Kind::Float, |input| input.kind),
        };
        let known: Option<Vec<Tensor<f64>>> = inputs
            .iter()
            .map(|input| match &input.source {
                Source::Known(tensor) => Some((**tensor).clone()),
                Source::Uniform(low, high) => Some(mean(&input.shape, *low, *high)),
                _ => None,
            })
            .collect();
        if let Some(known) = known {
            return self.fold(&*op, kind, &known);
        }
        let mut values = Vec::with_capacity(inputs.len());
        for input in inputs {
            values.push(self.value(input)?);
        }
        self.emitted += 1;
        if self.emitted > MOST_NODES {
            return Err(format!("the network has more than {MOST_NODES} nodes").into());
        }
        let name = self.free_name(&self.node_name.clone());
        let kept = op.kept_outputs();
        let outputs = self
            .builder
            .node_with(name, op, &values, role, self.origin.clone())?;
        let mut bytes = 0;
        let operands: Vec<Operand> = outputs
            .into_iter()
            .map(|value| {
                let shape = self.builder.shape(value).clone();
                // The signal and its cotangent, in single precision at least.
                bytes += shape.element_count() as u128 * 8;
                self.layers.made(value);
                Operand {
                    kind,
                    shape,
                    source: Source::Value(value),
                }
            })
            .collect();
        self.charge(bytes * (1 + kept as u128).min(2))?;
        Ok(operands)
    }

    fn fold(
        &mut self,
        op: &dyn Op,
        kind: Kind,
        inputs: &[Tensor<f64>],
    ) -> Result<Vec<Operand>, Fault> {
        let shapes: Vec<&Shape> = inputs.iter().map(Tensor::shape).collect();
        let outputs = op.infer(&shapes)?;
        for shape in &outputs {
            self.charge_folded(shape)?;
        }
        let visible = outputs.len() - op.kept_outputs();
        let context = Context {
            mode: self.mode,
            ..Context::default()
        };
        let outputs = apply(op, &context, inputs)?;
        let outputs = outputs.into_iter().take(visible);
        Ok(outputs.map(|tensor| Operand::known(kind, tensor)).collect())
    }

    /// Counts elements that are computed in advance.
    pub fn charge_folded(&mut self, shape: &Shape) -> Result<(), Fault> {
        self.folded = self.folded.saturating_add(shape.element_count());
        if self.folded > MOST_FOLDED {
            return Err(format!(
                "a constant of shape {shape}: more than {MOST_FOLDED} elements are computed in advance"
            )
            .into());
        }
        Ok(())
    }

    /// An operand as a value of the graph.
    pub fn value(&mut self, operand: &Operand) -> Result<ValueId, Fault> {
        match &operand.source {
            Source::Value(value) => Ok(*value),
            Source::Weight(index) => self.weight_value(*index),
            Source::Known(tensor) => self.constant_value(Arc::clone(tensor)),
            Source::Uniform(low, high) => {
                let mean = mean(&operand.shape, *low, *high);
                self.constant_value(Arc::new(mean))
            }
            Source::Sequence(_) => Err("reads a list of tensors where a tensor belongs".into()),
        }
    }

    fn constant_value(&mut self, tensor: Arc<Tensor<f64>>) -> Result<ValueId, Fault> {
        let name = format!("{}.constant", self.node_name);
        let name = self.free_name(&name);
        let data = ParameterData::F64(tensor);
        Ok(self.builder.parameter(name, data, false)?)
    }

    fn weight_value(&mut self, index: usize) -> Result<ValueId, Fault> {
        if let Some(value) = self.weights[index].value {
            return Ok(value);
        }
        let name = self.weights[index].name.clone();
        let name = self.free_name(&name);
        let weight = &self.weights[index];
        let value = self
            .builder
            .parameter(name, weight.stored.data.clone(), weight.trained)?;
        self.weights[index].value = Some(value);
        Ok(value)
    }

    /// Names the weights whose names the exporter made up, which tell nobody which weights they are,
    /// by the layers that read them: `fc.weight`.
    pub fn name_by_layers(&mut self, layers: &[(usize, String)]) -> Result<(), Fault> {
        for (index, layer) in layers {
            let weight = &self.weights[*index];
            let unnamed = self.analysis.weights.unnamed(&weight.name);
            if let (Some(word), Some(value)) = (unnamed, weight.value)
                && self.builder.name(value) == weight.name
            {
                let name = self.free_name(&format!("{layer}.{word}"));
                self.builder.rename_parameter(value, &name)?;
            }
        }
        Ok(())
    }

    /// An operand that is not trained, whatever it is: running statistics.
    pub fn frozen(&mut self, operand: &Operand) -> Operand {
        if let Source::Weight(index) = operand.source
            && self.weights[index].value.is_none()
        {
            self.weights[index].trained = false;
        }
        operand.clone()
    }

    /// The numbers of an operand, where they are in the file or follow from it.
    pub fn numbers(&self, operand: &Operand) -> Option<Arc<Tensor<f64>>> {
        match &operand.source {
            Source::Known(tensor) => Some(Arc::clone(tensor)),
            Source::Weight(index) => Some(self.weights[*index].stored.wide()),
            Source::Uniform(low, high) => Some(Arc::new(mean(&operand.shape, *low, *high))),
            Source::Value(_) | Source::Sequence(_) => None,
        }
    }

    /// The numbers of an operand: known, or those that it has on the batch, which then decide the
    /// course of the network; `what` says in words what they decide, `place` of which node.
    pub fn deciding_numbers(
        &self,
        operand: &Operand,
        place: &str,
        what: &str,
    ) -> Result<Arc<Tensor<f64>>, Fault> {
        match (self.numbers(operand), &operand.source) {
            (Some(numbers), _) => Ok(numbers),
            (None, Source::Value(value)) => {
                let mut course = self.course.borrow_mut();
                course.numbers(&self.builder, *value, self.mode, place, what)
            }
            (None, _) => Err(format!("{what} is a list of tensors; it has to be numbers").into()),
        }
    }

    /// Does a live node have this operator of ONNX?
    pub fn has_op(&self, op: &str) -> bool {
        let mut nodes = self.model.nodes.iter().zip(&self.analysis.live);
        nodes.any(|(node, live)| *live && node.message.op_type == op)
    }

    /// Were nodes converted that the output may not depend on: the condition of a branch, say?
    pub fn changes_course(&self) -> bool {
        let decided = !self.course.borrow().decisions().is_empty();
        decided || (self.straight_through && !self.estimators.is_empty())
    }

    /// Notes that an operand indexes so many rows, for the input that it is, moved or cast.
    pub fn note_index(&mut self, operand: &Operand, rows: usize) {
        let Source::Value(mut value) = operand.source else {
            return;
        };
        let (values, nodes, _) = self.builder.parts();
        while let ValueKind::Output(id, _) = values[value.index()].kind {
            let node = &nodes[id.index()];
            let moves = node.op.facts().is_view.has(self.mode)
                || matches!(
                    node.op.name(),
                    "Slice" | "Split" | "Transpose" | "Expand" | "Gather"
                );
            match node.inputs.first() {
                Some(&first) if moves => value = first,
                _ => return,
            }
        }
        if matches!(values[value.index()].kind, ValueKind::Input(_)) && rows > 0 {
            let known = self.indexed.entry(value).or_insert(rows);
            *known = rows.min(*known);
        }
    }

    /// Does it say that every sequence is as long as there is room for?
    pub fn is_whole_lengths(&self, lengths: &Operand) -> bool {
        matches!(lengths.source, Source::Value(value) if self.whole_lengths.contains(&value))
    }

    /// Notes how a weight is used, also through what was made of it alone.
    pub fn note_use(&mut self, operand: &Operand, usage: Use) {
        let weights: Vec<usize> = match operand.source {
            Source::Weight(index) => vec![index],
            Source::Value(value) => self.layers.derived_from(value).to_vec(),
            Source::Known(_) | Source::Uniform(..) | Source::Sequence(_) => return,
        };
        for weight in weights {
            self.weights[weight].usage.get_or_insert(usage);
        }
    }

    /// Is it computed from the data, rather than a weight, made of weights, or known?
    pub fn is_signal(&self, operand: &Operand) -> bool {
        match operand.source {
            Source::Value(value) => self.layers.derived_from(value).is_empty(),
            _ => false,
        }
    }

    /// The name, or with a number if something is called so.
    pub fn free_name(&mut self, name: &str) -> String {
        let mut free = name.to_owned();
        let mut number = 1;
        while !self.names.insert(free.clone()) {
            number += 1;
            free = format!("{name}#{number}");
        }
        free
    }

    /// Something that the engine's graph calls by a name of its own.
    pub fn reserve(&mut self, name: &str) {
        self.names.insert(name.to_owned());
    }
}

/// The mean of numbers between two, everywhere.
fn mean(shape: &Shape, low: f64, high: f64) -> Tensor<f64> {
    let mean = 0.5 * (low + high);
    Tensor::new(shape.clone(), vec![mean; shape.element_count()])
}

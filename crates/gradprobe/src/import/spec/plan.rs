//! From a specification to the list of what is to be built: every shape checked, every size
//! counted, every name given, before a number is drawn.

mod dense;
mod images;
mod norms;
mod residual;
mod sequence;
mod unrolled;

use super::blocks::{self, Sizes};
use super::error::{SpecError, SpecErrorKind as Kind, at};
use super::memory;
use super::names::Namer;
use super::operators::{self, MadeOp};
use super::reader::Result;
use super::specification::{Layer, LayerKind, NormKind, Specification, Values};
use crate::graph::Origin;
use crate::init::{Initialiser, Target};
use crate::num::Shape;
use crate::ops::{Op, OpError, Role};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// The most layers a network may have.
const MOST_LAYERS: u64 = 200_000;

/// A value of the plan: the input, a parameter or an output of a node, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot(pub usize);

/// One call of the graph's builder.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// The nodes that follow belong to this layer, which is new.
    BeginLayer(usize),
    /// A parameter, by its number.
    Parameter(usize, Slot),
    /// A node with one output that others may read.
    Node(Box<PlannedNode>),
}

#[derive(Clone, Debug)]
pub(super) struct PlannedNode {
    pub name: String,
    pub op: Arc<dyn Op>,
    pub inputs: Vec<Slot>,
    pub output: Slot,
    pub role: Option<Role>,
    pub origin: Origin,
}

#[derive(Clone, Debug)]
pub(super) struct PlannedLayer {
    pub name: String,
    /// What it is made of, e.g. `linear`, `tanh`.
    pub parts: Vec<String>,
    pub origin: Origin,
}

#[derive(Clone, Debug)]
pub(super) struct PlannedParameter {
    pub name: String,
    pub shape: Shape,
    /// What the initialiser draws, one after the other until the shape is full.
    pub target: Target,
    pub initialiser: Initialiser,
    /// Blocks that are drawn otherwise, by number.
    pub exceptions: Vec<(usize, Initialiser)>,
    /// Random streams of other names, each from the block of this number on: so that a parameter
    /// that holds several has the numbers that these would have.
    pub streams: Vec<(usize, String)>,
    pub trainable: bool,
}

/// What is to be built.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub input_shape: Shape,
    pub steps: Vec<Step>,
    pub layers: Vec<PlannedLayer>,
    pub parameters: Vec<PlannedParameter>,
    /// How many slots the steps fill; slot 0 is the input.
    pub slots: usize,
    pub output: Slot,
    pub output_shape: Shape,
}

/// Plans a network whose rows have the given shape.
pub(super) fn plan(specification: &Specification, row: &[usize]) -> Result<Plan> {
    let mut extents = vec![specification.batch];
    extents.extend_from_slice(row);
    let limit = specification
        .max_memory
        .unwrap_or_else(memory::default_limit);
    let mut planner = Planner {
        blocks: &specification.blocks,
        steps: Vec::new(),
        layers: Vec::new(),
        parameters: Vec::new(),
        shapes: Vec::new(),
        names: Namer::new(),
        activations: HashMap::new(),
        tables: HashMap::new(),
        values: specification.input.values.clone(),
        open: None,
        bytes: 0,
        number_bytes: specification.dtype.bytes() as u128,
        limit,
    };
    let input = planner.add_slot(Shape(extents.clone()), &specification.input.origin)?;
    let blocks = blocks::sizes(&specification.blocks);
    let layers = blocks::count(&specification.layers, &blocks);
    if layers > MOST_LAYERS {
        return Err(too_many_layers(&specification.layers, &blocks, layers));
    }
    let output = planner.list(&specification.layers, input, false)?;
    Ok(Plan {
        input_shape: Shape(extents),
        output_shape: planner.shapes[output.0].clone(),
        steps: planner.steps,
        layers: planner.layers,
        parameters: planner.parameters,
        slots: planner.shapes.len(),
        output,
    })
}

/// Blames the repetition that makes the most layers.
fn too_many_layers(layers: &[Layer], blocks: &Sizes<'_>, total: u64) -> SpecError {
    let size = |layer: &&Layer| blocks::count(std::slice::from_ref(layer), blocks);
    let worst = layers.iter().max_by_key(size);
    let message = format!("the network has {total} layers, more than the limit of {MOST_LAYERS}");
    let error = SpecError::new(Kind::TooLarge, message);
    match worst.and_then(|layer| layer.origin.span.clone()) {
        Some(span) => error.at(span).label("most of them are here"),
        None => error,
    }
}

struct Planner<'a> {
    blocks: &'a BTreeMap<String, Vec<Layer>>,
    steps: Vec<Step>,
    layers: Vec<PlannedLayer>,
    parameters: Vec<PlannedParameter>,
    shapes: Vec<Shape>,
    names: Namer,
    /// The ops of activations met before.
    activations: HashMap<(String, i64), Arc<dyn Op>>,
    /// The tables of embeddings, by layer.
    tables: HashMap<String, Slot>,
    /// Where the inputs come from.
    values: Values,
    /// The layer that what follows belongs to.
    open: Option<usize>,
    bytes: u128,
    number_bytes: u128,
    limit: u64,
}

impl<'a> Planner<'a> {
    fn shape(&self, slot: Slot) -> &Shape {
        &self.shapes[slot.0]
    }

    fn add_slot(&mut self, shape: Shape, origin: &Origin) -> Result<Slot> {
        let numbers = shape
            .iter()
            .map(|&extent| extent as u128)
            .fold(1, u128::saturating_mul);
        self.bytes = self
            .bytes
            .saturating_add(numbers.saturating_mul(self.number_bytes));
        if self.bytes > u128::from(self.limit) {
            let needed = memory::shown(self.bytes);
            let limit = memory::shown(u128::from(self.limit));
            let message = format!(
                "the network up to here needs {needed} for weights and signals, more than the \
                 limit of {limit}"
            );
            return Err(at(SpecError::new(Kind::TooLarge, message), origin)
                .label(format!("a tensor of shape {shape}"))
                .help("make it or the batch smaller, or set max_memory at the top of the file"));
        }
        self.shapes.push(shape);
        Ok(Slot(self.shapes.len() - 1))
    }

    /// The layers in order; `repeated` says that each of them comes more than once.
    fn list(&mut self, layers: &[Layer], mut value: Slot, repeated: bool) -> Result<Slot> {
        for layer in layers {
            value = self.layer(layer, value, repeated)?;
        }
        Ok(value)
    }

    fn layer(&mut self, layer: &Layer, value: Slot, repeated: bool) -> Result<Slot> {
        let origin = &layer.origin;
        match &layer.kind {
            LayerKind::Linear(linear) => {
                self.begin(layer, "fc", "linear", repeated)?;
                self.linear(linear, value, origin)
            }
            LayerKind::Conv(conv) => {
                self.begin(layer, "conv", "conv", repeated)?;
                self.conv(conv, value, origin)
            }
            LayerKind::ConvTranspose(conv) => {
                self.begin(layer, "deconv", "conv-transpose", repeated)?;
                self.conv_transpose(conv, value, origin)
            }
            LayerKind::Pool(pool) => {
                let word = match pool.kind {
                    super::PoolKind::Max => "max-pool",
                    super::PoolKind::Average => "average-pool",
                };
                self.begin(layer, "pool", word, repeated)?;
                self.node("pool", operators::pool_op(pool), &[value], None, origin)
            }
            LayerKind::AdaptiveAveragePool(extents) => {
                self.begin(layer, "pool", "adaptive-average-pool", repeated)?;
                let extents = extents.map(|extent| extent as i64).to_vec();
                let size = crate::ops::Attribute::Ints(extents);
                let pool = operators::make("AdaptiveAveragePool", [("output_size", size)]);
                self.node("pool", pool, &[value], None, origin)
            }
            LayerKind::Upsample(upsample) => {
                self.begin(layer, "up", "upsample", repeated)?;
                self.upsample(upsample, value, origin)
            }
            LayerKind::GlobalAveragePool => {
                self.begin(layer, "pool", "global-average-pool", repeated)?;
                let pooled = operators::make("GlobalAveragePool", []);
                let pooled = self.node("pool", pooled, &[value], None, origin)?;
                // What is left of height and width is one place.
                self.flatten(pooled, origin)
            }
            LayerKind::Flatten => {
                self.begin_if_named(layer, "flatten", "flatten", repeated)?;
                self.flatten(value, origin)
            }
            LayerKind::Reshape(shape) => {
                self.begin_if_named(layer, "reshape", "reshape", repeated)?;
                let mut extents = vec![self.shape(value)[0] as i64];
                extents.extend_from_slice(shape);
                let op =
                    operators::make("Reshape", [("shape", crate::ops::Attribute::Ints(extents))]);
                self.node("reshape", op, &[value], None, origin)
            }
            LayerKind::Dropout(probability) => {
                self.begin(layer, "dropout", "dropout", repeated)?;
                let ratio = crate::ops::Attribute::Float(*probability);
                let op = operators::make("Dropout", [("ratio", ratio)]);
                self.node("dropout", op, &[value], None, origin)
            }
            LayerKind::Norm(norm) => {
                let (stem, word) = norm_words(norm.kind);
                self.continue_with(layer, stem, word, repeated)?;
                self.norm(norm, value, origin)
            }
            LayerKind::LocalResponseNorm(norm) => {
                self.continue_with(layer, "lrn", "lrn", repeated)?;
                self.node("lrn", operators::lrn_op(norm), &[value], None, origin)
            }
            LayerKind::Activation(name) => {
                self.continue_with(layer, "act", name, repeated)?;
                self.activation(name, value, origin)
            }
            LayerKind::Residual(residual) => self.residual(layer, residual, value, repeated),
            LayerKind::Embedding(_)
            | LayerKind::PositionalEmbedding(_)
            | LayerKind::Recurrent(_)
            | LayerKind::Attention(_)
            | LayerKind::Glu(_)
            | LayerKind::LastStep
            | LayerKind::Transpose(_) => self.sequence_layer(layer, value, repeated),
            LayerKind::Block(block) => {
                let name = self.name(layer, block, repeated)?;
                let Some(layers) = self.blocks.get(block) else {
                    // Parsing refused it already.
                    let message = format!("there is no block `{block}`");
                    return Err(at(SpecError::new(Kind::Value, message), origin));
                };
                self.names.enter(&name);
                self.open = None;
                let value = self.list(layers, value, false)?;
                self.names.leave();
                Ok(value)
            }
            LayerKind::Repeat(repeat) => {
                let many = repeated || repeat.times > 1;
                let mut value = value;
                for _ in 0..repeat.times {
                    let Some(name) = &layer.name else {
                        value = self.list(&repeat.layers, value, many)?;
                        continue;
                    };
                    let scope = if many {
                        self.names.numbered(name, &origin.place)
                    } else {
                        self.name(layer, name, false)?
                    };
                    self.names.enter(&scope);
                    self.open = None;
                    value = self.list(&repeat.layers, value, false)?;
                    self.names.leave();
                }
                Ok(value)
            }
        }
    }

    /// The full name of a layer: the user's, numbered where it comes several times, or `fc1`.
    fn name(&mut self, layer: &Layer, stem: &str, repeated: bool) -> Result<String> {
        let place = &layer.origin.place;
        match &layer.name {
            None => Ok(self.names.numbered(stem, place)),
            Some(name) if repeated => Ok(self.names.numbered(name, place)),
            Some(name) => self.names.given(name, place).map_err(|earlier| {
                let message = format!("the name `{name}` is used twice, first by {earlier}");
                at(SpecError::new(Kind::Value, message), &layer.origin)
            }),
        }
    }

    /// Begins a layer of its own.
    fn begin(&mut self, layer: &Layer, stem: &str, part: &str, repeated: bool) -> Result<()> {
        let name = self.name(layer, stem, repeated)?;
        self.begin_named(name, part, &layer.origin);
        Ok(())
    }

    fn begin_named(&mut self, name: String, part: &str, origin: &Origin) {
        self.layers.push(PlannedLayer {
            name,
            parts: vec![part.to_owned()],
            origin: origin.clone(),
        });
        self.open = Some(self.layers.len() - 1);
        self.steps.push(Step::BeginLayer(self.layers.len() - 1));
    }

    /// Goes on with the open layer; begins one where none is open or the user names it.
    fn continue_with(
        &mut self,
        layer: &Layer,
        stem: &str,
        part: &str,
        repeated: bool,
    ) -> Result<()> {
        match (self.open, &layer.name) {
            (Some(open), None) => {
                self.layers[open].parts.push(part.to_owned());
                Ok(())
            }
            _ => self.begin(layer, stem, part, repeated),
        }
    }

    /// For what only gives the numbers another shape: a layer of its own if it is named, else part
    /// of the open one, else of none.
    fn begin_if_named(
        &mut self,
        layer: &Layer,
        stem: &str,
        part: &str,
        repeated: bool,
    ) -> Result<()> {
        match layer.name {
            Some(_) => self.begin(layer, stem, part, repeated),
            None => Ok(()),
        }
    }

    /// The prefix of names in the open layer.
    fn prefix(&self) -> &str {
        self.open.map_or("input", |open| &self.layers[open].name)
    }

    fn node(
        &mut self,
        word: &str,
        op: MadeOp,
        inputs: &[Slot],
        role: Option<Role>,
        origin: &Origin,
    ) -> Result<Slot> {
        let name = self.free_node_name(word);
        let shapes: Vec<&Shape> = inputs.iter().map(|&input| self.shape(input)).collect();
        let made = op.and_then(|op| Ok((op.infer(&shapes)?, op)));
        let (outputs, op) = made.map_err(|error| {
            let layer = self.prefix();
            let message = format!("{word} of layer `{layer}`: {error}");
            let got: Vec<String> = shapes
                .iter()
                .take(1)
                .map(|shape| format!("{shape}"))
                .collect();
            at(SpecError::new(kind_of(&error), message), origin)
                .label(format!("its input has shape {}", got.join(", ")))
        })?;
        // What is kept for the pull-back takes memory, but nothing reads it.
        let mut slots = Vec::with_capacity(outputs.len());
        let is_view = op.facts().is_view.has(crate::ops::Mode::Train);
        for shape in outputs {
            let before = self.bytes;
            slots.push(self.add_slot(shape, origin)?);
            if is_view {
                self.bytes = before;
            }
        }
        let output = slots[0];
        self.steps.push(Step::Node(Box::new(PlannedNode {
            name,
            op,
            inputs: inputs.to_vec(),
            output,
            role,
            origin: origin.clone(),
        })));
        Ok(output)
    }

    /// `fc1.tanh`, or `fc1.tanh2` if the layer has one already.
    fn free_node_name(&mut self, word: &str) -> String {
        let stem = format!("{}.{word}", self.prefix());
        self.names.first_free(&stem)
    }

    fn parameter(
        &mut self,
        word: &str,
        target: Target,
        initialiser: Initialiser,
        trainable: bool,
        origin: &Origin,
    ) -> Result<Slot> {
        let shape = Shape(target.shape.clone());
        let slot = self.blocks(word, shape, target, initialiser, origin)?;
        if let Some(planned) = self.parameters.last_mut() {
            planned.trainable = trainable;
        }
        Ok(slot)
    }

    /// A trained parameter of which every block of the target's shape is drawn by itself.
    fn blocks(
        &mut self,
        word: &str,
        shape: Shape,
        target: Target,
        initialiser: Initialiser,
        origin: &Origin,
    ) -> Result<Slot> {
        let name = format!("{}.{word}", self.prefix());
        let name = self.names.first_free(&name);
        let slot = self.add_slot(shape.clone(), origin)?;
        initialiser
            .check(&target)
            .map_err(|error| at(SpecError::new(Kind::Value, error.to_string()), origin))?;
        self.parameters.push(PlannedParameter {
            name,
            shape,
            target,
            initialiser,
            exceptions: Vec::new(),
            streams: Vec::new(),
            trainable: true,
        });
        self.steps
            .push(Step::Parameter(self.parameters.len() - 1, slot));
        Ok(slot)
    }

    fn part(&mut self, word: &str) {
        if let Some(open) = self.open {
            self.layers[open].parts.push(word.to_owned());
        }
    }
}

/// The stem of the name of a normalisation by itself, and what it is called.
fn norm_words(kind: NormKind) -> (&'static str, &'static str) {
    match kind {
        NormKind::Batch => ("bn", "batch-norm"),
        NormKind::Layer => ("ln", "layer-norm"),
        NormKind::Rms => ("rms", "rms-norm"),
        NormKind::Group(_) => ("gn", "group-norm"),
        NormKind::Instance => ("in", "instance-norm"),
    }
}

/// The shape of one row of a batch.
fn row_of(shape: &Shape) -> Shape {
    Shape(shape.iter().skip(1).copied().collect())
}

fn kind_of(error: &OpError) -> Kind {
    match error {
        OpError::Attribute { .. } | OpError::Value { .. } => Kind::Value,
        _ => Kind::Shape,
    }
}

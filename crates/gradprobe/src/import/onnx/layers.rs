//! Layers with the names the user knows: a weight's path, that of the module it is used in where the
//! exporter renamed the weight, else the node's name, else the operator and its place. Bias, normalisation and activation that follow belong to the layer they follow.

use super::layer_names::Wrapping;
use super::model::Node;
use super::modules::module_of;
use super::value::{Operand, Source};
use crate::graph::{Origin, ValueId};
use std::collections::{HashMap, HashSet};

/// A node of the file as the layers see it.
#[derive(Debug)]
pub(super) struct Entry {
    pub op: String,
    pub class: Class,
    /// Does it read trained numbers, its own or what is made of such alone?
    pub weighted: bool,
    /// What the layer that it begins is called.
    pub name: String,
    /// The path of its weights, else that of the module that it is in.
    pub path: Option<String>,
    /// The weights that it reads, by number.
    pub weights: Vec<usize>,
    pub origin: Origin,
    /// Values made of weights alone that it reads, and those on the way to them.
    pub trail: Vec<ValueId>,
}

/// What is being converted.
#[derive(Clone, Debug, Default)]
enum Current {
    /// Nothing that belongs to a layer: control flow, whose bodies have nodes of their own.
    #[default]
    Outside,
    /// A node that no weight has touched yet.
    Data,
    /// A node that computes with these weights alone, and what it reads on the way.
    Weights(Vec<usize>, Vec<ValueId>),
    /// An entry, by number.
    Entry(usize),
}

/// What is known of the nodes for giving them to layers, noted while they are converted.
#[derive(Debug, Default)]
pub(super) struct Layers {
    /// What all names of the file have round the user's.
    wrapping: Wrapping,
    pub(super) entries: Vec<Entry>,
    /// Which entry made a value.
    pub(super) made_by: HashMap<ValueId, usize>,
    /// Values computed from weights alone: which weights.
    derived: HashMap<ValueId, Vec<usize>>,
    /// Values computed from weights alone: every such value on the way to them.
    trails: HashMap<ValueId, Vec<ValueId>>,
    /// Values that no weight has touched yet: inputs, and what is made of them alone.
    of_data: HashSet<ValueId>,
    current: Current,
}

/// What a node is to the layers around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// An elementwise nonlinearity.
    Activation,
    /// A softmax.
    Softmax,
    Normalisation,
    /// Sums, differences, products and quotients, with which a bias and a scale are written.
    Arithmetic,
    /// Other functions of each element by itself.
    Elementwise,
    /// Names elements otherwise, each still there once.
    Renames,
    /// Leaves elements out, repeats them or cuts them apart.
    Moves,
    /// Pools, reductions, resizing: a layer of its own.
    Alone,
    Other,
}

impl Class {
    /// Is it a function of each element by itself?
    pub fn is_elementwise(self) -> bool {
        matches!(
            self,
            Self::Activation | Self::Arithmetic | Self::Elementwise
        )
    }

    fn of(op: &str) -> Self {
        match op {
            "Relu" | "LeakyRelu" | "PRelu" | "Elu" | "Selu" | "Celu" | "Gelu" | "Sigmoid"
            | "Tanh" | "HardSigmoid" | "HardSwish" | "Mish" | "Swish" | "Softplus" | "Softsign"
            | "Clip" | "ThresholdedRelu" | "Erf" | "Sin" | "Atan" | "Shrink" => Self::Activation,
            "Softmax" | "LogSoftmax" => Self::Softmax,
            "BatchNormalization"
            | "LayerNormalization"
            | "InstanceNormalization"
            | "GroupNormalization"
            | "RMSNormalization"
            | "LpNormalization"
            | "LRN" => Self::Normalisation,
            "Add" | "Sub" | "Mul" | "Div" | "Sum" => Self::Arithmetic,
            "Abs" | "And" | "Ceil" | "Cos" | "Equal" | "Exp" | "Floor" | "Greater"
            | "GreaterOrEqual" | "Less" | "LessOrEqual" | "Log" | "Max" | "Mean" | "Min"
            | "Mod" | "Neg" | "Not" | "Or" | "Pow" | "Reciprocal" | "Round" | "Sign" | "Sqrt"
            | "Where" | "Xor" => Self::Elementwise,
            "Identity" | "Dropout" | "Cast" | "CastLike" | "Reshape" | "Flatten" | "Squeeze"
            | "Unsqueeze" | "Transpose" => Self::Renames,
            "Slice" | "Split" | "Expand" => Self::Moves,
            op if op.starts_with("Reduce") || op.contains("Pool") => Self::Alone,
            "Resize" | "Upsample" | "ArgMax" | "TopK" => Self::Alone,
            _ => Self::Other,
        }
    }
}

/// An operator as a layer's description has it; `None` for what says nothing.
pub(super) fn part(op: &str, class: Class, weighted: bool) -> Option<String> {
    Some(match op {
        "Gemm" | "MatMul" | "FusedMatMul" | "TransposeMatMul" if weighted => "linear".into(),
        "Gather" if weighted => "embedding".into(),
        "BatchNormalization" => "batch-norm".into(),
        "LayerNormalization" => "layer-norm".into(),
        "InstanceNormalization" => "instance-norm".into(),
        "GroupNormalization" => "group-norm".into(),
        "RMSNormalization" => "rms-norm".into(),
        _ if matches!(class, Class::Renames | Class::Moves) => return None,
        _ => kebab(op),
    })
}

/// `HardSwish` as `hard-swish`.
fn kebab(op: &str) -> String {
    let mut words = String::new();
    let mut after_small = false;
    for c in op.chars() {
        if after_small && c.is_uppercase() {
            words.push('-');
        }
        after_small = c.is_lowercase();
        words.extend(c.to_lowercase());
    }
    words
}

impl Layers {
    /// No nodes yet; `wrapping` is what all names of the file have round the user's.
    pub fn new(wrapping: Wrapping) -> Self {
        Self {
            wrapping,
            ..Self::default()
        }
    }

    /// A node that reads `operands` is converted next. `layer_path` is what the layer of a weight is
    /// called, by the weight's number, where its name says it.
    pub fn enter(
        &mut self,
        node: &Node,
        operands: &[Option<Operand>],
        layer_path: &dyn Fn(usize) -> Option<String>,
    ) {
        let mut read_weights: Vec<usize> = Vec::new();
        let mut derived_from: Vec<usize> = Vec::new();
        let mut signals: Vec<ValueId> = Vec::new();
        let mut trail: Vec<ValueId> = Vec::new();
        let mut open: Vec<&Operand> = operands.iter().flatten().rev().collect();
        while let Some(operand) = open.pop() {
            match &operand.source {
                &Source::Weight(weight) => read_weights.push(weight),
                Source::Value(value) => match self.derived.get(value) {
                    Some(from) => {
                        derived_from.extend(from);
                        trail.extend(self.trails.get(value).into_iter().flatten());
                    }
                    None => signals.push(*value),
                },
                Source::Sequence(tensors) => open.extend(tensors.iter().rev()),
                Source::Known(_) | Source::Uniform(..) => {}
            }
        }
        read_weights.extend(&derived_from);
        let weighted = !read_weights.is_empty();
        if signals.is_empty() && weighted {
            // The node that reads the result takes it into its layer.
            self.current = Current::Weights(read_weights, trail);
            return;
        }
        if !weighted && signals.iter().all(|value| self.of_data.contains(value)) {
            self.current = Current::Data;
            return;
        }
        let op = &node.message.op_type[..];
        let name = match &node.message.name[..] {
            "" => format!("{op}_{}", node.position),
            name => name.to_owned(),
        };
        let path = read_weights
            .iter()
            .find_map(|&weight| layer_path(weight))
            .or_else(|| weighted.then(|| module_of(&node.message)).flatten());
        self.entries.push(Entry {
            op: op.to_owned(),
            class: Class::of(op),
            weighted,
            name,
            path: path.map(|path| self.wrapping.strip(path)),
            weights: read_weights,
            origin: Origin {
                place: node.place(),
                span: None,
            },
            trail,
        });
        self.current = Current::Entry(self.entries.len() - 1);
    }

    /// What follows belongs to no node of the file that is a layer's: it is control flow's own.
    pub fn leave(&mut self) {
        self.current = Current::Outside;
    }

    /// A value was made by the node entered last.
    pub fn made(&mut self, value: ValueId) {
        match &self.current {
            Current::Outside => {}
            Current::Data => {
                self.of_data.insert(value);
            }
            Current::Weights(from, on_the_way) => {
                self.derived.insert(value, from.clone());
                let mut trail = on_the_way.clone();
                trail.push(value);
                self.trails.insert(value, trail);
            }
            &Current::Entry(entry) => {
                self.made_by.insert(value, entry);
            }
        }
    }

    /// A value is an input.
    pub fn is_input(&mut self, value: ValueId) {
        self.of_data.insert(value);
    }

    /// The weights that a value is computed from, where it is from nothing else.
    pub fn derived_from(&self, value: ValueId) -> &[usize] {
        self.derived.get(&value).map_or(&[], Vec::as_slice)
    }

    /// Is it computed from the data, with a weight on the way?
    pub(super) fn is_signal(&self, value: ValueId) -> bool {
        !self.of_data.contains(&value) && !self.derived.contains_key(&value)
    }
}

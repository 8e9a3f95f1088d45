//! Layers with the names the user knows: a weight's path, that of the module it is used in where the
//! exporter renamed the weight, else the node's name, else the operator and its place. Bias, normalisation and activation that follow belong to the layer they follow.

use super::model::Node;
use super::modules::{FUSED_STEMS, module_of};
use super::value::{Operand, Source};
use crate::graph::{GraphBuilder, GraphError, LayerId, Origin, ValueId};
use std::collections::{HashMap, HashSet};

/// A layer so far.
#[derive(Debug)]
struct Layer {
    id: LayerId,
    parts: Vec<String>,
    weighted: bool,
    /// Did an activation come, after which a weight begins a layer of its own?
    closed: bool,
    last: Option<ValueId>,
}

/// Which layer each node and value belongs to.
#[derive(Debug, Default)]
pub(super) struct Layers {
    layers: Vec<Layer>,
    by_path: HashMap<String, usize>,
    of_value: HashMap<ValueId, usize>,
    names: HashSet<String>,
    /// Values computed from weights alone: which weights.
    derived: HashMap<ValueId, Vec<usize>>,
    /// Values that no weight has touched yet: inputs, and what is made of them alone.
    of_data: HashSet<ValueId>,
    from_data: bool,
    current: Option<usize>,
    weights_only: Vec<usize>,
    /// Values computed from weights alone: every such value on the way to them.
    trails: HashMap<ValueId, Vec<ValueId>>,
    trail: Vec<ValueId>,
}

/// What a node is to the layers around it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Activation,
    Normalisation,
    Arithmetic,
    /// Moves elements, or names them otherwise.
    Moves,
    /// Pools, reductions, resizing: a layer of its own.
    Alone,
    Other,
}

fn class(op: &str) -> Class {
    match op {
        "Relu" | "LeakyRelu" | "PRelu" | "Elu" | "Selu" | "Celu" | "Gelu" | "Sigmoid" | "Tanh"
        | "HardSigmoid" | "HardSwish" | "Mish" | "Swish" | "Softplus" | "Softsign" | "Clip"
        | "ThresholdedRelu" | "Softmax" | "LogSoftmax" | "Erf" | "Sin" | "Atan" | "Shrink" => {
            Class::Activation
        }
        "BatchNormalization"
        | "LayerNormalization"
        | "InstanceNormalization"
        | "GroupNormalization"
        | "RMSNormalization"
        | "LpNormalization"
        | "LRN" => Class::Normalisation,
        "Add" | "Sub" | "Mul" | "Div" | "Sum" => Class::Arithmetic,
        "Identity" | "Dropout" | "Cast" | "CastLike" | "Reshape" | "Flatten" | "Squeeze"
        | "Unsqueeze" | "Transpose" | "Slice" | "Split" | "Expand" => Class::Moves,
        op if op.starts_with("Reduce") || op.contains("Pool") => Class::Alone,
        "Resize" | "Upsample" | "ArgMax" | "TopK" => Class::Alone,
        _ => Class::Other,
    }
}

/// An operator as a layer's description has it; `None` for what says nothing.
fn part(op: &str, class: Class, weighted: bool) -> Option<String> {
    Some(match op {
        "Gemm" | "MatMul" | "FusedMatMul" | "TransposeMatMul" if weighted => "linear".into(),
        "Gather" if weighted => "embedding".into(),
        "BatchNormalization" => "batch-norm".into(),
        "LayerNormalization" => "layer-norm".into(),
        "InstanceNormalization" => "instance-norm".into(),
        "GroupNormalization" => "group-norm".into(),
        "RMSNormalization" => "rms-norm".into(),
        _ if class == Class::Moves => return None,
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

/// The longest description of a layer, in parts.
const MOST_PARTS: usize = 6;

impl Layers {
    /// Begins or resumes the layer of a node that reads `operands`. `weights` are the names of
    /// the file's tensors by number, where the exporter did not make them up; `is_statistic` says
    /// that others read what the node reduces.
    pub fn enter(
        &mut self,
        builder: &mut GraphBuilder,
        node: &Node,
        operands: &[Option<Operand>],
        weights: &dyn Fn(usize) -> Option<String>,
        is_statistic: bool,
    ) -> Result<(), GraphError> {
        let op = &node.message.op_type[..];
        let class = class(op);
        let mut read_weights: Vec<usize> = Vec::new();
        let mut derived_from: Vec<usize> = Vec::new();
        let mut signals: Vec<ValueId> = Vec::new();
        self.trail.clear();
        let mut open: Vec<&Operand> = operands.iter().flatten().rev().collect();
        while let Some(operand) = open.pop() {
            match &operand.source {
                &Source::Weight(weight) => read_weights.push(weight),
                Source::Value(value) => match self.derived.get(value) {
                    Some(from) => {
                        derived_from.extend(from);
                        self.trail
                            .extend(self.trails.get(value).into_iter().flatten());
                    }
                    None => signals.push(*value),
                },
                Source::Sequence(tensors) => open.extend(tensors.iter().rev()),
                Source::Known(_) | Source::Uniform(..) => {}
            }
        }
        read_weights.extend(&derived_from);
        if signals.is_empty() && !read_weights.is_empty() {
            // The node that reads the result takes it into its layer.
            self.weights_only = read_weights;
            self.current = None;
            self.from_data = false;
            builder.end_layer();
            return Ok(());
        }
        self.weights_only.clear();
        let untouched = signals.iter().all(|value| self.of_data.contains(value));
        self.from_data = read_weights.is_empty() && untouched;
        if self.from_data {
            self.current = None;
            builder.end_layer();
            return Ok(());
        }
        let mut of_signals: Vec<Option<usize>> = signals
            .iter()
            .map(|value| self.of_value.get(value).copied())
            .collect();
        of_signals.sort_unstable();
        of_signals.dedup();
        let only = match of_signals[..] {
            [only] => only,
            _ => None,
        };
        let joined = if read_weights.is_empty() {
            only.filter(|_| class != Class::Alone || is_statistic)
        } else {
            only.filter(|&layer| {
                let layer = &self.layers[layer];
                let follows = signals.len() == 1 && layer.last == signals.first().copied();
                let may_join = matches!(class, Class::Arithmetic | Class::Normalisation);
                layer.weighted && !layer.closed && follows && may_join || (op == "PRelu" && follows)
            })
        };
        let path = path(&read_weights, weights).or_else(|| {
            let weighted = !read_weights.is_empty();
            weighted.then(|| module_of(&node.message)).flatten()
        });
        let index = match (joined, path) {
            (Some(layer), _) => layer,
            (None, Some(path)) => match self.by_path.get(&path) {
                Some(&layer) if only == Some(layer) => layer,
                _ => {
                    let layer = self.begin(builder, &path, node)?;
                    self.by_path.insert(path, layer);
                    layer
                }
            },
            (None, None) => {
                let name = match &node.message.name[..] {
                    "" => format!("{op}_{}", node.position),
                    name => name.to_owned(),
                };
                self.begin(builder, &name, node)?
            }
        };
        let layer = &mut self.layers[index];
        layer.weighted |= !read_weights.is_empty();
        layer.closed |= class == Class::Activation;
        builder.resume_layer(layer.id);
        self.trail.drain(..).for_each(|value| builder.adopt(value));
        let is_bias = class == Class::Arithmetic && layer.weighted && !layer.parts.is_empty();
        let weighted = !read_weights.is_empty();
        if let Some(part) = part(op, class, weighted).filter(|_| !is_bias || !weighted)
            && layer.parts.last() != Some(&part)
        {
            if layer.parts.len() < MOST_PARTS {
                layer.parts.push(part);
            }
            builder.describe_layer(layer.parts.join(" + "));
        }
        self.current = Some(index);
        Ok(())
    }

    /// A value was made by the node entered last.
    pub fn made(&mut self, value: ValueId) {
        if self.from_data {
            self.of_data.insert(value);
        }
        if !self.weights_only.is_empty() {
            self.derived.insert(value, self.weights_only.clone());
            let mut trail = self.trail.clone();
            trail.push(value);
            self.trails.insert(value, trail);
        }
        if let Some(index) = self.current {
            self.of_value.insert(value, index);
            self.layers[index].last = Some(value);
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

    fn begin(
        &mut self,
        builder: &mut GraphBuilder,
        name: &str,
        node: &Node,
    ) -> Result<usize, GraphError> {
        let mut free = name.to_owned();
        let mut number = 1;
        while !self.names.insert(free.clone()) {
            number += 1;
            free = format!("{name} ({number})");
        }
        let origin = Origin {
            place: node.place(),
            span: None,
        };
        let id = builder.begin_layer(free, "", origin)?;
        self.layers.push(Layer {
            id,
            parts: Vec::new(),
            weighted: false,
            closed: false,
            last: None,
        });
        Ok(self.layers.len() - 1)
    }
}

/// What the layer of some weights is called; `None` if their names are made up.
fn path(read: &[usize], names: &dyn Fn(usize) -> Option<String>) -> Option<String> {
    let known = read.iter().filter_map(|&weight| names(weight));
    let told = known
        .filter(|name| !is_made_up(name))
        .map(|name| layer_of_weight(&name));
    told.into_iter().next()
}

/// Is it a name that an exporter numbered, or made of its own inner workings?
fn is_made_up(name: &str) -> bool {
    let last = name.rsplit(['/', '.']).next().unwrap_or(name);
    let last = last.trim_end_matches(":0").to_lowercase();
    let digits = |text: &str| {
        text.trim_start_matches('_')
            .chars()
            .all(|c| c.is_ascii_digit())
    };
    let numbered = |stem: &str| last.strip_prefix(stem).is_some_and(digits);
    name.starts_with("onnx::")
        || FUSED_STEMS.iter().any(|stem| name.starts_with(stem))
        || (digits(name) && !name.is_empty())
        || ["const", "constant", "val", "reshape", "constant_output"]
            .iter()
            .any(|&stem| numbered(stem))
}

/// The path of a weight without its last part: `layers.0.c1` of `layers.0.c1.weight`.
pub(super) fn layer_of_weight(name: &str) -> String {
    const ENDS: [&str; 26] = [
        "_weight_ih_l0",
        ".weight_ih_l0",
        "_weight",
        "_bias",
        "_kernel",
        "_weights",
        "_biases",
        "_W",
        "_B",
        "_w_0",
        "_b_0",
        "_w",
        "_b",
        "_offset",
        "_scale",
        "/kernel",
        "/bias",
        "/weight",
        "/w",
        "/b",
        "/gamma",
        "/beta",
        "_bn_scale_0",
        "_bn_bias_0",
        "/bn_scale_0",
        "/bn_bias_0",
    ];
    // `MatMul/ReadVariableOp:0`, and what optimisers add.
    let bare = name.split(":0").next().unwrap_or(name);
    let bare = bare.strip_suffix("/ReadVariableOp").unwrap_or(bare);
    if let Some((path, last)) = bare.rsplit_once('.')
        && !path.is_empty()
    {
        let numbered = last.chars().all(|c| c.is_ascii_digit());
        let joined = last.find("proj_").map(|at| &last[..at + 4]);
        return match joined {
            Some(part) => format!("{path}.{part}"),
            None if numbered => bare.to_owned(),
            None => path.to_owned(),
        };
    }
    let stripped = ENDS.iter().find_map(|end| bare.strip_suffix(end));
    stripped
        .filter(|path| !path.is_empty())
        .unwrap_or(bare)
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::layer_of_weight;

    #[test]
    fn a_layer_is_called_by_the_path_of_its_weight() {
        let cases = [
            ("layers.0.c1.weight", "layers.0.c1"),
            ("0.bias", "0"),
            ("w.0", "w.0"),
            ("p", "p"),
            ("r.weight_ih_l0", "r"),
            (
                "blocks.0.self_attn.in_proj_weight",
                "blocks.0.self_attn.in_proj",
            ),
            ("gpu_0/conv1_w_0", "gpu_0/conv1"),
            ("dense/kernel:0", "dense"),
            ("Parameter87", "Parameter87"),
        ];
        for (weight, layer) in cases {
            assert_eq!(layer_of_weight(weight), layer);
        }
    }
}

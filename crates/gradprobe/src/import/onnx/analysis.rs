//! What can be said of a model before it is converted: which nodes matter, which tensors are
//! weights, and which nodes compute with weights alone.

use super::messages::Tensor;
use super::model::{Flat, Node, reads};
use super::tensors::{Kind, element_type, kind};
use std::collections::{HashMap, HashSet};

/// What is known of a model's names.
#[derive(Debug, Default)]
pub(super) struct Analysis {
    /// By node: does the output depend on it?
    pub live: Vec<bool>,
    /// The node that makes a value.
    pub made_by: HashMap<String, usize>,
    /// How many live nodes read a value.
    pub readers: HashMap<String, usize>,
    /// Initialisers and constants that are trained.
    pub trained: HashSet<String>,
    /// Those of them that the exporter computed and named itself, without a path.
    pub renamed: HashSet<String>,
    /// By node: does it read nothing but weights and constants, and a weight among them? Such
    /// nodes are converted when somebody needs them.
    pub weights_only: Vec<bool>,
}

/// The inputs of an operator that hold weights.
fn weight_inputs(op: &str) -> &'static [usize] {
    match op {
        "Conv" | "ConvTranspose" | "Gemm" => &[1, 2],
        "MatMul" | "FusedMatMul" | "TransposeMatMul" => &[0, 1],
        "MultiHeadAttention" => &[3],
        "BatchNormalization"
        | "InstanceNormalization"
        | "GroupNormalization"
        | "LayerNormalization" => &[1, 2],
        "RMSNormalization" | "PRelu" => &[1],
        "LSTM" | "GRU" | "RNN" => &[1, 2, 3],
        "Gather" => &[0],
        _ => &[],
    }
}

/// Operators that hand their first input on in another form.
fn moves(op: &str) -> bool {
    matches!(
        op,
        "Identity"
            | "Reshape"
            | "Unsqueeze"
            | "Squeeze"
            | "Transpose"
            | "Cast"
            | "CastLike"
            | "Expand"
            | "Slice"
            | "Concat"
            | "Flatten"
            | "Split"
    )
}

fn is_constant(node: &Node) -> bool {
    node.is_standard() && matches!(&node.message.op_type[..], "Constant" | "ConstantOfShape")
}

/// Looks at the part of the model that `outputs` depend on.
pub(super) fn analyse(model: &Flat, outputs: &[&str]) -> Analysis {
    let mut analysis = Analysis::default();
    for (index, node) in model.nodes.iter().enumerate() {
        for output in node.message.output.iter().filter(|name| !name.is_empty()) {
            analysis.made_by.entry(output.clone()).or_insert(index);
        }
    }
    analysis.find_live(model, outputs);
    analysis.find_trained(model);
    analysis.find_weights_only(model);
    analysis
}

impl Analysis {
    fn find_live(&mut self, model: &Flat, outputs: &[&str]) {
        self.live = vec![false; model.nodes.len()];
        for &output in outputs {
            *self.readers.entry(output.to_owned()).or_default() += 1;
        }
        let mut open: Vec<usize> = outputs
            .iter()
            .filter_map(|&name| self.made_by.get(name).copied())
            .collect();
        while let Some(index) = open.pop() {
            if std::mem::replace(&mut self.live[index], true) {
                continue;
            }
            let made_by = &self.made_by;
            reads(&model.nodes[index].message, &mut |name| {
                open.extend(made_by.get(name));
            });
            let readers = &mut self.readers;
            reads(&model.nodes[index].message, &mut |name| {
                *readers.entry(name.to_owned()).or_default() += 1;
            });
        }
    }

    fn find_trained(&mut self, model: &Flat) {
        let is_float = |tensor: &&Tensor| {
            element_type(tensor.data_type).is_ok_and(|element| kind(element) == Kind::Float)
        };
        let noted = noted_parameters(model);
        let floats = || model.graph.initializer.iter().filter(is_float);
        let looks = floats().map(|tensor| (tensor, looks_trained(tensor, &noted)));
        // What an exporter computed in advance is a weight where it stands in a weight's place.
        let mut computed: HashSet<&str> = HashSet::new();
        for (tensor, looks) in looks {
            match looks {
                Looks::Trained => {
                    self.trained.insert(tensor.name.clone());
                }
                Looks::Computed => {
                    computed.insert(&tensor.name);
                }
                Looks::Fixed => {}
            }
        }
        self.find_scales(model, &computed);
        // Exporters that write every weight as a Constant node leave nothing else to go by.
        let all_constants = self.trained.is_empty() && computed.is_empty();
        let mut wanted: HashSet<&str> = HashSet::new();
        for (node, _) in model
            .nodes
            .iter()
            .zip(&self.live)
            .rev()
            .filter(|(_, live)| **live)
        {
            let message = &node.message;
            let op = &message.op_type[..];
            let inputs = &message.input;
            if is_constant(node) {
                if let Some(output) = message.output.first()
                    && wanted.contains(output.as_str())
                    && constant_is_trained(node)
                {
                    self.trained.insert(output.clone());
                }
                continue;
            }
            let arithmetic = all_constants && matches!(op, "Add" | "Mul" | "Sub" | "Div");
            let moved = moves(op) && message.output.iter().any(|name| wanted.contains(&name[..]));
            for (index, input) in inputs.iter().enumerate() {
                if weight_inputs(op).contains(&index)
                    || arithmetic
                    || (moved && (index == 0 || op == "Concat"))
                {
                    wanted.insert(input);
                    if computed.contains(input.as_str()) {
                        self.trained.insert(input.clone());
                    }
                }
            }
        }
        self.find_renamed(&computed);
    }

    /// The scale and shift of a group norm, which is written as an instance norm without any, and
    /// a product and a sum with a number a channel; the bias after a product, where it is part of
    /// a larger one.
    fn find_scales(&mut self, model: &Flat, computed: &HashSet<&str>) {
        let tensors = model.graph.initializer.iter();
        let a_channel = |tensor: &&Tensor| {
            let mut extents = tensor.dims.iter().filter(|&&extent| extent != 1);
            extents.next().is_some() && extents.next().is_none()
        };
        let vectors = tensors.filter(|tensor| computed.contains(tensor.name.as_str()));
        let vectors = vectors.filter(a_channel).map(|tensor| tensor.name.as_str());
        let vectors: HashSet<&str> = vectors.collect();
        let mut normalised: HashSet<&str> = HashSet::new();
        let mut multiplied: HashSet<&str> = HashSet::new();
        for node in &model.nodes {
            let message = &node.message;
            let op = &message.op_type[..];
            let mut inputs = message.input.iter().map(String::as_str);
            let follows = match op {
                _ if op.ends_with("Normalization") => true,
                "MatMul" => {
                    let weights = &self.trained;
                    if inputs.any(|name| computed.contains(name) || weights.contains(name)) {
                        multiplied.extend(message.output.first().map(String::as_str));
                    }
                    false
                }
                "Mul" | "Add" => {
                    let mut names = message.input.iter();
                    let scale = names.find(|name| vectors.contains(&name[..]));
                    let follows = inputs.any(|name| {
                        normalised.contains(name) || (op == "Add" && multiplied.contains(name))
                    });
                    if let (true, Some(scale)) = (follows, scale) {
                        self.trained.insert(scale.clone());
                    }
                    follows && scale.is_some()
                }
                _ => moves(op) && inputs.next().is_some_and(|name| normalised.contains(name)),
            };
            if follows {
                normalised.extend(message.output.first().map(String::as_str));
            }
        }
    }

    /// Which weights have a name that the exporter made up for what it computed.
    fn find_renamed(&mut self, computed: &HashSet<&str>) {
        let trained = self.trained.iter();
        let renamed = trained.filter(|name| computed.contains(&name[..]) && !name.contains('.'));
        self.renamed = renamed.cloned().collect();
    }

    fn find_weights_only(&mut self, model: &Flat) {
        let mut constant: HashSet<&str> = model
            .graph
            .initializer
            .iter()
            .map(|tensor| tensor.name.as_str())
            .collect();
        let mut weights: HashSet<&str> = self.trained.iter().map(String::as_str).collect();
        self.weights_only = vec![false; model.nodes.len()];
        for (index, node) in model.nodes.iter().enumerate() {
            let message = &node.message;
            let inputs = || message.input.iter().filter(|name| !name.is_empty());
            let known = |name: &String| constant.contains(&name[..]) || weights.contains(&name[..]);
            if message.op_type == "Constant" || (inputs().count() > 0 && inputs().all(known)) {
                let any_weight = inputs().any(|name| weights.contains(&name[..]));
                self.weights_only[index] = any_weight || is_constant(node);
                for output in &message.output {
                    constant.insert(output);
                    if any_weight {
                        weights.insert(output);
                    }
                }
            }
        }
    }
}

/// Which initialisers PyTorch's exporter notes to be parameters, and which not; empty for files of
/// other exporters.
fn noted_parameters(model: &Flat) -> HashMap<&str, bool> {
    const KIND: &str = "pkg.torch.export.graph_signature.InputSpec.kind";
    let values = model.graph.value_info.iter();
    let noted = values.filter_map(|value| {
        let mut notes = value.metadata_props.iter();
        let kind = &notes.find(|note| note.key == KIND)?.value;
        Some((value.name.as_str(), kind == "PARAMETER"))
    });
    noted.collect()
}

/// What a float initialiser looks like.
enum Looks {
    Trained,
    /// Computed by the exporter from others, which may be weights: a transposed one, a mask.
    Computed,
    /// Statistics and tables that PyTorch calls buffers, constants.
    Fixed,
}

fn looks_trained(tensor: &Tensor, noted: &HashMap<&str, bool>) -> Looks {
    const BUFFERS: [&str; 10] = [
        "running_mean",
        "running_var",
        "moving_mean",
        "moving_variance",
        "num_batches",
        "inv_freq",
        "cos_cached",
        "sin_cached",
        "coords_table",
        "_buffer",
    ];
    let name = tensor.name.as_str();
    match noted.get(name) {
        Some(true) => return Looks::Trained,
        Some(false) => return Looks::Fixed,
        None => {}
    }
    if BUFFERS.iter().any(|buffer| name.contains(buffer)) {
        return Looks::Fixed;
    }
    let one = tensor.dims.iter().all(|&extent| extent == 1);
    let made_up = looks_made_up(name);
    // A norm without scale and shift is written with ones and zeros of the exporter's own.
    if made_up && (one || is_uniform(tensor)) {
        return Looks::Fixed;
    }
    // A mask.
    if tensor.float_data.iter().any(|x| x.is_infinite()) {
        return Looks::Fixed;
    }
    if !noted.is_empty() || PYTORCH_STEMS.iter().any(|stem| name.starts_with(stem)) {
        return Looks::Computed;
    }
    Looks::Trained
}

/// Is every element the same?
fn is_uniform(tensor: &Tensor) -> bool {
    fn same<T: PartialEq>(elements: &[T]) -> bool {
        elements.windows(2).all(|pair| pair[0] == pair[1])
    }
    let size = element_type(tensor.data_type).map_or(1, |element| element.size());
    let mut raw = tensor.raw_data.chunks(size);
    let first = tensor.raw_data.chunks(size).next();
    raw.all(|element| Some(element) == first)
        && same(&tensor.float_data)
        && same(&tensor.double_data)
        && same(&tensor.int32_data)
}

/// How names begin that PyTorch's exporters make up.
const PYTORCH_STEMS: [&str; 6] = ["onnx::", "val_", "_val", "/", "_inlfunc", "node_"];

fn looks_made_up(name: &str) -> bool {
    const STEMS: [&str; 3] = ["scalar", "const", "Const"];
    let mut stems = PYTORCH_STEMS.iter().chain(&STEMS);
    name.chars().all(|c| c.is_ascii_digit())
        || stems.any(|stem| name.starts_with(stem))
        || name.contains(':')
        || name.contains("onstant")
        || name.contains("const_")
}

/// A constant in a weight's place is a weight if it is of float and has more than one element.
fn constant_is_trained(node: &Node) -> bool {
    if node.message.op_type == "ConstantOfShape" {
        let value = node.attribute("value").and_then(|value| value.t.as_ref());
        return value.is_none_or(|tensor| matches!(tensor.data_type, 1 | 10 | 11 | 16));
    }
    let Some(tensor) = node.attribute("value").and_then(|value| value.t.as_ref()) else {
        return node.attribute("value_floats").is_some();
    };
    let several = tensor.dims.iter().any(|&extent| extent > 1);
    several && !is_uniform(tensor) && matches!(tensor.data_type, 1 | 10 | 11 | 16)
}

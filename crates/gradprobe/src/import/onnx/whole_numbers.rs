//! Outputs of whole numbers (classes, labels, masks) have no gradient: which floating value they
//! were made from, told from the graph of the file alone.

use super::messages::{Node as Message, ValueInfo};
use super::model::{Flat, Node};
use super::tensors::{Kind, element_type, kind, stored_kind};
use std::collections::{HashMap, HashSet, VecDeque};

/// What the values of a model mean, as far as the file tells.
struct Kinds<'m> {
    model: &'m Flat,
    made_by: &'m HashMap<&'m str, usize>,
    declared: HashMap<&'m str, Kind>,
}

/// The floating value that an output of whole numbers was made from: the nearest one before it
/// that is computed from the inputs. `None` where the output itself holds floating numbers, or
/// nothing floating leads to it.
pub(super) fn last_floating_value<'m>(
    model: &'m Flat,
    made_by: &'m HashMap<&'m str, usize>,
    output: &'m str,
) -> Option<&'m str> {
    let kinds = Kinds::new(model, made_by);
    if kinds.of(output) == Kind::Float {
        return None;
    }
    let mut seen = HashSet::from([output]);
    let mut open = VecDeque::from([output]);
    while let Some(name) = open.pop_front() {
        let Some(&index) = made_by.get(name) else {
            continue;
        };
        for input in reads(&model.nodes[index].message) {
            if !seen.insert(input) || !made_by.contains_key(input) {
                continue;
            }
            if kinds.of(input) == Kind::Float && kinds.is_computed_from_inputs(input) {
                return Some(input);
            }
            open.push_back(input);
        }
    }
    None
}

/// The last floating values that are computed from the inputs, of those that `is_live` tells.
pub(super) fn floating_values<'m>(
    model: &'m Flat,
    made_by: &'m HashMap<&'m str, usize>,
    most: usize,
) -> Vec<&'m str> {
    let kinds = Kinds::new(model, made_by);
    let outputs = model
        .nodes
        .iter()
        .rev()
        .flat_map(|node| &node.message.output);
    let names = outputs.map(String::as_str).filter(|name| !name.is_empty());
    let mut found: Vec<&str> = names
        .filter(|name| kinds.of(name) == Kind::Float && kinds.is_computed_from_inputs(name))
        .take(most)
        .collect();
    found.reverse();
    found
}

fn reads(message: &Message) -> impl Iterator<Item = &str> {
    let names = message.input.iter().map(String::as_str);
    names.filter(|name| !name.is_empty())
}

impl<'m> Kinds<'m> {
    fn new(model: &'m Flat, made_by: &'m HashMap<&'m str, usize>) -> Self {
        let mut declared = HashMap::new();
        let graph = &model.graph;
        let infos = graph.input.iter().chain(&graph.output);
        declared.extend(infos.filter_map(|info| Some((info.name.as_str(), declared_kind(info)?))));
        let tensors = graph.initializer.iter();
        declared.extend(tensors.filter_map(|tensor| {
            let kind = stored_kind(tensor.data_type).ok()?;
            Some((tensor.name.as_str(), kind))
        }));
        Self {
            model,
            made_by,
            declared,
        }
    }

    /// Where nothing tells, a value is of floating numbers.
    fn of(&self, name: &str) -> Kind {
        let mut name = name;
        // Each step goes to a node before; a circle ends with the nodes.
        for _ in 0..=self.model.nodes.len() {
            if let Some(&kind) = self.declared.get(name) {
                return kind;
            }
            let Some(&index) = self.made_by.get(name) else {
                return Kind::Float;
            };
            let node = &self.model.nodes[index];
            let output = node.message.output.iter().position(|made| made == name);
            match kind_of_output(node, output.unwrap_or(0)) {
                Made::As(kind) => return kind,
                Made::LikeInput(input) => match node.message.input.get(input) {
                    Some(input) => name = input,
                    None => return Kind::Float,
                },
            }
        }
        Kind::Float
    }

    fn is_computed_from_inputs(&self, name: &str) -> bool {
        let initialisers: HashSet<&str> = self
            .model
            .graph
            .initializer
            .iter()
            .map(|tensor| tensor.name.as_str())
            .collect();
        let inputs = self.model.graph.input.iter().map(|info| info.name.as_str());
        let inputs: HashSet<&str> = inputs.filter(|name| !initialisers.contains(name)).collect();
        let mut seen = HashSet::new();
        let mut open = vec![name];
        while let Some(name) = open.pop() {
            if inputs.contains(name) {
                return true;
            }
            if let Some(&index) = self.made_by.get(name)
                && seen.insert(index)
            {
                open.extend(reads(&self.model.nodes[index].message));
            }
        }
        false
    }
}

fn declared_kind(info: &ValueInfo) -> Option<Kind> {
    match info.r#type.as_ref()?.tensor_type.as_ref()?.elem_type {
        // Labels that are texts.
        8 => Some(Kind::Int),
        number => element_type(number).ok().map(kind),
    }
}

/// What an output of a node means.
enum Made {
    As(Kind),
    /// The same as this input.
    LikeInput(usize),
}

fn kind_of_output(node: &Node, output: usize) -> Made {
    let of_type = |number: i64| {
        let number = i32::try_from(number).unwrap_or(0);
        match element_type(number) {
            Ok(element) => kind(element),
            Err(_) if number == 8 => Kind::Int,
            Err(_) => Kind::Float,
        }
    };
    match (&node.message.op_type[..], output) {
        ("ArgMax" | "ArgMin" | "NonZero" | "Shape" | "Size", _)
        | ("TopK", 1)
        | ("MaxPool" | "Unique" | "LabelEncoder" | "StringNormalizer", 1..)
        | ("NonMaxSuppression" | "LabelEncoder" | "LinearClassifier" | "SVMClassifier", 0)
        | ("TreeEnsembleClassifier", 0) => Made::As(Kind::Int),
        (
            "Equal" | "Greater" | "GreaterOrEqual" | "Less" | "LessOrEqual" | "And" | "Or" | "Not"
            | "Xor" | "IsNaN" | "IsInf",
            _,
        ) => Made::As(Kind::Bool),
        ("Cast", _) => Made::As(of_type(node.attribute("to").map_or(1, |to| to.i))),
        ("Constant" | "ConstantOfShape", _) => {
            let tensor = node.attribute("value").and_then(|value| value.t.as_ref());
            let whole = ["value_int", "value_ints", "value_string", "value_strings"];
            Made::As(match tensor {
                Some(tensor) => of_type(i64::from(tensor.data_type)),
                None if whole.iter().any(|name| node.attribute(name).is_some()) => Kind::Int,
                None => Kind::Float,
            })
        }
        ("Where" | "CastLike" | "OneHot", _) => Made::LikeInput(match &node.message.op_type[..] {
            "OneHot" => 2,
            _ => 1,
        }),
        (
            "Identity"
            | "Reshape"
            | "Flatten"
            | "Squeeze"
            | "Unsqueeze"
            | "Transpose"
            | "Slice"
            | "Gather"
            | "GatherElements"
            | "GatherND"
            | "Expand"
            | "Tile"
            | "Concat"
            | "Split"
            | "Pad"
            | "Add"
            | "Sub"
            | "Mul"
            | "Div"
            | "Mod"
            | "Neg"
            | "Abs"
            | "Min"
            | "Max"
            | "Sum"
            | "ReduceSum"
            | "ReduceMax"
            | "ReduceMin"
            | "ReduceProd"
            | "CumSum"
            | "Clip"
            | "Range"
            | "ScatterElements"
            | "ScatterND"
            | "Scatter"
            | "ArrayFeatureExtractor"
            | "Trilu"
            | "TopK"
            | "Pow"
            | "Sign"
            | "ReverseSequence"
            | "Unique",
            _,
        ) => Made::LikeInput(0),
        _ => Made::As(Kind::Float),
    }
}

//! A model made ready to be walked: functions that the file defines are put in place of their
//! calls, and every node knows which version of its operator is meant.

use super::error::{OnnxError, quoted};
use super::exporter_notes::Notes;
use super::fused::{self, Makers};
use super::messages::{
    Attribute, Function, Graph, Model, Node as Message, OperatorSet, Tensor, standard_domain,
};
use super::recognised::Recognised;
use super::tensors::is_float;
use std::collections::HashMap;

/// The most nodes, those of the functions called counted each time.
const MOST_NODES: usize = 1_000_000;
/// Functions that call functions …
const DEEPEST_CALL: usize = 30;

/// A node with the version of its operator.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub message: Message,
    /// Version of the domain's operators.
    pub opset: i64,
    /// Its place in the file, from 0.
    pub position: usize,
}

impl Node {
    /// The node in words, for messages: as the file has it.
    pub fn place(&self) -> String {
        let op = fused::written_as(&self.message).unwrap_or(&self.message.op_type);
        let op = op.escape_debug();
        match &self.message.name[..] {
            "" => format!("{op} (node {})", self.position),
            name => format!("{op} {}", quoted(name)),
        }
    }

    /// Is it one of ONNX's own?
    pub fn is_standard(&self) -> bool {
        is_standard(&self.message.domain)
    }

    pub fn attribute(&self, name: &str) -> Option<&Attribute> {
        let attributes = &self.message.attribute;
        attributes.iter().find(|attribute| attribute.name == name)
    }
}

fn is_standard(domain: &str) -> bool {
    standard_domain(domain).is_empty()
}

/// A tensor of floating-point numbers as it stands in the file, and what it became on the way.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct FileTensor {
    /// What the file calls it.
    pub name: String,
    /// How many numbers it has.
    pub elements: usize,
    /// The tensor of the flat model that holds its numbers; `None` of what stands in the body of a
    /// control-flow node.
    pub became: Option<String>,
}

/// The graph of a model, flat.
#[derive(Debug, Default)]
pub(super) struct Flat {
    pub nodes: Vec<Node>,
    pub graph: Graph,
    /// The program that wrote the file.
    pub producer: String,
    /// What it notes about the tensors.
    pub notes: Notes,
    /// Every floating-point tensor of the file.
    pub tensors: Vec<FileTensor>,
    /// What was put right on the way, in sentences.
    pub remarks: Vec<String>,
    /// Batch normalisations that were written out in the file.
    pub batch_norms: Recognised,
    /// The version of ONNX's own operators; `None` where the file does not say it.
    pub opset: Option<i64>,
}

/// The versions of ONNX's operators that are known here.
const KNOWN_OPSETS: std::ops::RangeInclusive<i64> = 7..=26;

impl Flat {
    /// What is to be said of a version of the operators that is not known here.
    pub fn unknown_version(&self) -> Option<String> {
        let (oldest, newest) = (KNOWN_OPSETS.start(), KNOWN_OPSETS.end());
        let opset = match self.opset {
            Some(opset) if KNOWN_OPSETS.contains(&opset) => return None,
            Some(opset) => opset,
            None => {
                return Some(format!(
                    "the file does not say which version of ONNX's operators it is written in \
                     (known are {oldest} to {newest}): export it again"
                ));
            }
        };
        Some(match opset < *oldest {
            true => format!(
                "opset {opset} is older than {oldest}, the oldest that is known here: convert the \
                 file (onnx.version_converter.convert_version) or export it again"
            ),
            false => format!(
                "opset {opset} is newer than {newest}, the newest that is known here, and an \
                 operator may mean something else in it: export with opset {newest} or older"
            ),
        })
    }
}

/// Puts the functions in.
pub(super) fn flatten(model: Model) -> Result<Flat, OnnxError> {
    let versions = versions(&model.opset_import);
    let mut graph = model.graph.unwrap_or_default();
    let nodes = std::mem::take(&mut graph.node);
    let mut functions = HashMap::new();
    for function in &model.functions {
        let key = (function.domain.as_str(), function.name.as_str());
        functions.insert(key, function);
    }
    let makers = Makers::of(&nodes);
    let mut inliner = Inliner {
        functions,
        makers: &makers,
        out: Vec::new(),
        calls: 0,
    };
    for (position, node) in nodes.into_iter().enumerate() {
        inliner.add(node, &versions, position, 0)?;
    }
    let nodes = inliner.out;
    let from_pytorch = model.producer_name.to_lowercase().contains("pytorch");
    // The older exporter calls its nodes by their modules: `/fc/Gemm`.
    let is_newer = |node: &Node| node.message.name.starts_with("node_");
    let from_newer_exporter = from_pytorch && nodes.iter().any(is_newer);
    let opset = versions.get("").copied();
    let mut flat = Flat {
        opset,
        notes: Notes::of(&graph, from_newer_exporter),
        nodes,
        graph,
        producer: model.producer_name,
        tensors: Vec::new(),
        remarks: Vec::new(),
        batch_norms: Recognised::default(),
    };
    flat.tensors = float_tensors(&flat);
    Ok(flat)
}

/// Initialisers, what Constant nodes hold, and both of bodies.
fn float_tensors(model: &Flat) -> Vec<FileTensor> {
    let count = |tensor: &Tensor| {
        let extents = tensor
            .dims
            .iter()
            .map(|&extent| usize::try_from(extent).unwrap_or(0));
        extents.fold(1usize, usize::saturating_mul)
    };
    let file_tensor = |name: &str, elements: usize, is_in_body: bool| FileTensor {
        name: name.to_owned(),
        elements,
        became: (!is_in_body).then(|| name.to_owned()),
    };
    let mut tensors = Vec::new();
    let of_initialisers = |graph: &Graph, is_in_body: bool, tensors: &mut Vec<FileTensor>| {
        let floats = graph.initializer.iter().filter(|tensor| is_float(tensor));
        tensors.extend(floats.map(|tensor| file_tensor(&tensor.name, count(tensor), is_in_body)));
    };
    of_initialisers(&model.graph, false, &mut tensors);
    let mut open: Vec<(&Message, bool)> = Vec::new();
    open.extend(model.nodes.iter().rev().map(|node| (&node.message, false)));
    while let Some((node, is_in_body)) = open.pop() {
        for attribute in &node.attribute {
            if let Some(body) = &attribute.g {
                of_initialisers(body, true, &mut tensors);
                open.extend(body.node.iter().map(|node| (node, true)));
            }
        }
        if node.op_type != "Constant" || !is_standard(&node.domain) {
            continue;
        }
        let elements = node.attribute.iter().find_map(|attribute| {
            let of_tensor = attribute.t.as_ref().filter(|tensor| is_float(tensor));
            match &attribute.name[..] {
                "value" => of_tensor.map(count),
                "value_float" => Some(1),
                "value_floats" => Some(attribute.floats.len()),
                _ => None,
            }
        });
        if let (Some(elements), Some(name)) = (elements, node.output.first()) {
            tensors.push(file_tensor(name, elements, is_in_body));
        }
    }
    tensors
}

fn versions(sets: &[OperatorSet]) -> HashMap<String, i64> {
    let domain = |set: &OperatorSet| {
        if is_standard(&set.domain) {
            String::new()
        } else {
            set.domain.clone()
        }
    };
    sets.iter().map(|set| (domain(set), set.version)).collect()
}

struct Inliner<'m> {
    functions: HashMap<(&'m str, &'m str), &'m Function>,
    makers: &'m Makers,
    out: Vec<Node>,
    calls: usize,
}

impl Inliner<'_> {
    /// Adds a node that calls no function of the file, or those that it stands for.
    fn add_plain(
        &mut self,
        mut node: Message,
        versions: &HashMap<String, i64>,
        position: usize,
    ) -> Result<(), OnnxError> {
        let opset = |node: &Message| {
            let domain = standard_domain(&node.domain);
            versions.get(domain).copied().unwrap_or(1)
        };
        let expanded = match fused::expand(&node, self.makers) {
            Some(expanded) => expanded,
            None => fused::expand_bodies(&mut node).map(|()| vec![node]),
        };
        for message in expanded? {
            if self.out.len() >= MOST_NODES {
                return Err(OnnxError::new(format!("has more than {MOST_NODES} nodes")));
            }
            let opset = opset(&message);
            self.out.push(Node {
                message,
                opset,
                position,
            });
        }
        Ok(())
    }

    fn add(
        &mut self,
        node: Message,
        versions: &HashMap<String, i64>,
        position: usize,
        depth: usize,
    ) -> Result<(), OnnxError> {
        let key = (node.domain.as_str(), node.op_type.as_str());
        let Some(&function) = self.functions.get(&key) else {
            return self.add_plain(node, versions, position);
        };
        self.calls += 1;
        if depth >= DEEPEST_CALL || self.calls > MOST_NODES {
            return Err(OnnxError::new(format!(
                "function {} is called more than {DEEPEST_CALL} deep",
                quoted(&function.name)
            )));
        }
        let stem = if node.name.is_empty() {
            format!("{}_{}", node.op_type, self.calls)
        } else {
            node.name.clone()
        };
        let mut names: HashMap<String, String> = HashMap::new();
        let outside = |given: &[String], index: usize| given.get(index).cloned();
        for (index, name) in function.input.iter().enumerate() {
            names.insert(
                name.clone(),
                outside(&node.input, index).unwrap_or_default(),
            );
        }
        for (index, name) in function.output.iter().enumerate() {
            let given = outside(&node.output, index).filter(|name| !name.is_empty());
            names.insert(
                name.clone(),
                given.unwrap_or_else(|| format!("{stem}/{name}")),
            );
        }
        let own = versions_of(function, versions);
        for inner in &function.node {
            for output in &inner.output {
                let renamed = || format!("{stem}/{}#{}", output, self.calls);
                names.entry(output.clone()).or_insert_with(renamed);
            }
        }
        for inner in &function.node {
            let mut inner = inner.clone();
            if !inner.name.is_empty() {
                inner.name = format!("{stem}/{}", inner.name);
            }
            if inner.metadata_props.is_empty() {
                inner.metadata_props.clone_from(&node.metadata_props);
            }
            rename(&mut inner, &names);
            inner.output.iter_mut().for_each(|name| {
                if let Some(new) = names.get(name.as_str()) {
                    name.clone_from(new);
                }
            });
            substitute(&mut inner, &node.attribute, &function.attribute_proto);
            self.add(inner, &own, position, depth + 1)?;
        }
        Ok(())
    }
}

fn versions_of(function: &Function, outer: &HashMap<String, i64>) -> HashMap<String, i64> {
    let mut own = outer.clone();
    own.extend(versions(&function.opset_import));
    own
}

/// The inputs of a node, and what graphs in its attributes take from outside, by new names.
fn rename(node: &mut Message, names: &HashMap<String, String>) {
    for input in &mut node.input {
        if let Some(new) = names.get(input.as_str()) {
            input.clone_from(new);
        }
    }
    for attribute in &mut node.attribute {
        if let Some(graph) = &mut attribute.g {
            graph.node.iter_mut().for_each(|node| rename(node, names));
            for output in &mut graph.output {
                if let Some(new) = names.get(output.name.as_str()) {
                    output.name.clone_from(new);
                }
            }
        }
    }
}

/// Attributes that stand for those of the call.
fn substitute(node: &mut Message, given: &[Attribute], defaults: &[Attribute]) {
    let found = |name: &str| {
        let mut all = given.iter().chain(defaults);
        all.find(|attribute| attribute.name == name)
    };
    node.attribute.retain_mut(|attribute| {
        if attribute.ref_attr_name.is_empty() {
            if let Some(graph) = &mut attribute.g {
                for inner in &mut graph.node {
                    substitute(inner, given, defaults);
                }
            }
            return true;
        }
        let Some(value) = found(&attribute.ref_attr_name) else {
            return false;
        };
        let name = std::mem::take(&mut attribute.name);
        *attribute = value.clone();
        attribute.name = name;
        true
    });
}

/// Every value that a node reads, graphs in its attributes included.
pub(super) fn reads(node: &Message, visit: &mut dyn FnMut(&str)) {
    for input in node.input.iter().filter(|input| !input.is_empty()) {
        visit(input);
    }
    for graph in node
        .attribute
        .iter()
        .filter_map(|attribute| attribute.g.as_ref())
    {
        for node in &graph.node {
            reads(node, visit);
        }
        for output in &graph.output {
            visit(&output.name);
        }
    }
}

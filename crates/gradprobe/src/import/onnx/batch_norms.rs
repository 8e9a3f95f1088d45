//! Batch normalisations that an exporter wrote out, put back before the model is converted.
//!
//! With its running statistics a batch normalisation is a scale and a shift a channel,
//! y = (x − mean)·γ/√(var + ε) + β, and exporters write it as such; a network in training runs on
//! the statistics of its batch instead. The forms that are known, each along one axis, first
//! (NCHW) or last (NHWC), with casts in between:
//!
//! - Sub · Mul · Add: x − mean, times γ/√(var + ε), plus β (Keras on PyTorch, JAX);
//! - Mul · Add: times γ/√(var + ε), plus β − mean·γ/√(var + ε) (Keras on TensorFlow, tf2onnx); also
//!   Mul · Sub, and Div for either factor;
//! - the same where γ, var and ε are still apart: what is made of constants alone is computed.
//!
//! Other things are a scale and a shift a channel, too: an input that is standardised, the affine part
//! of a normalisation, a scale that is trained. So there has to be evidence: names that say batch
//! norm; or that the scale is 1/√(1 + ε) everywhere, as for a network that was not trained yet; or
//! the place, right behind a convolution or a linear map (for Mul · Add: one without a bias) with
//! constants whose names the exporter made up. A value that no weight has touched yet, and what a
//! normalisation gives, are not taken by their place.

use super::constants_of_model::{Constants, Vector};
use super::messages::{Attribute, Node as Message, Tensor};
use super::model::{FileTensor, Flat, Node, reads};
use super::recognised::Recognised;
use super::weights::{is_buffer, is_made_up};
use bytes::Bytes;
use std::collections::{HashMap, HashSet};
use std::path::Path;

/// The attribute in which the converter finds how many axes there are after that of the channels.
pub(super) const AXES_AFTER: &str = "gradprobe_axes_after_channels";
/// An attribute of a whole number, and of a real one, by ONNX's numbers.
const INT: i32 = 2;
const FLOAT: i32 = 1;
/// Single precision, by ONNX's number.
const F32: i32 = 1;
/// What is added to the variance where nothing says it: Keras' and TensorFlow's own.
const USUAL_EPSILON: f64 = 1e-3;
/// The version of BatchNormalization that is put in.
const OPSET: i64 = 15;
/// What names of batch normalisations have in them, in small letters without `_`.
const MARKS: [&str; 6] = [
    "batchnorm",
    "movingmean",
    "movingvar",
    "runningmean",
    "runningvar",
    "fusedbatchnorm",
];

/// A batch normalisation that was found.
struct Found {
    /// The node that makes its output.
    last: usize,
    /// The value that is normalised.
    input: String,
    /// Axes after that of the channels.
    axes_after: usize,
    gamma: Vec<f64>,
    beta: Vec<f64>,
    mean: Vec<f64>,
    variance: Vec<f64>,
    epsilon: f64,
    by_name: bool,
    folded_variance: bool,
    /// The tensors of the file that gamma, beta and the mean are from.
    sources: [Vec<String>; 3],
}

/// Puts a BatchNormalization in place of each that is written out. Where the variance is a part of
/// the scale, it is taken to be 1, as in a network that is not trained; where the mean is a part of
/// the shift, it is taken to be 0.
pub(super) fn recognise(model: &mut Flat, folder: &Path) -> Recognised {
    let found = Search::new(model, folder).run();
    let mut recognised = Recognised::default();
    let mut taken: HashSet<String> = model
        .graph
        .initializer
        .iter()
        .map(|tensor| tensor.name.clone())
        .collect();
    for norm in found {
        recognised.by_name += usize::from(norm.by_name);
        recognised.by_structure += usize::from(!norm.by_name);
        recognised.folded_variance += usize::from(norm.folded_variance);
        put_in(model, norm, &mut taken);
    }
    recognised
}

fn put_in(model: &mut Flat, norm: Found, taken: &mut HashSet<String>) {
    let node = &model.nodes[norm.last];
    let base = base_name(&node.message);
    let parts = [
        ("gamma", norm.gamma),
        ("beta", norm.beta),
        ("moving_mean", norm.mean),
        ("moving_variance", norm.variance),
    ];
    let mut inputs = vec![norm.input];
    let mut sources = norm.sources.into_iter();
    for (part, numbers) in parts {
        let mut name = format!("{base}.{part}");
        let mut count = 1;
        while !taken.insert(name.clone()) {
            count += 1;
            name = format!("{base}_{count}.{part}");
        }
        for source in sources.next().unwrap_or_default() {
            let same = |tensor: &&mut FileTensor| {
                tensor.elements == numbers.len() && tensor.became.as_ref() == Some(&source)
            };
            // What the file says is a statistic stays one.
            if !is_buffer(&source)
                && let Some(tensor) = model.tensors.iter_mut().find(same)
            {
                tensor.became = Some(name.clone());
            }
        }
        inputs.push(name.clone());
        model.graph.initializer.push(vector(name, &numbers));
    }
    let attribute = |name: &str, kind: i32| Attribute {
        name: name.into(),
        kind,
        ..Attribute::default()
    };
    let message = Message {
        input: inputs,
        output: node.message.output.clone(),
        name: node.message.name.clone(),
        op_type: "BatchNormalization".into(),
        attribute: vec![
            Attribute {
                f: norm.epsilon as f32,
                ..attribute("epsilon", FLOAT)
            },
            Attribute {
                i: norm.axes_after as i64,
                ..attribute(AXES_AFTER, INT)
            },
        ],
        metadata_props: node.message.metadata_props.clone(),
        ..Message::default()
    };
    let position = node.position;
    model.nodes[norm.last] = Node {
        message,
        opset: OPSET,
        position,
    };
}

fn vector(name: String, numbers: &[f64]) -> Tensor {
    let bytes = numbers.iter().flat_map(|&x| (x as f32).to_le_bytes());
    Tensor {
        name,
        dims: vec![numbers.len() as i64],
        data_type: F32,
        raw_data: Bytes::from(bytes.collect::<Vec<u8>>()),
        ..Tensor::default()
    }
}

/// What the parameters are called after: the path before `batchnorm` in the node's name, else the
/// node's name, else its output's.
fn base_name(node: &Message) -> String {
    let name = match &node.name[..] {
        "" => node.output.first().map_or("batch_norm", String::as_str),
        name => name,
    };
    let name = name.trim_matches('/');
    let cut = name.to_lowercase().find("/batchnorm/");
    let base = cut.and_then(|at| name.get(..at)).unwrap_or(name);
    base.replace(':', "_")
}

/// A chain of nodes that scale and shift a value, so far.
struct Chain {
    input: String,
    axes_after: usize,
    mean: Option<Vec<f64>>,
    /// The product of the factors so far.
    scale: Option<Vector>,
    shift: Option<Vec<f64>>,
    nodes: Vec<usize>,
    names: Vec<String>,
    /// Of those names, the ones that scale, shift and mean are from.
    sources: [Vec<String>; 3],
}

struct Search<'m> {
    model: &'m Flat,
    constants: Constants<'m>,
    /// By value: the node that makes it, and those that read it.
    made_by: HashMap<&'m str, usize>,
    readers: HashMap<String, Vec<usize>>,
    used: HashSet<usize>,
}

impl<'m> Search<'m> {
    fn new(model: &'m Flat, folder: &'m Path) -> Self {
        let mut made_by = HashMap::new();
        let mut readers: HashMap<String, Vec<usize>> = HashMap::new();
        for (index, node) in model.nodes.iter().enumerate() {
            for output in &node.message.output {
                made_by.insert(output.as_str(), index);
            }
            reads(&node.message, &mut |name| {
                readers.entry(name.to_owned()).or_default().push(index);
            });
        }
        for output in &model.graph.output {
            readers
                .entry(output.name.clone())
                .or_default()
                .push(usize::MAX);
        }
        Self {
            model,
            constants: Constants::new(model, folder),
            made_by,
            readers,
            used: HashSet::new(),
        }
    }

    fn run(mut self) -> Vec<Found> {
        let mut found = Vec::new();
        for index in 0..self.model.nodes.len() {
            if self.used.contains(&index) {
                continue;
            }
            if let Some(chain) = self.chain_from(index)
                && let Some(norm) = self.judged(&chain)
            {
                self.used.extend(chain.nodes);
                found.push(norm);
            }
        }
        found
    }

    /// The scale and shift that begin with this node.
    fn chain_from(&mut self, first: usize) -> Option<Chain> {
        let op = &self.model.nodes[first].message.op_type[..];
        if !self.model.nodes[first].is_standard() || !matches!(op, "Sub" | "Mul" | "Div") {
            return None;
        }
        let (signal, vector) = self.operands(first)?;
        let mut chain = Chain {
            input: signal,
            axes_after: vector.axes_after,
            mean: None,
            scale: None,
            shift: None,
            nodes: Vec::new(),
            names: Vec::new(),
            sources: Default::default(),
        };
        let mut next = Some(first);
        while let Some(index) = next {
            let node = &self.model.nodes[index];
            if !matches!(&node.message.op_type[..], "Cast" | "Identity") {
                let operands = self.operands(index);
                let fits = |(_, vector): &(String, Vector)| vector.axes_after == chain.axes_after;
                let Some((_, vector)) = operands.filter(fits) else {
                    break;
                };
                if !chain.take(&node.message.op_type, vector) {
                    break;
                }
                chain.nodes.push(index);
            }
            if chain.shift.is_some() {
                break;
            }
            let output = node.message.output.first()?;
            next = match self.readers.get(output).map(Vec::as_slice) {
                Some(&[reader]) if reader != usize::MAX => Some(reader),
                _ => None,
            };
        }
        chain.scale.is_some().then_some(chain)
    }

    /// The signal of an elementwise node, and the numbers a channel that are its other operand; a
    /// difference and a quotient have the numbers second.
    fn operands(&mut self, index: usize) -> Option<(String, Vector)> {
        let message = &self.model.nodes[index].message;
        let [a, b] = &message.input[..] else {
            return None;
        };
        if let Some(vector) = self.constants.vector(b) {
            return Some((a.clone(), vector)).filter(|_| !self.constants.is_constant(a));
        }
        let commutes = matches!(&message.op_type[..], "Add" | "Mul");
        let vector = commutes.then(|| self.constants.vector(a)).flatten()?;
        Some((b.clone(), vector))
    }

    fn judged(&self, chain: &Chain) -> Option<Found> {
        let scale = chain.scale.as_ref()?;
        let last = *chain.nodes.last()?;
        let by_name = self.says_batch_norm(chain);
        let fresh = fresh_epsilon(&scale.numbers);
        if !by_name && !self.stands_like_one(chain, fresh.is_some()) {
            return None;
        }
        let width = scale.numbers.len();
        let root = scale.root.as_ref();
        let epsilon = root.map(|root| root.epsilon).or(fresh);
        let epsilon = epsilon.unwrap_or(USUAL_EPSILON);
        let variance = root.map_or_else(|| vec![1.0; width], |root| root.variance.clone());
        let mean = chain.mean.clone().unwrap_or_else(|| vec![0.0; width]);
        let gamma = scale.numbers.iter().zip(&variance);
        let gamma = gamma.map(|(scale, variance)| scale * (variance + epsilon).sqrt());
        // To the nearest float: γ of 1 is 1 again.
        let gamma: Vec<f64> = gamma.map(settled).collect();
        let beta = chain.shift.clone().unwrap_or_else(|| vec![0.0; width]);
        Some(Found {
            last,
            input: chain.input.clone(),
            axes_after: chain.axes_after,
            gamma,
            beta,
            mean,
            variance,
            epsilon,
            by_name,
            folded_variance: root.is_none(),
            sources: chain.sources.clone(),
        })
    }

    /// Do names of the nodes, of the constants or of the modules say batch norm?
    fn says_batch_norm(&self, chain: &Chain) -> bool {
        let nodes = chain
            .nodes
            .iter()
            .map(|&node| &self.model.nodes[node].message);
        let of_nodes = nodes.flat_map(|node| {
            let notes = node.metadata_props.iter().map(|entry| &entry.value);
            [&node.name].into_iter().chain(&node.output).chain(notes)
        });
        of_nodes.chain(&chain.names).any(|name| {
            let name = name.to_lowercase().replace('_', "");
            MARKS.iter().any(|mark| name.contains(mark))
        })
    }

    /// Does it stand where a batch normalisation does, with numbers that nobody gave a name?
    fn stands_like_one(&self, chain: &Chain, is_fresh: bool) -> bool {
        let made_up = chain.names.iter().all(|name| says_nothing(name));
        let Some(maker) = self.maker(&chain.input) else {
            return false;
        };
        let after_map = match &maker.op_type[..] {
            "Conv" | "ConvTranspose" | "Gemm" | "MatMul" => true,
            "Add" => self.is_bias_of_map(maker),
            _ => false,
        };
        let has_bias = maker.op_type == "Add" || maker.input.get(2).is_some();
        let whole = chain.mean.is_some() && chain.shift.is_some();
        let place = after_map && (whole || (chain.shift.is_some() && !has_bias));
        let of_two = matches!(&maker.op_type[..], "Mul" | "Div" | "Sub");
        let normalises = maker.op_type.ends_with("Normalization") || maker.op_type == "LRN";
        let has_shift = chain.shift.is_some() || chain.mean.is_some();
        made_up && !normalises && !of_two && (place || (is_fresh && has_shift))
    }

    /// Does it add known numbers to what a linear map gives?
    fn is_bias_of_map(&self, node: &Message) -> bool {
        let makers = node.input.iter().filter_map(|name| self.maker(name));
        let mut maps = makers.filter(|maker| {
            matches!(
                &maker.op_type[..],
                "Conv" | "ConvTranspose" | "Gemm" | "MatMul"
            )
        });
        let known = node
            .input
            .iter()
            .any(|name| self.constants.is_constant(name));
        known && maps.next().is_some()
    }

    /// The node that makes a value, looking through what only renames its elements.
    fn maker(&self, name: &str) -> Option<&'m Message> {
        let mut name = name;
        loop {
            let node = &self.model.nodes[*self.made_by.get(name)?].message;
            match &node.op_type[..] {
                "Cast" | "Identity" | "Transpose" | "Reshape" | "Squeeze" | "Unsqueeze" => {
                    name = node.input.first()?;
                }
                _ => return Some(node),
            }
        }
    }
}

impl Chain {
    /// Takes a further operation in; `false` if it is none of a batch normalisation's.
    fn take(&mut self, op: &str, vector: Vector) -> bool {
        let width = |numbers: &Vec<f64>| numbers.len() == vector.numbers.len();
        let fits = self.mean.as_ref().is_none_or(width)
            && self
                .scale
                .as_ref()
                .is_none_or(|scale| width(&scale.numbers));
        if !fits {
            return false;
        }
        let names = vector.names.clone();
        let part = match (op, &self.scale) {
            ("Sub", None) => 2,
            ("Add" | "Sub", _) => 1,
            _ => 0,
        };
        match (op, &self.scale) {
            ("Sub", None) if self.mean.is_none() => self.mean = Some(vector.numbers),
            ("Mul", None) => self.scale = Some(vector),
            ("Mul", Some(scale)) => self.scale = Some(scale.times(&vector)),
            ("Div", None) => self.scale = Some(vector.inverse()),
            ("Div", Some(scale)) => self.scale = Some(scale.times(&vector.inverse())),
            ("Add", Some(_)) => self.shift = Some(vector.numbers),
            ("Sub", Some(_)) => {
                self.shift = Some(vector.numbers.iter().map(|x| -x).collect());
            }
            _ => return false,
        }
        self.sources[part].extend(names.iter().cloned());
        self.names.extend(names);
        true
    }
}

/// ε, where the scale is 1/√(1 + ε) in every channel: γ and the variance are 1.
fn fresh_epsilon(scale: &[f64]) -> Option<f64> {
    const LEAST: f64 = 5e-7;
    const MOST: f64 = 0.1;
    let first = *scale.first()?;
    let epsilon = 1.0 / (first * first) - 1.0;
    // A float's own rounding makes 2e-7 of an ε of 1e-5.
    let decade = 10f64.powf(epsilon.abs().log10().round());
    let usual = [decade, 2.0 * decade, 5.0 * decade, 0.5 * decade];
    let near = usual
        .into_iter()
        .find(|usual| (epsilon - usual).abs() <= 4e-7);
    let same = scale.iter().all(|&x| x == first);
    near.filter(|_| same && first < 1.0 && (LEAST..=MOST).contains(&epsilon))
}

/// The number, or the whole one that it is within a float's rounding.
fn settled(x: f64) -> f64 {
    let whole = x.round();
    if (x - whole).abs() <= 2.0 * f64::from(f32::EPSILON) {
        whole
    } else {
        x
    }
}

/// A name that says nothing of the number: one that an exporter made up, or one letter.
fn says_nothing(name: &str) -> bool {
    let is_short = name.trim_end_matches(|c: char| c.is_ascii_digit()).len() <= 1;
    is_short || is_made_up(name)
}

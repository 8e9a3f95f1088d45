//! Inputs: where their numbers come from.

use super::analysis::Analysis;
use super::error::{OnnxError, quoted};
use super::messages::ValueInfo;
use super::model::Flat;
use super::options::OnnxOptions;
use super::sizes::{Dims, Sizes};
use super::tensors::{self, Kind, element_type};
use crate::data::{Array, Synthetic, read_arrays};
use crate::num::{Shape, Tensor};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// What lengths of sequences are drawn as: as much as there is room for, and no less.
const WHOLE: usize = 32;
/// Below which whole numbers are drawn that index nothing.
const BELOW: usize = 2;

/// An input of the network.
#[derive(Clone, Debug)]
pub(super) struct InputPlan {
    pub name: String,
    pub kind: Kind,
    pub shape: Shape,
    /// Are these the lengths of sequences?
    pub is_lengths: bool,
    from: From,
}

#[derive(Clone, Debug)]
enum From {
    Given(Arc<Tensor<f64>>),
    Drawn(Synthetic),
    /// The lengths of sequences, none of which ends early.
    WholeLengths,
}

impl InputPlan {
    /// Its numbers in the run of a seed.
    pub fn draw(&self, seed: u64) -> Tensor<f64> {
        match &self.from {
            From::Given(tensor) => Tensor::clone(tensor),
            From::Drawn(synthetic) => synthetic.draw(&self.shape, seed, &self.name),
            From::WholeLengths => {
                let count = self.shape.element_count();
                Tensor::new(self.shape.clone(), vec![WHOLE as f64; count])
            }
        }
    }

    pub fn is_given(&self) -> bool {
        matches!(self.from, From::Given(_))
    }

    /// Does it say that every sequence is as long as there is room for?
    pub fn is_whole_lengths(&self) -> bool {
        matches!(self.from, From::WholeLengths)
    }

    /// What is in it, in words.
    pub fn about(&self) -> String {
        let drawn = match self.from {
            From::Given(_) => "given".into(),
            From::WholeLengths => "the whole length".into(),
            From::Drawn(Synthetic::Ids { below }) => format!("whole numbers below {below}"),
            From::Drawn(Synthetic::Constant { value }) => format!("{value} everywhere"),
            From::Drawn(_) => "standard normal".into(),
        };
        format!("{} {} {drawn}", quoted(&self.name), self.shape)
    }
}

/// The arrays that the user gave, by name.
pub(super) fn given(
    options: &OnnxOptions,
    limit: u64,
) -> Result<HashMap<String, Arc<Tensor<f64>>>, OnnxError> {
    let read = |path| read_arrays(path, limit).map_err(|error| OnnxError::new(error.to_string()));
    let mut given = HashMap::new();
    if let Some(path) = &options.data {
        for Array { name, tensor } in read(path)? {
            given.insert(name, Arc::new(tensor));
        }
    }
    for (name, path) in &options.inputs {
        let mut arrays = read(path)?;
        let named = arrays.iter().position(|array| array.name == *name);
        let array = match named {
            Some(at) => arrays.swap_remove(at),
            None if arrays.len() == 1 => arrays.remove(0),
            None => {
                let message = format!(
                    "`{}` has no array {}",
                    path.display().to_string().escape_debug(),
                    quoted(name)
                );
                return Err(OnnxError::new(message));
            }
        };
        given.insert(name.clone(), Arc::new(array.tensor));
    }
    Ok(given)
}

/// Plans every input that a live node reads.
pub(super) fn plan(
    model: &Flat,
    analysis: &Analysis,
    read: &HashSet<&str>,
    options: &OnnxOptions,
    given: &HashMap<String, Arc<Tensor<f64>>>,
    sizes: &mut Sizes,
) -> Result<Vec<InputPlan>, OnnxError> {
    let initialisers: HashSet<&str> = model
        .graph
        .initializer
        .iter()
        .map(|tensor| tensor.name.as_str())
        .collect();
    let all = model.graph.input.iter();
    let all: Vec<&ValueInfo> = all
        .filter(|info| !initialisers.contains(info.name.as_str()))
        .collect();
    for (name, _) in &options.inputs {
        if !all.iter().any(|info| info.name == *name) {
            let names = all.iter().map(|info| quoted(&info.name));
            let names: Vec<String> = names.collect();
            return Err(OnnxError::new(format!("has no input {}", quoted(name)))
                .help(format!("it has {}", names.join(", "))));
        }
    }
    let mut dims = Dims::new(options, sizes);
    for info in &all {
        if let Some(tensor) = given.get(&info.name) {
            dims.bind(info, tensor.shape())?;
        }
    }
    let mut plans = Vec::new();
    for info in all
        .into_iter()
        .filter(|info| read.contains(info.name.as_str()))
    {
        let at = |error: OnnxError| error.at(format!("input {}", quoted(&info.name)));
        let of_tensor = info
            .r#type
            .as_ref()
            .and_then(|known| known.tensor_type.as_ref());
        let of_tensor = of_tensor.ok_or_else(|| {
            at(OnnxError::new(
                "is no tensor; sequences and maps are not supported",
            ))
        })?;
        let kind = tensors::kind(element_type(of_tensor.elem_type).map_err(at)?);
        let given = given.get(&info.name);
        let shape = match given {
            Some(tensor) => tensor.shape().clone(),
            None => dims.shape(info).map_err(at)?,
        };
        let is_lengths = kind == Kind::Int && are_lengths(model, &info.name);
        let from = match given {
            Some(tensor) => From::Given(Arc::clone(tensor)),
            None if is_lengths => From::WholeLengths,
            None => From::Drawn(draw(model, analysis, info, kind)),
        };
        plans.push(InputPlan {
            name: info.name.clone(),
            kind,
            shape,
            is_lengths,
            from,
        });
    }
    dims.all_used()?;
    Ok(plans)
}

/// Are these the lengths of the sequences of a recurrent layer, or of the keys of an attention?
fn are_lengths(model: &Flat, name: &str) -> bool {
    model.nodes.iter().any(|node| {
        let position = match &node.message.op_type[..] {
            "LSTM" | "GRU" | "RNN" => 4,
            "Attention" => 6,
            _ => return false,
        };
        node.message
            .input
            .get(position)
            .is_some_and(|input| input == name)
    })
}

/// What an input is drawn from: standard normal numbers, or whole numbers that index what they are
/// used to look up in.
fn draw(model: &Flat, analysis: &Analysis, info: &ValueInfo, kind: Kind) -> Synthetic {
    let lower = info.name.to_lowercase();
    // In PyTorch's own attention what is true is left out; elsewhere what is 1 is looked at.
    let leaves_out = ["key_padding_mask", "src_mask", "tgt_mask", "memory_mask"];
    if leaves_out.iter().any(|mask| lower.contains(mask)) {
        return Synthetic::Constant { value: 0.0 };
    }
    let of_attention = ["attention_mask", "attn_mask"];
    let is_mask = kind == Kind::Int && lower.contains("mask")
        || of_attention.iter().any(|mask| lower.contains(mask));
    if kind == Kind::Bool || is_mask {
        return Synthetic::Constant { value: 1.0 };
    }
    match rows_looked_up(model, analysis, &info.name) {
        Some(below) => Synthetic::Ids { below },
        None if kind == Kind::Int => Synthetic::Ids { below: BELOW },
        None => Synthetic::default(),
    }
}

/// How many rows the smallest table has that an input indexes, or that it is compared with.
fn rows_looked_up(model: &Flat, analysis: &Analysis, name: &str) -> Option<usize> {
    let tensors: HashMap<&str, _> = model
        .graph
        .initializer
        .iter()
        .map(|tensor| (tensor.name.as_str(), tensor))
        .collect();
    let mut same: HashSet<&str> = HashSet::from([name]);
    let mut rows: Option<usize> = None;
    let mut at_most = |found: Option<usize>| {
        if let Some(found) = found.filter(|&found| found > 0) {
            rows = Some(rows.map_or(found, |rows| rows.min(found)));
        }
    };
    for (node, _) in model
        .nodes
        .iter()
        .zip(&analysis.live)
        .filter(|(_, live)| **live)
    {
        let message = &node.message;
        let input = |index: usize| message.input.get(index).map(String::as_str);
        let reads = |index: usize| input(index).is_some_and(|name| same.contains(name));
        match &message.op_type[..] {
            "Gather" if reads(1) => at_most(input(0).and_then(|table| {
                let axis = node.attribute("axis").map_or(0, |axis| axis.i);
                let extent = tensors.get(table)?.dims.get(usize::try_from(axis).ok()?)?;
                usize::try_from(*extent).ok()
            })),
            "OneHot" if reads(0) => at_most(input(1).and_then(|depth| {
                let tensor = tensors::read(tensors.get(depth)?, std::path::Path::new("")).ok()?;
                let wide = tensor.wide();
                wide.data().first().map(|&depth| depth as usize)
            })),
            "Equal" if reads(0) || reads(1) => {
                let other = if reads(0) { 1 } else { 0 };
                at_most(input(other).and_then(|table| {
                    let tensor = tensors::read(tensors.get(table)?, std::path::Path::new(""));
                    let wide = tensor.ok()?.wide();
                    let largest = wide.data().iter().fold(0.0f64, |a, &b| a.max(b));
                    (wide.data().len() > 1).then_some(largest as usize + 1)
                }));
            }
            "Cast" | "Identity" | "Reshape" | "Unsqueeze" | "Squeeze" | "Transpose" | "Flatten"
            | "Expand" | "Slice" | "Concat"
                if reads(0) =>
            {
                same.extend(message.output.first().map(String::as_str));
            }
            _ => {}
        }
    }
    rows
}

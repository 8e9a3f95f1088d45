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
    /// Its numbers on every seed, where it decides the course of the network.
    decides: Option<Arc<Tensor<f64>>>,
}

#[derive(Clone, Debug)]
enum From {
    Given(Arc<Tensor<f64>>),
    Drawn(Synthetic),
    /// Whole numbers below 2, since nothing says what they index or mean.
    Guessed,
    /// The lengths of sequences, none of which ends early.
    WholeLengths,
}

impl InputPlan {
    /// Its numbers in the run of a seed, of so many batches one after the other.
    pub fn draw(&self, seed: u64, turns: usize) -> Vec<Tensor<f64>> {
        if let Some(fixed) = &self.decides {
            return vec![Tensor::clone(fixed); turns];
        }
        let mut shape = self.shape.clone();
        if let Some(rows) = shape.0.first_mut() {
            *rows *= turns;
        }
        let all = match &self.from {
            From::Given(tensor) => Tensor::clone(tensor),
            From::Drawn(synthetic) => synthetic.draw(&shape, seed, &self.name),
            From::Guessed => Synthetic::Ids { below: BELOW }.draw(&shape, seed, &self.name),
            From::WholeLengths => {
                let count = shape.element_count();
                Tensor::new(shape, vec![WHOLE as f64; count])
            }
        };
        in_turns(&all, &self.shape, turns)
    }

    pub fn is_given(&self) -> bool {
        matches!(self.from, From::Given(_))
    }

    /// Is it so made up that it may make no sense to the network: whole numbers of a meaning that
    /// nothing tells, lengths, masks?
    pub fn is_doubtful(&self) -> bool {
        match self.from {
            From::Guessed | From::WholeLengths => true,
            From::Drawn(Synthetic::Constant { .. }) => self.decides.is_none(),
            From::Drawn(_) | From::Given(_) => false,
        }
    }

    /// What is looked up by it has so many rows.
    pub fn indexes(&mut self, rows: usize) {
        self.from = match self.from {
            From::Guessed => From::Drawn(Synthetic::Ids { below: rows }),
            From::Drawn(Synthetic::Ids { below }) => From::Drawn(Synthetic::Ids {
                below: below.min(rows),
            }),
            _ => return,
        };
    }

    /// It decides the course of the network by these numbers, which it has on every seed then.
    pub fn decides(&mut self, numbers: &Arc<Tensor<f64>>) {
        self.decides = Some(Arc::clone(numbers));
    }

    /// Does it decide the course of the network?
    pub fn decides_the_course(&self) -> bool {
        self.decides.is_some()
    }

    /// Does it decide the course of the network, and differ from sample to sample?
    pub fn decides_by_samples(&self) -> bool {
        self.decides.is_some() && !self.shape.is_empty()
    }

    /// Does it say that every sequence is as long as there is room for?
    pub fn is_whole_lengths(&self) -> bool {
        matches!(self.from, From::WholeLengths)
    }

    /// What is in it, in words.
    pub fn about(&self) -> String {
        let drawn = match (&self.from, self.decides.as_deref().map(Tensor::data)) {
            (From::Given(_), _) => "given".into(),
            (_, Some([value])) => format!("{value}"),
            (From::WholeLengths, _) => "the whole length".into(),
            (From::Guessed, _) => format!("whole numbers below {BELOW}"),
            (From::Drawn(Synthetic::Ids { below }), _) => format!("whole numbers below {below}"),
            (From::Drawn(Synthetic::Constant { value }), _) => format!("{value} everywhere"),
            (From::Drawn(_), _) => "standard normal".into(),
        };
        format!("{} {} {drawn}", quoted(&self.name), self.shape)
    }

    /// Its numbers where there are few, else nothing, in words: ` = 16000`.
    pub fn value_in_words(&self) -> String {
        const MOST: usize = 4;
        let numbers = self.decides.as_deref().map(Tensor::data);
        match numbers {
            Some(numbers) if !numbers.is_empty() && numbers.len() <= MOST => {
                let shown: Vec<String> = numbers.iter().map(f64::to_string).collect();
                format!(" = {}", shown.join(","))
            }
            _ => String::new(),
        }
    }
}

/// Cuts what holds several batches along the first axis; what holds one is the same every time.
pub(super) fn in_turns(all: &Tensor<f64>, shape: &Shape, turns: usize) -> Vec<Tensor<f64>> {
    let count = shape.element_count();
    let batch = |turn: usize| {
        let from = if all.data().len() == count {
            0
        } else {
            turn * count
        };
        let data = all.data().get(from..from + count).unwrap_or_default();
        Tensor::new(shape.clone(), data.to_vec())
    };
    (0..turns).map(batch).collect()
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

/// An input that is given as numbers: as many as it has elements, a list, or one for all elements.
fn of_numbers(
    info: &ValueInfo,
    numbers: &[f64],
    dims: &mut Dims<'_>,
) -> Result<Arc<Tensor<f64>>, OnnxError> {
    let data = numbers.to_vec();
    if let [value] = numbers {
        let shape = dims.shape(info)?;
        let count = shape.element_count();
        return Ok(Arc::new(Tensor::new(shape, vec![*value; count])));
    }
    let list = Shape::from([data.len()]);
    let shape = match dims.bind(info, &list) {
        Ok(_) => list,
        Err(error) => match dims.shape(info) {
            Ok(shape) if shape.element_count() == data.len() => shape,
            _ => return Err(error.help("more than a list is given as a file: NAME=FILE.npy")),
        },
    };
    Ok(Arc::new(Tensor::new(shape, data)))
}

/// What is wrong with numbers for an input of this kind, in words.
fn check_numbers(kind: Kind, numbers: &[f64]) -> Result<(), OnnxError> {
    let fits = |x: &&f64| match kind {
        Kind::Float => true,
        Kind::Int => x.fract() == 0.0,
        Kind::Bool => **x == 0.0 || **x == 1.0,
    };
    match numbers.iter().find(|x| !fits(x)) {
        Some(wrong) if kind == Kind::Int => {
            Err(OnnxError::new(format!("holds whole numbers, got {wrong}")))
        }
        Some(wrong) => Err(OnnxError::new(format!("holds 0 or 1, got {wrong}"))),
        None => Ok(()),
    }
}

/// The inputs of a model, and how many batches one after the other were given for them.
pub(super) struct Planned {
    pub inputs: Vec<InputPlan>,
    /// Batches that were given, one after the other.
    pub turns_given: Option<usize>,
    /// Does the file fix the batch of the first input?
    pub is_batch_fixed: bool,
}

/// Plans every input that a live node reads.
pub(super) fn plan(
    model: &Flat,
    analysis: &Analysis,
    read: &HashSet<&str>,
    options: &OnnxOptions,
    given: &HashMap<String, Arc<Tensor<f64>>>,
    sizes: &mut Sizes,
) -> Result<Planned, OnnxError> {
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
    let named = options.inputs.iter().map(|(name, _)| name);
    for name in named.chain(options.numbers.iter().map(|(name, _)| name)) {
        if !all.iter().any(|info| info.name == *name) {
            let names = all.iter().map(|info| quoted(&info.name));
            let names: Vec<String> = names.collect();
            return Err(OnnxError::new(format!("has no input {}", quoted(name)))
                .help(format!("it has {}", names.join(", "))));
        }
    }
    let mut dims = Dims::new(options, sizes);
    let mut shapes: HashMap<&str, Shape> = HashMap::new();
    for info in &all {
        if let Some(tensor) = given.get(&info.name) {
            shapes.insert(&info.name, dims.bind(info, tensor.shape())?);
        }
    }
    let mut plans = Vec::new();
    let mut is_batch_fixed = false;
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
        let numbers = options.numbers.iter().rfind(|(name, _)| *name == info.name);
        let given = match numbers {
            Some((_, numbers)) => {
                check_numbers(kind, numbers).map_err(at)?;
                Some(of_numbers(info, numbers, &mut dims).map_err(at)?)
            }
            None => given.get(&info.name).cloned(),
        };
        let shape = match (shapes.remove(&info.name[..]), &given) {
            (Some(shape), _) if numbers.is_none() => shape,
            (_, Some(tensor)) => tensor.shape().clone(),
            (_, None) => dims.shape(info).map_err(at)?,
        };
        if plans.iter().all(|plan: &InputPlan| plan.shape.is_empty()) {
            is_batch_fixed = dims.fixes_batch(info);
        }
        let is_lengths = kind == Kind::Int && are_lengths(model, &info.name);
        let from = match given {
            Some(tensor) => From::Given(tensor),
            None if is_lengths => From::WholeLengths,
            None => draw(model, analysis, info, kind),
        };
        plans.push(InputPlan {
            name: info.name.clone(),
            kind,
            shape,
            is_lengths,
            from,
            decides: None,
        });
    }
    dims.all_used()?;
    Ok(Planned {
        turns_given: dims.turns(),
        inputs: plans,
        is_batch_fixed,
    })
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
fn draw(model: &Flat, analysis: &Analysis, info: &ValueInfo, kind: Kind) -> From {
    let lower = info.name.to_lowercase();
    // In PyTorch's own attention what is true is left out; elsewhere what is 1 is looked at.
    let leaves_out = ["key_padding_mask", "src_mask", "tgt_mask", "memory_mask"];
    if leaves_out.iter().any(|mask| lower.contains(mask)) {
        return From::Drawn(Synthetic::Constant { value: 0.0 });
    }
    let of_attention = ["attention_mask", "attn_mask"];
    let is_mask = kind == Kind::Int && lower.contains("mask")
        || of_attention.iter().any(|mask| lower.contains(mask));
    if kind == Kind::Bool || is_mask {
        return From::Drawn(Synthetic::Constant { value: 1.0 });
    }
    match rows_looked_up(model, analysis, &info.name) {
        Some(below) => From::Drawn(Synthetic::Ids { below }),
        None if kind == Kind::Int => match compared_with(model, info) {
            Some(value) => From::Drawn(Synthetic::Constant { value }),
            None => From::Guessed,
        },
        None => From::Drawn(Synthetic::default()),
    }
}

/// The number that an input of one element is compared with: a switch is drawn as that, a sampling
/// rate.
fn compared_with(model: &Flat, info: &ValueInfo) -> Option<f64> {
    let name = info.name.as_str();
    let shape = info.r#type.as_ref()?.tensor_type.as_ref()?.shape.as_ref()?;
    if shape.dim.iter().any(|extent| extent.dim_value != Some(1)) {
        return None;
    }
    let equal = model.nodes.iter().find(|node| {
        let message = &node.message;
        message.op_type == "Equal" && message.input.iter().any(|input| input == name)
    })?;
    let other = equal.message.input.iter().find(|input| *input != name)?;
    let stored = model
        .graph
        .initializer
        .iter()
        .find(|tensor| tensor.name == *other);
    let made = model.nodes.iter().find(|node| {
        node.message.op_type == "Constant" && node.message.output.first() == Some(other)
    });
    let value = made.and_then(|node| node.attribute("value")?.t.as_ref());
    let tensor = tensors::read(stored.or(value)?, std::path::Path::new("")).ok()?;
    match tensor.wide().data() {
        [value] => Some(*value),
        _ => None,
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

//! How large the inputs are: what the file fixes, what the user asks for, and what is taken where
//! both leave it open.

use super::error::{OnnxError, quoted};
use super::messages::{Dimension, ValueInfo};
use super::options::OnnxOptions;
use super::tensors;
use crate::num::Shape;
use std::collections::{BTreeSet, HashMap, HashSet};

/// Samples in a batch where the file leaves it open.
pub(super) const BATCH: usize = 8;
/// Batch sizes tried that the file fixes for another input.
const MOST_BATCHES: usize = 4;

/// What the extents are taken to be that the file leaves open.
#[derive(Clone, Debug, Default)]
pub(super) struct Sizes {
    /// Samples in a batch.
    pub batch: usize,
    /// Height and width of images.
    pub side: usize,
    /// Any other: tokens, steps of a sequence.
    pub length: usize,
    /// The dimensions that were taken to be so, with their extents.
    pub chosen: Vec<(String, usize)>,
    /// Was a batch size, a side, a length needed?
    is_open: [bool; 3],
}

impl Sizes {
    /// What is tried, one after the other, until the model takes it: another input or a Reshape may
    /// fix the batch, a table of positions may have fewer rows, a small image may come to nothing on the
    /// way, a window may be wider than a short signal is long.
    pub fn tried(options: &OnnxOptions, inputs: &[ValueInfo]) -> Vec<Self> {
        let batch = options.batch.unwrap_or(BATCH);
        let of = |batch, (side, length)| Self {
            batch,
            side,
            length,
            ..Self::default()
        };
        const USUAL: (usize, usize) = (64, 32);
        const SHORT: [(usize, usize); 3] = [(64, 16), (64, 8), (64, 4)];
        const OTHER: [(usize, usize); 3] = [(224, 32), (32, 32), (128, 128)];
        const LONG: [(usize, usize); 4] = [(64, 64), (64, 512), (64, 4096), (64, 16_000)];
        let mut batches = fixed_batches(inputs);
        if options.batch.is_none() && !batches.contains(&1) {
            // What was traced with one sample may have it written into a Reshape.
            batches.push(1);
        }
        batches.retain(|&other| other != batch);
        let mut tried = vec![of(batch, USUAL)];
        tried.extend(batches.iter().map(|&batch| of(batch, USUAL)));
        let sizes = SHORT.into_iter().chain(OTHER).chain(LONG);
        tried.extend(sizes.clone().map(|size| of(batch, size)));
        for &batch in &batches {
            tried.extend(sizes.clone().map(|size| of(batch, size)));
        }
        tried
    }

    /// What of these sizes was needed by the first attempt, to tell whether two differ.
    pub fn needed(&self, first: &Self) -> [usize; 3] {
        let mut needed = [self.batch, self.side, self.length];
        for (extent, is_open) in needed.iter_mut().zip(first.is_open) {
            if !is_open {
                *extent = 0;
            }
        }
        needed
    }

    /// The dimensions that were chosen, in words; empty where there is none.
    pub fn in_words(&self) -> String {
        const MOST: usize = 8;
        let mut listed: Vec<String> = Vec::new();
        for (name, extent) in &self.chosen {
            let one = format!("{} = {extent}", quoted(name));
            if !listed.contains(&one) {
                listed.push(one);
            }
        }
        listed.truncate(MOST);
        listed.join(", ")
    }
}

/// The batch sizes that inputs fix: their first extents, and their second ones, where the states of
/// recurrent layers have the samples.
fn fixed_batches(inputs: &[ValueInfo]) -> Vec<usize> {
    let mut found = Vec::new();
    for axis in 0..2 {
        for info in inputs {
            let dimension = dimensions(info).and_then(|dimensions| dimensions.get(axis));
            let extent = dimension.and_then(fixed);
            found.extend(extent.filter(|extent| !found.contains(extent)));
        }
    }
    // One is the usual.
    found.sort_by_key(|&extent| extent != 1);
    found.truncate(MOST_BATCHES);
    found
}

/// The extents of free dimensions.
pub(super) struct Dims<'o> {
    asked: &'o [(String, usize)],
    /// Is the size of a batch asked for?
    batch_asked: bool,
    /// How many batches of the size that the file fixes are given, one after the other.
    turns: Option<usize>,
    used: HashSet<&'o str>,
    free: BTreeSet<String>,
    bound: HashMap<String, usize>,
    sizes: &'o mut Sizes,
}

fn dimensions(info: &ValueInfo) -> Option<&[Dimension]> {
    let of_tensor = info.r#type.as_ref()?.tensor_type.as_ref()?;
    Some(&of_tensor.shape.as_ref()?.dim)
}

/// The extent, where the file fixes it.
fn fixed(dimension: &Dimension) -> Option<usize> {
    // Exporters of old wrote −1, and some 0, where nothing is fixed.
    let value = dimension.dim_value.filter(|&value| value > 0)?;
    usize::try_from(value).ok()
}

fn name_of(dimension: &Dimension) -> Option<&str> {
    let name = dimension.dim_param.as_deref();
    name.filter(|name| !name.is_empty() && *name != "?")
}

impl<'o> Dims<'o> {
    pub fn new(options: &'o OnnxOptions, sizes: &'o mut Sizes) -> Self {
        Self {
            asked: &options.dims,
            batch_asked: options.batch.is_some(),
            turns: None,
            used: HashSet::new(),
            free: BTreeSet::new(),
            bound: HashMap::new(),
            sizes,
        }
    }

    /// A given array fixes what the file leaves open. Several batches of the size that the file
    /// fixes may be given at once, along the first axis; returns the shape of one.
    pub fn bind(&mut self, info: &ValueInfo, shape: &Shape) -> Result<Shape, OnnxError> {
        let Some(declared) = dimensions(info) else {
            return Ok(shape.clone());
        };
        let mut own = shape.clone();
        let wrong = |what: String| OnnxError::new(what).at(format!("input {}", quoted(&info.name)));
        if let (Some(fixed), Some(&rows)) = (declared.first().and_then(fixed), shape.first())
            && rows > fixed
            && rows % fixed == 0
        {
            let turns = rows / fixed;
            if self.turns.is_some_and(|known| known != turns) {
                return Err(wrong(format!(
                    "has {turns} batches of {fixed}, other inputs have {}",
                    self.turns.unwrap_or(1)
                )));
            }
            self.turns = Some(turns);
            own.0[0] = fixed;
        }
        let fits = declared.len() == own.len()
            && declared
                .iter()
                .zip(own.iter())
                .all(|(declared, &extent)| fixed(declared).is_none_or(|fixed| fixed == extent));
        if !fits {
            let declared: Vec<String> = declared.iter().map(shown).collect();
            return Err(wrong(format!(
                "expected shape [{}], got {shape}",
                declared.join(", ")
            )));
        }
        for (dimension, &extent) in declared.iter().zip(own.iter()) {
            if let Some(name) = name_of(dimension) {
                self.bound.insert(name.to_owned(), extent);
            }
        }
        Ok(own)
    }

    /// Is the batch of an input fixed by the file, or by what another input needs?
    pub fn fixes_batch(&self, info: &ValueInfo) -> bool {
        let first = dimensions(info).and_then(|dimensions| dimensions.first());
        first.is_some_and(|first| fixed(first).is_some()) || self.sizes.is_open[0]
    }

    /// How many batches of the size that the file fixes were given.
    pub fn turns(&self) -> Option<usize> {
        self.turns
    }

    fn ask(&mut self, name: &str) -> Option<usize> {
        let (name, extent) = self.asked.iter().find(|(asked, _)| asked == name)?;
        self.used.insert(name);
        Some(*extent)
    }

    pub fn shape(&mut self, info: &ValueInfo) -> Result<Shape, OnnxError> {
        let Some(declared) = dimensions(info) else {
            return Err(OnnxError::new("has no declared shape").help(format!(
                "give its numbers: --input {}=file.npy",
                info.name.escape_debug()
            )));
        };
        let rank = declared.len();
        let mut extents = Vec::with_capacity(rank);
        for (axis, dimension) in declared.iter().enumerate() {
            if let Some(fixed) = fixed(dimension) {
                extents.push(fixed as i64);
                continue;
            }
            let place = format!("{}.{axis}", info.name);
            let name = name_of(dimension).unwrap_or(&place);
            self.free.insert(name.to_owned());
            let asked = self.ask(name).or_else(|| self.ask(&place));
            let asked = asked.or_else(|| if axis == 0 { self.ask("batch") } else { None });
            let is_asked = axis == 0 && self.batch_asked && !names_batch_later(declared);
            let extent = match asked.or_else(|| self.bound.get(name).copied()) {
                Some(extent) => extent,
                None if is_asked => self.sizes.take_batch(name),
                None => self.computed(name, axis, rank),
            };
            self.bound.insert(name.to_owned(), extent);
            extents.push(i64::try_from(extent).unwrap_or(i64::MAX));
        }
        tensors::shape(&extents)
    }

    /// The extent of a dimension that nobody gave: what its name says of others
    /// (`past_sequence_length + sequence_length`), else the usual one.
    fn computed(&mut self, name: &str, axis: usize, rank: usize) -> usize {
        let combine = |operator: char| {
            let parts: Vec<&str> = name.split(operator).map(str::trim).collect();
            let whole = parts.len() > 1 && parts.iter().all(|part| is_plain(part));
            whole.then_some(parts)
        };
        let (parts, start): (_, usize) = match (combine('+'), combine('*')) {
            (Some(parts), _) => (parts, 0),
            (None, Some(parts)) => (parts, 1),
            (None, None) => return self.sizes.usual(name, axis, rank),
        };
        parts.into_iter().fold(start, |whole, part| {
            let extent = part.parse().unwrap_or_else(|_| {
                let asked = self.ask(part);
                let known = asked.or_else(|| self.bound.get(part).copied());
                let extent = known.unwrap_or_else(|| self.sizes.usual(part, axis, rank));
                self.free.insert(part.to_owned());
                self.bound.insert(part.to_owned(), extent);
                extent
            });
            match start {
                0 => whole.saturating_add(extent),
                _ => whole.saturating_mul(extent),
            }
        })
    }

    /// A size for a dimension that there is not is a mistake.
    pub fn all_used(&self) -> Result<(), OnnxError> {
        let unused = self
            .asked
            .iter()
            .find(|(name, _)| !self.used.contains(name.as_str()));
        let Some((name, _)) = unused else {
            return Ok(());
        };
        let free: Vec<String> = self.free.iter().map(|name| quoted(name)).collect();
        let help = if free.is_empty() {
            "every dimension of its inputs is fixed in the file, or by given data".into()
        } else {
            format!("its free dimensions are {}", free.join(", "))
        };
        Err(OnnxError::new(format!("has no free dimension {}", quoted(name))).help(help))
    }
}

/// A name or a number, and no sum of such.
fn is_plain(part: &str) -> bool {
    !part.is_empty() && part.chars().all(|c| c.is_alphanumeric() || c == '_')
}

fn shown(dimension: &Dimension) -> String {
    match (fixed(dimension), name_of(dimension)) {
        (Some(extent), _) => extent.to_string(),
        (None, Some(name)) => name.escape_debug().to_string(),
        (None, None) => "?".into(),
    }
}

/// Does a dimension after the first say that it is the batch?
fn names_batch_later(declared: &[Dimension]) -> bool {
    let mut later = declared.iter().skip(1).filter_map(name_of);
    later.any(|name| name.to_lowercase().contains("batch"))
}

impl Sizes {
    fn take_batch(&mut self, name: &str) -> usize {
        self.take(name, 0, self.batch)
    }

    fn take(&mut self, name: &str, which: usize, extent: usize) -> usize {
        self.is_open[which] = true;
        self.chosen.push((name.to_owned(), extent));
        extent
    }

    /// The usual extent of a free dimension, by its name, else by its place.
    fn usual(&mut self, name: &str, axis: usize, rank: usize) -> usize {
        let lower = name.to_lowercase();
        let says = |words: &[&str]| words.iter().any(|word| lower.contains(word));
        let is_batch = says(&["batch"]);
        let is_length = !is_batch && says(&["seq", "len", "time", "token"]);
        let is_side = !is_batch && !is_length && says(&["height", "width"]);
        if is_batch || (axis == 0 && !is_length && !is_side) {
            return self.take_batch(name);
        }
        if is_side || (!is_length && rank >= 4 && axis >= 2) {
            return self.take(name, 1, self.side);
        }
        self.take(name, 2, self.length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::onnx::messages::{TensorShape, TensorType, Type};

    fn named(name: &str, dims: &[&str]) -> ValueInfo {
        let dim = dims.iter().map(|name| Dimension {
            dim_value: None,
            dim_param: Some((*name).to_owned()),
        });
        let shape = TensorShape { dim: dim.collect() };
        ValueInfo {
            name: name.into(),
            r#type: Some(Type {
                tensor_type: Some(TensorType {
                    elem_type: 1,
                    shape: Some(shape),
                }),
            }),
        }
    }

    #[test]
    fn the_size_of_a_sum_follows_from_its_parts() {
        let options = OnnxOptions {
            dims: vec![("past".into(), 5)],
            ..OnnxOptions::default()
        };
        let mut sizes = Sizes::tried(&options, &[]).swap_remove(0);
        let mut dims = Dims::new(&options, &mut sizes);
        let mut shape = |name, of: &[&str]| dims.shape(&named(name, of)).expect("small").to_vec();
        assert_eq!(shape("mask", &["batch", "past + sequence"]), [8, 37]);
        assert_eq!(shape("ids", &["batch", "sequence"]), [8, 32]);
        assert_eq!(shape("keys", &["batch", "2*past"]), [8, 10]);
        assert!(dims.all_used().is_ok());
    }
}

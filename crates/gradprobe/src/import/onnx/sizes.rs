//! How large the inputs are: what the file fixes, what the user asks for, and what is taken where
//! both leave it open.

use super::error::{OnnxError, quoted};
use super::messages::{Dimension, ValueInfo};
use super::options::OnnxOptions;
use super::tensors;
use crate::num::Shape;
use std::collections::{BTreeSet, HashMap, HashSet};

/// Samples in a batch where the file leaves it open.
const BATCH: usize = 8;

/// What the extents are taken to be that the file leaves open, but for the batch.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sizes {
    /// Height and width of images.
    pub side: usize,
    /// Any other: tokens, steps of a sequence.
    pub length: usize,
    /// Was a side needed?
    pub side_is_open: bool,
    /// Was a length needed?
    pub length_is_open: bool,
}

impl Sizes {
    /// What is tried, one after the other, until the model takes it: a table of positions may have
    /// fewer rows, a small image may come to nothing on the way.
    pub const TRIED: [Self; 7] = [
        Self::of(64, 32),
        Self::of(64, 16),
        Self::of(64, 8),
        Self::of(64, 4),
        Self::of(224, 32),
        Self::of(32, 32),
        Self::of(128, 128),
    ];

    const fn of(side: usize, length: usize) -> Self {
        Self {
            side,
            length,
            side_is_open: false,
            length_is_open: false,
        }
    }

    /// Would the model be read otherwise with other sizes?
    pub fn matters(self, other: Self) -> bool {
        (self.side_is_open && self.side != other.side)
            || (self.length_is_open && self.length != other.length)
    }
}

/// The extents of free dimensions.
pub(super) struct Dims<'o> {
    asked: &'o [(String, usize)],
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
            used: HashSet::new(),
            free: BTreeSet::new(),
            bound: HashMap::new(),
            sizes,
        }
    }

    /// A given array fixes what the file leaves open.
    pub fn bind(&mut self, info: &ValueInfo, shape: &Shape) -> Result<(), OnnxError> {
        let Some(declared) = dimensions(info) else {
            return Ok(());
        };
        let fits = declared.len() == shape.len()
            && declared
                .iter()
                .zip(shape.iter())
                .all(|(declared, &extent)| fixed(declared).is_none_or(|fixed| fixed == extent));
        if !fits {
            let declared: Vec<String> = declared.iter().map(shown).collect();
            return Err(OnnxError::new(format!(
                "expected shape [{}], got {shape}",
                declared.join(", ")
            ))
            .at(format!("input {}", quoted(&info.name))));
        }
        for (dimension, &extent) in declared.iter().zip(shape.iter()) {
            if let Some(name) = name_of(dimension) {
                self.bound.insert(name.to_owned(), extent);
            }
        }
        Ok(())
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
            let extent = match asked.or_else(|| self.bound.get(name).copied()) {
                Some(extent) => extent,
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
            (None, None) => return usual(name, axis, rank, self.sizes),
        };
        parts.into_iter().fold(start, |whole, part| {
            let extent = part.parse().unwrap_or_else(|_| {
                let asked = self.ask(part);
                let known = asked.or_else(|| self.bound.get(part).copied());
                let extent = known.unwrap_or_else(|| usual(part, axis, rank, self.sizes));
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

/// The usual extent of a free dimension, by its name, else by its place.
fn usual(name: &str, axis: usize, rank: usize, sizes: &mut Sizes) -> usize {
    let lower = name.to_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    let is_batch = says(&["batch"]);
    let is_length = !is_batch && says(&["seq", "len", "time", "token"]);
    let is_side = !is_batch && !is_length && says(&["height", "width"]);
    if is_batch || (axis == 0 && !is_length && !is_side) {
        return BATCH;
    }
    if is_side || (!is_length && rank >= 4 && axis >= 2) {
        sizes.side_is_open = true;
        return sizes.side;
    }
    sizes.length_is_open = true;
    sizes.length
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
        let mut sizes = Sizes::TRIED[0];
        let mut dims = Dims::new(&options, &mut sizes);
        let mut shape = |name, of: &[&str]| dims.shape(&named(name, of)).expect("small").to_vec();
        assert_eq!(shape("mask", &["batch", "past + sequence"]), [8, 37]);
        assert_eq!(shape("ids", &["batch", "sequence"]), [8, 32]);
        assert_eq!(shape("keys", &["batch", "2*past"]), [8, 10]);
        assert!(dims.all_used().is_ok());
    }
}

//! Tensors of a file as numbers: every element type, stored in whichever way, here or in another
//! file.

use super::error::{OnnxError, quoted};
use super::messages::Tensor as Message;
use super::reader::lfs_pointer;
use crate::data::ElementType;
use crate::graph::ParameterData;
use crate::num::{Shape, Tensor};
use bytes::Bytes;
use half::{bf16, f16};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Component, Path};
use std::sync::Arc;

/// What the elements of a value mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Real numbers.
    Float,
    /// Whole numbers.
    Int,
    /// True or false.
    Bool,
}

/// An element type by ONNX's number.
pub(super) fn element_type(number: i32) -> Result<ElementType, OnnxError> {
    Ok(match number {
        1 => ElementType::F32,
        2 => ElementType::U8,
        3 => ElementType::I8,
        4 => ElementType::U16,
        5 => ElementType::I16,
        6 => ElementType::I32,
        7 => ElementType::I64,
        9 => ElementType::Bool,
        10 => ElementType::F16,
        11 => ElementType::F64,
        12 => ElementType::U32,
        13 => ElementType::U64,
        16 => ElementType::Bf16,
        other => {
            let name = match other {
                0 => "no element type",
                8 => "strings",
                14 | 15 => "complex numbers",
                17..=20 | 24 => "8-bit floats",
                21 | 22 | 25 | 26 => "whole numbers of less than a byte",
                23 => "4-bit floats",
                _ => "an element type that is not known",
            };
            let error = OnnxError::new(format!("has {name} (type {other})"));
            return Err(error.help("export the network in float32"));
        }
    })
}

/// Whole numbers of which a byte holds several, the first in its lowest bits.
#[derive(Clone, Copy, Debug)]
struct Packed {
    bits: usize,
    is_signed: bool,
}

impl Packed {
    /// By ONNX's number.
    fn of(number: i32) -> Option<Self> {
        let (bits, is_signed) = match number {
            21 => (4, false),
            22 => (4, true),
            25 => (2, false),
            26 => (2, true),
            _ => return None,
        };
        Some(Self { bits, is_signed })
    }

    /// How many bytes hold so many numbers.
    fn size(self, count: usize) -> usize {
        count.div_ceil(8 / self.bits)
    }

    /// The first `count` numbers.
    fn unpack(self, bytes: impl Iterator<Item = u8>, count: usize) -> Vec<f64> {
        let values = 1i16 << self.bits;
        let number = |bits: i16| match self.is_signed && bits >= values / 2 {
            true => f64::from(bits - values),
            false => f64::from(bits),
        };
        let of_byte = |byte: u8| {
            let places = (0..8).step_by(self.bits);
            places.map(move |place| number(i16::from(byte) >> place & (values - 1)))
        };
        bytes.flat_map(of_byte).take(count).collect()
    }
}

/// What the elements of a tensor mean, by ONNX's number of their type: of tensors that are read,
/// which may be of more types than a value of the network.
pub(super) fn stored_kind(number: i32) -> Result<Kind, OnnxError> {
    match Packed::of(number) {
        Some(_) => Ok(Kind::Int),
        None => element_type(number).map(kind),
    }
}

/// What the elements of a type mean.
pub(super) fn kind(element: ElementType) -> Kind {
    match element {
        ElementType::Bool => Kind::Bool,
        element if element.is_float() => Kind::Float,
        _ => Kind::Int,
    }
}

/// Does a tensor hold numbers with a fraction, the 8-bit ones included, which are not read?
pub(super) fn is_float(tensor: &Message) -> bool {
    match element_type(tensor.data_type) {
        Ok(element) => kind(element) == Kind::Float,
        Err(_) => matches!(tensor.data_type, 17..=20),
    }
}

/// A tensor as read.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    pub kind: Kind,
    pub data: ParameterData,
}

impl Stored {
    pub fn shape(&self) -> &Shape {
        match &self.data {
            ParameterData::F32(tensor) => tensor.shape(),
            ParameterData::F64(tensor) => tensor.shape(),
        }
    }

    /// The numbers in double precision, in which every whole number below 2^53 is exact.
    pub fn wide(&self) -> Arc<Tensor<f64>> {
        match &self.data {
            ParameterData::F32(tensor) => Arc::new(tensor.cast()),
            ParameterData::F64(tensor) => Arc::clone(tensor),
        }
    }
}

/// The shape that a list of extents says.
pub(super) fn shape(dims: &[i64]) -> Result<Shape, OnnxError> {
    let extents: Option<Vec<usize>> = dims
        .iter()
        .map(|&extent| usize::try_from(extent).ok())
        .collect();
    let shape = extents.map(Shape);
    shape
        .filter(|shape| {
            shape
                .checked_len()
                .is_some_and(|len| len.checked_mul(8).is_some())
        })
        .ok_or_else(|| OnnxError::new(format!("has the impossible shape {dims:?}")))
}

/// Reads a tensor; `folder` is where files of external data are.
pub(super) fn read(tensor: &Message, folder: &Path) -> Result<Stored, OnnxError> {
    numbers(tensor, folder).map_err(|error| {
        error.at(match &tensor.name[..] {
            "" => "a constant tensor".into(),
            name => format!("tensor {}", quoted(name)),
        })
    })
}

/// Numbers of less than a byte each.
fn packed(tensor: &Message, packed: Packed, folder: &Path) -> Result<Stored, OnnxError> {
    let shape = shape(&tensor.dims)?;
    let count = shape.element_count();
    let bytes = bytes(tensor, folder)?;
    let held = match bytes.is_empty() {
        true => tensor.int32_data.len(),
        false => bytes.len(),
    };
    if held != packed.size(count) {
        return Err(OnnxError::new(format!(
            "has shape {shape}, that is {} bytes, but holds {held}",
            packed.size(count)
        )));
    }
    let data = match bytes.is_empty() {
        true => packed.unpack(tensor.int32_data.iter().map(|&byte| byte as u8), count),
        false => packed.unpack(bytes.iter().copied(), count),
    };
    Ok(Stored {
        kind: Kind::Int,
        data: ParameterData::F64(Arc::new(Tensor::new(shape, data))),
    })
}

fn numbers(tensor: &Message, folder: &Path) -> Result<Stored, OnnxError> {
    if let Some(of_bits) = Packed::of(tensor.data_type) {
        return packed(tensor, of_bits, folder);
    }
    let element = element_type(tensor.data_type)?;
    let shape = shape(&tensor.dims)?;
    let count = shape.element_count();
    let typed = |len: usize| {
        if len == count {
            return Ok(());
        }
        Err(OnnxError::new(format!(
            "has shape {shape}, that is {count} elements, but holds {len}"
        )))
    };
    let kind = kind(element);
    let wide = |data: Vec<f64>| ParameterData::F64(Arc::new(Tensor::new(shape.clone(), data)));
    let narrow = |data: Vec<f32>| ParameterData::F32(Arc::new(Tensor::new(shape.clone(), data)));
    let bytes = bytes(tensor, folder)?;
    if !bytes.is_empty() || tensor.data_location == EXTERNAL {
        if bytes.len() != count.saturating_mul(element.size()) {
            return Err(OnnxError::new(format!(
                "has shape {shape}, that is {} bytes, but holds {}",
                count.saturating_mul(element.size()),
                bytes.len()
            )));
        }
        let data = if kind == Kind::Float && element != ElementType::F64 {
            narrow(element.singles(&bytes))
        } else {
            wide(element.numbers(&bytes))
        };
        return Ok(Stored { kind, data });
    }
    let data = match element {
        ElementType::F32 => {
            typed(tensor.float_data.len())?;
            narrow(tensor.float_data.clone())
        }
        ElementType::F64 => {
            typed(tensor.double_data.len())?;
            wide(tensor.double_data.clone())
        }
        ElementType::F16 | ElementType::Bf16 => {
            typed(tensor.int32_data.len())?;
            let bits = tensor.int32_data.iter().map(|&bits| bits as u16);
            narrow(match element {
                ElementType::F16 => bits.map(|bits| f16::from_bits(bits).to_f32()).collect(),
                _ => bits.map(|bits| bf16::from_bits(bits).to_f32()).collect(),
            })
        }
        ElementType::I64 => {
            typed(tensor.int64_data.len())?;
            wide(tensor.int64_data.iter().map(|&x| x as f64).collect())
        }
        ElementType::U32 | ElementType::U64 => {
            typed(tensor.uint64_data.len())?;
            wide(tensor.uint64_data.iter().map(|&x| x as f64).collect())
        }
        _ => {
            typed(tensor.int32_data.len())?;
            wide(tensor.int32_data.iter().map(|&x| f64::from(x)).collect())
        }
    };
    Ok(Stored { kind, data })
}

/// The bytes of a tensor's elements, here or in another file; empty where the elements are stored
/// as numbers.
pub(super) fn bytes(tensor: &Message, folder: &Path) -> Result<Bytes, OnnxError> {
    if tensor.data_location != EXTERNAL {
        return Ok(tensor.raw_data.clone());
    }
    let count = shape(&tensor.dims)?.element_count();
    let size = match Packed::of(tensor.data_type) {
        Some(packed) => packed.size(count),
        None => count.saturating_mul(element_type(tensor.data_type)?.size()),
    };
    external(tensor, folder, size)
}

/// Where the elements of a tensor lie, by ONNX's number: in another file.
const EXTERNAL: i32 = 1;

/// The elements of a tensor that are in another file, which has to lie below the model's folder.
fn external(tensor: &Message, folder: &Path, size: usize) -> Result<Bytes, OnnxError> {
    let entry = |key: &str| {
        let found = tensor.external_data.iter().find(|entry| entry.key == key);
        found.map(|entry| entry.value.as_str())
    };
    let location = entry("location")
        .ok_or_else(|| OnnxError::new("is said to be in another file, which is not named"))?;
    let relative = Path::new(location);
    let below = relative
        .components()
        .all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    if !below || location.is_empty() {
        return Err(OnnxError::new(format!(
            "is said to be in {}, outside the model's folder",
            quoted(location)
        )));
    }
    let number = |key: &str| match entry(key) {
        None => Ok(None),
        Some(text) => text.trim().parse::<u64>().map(Some).map_err(|_| {
            OnnxError::new(format!(
                "external data: {key} is {}, expected a number of bytes",
                quoted(text)
            ))
        }),
    };
    let offset = number("offset")?.unwrap_or(0);
    if let Some(length) = number("length")?
        && length != size as u64
    {
        return Err(OnnxError::new(format!(
            "needs {size} bytes, but {length} are said to be in {}",
            quoted(location)
        )));
    }
    let path = folder.join(relative);
    let failed = |error: std::io::Error| {
        OnnxError::new(format!(
            "its data cannot be read from {}: {}",
            quoted(location),
            crate::data::reason(&error)
        ))
        .help("keep the data file beside the model")
    };
    let mut file = File::open(&path).map_err(failed)?;
    let available = file.metadata().map_err(failed)?.len();
    if offset
        .checked_add(size as u64)
        .is_none_or(|end| end > available)
    {
        let mut begin = Vec::new();
        let read = file.take(1024).read_to_end(&mut begin);
        if read.is_ok() && lfs_pointer(&begin).is_some() {
            return Err(OnnxError::new(format!(
                "its data are in {}, which is a Git LFS pointer and not the data",
                quoted(location)
            ))
            .help("fetch them with `git lfs pull`"));
        }
        return Err(OnnxError::new(format!(
            "needs {size} bytes from byte {offset} of {}, which has {available}",
            quoted(location)
        )));
    }
    file.seek(SeekFrom::Start(offset)).map_err(failed)?;
    let mut bytes = vec![0; size];
    file.read_exact(&mut bytes).map_err(failed)?;
    Ok(Bytes::from(bytes))
}

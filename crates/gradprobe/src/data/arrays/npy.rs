//! NPY: a header that is a Python dictionary, then the elements.

use super::{ElementType, tensor};
use crate::num::{Shape, Tensor};

pub(super) fn read(bytes: &[u8]) -> Result<Tensor<f64>, String> {
    let cut = || "its header is cut off".to_owned();
    let version = *bytes.get(6).ok_or_else(cut)?;
    let (start, length): (usize, usize) = if version < 2 {
        let length = bytes.get(8..10).ok_or_else(cut)?;
        (10, usize::from(u16::from_le_bytes([length[0], length[1]])))
    } else {
        let length = bytes.get(8..12).ok_or_else(cut)?;
        let length = u32::from_le_bytes([length[0], length[1], length[2], length[3]]);
        (12, length as usize)
    };
    let header = bytes.get(start..start.saturating_add(length));
    let header =
        std::str::from_utf8(header.ok_or_else(cut)?).map_err(|_| "its header is no text")?;
    let descr = value(header, "descr").and_then(|text| {
        let text = text.trim_start().strip_prefix(['\'', '"'])?;
        text.split(['\'', '"']).next()
    });
    let element =
        element(descr.ok_or("its header names no element type (structured arrays are not read)")?)?;
    let columns_first =
        value(header, "fortran_order").is_some_and(|text| text.trim_start().starts_with("True"));
    let shape = value(header, "shape").and_then(|text| {
        let inside = text.trim_start().strip_prefix('(')?;
        inside.split(')').next()
    });
    let extents: Result<Vec<usize>, _> = shape
        .ok_or("its header has no shape")?
        .split(',')
        .map(str::trim)
        .filter(|extent| !extent.is_empty())
        .map(str::parse)
        .collect();
    let mut extents = extents.map_err(|_| "its header's shape is no list of extents")?;
    if !columns_first {
        return tensor("the array", element, extents, &bytes[start + length..]);
    }
    // In Fortran's order it is the transpose of an array in C's.
    extents.reverse();
    let transposed = tensor("the array", element, extents, &bytes[start + length..])?;
    let array = transposed.view().as_array().reversed_axes();
    let shape = Shape::new(array.shape());
    Ok(Tensor::new(shape, array.iter().copied().collect()))
}

/// What stands after a key.
fn value<'a>(header: &'a str, key: &str) -> Option<&'a str> {
    let at = header.find(&format!("'{key}'"))?;
    let (_, value) = header[at..].split_once(':')?;
    Some(value)
}

fn element(descr: &str) -> Result<ElementType, String> {
    Ok(match descr {
        "<f4" => ElementType::F32,
        "<f8" => ElementType::F64,
        "<f2" => ElementType::F16,
        "|i1" => ElementType::I8,
        "<i2" => ElementType::I16,
        "<i4" => ElementType::I32,
        "<i8" => ElementType::I64,
        "|u1" => ElementType::U8,
        "<u2" => ElementType::U16,
        "<u4" => ElementType::U32,
        "<u8" => ElementType::U64,
        "|b1" => ElementType::Bool,
        other => {
            return Err(format!(
                "its element type `{}` is not read; save it as float32 or int64",
                other.escape_debug()
            ));
        }
    })
}

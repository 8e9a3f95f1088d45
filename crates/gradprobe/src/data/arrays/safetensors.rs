//! Safetensors: the header's length, a header in JSON, then the elements.

use super::{Array, ElementType, tensor};
use serde::Deserialize;
use std::collections::BTreeMap;

#[derive(Deserialize)]
#[serde(untagged)]
enum Entry {
    Tensor {
        dtype: String,
        shape: Vec<usize>,
        data_offsets: [usize; 2],
    },
    Metadata(serde::de::IgnoredAny),
}

pub(super) fn read(bytes: &[u8]) -> Result<Vec<Array>, String> {
    const NONE_OF_THEM: &str = "it is none of .npy, .npz and .safetensors, or it is cut off";
    let (length, rest) = bytes.split_first_chunk::<8>().ok_or(NONE_OF_THEM)?;
    let length = usize::try_from(u64::from_le_bytes(*length)).map_err(|_| NONE_OF_THEM)?;
    let header = rest.get(..length).ok_or(NONE_OF_THEM)?;
    let entries: BTreeMap<String, Entry> =
        serde_json::from_slice(header).map_err(|_| NONE_OF_THEM)?;
    let data = &rest[length..];
    let mut arrays = Vec::new();
    for (name, entry) in entries {
        let (dtype, shape, [start, end]) = match entry {
            Entry::Tensor {
                dtype,
                shape,
                data_offsets,
            } => (dtype, shape, data_offsets),
            Entry::Metadata(_) if name == "__metadata__" => continue,
            Entry::Metadata(_) => return Err(NONE_OF_THEM.into()),
        };
        let what = format!("`{}`", name.escape_debug());
        let element = element(&dtype).ok_or_else(|| {
            format!(
                "{what} has elements of `{}`, which is not read",
                dtype.escape_debug()
            )
        })?;
        let bytes = data.get(start..end).ok_or_else(|| {
            format!(
                "{what} is to be at bytes {start} to {end} of {}",
                data.len()
            )
        })?;
        let tensor = tensor(&what, element, shape, bytes)?;
        arrays.push(Array { name, tensor });
    }
    Ok(arrays)
}

fn element(dtype: &str) -> Option<ElementType> {
    Some(match dtype {
        "F32" => ElementType::F32,
        "F64" => ElementType::F64,
        "F16" => ElementType::F16,
        "BF16" => ElementType::Bf16,
        "I8" => ElementType::I8,
        "I16" => ElementType::I16,
        "I32" => ElementType::I32,
        "I64" => ElementType::I64,
        "U8" => ElementType::U8,
        "U16" => ElementType::U16,
        "U32" => ElementType::U32,
        "U64" => ElementType::U64,
        "BOOL" => ElementType::Bool,
        _ => return None,
    })
}

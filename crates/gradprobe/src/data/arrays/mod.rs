//! Named arrays from NPY, NPZ and safetensors files.
//!
//! Every size that a file states is checked against what the file has before anything is
//! allocated.

mod element;
mod npy;
mod npz;
mod safetensors;

pub(crate) use element::ElementType;

use super::{DataError, reason};
use crate::num::{Shape, Tensor};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// An array of a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    /// Its name; empty in an NPY file, which holds one.
    pub name: String,
    /// Its numbers; whole ones below 2^53 are exact.
    pub tensor: Tensor<f64>,
}

/// Reads the arrays of an `.npy`, `.npz` or `.safetensors` file, told apart by their first bytes.
///
/// # Errors
/// If the file cannot be read, has more than `limit` bytes, or is none of these.
pub fn read_arrays(path: &Path, limit: u64) -> Result<Vec<Array>, DataError> {
    let bytes = read(path, limit)?;
    let arrays = match &bytes[..] {
        [0x93, b'N', b'U', b'M', b'P', b'Y', ..] => npy::read(&bytes).map(|tensor| {
            vec![Array {
                name: String::new(),
                tensor,
            }]
        }),
        [b'P', b'K', ..] => npz::read(&bytes, limit),
        _ => safetensors::read(&bytes),
    };
    arrays.map_err(|what| DataError::Format {
        path: path.to_path_buf(),
        what,
    })
}

fn read(path: &Path, limit: u64) -> Result<Vec<u8>, DataError> {
    let failed = |error: std::io::Error| DataError::Unreadable {
        path: path.to_path_buf(),
        kind: error.kind(),
        reason: reason(&error),
    };
    let file = File::open(path).map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(limit.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if bytes.len() as u64 > limit {
        return Err(DataError::TooLarge {
            path: path.to_path_buf(),
            what: "is larger",
            limit,
        });
    }
    Ok(bytes)
}

/// A tensor from its little-endian bytes; `what` names it where something is wrong.
fn tensor(
    what: &str,
    element: ElementType,
    extents: Vec<usize>,
    bytes: &[u8],
) -> Result<Tensor<f64>, String> {
    let shape = Shape(extents);
    let needed = shape
        .checked_len()
        .and_then(|count| count.checked_mul(element.size()));
    if needed != Some(bytes.len()) {
        return Err(format!(
            "{what} of shape {shape} needs {} bytes, but has {}",
            needed.map_or_else(|| "too many".into(), |needed| needed.to_string()),
            bytes.len()
        ));
    }
    Ok(Tensor::new(shape, element.numbers(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn npy(descr: &str, shape: &str, data: &[u8]) -> Vec<u8> {
        let header =
            format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n");
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.extend(data);
        bytes
    }

    #[test]
    fn an_npy_file_is_read_and_a_short_one_refused() {
        let data: Vec<u8> = [1i64, -2].iter().flat_map(|x| x.to_le_bytes()).collect();
        let tensor = npy::read(&npy("<i8", "(2,)", &data)).expect("an array");
        assert_eq!(tensor.data(), [1.0, -2.0]);
        let scalar = npy::read(&npy("<f4", "()", &1.5f32.to_le_bytes())).expect("a scalar");
        assert_eq!(scalar.data(), [1.5]);
        assert!(npy::read(&npy("<i8", "(3,)", &data)).is_err());
        assert!(npy::read(&npy("<i8", "(99999999999, 99999999999)", &data)).is_err());
        let whole = npy("<i8", "(2,)", &data);
        for end in 0..whole.len() {
            assert!(npy::read(&whole[..end]).is_err());
        }
    }

    #[test]
    fn a_safetensors_file_is_read_and_damage_is_refused() {
        let header = br#"{"x":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]}}"#;
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header);
        bytes.extend([1.0f32, 2.0].iter().flat_map(|x| x.to_le_bytes()));
        let arrays = safetensors::read(&bytes).expect("arrays");
        assert_eq!(arrays[0].name, "x");
        assert_eq!(arrays[0].tensor.data(), [1.0, 2.0]);
        for end in 0..bytes.len() {
            assert!(safetensors::read(&bytes[..end]).is_err());
        }
    }
}

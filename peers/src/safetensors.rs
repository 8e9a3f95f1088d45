//! Arrays of double precision from safetensors files: 8 bytes that say how long a header of JSON
//! is, the header, the numbers. Read here and not by gradprobe, which is what is tested.

use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;

/// Numbers in rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    /// Its extents.
    pub shape: Vec<usize>,
    /// Its numbers.
    pub data: Vec<f64>,
}

#[derive(Deserialize)]
struct Entry {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: [usize; 2],
}

/// The arrays of a file by name.
///
/// # Panics
/// If the file is damaged, or an array is not of double precision.
pub fn read(path: &Path) -> BTreeMap<String, Array> {
    let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let (length, rest) = bytes.split_first_chunk::<8>().unwrap();
    let (header, numbers) = rest.split_at(usize::try_from(u64::from_le_bytes(*length)).unwrap());
    let mut entries: BTreeMap<String, serde_json::Value> = serde_json::from_slice(header).unwrap();
    entries.remove("__metadata__");
    let arrays = entries.into_iter().map(|(name, entry)| {
        let entry: Entry = serde_json::from_value(entry).unwrap();
        assert_eq!(entry.dtype, "F64", "{}, {name}", path.display());
        let [start, end] = entry.data_offsets;
        let (numbers, _) = numbers[start..end].as_chunks::<8>();
        let array = Array {
            shape: entry.shape,
            data: numbers.iter().map(|&x| f64::from_le_bytes(x)).collect(),
        };
        (name, array)
    });
    arrays.collect()
}

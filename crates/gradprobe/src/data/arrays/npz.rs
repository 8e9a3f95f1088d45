//! NPZ: a ZIP archive of NPY files, stored or deflated.

use super::{Array, npy};
use std::io::{Cursor, Read};
use zip::ZipArchive;
use zip::result::ZipError;

pub(super) fn read(bytes: &[u8], limit: u64) -> Result<Vec<Array>, String> {
    let damaged = |_| "it is a ZIP archive that is cut off or damaged".to_owned();
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(damaged)?;
    let mut arrays = Vec::new();
    let mut left = limit;
    for index in 0..archive.len() {
        let mut file = archive.by_index(index).map_err(|error| match error {
            ZipError::UnsupportedArchive(what) => {
                format!("it is a ZIP archive of a kind that is not read: {what}")
            }
            error => damaged(error),
        })?;
        let name = file.name().map_err(damaged)?.into_owned();
        let shown = name.escape_debug();
        let Some(stem) = name.strip_suffix(".npy") else {
            continue;
        };
        let size = file.size();
        left = left
            .checked_sub(size)
            .ok_or_else(|| format!("`{shown}` makes it larger than {limit} bytes"))?;
        // The size is what the archive states: a bomb unpacks to more.
        let mut content = Vec::new();
        let unpacked = file.by_ref().take(size + 1).read_to_end(&mut content);
        if !unpacked.is_ok_and(|unpacked| unpacked as u64 == size) {
            return Err(format!("`{shown}` is cut off or damaged"));
        }
        if !content.starts_with(b"\x93NUMPY") {
            return Err(format!("`{shown}` is no array"));
        }
        let tensor = npy::read(&content).map_err(|what| format!("`{shown}`: {what}"))?;
        arrays.push(Array {
            name: stem.to_owned(),
            tensor,
        });
    }
    Ok(arrays)
}

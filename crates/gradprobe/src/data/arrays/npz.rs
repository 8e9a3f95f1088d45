//! NPZ: a ZIP archive of NPY files, stored or deflated.

use super::{Array, npy};
use flate2::read::DeflateDecoder;
use std::io::Read;

/// Size of the record at the end of an archive, without its comment.
const END: usize = 22;
const END_MARK: [u8; 4] = *b"PK\x05\x06";
const ENTRY_MARK: [u8; 4] = *b"PK\x01\x02";
const ENTRY: usize = 46;

pub(super) fn read(bytes: &[u8], limit: u64) -> Result<Vec<Array>, String> {
    let damaged = || "it is a ZIP archive that is cut off or damaged".to_owned();
    let latest = bytes.len().checked_sub(END).ok_or_else(damaged)?;
    let earliest = latest.saturating_sub(usize::from(u16::MAX));
    let end = (earliest..=latest)
        .rev()
        .find(|&at| bytes[at..].starts_with(&END_MARK))
        .ok_or_else(damaged)?;
    let count = u16_at(bytes, end + 10).ok_or_else(damaged)?;
    let mut at = u32_at(bytes, end + 16).ok_or_else(damaged)?;
    let mut arrays = Vec::new();
    let mut left = limit;
    for _ in 0..count {
        let entry = bytes.get(at..).filter(|rest| rest.starts_with(&ENTRY_MARK));
        let entry = entry.ok_or_else(damaged)?;
        let field = |at| u32_at(entry, at).ok_or_else(damaged);
        let short = |at| u16_at(entry, at).ok_or_else(damaged);
        let (method, packed, whole) = (short(10)?, field(20)?, field(24)?);
        let (name, extra, comment) = (short(28)?, short(30)?, short(32)?);
        let local = field(42)?;
        let name_bytes = entry.get(ENTRY..ENTRY + name).ok_or_else(damaged)?;
        let file = String::from_utf8_lossy(name_bytes).into_owned();
        at += ENTRY + name + extra + comment;
        let Some(stem) = file.strip_suffix(".npy") else {
            continue;
        };
        let start = [26, 28]
            .iter()
            .try_fold(local.checked_add(30), |start, &field| {
                Some(start?.checked_add(u16_at(bytes, local.checked_add(field)?)?))
            })
            .flatten()
            .ok_or_else(damaged)?;
        let packed = start
            .checked_add(packed)
            .and_then(|end| bytes.get(start..end))
            .ok_or_else(damaged)?;
        left = left.checked_sub(whole as u64).ok_or_else(|| {
            format!(
                "`{}` makes it larger than {limit} bytes",
                file.escape_debug()
            )
        })?;
        let content = match method {
            0 => packed.to_vec(),
            8 => {
                let mut content = Vec::new();
                let decoder = DeflateDecoder::new(packed);
                let read = decoder.take(whole as u64 + 1).read_to_end(&mut content);
                read.ok()
                    .filter(|&read| read == whole)
                    .ok_or_else(damaged)?;
                content
            }
            _ => {
                return Err(format!(
                    "`{}` is packed in a way that is not read",
                    file.escape_debug()
                ));
            }
        };
        if !content.starts_with(b"\x93NUMPY") {
            return Err(format!("`{}` is no array", file.escape_debug()));
        }
        let tensor =
            npy::read(&content).map_err(|what| format!("`{}`: {what}", file.escape_debug()))?;
        arrays.push(Array {
            name: stem.to_owned(),
            tensor,
        });
    }
    Ok(arrays)
}

fn u16_at(bytes: &[u8], at: usize) -> Option<usize> {
    let bytes = bytes.get(at..at.checked_add(2)?)?;
    Some(usize::from(u16::from_le_bytes([bytes[0], bytes[1]])))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<usize> {
    let bytes = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) as usize)
}

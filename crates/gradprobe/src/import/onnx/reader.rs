//! From a file to its messages, in bounded memory.

use super::error::OnnxError;
use super::messages::Model;
use crate::data::reason;
use crate::import::spec::shown_bytes;
use bytes::Bytes;
use prost::Message;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// What a message takes in memory, more or less; what a file of nothing but empty messages
/// becomes is counted before it is read.
const BYTES_A_MESSAGE: u64 = 400;
/// What a byte of the file becomes at most where it is no message: an empty text in a list.
const BYTES_A_BYTE: u64 = 12;
/// Graphs in attributes of nodes in graphs …
const DEEPEST: usize = 60;

/// Reads a file.
///
/// # Errors
/// If it cannot be read, is larger than `limit` allows, or is no ONNX model.
pub(super) fn read(path: &Path, limit: u64) -> Result<Model, OnnxError> {
    let bytes = read_bytes(path, limit)?;
    decode(bytes, limit).map_err(|error| error.in_file(path))
}

/// The bytes of a file, if there are no more than `limit`.
pub(super) fn read_bytes(path: &Path, limit: u64) -> Result<Vec<u8>, OnnxError> {
    let failed = |error: std::io::Error| {
        OnnxError::new(format!("cannot be read: {}", reason(&error))).in_file(path)
    };
    let file = File::open(path).map_err(failed)?;
    let declared = file.metadata().map_err(failed)?;
    if declared.is_dir() {
        return Err(OnnxError::new("is a directory").in_file(path));
    }
    let too_large = |size: u64| {
        OnnxError::new(format!(
            "has {} bytes, more than the {} that are allowed",
            size,
            shown_bytes(u128::from(limit))
        ))
        .in_file(path)
        .help("raise --max-memory")
    };
    if declared.len() > limit {
        return Err(too_large(declared.len()));
    }
    let mut bytes = Vec::with_capacity(declared.len() as usize);
    // A pipe says it is empty.
    let mut limited = file.take(limit + 1);
    limited.read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > limit {
        return Err(too_large(bytes.len() as u64));
    }
    Ok(bytes)
}

/// Decodes a model.
pub(super) fn decode(bytes: Vec<u8>, limit: u64) -> Result<Model, OnnxError> {
    let wrong = |message: String| {
        OnnxError::new(message).help("is it complete, and an ONNX model? export or copy it again")
    };
    if bytes.is_empty() {
        return Err(wrong("is empty".into()));
    }
    if let Some(size) = lfs_pointer(&bytes) {
        return Err(OnnxError::new(format!(
            "is a Git LFS pointer to the model{size}, not the model itself"
        ))
        .help("fetch it with `git lfs pull`, or download the file itself"));
    }
    let mut scan = Scan::default();
    scan.message(&bytes, 0, Kind::Model, 0).map_err(wrong)?;
    let needed = (scan.messages.saturating_mul(BYTES_A_MESSAGE))
        .saturating_add((bytes.len() as u64).saturating_mul(BYTES_A_BYTE));
    let raw = bytes.len() as u64;
    if scan.messages.saturating_mul(BYTES_A_MESSAGE) + raw > limit && needed > limit {
        return Err(OnnxError::new(format!(
            "needs about {} to read, more than the {} that are allowed",
            shown_bytes(u128::from(needed)),
            shown_bytes(u128::from(limit))
        ))
        .help("raise --max-memory"));
    }
    let model = Model::decode(Bytes::from(bytes))
        .map_err(|error| wrong(format!("is damaged: {}", error.to_string().escape_debug())))?;
    if model.graph.is_none() {
        return Err(wrong("holds no graph".into()));
    }
    Ok(model)
}

/// How many bytes the file has that a pointer of Git LFS stands for, in words; `None` where the
/// bytes are no such pointer.
pub(super) fn lfs_pointer(bytes: &[u8]) -> Option<String> {
    const BEGINS: &[u8] = b"version https://git-lfs.github.com/spec/";
    const LONGEST: usize = 1024;
    if bytes.len() > LONGEST || !bytes.starts_with(BEGINS) {
        return None;
    }
    let text = String::from_utf8_lossy(bytes);
    let size = text.lines().find_map(|line| line.strip_prefix("size "));
    let size = size.and_then(|size| size.trim().parse::<u64>().ok());
    Some(size.map_or_else(String::new, |size| format!(" ({size} bytes)")))
}

/// The messages whose inside the scan looks at.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Model,
    Graph,
    Node,
    Attribute,
    Function,
    Noted,
    Other,
}

impl Kind {
    /// What a field of length-delimited type is, where it is a message.
    fn field(self, number: u64) -> Option<(Self, &'static str)> {
        Some(match (self, number) {
            (Self::Model, 7) => (Self::Graph, "graph"),
            (Self::Model, 8) => (Self::Other, "opset_import"),
            (Self::Model, 25) => (Self::Function, "functions"),
            (Self::Graph, 1) => (Self::Node, "node"),
            (Self::Graph, 5) => (Self::Other, "initializer"),
            (Self::Graph, 11) => (Self::Other, "input"),
            (Self::Graph, 12) => (Self::Other, "output"),
            (Self::Graph, 13) => (Self::Noted, "value_info"),
            (Self::Graph, 16) => (Self::Other, "metadata_props"),
            (Self::Noted, 4) => (Self::Other, "metadata_props"),
            (Self::Function, 7) => (Self::Node, "node"),
            (Self::Function, 11) => (Self::Attribute, "attribute_proto"),
            (Self::Node, 5) => (Self::Attribute, "attribute"),
            (Self::Node, 9) => (Self::Other, "metadata_props"),
            (Self::Attribute, 5) => (Self::Other, "t"),
            (Self::Attribute, 6) => (Self::Graph, "g"),
            _ => return None,
        })
    }
}

/// A walk over the fields that allocates nothing: counts the messages, and finds what is cut off.
#[derive(Default)]
struct Scan {
    messages: u64,
}

impl Scan {
    fn message(
        &mut self,
        bytes: &[u8],
        start: usize,
        kind: Kind,
        depth: usize,
    ) -> Result<(), String> {
        self.messages += 1;
        if depth > DEEPEST {
            return Err(format!(
                "byte {start}: graphs are nested more than {DEEPEST} deep"
            ));
        }
        let mut at = 0;
        while at < bytes.len() {
            let damaged = |what: &str, at: usize| format!("byte {}: {what}", start + at);
            let key =
                varint(bytes, &mut at).ok_or_else(|| damaged("a field's number is cut off", at))?;
            let (number, wire) = (key >> 3, key & 7);
            let length = match wire {
                0 => {
                    varint(bytes, &mut at).ok_or_else(|| damaged("a number is cut off", at))?;
                    continue;
                }
                1 => 8,
                5 => 4,
                2 => {
                    let length = varint(bytes, &mut at)
                        .ok_or_else(|| damaged("a field's length is cut off", at))?;
                    usize::try_from(length).unwrap_or(usize::MAX)
                }
                _ => return Err(damaged("not a field of a protocol buffer", at)),
            };
            let end = at.checked_add(length).filter(|&end| end <= bytes.len());
            let Some(end) = end else {
                let name = kind.field(number).map_or("", |(_, name)| name);
                let left = bytes.len() - at;
                return Err(damaged(
                    &format!("field {number} {name} says it has {length} bytes, {left} are left"),
                    at,
                ));
            };
            if wire == 2
                && let Some((inner, _)) = kind.field(number)
            {
                if inner == Kind::Other {
                    self.messages += 1;
                } else {
                    self.message(&bytes[at..end], start + at, inner, depth + 1)?;
                }
            }
            at = end;
        }
        Ok(())
    }
}

fn varint(bytes: &[u8], at: &mut usize) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let byte = *bytes.get(*at)?;
        *at += 1;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

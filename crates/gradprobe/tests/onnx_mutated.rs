//! Mutated models give a result or one clear error, in bounded memory: fields of the format set to
//! extremes, taken out, repeated, exchanged, operators put in each other's place.
//!
//! A test of its own, for what it says of memory is of the whole process.

#![allow(clippy::unwrap_used)]

use gradprobe::check::check;
use gradprobe::import::onnx::{OnnxNetwork, OnnxOptions, coverage};
use gradprobe::num::Stream;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use std::path::{Path, PathBuf};

/// What the models may use.
const LIMIT: u64 = 16 << 20;
/// What the process may then have used at its most, in KiB: the limit does not count the program,
/// its threads and what an allocator keeps.
const MOST_KIBIBYTES: u64 = 400 << 10;
/// Messages in messages that the mutations go into.
const DEEPEST: usize = 8;

/// A field of a message of a protocol buffer.
#[derive(Clone, Debug)]
struct Field {
    number: u64,
    content: Content,
}

#[derive(Clone, Debug)]
enum Content {
    Number(u64),
    Fixed(Vec<u8>),
    Bytes(Vec<u8>),
    Message(Vec<Field>),
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn take(bytes: &mut &[u8], len: usize) -> Option<Vec<u8>> {
    let (first, rest) = bytes.split_at_checked(len)?;
    *bytes = rest;
    Some(first.to_vec())
}

/// The fields, if the bytes are a message all through.
fn parse(mut bytes: &[u8], depth: usize) -> Option<Vec<Field>> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let key = varint(&mut bytes)?;
        let number = key >> 3;
        if number == 0 || number > 40 {
            return None;
        }
        let content = match key & 7 {
            0 => Content::Number(varint(&mut bytes)?),
            1 => Content::Fixed(take(&mut bytes, 8)?),
            5 => Content::Fixed(take(&mut bytes, 4)?),
            2 => {
                let len = varint(&mut bytes)? as usize;
                let inside = take(&mut bytes, len)?;
                let message = (depth < DEEPEST && !inside.is_empty())
                    .then(|| parse(&inside, depth + 1))
                    .flatten();
                message.map_or(Content::Bytes(inside), Content::Message)
            }
            _ => return None,
        };
        fields.push(Field { number, content });
    }
    Some(fields)
}

fn write_varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn write(fields: &[Field]) -> Vec<u8> {
    let mut out = Vec::new();
    for Field { number, content } in fields {
        let (wire, bytes) = match content {
            Content::Number(value) => {
                write_varint(number << 3, &mut out);
                write_varint(*value, &mut out);
                continue;
            }
            Content::Fixed(bytes) => {
                let wire = if bytes.len() == 8 { 1 } else { 5 };
                write_varint(number << 3 | wire, &mut out);
                out.extend(bytes);
                continue;
            }
            Content::Bytes(bytes) => (2, bytes.clone()),
            Content::Message(fields) => (2, write(fields)),
        };
        write_varint(number << 3 | wire, &mut out);
        write_varint(bytes.len() as u64, &mut out);
        out.extend(bytes);
    }
    out
}

/// A message in the tree, at random; seldom a high one.
fn somewhere<'f>(fields: &'f mut Vec<Field>, stream: &mut Stream) -> &'f mut Vec<Field> {
    let inner: Vec<usize> = (0..fields.len())
        .filter(|&at| matches!(fields[at].content, Content::Message(_)))
        .collect();
    if inner.is_empty() || stream.below(6) == 0 {
        return fields;
    }
    let at = inner[stream.below(inner.len() as u64) as usize];
    match &mut fields[at].content {
        Content::Message(fields) => somewhere(fields, stream),
        _ => unreachable!("it was one above"),
    }
}

fn extreme(stream: &mut Stream) -> u64 {
    let values = [
        0,
        1,
        2,
        7,
        u64::MAX,
        i64::MAX as u64,
        i64::MIN as u64,
        1 << 31,
        (1 << 31) - 1,
        1 << 40,
        1 << 20,
        u64::MAX - 1,
    ];
    values[stream.below(values.len() as u64) as usize]
}

fn mutate(fields: &mut Vec<Field>, stream: &mut Stream) {
    if fields.is_empty() {
        return;
    }
    let at = stream.below(fields.len() as u64) as usize;
    let other = stream.below(fields.len() as u64) as usize;
    match stream.below(12) {
        0 => {
            fields.remove(at);
        }
        1 => {
            let copies = [1, 2, 40, 1000][stream.below(4) as usize];
            let copy = fields[at].clone();
            fields.extend(std::iter::repeat_n(copy, copies));
        }
        2 => fields.swap(at, other),
        3 => fields[at].content = fields[other].content.clone(),
        4 => fields[at].number = 1 + stream.below(30),
        _ => match &mut fields[at].content {
            Content::Number(value) => *value = extreme(stream),
            Content::Fixed(bytes) => {
                let index = stream.below(bytes.len() as u64) as usize;
                bytes[index] ^= 1 << stream.below(8);
            }
            Content::Bytes(bytes) => match stream.below(4) {
                0 => bytes.truncate(stream.below(bytes.len() as u64 + 1) as usize),
                1 => {
                    // Where a node's operator stands.
                    let operators = coverage();
                    let operator = stream.below(operators.len() as u64) as usize;
                    *bytes = operators[operator].name.into();
                }
                2 => bytes.extend([0xff; 9]),
                _ if bytes.is_empty() => {}
                _ => {
                    let index = stream.below(bytes.len() as u64) as usize;
                    bytes[index] ^= 1 << stream.below(8);
                }
            },
            Content::Message(fields) => mutate(fields, stream),
        },
    }
}

fn models() -> Vec<(PathBuf, Vec<u8>)> {
    let onnx = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/onnx");
    let folders = ["features", "models"].map(|name| onnx.join(name));
    let mut paths: Vec<PathBuf> = folders
        .iter()
        .flat_map(|folder| std::fs::read_dir(folder).unwrap())
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "onnx")
        })
        .collect();
    paths.sort();
    assert!(paths.len() > 30);
    let read = |path: PathBuf| {
        let bytes = std::fs::read(&path).unwrap();
        (path, bytes)
    };
    paths.into_iter().map(read).collect()
}

/// Reads it and, if that works, runs it.
fn survives(path: &Path, bytes: Vec<u8>) -> bool {
    let options = OnnxOptions {
        max_memory: Some(LIMIT),
        ..OnnxOptions::default()
    };
    let network = match OnnxNetwork::from_bytes(path, bytes, &options) {
        Ok(network) => network,
        Err(error) => {
            let error = error.to_string();
            let name = path.file_name().unwrap().to_string_lossy();
            assert!(error.contains(&*name), "{error}");
            assert!(!error.chars().any(char::is_control), "{error:?}");
            return false;
        }
    };
    match check(&network, 1, &mut |_| {}) {
        Ok(_) => true,
        Err(error) => {
            let error = error.to_string();
            assert!(!error.chars().any(char::is_control), "{error:?}");
            false
        }
    }
}

/// The most memory that the process has used; `None` where the system does not say.
fn most_kibibytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

#[test]
fn mutated_models_give_a_result_or_one_clear_error_in_bounded_memory() {
    let models = models();
    let config = ProptestConfig {
        cases: 1500,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let ran = std::cell::Cell::new(0);
    TestRunner::new(config)
        .run(&any::<u64>().no_shrink(), |seed| {
            let mut stream = Stream::new(seed, "mutations");
            let (path, bytes) = &models[stream.below(models.len() as u64) as usize];
            let mut fields = parse(bytes, 0).unwrap();
            for _ in 0..1 + stream.below(3) {
                mutate(somewhere(&mut fields, &mut stream), &mut stream);
            }
            ran.set(ran.get() + u32::from(survives(path, write(&fields))));
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{error}"));
    // Mutations that only ever broke the file would say little.
    assert!(ran.get() > 50, "{} mutants ran", ran.get());
    if let Some(most) = most_kibibytes() {
        assert!(most < MOST_KIBIBYTES, "{most} KiB");
    }
}

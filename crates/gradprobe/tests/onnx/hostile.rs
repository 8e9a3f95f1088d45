//! Damaged and hostile files give a result or one clear error that names the file.

use gradprobe::check::check;
use gradprobe::import::onnx::{OnnxNetwork, OnnxOptions};
use gradprobe::num::Stream;
use std::path::{Path, PathBuf};

fn models() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/onnx/models");
    let files = std::fs::read_dir(folder).unwrap();
    let files = files.map(|entry| entry.unwrap().path());
    let mut models: Vec<PathBuf> = files
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "onnx")
        })
        .collect();
    models.sort();
    assert!(!models.is_empty());
    models
}

fn file(name: &str, bytes: &[u8]) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("onnx");
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

/// Reads it and, if that works, runs it: neither may panic.
fn survives(path: &Path) -> Result<(), String> {
    let options = OnnxOptions {
        max_memory: Some(64 << 20),
        ..OnnxOptions::default()
    };
    let network = OnnxNetwork::read(path, &options).map_err(|error| {
        let error = error.to_string();
        let name = path.file_name().unwrap().to_string_lossy();
        assert!(error.contains(&*name), "{error}");
        assert!(!error.chars().any(char::is_control), "{error:?}");
        error
    })?;
    match check(&network, 1, &mut |_| {}) {
        Ok(_) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

#[test]
fn a_file_cut_off_anywhere_is_refused_or_read() {
    for (number, model) in models().iter().enumerate() {
        let bytes = std::fs::read(model).unwrap();
        let mut stream = Stream::new(1, "cuts");
        for cut in 0..120 {
            let end = if cut < 40 {
                cut
            } else {
                stream.below(bytes.len() as u64) as usize
            };
            let path = file(&format!("cut{number}.onnx"), &bytes[..end]);
            assert!(survives(&path).is_err(), "{} cut at {end}", model.display());
        }
    }
}

#[test]
fn flipped_bits_do_no_harm() {
    for (number, model) in models().iter().enumerate() {
        let whole = std::fs::read(model).unwrap();
        let mut stream = Stream::new(2, "flips");
        for _ in 0..250 {
            let mut bytes = whole.clone();
            for _ in 0..1 + stream.below(3) {
                let at = stream.below(bytes.len() as u64) as usize;
                bytes[at] ^= 1 << stream.below(8);
            }
            let path = file(&format!("flip{number}.onnx"), &bytes);
            let _ = survives(&path);
        }
    }
}

#[test]
fn what_is_no_model_is_said_so() {
    for (name, bytes, says) in [
        ("empty.onnx", &b""[..], "is empty"),
        (
            "text.onnx",
            &b"layers = []\n"[..],
            "complete, and an ONNX model",
        ),
        ("nothing.onnx", &b"\x08\x07"[..], "holds no graph"),
    ] {
        let error = survives(&file(name, bytes)).unwrap_err();
        assert!(error.contains(says), "{error}");
    }
    let missing = Path::new(env!("CARGO_TARGET_TMPDIR")).join("no_such.onnx");
    assert!(survives(&missing).unwrap_err().contains("no such file"));
}

#[test]
fn a_file_of_nothing_but_messages_is_refused_before_it_is_read() {
    // Forty million empty nodes would take gigabytes.
    let nodes = 4_000_000;
    let inside: Vec<u8> = [0x0a, 0x00].repeat(nodes);
    let mut bytes = vec![0x3a];
    let mut length = inside.len();
    while length >= 0x80 {
        bytes.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    bytes.push(length as u8);
    bytes.extend(inside);
    let error = survives(&file("many.onnx", &bytes)).unwrap_err();
    assert!(error.contains("--max-memory"), "{error}");
}

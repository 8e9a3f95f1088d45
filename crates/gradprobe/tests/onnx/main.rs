//! ONNX models: gradients against PyTorch's, every feature of the format, the operators' conformance
//! cases, damaged files.

#![allow(clippy::unwrap_used)]

mod architectures;
mod features;
mod fused;
mod golden;
mod hostile;
mod node_cases;
mod node_gradients;
mod non_finite;
mod operators;
mod reach;
mod recurrent_steps;
mod spelling;
mod weights;

use std::path::PathBuf;

/// A folder of `tests/models`.
fn models(name: &str) -> PathBuf {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    root.join("tests/models").join(name)
}

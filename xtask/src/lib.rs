//! What the checks of the repository share with the crates they run.

pub mod environment;
pub mod onnx_floats;

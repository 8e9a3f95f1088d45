//! Networks from elsewhere, as graphs.

mod chain;
pub mod onnx;
pub mod spec;
mod subject;

pub use chain::chain_graph;
pub use subject::{ImportError, MadeUpInput, Subject};

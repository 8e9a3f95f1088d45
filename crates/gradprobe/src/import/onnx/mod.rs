//! ONNX models.
//!
//! The way from file to graph: `reader.rs` reads a file in bounded memory into the messages of
//! `messages.rs`; `model.rs` puts the functions of the file in place of their calls, and `fused/`
//! what an optimiser made one operator of in place of that; `tied.rs` joins
//! weights that were written twice; `analysis.rs` finds the nodes that matter and the tensors that
//! are trained; `inputs.rs`, `sizes.rs` and `loss.rs` choose what is fed and what is differentiated,
//! `notes.rs` says it; `walk.rs` walks the nodes and hands them to the converters of `convert/`, one
//! row an operator; `session.rs` computes at once what is known and adds the rest to the graph;
//! `layers.rs` gives the nodes to layers with the names the user knows, with the help of
//! `modules.rs`.

mod analysis;
mod convert;
mod error;
mod evaluate;
mod fault;
mod fused;
mod inputs;
mod layers;
mod loss;
mod messages;
mod model;
mod modules;
mod network;
mod notes;
mod options;
mod reader;
mod reinit;
mod session;
mod sizes;
mod tensors;
mod tied;
mod value;
mod walk;

pub use convert::{OnnxOp, coverage};
pub use error::OnnxError;
pub use evaluate::{evaluate, weighted_outputs};
pub use network::OnnxNetwork;
pub use options::{OnnxLoss, OnnxOptions, OnnxTarget};

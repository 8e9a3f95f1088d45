//! ONNX models.
//!
//! The way from file to graph: `reader.rs` reads a file in bounded memory into the messages of
//! `messages.rs`; `model.rs` puts the functions of the file in place of their calls, and `fused/` what an
//! optimiser made one operator of in place of that; `exporter_notes.rs` reads what PyTorch notes about its tensors; `weights/` takes apart weights that
//! were merged, `tied.rs` joins those that were written twice; `batch_norms.rs` puts batch
//! normalisations back that were written out; `analysis.rs` finds the nodes that matter, and
//! `weights/` decides which tensors are trained; `inputs.rs`, `sizes.rs` and `loss.rs` choose what is
//! fed and what is differentiated, `notes.rs` says it; `walk.rs` walks the nodes and hands them to the
//! converters of `convert/`, one row an operator; `session.rs` computes at once what is known and adds
//! the rest to the graph; `course.rs` computes from the batch what an input decides;
//! `whole_numbers.rs` steps back from labels to what they are chosen by; `straight_through.rs` finds
//! estimators whose stop-gradient is lost; `layers.rs` notes what each node is to the layers, by the names the user
//! knows, with the help of `layer_names.rs` and `modules.rs`; `layering.rs` gives the nodes to layers
//! when all are there, by who reads what (`reads.rs`) and where what was written out begins and ends
//! (`regions.rs`).

mod analysis;
mod batch_norms;
mod constants_of_model;
mod convert;
mod course;
mod error;
mod evaluate;
mod exporter_notes;
mod fault;
mod fused;
mod inputs;
mod layer_names;
mod layering;
mod layers;
mod loss;
mod messages;
mod model;
mod modules;
mod network;
mod notes;
mod objective;
mod operators;
mod options;
mod reader;
mod reads;
mod recognised;
mod regions;
mod reinit;
mod session;
mod sizes;
mod straight_through;
mod tensors;
mod tied;
mod value;
mod walk;
mod weights;
mod whole_numbers;

pub use convert::{OnnxOp, coverage};
pub use error::OnnxError;
pub use evaluate::{evaluate, weighted_outputs};
pub use network::OnnxNetwork;
pub use options::{OnnxLoss, OnnxOptions, OnnxTarget};
pub use weights::{FileNumbers, TensorStatus, TensorVerdict};

//! Forward and backward over a graph, with a tap on every signal.
//!
//! The plan cuts the nodes into *stages*. In a stage in which every node treats each sample by
//! itself, the batch is cut into chunks of rows and each chunk runs through the whole stage on one
//! thread: its signals stay in that thread's cache, and threads meet once a stage instead of once
//! a node. What mixes samples (a BatchNorm in training, the loss) is a stage of its own. The
//! gradients of what all samples share (the parameters) are computed after the stage's backward
//! pass, whole batch at once and several at a time.
//!
//! What no later step reads is given back at once, and its memory used again: a value after the last
//! node or pull-back that reads it, a cotangent after it was pulled back.
//!
//! Where the batch is cut depends on the shapes alone, every chunk is summed up in order, and no
//! product is split by the number of threads: the result is the same bits on any number of them.

mod backward;
mod buffer;
mod chunks;
mod cotangent;
pub mod emulated;
mod environment;
mod executor;
mod forward;
mod lifetimes;
mod linearisation;
mod observer;
mod plan;
mod shared;
mod trace;

pub use environment::{Options, RunElement, RunError};
pub use executor::{Executor, RunOutput};
pub use lifetimes::Checkpoint;
pub use linearisation::{Linearisation, Stretch};
pub use observer::{Observer, ObserverPair, Signals};
pub use trace::{NodeTrace, ParameterTrace, Trace, UnitCounts};

/// A gradient by parameter, where one was kept.
pub type Gradients<T> = Vec<Option<crate::num::Scaled<T>>>;

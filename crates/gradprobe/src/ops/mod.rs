//! What a node computes: one file an op family, each op with its shapes, its forward and its
//! pull-back next to each other, and a registry.
//!
//! An op does not know that it is watched, nor how its batch is split: it is given views and
//! writes views. The executor owns the memory, the exponents of scaled cotangents and the taps.

pub mod activation;
mod kernel;
mod registry;

pub use kernel::{Context, Kernel, Mode, Op, OpElement, OpError, Role, Saved};
pub use registry::{Attribute, Attributes, OpEntry, registry};

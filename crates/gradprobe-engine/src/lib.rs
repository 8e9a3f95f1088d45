//! The differentiating engine of gradprobe: a [`graph::Graph`] of [`ops`] is run forward and
//! backward by [`run`], with every signal measured, on the arithmetic of [`num`].
//!
//! A crate of its own because its kernels, vectorised for several instruction sets, take minutes to
//! build: a change above it must not build them again.

pub mod graph;
pub mod num;
pub mod ops;
pub mod run;

//! gradprobe: where gradients vanish or explode in a network, why, and which change fixes it.
//!
//! Data flows one way through the modules, in this order: a network becomes a
//! [`graph::Graph`], [`run`] differentiates it with every signal measured, [`measure`] adds the
//! signals up per layer, [`diagnose`] judges them and [`report`] writes the result down.
//! `docs/ARCHITECTURE.md` is the map.

pub use gradprobe_engine::{graph, num, ops, run};

pub mod check;
pub mod data;
pub mod diagnose;
pub mod import;
pub mod init;
pub mod measure;
pub mod report;
pub mod theory;

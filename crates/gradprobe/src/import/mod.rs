//! Networks from elsewhere, as graphs.

mod chain;
pub mod spec;

pub use chain::chain_graph;

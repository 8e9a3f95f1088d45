//! Networks from elsewhere, as graphs.

mod chain;

pub use chain::chain_graph;

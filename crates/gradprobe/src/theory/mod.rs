//! What is known of a chain or a network without running it: the chain rule, written down and
//! evaluated, exactly for one chain and fast for many; mean-field signal
//! propagation, its finite-width spread, the Jacobian's spectrum, normalised and residual networks.

pub mod chain;
pub mod chain_batch;
pub mod chain_float;
pub mod chain_rule;
pub mod finite_width;
pub mod isometry;
pub mod mean_field;
pub mod normalised;
pub mod outlook;

pub use chain::{Chain, ChainError, ExactChain, ExactGradient, LayerValues, MAX_DEPTH};
pub use chain_batch::{BatchError, BatchWeights, chain_batch};
pub use chain_float::FloatChain;
pub use chain_rule::{ChainRule, Factor, Line, Notation};

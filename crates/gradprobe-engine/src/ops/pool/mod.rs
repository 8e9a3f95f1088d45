//! Pooling: the maximum, the mean or the norm of windows, or of a whole channel.

mod adaptive;
mod global;
mod lp;
mod sliding;
mod window;

pub use adaptive::{AdaptiveAveragePool, AdaptiveMaxPool};
pub use global::{GlobalAveragePool, GlobalMaxPool};
pub use lp::{GlobalLpPool, LpPool};
pub use sliding::{AveragePool, MaxPool, PoolIndices};
pub use window::PoolWindow;

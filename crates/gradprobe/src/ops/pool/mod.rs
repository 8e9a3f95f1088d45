//! Pooling: the maximum or the mean of windows, or of a whole channel.

mod global;
mod sliding;

pub use global::{GlobalAveragePool, GlobalMaxPool};
pub use sliding::{AveragePool, MaxPool};

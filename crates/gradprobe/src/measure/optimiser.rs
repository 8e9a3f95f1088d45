//! The optimiser that a first update is measured of.

use serde::{Deserialize, Serialize};

/// An optimiser, for the size of its first update.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "lowercase")]
pub enum Optimiser {
    /// w ← w − lr · g. Momentum's first step is the same.
    Sgd {
        /// The learning rate.
        learning_rate: f64,
    },
    /// The first step of Adam is lr · g / (|g| + ε): its size is lr wherever |g| ≫ ε.
    /// AdamW adds lr · λ · w. (Kingma and Ba 2015; Loshchilov and Hutter 2019.)
    Adam {
        /// The learning rate.
        learning_rate: f64,
        /// ε.
        epsilon: f64,
        /// λ, decoupled; 0 for Adam.
        weight_decay: f64,
    },
}

//! The layers of sequence models: what a specification says of them.

use crate::init::{Fans, Initialiser, Target};
use serde::Serialize;

/// A learned vector for every token.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Embedding {
    /// How many tokens there are.
    pub vocabulary: usize,
    /// The extent of a vector.
    pub dimension: usize,
    /// How the table is drawn.
    pub init: Initialiser,
}

/// What happens in a step of a recurrent layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RecurrentCell {
    /// h ← tanh(W·x + R·h + b).
    RnnTanh,
    /// h ← max(0, W·x + R·h + b).
    RnnRelu,
    /// Long short-term memory.
    Lstm,
    /// A gated recurrent unit, the reset gate after the product as in PyTorch.
    Gru,
}

impl RecurrentCell {
    /// Its name as a user types it.
    pub fn word(self) -> &'static str {
        match self {
            Self::RnnTanh | Self::RnnRelu => "rnn",
            Self::Lstm => "lstm",
            Self::Gru => "gru",
        }
    }

    /// Gates, each with weights of its own.
    pub fn gates(self) -> usize {
        match self {
            Self::RnnTanh | Self::RnnRelu => 1,
            Self::Lstm => 4,
            Self::Gru => 3,
        }
    }
}

/// Recurrent layers on top of each other, over \[time, features\].
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RecurrentLayers {
    /// What happens in a step.
    pub cell: RecurrentCell,
    /// Hidden units of each direction.
    pub hidden: usize,
    /// How many are on top of each other.
    pub layers: u64,
    /// Is time walked both ways, the states side by side?
    pub bidirectional: bool,
    /// How every gate's weight of the input is drawn. PyTorch's default is 1/√hidden for all.
    pub init: Initialiser,
    /// How every gate's weight of the state is drawn.
    pub recurrent_init: Initialiser,
    /// How the biases are drawn; `None`: there are none.
    pub bias: Option<Initialiser>,
    /// What the forget gate's biases are instead, in an LSTM.
    pub forget_bias: Option<f64>,
    /// Is every step a layer of its own? Then the last state alone comes out.
    pub unroll: bool,
}

impl RecurrentLayers {
    /// What an initialiser is told of a gate's weight, or of its bias, in a layer with so many
    /// input features.
    pub(super) fn target(&self, shape: &[usize], features: usize) -> Target {
        let fans = match self.init {
            // 1/√hidden for every parameter, whatever it multiplies.
            Initialiser::Pytorch { .. } => Fans {
                fan_in: self.hidden,
                fan_out: self.hidden,
            },
            _ => Fans::of(&[self.hidden, shape.get(1).copied().unwrap_or(features)]),
        };
        Target {
            shape: shape.to_vec(),
            fans,
            groups: 1,
        }
    }
}

/// Self-attention over \[time, features\], with its projections.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SelfAttention {
    /// Heads of queries.
    pub heads: usize,
    /// Heads of keys and values, each of which serves a group of queries.
    pub kv_heads: usize,
    /// Is what comes later hidden?
    pub causal: bool,
    /// The base of the rotary embedding of positions, where there is one.
    pub rotary: Option<f64>,
    /// How the projections are drawn.
    pub init: Initialiser,
    /// How the projection of the heads' outputs is drawn.
    pub output_init: Initialiser,
    /// How their biases are drawn; `None`: there are none.
    pub bias: Option<Initialiser>,
}

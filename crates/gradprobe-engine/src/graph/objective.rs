//! What is differentiated.

use super::ValueId;

/// The cotangent that a network without a loss is pulled back from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CotangentKind {
    /// Ones: the gradient of the sum of the outputs ("the output itself").
    Ones,
    /// Independent standard normal numbers, drawn from the run's seed.
    Random,
}

/// What is differentiated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Objective {
    /// A scalar value: the loss.
    Loss(ValueId),
    /// A value of any shape, pulled back from a given cotangent.
    Output(ValueId, CotangentKind),
}

impl Objective {
    /// The value that the backward pass starts at.
    pub fn value(&self) -> ValueId {
        match *self {
            Self::Loss(value) | Self::Output(value, _) => value,
        }
    }
}

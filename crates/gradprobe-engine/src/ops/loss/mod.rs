//! Losses: a scalar from a prediction and a target.
//!
//! Each is the mean or the sum of its elements' losses, and written so that neither overflows nor
//! cancels: from logits, never from probabilities.

mod cross_entropy;
mod elementwise;

pub use cross_entropy::CrossEntropy;
pub use elementwise::{BinaryCrossEntropyWithLogits, Huber, MeanAbsoluteError, MeanSquaredError};

use super::OpError;
use super::attributes::{Attribute, AttributeReader, wrong};
use crate::num::Element;

/// How the elements' losses become one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Reduction {
    /// Their mean.
    #[default]
    Mean,
    /// Their sum.
    Sum,
}

impl Reduction {
    fn read(reader: &mut AttributeReader<'_>) -> Result<Self, OpError> {
        match reader.text("reduction", "mean")? {
            "mean" => Ok(Self::Mean),
            "sum" => Ok(Self::Sum),
            other => Err(wrong(
                "reduction",
                "mean or sum",
                &Attribute::Text(other.into()),
            )),
        }
    }

    /// What the sum of `count` losses is multiplied by.
    fn weight<T: Element>(self, count: usize) -> T {
        match self {
            Self::Mean => T::from_f64(1.0 / count as f64),
            Self::Sum => T::one(),
        }
    }
}

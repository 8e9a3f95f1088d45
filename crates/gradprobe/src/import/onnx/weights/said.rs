//! What was decided of a tensor, in words.

use super::roles::Role;
use std::fmt;

/// What is a tensor to the network?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TensorStatus {
    /// An optimiser changes it: it is judged.
    Trained,
    /// Nobody trains it.
    Frozen,
    /// Nothing says which of the two; its numbers are used and nothing is said of it.
    NotJudged,
}

/// What became of a floating-point tensor of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorVerdict {
    /// What the file calls it.
    pub name: String,
    /// How many numbers it has.
    pub elements: usize,
    /// What was decided.
    pub status: TensorStatus,
    /// Why, in words.
    pub reason: String,
}

/// How many floating-point numbers a file holds, by what they are to the network. The sum is that of
/// the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct FileNumbers {
    /// Numbers that are trained.
    pub trained: usize,
    /// Numbers that nobody trains.
    pub frozen: usize,
    /// Numbers of which nothing is said.
    pub not_judged: usize,
}

impl FileNumbers {
    /// Adds up what was decided of a file's tensors.
    pub fn of(tensors: &[TensorVerdict]) -> Self {
        let count = |status: TensorStatus| {
            let tensors = tensors.iter().filter(|tensor| tensor.status == status);
            tensors.fold(0usize, |sum, tensor| sum.saturating_add(tensor.elements))
        };
        Self {
            trained: count(TensorStatus::Trained),
            frozen: count(TensorStatus::Frozen),
            not_judged: count(TensorStatus::NotJudged),
        }
    }
}

impl fmt::Display for TensorStatus {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Trained => "trained",
            Self::Frozen => "frozen",
            Self::NotJudged => "not judged",
        })
    }
}

/// Why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    SaidByUser,
    Noted,
    NotedBuffer,
    FoldedFrom(Vec<String>),
    Name,
    BufferName,
    Role(Role),
    /// A constant of the computation.
    Number,
    /// A penalty on parameters, computed in advance.
    Penalty,
    /// In the body of a control-flow node.
    InBody,
    NotReached,
    Undecided,
}

impl fmt::Display for Reason {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::SaidByUser => "as you say",
            Self::Noted => "a parameter, by the exporter's notes",
            Self::NotedBuffer => "a buffer, by the exporter's notes",
            Self::FoldedFrom(sources) => {
                return write!(out, "computed by the exporter from {}", sources.join(", "));
            }
            Self::Name => "named as a parameter",
            Self::BufferName => "named as what no optimiser changes",
            Self::Role(role) => role.words(),
            Self::Number => "a constant of the computation",
            Self::Penalty => {
                "a penalty on parameters, computed by the exporter: their gradients lack its part"
            }
            Self::InBody => "in the body of a control-flow node",
            Self::NotReached => "the output does not depend on it",
            Self::Undecided => "neither its name nor its place says that it is trained",
        })
    }
}

impl Role {
    fn words(self) -> &'static str {
        match self {
            Self::Product => "multiplied as a matrix, a kernel or a recurrent weight",
            Self::NormScale => "the scale of a normalisation",
            Self::NormShift => "the shift of a normalisation",
            Self::Table => "a table that is looked up",
            Self::Bias => "added along the channels",
            Self::Scale => "multiplied along the channels",
            Self::Embedding => "added to every sample alike",
            Self::Token => "joined to the signal",
            Self::Slope => "the slope of a PReLU",
            Self::InitialState => "a first state of zeros",
            Self::Mask => "a mask before a softmax",
            Self::Statistics => "running statistics of a batch norm",
            Self::Setting => "a setting of the operation: an exponent, a limit, a size",
        }
    }
}

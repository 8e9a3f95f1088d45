//! What a specification says, parsed: every name resolved, every default filled in.

mod layers;

pub(super) use layers::vocabulary;
pub use layers::{
    Common, Conv, ConvTranspose, Interpolation, Layer, LayerKind, Linear, LocalResponseNorm, Norm,
    NormKind, Padding, Pool, PoolKind, Repeat, Residual, Shortcut, Upsample,
};

use super::rule_choices::RuleChoices;
use super::source::Source;
use crate::data::{Column, Header, Standardise, Synthetic};
use crate::graph::Origin;
use crate::ops::Mode;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

/// A network to be checked, as a person wrote it down.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Specification {
    /// What the network is called.
    pub name: Option<String>,
    /// What goes in.
    pub input: Input,
    /// The layers in order.
    pub layers: Vec<Layer>,
    /// Layers that are used by the name of their block.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub blocks: BTreeMap<String, Vec<Layer>>,
    /// What is differentiated.
    pub loss: Loss,
    /// Whose step is compared with the weights.
    pub optimiser: Optimiser,
    /// Rows in a batch.
    pub batch: usize,
    /// The seeds that weights and batches are drawn from; one run each.
    pub seeds: Vec<u64>,
    /// Training or inference.
    pub mode: Mode,
    /// The type the network is run in.
    pub dtype: Dtype,
    /// The most bytes that parameters and signals may take; `None`: half of the machine's memory.
    pub max_memory: Option<u64>,
    /// Which rules judge it, where it says so.
    #[serde(skip)]
    pub rules: RuleChoices,
    /// The text it was read from.
    #[serde(skip)]
    pub source: Source,
}

/// The type a network is run in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Dtype {
    /// Single precision.
    #[default]
    F32,
    /// Double precision.
    F64,
}

impl Dtype {
    /// Bytes a number takes.
    pub fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F64 => 8,
        }
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::F64 => "f64",
        })
    }
}

/// What goes in.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Input {
    /// The shape of one row; `None`: the columns of the data file.
    pub shape: Option<Vec<usize>>,
    /// How many times each pixel of a `[channels, height, width]` row is repeated both ways.
    pub upscale: usize,
    /// Where the numbers come from.
    pub values: Values,
    /// Where `[input]` stands.
    #[serde(skip)]
    pub origin: Origin,
}

/// Where inputs come from.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Values {
    /// Made up.
    Synthetic(Synthetic),
    /// A table in a file.
    File(FileValues),
}

/// Inputs from a file.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FileValues {
    /// The file, as written: from the specification's folder on.
    pub path: PathBuf,
    /// The column of the targets.
    pub target: TargetColumn,
    /// Does the first line hold names?
    pub header: Header,
    /// What separates fields, where that was said.
    pub delimiter: Option<char>,
    /// How the inputs are scaled.
    pub standardise: Standardise,
    /// Which rows make a batch.
    pub rows: RowChoice,
    /// Where the file's name stands.
    #[serde(skip)]
    pub origin: Origin,
    /// Where the target's column is said, if it is.
    #[serde(skip)]
    pub target_origin: Option<Origin>,
}

/// The column of the targets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum TargetColumn {
    /// The last if the loss takes a target, none otherwise.
    Auto,
    /// Every column is an input.
    None,
    /// This one.
    Column(Column),
}

/// Which rows make a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RowChoice {
    /// Different ones, drawn by the seed.
    #[default]
    Random,
    /// The first ones.
    First,
}

/// What is differentiated.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Loss {
    /// Which.
    pub kind: LossKind,
    /// Is it the sum over the elements, rather than the mean?
    pub sum: bool,
    /// Where targets come from.
    pub targets: Targets,
    /// How many classes there are, where the user says so.
    pub classes: Option<usize>,
    /// Where it stands.
    #[serde(skip)]
    pub origin: Origin,
}

/// Which loss.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum LossKind {
    /// −ln softmax at the target's class.
    CrossEntropy,
    /// Binary cross-entropy from logits.
    BceWithLogits,
    /// Mean squared error.
    Mse,
    /// Mean absolute error.
    L1,
    /// Squared below delta, absolute above.
    Huber {
        /// Where one becomes the other.
        delta: f64,
    },
    /// The sum of the outputs.
    Output,
    /// The outputs' product with a random normal cotangent.
    RandomCotangent,
}

impl LossKind {
    /// Is there a target?
    pub fn takes_target(self) -> bool {
        !matches!(self, Self::Output | Self::RandomCotangent)
    }
}

/// Where targets come from.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Targets {
    /// The data file's column: as numbers if the network has one output, else as classes. Random
    /// if there is no file.
    Auto,
    /// Random classes, or numbers.
    Random,
    /// One number everywhere.
    Constant(f64),
}

/// An optimiser, for the size of its step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Optimiser {
    /// Which.
    pub kind: OptimiserKind,
    /// The learning rate.
    pub learning_rate: f64,
    /// Decay of the weights (decoupled in AdamW, added to the gradient elsewhere).
    pub weight_decay: f64,
}

/// Which optimiser.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum OptimiserKind {
    /// w − lr·g.
    Sgd,
    /// With momentum.
    Momentum {
        /// The share of the last step that is kept.
        momentum: f64,
    },
    /// Kingma & Ba 2015.
    Adam {
        /// Decay of the mean of gradients.
        beta1: f64,
        /// Decay of the mean of their squares.
        beta2: f64,
        /// What is added to the root.
        eps: f64,
    },
    /// Loshchilov & Hutter 2019.
    AdamW {
        /// Decay of the mean of gradients.
        beta1: f64,
        /// Decay of the mean of their squares.
        beta2: f64,
        /// What is added to the root.
        eps: f64,
    },
}

impl Default for Optimiser {
    fn default() -> Self {
        Self {
            kind: OptimiserKind::Sgd,
            learning_rate: 0.01,
            weight_decay: 0.0,
        }
    }
}

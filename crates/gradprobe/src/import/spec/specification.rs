//! What a specification says, parsed: every name resolved, every default filled in.

use super::rule_choices::RuleChoices;
use super::sequence::{Embedding, RecurrentLayers, SelfAttention};
use crate::data::{Column, Header, Standardise, Synthetic};
use crate::graph::Origin;
use crate::init::Initialiser;
use crate::ops::Mode;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

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

/// The text of a specification, for messages.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Source {
    /// The file; data files are sought from its folder.
    pub path: Option<PathBuf>,
    /// The text.
    pub text: Arc<str>,
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

/// One entry of the list of layers.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Layer {
    /// The name the user gave it.
    pub name: Option<String>,
    /// What it is.
    #[serde(flatten)]
    pub kind: LayerKind,
    /// Where it stands.
    #[serde(skip)]
    pub origin: Origin,
}

/// What a layer is.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum LayerKind {
    /// y = x·Wᵀ + b.
    Linear(Linear),
    /// A two-dimensional convolution.
    Conv(Conv),
    /// A two-dimensional transposed convolution.
    ConvTranspose(ConvTranspose),
    /// Pooling over windows.
    Pool(Pool),
    /// The means over as many windows as give these extents.
    AdaptiveAveragePool([usize; 2]),
    /// The mean over all places of each channel.
    GlobalAveragePool,
    /// A larger image.
    Upsample(Upsample),
    /// All axes but the batch become one.
    Flatten,
    /// Rows of another shape; at most one extent may be −1.
    Reshape(Vec<i64>),
    /// Dropout with this probability.
    Dropout(f64),
    /// A normalisation by itself.
    Norm(Norm),
    /// Normalisation by the squares in the channels around.
    #[serde(rename = "lrn")]
    LocalResponseNorm(LocalResponseNorm),
    /// An activation by itself.
    Activation(String),
    /// Token ids to vectors.
    Embedding(Embedding),
    /// A learned vector for every time step, added; how the vectors are drawn.
    PositionalEmbedding(Initialiser),
    /// RNN, LSTM or GRU.
    Recurrent(RecurrentLayers),
    /// Self-attention.
    Attention(SelfAttention),
    /// The first half of the features times this activation of the second.
    Glu(String),
    /// The last time step.
    LastStep,
    /// The axes after the batch in another order, counted from 1; empty exchanges the last two.
    Transpose(Vec<usize>),
    /// x + scale · branch(x).
    Residual(Residual),
    /// Layers several times over.
    Repeat(Repeat),
    /// The layers of the block of this name.
    Block(String),
}

impl LayerKind {
    /// Is it one layer, rather than a list of them?
    pub fn is_one_layer(&self) -> bool {
        !matches!(self, Self::Residual(_) | Self::Repeat(_) | Self::Block(_))
    }
}

/// A linear layer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Linear {
    /// Its width.
    pub units: usize,
    /// The embedding whose table is its weight.
    pub tied: Option<String>,
    /// What follows the product.
    #[serde(flatten)]
    pub common: Common,
}

/// What linear layers and convolutions share.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Common {
    /// How the weight is drawn.
    pub init: Initialiser,
    /// How the bias is drawn; `None`: there is no bias.
    pub bias: Option<Initialiser>,
    /// The normalisation after it.
    pub norm: Option<Norm>,
    /// The activation after that, as the activations' registry names it, or `softmax` or
    /// `log-softmax`.
    pub activation: Option<String>,
}

/// A convolution over `[channels, height, width]`. Pairs are height, then width.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Conv {
    /// Output channels.
    pub channels: usize,
    /// The kernel's extents.
    pub kernel: [usize; 2],
    /// Places between two applications of the kernel.
    pub stride: [usize; 2],
    /// Zeros around the image.
    pub padding: Padding,
    /// Places between two entries of the kernel.
    pub dilation: [usize; 2],
    /// Groups of channels that do not see each other.
    pub groups: usize,
    /// What follows the convolution.
    #[serde(flatten)]
    pub common: Common,
}

/// A transposed convolution over `[channels, height, width]`. Pairs are height, then width.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ConvTranspose {
    /// Output channels.
    pub channels: usize,
    /// The kernel's extents.
    pub kernel: [usize; 2],
    /// Places between what two neighbouring inputs are written to.
    pub stride: [usize; 2],
    /// Places cut off all around.
    pub padding: [usize; 2],
    /// Places added below and to the right.
    pub output_padding: [usize; 2],
    /// Places between two entries of the kernel.
    pub dilation: [usize; 2],
    /// Groups of channels that do not see each other.
    pub groups: usize,
    /// What follows the convolution.
    #[serde(flatten)]
    pub common: Common,
}

/// A larger image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Upsample {
    /// How many times as high and as wide.
    pub factor: [usize; 2],
    /// What comes between the pixels.
    pub mode: Interpolation,
}

/// What comes between the pixels, as PyTorch's `interpolate` has it without aligned corners.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Interpolation {
    /// The pixel again.
    #[default]
    Nearest,
    /// On a line between neighbours, both ways.
    Bilinear,
    /// On a cubic between four neighbours, both ways.
    Bicubic,
}

/// Zeros around an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Padding {
    /// As many as keep the extents at stride 1.
    Same,
    /// So many above and below, left and right.
    Each([usize; 2]),
}

/// Pooling over windows.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Pool {
    /// What becomes of a window.
    pub kind: PoolKind,
    /// The window's extents.
    pub kernel: [usize; 2],
    /// Places between two windows.
    pub stride: [usize; 2],
    /// Places around the image.
    pub padding: [usize; 2],
}

/// What becomes of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PoolKind {
    /// Its largest number.
    Max,
    /// Its mean.
    Average,
}

/// A normalisation.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Norm {
    /// Over what.
    pub kind: NormKind,
    /// What is added to the variance.
    pub eps: f64,
    /// Is there a trained scale and shift?
    pub affine: bool,
}

/// What a normalisation is taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum NormKind {
    /// The batch, for each feature or channel.
    Batch,
    /// Each row: the last axis of vectors and sequences, channels and places of an image.
    Layer,
    /// The same, by the root mean square alone: there is no mean and no shift.
    Rms,
    /// Each row in so many groups of channels.
    Group(usize),
    /// Each channel of each row.
    Instance,
}

/// Normalisation by the squares at the same place in the channels around, PyTorch's
/// `LocalResponseNorm`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct LocalResponseNorm {
    /// How many channels a sum is over.
    pub size: usize,
    /// What the mean square is multiplied by.
    pub alpha: f64,
    /// The power of the divisor.
    pub beta: f64,
    /// What is added to the mean square.
    pub k: f64,
}

/// x + scale · branch(x).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Residual {
    /// The branch.
    pub layers: Vec<Layer>,
    /// How x gets to the sum.
    pub shortcut: Shortcut,
    /// What the branch is multiplied by.
    pub scale: f64,
    /// How a projecting shortcut is drawn.
    pub init: Initialiser,
    /// What normalises a projecting shortcut.
    pub norm: Option<Norm>,
}

/// How the input of a residual block gets to its sum.
#[derive(Clone, Debug, PartialEq, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shortcut {
    /// As it is.
    #[default]
    Identity,
    /// By a linear layer or a 1 × 1 convolution without bias, where the shapes differ, and a
    /// normalisation if the block names one.
    Projection,
    /// Every so many pixels, with channels of zeros added, where the shapes differ: option A of
    /// He et al. 2016.
    Pad,
    /// Through these layers.
    Layers(Vec<Layer>),
}

impl Shortcut {
    /// The layers on it that the user wrote.
    pub fn layers(&self) -> &[Layer] {
        match self {
            Self::Layers(layers) => layers,
            _ => &[],
        }
    }
}

/// Layers several times over, each time with weights of their own.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Repeat {
    /// How often.
    pub times: u64,
    /// What.
    pub layers: Vec<Layer>,
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

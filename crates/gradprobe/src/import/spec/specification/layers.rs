//! The layers of a specification.

use crate::graph::Origin;
use crate::import::spec::sequence::{Embedding, RecurrentLayers, SelfAttention};
use crate::init::Initialiser;
use serde::Serialize;

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

/// The vocabulary of the first embedding among the layers.
pub(crate) fn vocabulary(layers: &[Layer]) -> Option<usize> {
    layers.iter().find_map(|layer| match &layer.kind {
        LayerKind::Embedding(embedding) => Some(embedding.vocabulary),
        LayerKind::Residual(residual) => {
            vocabulary(&residual.layers).or_else(|| vocabulary(residual.shortcut.layers()))
        }
        LayerKind::Repeat(repeat) => vocabulary(&repeat.layers),
        _ => None,
    })
}

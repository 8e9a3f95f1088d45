//! What a node computes: one file an op family, each op with its shapes, its forward and its
//! pull-back next to each other, and a registry.
//!
//! An op does not know that it is watched, nor how its batch is split: it is given views and
//! writes views. The executor owns the memory, the exponents of scaled cotangents and the taps.
//!
//! To add an op: a struct with [`Kernel`] and [`Op`] in its family's file, a row in the registry,
//! and a case in `tests/ops`, which holds every op to the same promises.

pub mod activation;
mod apply;
mod arithmetic;
mod attention;
mod attributes;
mod broadcast;
mod check;
mod col2im;
mod comparison;
mod concat;
mod conv;
mod cumulative;
mod depth_space;
mod determinant;
mod dropout;
mod einsum;
mod expand;
mod extremum;
mod facts;
mod fourier;
mod gather;
mod glu;
mod grid_sample;
mod indexing;
mod kernel;
mod linear;
pub mod loss;
mod matmul;
mod mode;
pub mod normalisation;
mod one_hot;
mod over_time;
mod parallel;
pub mod pool;
mod prelu;
mod recurrent;
mod reduce;
mod registry;
mod resample;
mod reshape;
mod resize;
mod reverse_sequence;
mod select;
mod selection;
mod shapes;
mod softmax;
mod split;
mod straight_through;
mod top_k;
mod transpose;
mod triangle;
mod unary;
mod window;

pub use apply::{InputGradients, apply, apply_vjp};
pub use arithmetic::{Add, Div, Fmod, Mod, Mul, Neg, Pow, Sub, Sum};
pub use attention::{Attention, RotaryEmbedding};
pub use attributes::{Attribute, Attributes};
pub use check::{GradientError, check_gradients};
pub use col2im::Col2Im;
pub use comparison::{And, Equal, Greater, GreaterOrEqual, IsNaN, Less, LessOrEqual, Not, Or};
pub use concat::Concat;
pub use conv::{Conv, ConvTranspose};
pub use cumulative::CumSum;
pub use depth_space::{DepthOrder, DepthToSpace, SpaceToDepth};
pub use determinant::Det;
pub use dropout::Dropout;
pub use einsum::Einsum;
pub use expand::Expand;
pub use extremum::{Max, Min};
pub use facts::{Autocast, CrossEntropyKind, Modes, OpFacts, WeightLayout};
pub use fourier::Dft;
pub use gather::Gather;
pub use glu::Glu;
pub use grid_sample::{GridSample, Outside, Sampling};
pub use indexing::{GatherElements, GatherNd, ScatterElements, ScatterNd, ScatterReduction};
pub use kernel::{Context, InputExponents, Kernel, Op, OpElement, OpError, Role, Saved};
pub use linear::Linear;
pub use loss::{
    BinaryCrossEntropyWithLogits, CrossEntropy, Huber, MeanAbsoluteError, MeanSquaredError,
    Reduction,
};
pub use matmul::MatMul;
pub use mode::Mode;
pub use normalisation::{
    BatchNorm, GroupNorm, InstanceNorm, LayerNorm, LocalResponseNorm, RmsNorm,
};
pub use one_hot::OneHot;
pub use over_time::OverTime;
pub use pool::{
    AdaptiveAveragePool, AdaptiveMaxPool, AveragePool, GlobalAveragePool, GlobalLpPool,
    GlobalMaxPool, LpPool, MaxPool, PoolIndices, PoolWindow,
};
pub use prelu::PRelu;
pub use recurrent::{
    Cell, Direction, Gru, GruCell, Lstm, LstmCell, Recurrent, Rnn, RnnActivation, RnnCell,
};
pub use reduce::{Reduce, ReduceKind};
pub use registry::{OpEntry, find_op, registry};
pub use reshape::{Flatten, Identity, Reshape, Squeeze, Unsqueeze};
pub use resize::{Coordinates, Interpolation, Resize, Rounding};
pub use reverse_sequence::ReverseSequence;
pub use select::Where;
pub use selection::{Pad, PadMode, Slice, Tile};
pub use softmax::{LogSoftmax, Softmax};
pub use split::Split;
pub use straight_through::StraightThrough;
pub use top_k::TopK;
pub use transpose::Transpose;
pub use triangle::Trilu;
pub use unary::{
    Abs, Acos, Acosh, Asin, Asinh, Atanh, Ceil, Clip, Cos, Cosh, Exp, Floor, Log, Reciprocal,
    Round, Sign, Sinh, Sqrt, Tan,
};
pub use window::Padding;

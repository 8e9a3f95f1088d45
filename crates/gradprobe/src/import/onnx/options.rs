//! What may be chosen about a model; everything has a default.

use crate::import::spec::Dtype;
use crate::init::Initialiser;
use crate::ops::Mode;
use std::path::PathBuf;

/// What is differentiated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnnxLoss {
    /// Chosen from the output.
    #[default]
    Auto,
    /// Cross-entropy of logits against classes.
    CrossEntropy,
    /// Binary cross-entropy of logits.
    BceWithLogits,
    /// Mean squared error.
    Mse,
    /// Mean absolute error.
    L1,
    /// The output itself.
    Output,
    /// A random cotangent pulled back from the output.
    RandomCotangent,
}

/// What the loss compares the output with.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum OnnxTarget {
    /// Drawn at random, unless the data have an array called `target`.
    #[default]
    Auto,
    /// One number everywhere: a class, a value.
    Constant(f64),
    /// An NPY file.
    File(PathBuf),
}

/// What may be chosen about a model.
#[derive(Clone, Debug)]
pub struct OnnxOptions {
    /// Inputs from NPY files, by name.
    pub inputs: Vec<(String, PathBuf)>,
    /// Inputs given as numbers, by name: one number is that number everywhere, several are a list.
    pub numbers: Vec<(String, Vec<f64>)>,
    /// An NPZ or safetensors file whose arrays are called like the inputs, and `target`.
    pub data: Option<PathBuf>,
    /// Extents of free dimensions by name, of that of the batch as `batch`, or as `INPUT.AXIS`.
    pub dims: Vec<(String, usize)>,
    /// Samples in a batch. A file that fixes fewer is run on several batches of its own size, one
    /// after the other.
    pub batch: Option<usize>,
    /// The target.
    pub target: OnnxTarget,
    /// The loss.
    pub loss: OnnxLoss,
    /// The output, or any value, that is judged; the first output unless given.
    pub output: Option<String>,
    /// Training or inference.
    pub mode: Mode,
    /// In training, do Dropout nodes drop, rather than being the identity?
    pub dropout: bool,
    /// Tensors that are trained whatever else is known of them, by patterns of their names.
    pub train: Vec<glob::Pattern>,
    /// Tensors that nobody trains.
    pub freeze: Vec<glob::Pattern>,
    /// Draws new weights, to judge the architecture rather than the weights.
    pub reinit: Option<Initialiser>,
    /// Takes x + (f(x) − x) for a straight-through estimator: the gradient passes as through x.
    pub straight_through: bool,
    /// The arithmetic to run in.
    pub dtype: Dtype,
    /// The seeds; empty for the usual ones.
    pub seeds: Vec<u64>,
    /// The most memory to use, in bytes; half of the machine's unless given.
    pub max_memory: Option<u64>,
}

impl Default for OnnxOptions {
    fn default() -> Self {
        Self {
            inputs: Vec::new(),
            numbers: Vec::new(),
            data: None,
            dims: Vec::new(),
            batch: None,
            target: OnnxTarget::Auto,
            loss: OnnxLoss::Auto,
            output: None,
            mode: Mode::Train,
            dropout: false,
            train: Vec::new(),
            freeze: Vec::new(),
            reinit: None,
            straight_through: false,
            dtype: Dtype::F32,
            seeds: Vec::new(),
            max_memory: None,
        }
    }
}

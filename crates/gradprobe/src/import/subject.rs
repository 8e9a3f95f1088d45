//! What a check asks of a network, wherever it came from.

use super::onnx::{OnnxError, TensorVerdict};
use super::spec::{Dtype, Optimiser, RuleChoices, SpecError};
use crate::graph::Graph;
use crate::num::Tensor;
use crate::ops::Mode;
use serde::{Deserialize, Serialize};

/// Why a network cannot be built, or its batch not drawn.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// A mistake in a specification.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// A mistake in an ONNX file, or in what was asked of it.
    #[error(transparent)]
    Onnx(#[from] OnnxError),
}

/// A network that can be checked: a graph and a batch for each of its seeds.
pub trait Subject: Sync {
    /// What it is called.
    fn title(&self) -> String;
    /// The seeds to draw from, one run each.
    fn seeds(&self) -> &[u64];
    /// The arithmetic to run in.
    fn dtype(&self) -> Dtype;
    /// Training or inference.
    fn mode(&self) -> Mode;
    /// Samples in a batch.
    fn batch_size(&self) -> usize;
    /// What is differentiated, in words.
    fn objective(&self) -> String;
    /// The optimiser whose first update is judged, if any is known.
    fn optimiser(&self) -> Option<&Optimiser>;
    /// What was chosen for the user, in sentences.
    fn notes(&self) -> &[String];
    /// Which rules judge it, where it says so itself.
    fn rules(&self) -> Option<&RuleChoices> {
        None
    }
    /// Are the targets given with the data, and not made up?
    fn has_given_targets(&self) -> bool {
        false
    }
    /// How many rows batches are drawn from, where they come from a file.
    fn data_rows(&self) -> Option<usize> {
        None
    }
    /// Is the loss the user's, and not chosen for a model that has none?
    fn has_given_loss(&self) -> bool {
        true
    }
    /// What every floating-point tensor of a file is to the network, where it comes from a file that
    /// holds tensors.
    fn tensors(&self) -> &[TensorVerdict] {
        &[]
    }
    /// Are the weights drawn by an initialiser, and not given (and perhaps trained)?
    fn is_freshly_drawn(&self) -> bool {
        true
    }
    /// The inputs that were made up where data may have been given, in words.
    fn made_up_inputs(&self) -> Vec<MadeUpInput> {
        Vec::new()
    }
    /// Is it a file that a framework exported, which carries no stop-gradients?
    fn is_exported(&self) -> bool {
        false
    }
    /// The graph with the weights of a seed.
    ///
    /// # Errors
    /// If it does not fit together.
    fn build(&self, seed: u64) -> Result<Graph, ImportError>;
    /// The batch of a seed: the graph's inputs in order, the target (if there is one) last.
    ///
    /// # Errors
    /// If the data do not fit.
    fn batch(&self, seed: u64) -> Result<Vec<Tensor<f64>>, ImportError>;
    /// The batches of a seed that are run one after the other and measured as one: several where a
    /// file fixes how many samples the graph takes at once.
    ///
    /// # Errors
    /// As [`batch`](Self::batch).
    fn batches(&self, seed: u64) -> Result<Vec<Vec<Tensor<f64>>>, ImportError> {
        Ok(vec![self.batch(seed)?])
    }
}

/// An input that was made up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MadeUpInput {
    /// Its name, its shape and what it was drawn from, in words.
    pub description: String,
    /// May it make no sense to the network: whole numbers of a meaning that nothing tells, lengths,
    /// masks?
    pub is_doubtful: bool,
}

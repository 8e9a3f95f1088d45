//! A specification as a network to be checked.

use super::{Dtype, LossKind, Network, Optimiser, RuleChoices, Targets, Values};
use crate::graph::Graph;
use crate::import::{ImportError, Subject};
use crate::num::Tensor;
use crate::ops::Mode;

impl Subject for Network {
    /// Its name, else its file's.
    fn title(&self) -> String {
        let specification = self.specification();
        let file = || specification.source.path.as_ref()?.file_stem();
        specification
            .name
            .clone()
            .or_else(|| file().map(|stem| stem.to_string_lossy().into_owned()))
            .unwrap_or_else(|| "network".into())
    }

    fn seeds(&self) -> &[u64] {
        &self.specification().seeds
    }

    fn dtype(&self) -> Dtype {
        self.specification().dtype
    }

    fn mode(&self) -> Mode {
        self.specification().mode
    }

    fn batch_size(&self) -> usize {
        self.specification().batch
    }

    fn objective(&self) -> String {
        match self.specification().loss.kind {
            LossKind::CrossEntropy => "cross-entropy",
            LossKind::BceWithLogits => "binary cross-entropy",
            LossKind::Mse => "mean squared error",
            LossKind::L1 => "mean absolute error",
            LossKind::Huber { .. } => "Huber",
            LossKind::Output => "the output itself is differentiated",
            LossKind::RandomCotangent => "a random cotangent is pulled back from the output",
        }
        .into()
    }

    fn optimiser(&self) -> Option<&Optimiser> {
        Some(&self.specification().optimiser)
    }

    fn notes(&self) -> &[String] {
        &[]
    }

    fn rules(&self) -> Option<&RuleChoices> {
        Some(&self.specification().rules)
    }

    fn has_given_targets(&self) -> bool {
        let specification = self.specification();
        let loss = &specification.loss;
        matches!(specification.input.values, Values::File(_))
            && loss.kind.takes_target()
            && loss.targets == Targets::Auto
    }

    fn data_rows(&self) -> Option<usize> {
        self.row_count()
    }

    fn build(&self, seed: u64) -> Result<Graph, ImportError> {
        Ok(Network::build(self, seed)?)
    }

    fn batch(&self, seed: u64) -> Result<Vec<Tensor<f64>>, ImportError> {
        Ok(Network::batch(self, seed)?)
    }
}

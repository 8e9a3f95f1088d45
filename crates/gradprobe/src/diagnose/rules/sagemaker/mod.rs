//! The built-in rules of SageMaker Debugger, with its names and defaults, for those who come from
//! there: `--profile sagemaker`.
//!
//! A rule there watches a training job step by step; here it sees the first step of each seed. Those
//! that need several steps (UnchangedTensor, LossNotDecreasing, Overfit, Overtraining) are not here.

pub mod all_zero;
pub mod dead_relu;
pub mod exploding_tensor;
pub mod poor_weight_initialization;
pub mod saturated_activation;
pub mod tensor_variance;
pub mod vanishing_gradient;
pub mod weight_update_ratio;

use super::super::finding::{Finding, Severity};
use super::super::rule::{Examination, Setting};
use crate::measure::{LayerRun, ParameterRun};

/// Where the defaults are from.
const SOURCE: &str = "SageMaker Debugger's built-in rules, developer guide";
/// What is written where a rule is documented.
const REFERENCES: &str = "Amazon SageMaker AI Developer Guide, List of Debugger built-in rules; Rauschmayr \
                          et al. 2021, Amazon SageMaker Debugger: a system for real-time insights into \
                          machine learning model training.";
/// One finding for all places where a rule fires: the first, and how many more there are.
fn first_of(
    examined: &Examination<'_>,
    setting: &Setting,
    found: Vec<(String, f64, String)>,
) -> Vec<Finding> {
    let more = match found.len() {
        0 | 1 => String::new(),
        count => format!(" (the first of {count})"),
    };
    let first = found.into_iter().next();
    let finding = first.map(|(layer, measured, message)| {
        let message = format!("{message}{more}");
        examined
            .finding_by(setting, Severity::Warning, measured, message)
            .at(&layer)
    });
    finding.into_iter().collect()
}

/// The layers' medians.
fn layers<'a>(examined: &Examination<'a>) -> impl Iterator<Item = &'a LayerRun> {
    examined
        .measurement
        .layers
        .iter()
        .map(|layer| &layer.median)
}

/// The weights, with their layers.
fn weights<'a>(
    examined: &Examination<'a>,
) -> impl Iterator<Item = (&'a LayerRun, &'a ParameterRun)> {
    layers(examined).flat_map(|layer| {
        let parameters = layer.parameters.iter();
        parameters
            .filter(|p| p.shape.len() > 1)
            .map(move |parameter| (layer, parameter))
    })
}

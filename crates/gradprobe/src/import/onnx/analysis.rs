//! What can be said of a model before it is converted: which nodes matter, which tensors are
//! weights, and which nodes compute with weights alone.

use super::error::OnnxError;
use super::model::{Flat, reads};
use super::weights::{Said, Weights};
use std::collections::{HashMap, HashSet};
use std::path::Path;

/// What is known of a model's names.
#[derive(Debug, Default)]
pub(super) struct Analysis {
    /// By node: does the output depend on it?
    pub live: Vec<bool>,
    /// The node that makes a value.
    pub made_by: HashMap<String, usize>,
    /// How many live nodes read a value.
    pub readers: HashMap<String, usize>,
    /// Which initialisers and constants are trained.
    pub weights: Weights,
    /// By node: does it read nothing but weights and constants, and a weight among them? Such
    /// nodes are converted when somebody needs them.
    pub weights_only: Vec<bool>,
}

/// Looks at the part of the model that `outputs` depend on. `folder` is where files of external
/// data are.
///
/// # Errors
/// If what the user says of tensors fits none.
pub(super) fn analyse(
    model: &Flat,
    outputs: &[&str],
    folder: &Path,
    said: Said<'_>,
) -> Result<Analysis, OnnxError> {
    let mut analysis = Analysis::default();
    for (index, node) in model.nodes.iter().enumerate() {
        for output in node.message.output.iter().filter(|name| !name.is_empty()) {
            analysis.made_by.entry(output.clone()).or_insert(index);
        }
    }
    analysis.find_live(model, outputs);
    let (live, made_by) = (&analysis.live, &analysis.made_by);
    analysis.weights = Weights::decide(model, live, made_by, folder, said)?;
    analysis.find_weights_only(model);
    Ok(analysis)
}

impl Analysis {
    fn find_live(&mut self, model: &Flat, outputs: &[&str]) {
        self.live = vec![false; model.nodes.len()];
        for &output in outputs {
            *self.readers.entry(output.to_owned()).or_default() += 1;
        }
        let mut open: Vec<usize> = outputs
            .iter()
            .filter_map(|&name| self.made_by.get(name).copied())
            .collect();
        while let Some(index) = open.pop() {
            if std::mem::replace(&mut self.live[index], true) {
                continue;
            }
            let made_by = &self.made_by;
            reads(&model.nodes[index].message, &mut |name| {
                open.extend(made_by.get(name));
            });
            let readers = &mut self.readers;
            reads(&model.nodes[index].message, &mut |name| {
                *readers.entry(name.to_owned()).or_default() += 1;
            });
        }
    }

    fn find_weights_only(&mut self, model: &Flat) {
        let mut known: HashSet<&str> = model
            .graph
            .initializer
            .iter()
            .map(|tensor| tensor.name.as_str())
            .collect();
        let mut weights: HashSet<&str> = self.weights.trained().map(String::as_str).collect();
        self.weights_only = vec![false; model.nodes.len()];
        for (index, node) in model.nodes.iter().enumerate() {
            let message = &node.message;
            let inputs = || message.input.iter().filter(|name| !name.is_empty());
            let is_known = |name: &String| known.contains(&name[..]) || weights.contains(&name[..]);
            if message.op_type == "Constant" || (inputs().count() > 0 && inputs().all(is_known)) {
                let any_weight = inputs().any(|name| weights.contains(&name[..]));
                let constant = matches!(&message.op_type[..], "Constant" | "ConstantOfShape");
                self.weights_only[index] = any_weight || (constant && node.is_standard());
                for output in &message.output {
                    known.insert(output);
                    if any_weight {
                        weights.insert(output);
                    }
                }
            }
        }
    }
}

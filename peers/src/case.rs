//! A case: a network, the files it was exported to, and what its framework computes for it.

use crate::safetensors::{self, Array};
use gradprobe::import::onnx::{OnnxLoss, OnnxOptions};
use gradprobe::import::spec::Dtype;
use gradprobe::ops::Mode;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// An entry of a maker's `cases.json`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// What it is called.
    pub name: String,
    /// The files that it was exported to.
    pub models: Vec<Model>,
    /// Inputs by name, and `target`: a file that the maker wrote.
    data: Option<String>,
    /// What is differentiated.
    loss: Loss,
    /// Run for inference rather than for training.
    #[serde(default)]
    inference: bool,
    /// The framework's loss.
    pub value: Option<f64>,
    /// The framework's arrays in double precision: `gradient.PARAMETER`, and where the maker gives
    /// them `output.LAYER`, `cotangent.LAYER`, and `folded.PARAMETER+PARAMETER`: the gradient of what
    /// an exporter computes from parameters.
    truth: Option<String>,
    /// Of a parameter that has several names: by the others, the one that the truth has.
    #[serde(default)]
    pub(crate) aliases: BTreeMap<String, String>,
    /// Are the parameters called in the files as in the truth? Not by exporters that lose the names.
    #[serde(default = "yes")]
    pub(crate) has_names: bool,
    /// Figures of the maker's own.
    #[serde(default)]
    pub figures: BTreeMap<String, serde_json::Value>,
    #[serde(skip)]
    pub(crate) folder: PathBuf,
}

fn yes() -> bool {
    true
}

/// An exported file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// How it was exported, e.g. `dynamo, opset 18, external data`.
    pub form: String,
    /// Its name in the maker's folder.
    file: String,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Loss {
    Output,
    CrossEntropy,
    Mse,
    L1,
    Bce,
    Auto,
}

impl Case {
    /// A file of a case.
    pub fn path(&self, model: &Model) -> PathBuf {
        self.folder.join(&model.file)
    }

    /// How it is to be run: on the maker's data, with its loss, in double precision.
    pub fn options(&self) -> OnnxOptions {
        OnnxOptions {
            data: self.data.as_ref().map(|file| self.folder.join(file)),
            dtype: Dtype::F64,
            mode: if self.inference {
                Mode::Eval
            } else {
                Mode::Train
            },
            loss: match self.loss {
                Loss::Output => OnnxLoss::Output,
                Loss::CrossEntropy => OnnxLoss::CrossEntropy,
                Loss::Mse => OnnxLoss::Mse,
                Loss::L1 => OnnxLoss::L1,
                Loss::Bce => OnnxLoss::BceWithLogits,
                Loss::Auto => OnnxLoss::Auto,
            },
            ..OnnxOptions::default()
        }
    }

    /// The framework's arrays whose names begin with this and a dot, by what follows.
    pub fn truth(&self, kind: &str) -> BTreeMap<String, Array> {
        let Some(file) = &self.truth else {
            return BTreeMap::new();
        };
        let arrays = safetensors::read(&self.folder.join(file)).into_iter();
        let of_kind = arrays.filter_map(|(name, array)| {
            let name = name.strip_prefix(kind)?.strip_prefix('.')?;
            Some((name.to_owned(), array))
        });
        of_kind.collect()
    }
}

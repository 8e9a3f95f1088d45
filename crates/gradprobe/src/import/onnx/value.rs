//! A value on its way from ONNX to the engine: numbers that are known, a weight, or a signal.

use super::tensors::Kind;
use crate::graph::ValueId;
use crate::num::{Shape, Tensor};
use std::sync::Arc;

/// What a node reads or makes.
#[derive(Clone, Debug)]
pub(super) struct Operand {
    /// What its elements mean; the engine computes with real numbers throughout.
    pub kind: Kind,
    /// Its shape.
    pub shape: Shape,
    /// What it is.
    pub source: Source,
}

/// What a value is.
#[derive(Clone, Debug)]
pub(super) enum Source {
    /// Known numbers: what is made of nothing but these is computed at once.
    Known(Arc<Tensor<f64>>),
    /// A tensor of the file, by its number among them, that is trained.
    Weight(usize),
    /// A value of the graph.
    Value(ValueId),
    /// Random numbers, each number between these two as likely as another: what is compared with
    /// them is a mask, see `convert/random.rs`.
    Uniform(f64, f64),
    /// A list of tensors.
    Sequence(Arc<Vec<Operand>>),
}

impl Operand {
    pub fn known(kind: Kind, tensor: Tensor<f64>) -> Self {
        Self {
            kind,
            shape: tensor.shape().clone(),
            source: Source::Known(Arc::new(tensor)),
        }
    }

    /// A known whole number.
    pub fn int(value: i64) -> Self {
        Self::known(Kind::Int, Tensor::new(Shape::default(), vec![value as f64]))
    }

    /// A known list of whole numbers.
    pub fn ints(values: impl IntoIterator<Item = i64>) -> Self {
        let data: Vec<f64> = values.into_iter().map(|value| value as f64).collect();
        Self::known(Kind::Int, Tensor::new([data.len()], data))
    }

    /// A known real number.
    pub fn float(value: f64) -> Self {
        Self::known(Kind::Float, Tensor::new(Shape::default(), vec![value]))
    }

    /// A list of tensors.
    pub fn sequence(tensors: Vec<Self>) -> Self {
        Self {
            kind: tensors.first().map_or(Kind::Float, |first| first.kind),
            shape: Shape::default(),
            source: Source::Sequence(Arc::new(tensors)),
        }
    }

    /// The same value, its elements meaning something else.
    pub fn of_kind(mut self, kind: Kind) -> Self {
        self.kind = kind;
        self
    }
}

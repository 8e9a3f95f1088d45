//! The loss: chosen from the output, and said.

use super::error::{OnnxError, quoted};
use super::model::Flat;
use super::options::{OnnxLoss, OnnxTarget};
use super::tensors::Kind;
use crate::data::Synthetic;
use crate::num::{Shape, Stream, Tensor};
use std::collections::HashMap;
use std::sync::Arc;

/// The value that is judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Judged {
    /// The value's name in the file.
    pub value: String,
    /// The output's name.
    pub output: String,
    /// The last operator that a loss of logits takes into itself.
    pub absorbed: Option<&'static str>,
    /// The axis of the classes, where that operator says it.
    pub axis: Option<i64>,
}

/// Goes from an output back to the logits, where the loss takes logits.
pub(super) fn judged(
    model: &Flat,
    made_by: &HashMap<&str, usize>,
    output: &str,
    loss: OnnxLoss,
) -> Judged {
    let mut judged = Judged {
        value: output.to_owned(),
        output: output.to_owned(),
        absorbed: None,
        axis: None,
    };
    for _ in 0..model.nodes.len() {
        let Some(&index) = made_by.get(judged.value.as_str()) else {
            break;
        };
        let node = &model.nodes[index];
        let message = &node.message;
        let Some(input) = message.input.first() else {
            break;
        };
        let classes = matches!(loss, OnnxLoss::Auto | OnnxLoss::CrossEntropy);
        let binary = matches!(loss, OnnxLoss::Auto | OnnxLoss::BceWithLogits);
        match &message.op_type[..] {
            "Identity" | "Dropout" => judged.value.clone_from(input),
            "Softmax" if classes => judged.absorb("softmax", input, node.attribute("axis")),
            "LogSoftmax" if classes => judged.absorb("log-softmax", input, node.attribute("axis")),
            "Sigmoid" if binary => judged.absorb("sigmoid", input, None),
            _ => break,
        }
        if judged.absorbed.is_some() {
            break;
        }
    }
    judged
}

impl Judged {
    fn absorb(&mut self, op: &'static str, input: &str, axis: Option<&super::messages::Attribute>) {
        input.clone_into(&mut self.value);
        self.absorbed = Some(op);
        self.axis = axis.map(|axis| axis.i);
    }
}

/// What is differentiated, decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decided {
    /// A class a row, or with `true` a class a token of \[batch, time, classes\].
    CrossEntropy(bool),
    Bce,
    Mse,
    L1,
    Output,
    Random,
}

/// Decides from the shape.
pub(super) fn decide(
    loss: OnnxLoss,
    judged: &Judged,
    shape: &Shape,
    reads_tokens: bool,
    target: Option<&Shape>,
) -> Result<Decided, OnnxError> {
    let rank = shape.len();
    let last = shape.last().copied().unwrap_or(1);
    let of_tokens = rank == 3 && judged.axis != Some(1);
    Ok(match loss {
        OnnxLoss::CrossEntropy => {
            if rank < 2 {
                return Err(OnnxError::new(format!(
                    "cross-entropy needs an output with a class axis, {} has shape {shape}",
                    quoted(&judged.output)
                )));
            }
            Decided::CrossEntropy(of_tokens)
        }
        OnnxLoss::BceWithLogits => Decided::Bce,
        OnnxLoss::Mse => Decided::Mse,
        OnnxLoss::L1 => Decided::L1,
        OnnxLoss::Output => Decided::Output,
        OnnxLoss::RandomCotangent => Decided::Random,
        OnnxLoss::Auto => match judged.absorbed {
            Some("sigmoid") => Decided::Bce,
            Some(_) if rank >= 2 => Decided::CrossEntropy(of_tokens),
            _ if shape.element_count() == 1 => Decided::Output,
            _ if rank == 2 && last > 1 => Decided::CrossEntropy(false),
            _ if rank == 3 && last > 1 && reads_tokens => Decided::CrossEntropy(true),
            _ if rank > 3 && shape[1] > 1 && shape[2..].iter().all(|&extent| extent == 1) => {
                Decided::CrossEntropy(false)
            }
            // Somebody who gives a target of the output's size wants it to be met.
            _ if target.is_some_and(|target| target.element_count() == shape.element_count()) => {
                Decided::Mse
            }
            _ => Decided::Random,
        },
    })
}

impl Decided {
    /// In a word or two.
    pub fn words(self) -> &'static str {
        match self {
            Self::CrossEntropy(_) => "cross-entropy",
            Self::Bce => "binary cross-entropy",
            Self::Mse => "mean squared error",
            Self::L1 => "mean absolute error",
            Self::Output => "the output itself is differentiated",
            Self::Random => "a random cotangent is pulled back from the output",
        }
    }

    /// The engine's op.
    pub fn op(self) -> Option<&'static str> {
        Some(match self {
            Self::CrossEntropy(_) => "SoftmaxCrossEntropyLoss",
            Self::Bce => "BinaryCrossEntropyWithLogits",
            Self::Mse => "MeanSquaredError",
            Self::L1 => "MeanAbsoluteError",
            Self::Output | Self::Random => return None,
        })
    }
}

/// The target.
#[derive(Clone, Debug)]
pub(super) struct TargetPlan {
    pub shape: Shape,
    from: From,
}

#[derive(Clone, Debug)]
enum From {
    Given(Arc<Tensor<f64>>),
    Constant(f64),
    Classes(usize),
    Normal,
}

impl TargetPlan {
    /// For an output of this shape.
    pub fn new(
        decided: Decided,
        output: &Shape,
        target: &OnnxTarget,
        given: Option<&Arc<Tensor<f64>>>,
    ) -> Result<Self, OnnxError> {
        let (shape, classes) = match decided {
            Decided::CrossEntropy(true) => (Shape::from([output[0] * output[1]]), output[2]),
            Decided::CrossEntropy(false) => {
                let mut shape = output.to_vec();
                let classes = shape.remove(1);
                (Shape(shape), classes)
            }
            _ => (output.clone(), 0),
        };
        let is_class = |x: f64| x >= 0.0 && x < classes as f64 && x.fract() == 0.0;
        let from = match (target, given) {
            (_, Some(tensor)) => {
                if tensor.shape().element_count() != shape.element_count() {
                    return Err(OnnxError::new(format!(
                        "the target has shape {}, expected {} numbers: {shape}",
                        tensor.shape(),
                        shape.element_count()
                    )));
                }
                let wrong = tensor.data().iter().find(|&&x| !is_class(x));
                if let (Decided::CrossEntropy(_), Some(wrong)) = (decided, wrong) {
                    return Err(OnnxError::new(format!(
                        "the target holds {wrong}, expected classes from 0 to {}",
                        classes.saturating_sub(1)
                    )));
                }
                From::Given(Arc::clone(tensor))
            }
            (OnnxTarget::Constant(value), None) => {
                if matches!(decided, Decided::CrossEntropy(_)) && !is_class(*value) {
                    return Err(OnnxError::new(format!(
                        "the target is {value}, expected a class from 0 to {}",
                        classes.saturating_sub(1)
                    )));
                }
                From::Constant(*value)
            }
            _ => match decided {
                Decided::CrossEntropy(_) => From::Classes(classes),
                Decided::Bce => From::Classes(2),
                _ => From::Normal,
            },
        };
        Ok(Self { shape, from })
    }

    /// In words.
    pub fn about(&self) -> String {
        match self.from {
            From::Given(_) => "the given target".into(),
            From::Constant(value) => format!("the target {value} everywhere"),
            From::Classes(_) => "random labels".into(),
            From::Normal => "standard normal targets".into(),
        }
    }

    pub fn draw(&self, seed: u64) -> Tensor<f64> {
        const NAME: &str = "target";
        let count = self.shape.element_count();
        let data = match &self.from {
            From::Given(tensor) => tensor.data().to_vec(),
            From::Constant(value) => vec![*value; count],
            From::Classes(classes) => {
                Synthetic::draw_classes(count, *classes, seed, NAME).into_data()
            }
            From::Normal => {
                let mut data = vec![0.0; count];
                Stream::new(seed, NAME).fill_normal(0.0, 1.0, &mut data);
                data
            }
        };
        Tensor::new(self.shape.clone(), data)
    }
}

/// Can gradients be taken of it?
pub(super) fn check_kind(kind: Kind, output: &str) -> Result<(), OnnxError> {
    if kind == Kind::Float {
        return Ok(());
    }
    Err(OnnxError::new(format!(
        "output {} holds whole numbers, which have no gradient",
        quoted(output)
    ))
    .help("choose another value with --output"))
}

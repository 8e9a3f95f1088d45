//! The loss: chosen from the output, and said.

use super::error::{OnnxError, quoted};
use super::inputs::in_turns;
use super::model::Flat;
use super::options::{OnnxLoss, OnnxTarget};
use super::tensors::Kind;
use super::whole_numbers::floating_values;
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
    /// The output of whole numbers that this is the last floating value before.
    pub whole: Option<String>,
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
        whole: None,
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
    /// Of logits against classes, or the probabilities of classes. `tokens`: a class a token of
    /// \[batch, time, classes\], not a class a row.
    CrossEntropy {
        tokens: bool,
        probabilities: bool,
    },
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
    target: Option<&Tensor<f64>>,
) -> Result<Decided, OnnxError> {
    let rank = shape.len();
    let last = shape.last().copied().unwrap_or(1);
    let of_tokens = rank == 3 && judged.axis != Some(1);
    let count = shape.element_count();
    let meets = |target: &&Tensor<f64>| {
        // Several batches may be given, one after the other.
        count > 0 && target.data().len().is_multiple_of(count)
    };
    let elementwise = target.filter(meets);
    let cross_entropy = |tokens: bool| {
        let axis = if tokens { 2 } else { 1 };
        let classes = shape.get(axis).copied().unwrap_or(1);
        // As many numbers as there are logits, rather than a class a row.
        let has_row_of_classes = |target: &&Tensor<f64>| {
            classes > 1 && target.shape().len() > 1 && target.shape().get(axis) == Some(&classes)
        };
        Decided::CrossEntropy {
            tokens,
            probabilities: elementwise.filter(has_row_of_classes).is_some(),
        }
    };
    // Real numbers in every column are no probabilities: they are to be met.
    let is_met = |decided: Decided| match (decided, elementwise) {
        (
            Decided::CrossEntropy {
                tokens,
                probabilities: true,
            },
            Some(target),
        ) => wrong_probabilities(target, shape, tokens).is_some(),
        _ => false,
    };
    let classes_or_values = |tokens: bool| match cross_entropy(tokens) {
        decided if is_met(decided) => Decided::Mse,
        decided => decided,
    };
    Ok(match loss {
        OnnxLoss::CrossEntropy => {
            if rank < 2 {
                return Err(OnnxError::new(format!(
                    "cross-entropy needs an output with a class axis, {} has shape {shape}",
                    quoted(&judged.output)
                )));
            }
            cross_entropy(of_tokens)
        }
        OnnxLoss::BceWithLogits => Decided::Bce,
        OnnxLoss::Mse => Decided::Mse,
        OnnxLoss::L1 => Decided::L1,
        OnnxLoss::Output => Decided::Output,
        OnnxLoss::RandomCotangent => Decided::Random,
        OnnxLoss::Auto => match judged.absorbed {
            Some("sigmoid") => Decided::Bce,
            Some(_) if rank >= 2 => cross_entropy(of_tokens),
            _ if count == 1 => Decided::Output,
            _ if rank == 2 && last > 1 => classes_or_values(false),
            _ if rank == 3 && last > 1 && reads_tokens => cross_entropy(true),
            _ if rank > 3 && shape[1] > 1 && shape[2..].iter().all(|&extent| extent == 1) => {
                cross_entropy(false)
            }
            // Somebody who gives a target of the output's size wants it to be met.
            _ if elementwise.is_some() => Decided::Mse,
            _ => Decided::Random,
        },
    })
}

/// What is wrong with probabilities of classes, in words.
fn wrong_probabilities(target: &Tensor<f64>, shape: &Shape, tokens: bool) -> Option<String> {
    /// How far from 1 the sum of single-precision probabilities may be.
    const TOLERANCE: f64 = 1e-3;
    let axis = if tokens { 2 } else { 1 };
    let classes = shape.get(axis).copied().unwrap_or(1).max(1);
    let inner: usize = shape.iter().skip(axis + 1).product();
    if let Some(negative) = target.data().iter().find(|x| x.is_nan() || **x < 0.0) {
        return Some(format!("holds {negative}"));
    }
    for block in target.data().chunks_exact((classes * inner).max(1)) {
        for place in 0..inner {
            let sum: f64 = block.iter().skip(place).step_by(inner).sum();
            if (sum - 1.0).abs() > TOLERANCE {
                return Some(format!("has a row that adds up to {sum:.4}"));
            }
        }
    }
    None
}

impl Decided {
    /// In a word or two.
    pub fn words(self) -> &'static str {
        match self {
            Self::CrossEntropy { .. } => "cross-entropy",
            Self::Bce => "binary cross-entropy",
            Self::Mse => "mean squared error",
            Self::L1 => "mean absolute error",
            Self::Output => "the output itself is differentiated",
            Self::Random => "a random cotangent is pulled back from the output",
        }
    }

    /// The engine's op, where the loss is one.
    pub fn op(self) -> Option<&'static str> {
        Some(match self {
            Self::CrossEntropy {
                probabilities: false,
                ..
            } => "SoftmaxCrossEntropyLoss",
            Self::Bce => "BinaryCrossEntropyWithLogits",
            Self::Mse => "MeanSquaredError",
            Self::L1 => "MeanAbsoluteError",
            Self::CrossEntropy { .. } | Self::Output | Self::Random => return None,
        })
    }

    /// Is it a loss, which compares the output with a target?
    pub fn takes_target(self) -> bool {
        !matches!(self, Self::Output | Self::Random)
    }
}

/// The target.
#[derive(Clone, Debug)]
pub(super) struct TargetPlan {
    pub shape: Shape,
    from: From,
    /// Are these probabilities of classes?
    is_soft: bool,
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
        judged: &Judged,
        output: &Shape,
        target: &OnnxTarget,
        given: Option<Arc<Tensor<f64>>>,
    ) -> Result<Self, OnnxError> {
        let (shape, classes) = match decided {
            Decided::CrossEntropy {
                probabilities: false,
                tokens: true,
            } => (Shape::from([output[0] * output[1]]), output[2]),
            Decided::CrossEntropy {
                probabilities: false,
                tokens: false,
            } => {
                let mut shape = output.to_vec();
                let classes = shape.remove(1);
                (Shape(shape), classes)
            }
            _ => (output.clone(), 0),
        };
        let is_class =
            |x: f64| classes == 0 || (x >= 0.0 && x < classes as f64 && x.fract() == 0.0);
        let no_class = |what: String| {
            OnnxError::new(format!(
                "{what}, expected a class from 0 to {}",
                classes.saturating_sub(1)
            ))
            .help("for real numbers take --loss mse, with one for every column of the output")
        };
        let from = match (target, given) {
            (_, Some(tensor)) => {
                let count = shape.element_count();
                if count == 0
                    || !tensor.data().len().is_multiple_of(count)
                    || tensor.data().is_empty()
                {
                    return Err(misfit(decided, judged, output, &shape, tensor.shape()));
                }
                if let Some(wrong) = tensor.data().iter().find(|&&x| !is_class(x)) {
                    return Err(no_class(format!("the target holds {wrong}")));
                }
                if let Decided::CrossEntropy {
                    tokens,
                    probabilities: true,
                } = decided
                    && let Some(wrong) = wrong_probabilities(&tensor, output, tokens)
                {
                    return Err(OnnxError::new(format!(
                        "the target has a number for every class, which are taken as their \
                         probabilities, and {wrong}"
                    ))
                    .help("give rows that add up to 1, a class a row, or take --loss mse"));
                }
                From::Given(tensor)
            }
            (OnnxTarget::Constant(value), None) => {
                if !is_class(*value) {
                    return Err(no_class(format!("the target is {value}")));
                }
                From::Constant(*value)
            }
            _ => match decided {
                Decided::CrossEntropy { .. } => From::Classes(classes),
                Decided::Bce => From::Classes(2),
                _ => From::Normal,
            },
        };
        let is_soft = matches!(
            decided,
            Decided::CrossEntropy {
                probabilities: true,
                ..
            }
        );
        Ok(Self {
            shape,
            from,
            is_soft,
        })
    }

    /// How many batches one after the other it is for: `turns` where they were chosen by what was
    /// given or asked for, else as many as it holds.
    pub fn turns(&self, turns: usize, is_chosen: bool) -> Result<usize, OnnxError> {
        let From::Given(tensor) = &self.from else {
            return Ok(turns);
        };
        let held = tensor.data().len() / self.shape.element_count().max(1);
        if held == turns || !is_chosen {
            return Ok(held);
        }
        Err(OnnxError::new(format!(
            "the target has shape {}: {held} batches of {}, where {turns} are run",
            tensor.shape(),
            self.shape
        )))
    }

    /// In words.
    pub fn about(&self) -> String {
        match self.from {
            From::Given(_) if self.is_soft => "the given probabilities".into(),
            From::Given(_) => "the given target".into(),
            From::Constant(value) => format!("the target {value} everywhere"),
            From::Classes(_) => "random labels".into(),
            From::Normal => "standard normal targets".into(),
        }
    }

    /// The targets of a seed, of so many batches one after the other.
    pub fn draw(&self, seed: u64, turns: usize) -> Vec<Tensor<f64>> {
        const NAME: &str = "target";
        let count = self.shape.element_count() * turns;
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
        in_turns(&Tensor::new([data.len()], data), &self.shape, turns)
    }
}

/// A target whose size is not that of the output.
fn misfit(
    decided: Decided,
    judged: &Judged,
    output: &Shape,
    expected: &Shape,
    got: &Shape,
) -> OnnxError {
    let error = OnnxError::new(format!(
        "the target has shape {got}, expected {} numbers: {expected}",
        expected.element_count()
    ));
    let rows = output.first().copied().unwrap_or(1);
    let columns = output.element_count() / rows.max(1);
    let is_one_column = got.element_count() == rows && columns > 1;
    match decided {
        Decided::CrossEntropy { .. } => error.help(format!(
            "give a class, or a probability for each class, for every row of {} {output}",
            quoted(&judged.output)
        )),
        _ if is_one_column => error.help(format!(
            "it has one column, and {} has {columns}: give a column for each, or, if the numbers \
             are classes, take --loss cross-entropy",
            quoted(&judged.output)
        )),
        _ => error,
    }
}

/// Can gradients be taken of it?
pub(super) fn check_kind(model: &Flat, kind: Kind, output: &str) -> Result<(), OnnxError> {
    const MOST: usize = 6;
    if kind == Kind::Float {
        return Ok(());
    }
    let error = OnnxError::new(format!(
        "output {} holds whole numbers, which have no gradient",
        quoted(output)
    ));
    let made_by = made_by(model);
    let floating: Vec<String> = floating_values(model, &made_by, MOST)
        .into_iter()
        .map(quoted)
        .collect();
    Err(match &floating[..] {
        [] => error.help("no value of it that depends on the inputs has one"),
        some => error.help(format!(
            "choose a floating value with --output; the last ones are {}",
            some.join(", ")
        )),
    })
}

/// The node that makes each value.
pub(super) fn made_by(model: &Flat) -> HashMap<&str, usize> {
    let nodes = model.nodes.iter().enumerate();
    let made = nodes.flat_map(|(index, node)| {
        let outputs = node.message.output.iter();
        outputs.map(move |name| (name.as_str(), index))
    });
    made.collect()
}

//! Targets: what shape they have and where they come from.

use super::error::{SpecError, SpecErrorKind as Kind, at};
use super::reader::Result;
use super::specification::{Loss, LossKind, Targets};
use crate::data::{Dataset, Synthetic};
use crate::num::{Shape, Stream, Tensor};

/// The target of a batch.
#[derive(Clone, Debug)]
pub(super) struct PlannedTarget {
    pub shape: Shape,
    from: Source,
}

#[derive(Clone, Copy, Debug)]
enum Source {
    /// Random classes, of which there are so many.
    Classes(usize),
    /// 0 or 1 at random.
    Binary,
    /// Standard normal numbers.
    Normal,
    /// One number everywhere.
    Constant(f64),
    /// The data file's column as it is.
    Column,
    /// A 1 at the class that the data file's column says, 0 elsewhere.
    OneHot(usize),
}

/// What target the loss needs, where it needs one: from the outputs' shape, and the data file if
/// its targets are to be used.
pub(super) fn plan_target(
    loss: &Loss,
    output: &Shape,
    data: Option<&Dataset>,
) -> Result<Option<PlannedTarget>> {
    if !loss.kind.takes_target() {
        return Ok(None);
    }
    let wrong = |kind, message: String| at(SpecError::new(kind, message), &loss.origin);
    let row = Shape(output.iter().skip(1).copied().collect());
    let (shape, classes) = if loss.kind == LossKind::CrossEntropy {
        // A sequence [batch, time, classes] has a class a token; images [batch, classes, …] one a
        // place.
        let of_tokens =
            |&[batch, time, classes]: &[usize; 3]| Some([batch.checked_mul(time)?, classes]);
        let tokens = <&[usize; 3]>::try_from(&output[..])
            .ok()
            .and_then(of_tokens);
        let output = tokens.as_ref().map_or(&output[..], |tokens| &tokens[..]);
        let &[batch, classes, ref places @ ..] = output else {
            let message =
                format!("cross-entropy needs one output a class, got rows of shape {row}");
            return Err(wrong(Kind::Shape, message));
        };
        let mut shape = vec![batch];
        shape.extend_from_slice(places);
        (Shape(shape), classes)
    } else {
        (output.clone(), output.row_len())
    };
    if let Some(said) = loss.classes
        && said != classes
    {
        let message =
            format!("[loss] says classes = {said}, but the network has {classes} outputs");
        return Err(wrong(Kind::Shape, message).help("make the last layer that wide"));
    }
    let from = match (loss.targets, data) {
        (Targets::Constant(value), _) => Source::Constant(checked_constant(loss, value, classes)?),
        (Targets::Random, _) | (Targets::Auto, None) => match loss.kind {
            LossKind::CrossEntropy => Source::Classes(classes),
            LossKind::BceWithLogits => Source::Binary,
            _ => Source::Normal,
        },
        (Targets::Auto, Some(data)) => from_file(loss, output, &shape, classes, data)?,
    };
    Ok(Some(PlannedTarget { shape, from }))
}

fn checked_constant(loss: &Loss, value: f64, classes: usize) -> Result<f64> {
    let wrong = |expected: String| {
        let message = format!("targets = {value}: expected {expected}");
        at(SpecError::new(Kind::Value, message), &loss.origin)
    };
    let is_class = value >= 0.0 && value < classes as f64 && value.fract() == 0.0;
    match loss.kind {
        LossKind::CrossEntropy if !is_class => Err(wrong(format!(
            "a class from 0 to {}",
            classes.saturating_sub(1)
        ))),
        LossKind::BceWithLogits if !(0.0..=1.0).contains(&value) => {
            Err(wrong("a number from 0 to 1".into()))
        }
        _ => Ok(value),
    }
}

fn from_file(
    loss: &Loss,
    output: &Shape,
    shape: &Shape,
    classes: usize,
    data: &Dataset,
) -> Result<Source> {
    let of_data = |error: crate::data::DataError| {
        at(SpecError::new(Kind::Data, error.to_string()), &loss.origin)
    };
    if data.target().is_empty() {
        let message = "the loss needs targets, but the data file has no column for them";
        return Err(at(SpecError::new(Kind::Missing, message), &loss.origin)
            .help("name the column under [input], e.g. target = \"last\", or set targets = \"random\""));
    }
    if output.len() != 2 {
        let row = Shape(output.iter().skip(1).copied().collect());
        let message =
            format!("a column of targets needs outputs of one axis, got rows of shape {row}");
        return Err(at(SpecError::new(Kind::Shape, message), &loss.origin)
            .help("end the network with a linear layer"));
    }
    if loss.kind == LossKind::CrossEntropy {
        data.check_classes(classes).map_err(of_data)?;
        return Ok(Source::Column);
    }
    if shape.row_len() > 1 {
        data.check_classes(classes).map_err(of_data)?;
        return Ok(Source::OneHot(classes));
    }
    let outside = data
        .target()
        .iter()
        .find(|target| !(0.0..=1.0).contains(*target));
    if let (LossKind::BceWithLogits, Some(target)) = (loss.kind, outside) {
        let message =
            format!("bce-with-logits needs targets from 0 to 1, the data file has {target}");
        return Err(at(SpecError::new(Kind::Data, message), &loss.origin));
    }
    Ok(Source::Column)
}

impl PlannedTarget {
    /// The target of a batch: of the given rows of the data file, or drawn by the seed.
    pub fn draw(&self, seed: u64, rows: &[usize], data: Option<&Dataset>) -> Tensor<f64> {
        const NAME: &str = "target";
        let count = self.shape.element_count();
        let shaped = |tensor: Tensor<f64>| Tensor::new(self.shape.clone(), tensor.into_data());
        match (self.from, data) {
            (Source::Classes(classes), _) => {
                shaped(Synthetic::draw_classes(count, classes, seed, NAME))
            }
            (Source::Binary, _) => shaped(Synthetic::draw_classes(count, 2, seed, NAME)),
            (Source::Constant(value), _) => Tensor::new(self.shape.clone(), vec![value; count]),
            (Source::Column, Some(data)) => shaped(data.gather_target(rows)),
            (Source::OneHot(classes), Some(data)) => {
                let mut target = Tensor::zeros(self.shape.clone());
                let hot = data.gather_target(rows);
                let places = target.data_mut().chunks_mut(classes);
                for (row, &class) in places.zip(hot.data()) {
                    row[class as usize] = 1.0;
                }
                target
            }
            (Source::Normal | Source::Column | Source::OneHot(_), _) => {
                let mut target = Tensor::zeros(self.shape.clone());
                Stream::new(seed, NAME).fill_normal(0.0, 1.0, target.data_mut());
                target
            }
        }
    }
}

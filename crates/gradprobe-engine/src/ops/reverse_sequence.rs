//! ReverseSequence: the beginning of every sequence of a batch, turned round.

use super::attributes::AttributeReader;
use super::shapes::{expect_inputs, expect_shape, in_memory, misfit};
use super::{Attributes, Context, Kernel, Op, OpElement, OpError, Role, Saved};
use crate::num::{Element, Shape, View, ViewMut};

/// Inputs: x of at least two axes, of which one enumerates sequences and one their steps; and how
/// many steps of each sequence are reversed. The steps behind them stay where they are.
///
/// The permutation is its own inverse, so the cotangent is permuted in the same way.
#[derive(Clone, Copy, Debug, Default)]
pub struct ReverseSequence {
    /// Axis 0 enumerates the sequences and axis 1 their steps, rather than the other way round
    /// (which is ONNX's default).
    pub batch_first: bool,
}

impl ReverseSequence {
    pub(super) fn from_attributes(attributes: &Attributes) -> Result<Box<dyn Op>, OpError> {
        let mut reader = AttributeReader::new(attributes);
        let batch_axis = reader.int("batch_axis", 1)?;
        let time_axis = reader.int("time_axis", 0)?;
        reader.finish()?;
        let batch_first = match (batch_axis, time_axis) {
            (1, 0) => false,
            (0, 1) => true,
            (batch, time) => {
                return Err(OpError::Attribute {
                    name: "batch_axis",
                    expected: "0 with time_axis 1, or 1 with time_axis 0".into(),
                    got: format!("{batch} with time_axis {time}"),
                });
            }
        };
        Ok(Box::new(Self { batch_first }))
    }

    /// Sequences and steps.
    fn extents(&self, shape: &[usize]) -> (usize, usize) {
        match self.batch_first {
            true => (shape[0], shape[1]),
            false => (shape[1], shape[0]),
        }
    }

    fn permute<T: Element>(
        &self,
        shape: &[usize],
        lengths: &[T],
        from: &[T],
        to: &mut [T],
    ) -> Result<(), OpError> {
        let (sequences, steps) = self.extents(shape);
        let inner: usize = shape[2..].iter().product();
        for (sequence, length) in lengths.iter().enumerate().take(sequences) {
            let length = whole_length(length.to_f64(), sequence, steps)?;
            for step in 0..steps {
                let source = match step < length {
                    true => length - 1 - step,
                    false => step,
                };
                let at = |step: usize| match self.batch_first {
                    true => (sequence * steps + step) * inner,
                    false => (step * sequences + sequence) * inner,
                };
                let (target, source) = (at(step), at(source));
                to[target..target + inner].copy_from_slice(&from[source..source + inner]);
            }
        }
        Ok(())
    }
}

/// A length as a number of steps.
fn whole_length(length: f64, sequence: usize, steps: usize) -> Result<usize, OpError> {
    if length.fract() == 0.0 && (0.0..=steps as f64).contains(&length) {
        return Ok(length as usize);
    }
    Err(OpError::Value {
        what: format!(
            "the length of sequence {sequence} is {length}, expected a whole number from 0 to {steps}"
        ),
    })
}

impl<T: OpElement> Kernel<T> for ReverseSequence {
    fn forward(
        &self,
        _context: &Context,
        inputs: &[View<'_, T>],
        outputs: &mut [ViewMut<'_, T>],
    ) -> Result<(), OpError> {
        let (x, lengths) = (inputs[0], inputs[1]);
        self.permute(x.shape, lengths.data, x.data, outputs[0].data)
    }

    fn vjp(
        &self,
        _context: &Context,
        saved: Saved<'_, T>,
        cotangents: &[Option<View<'_, T>>],
        gradients: &mut [Option<ViewMut<'_, T>>],
    ) -> Result<i64, OpError> {
        if let Some(of_lengths) = &mut gradients[1] {
            of_lengths.data.fill(T::zero());
        }
        if let (Some(g), Some(dx)) = (cotangents[0], &mut gradients[0]) {
            self.permute(g.shape, saved.inputs[1].data, g.data, dx.data)?;
        }
        Ok(0)
    }
}

impl Op for ReverseSequence {
    fn name(&self) -> &'static str {
        "ReverseSequence"
    }

    fn role(&self) -> Role {
        Role::Other
    }

    fn infer(&self, inputs: &[&Shape]) -> Result<Vec<Shape>, OpError> {
        expect_inputs(inputs, 2..=2)?;
        let x = inputs[0];
        if x.len() < 2 {
            return Err(misfit("input", "at least two axes", x));
        }
        let (sequences, _) = self.extents(x);
        expect_shape("the lengths", &[sequences], inputs[1])?;
        in_memory(x[2..].to_vec())?;
        Ok(vec![in_memory(x.to_vec())?])
    }

    fn per_sample(&self, sampled: &[bool], _inputs: &[&Shape]) -> bool {
        self.batch_first && sampled[0] && sampled[1]
    }

    fn differentiable(&self, input: usize) -> bool {
        input == 0
    }

    fn reads_input(&self, input: usize) -> bool {
        input == 1
    }

    fn reads_outputs(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::num::Tensor;
    use crate::ops::apply;

    #[test]
    fn a_length_that_is_none_is_named() {
        let x = Tensor::new([3, 2], vec![0.0; 6]);
        for length in [4.0, -1.0, 1.5, f64::NAN] {
            let lengths = Tensor::new([2], vec![1.0, length]);
            let op = ReverseSequence::default();
            let error =
                apply(&op, &Context::default(), &[x.clone(), lengths]).expect_err("no such length");
            let message = error.to_string();
            assert!(message.starts_with(&format!("the length of sequence 1 is {length}")));
        }
    }
}

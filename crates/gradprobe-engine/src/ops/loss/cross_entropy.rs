//! Cross-entropy of logits against class indices.

use super::Reduction;
use crate::num::sum::sum;
use crate::num::{Element, Shape, View, ViewMut};
use crate::ops::attributes::AttributeReader;
use crate::ops::parallel::for_rows;
use crate::ops::shapes::{Around, expect_inputs, expect_shape, misfit};
use crate::ops::softmax::{exponentials, peak};
use crate::ops::{
    Attributes, Autocast, Context, CrossEntropyKind, Kernel, Op, OpElement, OpError, OpFacts, Role,
    Saved,
};

/// The mean (or sum) over rows of −ln softmax(x)_t: logits x\[N, C, …\], class indices t\[N, …\]
/// (whole numbers from 0 to C − 1).
///
/// Pull-back: softmax(x) − onehot(t), where the entry of the target class is −Σ of the others, so
/// that it does not cancel when the class has won.
#[derive(Clone, Copy, Debug, Default)]
pub struct CrossEntropy {
    /// Mean or sum.
    pub reduction: Reduction,
}

impl CrossEntropy {
    pub(in crate::ops) fn from_attributes(attributes: &Attributes) -> Result<Box<dyn Op>, OpError> {
        let mut reader = AttributeReader::new(attributes);
        let reduction = Reduction::read(&mut reader)?;
        reader.finish()?;
        Ok(Box::new(Self { reduction }))
    }
}

/// The class of a row, which [`check_targets`] has looked at.
fn class<T: Element>(target: T) -> usize {
    target.to_f64() as usize
}

fn check_targets<T: Element>(targets: View<'_, T>, classes: usize) -> Result<(), OpError> {
    let bad = |target: &T| {
        let index = target.to_f64();
        !(index >= 0.0 && index < classes as f64 && index.fract() == 0.0)
    };
    let Some(at) = targets.data.iter().position(bad) else {
        return Ok(());
    };
    let inner: usize = targets.shape[1..].iter().product();
    let place = match inner {
        1 => format!("row {at}"),
        inner => format!("row {}, position {}", at / inner, at % inner),
    };
    Err(OpError::Value {
        what: format!(
            "the target of {place} is {}, expected a class from 0 to {}",
            targets.data[at],
            classes - 1
        ),
    })
}

/// A lane of a sample's block \[C, …\]; copied to `scratch` where it is not contiguous.
fn gather_lane<'a, T: Element>(
    block: &'a [T],
    around: Around,
    lane: usize,
    scratch: &'a mut [T],
) -> &'a [T] {
    if around.inner == 1 {
        return block;
    }
    for (to, &from) in scratch
        .iter_mut()
        .zip(block[lane..].iter().step_by(around.inner))
    {
        *to = from;
    }
    scratch
}

impl<T: OpElement> Kernel<T> for CrossEntropy {
    fn forward(
        &self,
        context: &Context,
        inputs: &[View<'_, T>],
        outputs: &mut [ViewMut<'_, T>],
    ) -> Result<(), OpError> {
        let (x, target) = (inputs[0], inputs[1]);
        let around = Around::axis(x.shape, 1);
        let Around { extent, inner, .. } = around;
        check_targets(target, extent)?;
        let total = T::with_scratch(target.data.len(), |losses| {
            for_rows(context.parallel, losses, inner, |rows, losses| {
                T::with_scratch(2 * extent, |scratch| {
                    let (gathered, exponential) = scratch.split_at_mut(extent);
                    for (row, losses) in rows.zip(losses.chunks_exact_mut(inner)) {
                        let block = &x.data[row * extent * inner..][..extent * inner];
                        for (lane, loss) in losses.iter_mut().enumerate() {
                            let logits = gather_lane(block, around, lane, gathered);
                            let (star, peak) = peak(logits);
                            let rest = exponentials(logits, star, peak, exponential);
                            let class = class(target.data[row * inner + lane]);
                            *loss = (peak - logits[class]) + rest.ln_1p();
                        }
                    }
                });
            });
            sum(losses)
        });
        outputs[0].data[0] = total * self.reduction.weight(target.data.len());
        Ok(())
    }

    fn vjp(
        &self,
        context: &Context,
        saved: Saved<'_, T>,
        cotangents: &[Option<View<'_, T>>],
        gradients: &mut [Option<ViewMut<'_, T>>],
    ) -> Result<i64, OpError> {
        let stable = |p: &[T], class: usize, _: T| -(sum(&p[..class]) + sum(&p[class + 1..]));
        self.pull_back(context, saved, cotangents, gradients, stable);
        Ok(0)
    }

    /// softmax(x) − 1 at the target, which is 0 once the class has won by the type's digits.
    fn framework_vjp(
        &self,
        context: &Context,
        saved: Saved<'_, T>,
        cotangents: &[Option<View<'_, T>>],
        gradients: &mut [Option<ViewMut<'_, T>>],
    ) -> Result<(), OpError> {
        // Both p and the 1 are over the common denominator, so its rounding is in the first.
        let naive = |p: &[T], class: usize, total: T| (p[class] / total - T::one()) * total;
        self.pull_back(context, saved, cotangents, gradients, naive);
        Ok(())
    }
}

impl CrossEntropy {
    /// `at_target` gives the entry of the target class, times the lane's total, from the lane's
    /// exponentials, the class and that total.
    fn pull_back<T: OpElement>(
        &self,
        context: &Context,
        saved: Saved<'_, T>,
        cotangents: &[Option<View<'_, T>>],
        gradients: &mut [Option<ViewMut<'_, T>>],
        at_target: impl Fn(&[T], usize, T) -> T + Sync,
    ) {
        let Some(g) = cotangents[0] else { return };
        let (x, target) = (saved.inputs[0], saved.inputs[1]);
        let around = Around::axis(x.shape, 1);
        let Around { extent, inner, .. } = around;
        let factor = g.data[0] * self.reduction.weight(target.data.len());
        if let Some(Some(gradient)) = gradients.get_mut(1) {
            gradient.data.fill(T::zero());
        }
        let Some(gradient) = &mut gradients[0] else {
            return;
        };
        let block_len = extent * inner;
        for_rows(
            context.parallel,
            gradient.data,
            block_len,
            |rows, gradient| {
                let pull = |logits: &[T], target: T, p: &mut [T]| {
                    let (star, peak) = peak(logits);
                    // An infinite peak leaves no number in its lane, as in PyTorch.
                    let rest = exponentials(logits, star, peak, p) + peak * T::zero();
                    let scale = factor / (T::one() + rest);
                    let class = class(target);
                    p[class] = at_target(p, class, T::one() + rest);
                    p.iter_mut().for_each(|p| *p *= scale);
                };
                if inner == 1 {
                    for (row, gradient) in rows.zip(gradient.chunks_exact_mut(extent)) {
                        let logits = &x.data[row * extent..][..extent];
                        pull(logits, target.data[row], gradient);
                    }
                    return;
                }
                T::with_scratch(2 * extent, |scratch| {
                    let (gathered, p) = scratch.split_at_mut(extent);
                    for (row, gradient) in rows.zip(gradient.chunks_exact_mut(block_len)) {
                        let block = &x.data[row * block_len..][..block_len];
                        for lane in 0..inner {
                            let logits = gather_lane(block, around, lane, gathered);
                            pull(logits, target.data[row * inner + lane], p);
                            for (to, &p) in gradient[lane..].iter_mut().step_by(inner).zip(&*p) {
                                *to = p;
                            }
                        }
                    }
                });
            },
        );
    }
}

impl Op for CrossEntropy {
    fn name(&self) -> &'static str {
        "SoftmaxCrossEntropyLoss"
    }

    fn role(&self) -> Role {
        Role::Other
    }

    fn infer(&self, inputs: &[&Shape]) -> Result<Vec<Shape>, OpError> {
        expect_inputs(inputs, 2..=2)?;
        let logits = inputs[0];
        if logits.len() < 2 {
            return Err(misfit(
                "logits",
                "at least the axes [batch, classes]",
                logits,
            ));
        }
        if logits.element_count() == 0 {
            return Err(misfit("logits", "at least one row and one class", logits));
        }
        let mut expected = logits.to_vec();
        expected.remove(1);
        expect_shape("the target", &expected, inputs[1])?;
        Ok(vec![Shape::default()])
    }

    fn facts(&self) -> OpFacts {
        OpFacts {
            cross_entropy: Some(CrossEntropyKind::Classes),
            sums_to_one_along: Some(1),
            autocast: Autocast::Single,
            framework_vjp_cancels: true,
            ..OpFacts::default()
        }
    }

    fn differentiable(&self, input: usize) -> bool {
        input == 0
    }

    fn reads_outputs(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::num::Tensor;

    fn loss_of(logits: &[f64], targets: &[f64], classes: usize) -> Result<f64, OpError> {
        let rows = targets.len();
        let x = Tensor::new([rows, classes], logits.to_vec());
        let t = Tensor::new([rows], targets.to_vec());
        let mut out = Tensor::zeros([]);
        let op = CrossEntropy::default();
        op.forward(
            &Context::default(),
            &[x.view(), t.view()],
            &mut [out.view_mut()],
        )?;
        Ok(out.data()[0])
    }

    #[test]
    fn a_sure_answer_keeps_its_digits_and_a_wrong_one_does_not_overflow() {
        let loss = loss_of(&[60.0, 0.0], &[0.0], 2).expect("a loss");
        assert!((loss / (-60.0f64).exp() - 1.0).abs() < 1e-15, "{loss}");
        let loss = loss_of(&[1e4, 0.0, -1e4], &[2.0], 3).expect("a loss");
        assert_eq!(loss, 2e4);
    }

    #[test]
    fn a_class_out_of_range_is_named_with_its_row() {
        for bad in [3.0, -1.0, 0.5, f64::NAN, f64::INFINITY] {
            let error = loss_of(&[0.0; 6], &[0.0, bad], 3).expect_err("no such class");
            let expected = format!("the target of row 1 is {bad}, expected a class from 0 to 2");
            assert_eq!(error.to_string(), expected);
        }
    }
}

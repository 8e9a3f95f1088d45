//! Einsum: sums of products in Einstein's notation.

mod contract;
mod equation;

use super::attributes::AttributeReader;
use super::shapes::{in_memory, misfit};
use super::{Attributes, Autocast, Context, Kernel, Op, OpElement, OpError, OpFacts, Role, Saved};
use crate::num::{Element, Shape, View, ViewMut};
use contract::{Axis, Extents, Factor, contract, for_elements, gather};
use equation::{Equation, Label};

/// y = Σ Π operands, the sum over the letters that the result does not have: `bij,bjk->bik` is a
/// batch of matrix products, `ii->i` a diagonal, `...ij->...ji` a transpose. Operands broadcast
/// over `...` and over extents of 1.
///
/// Computed two operands at a time as batches of matrix products. The pull-back to an operand is
/// such an equation of the cotangent and the other operands, put on the diagonal where the operand
/// has a letter twice.
#[derive(Clone, Debug, Default)]
pub struct Einsum {
    /// The equation; without `->`, the result has the letters that come once, in alphabetical
    /// order.
    pub equation: String,
}

/// How the axes of an operand are walked: one an own label, in strides of its elements.
struct Operand {
    labels: Vec<Label>,
    axes: Vec<Axis>,
}

impl Operand {
    fn factor<T: Element>(&self, data: &[T]) -> Factor<T> {
        Factor {
            labels: self.labels.clone(),
            data: gather(&self.axes, data),
        }
    }
}

struct Plan {
    operands: Vec<Operand>,
    output: Vec<Label>,
    extents: Extents,
}

impl Einsum {
    pub(super) fn from_attributes(attributes: &Attributes) -> Result<Box<dyn Op>, OpError> {
        let mut reader = AttributeReader::new(attributes);
        let equation = reader.text("equation", "")?.to_owned();
        reader.finish()?;
        Ok(Box::new(Self { equation }))
    }

    fn plan(&self, shapes: &[&[usize]]) -> Result<Plan, OpError> {
        let ranks: Vec<usize> = shapes.iter().map(|shape| shape.len()).collect();
        let equation = Equation::parse(&self.equation, &ranks)?;
        let mut extents = Extents::new();
        for (position, (labels, shape)) in equation.operands.iter().zip(shapes).enumerate() {
            for (axis, (&label, &extent)) in labels.iter().zip(*shape).enumerate() {
                let first = labels.iter().position(|&other| other == label);
                let so_far = extents.entry(label).or_insert(extent);
                // On a diagonal nothing is broadcast.
                let fits = first.is_none_or(|first| shape[first] == extent)
                    && (*so_far == extent || *so_far == 1 || extent == 1);
                if !fits {
                    let what = format!("axis {axis} of operand {position}");
                    let expected = format!("{} positions, as elsewhere in the equation", *so_far);
                    return Err(misfit(what, expected, extent));
                }
                if *so_far == 1 {
                    *so_far = extent;
                }
            }
        }
        let operands = equation.operands.iter().zip(shapes);
        let operands = operands.map(|(labels, shape)| operand(labels, shape, &extents));
        Ok(Plan {
            operands: operands.collect(),
            output: equation.output,
            extents,
        })
    }
}

/// The axes of a label in one operand are walked together; one that is broadcast not at all.
fn operand(labels: &[Label], shape: &[usize], extents: &Extents) -> Operand {
    let mut operand = Operand {
        labels: Vec::new(),
        axes: Vec::new(),
    };
    let mut stride = 1usize;
    for (&label, &extent) in labels.iter().zip(shape).rev() {
        if extent == extents[&label] {
            match operand.labels.iter().position(|&own| own == label) {
                Some(own) => {
                    let walked = &mut operand.axes[own].stride;
                    *walked = walked.saturating_add(stride);
                }
                None => {
                    operand.labels.push(label);
                    operand.axes.push(Axis { extent, stride });
                }
            }
        }
        stride = stride.saturating_mul(extent);
    }
    operand.labels.reverse();
    operand.axes.reverse();
    operand
}

impl<T: OpElement> Kernel<T> for Einsum {
    fn forward(
        &self,
        context: &Context,
        inputs: &[View<'_, T>],
        outputs: &mut [ViewMut<'_, T>],
    ) -> Result<(), OpError> {
        let shapes: Vec<&[usize]> = inputs.iter().map(|input| input.shape).collect();
        let plan = self.plan(&shapes)?;
        let factors = plan.operands.iter().zip(inputs);
        let factors = factors.map(|(operand, input)| operand.factor(input.data));
        let y = contract(
            context.parallel,
            factors.collect(),
            &plan.output,
            &plan.extents,
        )?;
        outputs[0].data.copy_from_slice(&y);
        Ok(())
    }

    fn vjp(
        &self,
        context: &Context,
        saved: Saved<'_, T>,
        cotangents: &[Option<View<'_, T>>],
        gradients: &mut [Option<ViewMut<'_, T>>],
    ) -> Result<i64, OpError> {
        let Some(g) = cotangents[0] else { return Ok(0) };
        let shapes: Vec<&[usize]> = saved.inputs.iter().map(|input| input.shape).collect();
        let plan = self.plan(&shapes)?;
        for (position, gradient) in gradients.iter_mut().enumerate() {
            let Some(gradient) = gradient else { continue };
            let mut factors = vec![Factor {
                labels: plan.output.clone(),
                data: g.data.to_vec(),
            }];
            let others = plan.operands.iter().zip(saved.inputs).enumerate();
            let others = others.filter(|&(other, _)| other != position);
            factors.extend(others.map(|(_, (operand, input))| operand.factor(input.data)));
            let own = &plan.operands[position];
            let pulled = contract(context.parallel, factors, &own.labels, &plan.extents)?;
            gradient.data.fill(T::zero());
            let mut pulled = pulled.into_iter();
            for_elements(&own.axes, |at| {
                if let Some(value) = pulled.next() {
                    gradient.data[at] = value;
                }
            });
        }
        Ok(0)
    }
}

impl Op for Einsum {
    fn name(&self) -> &'static str {
        "Einsum"
    }

    fn role(&self) -> Role {
        Role::Weight
    }

    fn facts(&self) -> OpFacts {
        OpFacts {
            autocast: Autocast::Narrow,
            ..OpFacts::default()
        }
    }

    fn infer(&self, inputs: &[&Shape]) -> Result<Vec<Shape>, OpError> {
        let shapes: Vec<&[usize]> = inputs.iter().map(|shape| &shape[..]).collect();
        let plan = self.plan(&shapes)?;
        let output = plan.output.iter().map(|label| plan.extents[label]);
        Ok(vec![in_memory(output.collect())?])
    }

    fn per_sample(&self, sampled: &[bool], inputs: &[&Shape]) -> bool {
        let ranks: Vec<usize> = inputs.iter().map(|shape| shape.len()).collect();
        let Ok(equation) = Equation::parse(&self.equation, &ranks) else {
            return false;
        };
        let Some(batch) = equation.output.first() else {
            return false;
        };
        let rows = |label: &[Label], shape: &Shape| {
            let first = label.first() == Some(batch) && !label[1..].contains(batch);
            first.then(|| shape[0])
        };
        let mut operands = equation.operands.iter().zip(inputs).zip(sampled);
        let mut whole = None;
        operands.all(|((labels, shape), &sampled)| {
            if !sampled {
                return !labels.contains(batch);
            }
            let rows = rows(labels, shape);
            rows.is_some() && *whole.get_or_insert(rows) == rows
        }) && whole.is_some()
    }

    fn reads_outputs(&self) -> bool {
        false
    }

    fn flops(&self, inputs: &[&Shape], _outputs: &[Shape]) -> u64 {
        let shapes: Vec<&[usize]> = inputs.iter().map(|shape| &shape[..]).collect();
        self.plan(&shapes).map_or(1, |plan| {
            let all = plan.extents.values().map(|&extent| extent as u64);
            all.fold(2, u64::saturating_mul)
        })
    }
}

//! Vectors on their way through a stretch of a network, node by node.

use super::{Stretch, visible};
use crate::graph::{ValueId, ValueKind};
use crate::num::{Shape, View, ViewMut, scaled};
use crate::ops::{Context, InputExponents, Saved};
use crate::run::environment::{Environment, RunElement, RunError};
use std::borrow::Cow;
use std::collections::HashMap;

/// Some vectors on their way through a stretch.
pub(super) struct Lane<'a, T> {
    pub environment: &'a Environment<'a, T>,
    pub stretch: &'a Stretch,
    pub sample: usize,
    /// How many vectors.
    pub rows: usize,
    /// Buffers to use again.
    pub free: Vec<Vec<T>>,
    /// By slot: its cotangents or tangents, and the power of two they are to be multiplied by.
    pub vectors: HashMap<usize, (Vec<T>, i64)>,
}

impl<'a, T: RunElement> Lane<'a, T> {
    /// Jᵀu of each cotangent u of the end.
    pub fn pull_back(&mut self, cotangents: &[T]) -> Result<(Vec<T>, i64), RunError> {
        let end = self.slot(self.stretch.end);
        self.vectors.insert(end, (cotangents.to_vec(), 0));
        for &position in self.stretch.nodes.iter().rev() {
            let node = &self.environment.graph.nodes()[position];
            let arrived = self.take(visible(node));
            if arrived.iter().all(Option::is_none) {
                continue;
            }
            let (arrived, exponent) = at_one_exponent(arrived);
            let wanted = |input: usize| {
                node.op.differentiable(input) && self.stretch.depends[self.slot(node.inputs[input])]
            };
            let wanted: Vec<bool> = (0..node.inputs.len()).map(wanted).collect();
            let (gradients, shifts) = self.vjp(position, &arrived, &wanted)?;
            self.free.extend(arrived.into_iter().flatten());
            for (input, (&value, gradient)) in node.inputs.iter().zip(gradients).enumerate() {
                if let Some(gradient) = gradient {
                    let exponent = scaled::exponent_of_product(exponent, shifts.of(input));
                    self.add(value, gradient, exponent);
                }
            }
        }
        Ok(self.finish(self.stretch.start))
    }

    /// Jv of each tangent v of the start.
    pub fn push_forward(&mut self, tangents: &[T]) -> Result<(Vec<T>, i64), RunError> {
        let start = self.slot(self.stretch.start);
        self.vectors.insert(start, (tangents.to_vec(), 0));
        for &position in &self.stretch.nodes {
            let node = &self.environment.graph.nodes()[position];
            let tangents = node.inputs.iter().enumerate().map(|(input, value)| {
                let tangent = self.vectors.get(&self.slot(*value));
                tangent.filter(|_| node.op.differentiable(input)).cloned()
            });
            let tangents: Vec<Option<(Vec<T>, i64)>> = tangents.collect();
            if tangents.iter().all(Option::is_none) {
                continue;
            }
            let (tangents, exponent) = at_one_exponent(tangents);
            let (outputs, shift) = if node.op.activation().is_some() {
                // Element by element: the Jacobian is its own transpose.
                let (outputs, shifts) = self.vjp(position, &tangents, &[true])?;
                (outputs, shifts.of(0))
            } else if let Some(product) = self.product(position, &tangents)? {
                (product, 0)
            } else {
                (self.difference(position, &tangents)?, 0)
            };
            let exponent = scaled::exponent_of_product(exponent, shift);
            for (&value, output) in visible(node).iter().zip(outputs) {
                if let Some(output) = output {
                    self.vectors.insert(self.slot(value), (output, exponent));
                }
            }
        }
        Ok(self.finish(self.stretch.end))
    }

    /// Pulls cotangents back through one node, to the inputs that are wanted.
    #[expect(clippy::type_complexity, reason = "said once")]
    fn vjp(
        &mut self,
        position: usize,
        cotangents: &[Option<Vec<T>>],
        wanted: &[bool],
    ) -> Result<(Vec<Option<Vec<T>>>, InputExponents), RunError> {
        let node = &self.environment.graph.nodes()[position];
        let inputs = self.saved(&node.inputs, |input| node.op.reads_input(input));
        let seen = visible(node).len();
        let outputs = self.saved(&node.outputs, |output| {
            output >= seen || node.op.reads_outputs()
        });
        let shapes = self.shapes(&node.outputs);
        let cotangents: Vec<Option<View<'_, T>>> = cotangents
            .iter()
            .zip(&shapes)
            .map(|(data, shape)| data.as_deref().map(|data| View { shape, data }))
            .collect();
        let mut gradients: Vec<Option<Vec<T>>> = Vec::with_capacity(wanted.len());
        for (wanted, (shape, _)) in wanted.iter().zip(&inputs) {
            let count = shape.element_count();
            gradients.push(wanted.then(|| buffer(&mut self.free, count)));
        }
        let mut targets: Vec<Option<ViewMut<'_, T>>> = gradients
            .iter_mut()
            .zip(&inputs)
            .map(|(data, (shape, _))| data.as_deref_mut().map(|data| ViewMut { shape, data }))
            .collect();
        let saved = Saved {
            inputs: &views(&inputs),
            outputs: &views(&outputs),
        };
        let shifts = T::kernel(&*node.op)
            .vjp_apart(&self.context(position), saved, &cotangents, &mut targets)
            .map_err(|source| RunError::node(node, source))?;
        Ok((gradients, shifts))
    }

    /// (f(x + h·t) − f(x − h·t)) / 2h of one node, t being the tangents of its inputs.
    fn difference(
        &mut self,
        position: usize,
        tangents: &[Option<Vec<T>>],
    ) -> Result<Vec<Option<Vec<T>>>, RunError> {
        let node = &self.environment.graph.nodes()[position];
        let inputs = self.saved(&node.inputs, |_| true);
        let moved = || inputs.iter().zip(tangents).filter(|(_, t)| t.is_some());
        let size = |data: &[T]| scaled::max_abs(data);
        let x = moved().map(|((_, x), _)| size(x)).fold(0.0, f64::max);
        let t = tangents
            .iter()
            .flatten()
            .map(|t| size(t))
            .fold(0.0, f64::max);
        // A power of two near ε^(1/3) · |x| / |t|: x ± h·t then loses least.
        let epsilon = if size_of::<T>() == 4 { -8 } else { -17 };
        let ratio = if x > 0.0 && t > 0.0 {
            libm::ilogb(x) - libm::ilogb(t)
        } else {
            0
        };
        let step = (epsilon + ratio).clamp(T::MIN_EXPONENT, T::MAX_EXPONENT);
        let mut evaluate = |h: T| {
            let at = inputs.iter().zip(tangents).map(|((shape, x), t)| {
                let x: Cow<'_, [T]> = match t {
                    Some(t) => x.iter().zip(t).map(|(&x, &t)| x + h * t).collect(),
                    None => Cow::Borrowed(x),
                };
                (shape.clone(), x)
            });
            self.forward(position, &at.collect::<Vec<_>>())
        };
        let h = T::exp2i(step);
        let (above, below) = (evaluate(h)?, evaluate(-h)?);
        let mut outputs = Vec::with_capacity(above.len());
        for (mut above, below) in above.into_iter().zip(below) {
            for (a, &b) in above.iter_mut().zip(&below) {
                *a -= b;
            }
            scaled::scale(&mut above, -i64::from(step) - 1);
            self.free.push(below);
            outputs.push(Some(above));
        }
        Ok(outputs)
    }

    /// The same of a product of which one factor moves: exactly, by that factor's tangents in its
    /// place, without the bias.
    fn product(
        &mut self,
        position: usize,
        tangents: &[Option<Vec<T>>],
    ) -> Result<Option<Vec<Option<Vec<T>>>>, RunError> {
        let node = &self.environment.graph.nodes()[position];
        let factor = match tangents {
            [Some(_), None, rest @ ..] if rest.iter().all(Option::is_none) => 0,
            [None, Some(_), rest @ ..] if rest.iter().all(Option::is_none) => 1,
            _ => return Ok(None),
        };
        let Some(bias) = node.op.facts().bias_of_product else {
            return Ok(None);
        };
        let inputs = self.saved(&node.inputs, |input| input != factor && input != bias);
        let at = inputs.iter().enumerate().map(|(input, (shape, x))| {
            let x: Cow<'_, [T]> = match &tangents[input] {
                Some(tangent) => Cow::Borrowed(tangent),
                None if input == bias => Cow::Owned(vec![T::zero(); shape.element_count()]),
                None => Cow::Borrowed(x),
            };
            (shape.clone(), x)
        });
        let outputs = self.forward(position, &at.collect::<Vec<_>>())?;
        Ok(Some(outputs.into_iter().map(Some).collect()))
    }

    /// What a node gives for these inputs.
    fn forward(
        &mut self,
        position: usize,
        inputs: &[(Shape, Cow<'_, [T]>)],
    ) -> Result<Vec<Vec<T>>, RunError> {
        let node = &self.environment.graph.nodes()[position];
        let shapes = self.shapes(&node.outputs);
        let counts = shapes.iter().map(Shape::element_count);
        let mut outputs: Vec<Vec<T>> = counts.map(|count| buffer(&mut self.free, count)).collect();
        let mut views_mut: Vec<ViewMut<'_, T>> = outputs
            .iter_mut()
            .zip(&shapes)
            .map(|(data, shape)| ViewMut { shape, data })
            .collect();
        T::kernel(&*node.op)
            .forward(&self.context(position), &views(inputs), &mut views_mut)
            .map_err(|source| RunError::node(node, source))?;
        Ok(outputs)
    }

    fn slot(&self, value: ValueId) -> usize {
        self.environment.plan.slots[value.index()]
    }

    fn context(&self, position: usize) -> Context {
        Context {
            // The threads have vectors of their own.
            parallel: false,
            ..self.environment.context(position, None)
        }
    }

    /// Does a value have a part for each sample, of which the lane sees one sample's?
    fn is_of_a_sample(&self, value: ValueId) -> bool {
        let Environment { graph, plan, .. } = *self.environment;
        let kept_for_all = match graph.value(value).kind {
            ValueKind::Output(node, output) => {
                let chunked = plan.stages[plan.stage_of(node.index())].chunked;
                !chunked && output >= visible(graph.node(node)).len()
            }
            _ => false,
        };
        self.stretch.by_sample && plan.sampled[value.index()] && !kept_for_all
    }

    /// The shapes of values as the lane sees them.
    fn shapes(&self, values: &[ValueId]) -> Vec<Shape> {
        let graph = self.environment.graph;
        let shape = |value: &ValueId| {
            let mut shape = graph.value(*value).shape.clone();
            if self.is_of_a_sample(*value) {
                shape.0[0] = self.rows;
            }
            shape
        };
        values.iter().map(shape).collect()
    }

    /// The signals of the forward run that are read: a sample's, repeated for every vector, or the
    /// batch's. Nothing of the others.
    fn saved(
        &self,
        values: &[ValueId],
        is_read: impl Fn(usize) -> bool,
    ) -> Vec<(Shape, Cow<'a, [T]>)> {
        let environment: &'a Environment<'a, T> = self.environment;
        let plan = environment.plan;
        let data = |(position, value): (usize, &ValueId)| {
            if !is_read(position) {
                return Cow::Borrowed(&[][..]);
            }
            let all = environment.read_finished(value.index(), None);
            if !self.is_of_a_sample(*value) {
                return Cow::Borrowed(all);
            }
            let row = all.len() / plan.rows.max(1);
            let sample = &all[self.sample * row..][..row];
            Cow::Owned(sample.repeat(self.rows))
        };
        let data = values.iter().enumerate().map(data);
        self.shapes(values).into_iter().zip(data).collect()
    }

    /// Takes the vectors of some values.
    fn take(&mut self, values: &[ValueId]) -> Vec<Option<(Vec<T>, i64)>> {
        let plan = self.environment.plan;
        let slot = |value: &ValueId| plan.slots[value.index()];
        let slots = values.iter().map(slot);
        slots.map(|slot| self.vectors.remove(&slot)).collect()
    }

    fn add(&mut self, value: ValueId, term: Vec<T>, exponent: i64) {
        let slot = self.slot(value);
        if let Some((total, total_exponent)) = self.vectors.get_mut(&slot) {
            scaled::add(total, total_exponent, &term, exponent);
            self.free.push(term);
        } else {
            self.vectors.insert(slot, (term, exponent));
        }
    }

    /// What has arrived at a value: zeros if nothing has.
    fn finish(&mut self, value: ValueId) -> (Vec<T>, i64) {
        let slot = self.slot(value);
        self.vectors.remove(&slot).unwrap_or_else(|| {
            let count = self.shapes(&[value])[0].element_count();
            (vec![T::default(); count], 0)
        })
    }
}

fn views<'b, T>(operands: &'b [(Shape, Cow<'_, [T]>)]) -> Vec<View<'b, T>>
where
    [T]: ToOwned,
{
    let view = |(shape, data): &'b (Shape, Cow<'_, [T]>)| View { shape, data };
    operands.iter().map(view).collect()
}

/// A buffer whose content is unspecified.
fn buffer<T: RunElement>(free: &mut Vec<Vec<T>>, count: usize) -> Vec<T> {
    let mut buffer = free.pop().unwrap_or_default();
    buffer.resize(count, T::default());
    buffer
}

/// Brings vectors into the type's range, and to one exponent.
fn at_one_exponent<T: RunElement>(
    mut vectors: Vec<Option<(Vec<T>, i64)>>,
) -> (Vec<Option<Vec<T>>>, i64) {
    let mut arrays: Vec<(&mut [T], &mut i64)> = vectors
        .iter_mut()
        .flatten()
        .map(|(data, exponent)| (&mut data[..], exponent))
        .collect();
    for (data, exponent) in &mut arrays {
        scaled::renormalise(data, exponent);
    }
    let common = scaled::align(&mut arrays);
    let vectors = vectors.into_iter();
    let vectors = vectors.map(|vector| vector.map(|(data, _)| data));
    (vectors.collect(), common)
}

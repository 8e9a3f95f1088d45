//! A network linearised where its inputs put it: cotangents pulled back and tangents pushed forward
//! between any two of its values, many at a time.
//!
//! Where the end depends on each sample of the start alone, one sample stands for the batch: its
//! signals are repeated as often as there are vectors, and a call of a kernel treats many. Where
//! samples mix (a BatchNorm in training), the whole batch is one point and each vector has a call
//! of its own.

use super::environment::{Environment, RunElement, RunError};
use super::plan::rows_per_call;
use crate::graph::{Node, ValueId, ValueKind};
use crate::num::{Scaled, Shape, Tensor, Threads, View, ViewMut, scaled};
use crate::ops::{Context, Saved};
use rayon::prelude::*;
use std::borrow::Cow;
use std::collections::HashMap;

/// The fewest vectors that share a call: below, weights are read from memory too often.
const FEWEST_ROWS: usize = 16;

/// What lies between two values of a network, the start before the end.
#[derive(Clone, Debug)]
pub struct Stretch {
    start: ValueId,
    end: ValueId,
    /// Does the end depend on each sample of the start alone?
    by_sample: bool,
    /// The nodes between, by position, in order.
    nodes: Vec<usize>,
    /// By slot: does it depend on the start?
    depends: Vec<bool>,
    /// Vectors that share a call.
    rows: usize,
}

impl Stretch {
    /// Does each sample's end depend on that sample's start alone, so that a Jacobian is one
    /// sample's? Otherwise it is the whole batch's.
    pub fn by_sample(&self) -> bool {
        self.by_sample
    }

    /// The nodes that compute between start and end, by position, in order.
    pub fn nodes(&self) -> &[usize] {
        &self.nodes
    }
}

/// Which way vectors are sent.
#[derive(Clone, Copy, Debug)]
enum Way {
    Back,
    Forward,
}

/// A network with the signals of a forward run, see the [module](self).
#[derive(Debug)]
pub struct Linearisation<'a, T> {
    environment: Environment<'a, T>,
    threads: Threads,
}

impl<'a, T: RunElement> Linearisation<'a, T> {
    pub(super) fn new(environment: Environment<'a, T>, threads: Threads) -> Self {
        Self {
            environment,
            threads,
        }
    }

    /// What lies between two values; `None` where the end does not depend on the start, or is the
    /// start in another shape.
    pub fn stretch(&self, start: ValueId, end: ValueId) -> Option<Stretch> {
        let Environment { graph, plan, .. } = self.environment;
        let slot = |value: &ValueId| plan.slots[value.index()];
        let mut depends = vec![false; graph.values().len()];
        depends[slot(&start)] = true;
        let mut after: Vec<usize> = Vec::new();
        for (position, node) in graph.nodes().iter().enumerate() {
            if self.is_view(node) {
                continue;
            }
            let mut inputs = node.inputs.iter().enumerate();
            if inputs.any(|(input, value)| node.op.differentiable(input) && depends[slot(value)]) {
                after.push(position);
                visible(node)
                    .iter()
                    .for_each(|value| depends[slot(value)] = true);
            }
            if node.outputs.contains(&end) {
                break;
            }
        }
        let mut leads = vec![false; graph.values().len()];
        leads[slot(&end)] = true;
        let mut nodes: Vec<usize> = Vec::new();
        for &position in after.iter().rev() {
            let node = &graph.nodes()[position];
            if visible(node).iter().any(|value| leads[slot(value)]) {
                nodes.push(position);
                node.inputs
                    .iter()
                    .for_each(|value| leads[slot(value)] = true);
            }
        }
        nodes.reverse();
        if nodes.is_empty() || slot(&start) == slot(&end) {
            return None;
        }
        let mode = self.environment.options.mode;
        let by_itself = |&position: &usize| {
            let op = &graph.nodes()[position].op;
            let apart =
                plan.stages[plan.stage_of(position)].chunked || op.keeps_samples_apart(mode);
            apart && !op.is_random(mode)
        };
        let by_sample =
            plan.sampled[start.index()] && plan.sampled[end.index()] && nodes.iter().all(by_itself);
        let rows = rows_per_call(graph, nodes.iter().copied()).max(FEWEST_ROWS);
        Some(Stretch {
            start,
            end,
            by_sample,
            nodes,
            depends,
            rows: if by_sample { rows } else { 1 },
        })
    }

    /// The elements of the end and of the start: the rows and columns of the Jacobian.
    pub fn extents(&self, stretch: &Stretch) -> (usize, usize) {
        let of = |value: ValueId| {
            let shape = &self.environment.graph.value(value).shape;
            if stretch.by_sample {
                shape.row_len()
            } else {
                shape.element_count()
            }
        };
        (of(stretch.end), of(stretch.start))
    }

    /// The elements of the start, at one sample of the batch where each is apart.
    pub fn start(&self, stretch: &Stretch, sample: usize) -> &[T] {
        let data = self.environment.read_finished(stretch.start.index(), None);
        let (_, len) = self.extents(stretch);
        match stretch.by_sample {
            true => data.get(sample * len..(sample + 1) * len).unwrap_or(data),
            false => data,
        }
    }

    /// Pulls cotangents of the end back to the start: to each row u of `cotangents` its Jᵀu, at
    /// one sample of the batch (which sample is without meaning where samples mix).
    ///
    /// # Errors
    /// If an op cannot compute.
    pub fn pull_back(
        &self,
        stretch: &Stretch,
        sample: usize,
        cotangents: &[T],
    ) -> Result<Scaled<T>, RunError> {
        let (rows, columns) = self.extents(stretch);
        self.transport(stretch, sample, cotangents, (rows, columns), Way::Back)
    }

    /// Pushes tangents of the start forward to the end: to each row v of `tangents` its Jv.
    ///
    /// Activations are exact. Another node is differentiated along its tangents by a central
    /// difference about its own inputs (relative error about ε^(2/3): 1e-10 in f64), so the error
    /// stays relative however small the whole has become.
    ///
    /// # Errors
    /// If an op cannot compute.
    pub fn push_forward(
        &self,
        stretch: &Stretch,
        sample: usize,
        tangents: &[T],
    ) -> Result<Scaled<T>, RunError> {
        let (rows, columns) = self.extents(stretch);
        self.transport(stretch, sample, tangents, (columns, rows), Way::Forward)
    }

    /// Sends vectors of one length through the stretch, some at a time, to vectors of another.
    fn transport(
        &self,
        stretch: &Stretch,
        sample: usize,
        vectors: &[T],
        (from, to): (usize, usize),
        way: Way,
    ) -> Result<Scaled<T>, RunError> {
        let count = vectors.len().checked_div(from).unwrap_or(0);
        let mut out = vec![T::default(); count * to];
        if out.is_empty() {
            return Ok(Scaled {
                tensor: Tensor::new(Shape::from([count, to]), out),
                exponent: 0,
            });
        }
        let send = |(vectors, out): (&[T], &mut [T])| {
            let mut lane = Lane {
                environment: &self.environment,
                stretch,
                sample,
                rows: vectors.len() / from,
                free: Vec::new(),
                vectors: HashMap::new(),
            };
            let (sent, exponent) = match way {
                Way::Back => lane.pull_back(vectors),
                Way::Forward => lane.push_forward(vectors),
            }?;
            out.copy_from_slice(&sent);
            Ok(exponent)
        };
        let (part, sent_part) = (stretch.rows * from, stretch.rows * to);
        let exponents: Result<Vec<i64>, RunError> = if self.threads.count() == 1 {
            vectors
                .chunks(part)
                .zip(out.chunks_mut(sent_part))
                .map(send)
                .collect()
        } else {
            let parts = vectors.par_chunks(part).zip(out.par_chunks_mut(sent_part));
            self.threads.install(|| parts.map(send).collect())
        };
        let exponents = exponents?;
        let parts = || exponents.iter().zip(out.chunks(sent_part));
        let not_zero = parts().filter(|(_, part)| scaled::max_abs(part) != 0.0);
        let common = not_zero
            .map(|(&exponent, _)| exponent)
            .max()
            .unwrap_or_default();
        for (exponent, part) in exponents.iter().zip(out.chunks_mut(sent_part)) {
            if *exponent != common {
                scaled::scale(part, exponent.saturating_sub(common));
            }
        }
        Ok(Scaled {
            tensor: Tensor::new(Shape::from([count, to]), out),
            exponent: common,
        })
    }

    fn is_view(&self, node: &Node) -> bool {
        node.op.is_view(self.environment.options.mode)
    }
}

/// The outputs that other nodes may read.
fn visible(node: &Node) -> &[ValueId] {
    &node.outputs[..node.outputs.len() - node.op.kept_outputs()]
}

/// Some vectors on their way through a stretch.
struct Lane<'a, T> {
    environment: &'a Environment<'a, T>,
    stretch: &'a Stretch,
    sample: usize,
    /// How many vectors.
    rows: usize,
    /// Buffers to use again.
    free: Vec<Vec<T>>,
    /// By slot: its cotangents or tangents, and the power of two they are to be multiplied by.
    vectors: HashMap<usize, (Vec<T>, i64)>,
}

impl<'a, T: RunElement> Lane<'a, T> {
    fn pull_back(&mut self, cotangents: &[T]) -> Result<(Vec<T>, i64), RunError> {
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
            let (gradients, shift) = self.vjp(position, &arrived, &wanted)?;
            self.free.extend(arrived.into_iter().flatten());
            let exponent = scaled::exponent_of_product(exponent, shift);
            for (&value, gradient) in node.inputs.iter().zip(gradients) {
                if let Some(gradient) = gradient {
                    self.add(value, gradient, exponent);
                }
            }
        }
        Ok(self.finish(self.stretch.start))
    }

    fn push_forward(&mut self, tangents: &[T]) -> Result<(Vec<T>, i64), RunError> {
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
                self.vjp(position, &tangents, &[true])?
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
    ) -> Result<(Vec<Option<Vec<T>>>, i64), RunError> {
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
        let shift = T::kernel(&*node.op)
            .vjp(&self.context(position), saved, &cotangents, &mut targets)
            .map_err(|source| RunError::node(node, source))?;
        Ok((gradients, shift))
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
        let step = epsilon + ratio;
        let mut evaluate = |h: T| {
            let at: Vec<(Shape, Cow<'_, [T]>)> = inputs
                .iter()
                .zip(tangents)
                .map(|((shape, x), t)| {
                    let x: Cow<'_, [T]> = match t {
                        Some(t) => x.iter().zip(t).map(|(&x, &t)| x + h * t).collect(),
                        None => Cow::Borrowed(x),
                    };
                    (shape.clone(), x)
                })
                .collect();
            let shapes = self.shapes(&node.outputs);
            let counts = shapes.iter().map(Shape::element_count);
            let mut outputs: Vec<Vec<T>> =
                counts.map(|count| buffer(&mut self.free, count)).collect();
            let mut views_mut: Vec<ViewMut<'_, T>> = outputs
                .iter_mut()
                .zip(&shapes)
                .map(|(data, shape)| ViewMut { shape, data })
                .collect();
            T::kernel(&*node.op)
                .forward(&self.context(position), &views(&at), &mut views_mut)
                .map_err(|source| RunError::node(node, source))?;
            Ok::<_, RunError>(outputs)
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

fn renormalise<T: RunElement>(data: &mut [T], exponent: &mut i64) {
    if let Some(shift) = scaled::renormalisation(scaled::max_abs(data)) {
        scaled::scale(data, -i64::from(shift));
        *exponent = scaled::exponent_of_product(*exponent, i64::from(shift));
    }
}

/// Brings vectors into the type's range, and to the largest of their exponents.
fn at_one_exponent<T: RunElement>(
    mut vectors: Vec<Option<(Vec<T>, i64)>>,
) -> (Vec<Option<Vec<T>>>, i64) {
    vectors
        .iter_mut()
        .flatten()
        .for_each(|(data, exponent)| renormalise(data, exponent));
    let exponents = vectors.iter().flatten().map(|(_, exponent)| *exponent);
    let common = exponents.max().unwrap_or_default();
    let bring = |(mut data, exponent): (Vec<T>, i64)| {
        if exponent != common {
            scaled::scale(&mut data, exponent.saturating_sub(common));
        }
        data
    };
    let vectors = vectors.into_iter().map(|vector| vector.map(bring));
    (vectors.collect(), common)
}

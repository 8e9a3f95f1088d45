//! A network linearised where its inputs put it: cotangents pulled back and tangents pushed forward
//! between any two of its values, many at a time.
//!
//! Where the end depends on each sample of the start alone, one sample stands for the batch: its
//! signals are repeated as often as there are vectors, and a call of a kernel treats many. Where
//! samples mix (a BatchNorm in training), the whole batch is one point and each vector has a call
//! of its own.

mod lane;

use super::environment::{Environment, RunElement, RunError};
use super::plan::rows_per_call;
use crate::graph::{Node, ValueId};
use crate::num::{Scaled, Shape, Tensor, Threads, scaled};
use lane::Lane;
use rayon::prelude::*;
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

    /// The threads that share its work.
    pub fn threads(&self) -> &Threads {
        &self.threads
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
            let apart = plan.stages[plan.stage_of(position)].chunked
                || op.facts().keeps_samples_apart.has(mode);
            apart && !op.facts().is_random.has(mode)
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
    /// Activations are exact, and products with weights. Another node is differentiated along its
    /// tangents by a central difference about its own inputs (relative error about ε^(2/3): 1e-10
    /// in f64), so the error stays relative however small the whole has become.
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
        let mut exponents = exponents?;
        let parts = out.chunks_mut(sent_part).zip(&mut exponents);
        let common = scaled::align(&mut parts.collect::<Vec<_>>());
        Ok(Scaled {
            tensor: Tensor::new(Shape::from([count, to]), out),
            exponent: common,
        })
    }

    fn is_view(&self, node: &Node) -> bool {
        node.op.facts().is_view.has(self.environment.options.mode)
    }
}

/// The outputs that other nodes may read.
fn visible(node: &Node) -> &[ValueId] {
    &node.outputs[..node.outputs.len() - node.op.kept_outputs()]
}

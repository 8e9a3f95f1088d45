//! The forward pass.

use super::environment::{Environment, RunElement, RunError};
use super::trace::{NodeTrace, UnitCounts, merge};
use crate::graph::Node;
use crate::num::statistics::PIECE;
use crate::num::{Statistics, View, ViewMut};
use crate::ops::Context;
use crate::ops::activation::Activation;

/// What a chunk saw at a node: its statistics, and which units passed a gradient.
#[derive(Default)]
pub(super) struct ForwardTap {
    pub statistics: Option<Statistics>,
    pub alive: Option<Vec<bool>>,
    /// The statistics of the input, where they were left to this node.
    pub of_input: Option<Statistics>,
}

impl ForwardTap {
    pub fn merge(&mut self, other: Self) {
        merge(&mut self.statistics, other.statistics);
        merge(&mut self.of_input, other.of_input);
        match (&mut self.alive, other.alive) {
            (Some(mine), Some(theirs)) => {
                mine.iter_mut()
                    .zip(theirs)
                    .for_each(|(alive, more)| *alive |= more);
            }
            (mine @ None, theirs) => *mine = theirs,
            (Some(_), None) => {}
        }
    }

    pub fn store(self, trace: &mut NodeTrace) {
        trace.forward = self.statistics;
        trace.units = self.alive.map(|alive| UnitCounts {
            units: alive.len(),
            dead: alive.iter().filter(|&&alive| !alive).count(),
        });
    }
}

/// Runs the nodes of a stage on a chunk of the batch (`None`: on all of it). `locals` are the
/// stage's own buffers, the chunk's rows of each.
pub(super) fn run_stage<T: RunElement>(
    environment: &Environment<'_, T>,
    stage: usize,
    chunk: Option<usize>,
    mut locals: Vec<&mut [T]>,
) -> Result<Vec<ForwardTap>, RunError> {
    let Environment {
        graph,
        plan,
        options,
        ..
    } = *environment;
    let nodes = plan.stages[stage].nodes.clone();
    let mut taps = Vec::with_capacity(nodes.len());
    let mut written = 0;
    for position in nodes {
        let node = &graph.nodes()[position];
        if node.op.facts().is_view.has(options.mode) {
            taps.push(ForwardTap::default());
            continue;
        }
        let (before, after) = locals.split_at_mut(written);
        let inputs: Vec<View<'_, T>> = node
            .inputs
            .iter()
            .map(|value| {
                let shape = plan.shape(graph, value.index(), chunk);
                View {
                    shape,
                    data: environment.read(value.index(), stage, chunk, before),
                }
            })
            .collect();
        let mut outputs: Vec<ViewMut<'_, T>> = node
            .outputs
            .iter()
            .zip(after.iter_mut())
            .map(|(value, data)| ViewMut {
                shape: plan.shape(graph, value.index(), chunk),
                data,
            })
            .collect();
        written += outputs.len();
        let context = environment.context(position, chunk);
        if let ([input], [output]) = (&inputs[..], &mut outputs[..])
            && let Some(activation) = node.op.activation()
            && options.statistics
            && !context.parallel
        {
            let left = plan.left_by(graph, position).is_some();
            let tap = activate(&context, node, activation, *input, output, left)?;
            taps.push(tap);
            continue;
        }
        T::kernel(&*node.op)
            .forward(&context, &inputs, &mut outputs)
            .map_err(|source| RunError::node(node, source))?;
        taps.push(if options.statistics && !plan.leaves_statistics(node) {
            tap(&context, node, &inputs, outputs[0].as_view())
        } else {
            ForwardTap::default()
        });
    }
    Ok(taps)
}

/// Computes an activation and its statistics piece by piece, each while it is in cache: the same
/// bits as over the whole signal, for its statistics are those of these pieces, merged.
fn activate<T: RunElement>(
    context: &Context,
    node: &Node,
    activation: &dyn Activation,
    input: View<'_, T>,
    output: &mut ViewMut<'_, T>,
    with_input: bool,
) -> Result<ForwardTap, RunError> {
    let bounds = node.op.facts().saturation;
    let mut total = Statistics::default();
    let mut of_input = with_input.then(Statistics::default);
    let pieces = input.data.chunks(PIECE);
    for (x, y) in pieces.zip(output.data.chunks_mut(PIECE)) {
        if let Some(total) = &mut of_input {
            total.merge(&Statistics::of(x, 0, None));
        }
        let shape = [x.len()];
        let (x, mut y) = (
            View {
                shape: &shape,
                data: x,
            },
            [ViewMut {
                shape: &shape,
                data: y,
            }],
        );
        T::kernel(&*node.op)
            .forward(context, &[x], &mut y)
            .map_err(|source| RunError::node(node, source))?;
        total.merge(&Statistics::of(y[0].data, 0, bounds));
    }
    Ok(ForwardTap {
        statistics: Some(total),
        alive: alive(activation, input),
        of_input,
    })
}

fn alive<T: RunElement>(activation: &dyn Activation, input: View<'_, T>) -> Option<Vec<bool>> {
    let regions = activation.flat_regions();
    (!regions.is_empty()).then(|| alive_units(input, &regions))
}

fn tap<T: RunElement>(
    context: &Context,
    node: &Node,
    inputs: &[View<'_, T>],
    output: View<'_, T>,
) -> ForwardTap {
    let bounds = node.op.facts().saturation;
    let alive = node
        .op
        .activation()
        .and_then(|activation| alive(activation, inputs[0]));
    ForwardTap {
        statistics: Some(Statistics::of_shared(
            output.data,
            0,
            bounds,
            context.parallel,
        )),
        alive,
        of_input: None,
    }
}

/// Which units (features of a vector or a token, channels of an image) left the flat regions for
/// at least one sample. NaN counts as alive: it is another rule's business.
fn alive_units<T: RunElement>(pre_activation: View<'_, T>, regions: &[(f64, f64)]) -> Vec<bool> {
    let shape = pre_activation.shape;
    let axis = if shape.len() == 3 {
        2
    } else {
        1.min(shape.len().saturating_sub(1))
    };
    let units = shape.get(axis).copied().unwrap_or(1);
    let inner: usize = shape.iter().skip(axis + 1).product();
    let mut alive = vec![false; units];
    let regions: Vec<(T, T)> = regions
        .iter()
        .map(|&(low, high)| (T::from_f64(low), T::from_f64(high)))
        .collect();
    let leaves = |x: T| {
        regions
            .iter()
            .all(|&(low, high)| !((x >= low) & (x <= high)))
    };
    if inner == 1 {
        for row in pre_activation.data.chunks_exact(units.max(1)) {
            for (alive, &x) in alive.iter_mut().zip(row) {
                *alive |= leaves(x);
            }
        }
    } else {
        let planes = pre_activation.data.chunks_exact(inner.max(1));
        for (plane, unit) in planes.zip((0..units).cycle()) {
            alive[unit] = alive[unit] || plane.iter().any(|&x| leaves(x));
        }
    }
    alive
}

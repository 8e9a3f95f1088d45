//! The backward pass: cotangents pulled back through a stage, scaled by powers of two.

use super::buffer::Buffer;
use super::chunks::split;
use super::cotangent::{Cotangent, Scratch, align};
use super::environment::{Environment, RunElement, RunError};
use super::plan::{is_at_once, is_shared};
use super::trace::{Trace, merge};
use crate::graph::Node;
use crate::num::statistics::PIECE;
use crate::num::{Statistics, View, ViewMut, scaled};
use crate::ops::{Context, Saved};
use rayon::prelude::*;
use std::collections::{HashMap, HashSet};

/// A cotangent as a chunk sees it.
struct Part<'a, T> {
    data: Option<&'a mut [T]>,
    exponent: Option<i64>,
}

/// Pulls the cotangents back through a stage, chunk by chunk.
pub(super) fn run_stage<T: RunElement>(
    environment: &Environment<'_, T>,
    stage: usize,
    cotangents: &mut [Cotangent<T>],
    scratch: &Scratch<T>,
    trace: &mut Trace,
) -> Result<(), RunError> {
    let Environment { graph, plan, .. } = *environment;
    let slots = touched_slots(environment, stage);
    let chunked = plan.stages[stage].chunked && plan.chunks.len() > 1;
    let mut buffers = Vec::with_capacity(slots.len());
    for &slot in &slots {
        if !chunked {
            align(&mut cotangents[slot], plan);
        }
        let buffer = std::mem::take(&mut cotangents[slot].data);
        buffers.push(if buffer.is_empty() {
            let len = graph.values()[slot].shape.element_count();
            scratch.signals.hold(len)
        } else {
            buffer
        });
    }
    let index: HashMap<usize, usize> = slots
        .iter()
        .enumerate()
        .map(|(position, &slot)| (slot, position))
        .collect();
    let parts = split(plan, chunked, &mut buffers);
    let pull = |(chunk, data): (Option<usize>, Vec<&mut [T]>)| {
        let exponent = |slot: &usize| cotangents[*slot].exponents[chunk.unwrap_or(0)];
        let parts = data
            .into_iter()
            .zip(&slots)
            .map(|(data, slot)| Part {
                data: Some(data),
                exponent: exponent(slot),
            })
            .collect();
        pull_back(environment, stage, chunk, &index, parts, scratch)
    };
    let pulled: Result<Vec<Pulled>, RunError> = if parts.len() > 1 {
        parts.into_par_iter().map(pull).collect()
    } else {
        parts.into_iter().map(pull).collect()
    };
    for (&slot, buffer) in slots.iter().zip(buffers) {
        cotangents[slot].data = buffer;
    }
    for (chunk, pulled) in pulled?.into_iter().enumerate() {
        for (&slot, exponent) in slots.iter().zip(pulled.exponents) {
            if chunked {
                cotangents[slot].exponents[chunk] = exponent;
            } else {
                cotangents[slot].exponents.fill(exponent);
            }
        }
        for (node, (arrived, handed_on)) in plan.stages[stage].nodes.clone().zip(pulled.taps) {
            merge(&mut trace.nodes[node].backward, arrived);
            merge(&mut trace.nodes[node].handed_on, handed_on);
        }
        for (writer, statistics) in pulled.left {
            merge(&mut trace.nodes[writer].backward, Some(statistics));
        }
    }
    Ok(())
}

/// The slots whose cotangents a stage reads or writes chunk by chunk.
fn touched_slots<T: RunElement>(environment: &Environment<'_, T>, stage: usize) -> Vec<usize> {
    let Environment { graph, plan, .. } = *environment;
    let this = &plan.stages[stage];
    let mut slots: Vec<usize> = this
        .locals
        .iter()
        .copied()
        .filter(|&slot| plan.needs[slot])
        .collect();
    let mut seen: HashSet<usize> = slots.iter().copied().collect();
    for node in &graph.nodes()[this.nodes.clone()] {
        for value in node.inputs.iter().chain(&node.outputs) {
            let slot = plan.slots[value.index()];
            if plan.needs[slot] && !is_shared(plan, stage, value.index()) && seen.insert(slot) {
                slots.push(slot);
            }
        }
    }
    slots
}

/// What a chunk's pull-back through a stage gives.
struct Pulled {
    /// By node: the cotangent at its outputs, and what it handed on to its first input where that has
    /// other readers.
    taps: Vec<(Option<Statistics>, Option<Statistics>)>,
    /// The statistics of cotangents that earlier stages left to this one: the node they arrive at.
    left: Vec<(usize, Statistics)>,
    /// By touched slot: the exponent of its cotangent.
    exponents: Vec<Option<i64>>,
}

fn pull_back<T: RunElement>(
    environment: &Environment<'_, T>,
    stage: usize,
    chunk: Option<usize>,
    index: &HashMap<usize, usize>,
    mut parts: Vec<Part<'_, T>>,
    scratch: &Scratch<T>,
) -> Result<Pulled, RunError> {
    let Environment {
        graph,
        plan,
        options,
        ..
    } = *environment;
    let nodes = plan.stages[stage].nodes.clone();
    let mut taps = vec![(None, None); nodes.len()];
    let mut left = Vec::new();
    let first = nodes.start;
    for position in nodes.rev() {
        let node = &graph.nodes()[position];
        if node.op.facts().is_view.has(options.mode) {
            continue;
        }
        let visible = &node.outputs[..node.outputs.len() - node.op.kept_outputs()];
        let outputs: Vec<Option<usize>> = visible
            .iter()
            .map(|v| index.get(&v.index()).copied())
            .collect();
        let arrived = |part: &Option<usize>| part.is_some_and(|p| parts[p].exponent.is_some());
        if !outputs.iter().any(arrived) {
            continue;
        }
        let context = environment.context(position, chunk);
        let left_by = plan.left_by(graph, position).filter(|_| options.statistics);
        let (from, to) = (node.outputs.first(), node.inputs.first());
        let ends = [from, to].map(|v| v.and_then(|v| index.get(&plan.slots[v.index()]).copied()));
        if let (Some(writer), [Some(from), Some(to)]) = (left_by, ends)
            && let Some([arrived, handed_on]) =
                pull_activation(environment, &context, node, chunk, &mut parts, [from, to])?
        {
            taps[position - first].0 = Some(arrived);
            left.push((writer, handed_on));
            continue;
        }
        for &output in outputs.iter().flatten() {
            if options.statistics && plan.leaves_statistics(node) {
                // It was settled where it was written.
                continue;
            }
            let statistics = settle(&mut parts[output], context.parallel);
            if options.statistics {
                merge(&mut taps[position - first].0, statistics);
            }
        }
        let exponent = common_exponent(&mut parts, &outputs);

        // Where each wanted gradient goes: straight into its slot if that is still empty.
        let targets: Vec<Option<usize>> = node
            .inputs
            .iter()
            .enumerate()
            .map(|(input, value)| {
                let wanted = node.op.differentiable(input)
                    && !is_shared(plan, stage, value.index())
                    && !is_at_once(plan, stage, node);
                wanted
                    .then(|| index.get(&plan.slots[value.index()]).copied())
                    .flatten()
            })
            .collect();
        if targets.iter().all(Option::is_none) {
            continue;
        }
        let taken: Vec<Option<&mut [T]>> = outputs
            .iter()
            .map(|output| output.and_then(|p| parts[p].data.take()))
            .collect();
        let mut direct: Vec<Option<&mut [T]>> = Vec::with_capacity(targets.len());
        let mut detours: Vec<Option<Buffer<T>>> = Vec::with_capacity(targets.len());
        for (input, target) in targets.iter().enumerate() {
            let empty = target.is_some_and(|t| parts[t].exponent.is_none());
            let data = target.filter(|_| empty).and_then(|t| parts[t].data.take());
            let shape = plan.shape(graph, node.inputs[input].index(), chunk);
            let detour = target
                .filter(|_| data.is_none())
                .map(|_| scratch.terms.borrow(shape.iter().product()));
            direct.push(data);
            detours.push(detour);
        }

        let saved_inputs = environment.finished(&node.inputs, chunk);
        let saved_outputs = environment.finished(&node.outputs, chunk);
        let cotangents: Vec<Option<View<'_, T>>> = visible
            .iter()
            .zip(&taken)
            .zip(&outputs)
            .map(|((value, data), output)| {
                let data = data.as_deref()?;
                let written = output.is_some_and(|p| parts[p].exponent.is_some());
                let shape = plan.shape(graph, value.index(), chunk);
                written.then_some(View { shape, data })
            })
            .collect();
        let mut wanted: Vec<Option<ViewMut<'_, T>>> = direct
            .iter_mut()
            .zip(&mut detours)
            .zip(&node.inputs)
            .map(|((direct, detour), value)| {
                let shape = plan.shape(graph, value.index(), chunk);
                let data = direct.as_deref_mut().or(detour.as_deref_mut())?;
                Some(ViewMut { shape, data })
            })
            .collect();
        let saved = Saved {
            inputs: &saved_inputs,
            outputs: &saved_outputs,
        };
        let shifts = T::kernel(&*node.op)
            .vjp_apart(&context, saved, &cotangents, &mut wanted)
            .map_err(|source| RunError::node(node, source))?;

        for (output, data) in outputs.iter().zip(taken) {
            if let (Some(part), Some(data)) = (*output, data) {
                parts[part].data = Some(data);
            }
        }
        for (input, ((target, direct), detour)) in
            targets.iter().zip(direct).zip(detours).enumerate()
        {
            let Some(target) = *target else { continue };
            let exponent = scaled::exponent_of_product(exponent, shifts.of(input));
            let shared = plan.readers[plan.slots[node.inputs[input].index()]] > 1;
            if let (0, true, true) = (input, shared, options.statistics)
                && let Some(data) = direct.as_deref().or(detour.as_deref())
            {
                let statistics = Statistics::of_shared(data, exponent, None, context.parallel);
                taps[position - first].1 = Some(statistics);
            }
            let part = &mut parts[target];
            if let Some(data) = direct {
                part.data = Some(data);
                part.exponent = Some(exponent);
                if let Some(writer) = left_by {
                    left.extend(settle(part, context.parallel).map(|of| (writer, of)));
                }
            } else if let Some(term) = detour {
                if let (Some(data), Some(mine)) = (part.data.as_deref_mut(), &mut part.exponent) {
                    scaled::add(data, mine, &term, exponent);
                }
                scratch.terms.give(term);
            }
        }
    }
    Ok(Pulled {
        taps,
        left,
        exponents: parts.iter().map(|part| part.exponent).collect(),
    })
}

/// Pulls back through an activation, and takes the statistics of both cotangents, piece by piece,
/// each while it is in cache: the same bits as over the whole signal. `None`, and nothing is done,
/// where a power of two has to be taken out of either first.
fn pull_activation<T: RunElement>(
    environment: &Environment<'_, T>,
    context: &Context,
    node: &Node,
    chunk: Option<usize>,
    parts: &mut [Part<'_, T>],
    [from, to]: [usize; 2],
) -> Result<Option<[Statistics; 2]>, RunError> {
    let (Some(exponent), None) = (parts[from].exponent, parts[to].exponent) else {
        return Ok(None);
    };
    let (Some(g), Some(dx)) = (parts[from].data.take(), parts[to].data.take()) else {
        return Ok(None);
    };
    let x = environment.read_finished(node.inputs[0].index(), chunk);
    let y = environment.read_finished(node.outputs[0].index(), chunk);
    let mut totals = [Statistics::default(); 2];
    let mut shifted = false;
    for (piece, (g, dx)) in g.chunks(PIECE).zip(dx.chunks_mut(PIECE)).enumerate() {
        let shape = [g.len()];
        let view = |data| View {
            shape: &shape[..],
            data,
        };
        let at = piece * PIECE..piece * PIECE + g.len();
        // What the pull-back does not read may have been given back.
        let (x, y) = (x.get(at.clone()), y.get(at));
        let saved = Saved {
            inputs: &[view(x.unwrap_or_default())],
            outputs: &[view(y.unwrap_or_default())],
        };
        totals[0].merge(&Statistics::of(g, exponent, None));
        let target = ViewMut {
            shape: &shape,
            data: &mut *dx,
        };
        let shift = T::kernel(&*node.op)
            .vjp(context, saved, &[Some(view(g))], &mut [Some(target)])
            .map_err(|source| RunError::node(node, source))?;
        shifted |= shift != 0;
        totals[1].merge(&Statistics::of(dx, exponent, None));
    }
    let far = |of: &Statistics| scaled::renormalisation(of.max_abs().in_units_of(exponent));
    shifted |= totals.iter().any(|of| far(of).is_some());
    parts[from].data = Some(g);
    parts[to].data = Some(dx);
    if shifted {
        return Ok(None);
    }
    parts[to].exponent = Some(exponent);
    Ok(Some(totals))
}

/// Takes the statistics of a cotangent that is complete, and renormalises it.
fn settle<T: RunElement>(part: &mut Part<'_, T>, parallel: bool) -> Option<Statistics> {
    let (Some(data), Some(exponent)) = (part.data.as_deref_mut(), part.exponent.as_mut()) else {
        return None;
    };
    let statistics = Statistics::of_shared(data, *exponent, None, parallel);
    if let Some(shift) = scaled::renormalisation(statistics.max_abs().in_units_of(*exponent)) {
        scaled::scale(data, -i64::from(shift));
        *exponent += i64::from(shift);
    }
    Some(statistics)
}

/// Brings the cotangents of a node's outputs to one exponent.
fn common_exponent<T: RunElement>(parts: &mut [Part<'_, T>], outputs: &[Option<usize>]) -> i64 {
    if let [Some(output)] = outputs {
        return parts[*output].exponent.unwrap_or(0);
    }
    let arrived = parts.iter_mut().enumerate();
    let arrived = arrived.filter(|(part, _)| outputs.contains(&Some(*part)));
    let mut arrays: Vec<(&mut [T], &mut i64)> = arrived
        .filter_map(|(_, part)| Some((part.data.as_deref_mut()?, part.exponent.as_mut()?)))
        .collect();
    scaled::align(&mut arrays)
}

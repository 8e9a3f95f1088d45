//! The backward pass: cotangents pulled back through a stage, scaled by powers of two.

use super::executor::{Cotangent, Environment, Gradients, RunElement, RunError, split};
use super::plan::{Plan, Source};
use super::trace::Trace;
use crate::graph::{Node, ValueId};
use crate::num::{Scaled, Statistics, Tensor, View, ViewMut, scaled};
use crate::ops::Saved;
use rayon::prelude::*;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

/// Buffers that are used again: a fresh one costs more in page faults than the product that
/// fills it.
#[derive(Debug)]
pub(super) struct Scratch<T> {
    free: Mutex<Vec<Vec<T>>>,
    /// By parameter: the gradient so far, where several nodes read it.
    partial: BTreeMap<usize, (Vec<T>, i64)>,
}

impl<T> Default for Scratch<T> {
    fn default() -> Self {
        Self {
            free: Mutex::default(),
            partial: BTreeMap::new(),
        }
    }
}

impl<T: RunElement> Scratch<T> {
    /// A buffer of `len` elements; what they hold is unspecified.
    fn take(&self, len: usize) -> Vec<T> {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let capacities = free.iter().map(Vec::capacity).enumerate();
        // The smallest that fits, else a new one in place of the largest.
        let (fitting, small): (Vec<_>, Vec<_>) = capacities.partition(|&(_, own)| own >= len);
        if let Some(&(index, _)) = fitting.iter().min_by_key(|&&(_, own)| own) {
            let mut buffer = free.swap_remove(index);
            drop(free);
            buffer.resize(len, T::default());
            return buffer;
        }
        if let Some(&(index, _)) = small.iter().max_by_key(|&&(_, own)| own) {
            free.swap_remove(index);
        }
        drop(free);
        vec![T::default(); len]
    }

    fn give(&self, buffer: Vec<T>) {
        self.free
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(buffer);
    }

    fn accumulate(&mut self, parameter: usize, data: Vec<T>, exponent: i64) {
        if let Some((total, total_exponent)) = self.partial.get_mut(&parameter) {
            scaled::add(total, total_exponent, &data, exponent);
            self.give(data);
        } else {
            self.partial.insert(parameter, (data, exponent));
        }
    }
}

/// A cotangent as a chunk sees it.
struct Part<'a, T> {
    data: Option<&'a mut [T]>,
    exponent: Option<i64>,
}

/// Pulls the cotangents back through a stage, then computes the gradients of what all samples
/// share.
pub(super) fn run_stage<T: RunElement>(
    environment: &Environment<'_, T>,
    stage: usize,
    cotangents: &mut [Cotangent<T>],
    scratch: &mut Scratch<T>,
    trace: &mut Trace,
    gradients: &mut Gradients<T>,
) -> Result<(), RunError> {
    let Environment { graph, plan, .. } = *environment;
    let slots = touched_slots(environment, stage);
    let chunked = plan.stages[stage].chunked && plan.chunks.len() > 1;
    let mut buffers = Vec::with_capacity(slots.len());
    for &slot in &slots {
        if !chunked {
            align(&mut cotangents[slot], plan);
        }
        let mut buffer = std::mem::take(&mut cotangents[slot].data);
        buffer.resize(graph.values()[slot].shape.element_count(), T::default());
        buffers.push(buffer);
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
    }
    shared_gradients(environment, stage, cotangents, scratch, trace, gradients)
}

fn merge(total: &mut Option<Statistics>, part: Option<Statistics>) {
    match (total, part) {
        (Some(total), Some(part)) => total.merge(&part),
        (total @ None, part) => *total = part,
        (Some(_), None) => {}
    }
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

/// Is this input of a node of this stage the same for every sample, so that its gradient is a sum
/// over the batch?
fn is_shared(plan: &Plan, stage: usize, value: usize) -> bool {
    match plan.sources[plan.slots[value]] {
        Source::Parameter(_) => true,
        _ => plan.stages[stage].chunked && !plan.sampled[value],
    }
}

/// Are the gradients of all of a node's inputs left to [`shared_gradients`]?
fn is_at_once(plan: &Plan, stage: usize, node: &Node) -> bool {
    node.op.pulls_back_at_once() && !plan.stages[stage].chunked
}

/// What a chunk's pull-back through a stage gives.
struct Pulled {
    /// By node: the cotangent at its first output, and what it handed on to its first input where
    /// that has other readers.
    taps: Vec<(Option<Statistics>, Option<Statistics>)>,
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
    let first = nodes.start;
    for position in nodes.rev() {
        let node = &graph.nodes()[position];
        if node.op.is_view(options.mode) {
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
        for &output in outputs.iter().flatten() {
            let statistics = settle(&mut parts[output], context.parallel);
            if Some(&Some(output)) == outputs.first() {
                taps[position - first].0 = statistics.filter(|_| options.statistics);
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
        let mut detours: Vec<Option<Vec<T>>> = Vec::with_capacity(targets.len());
        for (input, target) in targets.iter().enumerate() {
            let empty = target.is_some_and(|t| parts[t].exponent.is_none());
            let data = target.filter(|_| empty).and_then(|t| parts[t].data.take());
            let shape = plan.shape(graph, node.inputs[input].index(), chunk);
            let detour = target
                .filter(|_| data.is_none())
                .map(|_| scratch.take(shape.iter().product()));
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
        let shift = T::kernel(&*node.op)
            .vjp(&context, saved, &cotangents, &mut wanted)
            .map_err(|source| RunError::node(node, source))?;
        let exponent = scaled::exponent_of_product(exponent, shift);

        for (output, data) in outputs.iter().zip(taken) {
            if let (Some(part), Some(data)) = (*output, data) {
                parts[part].data = Some(data);
            }
        }
        for (input, ((target, direct), detour)) in
            targets.iter().zip(direct).zip(detours).enumerate()
        {
            let Some(target) = *target else { continue };
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
            } else if let Some(term) = detour {
                if let (Some(data), Some(mine)) = (part.data.as_deref_mut(), &mut part.exponent) {
                    scaled::add(data, mine, &term, exponent);
                }
                scratch.give(term);
            }
        }
    }
    Ok(Pulled {
        taps,
        exponents: parts.iter().map(|part| part.exponent).collect(),
    })
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
    let exponents: Vec<i64> = outputs
        .iter()
        .flatten()
        .filter_map(|&p| parts[p].exponent)
        .collect();
    let common = exponents.iter().copied().max().unwrap_or(0);
    for &output in outputs.iter().flatten() {
        let part = &mut parts[output];
        if let (Some(data), Some(exponent)) = (part.data.as_deref_mut(), &mut part.exponent)
            && *exponent != common
        {
            scaled::scale(data, *exponent - common);
            *exponent = common;
        }
    }
    common
}

/// Brings the chunks of a cotangent to one exponent and returns it; `None` if nothing was written.
pub(super) fn align<T: RunElement>(cotangent: &mut Cotangent<T>, plan: &Plan) -> Option<i64> {
    let first = (*cotangent.exponents.first()?)?;
    if cotangent
        .exponents
        .iter()
        .all(|&exponent| exponent == Some(first))
    {
        return Some(first);
    }
    let len = cotangent.data.len();
    let sizes: Vec<f64> = (0..plan.chunks.len())
        .map(|chunk| scaled::max_abs(&cotangent.data[plan.elements(len, chunk)]))
        .collect();
    let common = cotangent
        .exponents
        .iter()
        .zip(&sizes)
        .filter(|&(_, &size)| size != 0.0)
        .filter_map(|(&exponent, _)| exponent)
        .max()
        .unwrap_or(first);
    for (chunk, exponent) in cotangent.exponents.iter_mut().enumerate() {
        if let Some(old) = exponent.replace(common)
            && old != common
            && sizes[chunk] != 0.0
        {
            scaled::scale(&mut cotangent.data[plan.elements(len, chunk)], old - common);
        }
    }
    Some(common)
}

/// A node of which the gradients of shared inputs are due.
struct Due<'a> {
    node: &'a Node,
    position: usize,
    /// By input: is its gradient wanted?
    wanted: Vec<bool>,
    /// By (not kept) output: has a cotangent arrived?
    arrived: Vec<bool>,
    exponent: i64,
    /// May it use all threads, for other nodes do not fill them? Where they do, a node that waits
    /// for its own parts would begin others meanwhile, and hold the buffers of all of them.
    alone: bool,
}

/// What one node contributes to the gradient of a shared slot.
struct Contribution<T> {
    slot: usize,
    exponent: i64,
    gradient: Gradient<T>,
    /// The node, and what it hands on to its first input where that has other readers.
    handed_on: Option<(usize, Statistics)>,
}

/// A gradient, or what is left of it where nobody asked for more.
enum Gradient<T> {
    Elements(Vec<T>),
    Statistics(Option<Statistics>),
}

impl Due<'_> {
    /// Adds the gradient of a parameter to what other nodes contributed already, where the op can
    /// do so without a gradient of its own.
    fn add_to_partial<T: RunElement>(
        &self,
        environment: &Environment<'_, T>,
        cotangents: &[Cotangent<T>],
        scratch: &mut Scratch<T>,
    ) -> Result<bool, RunError> {
        /// Exponents by which a term may differ: all of it stays in the range of any type.
        const NEAR: i64 = 60;
        let (plan, node) = (environment.plan, self.node);
        let mut wanted = self
            .wanted
            .iter()
            .enumerate()
            .filter(|&(_, &wanted)| wanted);
        let (Some((input, _)), None) = (wanted.next(), wanted.next()) else {
            return Ok(false);
        };
        let Source::Parameter(parameter) = plan.sources[plan.slots[node.inputs[input].index()]]
        else {
            return Ok(false);
        };
        let Some((total, exponent)) = scratch.partial.get_mut(&parameter) else {
            return Ok(false);
        };
        let shift = self.exponent - *exponent;
        if shift.abs() > NEAR {
            return Ok(false);
        }
        let saved_inputs = environment.finished(&node.inputs, None);
        let saved_outputs = environment.finished(&node.outputs, None);
        let cotangents = self.cotangents(&saved_outputs, cotangents);
        let saved = Saved {
            inputs: &saved_inputs,
            outputs: &saved_outputs,
        };
        T::kernel(&*node.op)
            .add_gradient(saved, &cotangents, input, T::exp2i(shift as i32), total)
            .map_err(|source| RunError::node(node, source))
    }

    /// The cotangents that have arrived, by output.
    fn cotangents<'a, T: RunElement>(
        &self,
        outputs: &[View<'a, T>],
        cotangents: &'a [Cotangent<T>],
    ) -> Vec<Option<View<'a, T>>> {
        let arrived = self.arrived.iter().zip(outputs).zip(&self.node.outputs);
        let view = |((&arrived, output), value): ((&bool, &View<'a, T>), &ValueId)| {
            let data = &cotangents[value.index()].data[..];
            arrived.then_some(View {
                shape: output.shape,
                data,
            })
        };
        arrived.map(view).collect()
    }

    fn compute<T: RunElement>(
        &self,
        environment: &Environment<'_, T>,
        cotangents: &[Cotangent<T>],
        scratch: &Scratch<T>,
    ) -> Result<Vec<Contribution<T>>, RunError> {
        let Environment { plan, options, .. } = *environment;
        let node = self.node;
        let saved_inputs = environment.finished(&node.inputs, None);
        let saved_outputs = environment.finished(&node.outputs, None);
        let cotangents = self.cotangents(&saved_outputs, cotangents);
        let mut buffers: Vec<Option<Vec<T>>> = self
            .wanted
            .iter()
            .zip(&saved_inputs)
            .map(|(&wanted, input)| wanted.then(|| scratch.take(input.data.len())))
            .collect();
        let mut targets: Vec<Option<ViewMut<'_, T>>> = buffers
            .iter_mut()
            .zip(&saved_inputs)
            .map(|(buffer, input)| {
                Some(ViewMut {
                    shape: input.shape,
                    data: buffer.as_mut()?,
                })
            })
            .collect();
        let mut context = environment.context(self.position, None);
        context.parallel &= self.alone;
        let saved = Saved {
            inputs: &saved_inputs,
            outputs: &saved_outputs,
        };
        let shift = T::kernel(&*node.op)
            .vjp(&context, saved, &cotangents, &mut targets)
            .map_err(|source| RunError::node(node, source))?;
        let exponent = scaled::exponent_of_product(self.exponent, shift);
        let contributions =
            node.inputs
                .iter()
                .zip(buffers)
                .enumerate()
                .filter_map(|(input, (value, buffer))| {
                    let data = buffer?;
                    let slot = plan.slots[value.index()];
                    let first = input == 0 && plan.readers[slot] > 1 && options.statistics;
                    let at_once = is_at_once(plan, plan.stage_of(self.position), node);
                    let handed_on = (first && at_once)
                        .then(|| {
                            let parallel = context.parallel;
                            Statistics::of_shared(&data, exponent, None, parallel)
                        })
                        .map(|statistics| (self.position, statistics));
                    let is_parameter = matches!(plan.sources[slot], Source::Parameter(_));
                    let gradient =
                        if is_parameter && plan.uses[slot] == 1 && !options.keep_gradients {
                            let statistics = options.statistics.then(|| {
                                Statistics::of_shared(&data, exponent, None, context.parallel)
                            });
                            scratch.give(data);
                            Gradient::Statistics(statistics)
                        } else {
                            Gradient::Elements(data)
                        };
                    Some(Contribution {
                        slot,
                        exponent,
                        gradient,
                        handed_on,
                    })
                });
        Ok(contributions.collect())
    }
}

/// The gradients of what all samples share, over the whole batch, several nodes at a time.
fn shared_gradients<T: RunElement>(
    environment: &Environment<'_, T>,
    stage: usize,
    cotangents: &mut [Cotangent<T>],
    scratch: &mut Scratch<T>,
    trace: &mut Trace,
    gradients: &mut Gradients<T>,
) -> Result<(), RunError> {
    let Environment {
        graph,
        plan,
        options,
        ..
    } = *environment;
    let mut due = Vec::new();
    for position in plan.stages[stage].nodes.clone().rev() {
        let node = &graph.nodes()[position];
        let wanted: Vec<bool> = node
            .inputs
            .iter()
            .enumerate()
            .map(|(input, value)| {
                node.op.differentiable(input)
                    && plan.needs[plan.slots[value.index()]]
                    && (is_shared(plan, stage, value.index()) || is_at_once(plan, stage, node))
            })
            .collect();
        if node.op.is_view(options.mode) || !wanted.contains(&true) {
            continue;
        }
        let visible = &node.outputs[..node.outputs.len() - node.op.kept_outputs()];
        let mut exponents = Vec::with_capacity(visible.len());
        for value in visible {
            let slot = value.index();
            exponents.push(align(&mut cotangents[slot], plan));
        }
        let Some(common) = exponents.iter().flatten().copied().max() else {
            continue;
        };
        for (value, exponent) in visible.iter().zip(&mut exponents) {
            if let Some(exponent) = exponent.filter(|&exponent| exponent != common) {
                let cotangent = &mut cotangents[value.index()];
                scaled::scale(&mut cotangent.data, exponent - common);
                cotangent.exponents.fill(Some(common));
            }
        }
        let arrived = exponents.iter().map(Option::is_some).collect();
        due.push(Due {
            node,
            position,
            wanted,
            arrived,
            exponent: common,
            alone: false,
        });
    }

    let mut left = Vec::with_capacity(due.len());
    for due in due {
        if !due.add_to_partial(environment, cotangents, scratch)? {
            left.push(due);
        }
    }
    let mut due = left;
    let elements = |due: &Due<'_>| -> usize {
        let wanted = due.node.inputs.iter().zip(&due.wanted);
        let wanted = wanted.filter(|&(_, &wanted)| wanted);
        wanted
            .map(|(&value, _)| graph.value(value).shape.element_count())
            .sum()
    };
    let total: usize = due.iter().map(elements).sum();
    for due in &mut due {
        due.alone = elements(due).saturating_mul(options.threads) > total;
    }
    let compute = |due: &Due<'_>| due.compute(environment, cotangents, scratch);
    let computed: Result<Vec<Vec<Contribution<T>>>, RunError> = if due.len() > 1 {
        due.par_iter().with_max_len(1).map(compute).collect()
    } else {
        due.iter().map(compute).collect()
    };
    for contribution in computed?.into_iter().flatten() {
        let Contribution {
            slot,
            exponent,
            gradient,
            handed_on,
        } = contribution;
        if let Some((node, statistics)) = handed_on {
            trace.nodes[node].handed_on = Some(statistics);
        }
        match (plan.sources[slot], gradient) {
            (Source::Parameter(parameter), Gradient::Statistics(statistics)) => {
                trace.parameters[parameter].gradient = statistics;
            }
            (Source::Parameter(parameter), Gradient::Elements(data)) if plan.uses[slot] == 1 => {
                let left =
                    finish_parameter(environment, parameter, data, exponent, trace, gradients);
                left.into_iter().for_each(|buffer| scratch.give(buffer));
            }
            (Source::Parameter(parameter), Gradient::Elements(data)) => {
                scratch.accumulate(parameter, data, exponent);
            }
            (_, Gradient::Elements(data)) => {
                let cotangent = &mut cotangents[slot];
                if let Some(mut mine) = align(cotangent, plan) {
                    scaled::add(&mut cotangent.data, &mut mine, &data, exponent);
                    cotangent.exponents.fill(Some(mine));
                    scratch.give(data);
                } else {
                    scratch.give(std::mem::replace(&mut cotangent.data, data));
                    cotangent.exponents.fill(Some(exponent));
                }
            }
            (_, Gradient::Statistics(_)) => {}
        }
    }
    Ok(())
}

/// Finishes the gradients of parameters that several nodes read.
pub(super) fn finish_shared<T: RunElement>(
    environment: &Environment<'_, T>,
    scratch: &mut Scratch<T>,
    trace: &mut Trace,
    gradients: &mut Gradients<T>,
) {
    for (parameter, (data, exponent)) in std::mem::take(&mut scratch.partial) {
        let left = finish_parameter(environment, parameter, data, exponent, trace, gradients);
        left.into_iter().for_each(|buffer| scratch.give(buffer));
    }
}

/// Takes a parameter's gradient; gives its buffer back where nobody asked to keep it.
fn finish_parameter<T: RunElement>(
    environment: &Environment<'_, T>,
    parameter: usize,
    data: Vec<T>,
    exponent: i64,
    trace: &mut Trace,
    gradients: &mut Gradients<T>,
) -> Option<Vec<T>> {
    let Environment { graph, options, .. } = *environment;
    if options.statistics {
        let parallel = options.threads != 1;
        let statistics = Statistics::of_shared(&data, exponent, None, parallel);
        trace.parameters[parameter].gradient = Some(statistics);
    }
    if !options.keep_gradients {
        return Some(data);
    }
    let value = graph.parameters()[parameter].value;
    let shape = graph.value(value).shape.clone();
    gradients[parameter] = Some(Scaled {
        tensor: Tensor::new(shape, data),
        exponent,
    });
    None
}

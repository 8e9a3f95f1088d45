//! The gradients of what all samples share (weights), over the whole batch, several nodes at a time.

use super::Gradients;
use super::buffer::Buffer;
use super::cotangent::{Cotangent, Scratch, align};
use super::environment::{Environment, Options, RunElement, RunError};
use super::plan::{Plan, Source, is_at_once, is_shared};
use super::trace::Trace;
use crate::graph::{Node, ValueId};
use crate::num::{Scaled, Statistics, Tensor, View, ViewMut, scaled};
use crate::ops::{Context, OverTime, Saved};
use rayon::prelude::*;

/// Elements of a gradient that is reduced in parts: 1 MiB of f32, about a second-level cache.
const PART_LEN: usize = 1 << 18;

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

/// What comes of a node.
struct Computed<T> {
    contributions: Vec<Contribution<T>>,
    /// Of a node that goes through time: its place, and what it saw on the way.
    over_time: Option<(usize, Vec<OverTime>)>,
}

/// A gradient, or what is left of it where nobody asked for more.
enum Gradient<T> {
    Elements(Buffer<T>),
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
    ) -> Result<Computed<T>, RunError> {
        let Environment { plan, options, .. } = *environment;
        let node = self.node;
        let saved_inputs = environment.finished(&node.inputs, None);
        let saved_outputs = environment.finished(&node.outputs, None);
        let cotangents = self.cotangents(&saved_outputs, cotangents);
        let mut context = environment.context(self.position, None);
        context.parallel &= self.alone;
        let saved = Saved {
            inputs: &saved_inputs,
            outputs: &saved_outputs,
        };
        let mut contributions = Vec::with_capacity(self.wanted.len());
        let mut wanted = self.wanted.clone();
        for (input, wanted) in wanted.iter_mut().enumerate() {
            if *wanted && self.is_only_reduced(environment, input) {
                let rows = self.by_rows(&context, options, scratch, saved, &cotangents, input)?;
                *wanted = rows.is_none();
                contributions.extend(rows.map(|statistics| Contribution {
                    slot: plan.slots[node.inputs[input].index()],
                    exponent: self.exponent,
                    gradient: Gradient::Statistics(statistics),
                    handed_on: None,
                }));
            }
        }
        if !wanted.contains(&true) {
            return Ok(Computed {
                contributions,
                over_time: None,
            });
        }
        let mut buffers: Vec<Option<Buffer<T>>> = wanted
            .iter()
            .enumerate()
            .map(|(input, &wanted)| {
                let len = saved_inputs[input].shape.iter().product();
                // A cotangent stays; a parameter's gradient is gone soon.
                let source = plan.sources[plan.slots[node.inputs[input].index()]];
                wanted.then(|| match source {
                    Source::Parameter(_) => scratch.terms.borrow(len),
                    _ => scratch.signals.hold(len),
                })
            })
            .collect();
        let mut targets: Vec<Option<ViewMut<'_, T>>> = buffers
            .iter_mut()
            .zip(&saved_inputs)
            .map(|(buffer, input)| {
                Some(ViewMut {
                    shape: input.shape,
                    data: buffer.as_deref_mut()?,
                })
            })
            .collect();
        let kernel = T::kernel(&*node.op);
        let pulled_back = match options.statistics && node.op.facts().pulls_back_at_once {
            true => kernel.vjp_over_time(&context, saved, &cotangents, &mut targets),
            false => kernel
                .vjp_apart(&context, saved, &cotangents, &mut targets)
                .map(|shifts| (shifts, Vec::new())),
        };
        let (shifts, over_time) = pulled_back.map_err(|source| RunError::node(node, source))?;
        for (input, buffer) in buffers.into_iter().enumerate() {
            let Some(data) = buffer else { continue };
            let exponent = scaled::exponent_of_product(self.exponent, shifts.of(input));
            let slot = plan.slots[node.inputs[input].index()];
            let first = input == 0 && plan.readers[slot] > 1 && options.statistics;
            let at_once = is_at_once(plan, plan.stage_of(self.position), node);
            let reduced = || Statistics::of_shared(&data, exponent, None, context.parallel);
            let handed_on = (first && at_once).then(|| (self.position, reduced()));
            let gradient = if self.is_only_reduced(environment, input) {
                let statistics = options.statistics.then(reduced);
                scratch.terms.give(data);
                Gradient::Statistics(statistics)
            } else {
                Gradient::Elements(data)
            };
            contributions.push(Contribution {
                slot,
                exponent,
                gradient,
                handed_on,
            });
        }
        Ok(Computed {
            contributions,
            over_time: (!over_time.is_empty()).then_some((self.position, over_time)),
        })
    }

    /// Is nothing wanted of the gradient of this input but its statistics?
    fn is_only_reduced<T: RunElement>(
        &self,
        environment: &Environment<'_, T>,
        input: usize,
    ) -> bool {
        let Environment { plan, options, .. } = *environment;
        let slot = plan.slots[self.node.inputs[input].index()];
        let is_parameter = matches!(plan.sources[slot], Source::Parameter(_));
        is_parameter && plan.uses[slot] == 1 && !options.keep_gradients
    }

    /// Computes the gradient of an input some rows at a time, and reduces each part while it is in
    /// cache; `None` if the op cannot.
    fn by_rows<T: RunElement>(
        &self,
        context: &Context,
        options: &Options,
        scratch: &Scratch<T>,
        saved: Saved<'_, T>,
        cotangents: &[Option<View<'_, T>>],
        input: usize,
    ) -> Result<Option<Option<Statistics>>, RunError> {
        let of = saved.inputs[input];
        let Some(&rows) = of.shape.first() else {
            return Ok(None);
        };
        let row_len = of.data.len() / rows.max(1);
        if of.data.len() <= PART_LEN || row_len == 0 {
            return Ok(None);
        }
        let rows_per_part = (PART_LEN / row_len).max(1);
        // Parts are many, and none waits for another: whoever is idle takes one, whatever else runs.
        let context = Context {
            parallel: false,
            ..*context
        };
        let statistics_of = |part: usize| -> Result<Option<Statistics>, RunError> {
            let part = part * rows_per_part..((part + 1) * rows_per_part).min(rows);
            let mut buffer = scratch.terms.borrow(part.len() * row_len);
            let shift = T::kernel(&*self.node.op)
                .vjp_rows(&context, saved, cotangents, input, part, &mut buffer)
                .map_err(|source| RunError::node(self.node, source))?;
            let statistics = shift.map(|shift| {
                let exponent = scaled::exponent_of_product(self.exponent, shift);
                let of_part = || Statistics::of(&buffer, exponent, None);
                options.statistics.then(of_part).unwrap_or_default()
            });
            scratch.terms.give(buffer);
            Ok(statistics)
        };
        let parts = 0..rows.div_ceil(rows_per_part);
        let of_parts: Result<Vec<Option<Statistics>>, RunError> = if options.threads == 1 {
            parts.map(statistics_of).collect()
        } else {
            parts.into_par_iter().map(statistics_of).collect()
        };
        let of_parts: Option<Vec<Statistics>> = of_parts?.into_iter().collect();
        Ok(of_parts.map(|parts| {
            let mut total = Statistics::default();
            parts.iter().for_each(|part| total.merge(part));
            options.statistics.then_some(total)
        }))
    }
}

/// Brings the cotangents of a node's outputs to one exponent; returns it, and which have arrived.
/// `None` if none has.
fn align_outputs<T: RunElement>(
    cotangents: &mut [Cotangent<T>],
    outputs: &[ValueId],
    plan: &Plan,
) -> Option<(i64, Vec<bool>)> {
    let mut exponents: Vec<Option<i64>> = outputs
        .iter()
        .map(|value| align(&mut cotangents[value.index()], plan))
        .collect();
    let arrived: Vec<bool> = exponents.iter().map(Option::is_some).collect();
    let taken = outputs.iter().zip(&arrived).map(|(value, &arrived)| {
        arrived.then(|| std::mem::take(&mut cotangents[value.index()].data))
    });
    let mut taken: Vec<Option<Buffer<T>>> = taken.collect();
    let mut arrays: Vec<(&mut [T], &mut i64)> = taken
        .iter_mut()
        .zip(&mut exponents)
        .filter_map(|(data, exponent)| Some((data.as_deref_mut()?, exponent.as_mut()?)))
        .collect();
    let common = scaled::align(&mut arrays);
    for (value, data) in outputs.iter().zip(taken) {
        if let Some(data) = data {
            let cotangent = &mut cotangents[value.index()];
            cotangent.data = data;
            cotangent.exponents.fill(Some(common));
        }
    }
    arrived.contains(&true).then_some((common, arrived))
}

/// The gradients of what all samples share, over the whole batch, several nodes at a time.
pub(super) fn run_stage<T: RunElement>(
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
        if node.op.facts().is_view.has(options.mode) || !wanted.contains(&true) {
            continue;
        }
        let visible = &node.outputs[..node.outputs.len() - node.op.kept_outputs()];
        let Some((common, arrived)) = align_outputs(cotangents, visible, plan) else {
            continue;
        };
        let inputs = node.inputs.iter().zip(&wanted);
        for (value, _) in inputs.filter(|&(_, &wanted)| wanted) {
            // The buffer of a cotangent that is written here first: no second one is needed.
            let cotangent = &mut cotangents[plan.slots[value.index()]];
            if cotangent.exponents.iter().all(Option::is_none) {
                scratch.signals.give(std::mem::take(&mut cotangent.data));
            }
        }
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
    let computed: Result<Vec<Computed<T>>, RunError> = if due.len() > 1 {
        due.par_iter().with_max_len(1).map(compute).collect()
    } else {
        due.iter().map(compute).collect()
    };
    let mut contributions = Vec::new();
    for computed in computed? {
        trace.over_time.extend(computed.over_time);
        contributions.extend(computed.contributions);
    }
    for contribution in contributions {
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
                left.into_iter()
                    .for_each(|buffer| scratch.terms.give(buffer));
            }
            (Source::Parameter(parameter), Gradient::Elements(data)) => {
                scratch.accumulate(parameter, data, exponent);
            }
            (_, Gradient::Elements(data)) => {
                let cotangent = &mut cotangents[slot];
                if let Some(mut mine) = align(cotangent, plan) {
                    scaled::add(&mut cotangent.data, &mut mine, &data, exponent);
                    cotangent.exponents.fill(Some(mine));
                    scratch.signals.give(data);
                } else {
                    scratch
                        .signals
                        .give(std::mem::replace(&mut cotangent.data, data));
                    cotangent.exponents.fill(Some(exponent));
                }
            }
            (_, Gradient::Statistics(_)) => {}
        }
    }
    Ok(())
}

/// Finishes the gradients of parameters that several nodes read.
pub(super) fn finish<T: RunElement>(
    environment: &Environment<'_, T>,
    scratch: &mut Scratch<T>,
    trace: &mut Trace,
    gradients: &mut Gradients<T>,
) {
    for (parameter, (data, exponent)) in std::mem::take(&mut scratch.partial) {
        let left = finish_parameter(environment, parameter, data, exponent, trace, gradients);
        left.into_iter()
            .for_each(|buffer| scratch.terms.give(buffer));
    }
}

/// Takes a parameter's gradient; gives its buffer back where nobody asked to keep it.
fn finish_parameter<T: RunElement>(
    environment: &Environment<'_, T>,
    parameter: usize,
    data: Buffer<T>,
    exponent: i64,
    trace: &mut Trace,
    gradients: &mut Gradients<T>,
) -> Option<Buffer<T>> {
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
        tensor: Tensor::new(shape, data.into()),
        exponent,
    });
    None
}

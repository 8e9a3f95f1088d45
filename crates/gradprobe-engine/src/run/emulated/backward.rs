//! The backward pass of an emulated run.

use super::{Derivatives, EmulatedTrace, Emulator, Exponents, Held, Watch, needs};
use crate::graph::{CotangentKind, Node, Objective, ValueId, ValueKind};
use crate::num::random::Stream;
use crate::num::{Dtype, Rounded, Statistics, Tensor, View, ViewMut, scaled};
use crate::ops::{InputExponents, Saved};
use crate::run::RunError;

/// A cotangent: elements × 2^exponent.
struct Cotangent<T> {
    data: Vec<T>,
    exponent: i64,
}

impl<T: Held> Emulator<'_, T> {
    pub(super) fn run_backward(
        &mut self,
        inputs: &[Tensor<T>],
        trace: &mut EmulatedTrace,
        watch: &mut (dyn Watch<T> + Send),
    ) -> Result<(), RunError> {
        let graph = self.graph;
        self.needs = needs(graph, |parameter| watch.wants(parameter));
        let count = graph.values().len();
        let mut cotangents: Vec<Option<Cotangent<T>>> = (0..count).map(|_| None).collect();
        // By value: the first node that reads it, after which its cotangent is complete.
        let mut first_reader: Vec<Option<usize>> = vec![None; count];
        for (position, node) in graph.nodes().iter().enumerate() {
            for value in &node.inputs {
                first_reader[value.index()].get_or_insert(position);
            }
        }
        let start = graph.objective().value();
        let (first, lost) = self.start();
        if let ValueKind::Output(node, _) = graph.value(start).kind {
            trace.nodes[node.index()].backward.merge(&lost);
        }
        cotangents[start.index()] = Some(first);

        for (position, node) in graph.nodes().iter().enumerate().rev() {
            let visible = &node.outputs[..node.outputs.len() - node.op.kept_outputs()];
            let mut arrived: Vec<Option<Cotangent<T>>> = visible
                .iter()
                .map(|value| cotangents[value.index()].take())
                .collect();
            if arrived.iter().any(Option::is_some) {
                for (&value, cotangent) in visible.iter().zip(&mut arrived) {
                    if let Some(cotangent) = cotangent {
                        watch.cotangent(value, &cotangent.data, cotangent.exponent);
                        self.renormalise(cotangent);
                    }
                }
                let exponent = common_exponent(&mut arrived);
                let pulled = self.pull_back(position, node, inputs, &arrived, exponent, trace)?;
                for (&value, gradient) in node.inputs.iter().zip(pulled) {
                    let Some(gradient) = gradient else { continue };
                    let term_dtype = self.format_seen(value, self.formats.casts[position]);
                    let total = &mut cotangents[value.index()];
                    let lost = self.accumulate(total, value, gradient, term_dtype);
                    trace.nodes[position].backward.merge(&lost);
                }
                for cotangent in arrived.into_iter().flatten() {
                    self.free.push(cotangent.data);
                }
            }
            for value in &node.inputs {
                if let ValueKind::Parameter(id) = graph.value(*value).kind
                    && first_reader[value.index()] == Some(position)
                    && let Some(cotangent) = cotangents[value.index()].take()
                {
                    watch.gradient(id, &cotangent.data, cotangent.exponent);
                    self.free.push(cotangent.data);
                }
            }
        }
        Ok(())
    }

    /// The objective's cotangent, times the loss scale.
    fn start(&mut self) -> (Cotangent<T>, Rounded) {
        let objective = *self.graph.objective();
        let value = objective.value();
        let mut data = self.take(self.graph.value(value).shape.element_count());
        match objective {
            Objective::Loss(_) | Objective::Output(_, CotangentKind::Ones) => data.fill(T::one()),
            Objective::Output(_, CotangentKind::Random) => {
                Stream::new(self.options.seed, "cotangent").fill_normal(0.0, 1.0, &mut data);
            }
        }
        let scale = T::from_f64(self.options.loss_scale);
        data.iter_mut().for_each(|x| *x *= scale);
        let rounding = self.backward_rounding(self.formats.values[value.index()]);
        let lost = rounding.map(|rounding| T::round_slice(rounding, &mut data, self.parallel()));
        let cotangent = Cotangent { data, exponent: 0 };
        (cotangent, lost.unwrap_or_default())
    }

    /// Without bounds on exponents, brings the largest element near 1.
    fn renormalise(&self, cotangent: &mut Cotangent<T>) {
        if self.options.exponents == Exponents::OfType {
            return;
        }
        scaled::renormalise(&mut cotangent.data, &mut cotangent.exponent);
    }

    /// What a node pulls back to each input that needs it, rounded to the type that the input has
    /// for the node.
    fn pull_back(
        &mut self,
        position: usize,
        node: &Node,
        inputs: &[Tensor<T>],
        arrived: &[Option<Cotangent<T>>],
        exponent: i64,
        trace: &mut EmulatedTrace,
    ) -> Result<Vec<Option<Cotangent<T>>>, RunError> {
        let graph = self.graph;
        let cast = self.formats.casts[position];
        let wanted: Vec<bool> = node
            .inputs
            .iter()
            .enumerate()
            .map(|(input, value)| node.op.differentiable(input) && self.needs[value.index()])
            .collect();
        if !wanted.contains(&true) {
            return Ok(node.inputs.iter().map(|_| None).collect());
        }
        let mut buffers: Vec<Option<Vec<T>>> = Vec::with_capacity(wanted.len());
        for (value, &wanted) in node.inputs.iter().zip(&wanted) {
            let len = graph.value(*value).shape.element_count();
            buffers.push(wanted.then(|| self.take(len)));
        }
        let framework = self.options.derivatives == Derivatives::Framework;
        // Where the formula can cancel, the stable one is asked about the zeros it gives.
        let mut stable = if framework && node.op.facts().framework_vjp_cancels {
            let len = graph.value(node.inputs[0]).shape.element_count();
            Some(self.take(len))
        } else {
            None
        };
        let parallel = self.parallel();
        let context = self.context(position);
        let view = |value: &ValueId, data| View {
            shape: &graph.value(*value).shape[..],
            data,
        };
        let saved_inputs: Vec<View<'_, T>> = node
            .inputs
            .iter()
            .map(|value| view(value, self.read(*value, cast, inputs)))
            .collect();
        let saved_outputs: Vec<View<'_, T>> = node
            .outputs
            .iter()
            .map(|value| view(value, self.read(*value, None, inputs)))
            .collect();
        let cotangents: Vec<Option<View<'_, T>>> = node
            .outputs
            .iter()
            .zip(arrived)
            .map(|(value, cotangent)| Some(view(value, &cotangent.as_ref()?.data)))
            .collect();
        let saved = Saved {
            inputs: &saved_inputs,
            outputs: &saved_outputs,
        };
        let kernel = T::kernel(&*node.op);
        let failed = |source| RunError::node(node, source);
        let mut targets = targets(&saved_inputs, &mut buffers);
        let mut shifts = InputExponents::default();
        if framework {
            let result = kernel.framework_vjp(&context, saved, &cotangents, &mut targets);
            result.map_err(failed)?;
        } else {
            let result = kernel.vjp_apart(&context, saved, &cotangents, &mut targets);
            shifts = result.map_err(failed)?;
        }
        drop(targets);
        let narrow = self.format_seen(node.inputs[0], cast);
        let mut cancelled = 0;
        if let (Some(stable), Some(Some(gradient))) = (&mut stable, buffers.first())
            && gradient.iter().any(|&x| x == T::zero())
        {
            let mut target: Vec<Option<ViewMut<'_, T>>> =
                node.inputs.iter().map(|_| None).collect();
            target[0] = Some(ViewMut {
                shape: saved_inputs[0].shape,
                data: &mut stable[..],
            });
            let result = kernel.vjp(&context, saved, &cotangents, &mut target);
            let shift = result.map_err(failed)?;
            drop(target);
            cancelled = count_cancelled(gradient, stable, shift, narrow);
        }
        trace.nodes[position].cancelled += cancelled;
        if let Some(stable) = stable {
            self.free.push(stable);
        }
        let mut pulled = Vec::with_capacity(buffers.len());
        for (input, (value, buffer)) in node.inputs.iter().zip(buffers).enumerate() {
            pulled.push(buffer.map(|mut data| {
                let dtype = self.format_seen(*value, cast);
                let mut exponent = scaled::exponent_of_product(exponent, shifts.of(input));
                if self.options.exponents == Exponents::OfType {
                    // A stable derivative may have an exponent in a run whose numbers have none.
                    scaled::scale(&mut data, exponent);
                    exponent = 0;
                }
                if let Some(rounding) = self.backward_rounding(dtype) {
                    // Digits are cut off at ordinary sizes, so that none is a subnormal of f32.
                    if self.options.exponents == Exponents::Unbounded {
                        scaled::renormalise(&mut data, &mut exponent);
                    }
                    let lost = T::round_slice(rounding, &mut data, parallel);
                    trace.nodes[position].backward.merge(&lost);
                } else if dtype == Some(Dtype::F32) {
                    trace.nodes[position].backward.merge(&of_single(&data));
                }
                Cotangent { data, exponent }
            }));
        }
        Ok(pulled)
    }

    /// The type that a value has for a node which casts its inputs to `cast`.
    fn format_seen(&self, value: ValueId, cast: Option<Dtype>) -> Option<Dtype> {
        let own = self.formats.values[value.index()]?;
        Some(cast.unwrap_or(own))
    }

    /// Adds a term to a value's cotangent, in the value's own type.
    fn accumulate(
        &mut self,
        total: &mut Option<Cotangent<T>>,
        value: ValueId,
        mut term: Cotangent<T>,
        term_dtype: Option<Dtype>,
    ) -> Rounded {
        let own = self.formats.values[value.index()];
        let rounding = self.backward_rounding(own);
        let parallel = self.parallel();
        let Some(total) = total else {
            // The term has been rounded, unless the value's type is the narrower.
            let narrower = rounding.filter(|_| own > term_dtype);
            let lost = narrower.map(|narrower| T::round_slice(narrower, &mut term.data, parallel));
            *total = Some(term);
            return lost.unwrap_or_default();
        };
        scaled::add(
            &mut total.data,
            &mut total.exponent,
            &term.data,
            term.exponent,
        );
        self.free.push(term.data);
        let lost = rounding.map(|rounding| T::round_slice(rounding, &mut total.data, parallel));
        lost.unwrap_or_default()
    }
}

fn targets<'a, T: Held>(
    inputs: &[View<'a, T>],
    buffers: &'a mut [Option<Vec<T>>],
) -> Vec<Option<ViewMut<'a, T>>> {
    let target = |(input, buffer): (&View<'a, T>, &'a mut Option<Vec<T>>)| {
        Some(ViewMut {
            shape: input.shape,
            data: buffer.as_mut()?,
        })
    };
    inputs.iter().zip(buffers).map(target).collect()
}

/// Zeros of `gradient` where `stable` × 2^`shift` is a number that the type holds.
fn count_cancelled<T: Held>(gradient: &[T], stable: &[T], shift: i64, dtype: Option<Dtype>) -> u64 {
    let smallest = dtype.map_or(i64::MIN / 2, Dtype::smallest_exponent);
    // Half the smallest subnormal rounds to zero, and more does not.
    let exponent = (smallest - 1 - shift).clamp(-1100, 1100) as i32;
    let least = T::from_f64(2f64.powi(exponent));
    let pairs = gradient.iter().zip(stable);
    let count = pairs.filter(|&(&g, &s)| g == T::zero() && s.abs() > least);
    count.count() as u64
}

/// What f32 itself made of a gradient: its largest element, and what is not finite.
fn of_single<T: Held>(data: &[T]) -> Rounded {
    let statistics = Statistics::of(data, 0, None);
    Rounded {
        count: statistics.count,
        flushed: 0,
        overflowed: statistics.non_finite_count,
        max_abs: statistics.max_abs().to_f64() as f32,
    }
}

fn common_exponent<T: Held>(arrived: &mut [Option<Cotangent<T>>]) -> i64 {
    let arrived = arrived.iter_mut().flatten();
    let mut arrays: Vec<(&mut [T], &mut i64)> = arrived
        .map(|cotangent| (&mut cotangent.data[..], &mut cotangent.exponent))
        .collect();
    scaled::align(&mut arrays)
}

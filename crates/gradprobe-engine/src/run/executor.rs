//! The executor: buffers, threads and the order of things.

use super::Gradients;
use super::backward;
use super::buffer::Buffer;
use super::chunks::split;
use super::cotangent::{self, Cotangent, Scratch};
use super::environment::{Environment, Options, RunElement, RunError};
use super::forward::{self, ForwardTap};
use super::lifetimes::Lifetimes;
use super::linearisation::Linearisation;
use super::observer::{Observer, Signals};
use super::plan::Plan;
use super::shared;
use super::trace::{ParameterTrace, Trace};
use crate::graph::{CotangentKind, Graph, Objective};
use crate::num::random::Stream;
use crate::num::{Scaled, Statistics, Tensor, Threads};
use rayon::prelude::*;
use std::sync::Arc;

/// What a run returns.
#[derive(Debug)]
pub struct RunOutput<T> {
    /// What the taps saw.
    pub trace: Trace,
    /// The parameters' gradients, if `keep_gradients` asked for them.
    pub gradients: Gradients<T>,
    /// The gradients with respect to the graph's inputs, if `input_gradients` asked for them.
    pub input_gradients: Gradients<T>,
}

/// Runs a graph forward and backward. Buffers are allocated at the first run and used again.
#[derive(Debug)]
pub struct Executor<'g, T> {
    graph: &'g Graph,
    options: Options,
    plan: Plan,
    lifetimes: Lifetimes,
    parameters: Vec<Arc<Tensor<T>>>,
    /// Taken in the first run: parameters do not change.
    parameter_statistics: Vec<Statistics>,
    values: Vec<Buffer<T>>,
    cotangents: Vec<Cotangent<T>>,
    scratch: Scratch<T>,
    threads: Threads,
}

impl<'g, T: RunElement> Executor<'g, T> {
    /// Plans the runs of a graph.
    ///
    /// # Errors
    /// If threads cannot be started.
    pub fn new(graph: &'g Graph, mut options: Options) -> Result<Self, RunError> {
        let threads = Threads::new(options.threads)?;
        options.threads = threads.count();
        let plan = Plan::new(graph, options.mode, options.input_gradients);
        let lifetimes = Lifetimes::new(graph, &plan, options.mode, options.checkpoint);
        let data = graph.parameters().iter().map(|parameter| &parameter.data);
        Ok(Self {
            parameters: data.map(T::parameter).collect(),
            parameter_statistics: Vec::new(),
            values: graph.values().iter().map(|_| Buffer::default()).collect(),
            cotangents: graph
                .values()
                .iter()
                .map(|_| Cotangent {
                    data: Buffer::default(),
                    exponents: Vec::new(),
                })
                .collect(),
            scratch: Scratch::default(),
            graph,
            options,
            plan,
            lifetimes,
            threads,
        })
    }

    /// Runs forward and backward once.
    ///
    /// # Errors
    /// If the inputs do not fit the graph, or a node cannot compute (a class index out of range).
    pub fn run(&mut self, inputs: &[Tensor<T>]) -> Result<RunOutput<T>, RunError> {
        self.run_observed(inputs, &mut ())
    }

    /// The same, with somebody who looks at the signals while they are there.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn run_observed(
        &mut self,
        inputs: &[Tensor<T>],
        observer: &mut (dyn Observer<T> + Send),
    ) -> Result<RunOutput<T>, RunError> {
        self.check_inputs(inputs)?;
        let threads = self.threads.clone();
        threads.install(|| self.run_here(inputs, observer))
    }

    /// Runs forward alone, and measures nothing: the loss, where there is one.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn evaluate(
        &mut self,
        inputs: &[Tensor<T>],
        observer: &mut (dyn Observer<T> + Send),
    ) -> Result<Option<f64>, RunError> {
        self.check_inputs(inputs)?;
        let threads = self.threads.clone();
        let statistics = std::mem::replace(&mut self.options.statistics, false);
        let mut trace = Trace {
            nodes: vec![Default::default(); self.graph.nodes().len()],
            ..Trace::default()
        };
        let computed = threads.install(|| self.run_forward(inputs, &mut trace, observer));
        self.options.statistics = statistics;
        computed?;
        Ok(self.loss(inputs))
    }

    /// The numbers that parameters have, by parameter.
    pub fn parameters(&self) -> &[Arc<Tensor<T>>] {
        &self.parameters
    }

    /// Runs with other numbers from now on; gives back those that were there.
    ///
    /// # Panics
    /// If their shapes are others.
    pub fn set_parameters(&mut self, parameters: Vec<Arc<Tensor<T>>>) -> Vec<Arc<Tensor<T>>> {
        let shapes = |all: &[Arc<Tensor<T>>]| -> Vec<_> {
            all.iter().map(|tensor| tensor.shape().clone()).collect()
        };
        assert_eq!(shapes(&self.parameters), shapes(&parameters));
        self.parameter_statistics.clear();
        std::mem::replace(&mut self.parameters, parameters)
    }

    /// The value of the loss after a forward pass, where the objective is one.
    fn loss(&self, inputs: &[Tensor<T>]) -> Option<f64> {
        let Objective::Loss(loss) = self.graph.objective() else {
            return None;
        };
        let environment = self.environment(&self.options, inputs);
        let data = environment.read_finished(loss.index(), None);
        data.first().map(|loss| loss.to_f64())
    }

    /// Runs forward and stays there, to pull back or push forward whatever is asked.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn linearise<'a>(
        &'a mut self,
        inputs: &'a [Tensor<T>],
    ) -> Result<Linearisation<'a, T>, RunError> {
        self.check_inputs(inputs)?;
        let threads = self.threads.clone();
        let stages = 0..self.plan.stages.len();
        // No value is given back: vectors are pushed forward through any of them.
        threads.install(|| {
            let mut stages = stages;
            stages.try_for_each(|stage| self.compute_stage(stage, inputs, None))
        })?;
        let environment = self.environment(&self.options, inputs);
        Ok(Linearisation::new(environment, threads))
    }

    /// The value of the network's output after a run.
    pub fn output<'a>(&'a self, inputs: &'a [Tensor<T>]) -> Tensor<T> {
        let value = self.graph.output();
        let data = self
            .environment(&self.options, inputs)
            .read_finished(value.index(), None);
        Tensor::new(self.graph.value(value).shape.clone(), data.to_vec())
    }

    /// Bytes of all buffers that values and cotangents were held in so far, most of them used
    /// many times; without parameters and their gradients.
    pub fn signal_bytes(&self) -> usize {
        let values = self.values.iter().map(Buffer::bytes);
        let cotangents = self.cotangents.iter().map(|cotangent| &cotangent.data);
        let held: usize = values.chain(cotangents.map(Buffer::bytes)).sum();
        held + self.scratch.signals.bytes()
    }

    fn check_inputs(&self, inputs: &[Tensor<T>]) -> Result<(), RunError> {
        let expected = self.graph.inputs();
        if expected.len() != inputs.len() {
            return Err(RunError::InputCount {
                expected: expected.len(),
                got: inputs.len(),
            });
        }
        for (&id, input) in expected.iter().zip(inputs) {
            let value = self.graph.value(id);
            if value.shape != *input.shape() {
                return Err(RunError::InputShape {
                    name: value.name.clone(),
                    expected: value.shape.clone(),
                    got: input.shape().clone(),
                });
            }
        }
        Ok(())
    }

    fn run_here(
        &mut self,
        inputs: &[Tensor<T>],
        observer: &mut (dyn Observer<T> + Send),
    ) -> Result<RunOutput<T>, RunError> {
        let parameters = self.parameter_traces();
        let mut trace = Trace {
            nodes: vec![Default::default(); self.graph.nodes().len()],
            parameters,
            inputs: vec![None; inputs.len()],
            ..Trace::default()
        };
        self.run_forward(inputs, &mut trace, observer)?;
        trace.loss = self.loss(inputs);
        self.start_backward();
        let mut gradients: Gradients<T> = self.parameters.iter().map(|_| None).collect();
        for stage in (0..self.plan.stages.len()).rev() {
            for stage in self.lifetimes.recomputed_before(stage).unwrap_or(0..0) {
                self.forward_stage(stage, inputs, None)?;
            }
            self.backward_stage(stage, inputs, &mut trace, &mut gradients, observer)?;
        }
        let mut scratch = std::mem::take(&mut self.scratch);
        let environment = self.environment(&self.options, inputs);
        shared::finish(&environment, &mut scratch, &mut trace, &mut gradients);
        self.scratch = scratch;
        let input_gradients = self.finish_inputs(&mut trace);
        Ok(RunOutput {
            trace,
            gradients,
            input_gradients,
        })
    }

    /// Every segment forward; what is only read inside one is given up at its end.
    fn run_forward(
        &mut self,
        inputs: &[Tensor<T>],
        trace: &mut Trace,
        observer: &mut (dyn Observer<T> + Send),
    ) -> Result<(), RunError> {
        for segment in 0..self.lifetimes.segments.len() {
            for stage in self.lifetimes.segments[segment].clone() {
                self.forward_stage(stage, inputs, Some((&mut *trace, &mut *observer)))?;
            }
            give_values(
                &self.lifetimes.given_up[segment],
                &mut self.values,
                &self.scratch,
            );
        }
        Ok(())
    }

    fn parameter_traces(&mut self) -> Vec<ParameterTrace> {
        if !self.options.statistics {
            return vec![ParameterTrace::default(); self.parameters.len()];
        }
        if self.parameter_statistics.is_empty() {
            let parallel = self.options.threads != 1;
            let statistics =
                |tensor: &Arc<Tensor<T>>| Statistics::of_shared(tensor.data(), 0, None, parallel);
            let each = self.parameters.par_iter().with_min_len(4);
            self.parameter_statistics = each.map(statistics).collect();
        }
        let trace = |&value: &Statistics| ParameterTrace {
            value,
            gradient: None,
        };
        self.parameter_statistics.iter().map(trace).collect()
    }

    fn environment<'a>(
        &'a self,
        options: &'a Options,
        inputs: &'a [Tensor<T>],
    ) -> Environment<'a, T> {
        Environment {
            graph: self.graph,
            plan: &self.plan,
            options,
            values: &self.values,
            parameters: &self.parameters,
            inputs,
        }
    }

    /// Runs a stage forward, and gives back the values that nothing reads any more; without a
    /// trace nothing is measured, for it was before.
    fn forward_stage(
        &mut self,
        stage: usize,
        inputs: &[Tensor<T>],
        watched: Option<(&mut Trace, &mut (dyn Observer<T> + Send))>,
    ) -> Result<(), RunError> {
        let computed = self.compute_stage(stage, inputs, watched);
        give_values(
            &self.lifetimes.after_forward[stage],
            &mut self.values,
            &self.scratch,
        );
        computed
    }

    fn compute_stage(
        &mut self,
        stage: usize,
        inputs: &[Tensor<T>],
        watched: Option<(&mut Trace, &mut (dyn Observer<T> + Send))>,
    ) -> Result<(), RunError> {
        let locals = self.plan.stages[stage].locals.clone();
        let mut buffers: Vec<Buffer<T>> = Vec::with_capacity(locals.len());
        for &slot in &locals {
            let buffer = std::mem::take(&mut self.values[slot]);
            buffers.push(if buffer.is_empty() {
                let len = self.graph.values()[slot].shape.element_count();
                self.scratch.signals.hold(len)
            } else {
                buffer
            });
        }
        let options = Options {
            statistics: self.options.statistics && watched.is_some(),
            ..self.options
        };
        let environment = self.environment(&options, inputs);
        let parts = split(&self.plan, self.plan.stages[stage].chunked, &mut buffers);
        let run = |(chunk, locals)| forward::run_stage(&environment, stage, chunk, locals);
        let taps: Result<Vec<Vec<ForwardTap>>, RunError> = if parts.len() > 1 {
            parts.into_par_iter().map(run).collect()
        } else {
            parts.into_iter().map(run).collect()
        };
        for (slot, buffer) in locals.into_iter().zip(buffers) {
            self.values[slot] = buffer;
        }
        let watched = watched.map(|(trace, observer)| {
            let signals = Signals::new(self.environment(&self.options, inputs), &[]);
            observer.forward(&signals, self.plan.stages[stage].nodes.clone());
            trace
        });
        let mut chunks = taps?.into_iter();
        let Some(trace) = watched else { return Ok(()) };
        let mut total = chunks.next().unwrap_or_default();
        for chunk in chunks {
            total
                .iter_mut()
                .zip(chunk)
                .for_each(|(mine, theirs)| mine.merge(theirs));
        }
        for (position, tap) in self.plan.stages[stage].nodes.clone().zip(total) {
            if let Some(writer) = self.plan.left_by(self.graph, position) {
                trace.nodes[writer].forward = tap.of_input;
            }
            tap.store(&mut trace.nodes[position]);
        }
        Ok(())
    }

    /// Clears every cotangent and writes the objective's.
    fn start_backward(&mut self) {
        let chunks = self.plan.chunks.len();
        for cotangent in &mut self.cotangents {
            cotangent.exponents.clear();
            cotangent.exponents.resize(chunks, None);
        }
        let objective = *self.graph.objective();
        let value = objective.value();
        let count = self.graph.value(value).shape.element_count();
        let cotangent = &mut self.cotangents[self.plan.slots[value.index()]];
        cotangent.exponents.fill(Some(0));
        if cotangent.data.is_empty() {
            cotangent.data = self.scratch.signals.hold(count);
        }
        match objective {
            Objective::Loss(_) | Objective::Output(_, CotangentKind::Ones) => {
                cotangent.data.fill(T::one());
            }
            Objective::Output(_, CotangentKind::Random) => {
                Stream::new(self.options.seed, "cotangent").fill_normal(
                    0.0,
                    1.0,
                    &mut cotangent.data,
                );
            }
        }
    }

    fn backward_stage(
        &mut self,
        stage: usize,
        inputs: &[Tensor<T>],
        trace: &mut Trace,
        gradients: &mut Gradients<T>,
        observer: &mut (dyn Observer<T> + Send),
    ) -> Result<(), RunError> {
        let mut cotangents = std::mem::take(&mut self.cotangents);
        let mut scratch = std::mem::take(&mut self.scratch);
        let environment = self.environment(&self.options, inputs);
        let pulled = backward::run_stage(&environment, stage, &mut cotangents, &scratch, trace);
        let result = pulled.and_then(|()| {
            shared::run_stage(
                &environment,
                stage,
                &mut cotangents,
                &mut scratch,
                trace,
                gradients,
            )
        });
        let signals = Signals::new(self.environment(&self.options, inputs), &cotangents);
        observer.backward(&signals, self.plan.stages[stage].nodes.clone());
        for &slot in &self.plan.stages[stage].locals {
            scratch
                .signals
                .give(std::mem::take(&mut cotangents[slot].data));
        }
        give_values(
            &self.lifetimes.after_backward[stage],
            &mut self.values,
            &scratch,
        );
        self.cotangents = cotangents;
        self.scratch = scratch;
        result
    }

    fn finish_inputs(&mut self, trace: &mut Trace) -> Gradients<T> {
        let mut gradients = Vec::new();
        for (position, &value) in self.graph.inputs().iter().enumerate() {
            let cotangent = &mut self.cotangents[value.index()];
            let exponent = cotangent::align(cotangent, &self.plan);
            gradients.push(
                exponent
                    .filter(|_| self.options.input_gradients)
                    .map(|exponent| {
                        let shape = self.graph.value(value).shape.clone();
                        trace.inputs[position] =
                            Some(Statistics::of(&cotangent.data, exponent, None));
                        Scaled {
                            tensor: Tensor::new(shape, cotangent.data.to_vec()),
                            exponent,
                        }
                    }),
            );
        }
        gradients
    }
}

/// Gives back the memory of values that nothing reads any more.
fn give_values<T: RunElement>(slots: &[usize], values: &mut [Buffer<T>], scratch: &Scratch<T>) {
    for &slot in slots {
        scratch.signals.give(std::mem::take(&mut values[slot]));
    }
}

//! Somebody who looks at the signals of a run while they are there: afterwards their memory is used
//! for others.

use super::cotangent::Cotangent;
use super::environment::{Environment, RunElement};
use crate::graph::ValueId;
use crate::num::{Magnitude, square_sum};
use rayon::prelude::*;
use std::ops::Range;

/// Looks at signals.
pub trait Observer<T: RunElement> {
    /// These nodes have run forward: their inputs and outputs are there.
    fn forward(&mut self, signals: &Signals<'_, T>, nodes: Range<usize>);

    /// These nodes were pulled back through: the cotangents of their outputs are there.
    fn backward(&mut self, signals: &Signals<'_, T>, nodes: Range<usize>);
}

/// Nobody looks.
impl<T: RunElement> Observer<T> for () {
    fn forward(&mut self, _: &Signals<'_, T>, _: Range<usize>) {}
    fn backward(&mut self, _: &Signals<'_, T>, _: Range<usize>) {}
}

/// Two that look at the same run.
#[derive(Debug)]
pub struct ObserverPair<'a, A, B>(pub &'a mut A, pub &'a mut B);

impl<T: RunElement, A: Observer<T>, B: Observer<T>> Observer<T> for ObserverPair<'_, A, B> {
    fn forward(&mut self, signals: &Signals<'_, T>, nodes: Range<usize>) {
        self.0.forward(signals, nodes.clone());
        self.1.forward(signals, nodes);
    }

    fn backward(&mut self, signals: &Signals<'_, T>, nodes: Range<usize>) {
        self.0.backward(signals, nodes.clone());
        self.1.backward(signals, nodes);
    }
}

/// The signals that are there at the moment.
#[derive(Debug)]
pub struct Signals<'a, T> {
    environment: Environment<'a, T>,
    cotangents: &'a [Cotangent<T>],
}

impl<'a, T: RunElement> Signals<'a, T> {
    pub(super) fn new(environment: Environment<'a, T>, cotangents: &'a [Cotangent<T>]) -> Self {
        Self {
            environment,
            cotangents,
        }
    }

    /// The elements of a value; none where it is not there.
    pub fn value(&self, value: ValueId) -> &'a [T] {
        self.environment.read_finished(value.index(), None)
    }

    /// What `look` finds at each of some nodes, in their order; looked for side by side where the run
    /// has threads.
    pub fn map<R: Send>(
        &self,
        nodes: Range<usize>,
        look: impl Fn(usize) -> R + Send + Sync,
    ) -> Vec<R> {
        match self.environment.options.threads {
            1 => nodes.map(look).collect(),
            _ => nodes.into_par_iter().map(look).collect(),
        }
    }

    /// The Euclidean norm of each row (of axis 0) of the cotangent that arrived at a value; `None`
    /// where none is there, or where axis 0 does not enumerate samples.
    pub fn cotangent_row_norms(&self, value: ValueId) -> Option<Vec<Magnitude>> {
        let plan = self.environment.plan;
        let cotangent = self.cotangents.get(plan.slots[value.index()])?;
        let len = cotangent.data.len();
        if !plan.sampled[value.index()] || len == 0 {
            return None;
        }
        let mut norms = Vec::with_capacity(plan.rows);
        for (chunk, exponent) in cotangent.exponents.iter().enumerate() {
            let exponent = (*exponent)?;
            let rows = &cotangent.data[plan.elements(len, chunk)];
            for row in rows.chunks_exact((len / plan.rows.max(1)).max(1)) {
                norms.push(Magnitude::new(square_sum(row).sqrt(), exponent));
            }
        }
        Some(norms)
    }
}

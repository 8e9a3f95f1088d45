//! What is seen of a recurrent layer's signals step by step, while its cotangents are pulled back
//! through time.

use super::order::{Order, row};
use crate::num::{Element, Magnitude, MeanSquare};
use crate::ops::over_time::OverTime;

/// What is seen by a part of the batch.
#[derive(Debug)]
pub(super) struct Watch {
    forward: Vec<MeanSquare>,
    backward: Vec<MeanSquare>,
    is_read: Vec<bool>,
    /// By sample of the part: the last step that a cotangent arrives at.
    last: Vec<Option<usize>>,
}

/// A step on the way back, before it is pulled back through.
#[derive(Clone, Copy, Debug)]
pub(super) struct StepSeen<'a, T> {
    pub step: usize,
    /// The first sample of the part.
    pub first: usize,
    pub hidden: usize,
    /// The state h after the step, sample by sample.
    pub h: &'a [T],
    /// The cotangents of the states after the step, one state after the other, × 2^`exponent`.
    pub carried: &'a [T],
    pub exponent: i64,
}

impl Watch {
    /// Of a part of so many samples.
    pub fn new(time: usize, samples: usize) -> Self {
        Self {
            forward: vec![MeanSquare::default(); time],
            backward: vec![MeanSquare::default(); time],
            is_read: vec![false; time],
            last: vec![None; samples],
        }
    }

    /// Notes that a step has a cotangent from outside, where `term` is one.
    pub fn see_read<T: Element>(&mut self, step: usize, term: &[T]) {
        self.is_read[step] |= term.iter().any(|&x| x != T::zero());
    }

    pub fn see<T: Element>(&mut self, order: Order<'_>, seen: StepSeen<'_, T>) {
        let StepSeen {
            step,
            first,
            hidden,
            ..
        } = seen;
        let samples = self.last.len();
        for sample in (0..samples).filter(|sample| order.is_step(first + sample, step)) {
            self.forward[step].add(row(seen.h, sample, hidden), 0);
            let states = seen.carried.chunks_exact(samples * hidden);
            let of_sample = states.map(|state| row(state, sample, hidden));
            let last = match self.last[sample] {
                Some(last) => last,
                None => {
                    let mut elements = of_sample.clone().flatten();
                    if elements.all(|&x| x == T::zero()) {
                        continue;
                    }
                    *self.last[sample].insert(step)
                }
            };
            for cotangent in of_sample {
                self.backward[last - step].add(cotangent, seen.exponent);
            }
        }
    }
}

impl OverTime {
    /// What the parts of a batch saw together.
    pub(super) fn of_parts(reversed: bool, parts: &[Watch]) -> Self {
        let merged = |of: fn(&Watch) -> &[MeanSquare]| {
            let mut total: Vec<MeanSquare> = Vec::new();
            for part in parts {
                total.resize(of(part).len(), MeanSquare::default());
                let pairs = total.iter_mut().zip(of(part));
                pairs.for_each(|(total, part)| total.merge(part));
            }
            let seen = total.iter().take_while(|step| step.count() > 0);
            seen.map(MeanSquare::root).collect::<Vec<Magnitude>>()
        };
        let steps = parts.first().map_or(0, |part| part.is_read.len());
        let is_read = |step: &usize| parts.iter().any(|part| part.is_read[*step]);
        Self {
            reversed,
            forward: merged(|part| &part.forward),
            backward: merged(|part| &part.backward),
            read_steps: (0..steps).filter(is_read).count(),
        }
    }
}

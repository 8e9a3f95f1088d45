//! Back-propagation through time: the cotangents of all pre-activations, by the walk back.

use super::exponents::Exponents;
use super::kernel::{Operands, Pass};
use super::options::{Extents, Recurrent};
use super::order::{Order, for_parts, parts, row, row_mut, take};
use super::over_time::{StepSeen, Watch};
use super::{Cell, StepBack, Weights};
use crate::num::{View, scaled};
use crate::ops::over_time::OverTime;
use crate::ops::{Context, OpElement, Saved};
use std::ops::Range;

/// What one part of the batch computes on the way back.
struct Backward<'a, T> {
    /// Its first sample.
    first: usize,
    rows: usize,
    du: &'a mut [T],
    d_aside: &'a mut [T],
    /// The cotangents of h and c that are carried through time, one after the other, and a term
    /// of them.
    carried: &'a mut [T],
    term: &'a mut [T],
    /// By step: the exponent of du.
    exponents: &'a mut [i64],
    /// That of what is carried.
    exponent: &'a mut i64,
    /// Where somebody watches.
    watch: Option<&'a mut Watch>,
}

/// What a direction kept for its pull-back.
#[derive(Clone, Copy)]
pub(super) struct Kept<'a, T> {
    pub u: &'a [T],
    pub h: &'a [T],
    pub c: &'a [T],
    pub aside: &'a [T],
}

impl<'a, T> Kept<'a, T> {
    pub fn new<C: Cell>(kept: &[View<'a, T>], direction: usize) -> Self {
        let of = |position: usize| {
            let data = kept[position].data;
            row(data, direction, data.len() / kept[position].shape[0])
        };
        Self {
            u: of(0),
            h: of(1),
            c: if C::HAS_CELL_STATE { of(2) } else { &[] },
            aside: if C::KEEPS_ASIDE { of(2) } else { &[] },
        }
    }
}

impl<C: Cell> Recurrent<C> {
    /// Pulls the cotangents of one direction back through all steps; writes those of u, of what
    /// was kept aside, and what is left at the beginning. Says what was seen over time, if `watched`.
    pub(super) fn through_time<T: OpElement>(
        &self,
        context: &Context,
        saved: Saved<'_, T>,
        operands: Operands<'_, T>,
        cotangents: &[Option<View<'_, T>>],
        scratch: &mut [T],
        watched: bool,
    ) -> (Exponents, Option<OverTime>) {
        let order = operands.order;
        let Extents {
            hidden,
            time,
            batch,
            ..
        } = order.extents;
        let kept = Kept::new::<C>(&saved.outputs[self.first_kept()..], order.direction);
        let mut exponents = Exponents {
            steps: vec![0; parts(batch).len() * time],
            carried: vec![0; parts(batch).len()],
        };
        let watches = parts(batch).filter(|_| watched);
        let mut watches: Vec<Watch> = watches.map(|part| Watch::new(time, part.len())).collect();
        let states = 1 + usize::from(C::HAS_CELL_STATE);
        let steps = time * batch * hidden;
        T::with_scratch(states * batch * hidden, |mut terms| {
            let (mut du, rest) = scratch.split_at_mut(C::GATES * steps);
            let aside = if C::KEEPS_ASIDE { steps } else { 0 };
            let (mut d_aside, mut carried) = rest.split_at_mut(aside);
            let numbers = exponents
                .steps
                .chunks_exact_mut(time)
                .zip(&mut exponents.carried);
            let mut of_parts = watches.iter_mut();
            let cut = parts(batch)
                .zip(numbers)
                .map(|(samples, (steps, exponent))| {
                    let rows = samples.len();
                    let len = rows * hidden;
                    Backward {
                        first: samples.start,
                        rows,
                        du: take(&mut du, C::GATES * time * len),
                        d_aside: take(&mut d_aside, if C::KEEPS_ASIDE { time * len } else { 0 }),
                        carried: take(&mut carried, states * len),
                        term: take(&mut terms, states * len),
                        exponents: steps,
                        exponent,
                        watch: of_parts.next(),
                    }
                });
            let cut = cut.collect();
            self.with_weights(operands, None, Pass::Back, |weights| {
                for_parts(context.parallel, cut, &|part| {
                    self.walk_back(weights, order, kept, cotangents, part);
                });
            });
        });
        let seen = watched.then(|| OverTime::of_parts(order.reversed, &watches));
        (exponents, seen)
    }

    /// Walks a part back over time.
    fn walk_back<T: OpElement>(
        &self,
        weights: Weights<'_, T>,
        order: Order<'_>,
        kept: Kept<'_, T>,
        cotangents: &[Option<View<'_, T>>],
        part: Backward<'_, T>,
    ) {
        let Extents { time, hidden, .. } = order.extents;
        let Backward { first, rows, .. } = part;
        let len = rows * hidden;
        let (du, d_aside) = (part.du, part.d_aside);
        let (carried, term, exponent) = (part.carried, part.term, part.exponent);
        let mut watch = part.watch;
        carried.fill(T::zero());
        *exponent = 0;
        // The rows of kept signals that belong to the part's first step.
        let (steps, states) = (first * time, first * (time + 1));
        for step in (0..=time).rev() {
            let arrived = arrivals(order, cotangents, first..first + rows, step, term);
            scaled::add(carried, exponent, &term[..arrived * len], 0);
            let Some(step) = step.checked_sub(1) else {
                break;
            };
            if let Some(watch) = &mut watch {
                watch.see_read(step, &term[..arrived * len]);
            }
            scaled::renormalise(carried, exponent);
            part.exponents[step] = *exponent;
            if let Some(watch) = &mut watch {
                let seen = StepSeen {
                    step,
                    first,
                    hidden,
                    h: &kept.h[(states + (step + 1) * rows) * hidden..][..len],
                    carried: &*carried,
                    exponent: *exponent,
                };
                watch.see(order, seen);
            }
            let (dh, dc) = carried.split_at_mut(len);
            let at = |data: &'_ [T], width: usize, row: usize| -> std::ops::Range<usize> {
                if data.is_empty() {
                    0..0
                } else {
                    row * width..(row + rows) * width
                }
            };
            let (before, after) = (states + step * rows, states + (step + 1) * rows);
            let now = steps + step * rows;
            let gates = C::GATES * hidden;
            let d_aside_len = if C::KEEPS_ASIDE { len } else { 0 };
            self.cell.pull_back(
                weights,
                StepBack {
                    rows,
                    u: &kept.u[at(kept.u, gates, now)],
                    h_before: &kept.h[at(kept.h, hidden, before)],
                    c_before: &kept.c[at(kept.c, hidden, before)],
                    c: &kept.c[at(kept.c, hidden, after)],
                    aside: &kept.aside[at(kept.aside, hidden, now)],
                    dh,
                    dc,
                    du: &mut du[step * rows * gates..][..rows * gates],
                    d_aside: &mut d_aside[step * d_aside_len..][..d_aside_len],
                },
            );
            for sample in (0..rows).filter(|sample| !order.is_step(first + sample, step)) {
                // Before its end there is nothing yet, whatever stands beyond it in x.
                for carried in carried.chunks_exact_mut(len) {
                    row_mut(carried, sample, hidden).fill(T::zero());
                }
                row_mut(&mut du[step * rows * gates..], sample, gates).fill(T::zero());
                if C::KEEPS_ASIDE {
                    row_mut(&mut d_aside[step * len..], sample, hidden).fill(T::zero());
                }
            }
        }
    }
}

/// Writes to `term` what arrives from outside at the states after `step` steps of some samples:
/// from Y, and from the last states where a sample ends there. Returns how many of the states, h
/// and c, it wrote to.
fn arrivals<T: OpElement>(
    order: Order<'_>,
    cotangents: &[Option<View<'_, T>>],
    samples: Range<usize>,
    step: usize,
    term: &mut [T],
) -> usize {
    let hidden = order.extents.hidden;
    let ends = samples.clone().any(|sample| order.length(sample) == step);
    let last = if ends { &cotangents[1..] } else { &[] };
    let states = match last.iter().rposition(Option::is_some) {
        Some(state) => state + 1,
        None => usize::from(cotangents[0].is_some() && step > 0),
    };
    let term = &mut term[..states * samples.len() * hidden];
    term.fill(T::zero());
    for (index, sample) in samples.clone().enumerate() {
        if let Some(y) = cotangents[0].filter(|_| step > 0 && order.is_step(sample, step - 1)) {
            let from = row(y.data, order.output_row(sample, step - 1), hidden);
            row_mut(term, index, hidden).copy_from_slice(from);
        }
        if order.length(sample) != step {
            continue;
        }
        for (state, cotangent) in last.iter().enumerate() {
            let Some(cotangent) = cotangent else { continue };
            let to = row_mut(term, state * samples.len() + index, hidden);
            let from = row(cotangent.data, order.state_row(sample), hidden);
            to.iter_mut().zip(from).for_each(|(to, &from)| *to += from);
        }
    }
    states
}

//! Back-propagation through time: the cotangents of all pre-activations, by the walk back.

use super::kernel::{Operands, Pass};
use super::options::{Extents, Recurrent};
use super::order::{Order, for_parts, parts, row, row_mut, take};
use super::over_time::{OverTime, StepSeen, Watch};
use super::{Cell, StepBack, Weights};
use crate::num::{View, scaled};
use crate::ops::{Context, OpElement, Saved};

/// What one part of the batch computes on the way back.
struct Backward<'a, T> {
    /// Its first sample.
    first: usize,
    rows: usize,
    du: &'a mut [T],
    d_aside: &'a mut [T],
    /// The cotangents of h and c that are carried through time, one after the other, and a term.
    carried: &'a mut [T],
    term: &'a mut [T],
    /// By step: the exponent of du.
    exponents: &'a mut [i64],
    /// The exponent of what is carried.
    exponent: &'a mut i64,
    /// Where somebody watches.
    watch: Option<&'a mut Watch>,
}

/// What the pull-back of one direction found, by part: the exponents of the steps and of what is
/// left at the beginning.
pub(super) struct Exponents {
    steps: Vec<i64>,
    carried: Vec<i64>,
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
        T::with_scratch(batch * hidden, |mut terms| {
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
                        term: take(&mut terms, len),
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
        let last_states = carried.chunks_exact_mut(len).zip(&cotangents[1..]);
        for (carried, cotangent) in last_states {
            if let Some(cotangent) = cotangent {
                for sample in 0..rows {
                    let from = row(cotangent.data, order.state_row(first + sample), hidden);
                    row_mut(carried, sample, hidden).copy_from_slice(from);
                }
            }
        }
        if let (Some(watch), Some(last)) = (&mut watch, time.checked_sub(1)) {
            watch.see_read(last, carried);
        }
        *exponent = 0;
        // The rows of kept signals that belong to the part's first step.
        let (steps, states) = (first * time, first * (time + 1));
        for step in (0..time).rev() {
            if let Some(cotangent) = cotangents[0] {
                for sample in 0..rows {
                    let to = row_mut(term, sample, hidden);
                    if order.is_step(first + sample, step) {
                        let from = order.output_row(first + sample, step);
                        to.copy_from_slice(row(cotangent.data, from, hidden));
                    } else {
                        to.fill(T::zero());
                    }
                }
                if let Some(watch) = &mut watch {
                    watch.see_read(step, term);
                }
                scaled::add(carried, exponent, term, 0);
            }
            if let Some(shift) = scaled::renormalisation(scaled::max_abs(carried)) {
                scaled::scale(carried, -i64::from(shift));
                *exponent += i64::from(shift);
            }
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
            let is_over = |sample: &usize| !order.is_step(first + sample, step);
            let carried_past = match (0..rows).find(is_over) {
                Some(_) => carried.to_vec(),
                None => Vec::new(),
            };
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
            if carried_past.is_empty() {
                continue;
            }
            for sample in (0..rows).filter(is_over) {
                let states = carried.chunks_exact_mut(len);
                for (now, past) in states.zip(carried_past.chunks_exact(len)) {
                    row_mut(now, sample, hidden).copy_from_slice(row(past, sample, hidden));
                }
                row_mut(&mut du[step * rows * gates..], sample, gates).fill(T::zero());
                if C::KEEPS_ASIDE {
                    row_mut(&mut d_aside[step * len..], sample, hidden).fill(T::zero());
                }
            }
        }
    }
}

/// Brings all cotangents of a pull-back to one exponent, the largest at which something is not
/// zero, and returns it.
pub(super) fn align<T: OpElement>(
    extents: Extents,
    each: &[usize; 3],
    exponents: &[Exponents],
    scratch: &mut [T],
) -> i64 {
    let all = || {
        exponents
            .iter()
            .flat_map(|e| e.steps.iter().chain(&e.carried))
    };
    let first = exponents[0].carried[0];
    if all().all(|&exponent| exponent == first) {
        return first;
    }
    let mut common = None;
    let per_direction: usize = each.iter().sum();
    let mut visit = |work: &mut dyn FnMut(&mut [T], i64)| {
        let directions = scratch.chunks_exact_mut(per_direction).zip(exponents);
        for (scratch, exponents) in directions {
            let (mut du, rest) = scratch.split_at_mut(each[0]);
            let (mut aside, mut carried) = rest.split_at_mut(each[1]);
            for (part, samples) in parts(extents.batch).enumerate() {
                let share = |len: usize| len / extents.batch * samples.len();
                let steps = row(&exponents.steps, part, extents.time);
                for &exponent in steps {
                    work(take(&mut du, share(each[0] / extents.time)), exponent);
                    work(take(&mut aside, share(each[1] / extents.time)), exponent);
                }
                work(take(&mut carried, share(each[2])), exponents.carried[part]);
            }
        }
    };
    visit(&mut |data, exponent| {
        if common.is_none_or(|common| exponent > common) && scaled::max_abs(data) != 0.0 {
            common = Some(exponent);
        }
    });
    let common = common.unwrap_or(first);
    visit(&mut |data, exponent| {
        if exponent != common && scaled::max_abs(data) != 0.0 {
            scaled::scale(data, exponent - common);
        }
    });
    common
}

//! Forward and pull-back of any cell: one product over all steps for what the input brings, the
//! walk over time, and one product over all steps for each weight's gradient.

use super::options::{Extents, Recurrent};
use super::order::{Order, parts, row, row_mut, take};
use super::{Cell, Factor, Step, StepBack, Weights};
use crate::num::linalg::{Matrix, MatrixMut};
use crate::num::sum::column_sums;
use crate::num::{View, ViewMut, scaled};
use crate::ops::{Context, Kernel, OpElement, OpError, Saved};
use rayon::prelude::*;

/// The operands of one direction.
#[derive(Clone, Copy)]
struct Operands<'a, T> {
    order: Order,
    gates: usize,
    x: &'a [T],
    weight: &'a [T],
    recurrent: &'a [T],
}

/// What one part of the batch computes on the way forward.
struct Forward<'a, T> {
    rows: usize,
    u: &'a mut [T],
    h: &'a mut [T],
    c: &'a mut [T],
    aside: &'a mut [T],
}

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
}

/// What the pull-back of one direction found, by part: the exponents of the steps and of what is
/// left at the beginning.
struct Exponents {
    steps: Vec<i64>,
    carried: Vec<i64>,
}

/// Works on every part, side by side if `parallel`. Behind a pointer, so that rayon's machinery is
/// compiled once an element type.
fn for_parts<P: Send>(parallel: bool, parts: Vec<P>, work: &(dyn Fn(P) + Sync)) {
    if parallel && parts.len() > 1 {
        parts.into_par_iter().for_each(work);
    } else {
        parts.into_iter().for_each(work);
    }
}

impl<C: Cell> Recurrent<C> {
    fn operands<'a, T: OpElement>(
        &self,
        inputs: &[View<'a, T>],
        direction: usize,
    ) -> Operands<'a, T> {
        let (x, w, r) = (inputs[0], inputs[1], inputs[2]);
        let extents = self.extents(x.shape, r.shape);
        let Extents { inputs, hidden, .. } = extents;
        let reversed = self.direction.reversed();
        Operands {
            order: Order {
                extents,
                direction,
                directions: reversed.len(),
                reversed: reversed[direction],
            },
            gates: C::GATES * hidden,
            x: x.data,
            weight: row(w.data, direction, C::GATES * hidden * inputs),
            recurrent: row(r.data, direction, C::GATES * hidden * hidden),
        }
    }

    /// u ← W·x + the biases that belong to u, for all steps at once.
    fn project<T: OpElement>(
        &self,
        context: &Context,
        operands: Operands<'_, T>,
        bias: Option<&[T]>,
        u: &mut [T],
    ) {
        let Extents { inputs, .. } = operands.order.extents;
        let gates = operands.gates;
        if let Some(bias) = bias {
            let (of_input, of_state) = bias.split_at(gates);
            let own = self.state_biases(gates);
            for u in u.chunks_exact_mut(gates) {
                u.copy_from_slice(of_input);
                for (u, &bias) in u.iter_mut().zip(&of_state[..own]) {
                    *u += bias;
                }
            }
        }
        let rows = u.len() / gates;
        T::with_scratch(rows * inputs, |x| {
            gather(operands, x);
            T::matmul_tiled(
                MatrixMut::new(u, rows, gates),
                Matrix::new(x, rows, inputs),
                Matrix::new(operands.weight, gates, inputs).transposed(),
                bias.is_some(),
                context.parallel,
            );
        });
    }

    /// How many of the recurrent biases belong to u; the others the cell adds.
    fn state_biases(&self, gates: usize) -> usize {
        if self.cell.adds_hidden_bias() {
            gates / C::GATES * (C::GATES - 1)
        } else {
            gates
        }
    }

    fn weights<'a, T>(&self, operands: Operands<'a, T>, bias: Option<&'a [T]>) -> Weights<'a, T> {
        let own = operands.gates + self.state_biases(operands.gates);
        Weights {
            recurrent: operands.recurrent,
            hidden_bias: bias.map_or(&[], |bias| &bias[own..]),
            hidden: operands.order.extents.hidden,
        }
    }

    /// Walks a part over time.
    fn walk<T: OpElement>(&self, weights: Weights<'_, T>, part: Forward<'_, T>) {
        let rows = part.rows;
        let len = rows * weights.hidden;
        let (mut h, mut c, mut aside) = (part.h, part.c, part.aside);
        let mut h_before = &*take(&mut h, len);
        let mut c_before: &[T] = if C::HAS_CELL_STATE {
            take(&mut c, len)
        } else {
            &[]
        };
        for u in part.u.chunks_exact_mut(C::GATES * len) {
            let h_now = take(&mut h, len);
            let c_now = take(&mut c, if C::HAS_CELL_STATE { len } else { 0 });
            self.cell.forward(
                weights,
                Step {
                    rows,
                    u,
                    h_before,
                    h: &mut *h_now,
                    c_before,
                    c: &mut *c_now,
                    aside: take(&mut aside, if C::KEEPS_ASIDE { len } else { 0 }),
                },
            );
            (h_before, c_before) = (h_now, c_now);
        }
    }

    /// Walks a part back over time.
    fn walk_back<T: OpElement>(
        &self,
        weights: Weights<'_, T>,
        order: Order,
        kept: Kept<'_, T>,
        cotangents: &[Option<View<'_, T>>],
        part: Backward<'_, T>,
    ) {
        let Extents { time, hidden, .. } = order.extents;
        let Backward { first, rows, .. } = part;
        let len = rows * hidden;
        let (du, d_aside) = (part.du, part.d_aside);
        let (carried, term, exponent) = (part.carried, part.term, part.exponent);
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
        *exponent = 0;
        // The rows of kept signals that belong to the part's first step.
        let (steps, states) = (first * time, first * (time + 1));
        for step in (0..time).rev() {
            if let Some(cotangent) = cotangents[0] {
                for sample in 0..rows {
                    let from = row(
                        cotangent.data,
                        order.output_row(first + sample, step),
                        hidden,
                    );
                    row_mut(term, sample, hidden).copy_from_slice(from);
                }
                scaled::add(carried, exponent, term, 0);
            }
            if let Some(shift) = scaled::renormalisation(scaled::max_abs(carried)) {
                scaled::scale(carried, -i64::from(shift));
                *exponent += i64::from(shift);
            }
            part.exponents[step] = *exponent;
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
        }
    }
}

/// What a direction kept for its pull-back.
#[derive(Clone, Copy)]
struct Kept<'a, T> {
    u: &'a [T],
    h: &'a [T],
    c: &'a [T],
    aside: &'a [T],
}

impl<'a, T> Kept<'a, T> {
    fn new<C: Cell>(kept: &[View<'a, T>], direction: usize) -> Self {
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

/// Copies the rows of x in the order of the inside.
fn gather<T: OpElement>(operands: Operands<'_, T>, to: &mut [T]) {
    let len = operands.order.extents.inputs;
    operands.order.for_inputs(|inside, outside| {
        row_mut(to, inside, len).copy_from_slice(row(operands.x, outside, len));
    });
}

impl<T: OpElement, C: Cell> Kernel<T> for Recurrent<C> {
    fn forward(
        &self,
        context: &Context,
        inputs: &[View<'_, T>],
        outputs: &mut [ViewMut<'_, T>],
    ) -> Result<(), OpError> {
        let positions = self.positions();
        let (visible, kept) = outputs.split_at_mut(self.first_kept());
        for direction in 0..self.direction.reversed().len() {
            let operands = self.operands(inputs, direction);
            let order = operands.order;
            let Extents {
                hidden,
                time,
                batch,
                ..
            } = order.extents;
            let bias = positions
                .bias
                .map(|bias| row(inputs[bias].data, direction, 2 * operands.gates));
            let mut of_direction = kept.iter_mut().map(|kept| {
                let len = kept.data.len() / kept.shape[0];
                row_mut(kept.data, direction, len)
            });
            let mut next = |given: bool| -> &mut [T] {
                if given {
                    of_direction.next().unwrap_or_default()
                } else {
                    Default::default()
                }
            };
            let (u, h) = (next(true), next(true));
            let (c, aside) = (next(C::HAS_CELL_STATE), next(C::KEEPS_ASIDE));
            self.project(context, operands, bias, u);
            {
                let mut first_states = [
                    (&mut *h, positions.initial_h),
                    (&mut *c, positions.initial_c),
                ];
                for (states, initial) in &mut first_states {
                    let mut rest = &mut **states;
                    for samples in parts(batch) {
                        if rest.is_empty() {
                            continue;
                        }
                        let part = take(&mut rest, samples.len() * (time + 1) * hidden);
                        for (index, sample) in samples.enumerate() {
                            let to = row_mut(part, index, hidden);
                            match initial {
                                Some(initial) => to.copy_from_slice(row(
                                    inputs[*initial].data,
                                    order.state_row(sample),
                                    hidden,
                                )),
                                None => to.fill(T::zero()),
                            }
                        }
                    }
                }
            }
            let mut rest = (&mut *u, &mut *h, &mut *c, &mut *aside);
            let cut = parts(batch).map(|samples| {
                let rows = samples.len();
                let steps = rows * time * hidden;
                let states = steps + rows * hidden;
                Forward {
                    rows,
                    u: take(&mut rest.0, C::GATES * steps),
                    h: take(&mut rest.1, states),
                    c: take(&mut rest.2, if C::HAS_CELL_STATE { states } else { 0 }),
                    aside: take(&mut rest.3, if C::KEEPS_ASIDE { steps } else { 0 }),
                }
            });
            let weights = self.weights(operands, bias);
            for_parts(context.parallel, cut.collect(), &|part| {
                self.walk(weights, part);
            });
            if let [y, y_h, y_c @ ..] = &mut *visible {
                write_states(order, h, Some(y.data), y_h.data);
                if let [y_c] = y_c {
                    write_states(order, c, None, y_c.data);
                }
            }
        }
        Ok(())
    }

    fn vjp(
        &self,
        context: &Context,
        saved: Saved<'_, T>,
        cotangents: &[Option<View<'_, T>>],
        gradients: &mut [Option<ViewMut<'_, T>>],
    ) -> Result<i64, OpError> {
        let directions = self.direction.reversed().len();
        let extents = self.extents(saved.inputs[0].shape, saved.inputs[2].shape);
        let Extents {
            hidden,
            time,
            batch,
            ..
        } = extents;
        let steps = time * batch * hidden;
        let aside = if C::KEEPS_ASIDE { steps } else { 0 };
        let carried = batch * hidden * (1 + usize::from(C::HAS_CELL_STATE));
        let each = [C::GATES * steps, aside, carried];
        let per_direction: usize = each.iter().sum();
        T::with_scratch(directions * per_direction, |scratch| {
            let mut exponents = Vec::with_capacity(directions);
            for (direction, scratch) in scratch.chunks_exact_mut(per_direction).enumerate() {
                exponents.push(self.through_time(context, saved, cotangents, direction, scratch));
            }
            let common = align(extents, &each, &exponents, scratch);
            let pulled = scratch.chunks_exact(per_direction).enumerate();
            for (direction, pulled) in pulled {
                self.gradients(context, saved, direction, pulled, gradients);
            }
            Ok(common)
        })
    }
}

impl<C: Cell> Recurrent<C> {
    /// Pulls the cotangents of one direction back through all steps; writes those of u, of what
    /// was kept aside, and what is left at the beginning.
    fn through_time<T: OpElement>(
        &self,
        context: &Context,
        saved: Saved<'_, T>,
        cotangents: &[Option<View<'_, T>>],
        direction: usize,
        scratch: &mut [T],
    ) -> Exponents {
        let operands = self.operands(saved.inputs, direction);
        let order = operands.order;
        let Extents {
            hidden,
            time,
            batch,
            ..
        } = order.extents;
        let kept = Kept::new::<C>(&saved.outputs[self.first_kept()..], direction);
        let weights = self.weights(operands, None);
        let mut exponents = Exponents {
            steps: vec![0; parts(batch).len() * time],
            carried: vec![0; parts(batch).len()],
        };
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
                    }
                });
            for_parts(context.parallel, cut.collect(), &|part| {
                self.walk_back(weights, order, kept, cotangents, part);
            });
        });
        exponents
    }

    /// The gradients that one direction contributes, from what [`through_time`] wrote.
    fn gradients<T: OpElement>(
        &self,
        context: &Context,
        saved: Saved<'_, T>,
        direction: usize,
        pulled: &[T],
        gradients: &mut [Option<ViewMut<'_, T>>],
    ) {
        let operands = self.operands(saved.inputs, direction);
        let (order, gates) = (operands.order, operands.gates);
        let Extents {
            inputs,
            hidden,
            time,
            batch,
            ..
        } = order.extents;
        let rows = time * batch;
        let (du, rest) = pulled.split_at(rows * gates);
        let aside = if C::KEEPS_ASIDE { rows * hidden } else { 0 };
        let (d_aside, carried) = rest.split_at(aside);
        if let Some(gradient) = &mut gradients[0] {
            T::with_scratch(rows * inputs, |dx| {
                T::matmul_tiled(
                    MatrixMut::new(dx, rows, inputs),
                    Matrix::new(du, rows, gates),
                    Matrix::new(operands.weight, gates, inputs),
                    false,
                    context.parallel,
                );
                order.for_inputs(|inside, outside| {
                    let to = row_mut(gradient.data, outside, inputs);
                    let from = row(dx, inside, inputs);
                    if direction == 0 {
                        to.copy_from_slice(from);
                    } else {
                        to.iter_mut().zip(from).for_each(|(to, &from)| *to += from);
                    }
                });
            });
        }
        if let Some(gradient) = &mut gradients[1] {
            T::with_scratch(rows * inputs, |x| {
                gather(operands, x);
                T::matmul_tiled(
                    MatrixMut::new(
                        row_mut(gradient.data, direction, gates * inputs),
                        gates,
                        inputs,
                    ),
                    Matrix::new(du, rows, gates).transposed(),
                    Matrix::new(x, rows, inputs),
                    false,
                    context.parallel,
                );
            });
        }
        if let Some(gradient) = &mut gradients[2] {
            let kept = Kept::new::<C>(&saved.outputs[self.first_kept()..], direction);
            let gradient = row_mut(gradient.data, direction, gates * hidden);
            self.recurrent_gradient(context, order.extents, kept, du, d_aside, gradient);
        }
        let positions = self.positions();
        if let Some(bias) = positions.bias
            && let Some(gradient) = &mut gradients[bias]
        {
            let gradient = row_mut(gradient.data, direction, 2 * gates);
            let (of_input, of_state) = gradient.split_at_mut(gates);
            column_sums(of_input, du);
            let own = self.state_biases(gates);
            of_state[..own].copy_from_slice(&of_input[..own]);
            if own < gates {
                column_sums(&mut of_state[own..], d_aside);
            }
        }
        let states = 1 + usize::from(C::HAS_CELL_STATE);
        for (state, position) in [positions.initial_h, positions.initial_c]
            .into_iter()
            .enumerate()
        {
            let Some(Some(gradient)) = position.map(|position| &mut gradients[position]) else {
                continue;
            };
            for samples in parts(batch) {
                let part = &carried[samples.start * states * hidden..];
                let part = &part[state * samples.len() * hidden..];
                for (index, sample) in samples.enumerate() {
                    row_mut(gradient.data, order.state_row(sample), hidden)
                        .copy_from_slice(row(part, index, hidden));
                }
            }
        }
    }

    /// ∂R: the cotangents of u, transposed, by the states before their steps; part by part, for a
    /// part's states begin one step earlier than its cotangents.
    fn recurrent_gradient<T: OpElement>(
        &self,
        context: &Context,
        extents: Extents,
        kept: Kept<'_, T>,
        du: &[T],
        d_aside: &[T],
        gradient: &mut [T],
    ) {
        let Extents {
            hidden,
            time,
            batch,
            ..
        } = extents;
        let gates = C::GATES * hidden;
        let last = self.cell.last_gate();
        // The gates whose cotangents are those of u and whose factor is the state.
        let plain = if last == super::LastGate::PLAIN {
            gates
        } else {
            gates - hidden
        };
        for samples in parts(batch) {
            let (first, count) = (samples.start, samples.len() * time);
            let states = &kept.h[first * (time + 1) * hidden..][..count * hidden];
            let states = Matrix::new(states, count, hidden);
            let du = &du[first * time * gates..][..count * gates];
            let (to, to_last) = gradient.split_at_mut(plain * hidden);
            T::matmul_tiled(
                MatrixMut::new(to, plain, hidden),
                Matrix::with_row_stride(du, count, plain, gates).transposed(),
                states,
                first > 0,
                context.parallel,
            );
            if plain == gates {
                continue;
            }
            let aside = first * time * hidden..first * time * hidden + count * hidden;
            let left = if last.from_aside {
                Matrix::new(&d_aside[aside.clone()], count, hidden)
            } else {
                Matrix::with_row_stride(&du[plain..], count, hidden, gates)
            };
            let right = match last.by {
                Factor::State => states,
                Factor::Aside => Matrix::new(&kept.aside[aside], count, hidden),
            };
            T::matmul_tiled(
                MatrixMut::new(to_last, hidden, hidden),
                left.transposed(),
                right,
                first > 0,
                context.parallel,
            );
        }
    }
}

/// Copies the states after every step to Y, and the last ones to the final state.
fn write_states<T: OpElement>(
    order: Order,
    states: &[T],
    mut all: Option<&mut [T]>,
    last: &mut [T],
) {
    let Extents {
        hidden,
        time,
        batch,
        ..
    } = order.extents;
    for samples in parts(batch) {
        let part = &states[samples.start * (time + 1) * hidden..];
        for step in 0..time {
            for (index, sample) in samples.clone().enumerate() {
                let from = row(part, (step + 1) * samples.len() + index, hidden);
                if let Some(all) = &mut all {
                    row_mut(all, order.output_row(sample, step), hidden).copy_from_slice(from);
                }
                if step + 1 == time {
                    row_mut(last, order.state_row(sample), hidden).copy_from_slice(from);
                }
            }
        }
    }
}

/// Brings all cotangents of a pull-back to one exponent, the largest at which something is not
/// zero, and returns it.
fn align<T: OpElement>(
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

//! Forward and pull-back of any cell: one product over all steps for what the input brings, then
//! the walk over time.

use super::Cell;
use super::exponents::align;
use super::options::{Extents, Positions, Recurrent};
use super::order::{Order, for_parts, parts, row, row_mut, take};
use super::{Step, Weights};
use crate::num::linalg::{Matrix, MatrixMut};
use crate::num::packed::{Packed, packed_len};
use crate::num::{View, ViewMut, scaled};
use crate::ops::over_time::OverTime;
use crate::ops::{Context, InputExponents, Kernel, OpElement, OpError, Saved};

/// The operands of one direction.
#[derive(Clone, Copy)]
pub(super) struct Operands<'a, T> {
    pub order: Order<'a>,
    pub gates: usize,
    x: &'a [T],
    pub weight: &'a [T],
    recurrent: &'a [T],
    peepholes: &'a [T],
}

/// What one part of the batch computes on the way forward.
struct Forward<'a, T> {
    /// Its first sample.
    first: usize,
    rows: usize,
    u: &'a mut [T],
    h: &'a mut [T],
    c: &'a mut [T],
    aside: &'a mut [T],
}

/// Which way a pass goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pass {
    Forward,
    Back,
}

impl<C: Cell> Recurrent<C> {
    pub(super) fn operands<'a, T: OpElement>(
        &self,
        inputs: &[View<'a, T>],
        lengths: &'a [usize],
        direction: usize,
    ) -> Operands<'a, T> {
        let (x, w, r) = (inputs[0], inputs[1], inputs[2]);
        let peepholes = self.positions().peepholes.map(|position| inputs[position]);
        let extents = self.extents(x.shape, r.shape);
        let Extents { inputs, hidden, .. } = extents;
        let reversed = self.direction.reversed();
        Operands {
            order: Order {
                extents,
                direction,
                directions: reversed.len(),
                reversed: reversed[direction],
                lengths,
            },
            gates: C::GATES * hidden,
            x: x.data,
            weight: row(w.data, direction, C::GATES * hidden * inputs),
            recurrent: row(r.data, direction, C::GATES * hidden * hidden),
            peepholes: match peepholes {
                Some(peepholes) => row(peepholes.data, direction, 3 * hidden),
                None => &[],
            },
        }
    }

    /// How many steps of each sample there are; empty where all are.
    pub(super) fn lengths<T: OpElement>(
        &self,
        inputs: &[View<'_, T>],
    ) -> Result<Vec<usize>, OpError> {
        let Some(position) = self.positions().lengths else {
            return Ok(Vec::new());
        };
        let time = self.extents(inputs[0].shape, inputs[2].shape).time;
        let lengths = inputs[position].data.iter().enumerate();
        lengths
            .map(|(sample, length)| {
                let length = length.to_f64();
                if (0.0..=time as f64).contains(&length) && length.fract() == 0.0 {
                    return Ok(length as usize);
                }
                Err(OpError::Value {
                    what: format!(
                        "the length of sample {sample} is {length}, expected a whole number up \
                         to {time}"
                    ),
                })
            })
            .collect()
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
    pub(super) fn state_biases(&self, gates: usize) -> usize {
        if self.cell.adds_hidden_bias() {
            gates / C::GATES * (C::GATES - 1)
        } else {
            gates
        }
    }

    /// Calls `work` with the weights laid out for all steps of a pass.
    pub(super) fn with_weights<T: OpElement, A>(
        &self,
        operands: Operands<'_, T>,
        bias: Option<&[T]>,
        pass: Pass,
        work: impl FnOnce(Weights<'_, T>) -> A,
    ) -> A {
        let (gates, hidden) = (operands.gates, operands.order.extents.hidden);
        let together = if C::LAST_GATE_APART {
            gates - hidden
        } else {
            gates
        };
        let (first, last) = operands.recurrent.split_at(together * hidden);
        let matrix = |data, rows| match pass {
            Pass::Forward => Matrix::new(data, rows, hidden).transposed(),
            Pass::Back => Matrix::new(data, rows, hidden),
        };
        let len = |rows| match pass {
            Pass::Forward => packed_len::<T>(hidden, rows),
            Pass::Back => packed_len::<T>(rows, hidden),
        };
        let lens = [len(together), len(gates - together)];
        T::with_scratch(lens[0] + lens[1], |scratch| {
            let (of_first, of_last) = scratch.split_at_mut(lens[0]);
            let own = gates + self.state_biases(gates);
            work(Weights {
                gates: Packed::new(matrix(first, together), of_first),
                last: Packed::new(matrix(last, gates - together), of_last),
                hidden_bias: bias.map_or(&[], |bias| &bias[own..]),
                peepholes: operands.peepholes,
                hidden,
            })
        })
    }

    /// Walks a part over time.
    fn walk<T: OpElement>(&self, weights: Weights<'_, T>, order: Order<'_>, part: Forward<'_, T>) {
        let Forward { first, rows, .. } = part;
        let len = rows * weights.hidden;
        let (mut h, mut c, mut aside) = (part.h, part.c, part.aside);
        let mut h_before = &*take(&mut h, len);
        let mut c_before: &[T] = if C::HAS_CELL_STATE {
            take(&mut c, len)
        } else {
            &[]
        };
        for (step, u) in part.u.chunks_exact_mut(C::GATES * len).enumerate() {
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
            for sample in (0..rows).filter(|sample| !order.is_step(first + sample, step)) {
                for (now, before) in [(&mut *h_now, h_before), (&mut *c_now, c_before)] {
                    if !now.is_empty() {
                        let before = row(before, sample, weights.hidden);
                        row_mut(now, sample, weights.hidden).copy_from_slice(before);
                    }
                }
            }
            (h_before, c_before) = (h_now, c_now);
        }
    }
}

/// Copies the rows of x in the order of the inside; zeros beyond the end of a sample, whatever
/// stands there.
pub(super) fn gather<T: OpElement>(operands: Operands<'_, T>, to: &mut [T]) {
    let len = operands.order.extents.inputs;
    operands.order.for_inputs(|inside, outside, is_step| {
        let to = row_mut(to, inside, len);
        if is_step {
            to.copy_from_slice(row(operands.x, outside, len));
        } else {
            to.fill(T::zero());
        }
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
        let lengths = self.lengths(inputs)?;
        let (visible, kept) = outputs.split_at_mut(self.first_kept());
        for direction in 0..self.direction.reversed().len() {
            let operands = self.operands(inputs, &lengths, direction);
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
                    first: samples.start,
                    rows,
                    u: take(&mut rest.0, C::GATES * steps),
                    h: take(&mut rest.1, states),
                    c: take(&mut rest.2, if C::HAS_CELL_STATE { states } else { 0 }),
                    aside: take(&mut rest.3, if C::KEEPS_ASIDE { steps } else { 0 }),
                }
            });
            let cut = cut.collect();
            self.with_weights(operands, bias, Pass::Forward, |weights| {
                for_parts(context.parallel, cut, &|part| {
                    self.walk(weights, order, part);
                });
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
        let exponents = self.vjp_apart(context, saved, cotangents, gradients)?;
        let written = gradients.iter_mut().enumerate();
        let mut written: Vec<(&mut [T], i64)> = written
            .filter_map(|(input, gradient)| {
                Some((&mut *gradient.as_mut()?.data, exponents.of(input)))
            })
            .collect();
        let mut arrays: Vec<(&mut [T], &mut i64)> = written
            .iter_mut()
            .map(|(data, exponent)| (&mut **data, exponent))
            .collect();
        Ok(scaled::align(&mut arrays))
    }

    fn vjp_apart(
        &self,
        context: &Context,
        saved: Saved<'_, T>,
        cotangents: &[Option<View<'_, T>>],
        gradients: &mut [Option<ViewMut<'_, T>>],
    ) -> Result<InputExponents, OpError> {
        self.pull_back(context, saved, cotangents, gradients, None)
    }

    fn vjp_over_time(
        &self,
        context: &Context,
        saved: Saved<'_, T>,
        cotangents: &[Option<View<'_, T>>],
        gradients: &mut [Option<ViewMut<'_, T>>],
    ) -> Result<(InputExponents, Vec<OverTime>), OpError> {
        let mut seen = Vec::new();
        let exponents = self.pull_back(context, saved, cotangents, gradients, Some(&mut seen))?;
        Ok((exponents, seen))
    }
}

impl<C: Cell> Recurrent<C> {
    /// The gradients, and by direction what is seen over time where somebody watches.
    fn pull_back<T: OpElement>(
        &self,
        context: &Context,
        saved: Saved<'_, T>,
        cotangents: &[Option<View<'_, T>>],
        gradients: &mut [Option<ViewMut<'_, T>>],
        mut seen: Option<&mut Vec<OverTime>>,
    ) -> Result<InputExponents, OpError> {
        let lengths = self.lengths(saved.inputs)?;
        if let Some(position) = self.positions().lengths
            && let Some(gradient) = &mut gradients[position]
        {
            gradient.data.fill(T::zero());
        }
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
                let operands = self.operands(saved.inputs, &lengths, direction);
                let watched = seen.is_some();
                let (found, over_time) =
                    self.through_time(context, saved, operands, cotangents, scratch, watched);
                exponents.push(found);
                if let (Some(seen), Some(over_time)) = (&mut seen, over_time) {
                    seen.push(over_time);
                }
            }
            let [of_steps, of_states] = align(extents, &each, &mut exponents, scratch);
            let pulled = scratch.chunks_exact(per_direction).enumerate();
            for (direction, pulled) in pulled {
                let operands = self.operands(saved.inputs, &lengths, direction);
                self.gradients(context, saved, operands, pulled, gradients);
            }
            let Positions {
                initial_h,
                initial_c,
                ..
            } = self.positions();
            let states = [initial_h, initial_c].into_iter().flatten();
            Ok(InputExponents {
                common: of_steps,
                apart: states.map(|input| (input, of_states)).collect(),
            })
        })
    }
}

/// Copies the states after every step to Y, and the last ones to the final state.
fn write_states<T: OpElement>(
    order: Order<'_>,
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
                    let to = row_mut(all, order.output_row(sample, step), hidden);
                    if order.is_step(sample, step) {
                        to.copy_from_slice(from);
                    } else {
                        to.fill(T::zero());
                    }
                }
                if step + 1 == time {
                    row_mut(last, order.state_row(sample), hidden).copy_from_slice(from);
                }
            }
        }
    }
}

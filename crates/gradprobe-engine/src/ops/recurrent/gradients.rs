//! From the cotangents of all pre-activations to the gradients of the inputs: one product over all
//! steps each.

use super::kernel::{Operands, gather};
use super::options::{Extents, Recurrent};
use super::order::{parts, row, row_mut};
use super::through_time::Kept;
use super::{Cell, Factor, LastGate};
use crate::num::ViewMut;
use crate::num::linalg::{Matrix, MatrixMut};
use crate::num::sum::column_sums;
use crate::ops::{Context, OpElement, Saved};

impl<C: Cell> Recurrent<C> {
    /// The gradients that one direction contributes, from what `through_time` wrote.
    pub(super) fn gradients<T: OpElement>(
        &self,
        context: &Context,
        saved: Saved<'_, T>,
        operands: Operands<'_, T>,
        pulled: &[T],
        gradients: &mut [Option<ViewMut<'_, T>>],
    ) {
        let (order, gates) = (operands.order, operands.gates);
        let direction = order.direction;
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
                order.for_inputs(|inside, outside, is_step| {
                    let to = row_mut(gradient.data, outside, inputs);
                    let from = row(dx, inside, inputs);
                    if direction == 0 && is_step {
                        to.copy_from_slice(from);
                    } else if direction == 0 {
                        to.fill(T::zero());
                    } else if is_step {
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
        if let Some(peepholes) = positions.peepholes
            && let Some(gradient) = &mut gradients[peepholes]
        {
            let kept = Kept::new::<C>(&saved.outputs[self.first_kept()..], direction);
            let gradient = row_mut(gradient.data, direction, 3 * hidden);
            peephole_gradient(order.extents, kept.c, du, gates, gradient);
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
        let plain = if last == LastGate::PLAIN {
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

/// ∂P: the cotangents of u by the cell state that the gate saw: i and f that before the step, o
/// that after it.
fn peephole_gradient<T: OpElement>(
    extents: Extents,
    cells: &[T],
    du: &[T],
    gates: usize,
    gradient: &mut [T],
) {
    let Extents {
        hidden,
        time,
        batch,
        ..
    } = extents;
    gradient.fill(T::zero());
    for samples in parts(batch) {
        let (first, rows) = (samples.start, samples.len());
        let cells = &cells[first * (time + 1) * hidden..];
        let du = &du[first * time * gates..][..rows * time * gates];
        for (index, du) in du.chunks_exact(gates).enumerate() {
            let seen = [index, index + rows, index].map(|index| row(cells, index, hidden));
            let gates = du.chunks_exact(hidden).zip(seen);
            for ((du, cell), gradient) in gates.zip(gradient.chunks_exact_mut(hidden)) {
                for ((gradient, &du), &cell) in gradient.iter_mut().zip(du).zip(cell) {
                    *gradient += du * cell;
                }
            }
        }
    }
}

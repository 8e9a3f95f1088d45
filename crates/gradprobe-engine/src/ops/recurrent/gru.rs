//! The gated recurrent unit.

use super::units::over_units;
use super::{Cell, CellAttributes, Factor, LastGate, Step, StepBack, Weights};
use crate::num::linalg::{Matrix, MatrixMut};
use crate::ops::{OpElement, OpError};

/// With the gates in ONNX's order z, r, h:
/// h_t = (1 − σ(u_z))·tanh(u_h) + σ(u_z)·h_{t−1}, where the state enters u_h as
/// R_h·(σ(u_r)·h_{t−1}) + b, or with `linear_before_reset` as σ(u_r)·(R_h·h_{t−1} + b), as in
/// PyTorch and cuDNN.
///
/// Pull-back: ∂u_h = ∂h·σ(−u_z)·sech²(u_h), ∂u_z = ∂h·(h_{t−1} − tanh(u_h))·σ′(u_z),
/// ∂u_r = (what the reset gate scaled)·(its cotangent)·σ′(u_r), and ∂h_{t−1} is the sum of the
/// four ways back; σ′(u) = σ(u)σ(−u) and 1 − σ(u) = σ(−u).
///
/// Keeps aside what the reset gate multiplies, R_h·h_{t−1} + b, or else σ(u_r)·h_{t−1}.
#[derive(Clone, Copy, Debug, Default)]
pub struct GruCell {
    /// Does the reset gate act after the recurrent product?
    pub linear_before_reset: bool,
}

impl Cell for GruCell {
    const NAME: &'static str = "GRU";
    const GATES: usize = 3;
    const KEEPS_ASIDE: bool = true;
    const LAST_GATE_APART: bool = true;

    fn read(reader: &mut CellAttributes<'_, '_>) -> Result<Self, OpError> {
        let linear_before_reset = reader.0.flag("linear_before_reset", false)?;
        Ok(Self {
            linear_before_reset,
        })
    }

    fn adds_hidden_bias(&self) -> bool {
        self.linear_before_reset
    }

    fn last_gate(&self) -> LastGate {
        if self.linear_before_reset {
            LastGate {
                from_aside: true,
                by: Factor::State,
            }
        } else {
            LastGate {
                from_aside: false,
                by: Factor::Aside,
            }
        }
    }

    fn forward<T: OpElement>(&self, weights: Weights<'_, T>, step: Step<'_, T>) {
        let (hidden, rows) = (weights.hidden, step.rows);
        let before = Matrix::new(step.h_before, rows, hidden);
        T::matmul_packed(
            MatrixMut::with_row_stride(step.u, rows, 2 * hidden, 3 * hidden),
            before,
            weights.gates,
            true,
        );
        if self.linear_before_reset {
            let biased = !weights.hidden_bias.is_empty();
            if biased {
                for row in step.aside.chunks_exact_mut(hidden) {
                    row.copy_from_slice(weights.hidden_bias);
                }
            }
            let aside = MatrixMut::new(step.aside, rows, hidden);
            T::matmul_packed(aside, before, weights.last, biased);
            for (u, q) in pairs(step.u, step.aside, hidden) {
                let (r, u_h) = u[hidden..].split_at_mut(hidden);
                over_units!(hidden, [q, r], [u_h], |k| {
                    u_h[k] += r[k].sigmoid() * q[k];
                });
            }
        } else {
            let states = step.h_before.chunks_exact(hidden);
            for ((u, a), h_before) in pairs(step.u, step.aside, hidden).zip(states) {
                let r = &u[hidden..][..hidden];
                over_units!(hidden, [h_before, r], [a], |k| {
                    a[k] = r[k].sigmoid() * h_before[k];
                });
            }
            T::matmul_packed(
                MatrixMut::with_row_stride(&mut step.u[2 * hidden..], rows, hidden, 3 * hidden),
                Matrix::new(step.aside, rows, hidden),
                weights.last,
                true,
            );
        }
        let states = step.h_before.chunks_exact(hidden);
        for ((u, h), h_before) in pairs(step.u, step.h, hidden).zip(states) {
            let (z, u_h) = (&u[..hidden], &u[2 * hidden..][..hidden]);
            over_units!(hidden, [h_before, u_h, z], [h], |k| {
                let new = (-z[k]).sigmoid() * u_h[k].tanh();
                h[k] = new + z[k].sigmoid() * h_before[k];
            });
        }
    }

    fn pull_back<T: OpElement>(&self, weights: Weights<'_, T>, step: StepBack<'_, T>) {
        let (hidden, rows) = (weights.hidden, step.rows);
        for row in 0..rows {
            let u = &step.u[row * 3 * hidden..][..3 * hidden];
            let (z, u_h) = (&u[..hidden], &u[2 * hidden..][..hidden]);
            let du = &mut step.du[row * 3 * hidden..][..3 * hidden];
            let (du_z, rest) = du.split_at_mut(hidden);
            let du_h = &mut rest[hidden..][..hidden];
            let dh = &mut step.dh[row * hidden..][..hidden];
            let h_before = &step.h_before[row * hidden..][..hidden];
            over_units!(hidden, [h_before, u_h, z], [dh, du_h, du_z], |k| {
                let (new, slope) = u_h[k].tanh_sech_squared();
                let (kept, renewed) = (z[k].sigmoid(), (-z[k]).sigmoid());
                du_h[k] = dh[k] * renewed * slope;
                du_z[k] = dh[k] * (h_before[k] - new) * (kept * renewed);
                dh[k] *= kept;
            });
        }
        if !self.linear_before_reset {
            T::matmul_packed(
                MatrixMut::new(step.d_aside, rows, hidden),
                Matrix::with_row_stride(&step.du[2 * hidden..], rows, hidden, 3 * hidden),
                weights.last,
                false,
            );
        }
        for row in 0..rows {
            let r = &step.u[row * 3 * hidden + hidden..][..hidden];
            let (du_r, du_h) =
                step.du[row * 3 * hidden + hidden..][..2 * hidden].split_at_mut(hidden);
            let at = row * hidden;
            let d_aside = &mut step.d_aside[at..][..hidden];
            let dh = &mut step.dh[at..][..hidden];
            let (aside, h_before) = (&step.aside[at..][..hidden], &step.h_before[at..][..hidden]);
            if self.linear_before_reset {
                over_units!(hidden, [aside, du_h, r], [d_aside, du_r], |k| {
                    let open = r[k].sigmoid();
                    du_r[k] = du_h[k] * aside[k] * (open * (-r[k]).sigmoid());
                    d_aside[k] = du_h[k] * open;
                });
            } else {
                over_units!(hidden, [d_aside, h_before, r], [dh, du_r], |k| {
                    let open = r[k].sigmoid();
                    du_r[k] = d_aside[k] * h_before[k] * (open * (-r[k]).sigmoid());
                    dh[k] += d_aside[k] * open;
                });
            }
        }
        T::matmul_packed(
            MatrixMut::new(step.dh, rows, hidden),
            Matrix::with_row_stride(step.du, rows, 2 * hidden, 3 * hidden),
            weights.gates,
            true,
        );
        if self.linear_before_reset {
            T::matmul_packed(
                MatrixMut::new(step.dh, rows, hidden),
                Matrix::new(step.d_aside, rows, hidden),
                weights.last,
                true,
            );
        }
    }
}

/// The pre-activations of every sample with a row of `hidden` numbers.
fn pairs<'a, T>(
    u: &'a mut [T],
    rows: &'a mut [T],
    hidden: usize,
) -> impl Iterator<Item = (&'a mut [T], &'a mut [T])> {
    u.chunks_exact_mut(3 * hidden)
        .zip(rows.chunks_exact_mut(hidden))
}

//! Long short-term memory.

use super::units::over_units;
use super::{Cell, CellAttributes, Step, StepBack, Weights};
use crate::num::linalg::{Matrix, MatrixMut};
use crate::ops::{OpElement, OpError};

/// With the gates in ONNX's order i, o, f, c:
/// c_t = σ(u_f)·c_{t−1} + σ(u_i)·tanh(u_c), h_t = σ(u_o)·tanh(c_t). With peepholes P (Gers and
/// Schmidhuber 2000) P_i·c_{t−1} is added to u_i, P_f·c_{t−1} to u_f and P_o·c_t to u_o.
///
/// Pull-back: ∂u_o = ∂h·tanh(c)·σ′(u_o), ∂c += ∂h·σ(u_o)·sech²(c), ∂u_i = ∂c·tanh(u_c)·σ′(u_i),
/// ∂u_f = ∂c·c_{t−1}·σ′(u_f), ∂u_c = ∂c·σ(u_i)·sech²(u_c), ∂c_{t−1} = ∂c·σ(u_f), and
/// ∂h_{t−1} = Rᵀ·∂u, where σ′(u) = σ(u)σ(−u). With peepholes ∂c += P_o·∂u_o, and then
/// ∂c_{t−1} += P_i·∂u_i + P_f·∂u_f.
#[derive(Clone, Copy, Debug, Default)]
pub struct LstmCell;

impl Cell for LstmCell {
    const NAME: &'static str = "LSTM";
    const GATES: usize = 4;
    const HAS_CELL_STATE: bool = true;

    fn read(_reader: &mut CellAttributes<'_, '_>) -> Result<Self, OpError> {
        Ok(Self)
    }

    fn forward<T: OpElement>(&self, weights: Weights<'_, T>, step: Step<'_, T>) {
        let hidden = weights.hidden;
        T::matmul_packed(
            MatrixMut::new(step.u, step.rows, 4 * hidden),
            Matrix::new(step.h_before, step.rows, hidden),
            weights.gates,
            true,
        );
        let states = step
            .h
            .chunks_exact_mut(hidden)
            .zip(step.c.chunks_exact_mut(hidden))
            .zip(step.c_before.chunks_exact(hidden));
        for (u, ((h, c), c_before)) in step.u.chunks_exact_mut(4 * hidden).zip(states) {
            if let Some([of_i, _, of_f]) = peepholes(weights) {
                see(&mut u[..hidden], of_i, c_before);
                see(&mut u[2 * hidden..][..hidden], of_f, c_before);
            }
            let [i, _, f, g] = gates(u, hidden);
            over_units!(hidden, [c_before, f, g, i], [c], |k| {
                let kept = f[k].sigmoid() * c_before[k];
                c[k] = kept + i[k].sigmoid() * g[k].tanh();
            });
            let c = &*c;
            if let Some([_, of_o, _]) = peepholes(weights) {
                see(&mut u[hidden..][..hidden], of_o, c);
            }
            let o = &u[hidden..][..hidden];
            over_units!(hidden, [c, o], [h], |k| {
                h[k] = o[k].sigmoid() * c[k].tanh();
            });
        }
    }

    fn pull_back<T: OpElement>(&self, weights: Weights<'_, T>, step: StepBack<'_, T>) {
        let hidden = weights.hidden;
        for row in 0..step.rows {
            let [i, o, f, g] = gates(&step.u[row * 4 * hidden..][..4 * hidden], hidden);
            let du = &mut step.du[row * 4 * hidden..][..4 * hidden];
            let (du_i, rest) = du.split_at_mut(hidden);
            let (du_o, rest) = rest.split_at_mut(hidden);
            let (du_f, du_g) = rest.split_at_mut(hidden);
            let du_g = &mut du_g[..hidden];
            let at = row * hidden;
            let dh = &step.dh[at..][..hidden];
            let dc = &mut step.dc[at..][..hidden];
            let (c, c_before) = (&step.c[at..][..hidden], &step.c_before[at..][..hidden]);
            over_units!(hidden, [c, dh, o], [dc, du_o], |k| {
                let (t, slope) = c[k].tanh_sech_squared();
                let open = o[k].sigmoid();
                du_o[k] = dh[k] * t * (open * (-o[k]).sigmoid());
                dc[k] += dh[k] * open * slope;
            });
            if let Some([_, of_o, _]) = peepholes(weights) {
                see(dc, of_o, du_o);
            }
            over_units!(hidden, [dc, g, i], [du_g, du_i], |k| {
                let (t, slope) = g[k].tanh_sech_squared();
                let into = i[k].sigmoid();
                du_i[k] = dc[k] * t * (into * (-i[k]).sigmoid());
                du_g[k] = dc[k] * into * slope;
            });
            over_units!(hidden, [c_before, f], [dc, du_f], |k| {
                let kept = f[k].sigmoid();
                du_f[k] = dc[k] * c_before[k] * (kept * (-f[k]).sigmoid());
                dc[k] *= kept;
            });
            if let Some([of_i, _, of_f]) = peepholes(weights) {
                see(dc, of_i, du_i);
                see(dc, of_f, du_f);
            }
        }
        T::matmul_packed(
            MatrixMut::new(step.dh, step.rows, hidden),
            Matrix::new(step.du, step.rows, 4 * hidden),
            weights.gates,
            false,
        );
    }
}

/// The peepholes of the gates i, o and f, if there are any.
fn peepholes<T>(weights: Weights<'_, T>) -> Option<[&[T]; 3]> {
    let all = weights.peepholes;
    let gate = |gate: usize| &all[gate * weights.hidden..][..weights.hidden];
    (!all.is_empty()).then(|| [0, 1, 2].map(gate))
}

/// to += by · what.
fn see<T: OpElement>(to: &mut [T], by: &[T], what: &[T]) {
    for ((to, &by), &what) in to.iter_mut().zip(by).zip(what) {
        *to += by * what;
    }
}

/// The pre-activations of a sample by gate.
fn gates<T>(u: &[T], hidden: usize) -> [&[T]; 4] {
    std::array::from_fn(|gate| &u[gate * hidden..][..hidden])
}

//! The plain recurrent cell.

use super::units::over_units;
use super::{Cell, CellAttributes, Step, StepBack, Weights};
use crate::num::linalg::{Matrix, MatrixMut};
use crate::ops::{OpElement, OpError};

/// The nonlinearity of a plain recurrent cell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RnnActivation {
    /// tanh.
    #[default]
    Tanh,
    /// max(0, ·).
    Relu,
}

/// u = W·x_t + R·h_{t−1} + b, h_t = φ(u).
///
/// Pull-back: ∂u = ∂h·φ′(u), ∂h_{t−1} = Rᵀ·∂u.
#[derive(Clone, Copy, Debug, Default)]
pub struct RnnCell {
    /// φ.
    pub activation: RnnActivation,
}

impl Cell for RnnCell {
    const NAME: &'static str = "RNN";
    const GATES: usize = 1;

    fn read(reader: &mut CellAttributes<'_, '_>) -> Result<Self, OpError> {
        let activation = match reader.0.text("activation", "tanh")? {
            "tanh" | "Tanh" => RnnActivation::Tanh,
            "relu" | "Relu" => RnnActivation::Relu,
            other => {
                return Err(OpError::Attribute {
                    name: "activation",
                    expected: "tanh or relu".into(),
                    got: format!("{other:?}"),
                });
            }
        };
        Ok(Self { activation })
    }

    fn forward<T: OpElement>(&self, weights: Weights<'_, T>, step: Step<'_, T>) {
        let hidden = weights.hidden;
        T::matmul_packed(
            MatrixMut::new(step.u, step.rows, hidden),
            Matrix::new(step.h_before, step.rows, hidden),
            weights.gates,
            true,
        );
        let (u, h) = (&*step.u, step.h);
        let units = step.rows * hidden;
        match self.activation {
            RnnActivation::Tanh => over_units!(units, [u], [h], |k| {
                h[k] = u[k].tanh();
            }),
            RnnActivation::Relu => over_units!(units, [u], [h], |k| {
                h[k] = u[k].maximum(T::zero());
            }),
        }
    }

    fn pull_back<T: OpElement>(&self, weights: Weights<'_, T>, step: StepBack<'_, T>) {
        let hidden = weights.hidden;
        let StepBack { u, dh, du, .. } = step;
        let (units, arrived) = (step.rows * hidden, &*dh);
        match self.activation {
            RnnActivation::Tanh => over_units!(units, [arrived, u], [du], |k| {
                du[k] = arrived[k] * u[k].sech_squared();
            }),
            RnnActivation::Relu => over_units!(units, [arrived, u], [du], |k| {
                // Selected, and not multiplied by a mask: 0 × ∞ would leak out of a unit at rest.
                du[k] = T::select(u[k] <= T::zero(), T::zero(), arrived[k]);
            }),
        }
        T::matmul_packed(
            MatrixMut::new(dh, step.rows, hidden),
            Matrix::new(du, step.rows, hidden),
            weights.gates,
            false,
        );
    }
}

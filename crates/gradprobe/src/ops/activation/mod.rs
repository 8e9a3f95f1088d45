//! Activations: each written once, read by the engine, the exact chain, the theory and the docs.
//!
//! To add one: a struct with [`Formula`] in its family's file, and a row in the registry.

use crate::num::Real;
use std::fmt::Debug;

/// An activation as it is written: over any [`Real`], so that one text serves f32, f64 (where it
/// vectorises) and the exact chain.
pub trait Formula: Debug + Clone + Send + Sync + 'static {
    /// φ(x).
    fn value<R: Real>(&self, x: R) -> R;
    /// φ′(x), stable: no subtraction of numbers that become equal in the tails. At a kink it is
    /// PyTorch's choice.
    fn derivative<R: Real>(&self, x: R) -> R;
    /// φ′ as a framework's autograd computes it from x and y = φ(x), e.g. 1 − y² for tanh: only to
    /// *show* what it loses. The default is the stable one.
    fn framework_derivative<R: Real>(&self, x: R, _y: R) -> R {
        self.derivative(x)
    }
}

/// An activation behind a pointer, with its parameters.
pub trait Activation: Debug + Send + Sync {
    /// Its name as a user types it, e.g. `leaky-relu`.
    fn name(&self) -> &'static str;
}

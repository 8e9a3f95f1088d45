//! Activations: each written once, read by the engine, the exact chain, the theory and the docs.
//!
//! | file | its one subject |
//! |---|---|
//! | `formula.rs` | what an activation is made of: [`Formula`], [`About`] |
//! | `erased.rs` | the same behind a pointer: [`Activation`], and its slice kernels: [`ActivationKernel`] |
//! | `facts.rs` | what rules ask of one: where it saturates, is it linear, a rectifier, the same as another |
//! | `registry.rs` | one row an activation; [`parse`] |
//! | `expression/` | activations that a user writes: [`Expression`] |
//! | `op.rs` | the engine's elementwise op: [`ActivationOp`] |
//! | the others | the families, value and derivative side by side |
//!
//! To add one: a struct with [`Formula`] in its family's file, and a row in the registry. The
//! tests (central differences, the golden tables of `testdata/`) then demand its values.

mod erased;
mod exponential;
mod expression;
mod facts;
mod formula;
mod gated;
mod log_derivative;
mod op;
mod piecewise;
mod rectified;
mod registry;
mod shrink;
mod sigmoidal;
#[cfg(test)]
mod tests;
mod vectors;
mod waves;

pub use erased::{Activation, ActivationElement, ActivationFormula, ActivationKernel};
pub use exponential::Exponential;
pub use expression::{Expression, ExpressionError};
pub use facts::recognised;
pub use formula::{About, Formula, Parameter};
pub use gated::{Gelu, GeluTanh, Mish, Silu};
pub use log_derivative::LogDerivative;
pub use op::ActivationOp;
pub use piecewise::{HardSigmoid, HardSwish, HardTanh, Relu6};
pub use rectified::{
    Celu, Elu, Identity, LeakyRelu, LogSigmoid, ParametricRelu, Relu, Selu, Softplus,
};
pub use registry::{ActivationEntry, ActivationError, parse, registry};
pub use shrink::{HardShrink, SoftShrink, TanhShrink};
pub use sigmoidal::{Arctan, Erf, Sigmoid, Softsign, Tanh};
pub use waves::{Gaussian, Sine};

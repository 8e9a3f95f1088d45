//! What the taps add up to, per layer: decades of signal, gains by cause, parameters' gradients.
//!
//! A [`RunMeasurement`] is one run's; a [`Measurement`] is the median and range over several
//! seeds, and the only thing that the diagnosis reads.

mod aggregate;
mod beside_theory;
mod jacobian;
mod layers;
pub mod precision;
mod schema;
mod spectrum;
mod spine;

pub use aggregate::aggregate;
pub use beside_theory::{BesideTheory, Deviation, TheoryLayer, TheoryStretch, beside_theory};
pub use jacobian::{
    JacobianError, JacobianOptions, JacobianRun, Jacobians, LayerJacobian, jacobian,
};
pub use layers::measure;
pub use schema::{
    Gains, LayerMeasurement, LayerRun, Measurement, Optimiser, ParameterRun, RunMeasurement,
    Signal, Spread,
};
pub use spectrum::Spectrum;

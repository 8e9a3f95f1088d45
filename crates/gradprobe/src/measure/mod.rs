//! What the taps add up to, per layer: decades of signal, gains by cause, parameters' gradients.
//!
//! A [`RunMeasurement`] is one run's; a [`Measurement`] is the median and range over several
//! seeds, and the only thing that the diagnosis reads.

mod activation;
mod aggregate;
mod batches;
mod beside_theory;
mod first_step;
mod head;
mod jacobian;
mod jacobian_theory;
mod layers;
mod lookup;
mod numbers;
mod optimiser;
mod origins;
mod over_time;
mod paths;
pub mod precision;
mod probe;
mod samples;
mod schema;
mod spectrum;
mod spine;
mod twins;
mod units;

pub use aggregate::{aggregate, spread};
pub use batches::{Batches, BatchesProbe, LayerBatches};
pub use beside_theory::{
    BesideTheory, Deviation, MAY_BE_TRAINED, TheoryLayer, TheoryStretch, beside_theory,
};
pub use first_step::{FirstStep, updated};
pub use head::HeadRun;
pub use jacobian::{
    JacobianError, JacobianOptions, JacobianRun, Jacobians, LayerJacobian, jacobian,
};
pub use jacobian_theory::SpectrumTheory;
pub use layers::measure;
pub use optimiser::Optimiser;
pub use over_time::RecurrenceRun;
pub use probe::Probe;
pub use schema::{
    Gains, InputRun, LayerMeasurement, LayerRun, Measurement, NonFiniteInput, NonFiniteOrigin,
    OutputRun, ParameterRun, PathShare, RunMeasurement, Signal, Spread, ZeroOrigin,
};
pub use spectrum::Spectrum;

//! Mean-field signal propagation in fully connected networks (Poole et al. 2016; Schoenholz et al.
//! 2017): what happens to a signal and its gradient in a wide network with random weights.
//!
//! W_ij ~ N(0, σ_w²/fan_in), b_i ~ N(0, σ_b²), u = W h + b, h = φ(u). In a wide network every u is
//! normal; q is its variance, c the correlation of two inputs' u.
//!
//! | file | its one subject |
//! |---|---|
//! | `variances.rs` | σ_w² and σ_b², each a type of its own: papers mix them with σ_w and σ_b |
//! | `moments.rs` | the expectations of φ and φ′ over a normal pre-activation |
//! | `maps.rs` | the length map and the correlation map, χ1 and χ∥ |
//! | `fixed_point.rs` | where the length map rests, and whether it stays there |
//! | `correlation.rs` | where the correlation map rests |
//! | `critical.rs` | the edge of chaos, the half-stable point, the class of an activation |
//! | `prediction.rs` | all of it for one network: [`predict`] |

mod correlation;
mod critical;
mod fixed_point;
mod maps;
mod moments;
mod prediction;
#[cfg(test)]
mod tests;
mod variances;

pub use correlation::CorrelationPoint;
pub use critical::{
    CriticalPoint, Criticality, HalfStable, NoCriticalPoint, UniversalityClass, criticality,
    edge_of_chaos,
};
pub use fixed_point::{FixedPoint, FixedPoints, LengthLimit, Stability};
pub use maps::{CRITICAL, MeanField, depth_scale};
pub use moments::Moments;
pub use prediction::{Prediction, predict};
pub use variances::{BiasVariance, WeightVariance};

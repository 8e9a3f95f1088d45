//! Normalisations: y = γ·x̂ + β with x̂ = (x − mean)/σ over some group of elements.
//!
//! The mean is computed in two passes (the second corrects the first), the variance about it: no
//! E\[x²\] − E\[x\]², which cancels when |mean| ≫ σ.

mod batch;
mod group;
mod layer;
mod response;
mod rms;

pub use batch::BatchNorm;
pub use group::{GroupNorm, InstanceNorm};
pub use layer::LayerNorm;
pub use response::LocalResponseNorm;
pub use rms::RmsNorm;

use super::OpError;

/// Refuses an ε that is negative or not finite.
fn check_epsilon(epsilon: f64) -> Result<(), OpError> {
    if epsilon >= 0.0 && epsilon.is_finite() {
        return Ok(());
    }
    Err(OpError::Attribute {
        name: "epsilon",
        expected: "a number of at least 0".into(),
        got: epsilon.to_string(),
    })
}

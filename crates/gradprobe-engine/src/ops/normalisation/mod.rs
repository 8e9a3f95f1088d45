//! Normalisations: y = γ·x̂ + β with x̂ = (x − mean)/σ over some group of elements.
//!
//! The mean is computed in two passes (the second corrects the first), the variance about it: no
//! E\[x²\] − E\[x\]², which cancels when |mean| ≫ σ.

mod batch;
mod channels;
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
use super::shapes::{expect_shape, misfit, resolve_axis};
use crate::num::Shape;

/// The axes of `x` before and from `axis` on, over which it is normalised and scaled.
fn normalised_axes<'a>(
    x: &'a Shape,
    axis: i64,
    scale: &Shape,
) -> Result<(&'a [usize], &'a [usize]), OpError> {
    let (leading, normalised) = x.split_at(resolve_axis("axis", axis, x.len())?);
    if normalised.contains(&0) {
        return Err(misfit("input", "at least one element to normalise", x));
    }
    expect_shape("the scale", normalised, scale)?;
    Ok((leading, normalised))
}

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

//! All that mean field says of one network.

use super::correlation::CorrelationPoint;
use super::critical::{Criticality, criticality};
use super::fixed_point::LengthLimit;
use super::maps::{MeanField, depth_scale};
use super::variances::{BiasVariance, WeightVariance};
use crate::ops::activation::Activation;

/// What becomes of a signal in a stretch of layers.
#[derive(Clone, Debug, PartialEq)]
pub struct Prediction {
    /// Where the length goes from that of the first layer.
    pub limit: LengthLimit,
    /// χ1 in that limit: the factor of the squared gradient norm a layer.
    pub chi_1: f64,
    /// χ∥ in that limit; `None` where the length has none.
    pub chi_parallel: Option<f64>,
    /// Where correlations go; `None` where the length goes to 0 or infinity.
    pub correlation: Option<CorrelationPoint>,
    /// The critical points for the same biases: `criticality.recommended` holds the critical gain
    /// σ_w, or why there is none.
    pub criticality: Criticality,
}

impl Prediction {
    /// ξ_∇ = −1/ln χ1: layers over which the squared gradient norm falls by e; negative where it
    /// grows.
    pub fn gradient_depth_scale(&self) -> f64 {
        depth_scale(self.chi_1)
    }

    /// ξ_q = −1/ln χ∥: layers over which a deviation of the length falls by e.
    pub fn length_depth_scale(&self) -> Option<f64> {
        self.chi_parallel.map(depth_scale)
    }

    /// ξ_c: layers over which the correlation's deviation falls by e.
    pub fn correlation_depth_scale(&self) -> Option<f64> {
        self.correlation.map(|point| point.depth_scale())
    }
}

/// What mean field predicts of dense layers of one activation whose weights have the variance
/// σ_w²/fan_in and whose biases σ_b², from a first pre-activation of variance `q`.
///
/// For a rule: `predict(…).chi_1` is the factor of the squared gradient a layer deep in the
/// stretch, `predict(…).criticality.recommended` the gain that would keep it.
pub fn predict(
    activation: &dyn Activation,
    weights: WeightVariance,
    biases: BiasVariance,
    q: f64,
) -> Prediction {
    let network = MeanField::new(activation, weights, biases);
    let limit = network.limit(q);
    let (chi_parallel, correlation) = match limit {
        LengthLimit::FixedPoint(point) => (
            Some(point.chi_parallel),
            (point.q > 0.0).then(|| network.correlation_point(point.q)),
        ),
        LengthLimit::Zero { .. } | LengthLimit::Infinity { .. } => (None, None),
    };
    Prediction {
        chi_1: limit.chi_1(),
        limit,
        chi_parallel,
        correlation,
        criticality: criticality(activation, biases),
    }
}

//! One layer of a wide network, as a map of lengths and of correlations.

use super::moments::Moments;
use super::variances::{BiasVariance, WeightVariance};
use crate::ops::activation::Activation;

/// A wide, fully connected network of one activation, its weights and biases drawn at random.
#[derive(Clone, Debug)]
pub struct MeanField<'a> {
    /// The expectations of its activation.
    pub moments: Moments<'a>,
    /// σ_w².
    pub weights: WeightVariance,
    /// σ_b².
    pub biases: BiasVariance,
}

/// A factor χ within this of 1 is 1: a critical point is known no better, being a root that was
/// searched for, of integrals that were summed.
pub const CRITICAL: f64 = 1e-7;

/// −1/ln χ: the layers over which a deviation that is multiplied by χ a layer falls by e. Negative
/// where it grows, infinite where χ is 1 to within [`CRITICAL`], 0 where χ = 0.
pub fn depth_scale(chi: f64) -> f64 {
    if (chi - 1.0).abs() < CRITICAL {
        return f64::INFINITY;
    }
    -1.0 / libm::log(chi)
}

impl<'a> MeanField<'a> {
    /// A network.
    pub fn new(
        activation: &'a dyn Activation,
        weights: WeightVariance,
        biases: BiasVariance,
    ) -> Self {
        Self {
            moments: Moments::of(activation),
            weights,
            biases,
        }
    }

    /// q′ = σ_w² E φ(√q z)² + σ_b² (Poole et al. 2016, eq. 3).
    pub fn length_map(&self, q: f64) -> f64 {
        self.weights.sigma_w_squared() * self.moments.square(q) + self.biases.sigma_b_squared()
    }

    /// χ1 = σ_w² E φ′(√q z)²: the factor of the **squared** gradient norm a layer at constant
    /// width, and the slope of the correlation map at c = 1 (Schoenholz et al. 2017, eq. 9).
    pub fn chi_1(&self, q: f64) -> f64 {
        self.weights.sigma_w_squared() * self.moments.derivative_square(q)
    }

    /// χ∥ = dq′/dq: the factor of a deviation of q from its fixed point a layer.
    pub fn chi_parallel(&self, q: f64) -> f64 {
        self.weights.sigma_w_squared() * self.moments.square_slope(q)
    }

    /// c′ = (σ_w² E φ(u1) φ(u2) + σ_b²)/q for inputs of the fixed length q (Poole et al. 2016,
    /// eq. 5).
    pub fn correlation_map(&self, q: f64, c: f64) -> f64 {
        let product = self.moments.product(q, c);
        (self.weights.sigma_w_squared() * product + self.biases.sigma_b_squared()) / q
    }

    /// dc′/dc = σ_w² E φ′(u1) φ′(u2).
    pub fn correlation_slope(&self, q: f64, c: f64) -> f64 {
        self.weights.sigma_w_squared() * self.moments.derivative_product(q, c)
    }

    /// q of each layer from that of the first: `depth` values, the first of them `q`.
    pub fn lengths(&self, q: f64, depth: usize) -> impl Iterator<Item = f64> + use<'_, 'a> {
        std::iter::successors(Some(q), |&q| Some(self.length_map(q))).take(depth)
    }
}

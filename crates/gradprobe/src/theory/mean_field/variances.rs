//! σ_w² and σ_b²: variances, not standard deviations, and not each other.

/// σ_w²: fan_in times the variance of a weight. He's is 2, LeCun's 1.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct WeightVariance(f64);

/// σ_b²: the variance of a bias.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct BiasVariance(f64);

impl WeightVariance {
    /// From σ_w², the variance times fan_in.
    pub fn from_sigma_w_squared(variance: f64) -> Self {
        Self(variance)
    }
    /// From σ_w, the standard deviation times √fan_in: the gain of an initialiser.
    pub fn from_sigma_w(gain: f64) -> Self {
        Self(gain * gain)
    }
    /// σ_w².
    pub fn sigma_w_squared(self) -> f64 {
        self.0
    }
    /// σ_w: the gain.
    pub fn sigma_w(self) -> f64 {
        self.0.sqrt()
    }
}

impl BiasVariance {
    /// No bias.
    pub const ZERO: Self = Self(0.0);
    /// From σ_b², the variance.
    pub fn from_sigma_b_squared(variance: f64) -> Self {
        Self(variance)
    }
    /// From σ_b, the standard deviation.
    pub fn from_sigma_b(deviation: f64) -> Self {
        Self(deviation * deviation)
    }
    /// σ_b².
    pub fn sigma_b_squared(self) -> f64 {
        self.0
    }
    /// σ_b.
    pub fn sigma_b(self) -> f64 {
        self.0.sqrt()
    }
}

//! The rates of networks with normalisation and with skip connections: factors of the **squared**
//! gradient norm.

use super::mean_field::{BiasVariance, MeanField, Moments, WeightVariance};
use crate::num::quadrature::integrate;
use crate::ops::activation::Activation;
use std::f64::consts::FRAC_PI_2;

/// The smallest batch with a finite rate.
pub const SMALLEST_BATCH: usize = 4;
const TOLERANCE: f64 = 1e-12;

/// The factor of the squared gradient norm a layer of a wide network of `linear → batch-norm → φ`
/// in training mode, for batches of B ≥ 4 inputs that are not alike (Yang et al. 2019). It does not
/// depend on σ_w. `None` for a smaller batch, whose factor has no mean.
///
/// At the fixed point a unit's batch of normalised pre-activations x̂ is uniform on the sphere of
/// radius √B in the hyperplane Σ x̂ = 0, and the cotangents are isotropic in it. With D = diag φ′(x̂),
/// G = 1 − 11ᵀ/B, P = G − x̂x̂ᵀ/B the factor is B/((a − b)(B − 3)(B − 1)) · E tr P D G D, where a and b
/// are the variance and the covariance of φ(x̂) over the batch. ReLU at B → ∞: π/(π − 1); linear:
/// (B − 2)/(B − 3).
pub fn batch_norm_rate(activation: &dyn Activation, batch: usize) -> Option<f64> {
    if batch < SMALLEST_BATCH {
        return None;
    }
    let sphere = Sphere::new(activation.kinks(), batch as f64);
    let b = batch as f64;
    let value = |x: f64| activation.value(x);
    let slope = |x: f64| activation.derivative(x);
    let variance = sphere.of_one(|x| value(x).powi(2));
    let covariance = sphere.of_two(|x, y| value(x) * value(y));
    let own = sphere.of_one(|x| slope(x).powi(2) * (1.0 - (1.0 + x * x) / b));
    let others = sphere.of_two(|x, y| slope(x) * slope(y) * (1.0 + x * y)) / b;
    Some(b / ((variance - covariance) * (b - 3.0)) * (own + others))
}

/// The same for B → ∞: E φ′²/Var φ over a standard normal.
pub fn batch_norm_rate_of_large_batches(activation: &dyn Activation) -> f64 {
    let moments = Moments::of(activation);
    let mean = moments.mean(1.0);
    moments.derivative_square(1.0) / (moments.square(1.0) - mean * mean)
}

/// The factor a layer of `linear → layer-norm → φ`: the norm puts the pre-activation's variance to
/// 1, so χ = σ_w² E φ′²/(σ_w² E φ² + σ_b²) over a standard normal.
pub fn layer_norm_rate(
    activation: &dyn Activation,
    weights: WeightVariance,
    biases: BiasVariance,
) -> f64 {
    let network = MeanField::new(activation, weights, biases);
    network.chi_1(1.0) / network.length_map(1.0)
}

/// A unit's normalised batch: uniform on the sphere of radius √B in the hyperplane of sum 0.
struct Sphere {
    kinks: Vec<f64>,
    batch: f64,
}

impl Sphere {
    fn new(mut kinks: Vec<f64>, batch: f64) -> Self {
        kinks.push(0.0);
        Self { kinks, batch }
    }

    /// Where an integral over an angle is split, whose density is cos^power: at the density's
    /// widths, and where mean + radius·sin(angle) meets a kink.
    fn breaks(&self, power: f64, mean: f64, radius: f64) -> Vec<f64> {
        let width = 1.0 / (power + 1.0).sqrt();
        let mut breaks = vec![-FRAC_PI_2, 0.0, FRAC_PI_2];
        for times in [1.0, 2.0, 4.0, 8.0] {
            breaks.extend([times * width, -times * width]);
        }
        let at = |kink: &f64| libm::asin((kink - mean) / radius);
        breaks.extend(self.kinks.iter().map(at).filter(|angle| angle.is_finite()));
        breaks.retain(|angle| angle.abs() <= FRAC_PI_2);
        breaks.sort_by(f64::total_cmp);
        breaks.dedup();
        breaks
    }

    /// E f(x̂_1): x̂_1 = √(B−1) sin β with the density cos^(B−3) β.
    fn of_one(&self, f: impl Fn(f64) -> f64) -> f64 {
        let radius = (self.batch - 1.0).sqrt();
        let power = self.batch - 3.0;
        let breaks = self.breaks(power, 0.0, radius);
        average(&breaks, power, TOLERANCE, |angle| f(radius * angle.sin()))
    }

    /// E f(x̂_1, x̂_2): given x̂_1, the rest is uniform on a sphere of one dimension less.
    fn of_two(&self, f: impl Fn(f64, f64) -> f64) -> f64 {
        let radius = (self.batch - 1.0).sqrt();
        let power = self.batch - 3.0;
        let shrink = (1.0 - 1.0 / (self.batch - 1.0).powi(2)).sqrt();
        average(
            &self.breaks(power, 0.0, radius),
            power,
            TOLERANCE,
            |angle| {
                let first = radius * angle.sin();
                let mean = -first / (self.batch - 1.0);
                let around = shrink * radius * angle.cos();
                let breaks = self.breaks(power - 1.0, mean, around);
                average(&breaks, power - 1.0, 0.1 * TOLERANCE, |angle| {
                    f(first, mean + around * angle.sin())
                })
            },
        )
    }
}

/// The mean of `f` over an angle in (−π/2, π/2) of density ∝ cos^power.
fn average(breaks: &[f64], power: f64, tolerance: f64, f: impl Fn(f64) -> f64) -> f64 {
    let density = |angle: f64| libm::cos(angle).max(0.0).powf(power);
    let norm = integrate(breaks, tolerance, density);
    integrate(breaks, tolerance, |angle| density(angle) * f(angle)) / norm
}

/// Blocks x ← x + V φ(W x) with weights of variance σ²/fan_in: q and the factor of the squared
/// gradient, block by block, from x of mean square `q`.
///
/// q grows by σ_v² E φ(√(σ_w² q) z)², and both signals by 1 + σ_v² σ_w² E φ′²; for ReLU by
/// 1 + σ_v² σ_w²/2 each.
pub fn residual_factors(
    activation: &dyn Activation,
    inner: WeightVariance,
    outer: WeightVariance,
    q: f64,
    blocks: usize,
) -> Vec<f64> {
    let moments = Moments::of(activation);
    let (sigma_w_squared, sigma_v_squared) = (inner.sigma_w_squared(), outer.sigma_w_squared());
    let mut q = q;
    (0..blocks)
        .map(|_| {
            let before = sigma_w_squared * q;
            let slope = moments.derivative_square(before);
            q += sigma_v_squared * moments.square(before);
            1.0 + sigma_v_squared * sigma_w_squared * slope
        })
        .collect()
}

/// The same for x ← x + V φ(W LN(x)): what enters a branch has mean square 1, so q grows by a fixed
/// amount and the factor is 1 + σ_v² σ_w² E φ′²/q. Linear with σ = 1 the product over L blocks from
/// q = 1 is L + 1.
pub fn pre_norm_residual_factors(
    activation: &dyn Activation,
    inner: WeightVariance,
    outer: WeightVariance,
    q: f64,
    blocks: usize,
) -> Vec<f64> {
    let moments = Moments::of(activation);
    let (sigma_w_squared, sigma_v_squared) = (inner.sigma_w_squared(), outer.sigma_w_squared());
    let slope = sigma_v_squared * sigma_w_squared * moments.derivative_square(sigma_w_squared);
    let grows = sigma_v_squared * moments.square(sigma_w_squared);
    (0..blocks)
        .map(|block| 1.0 + slope / (q + grows * block as f64))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::activation::parse;
    use std::f64::consts::PI;

    #[test]
    fn batch_norm_explodes_at_the_rate_of_yang() {
        let relu = parse("relu").expect("known");
        for (batch, expected) in [(8, 1.7881899767), (32, 1.5219528306), (256, 1.4732342631)] {
            let rate = batch_norm_rate(&*relu, batch).expect("finite");
            assert!((rate - expected).abs() < 1e-9, "{batch}: {rate}");
        }
        let large = batch_norm_rate_of_large_batches(&*relu);
        assert!((large - PI / (PI - 1.0)).abs() < 1e-12, "{large}");
        let linear = parse("identity").expect("known");
        for batch in [4, 5, 8, 100] {
            let rate = batch_norm_rate(&*linear, batch).expect("finite");
            let b = batch as f64;
            assert!(
                (rate - (b - 2.0) / (b - 3.0)).abs() < 1e-9,
                "{batch}: {rate}"
            );
        }
        assert_eq!(batch_norm_rate(&*linear, 3), None);
    }

    #[test]
    fn residual_networks_grow_as_they_are_known_to() {
        let unit = WeightVariance::from_sigma_w_squared(1.0);
        let he = WeightVariance::from_sigma_w_squared(2.0);
        let relu = parse("relu").expect("known");
        let factors = residual_factors(&*relu, he, unit, 1.0, 5);
        assert!(factors.iter().all(|factor| (factor - 2.0).abs() < 1e-12));
        let linear = parse("identity").expect("known");
        let product: f64 = pre_norm_residual_factors(&*linear, unit, unit, 1.0, 30)
            .iter()
            .product();
        assert!((product - 31.0).abs() < 1e-9, "{product}");
        assert!((layer_norm_rate(&*relu, he, BiasVariance::ZERO) - 1.0).abs() < 1e-12);
    }
}

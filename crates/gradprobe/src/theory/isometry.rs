//! The singular values of the Jacobian of a wide network (Saxe et al. 2014; Pennington et al. 2017,
//! 2018), by free probability.

use super::mean_field::{Moments, WeightVariance};
use crate::num::roots::minimum;

/// How the weights are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum WeightEnsemble {
    /// Independent normal entries.
    Gaussian,
    /// An orthogonal matrix times σ_w.
    Orthogonal,
}

/// The spectrum of the end-to-end Jacobian J of `depth` layers at the fixed length q.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct JacobianSpectrum {
    /// The mean of the squared singular values, (1/n) tr J Jᵀ = χ1^L.
    pub mean_square: f64,
    /// The variance of the squared singular values over the square of their mean:
    /// L (μ2/μ1² − 1 − s1), s1 = −1 for Gaussian weights and 0 for orthogonal ones (Pennington et
    /// al. 2017, eq. 17).
    pub relative_variance: f64,
    /// The largest singular value: the edge of the spectrum.
    pub largest_singular_value: f64,
}

impl JacobianSpectrum {
    /// Of layers with pre-activations of variance q.
    ///
    /// The edge is where z(w) = (1 + w)/(w S(w)) is least, w > 0. The S-transforms of the layers
    /// multiply: that of W Wᵀ/σ_w² is 1/(1 + w) for Gaussian and 1 for orthogonal weights, that of
    /// φ′² is (1 + w)/(w t) where w = E φ′²/(t − φ′²), t > sup φ′² (Pennington et al. 2018,
    /// section 3).
    pub fn of(
        moments: &Moments<'_>,
        weights: WeightVariance,
        q: f64,
        depth: usize,
        ensemble: WeightEnsemble,
    ) -> Self {
        // At q = 0 every unit is in the linear part; a kink at 0 has two.
        let q = q.max(1e-12);
        let layers = depth as f64;
        let first = moments.derivative_moment(q, 1);
        let second = moments.derivative_moment(q, 2);
        let s1 = match ensemble {
            WeightEnsemble::Gaussian => -1.0,
            WeightEnsemble::Orthogonal => 0.0,
        };
        let steepest = steepest_squared(moments, q);
        let ln_gain = libm::log(weights.sigma_w_squared());
        let ln_edge = |y: f64| {
            let above = steepest * libm::exp(y);
            let t = steepest + above;
            // t − φ′² = (sup φ′² − φ′²) + above, without cancellation.
            let w = moments
                .of_squared_derivative(q, |square| square / ((steepest - square).max(0.0) + above));
            let of_diagonal = ln_gain + libm::log(t);
            let outer = libm::log1p(w) - libm::log(w);
            match ensemble {
                WeightEnsemble::Gaussian => outer + layers * (of_diagonal + libm::log(w)),
                WeightEnsemble::Orthogonal => outer + layers * (of_diagonal - outer),
            }
        };
        let at = minimum(-25.0, 25.0, ln_edge);
        Self {
            mean_square: (weights.sigma_w_squared() * first).powf(layers),
            // A variance is not negative, whatever rounding says.
            relative_variance: layers * ((second / (first * first) - 1.0).max(0.0) - s1),
            largest_singular_value: libm::exp(0.5 * ln_edge(at)),
        }
    }
}

/// The supremum of φ′² over the pre-activations that occur.
fn steepest_squared(moments: &Moments<'_>, q: f64) -> f64 {
    let steepest = moments.activation().steepest();
    // At a tiny length only the slopes at 0 occur.
    if q < 1e-8 {
        let side = |u: f64| moments.activation().derivative(u).powi(2);
        return side(1e-100).max(side(-1e-100));
    }
    steepest * steepest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::activation::parse;

    fn largest(name: &str, sigma_w_squared: f64, depth: usize, ensemble: WeightEnsemble) -> f64 {
        let activation = parse(name).expect("known");
        let moments = Moments::of(&*activation);
        let weights = WeightVariance::from_sigma_w_squared(sigma_w_squared);
        JacobianSpectrum::of(&moments, weights, 1.0, depth, ensemble).largest_singular_value
    }

    #[test]
    fn the_largest_singular_values_are_those_computed_independently() {
        use WeightEnsemble::{Gaussian, Orthogonal};
        for (name, sigma_w_squared, ensemble, values) in [
            ("identity", 1.0, Gaussian, [3.493856, 6.696625, 13.241126]),
            ("relu", 2.0, Gaussian, [4.675281, 9.328093, 18.653342]),
            ("relu", 2.0, Orthogonal, [3.079201, 6.490459, 13.138079]),
            ("identity", 1.0, Orthogonal, [1.0, 1.0, 1.0]),
        ] {
            for (depth, expected) in [4, 16, 64].into_iter().zip(values) {
                let got = largest(name, sigma_w_squared, depth, ensemble);
                assert!((got - expected).abs() < 1e-5, "{name} {depth}: {got}");
            }
        }
    }

    #[test]
    fn moments_are_those_of_pennington() {
        let relu = parse("relu").expect("known");
        let moments = Moments::of(&*relu);
        let weights = WeightVariance::from_sigma_w_squared(2.0);
        let of = |ensemble| JacobianSpectrum::of(&moments, weights, 1.0, 10, ensemble);
        assert!((of(WeightEnsemble::Gaussian).relative_variance - 20.0).abs() < 1e-9);
        assert!((of(WeightEnsemble::Orthogonal).relative_variance - 10.0).abs() < 1e-9);
        assert!((of(WeightEnsemble::Gaussian).mean_square - 1.0).abs() < 1e-9);
    }
}

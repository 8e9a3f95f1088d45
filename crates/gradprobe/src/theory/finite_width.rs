//! What a finite width adds to mean field: the squared gradient is log-normal (Hanin and Nica 2020).

use super::isometry::WeightEnsemble;
use super::mean_field::MeanField;
use std::f64::consts::{LN_2, PI};

/// Mean and variance of ln‖J u‖², in nats, for a unit vector u: J is the Jacobian of a stretch of
/// layers. ‖J u‖² itself is close to log-normal.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize)]
pub struct LogNormal {
    /// E ln‖J u‖².
    pub mean: f64,
    /// Var ln‖J u‖².
    pub variance: f64,
}

impl LogNormal {
    /// Of independent factors one after the other.
    pub fn then(self, next: Self) -> Self {
        Self {
            mean: self.mean + next.mean,
            variance: self.variance + next.variance,
        }
    }

    /// The standard deviation, in nats.
    pub fn deviation(self) -> f64 {
        self.variance.sqrt()
    }
}

/// ψ(k/2) and ψ′(k/2), the digamma and trigamma functions at half a whole number, k ≥ 1.
fn polygammas(k: usize) -> (f64, f64) {
    const EULER: f64 = 0.577_215_664_901_532_9;
    // Where the asymptotic series has 16 digits.
    const LARGE: usize = 64;
    let x = 0.5 * k as f64;
    if k >= LARGE {
        let s = 1.0 / (x * x);
        let digamma = libm::log(x) - 0.5 / x - s * (1.0 / 12.0 - s * (1.0 / 120.0 - s / 252.0));
        let trigamma = 1.0 / x + 0.5 * s + s / x * (1.0 / 6.0 - s * (1.0 / 30.0 - s / 42.0));
        return (digamma, trigamma);
    }
    let (mut digamma, mut trigamma, mut at) = if k.is_multiple_of(2) {
        (-EULER, PI * PI / 6.0, 1.0)
    } else {
        (-EULER - 2.0 * LN_2, 0.5 * PI * PI, 0.5)
    };
    while at < x {
        digamma += 1.0 / at;
        trigamma -= 1.0 / (at * at);
        at += 1.0;
    }
    (digamma, trigamma)
}

/// One layer of `width` linear units at σ_w = 1: ln(χ²_n/n).
///
/// # Panics
/// If the width is 0.
pub fn linear_layer(width: usize) -> LogNormal {
    assert!(width > 0, "a layer has a unit");
    let (digamma, trigamma) = polygammas(width);
    LogNormal {
        mean: digamma + libm::log(2.0 / width as f64),
        variance: trigamma,
    }
}

/// One layer of `width` ReLU units at He's gain without a bias, exactly: ln((2/n) χ²_K) with K, the
/// number of units that are on, binomial; given that one is on (Hanin and Nica 2020, theorem 1:
/// E X² = 1 + 5/n).
///
/// # Panics
/// If the width is 0.
pub fn relu_layer(width: usize) -> LogNormal {
    assert!(width > 0, "a layer has a unit");
    // Nothing is left further than forty deviations from the middle.
    let reach = 20.0 * (width as f64).sqrt() + 2.0;
    let middle = 0.5 * width as f64;
    let first = ((middle - reach).max(1.0)) as usize;
    let last = ((middle + reach) as usize).min(width);
    let ln_factorial = |n: usize| libm::lgamma(n as f64 + 1.0);
    let ln_all = ln_factorial(width) - width as f64 * LN_2;
    let (mut weight, mut mean, mut square) = (0.0, 0.0, 0.0);
    for on in first..=last {
        let p = libm::exp(ln_all - ln_factorial(on) - ln_factorial(width - on));
        let (digamma, trigamma) = polygammas(on);
        let log = digamma + LN_2 + libm::log(2.0 / width as f64);
        weight += p;
        mean += p * log;
        square += p * (trigamma + log * log);
    }
    let mean = mean / weight;
    LogNormal {
        mean,
        variance: square / weight - mean * mean,
    }
}

impl MeanField<'_> {
    /// ln‖J u‖² of the first 1, 2, … of layers of the given widths, whose first pre-activation has
    /// the variance `q`, to first order in 1/width.
    ///
    /// A layer's factor (σ_w²/n) Σ φ′(u_j)² z_j² has the relative variance (3 μ2/μ1² − 1)/n (5/n for
    /// ReLU, 2/n for a linear layer), where μ_k = E φ′^(2k). The length of the next layer is as
    /// random, with the variance σ_w⁴ Var φ²/n, and is carried on by χ∥; where χ1 depends on the
    /// length, that moves all factors behind it.
    ///
    /// `rows` is the number of cotangents whose squared norms are added up, independent of each
    /// other at the output: what is random in z then averages out, 2 μ2/μ1² of the variance, and
    /// the units' slopes stay. 1 for the Jacobian's action on one vector.
    pub fn log_normal(&self, q: f64, widths: &[usize], rows: usize) -> Vec<LogNormal> {
        self.log_normal_of(WeightEnsemble::Gaussian, q, widths, rows)
    }

    /// The same, for weights of an ensemble. An orthogonal matrix keeps lengths: a layer's
    /// pre-activations and cotangents lie on spheres, evenly, and so what is random in their norms
    /// goes. Of Var f(u), f being φ² or φ′², that is Cov(f, u²)²/Var u² = 2q² (dE f/dq)²; of what is
    /// random in z, 2 of 2 μ2/μ1².
    pub fn log_normal_of(
        &self,
        ensemble: WeightEnsemble,
        q: f64,
        widths: &[usize],
        rows: usize,
    ) -> Vec<LogNormal> {
        let mut q = q;
        // Var δq, Cov(δq, S), and S itself.
        let (mut length, mut cross) = (0.0, 0.0);
        let mut sum = LogNormal::default();
        let mut result: Vec<LogNormal> = Vec::with_capacity(widths.len());
        let mut local: Option<(f64, Local)> = None;
        for &width in widths {
            let at = match local {
                Some((before, at)) if (before / q - 1.0).abs() < 1e-9 => at,
                _ => self.local(q, ensemble),
            };
            local = Some((q, at));
            let n = width.max(1) as f64;
            let own = (at.slope_variance + at.vector_variance / rows.max(1) as f64) / n;
            let beside = at.covariance / n;
            sum.mean += libm::log(at.chi_1) - 0.5 * own;
            sum.variance += own + 2.0 * at.slope * cross + at.slope * at.slope * length;
            cross = at.chi_parallel * (cross + at.slope * length) + beside;
            length = at.chi_parallel * at.chi_parallel * length + at.length_variance / n;
            result.push(sum);
            q = self.length_map(q);
        }
        result
    }

    fn local(&self, q: f64, ensemble: WeightEnsemble) -> Local {
        let sigma_w_squared = self.weights.sigma_w_squared();
        // Below this every activation is its tangent.
        let q = q.max(1e-14);
        let first = self.moments.derivative_square(q);
        let second = self.moments.derivative_moment(q, 2);
        let square = self.moments.square(q);
        let both = self.moments.square_times_derivative_square(q);
        let slope = self.moments.derivative_square_slope(q) / first;
        let chi_parallel = self.chi_parallel(q);
        let ratio = second / (first * first);
        // What the length alone explains, where it cannot vary.
        let (kept, vector) = match ensemble {
            WeightEnsemble::Gaussian => (0.0, 0.0),
            WeightEnsemble::Orthogonal => (2.0 * q * q, 2.0),
        };
        Local {
            chi_1: sigma_w_squared * first,
            chi_parallel,
            slope,
            slope_variance: ratio - 1.0 - kept * slope * slope,
            vector_variance: 2.0 * ratio - vector,
            length_variance: sigma_w_squared.powi(2) * (self.moments.fourth(q) - square * square)
                - kept * chi_parallel * chi_parallel,
            covariance: sigma_w_squared * (both - square * first) / first
                - kept * chi_parallel * slope,
        }
    }
}

/// What a layer does to the log-normal at one length; variances and covariance times the width.
#[derive(Clone, Copy, Debug)]
struct Local {
    chi_1: f64,
    chi_parallel: f64,
    /// d ln χ1/dq.
    slope: f64,
    /// Of the units' slopes: Var φ′²/μ1².
    slope_variance: f64,
    /// Of the direction of one cotangent: 2 μ2/μ1².
    vector_variance: f64,
    length_variance: f64,
    covariance: f64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::activation::parse;
    use crate::theory::mean_field::{BiasVariance, WeightVariance};

    #[test]
    fn exact_moments_are_those_computed_independently() {
        let near = |got: f64, expected: f64| assert!((got - expected).abs() < 1e-10, "{got}");
        near(relu_layer(64).mean, -0.0401085988);
        near(relu_layer(64).variance, 0.0829973506);
        near(relu_layer(256).mean, -0.0098286594);
        near(relu_layer(256).variance, 0.0198187089);
        // ψ(1/2) + ln 2, ψ′(1/2); and on both sides of where the series takes over.
        near(linear_layer(1).mean, -1.270_362_845_461_478);
        near(linear_layer(1).variance, 4.934_802_200_544_679);
        let (a, b) = (polygammas(62), polygammas(64));
        near(b.0 - a.0, 1.0 / 31.0);
        near(a.1 - b.1, 1.0 / (31.0 * 31.0));
        // The published experiment: width 50, depth 20.
        let all = relu_layer(50);
        assert!((20.0 * all.mean + 1.0348).abs() < 1e-4);
        assert!((20.0 * all.variance - 2.163).abs() < 1e-3);
        assert!(relu_layer(1_000_000).variance > 0.0);
    }

    #[test]
    fn orthogonal_linear_layers_are_sure() {
        let identity = parse("identity").expect("known");
        let network = MeanField::new(
            &*identity,
            WeightVariance::from_sigma_w_squared(1.0),
            BiasVariance::ZERO,
        );
        let all = network.log_normal_of(WeightEnsemble::Orthogonal, 1.0, &[50; 10], 1);
        assert!(all[9].variance.abs() < 1e-12 && all[9].mean.abs() < 1e-12);
    }

    #[test]
    fn to_first_order_it_is_hanin_and_nica() {
        let relu = parse("relu").expect("known");
        let network = MeanField::new(
            &*relu,
            WeightVariance::from_sigma_w_squared(2.0),
            BiasVariance::ZERO,
        );
        let all = network.log_normal(1.0, &[100; 10], 1);
        assert!((all[9].variance - 0.5).abs() < 1e-9);
        assert!((all[9].mean + 0.25).abs() < 1e-9);
    }
}

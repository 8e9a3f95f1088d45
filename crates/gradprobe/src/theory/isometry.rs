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
    pub fn of(
        moments: &Moments<'_>,
        weights: WeightVariance,
        q: f64,
        depth: usize,
        ensemble: WeightEnsemble,
    ) -> Self {
        Self::of_layers(moments, ensemble, &vec![(weights, q); depth])
    }

    /// Of layers with these weights and variances of the pre-activations, first to last, all of one
    /// width.
    ///
    /// The edge is where z(w) = (1 + w)/(w S(w)) is least, w > 0. The S-transforms of the layers
    /// multiply: that of W Wᵀ/σ_w² is 1/(1 + w) for Gaussian and 1 for orthogonal weights, that of
    /// φ′² is (1 + w)/(w t) where w = E φ′²/(t − φ′²), t > sup φ′² (Pennington et al. 2018,
    /// section 3). The mean square is their product, and relative variances add up.
    pub fn of_layers(
        moments: &Moments<'_>,
        ensemble: WeightEnsemble,
        layers: &[(WeightVariance, f64)],
    ) -> Self {
        let s1 = match ensemble {
            WeightEnsemble::Gaussian => -1.0,
            WeightEnsemble::Orthogonal => 0.0,
        };
        let mut diagonals: Vec<Diagonal<'_>> = Vec::new();
        let (mut ln_mean_square, mut relative_variance, mut ln_gain) = (0.0, 0.0, 0.0);
        for &(weights, q) in layers {
            // At q = 0 every unit is in the linear part; a kink at 0 has two.
            let q = q.max(1e-12);
            let index = match diagonals.iter().position(|known| known.is_of(q)) {
                Some(index) => index,
                None => {
                    diagonals.push(Diagonal::new(moments, q));
                    diagonals.len() - 1
                }
            };
            let diagonal = &mut diagonals[index];
            diagonal.count += 1.0;
            let (first, second) = (diagonal.first, diagonal.second);
            ln_gain += libm::log(weights.sigma_w_squared());
            ln_mean_square += libm::log(weights.sigma_w_squared() * first);
            // A variance is not negative, whatever rounding says.
            relative_variance += (second / (first * first) - 1.0).max(0.0) - s1;
        }
        let depth = layers.len() as f64;
        // By ln w, and Σ ln t at that w.
        let ln_edge = |ln_w: f64, ln_t: f64| {
            let outer = libm::log1p(libm::exp(-ln_w));
            match ensemble {
                WeightEnsemble::Gaussian => outer + ln_gain + ln_t + depth * ln_w,
                WeightEnsemble::Orthogonal => outer + ln_gain + ln_t - depth * outer,
            }
        };
        let least = match diagonals.as_slice() {
            [] => 0.0,
            [only] => {
                let at = |y: f64| {
                    let (ln_w, ln_t) = only.at(y);
                    ln_edge(ln_w, only.count * ln_t)
                };
                at(minimum(LEAST_Y, MOST_Y, at))
            }
            several => {
                let tables: Vec<Table> = several.iter().map(Diagonal::table).collect();
                let from = tables.iter().map(Table::first).fold(f64::MIN, f64::max);
                let to = tables.iter().map(Table::last).fold(f64::MAX, f64::min);
                let at = |ln_w: f64| {
                    let of = |(table, diagonal): (&Table, &Diagonal<'_>)| {
                        diagonal.count * table.ln_t(ln_w)
                    };
                    ln_edge(ln_w, tables.iter().zip(several).map(of).sum())
                };
                at(minimum(from, to, at))
            }
        };
        Self {
            mean_square: libm::exp(ln_mean_square),
            relative_variance,
            largest_singular_value: libm::exp(0.5 * least),
        }
    }
}

/// Where ln(t/sup φ′² − 1) is looked at.
const LEAST_Y: f64 = -25.0;
const MOST_Y: f64 = 25.0;
/// The step between points of a table of it.
const STEP_OF_Y: f64 = 0.25;

/// φ′² at one length.
struct Diagonal<'a> {
    moments: &'a Moments<'a>,
    q: f64,
    steepest: f64,
    /// μ1 and μ2.
    first: f64,
    second: f64,
    /// Layers that have it.
    count: f64,
}

impl<'a> Diagonal<'a> {
    fn new(moments: &'a Moments<'a>, q: f64) -> Self {
        Self {
            moments,
            q,
            steepest: steepest_squared(moments, q),
            first: moments.derivative_moment(q, 1),
            second: moments.derivative_moment(q, 2),
            count: 0.0,
        }
    }

    /// Lengths within a thousandth have one spectrum.
    fn is_of(&self, q: f64) -> bool {
        (self.q / q - 1.0).abs() < 1e-3
    }

    /// (ln w, ln t) at t = sup φ′² (1 + e^y).
    fn at(&self, y: f64) -> (f64, f64) {
        let above = self.steepest * libm::exp(y);
        // t − φ′² = (sup φ′² − φ′²) + above, without cancellation.
        let w = self.moments.of_squared_derivative(self.q, |square| {
            square / ((self.steepest - square).max(0.0) + above)
        });
        (libm::log(w), libm::log(self.steepest + above))
    }

    fn table(&self) -> Table {
        let steps = ((MOST_Y - LEAST_Y) / STEP_OF_Y) as u32;
        let at = |step: u32| self.at(MOST_Y - STEP_OF_Y * f64::from(step));
        let mut points: Vec<(f64, f64)> = (0..=steps).map(at).collect();
        points.dedup_by(|next, before| next.0 <= before.0);
        Table { points }
    }
}

/// ln t by ln w, ascending in ln w.
struct Table {
    points: Vec<(f64, f64)>,
}

impl Table {
    fn first(&self) -> f64 {
        self.points.first().map_or(f64::NAN, |point| point.0)
    }

    fn last(&self) -> f64 {
        self.points.last().map_or(f64::NAN, |point| point.0)
    }

    /// By the cubic through the four points around.
    fn ln_t(&self, ln_w: f64) -> f64 {
        let after = self.points.partition_point(|point| point.0 < ln_w);
        let from = after
            .saturating_sub(2)
            .min(self.points.len().saturating_sub(4));
        let near = &self.points[from..(from + 4).min(self.points.len())];
        let basis = |index: usize| {
            let others = near.iter().enumerate().filter(|(other, _)| *other != index);
            others
                .map(|(_, other)| (ln_w - other.0) / (near[index].0 - other.0))
                .product::<f64>()
        };
        (0..near.len())
            .map(|index| basis(index) * near[index].1)
            .sum()
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
    fn layers_of_many_lengths_are_between_those_of_one() {
        let tanh = parse("tanh").expect("known");
        let moments = Moments::of(&*tanh);
        let weights = WeightVariance::from_sigma_w_squared(1.5);
        let ensemble = WeightEnsemble::Gaussian;
        let edge = |layers: &[(WeightVariance, f64)]| {
            JacobianSpectrum::of_layers(&moments, ensemble, layers).largest_singular_value
        };
        let (wide, narrow) = (edge(&[(weights, 0.5); 8]), edge(&[(weights, 0.9); 8]));
        let mixed: Vec<_> = (0..8)
            .map(|l| (weights, 0.5 + 0.4 * f64::from(l % 2)))
            .collect();
        assert!(narrow < edge(&mixed) && edge(&mixed) < wide);
        // What a table gives is what the search gives, where the lengths are as good as one.
        let near: Vec<_> = (0..8)
            .map(|l| (weights, 0.5 * 1.002f64.powi(l % 2)))
            .collect();
        let off = edge(&near) / edge(&[(weights, 0.5005); 8]) - 1.0;
        assert!(off.abs() < 1e-4, "{off}");
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

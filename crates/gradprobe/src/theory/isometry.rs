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

/// The singular values of the Jacobian J of a stretch of layers; of a Jacobian of n_L × n_0, its
/// min(n_0, n_L).
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct JacobianSpectrum {
    /// The mean of the squared singular values; of square ones (1/n) tr J Jᵀ = χ1^L.
    pub mean_square: f64,
    /// The variance of the squared singular values over the square of their mean; of square ones
    /// L (μ2/μ1² − 1 − s1), s1 = −1 for Gaussian weights and 0 for orthogonal ones (Pennington et
    /// al. 2017, eq. 17).
    pub relative_variance: f64,
    /// The largest singular value: the edge of the spectrum.
    pub largest_singular_value: f64,
}

/// A dense layer: weights, and a function of each unit.
#[derive(Clone, Copy, Debug)]
pub struct JacobianLayer<'a> {
    /// Of its function.
    pub moments: &'a Moments<'a>,
    /// How its weights are drawn, of variance σ_w²/fan_in.
    pub ensemble: WeightEnsemble,
    /// Their size.
    pub weights: WeightVariance,
    /// The variance of its pre-activations.
    pub q: f64,
    /// Its units.
    pub width: usize,
}

impl JacobianSpectrum {
    /// Of `depth` square layers with pre-activations of variance q.
    pub fn of(
        moments: &Moments<'_>,
        weights: WeightVariance,
        q: f64,
        depth: usize,
        ensemble: WeightEnsemble,
    ) -> Self {
        let layer = JacobianLayer {
            moments,
            ensemble,
            weights,
            q,
            width: 1,
        };
        Self::of_layers(1, &vec![layer; depth])
    }

    /// Of these layers, first to last, of which the first reads `inputs` numbers. Only the ratios
    /// of the widths matter.
    ///
    /// The S-transforms of the factors of Jᵀ J multiply, each taken at w = u/n in the space of its
    /// n units (Müller 2002), so that with w_l = u/n_l
    ///
    /// z(u) = (1 + w_L) n_L/(w_0 n_0) Π 1/(S of φ′²(w_l) · S of W Wᵀ(w_l)),
    ///
    /// and the largest squared singular value is where z is least, u > 0. The S-transform of φ′² is
    /// (1 + w)/(w t) where w = E φ′²/(t − φ′²), t > sup φ′² (Pennington et al. 2018, section 3),
    /// that of W Wᵀ for Gaussian weights 1/(σ_w² (1 + w_(l−1))), and for orthogonal rows or columns
    /// of length s 1/s², times (1 + w_l)/(n_(l−1)/n_l + w_l) where the columns are those.
    ///
    /// tr J Jᵀ = n_L Π χ1, and r = tr (J Jᵀ)²/(tr J Jᵀ)² begins as 1/n_0 and grows by μ2/(μ1² n_l)
    /// with every layer of Gaussian weights; by (μ2/μ1² − 1)/n_l with orthogonal ones, after
    /// n_l r − 1 was multiplied by n_l/n_(l−1) if the layer has fewer units than that before it.
    pub fn of_layers(inputs: usize, layers: &[JacobianLayer<'_>]) -> Self {
        let first_width = inputs.max(1) as f64;
        let mut diagonals: Vec<Diagonal<'_>> = Vec::new();
        let mut steps: Vec<Step> = Vec::with_capacity(layers.len());
        let mut before = first_width;
        let (mut ln_trace, mut square_ratio) = (0.0, 1.0 / first_width);
        for layer in layers {
            // At q = 0 every unit is in the linear part; a kink at 0 has two.
            let q = layer.q.max(1e-12);
            let width = layer.width.max(1) as f64;
            let known = |diagonal: &Diagonal<'_>| diagonal.is_of(layer.moments, q);
            let diagonal = match diagonals.iter().position(known) {
                Some(index) => index,
                None => {
                    diagonals.push(Diagonal::new(layer.moments, q));
                    diagonals.len() - 1
                }
            };
            let (first, second) = (diagonals[diagonal].first, diagonals[diagonal].second);
            // A variance is not negative, whatever rounding says.
            let spread = (second / (first * first)).max(1.0);
            let ln_gain = libm::log(layer.weights.sigma_w_squared());
            ln_trace += ln_gain + libm::log(first);
            let (map, ln_size) = match layer.ensemble {
                WeightEnsemble::Gaussian => {
                    square_ratio += spread / width;
                    (Map::Gaussian, ln_gain)
                }
                WeightEnsemble::Orthogonal => {
                    if width < before {
                        square_ratio =
                            (1.0 + width / before * (square_ratio * before - 1.0)) / width;
                    }
                    square_ratio += (spread - 1.0) / width;
                    let map = match width > before {
                        true => Map::OrthogonalColumns,
                        false => Map::OrthogonalRows,
                    };
                    (map, ln_gain + libm::log(width / width.min(before)))
                }
            };
            steps.push(Step {
                diagonal,
                map,
                ln_size,
                before,
                width,
            });
            before = width;
        }
        let last_width = before;
        let count = first_width.min(last_width);
        Self {
            mean_square: libm::exp(ln_trace) * last_width / count,
            relative_variance: (count * square_ratio - 1.0).max(0.0),
            largest_singular_value: libm::exp(0.5 * ln_edge(first_width, &diagonals, &steps)),
        }
    }
}

/// A layer on the way to the edge.
struct Step {
    /// Which of the diagonals.
    diagonal: usize,
    map: Map,
    /// ln of σ_w², or of the squared length of the orthogonal rows or columns.
    ln_size: f64,
    before: f64,
    width: f64,
}

/// How a layer's weights are drawn.
#[derive(Clone, Copy)]
enum Map {
    Gaussian,
    OrthogonalRows,
    OrthogonalColumns,
}

/// ln of the largest squared singular value.
fn ln_edge(first_width: f64, diagonals: &[Diagonal<'_>], steps: &[Step]) -> f64 {
    let Some(last) = steps.last() else { return 0.0 };
    let ln_first = libm::log(first_width);
    let outer = libm::log(last.width / first_width);
    // By ln u, and what gives ln t of a step at its ln w.
    let ln_z = |ln_u: f64, ln_t: &dyn Fn(&Step, f64) -> f64| {
        let ln_one_plus = |width: f64| libm::log1p(libm::exp(ln_u - libm::log(width)));
        let of = |step: &Step| {
            let ln_w = ln_u - libm::log(step.width);
            let own = ln_one_plus(step.width);
            let map = match step.map {
                Map::Gaussian => ln_one_plus(step.before),
                Map::OrthogonalRows => 0.0,
                Map::OrthogonalColumns => {
                    libm::log(step.before / step.width + libm::exp(ln_w)) - own
                }
            };
            ln_w + ln_t(step, ln_w) - own + map + step.ln_size
        };
        let layers: f64 = steps.iter().map(of).sum();
        ln_first - ln_u + outer + ln_one_plus(last.width) + layers
    };
    let alike = steps.iter().all(|step| step.width == last.width);
    if let ([only], true) = (diagonals, alike) {
        let at = |y: f64| {
            let (ln_w, ln_t) = only.at(y);
            ln_z(ln_w + libm::log(last.width), &|_, _| ln_t)
        };
        return at(minimum(LEAST_Y, MOST_Y, at));
    }
    let tables: Vec<Table> = diagonals.iter().map(Diagonal::table).collect();
    let ends = |step: &Step| {
        let (table, ln_width) = (&tables[step.diagonal], libm::log(step.width));
        (table.first() + ln_width, table.last() + ln_width)
    };
    let from = steps
        .iter()
        .map(|step| ends(step).0)
        .fold(f64::MIN, f64::max);
    let to = steps
        .iter()
        .map(|step| ends(step).1)
        .fold(f64::MAX, f64::min);
    let at = |ln_u: f64| ln_z(ln_u, &|step, ln_w| tables[step.diagonal].ln_t(ln_w));
    at(minimum(from, to, at))
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
    /// Its distribution: probabilities and values.
    squares: Vec<(f64, f64)>,
    /// μ1 and μ2.
    first: f64,
    second: f64,
}

impl<'a> Diagonal<'a> {
    fn new(moments: &'a Moments<'a>, q: f64) -> Self {
        let squares = moments.squared_derivatives(q);
        let moment = |power: i32| {
            let terms = squares
                .iter()
                .map(|(share, square)| share * square.powi(power));
            terms.sum()
        };
        Self {
            moments,
            q,
            steepest: steepest_squared(moments, q),
            first: moment(1),
            second: moment(2),
            squares,
        }
    }

    /// Lengths within a thousandth have one spectrum.
    fn is_of(&self, moments: &Moments<'_>, q: f64) -> bool {
        std::ptr::eq(self.moments, moments) && (self.q / q - 1.0).abs() < 1e-3
    }

    /// (ln w, ln t) at t = sup φ′² (1 + e^y).
    fn at(&self, y: f64) -> (f64, f64) {
        let above = self.steepest * libm::exp(y);
        // t − φ′² = (sup φ′² − φ′²) + above, without cancellation.
        let terms = self.squares.iter().map(|(probability, square)| {
            probability * square / ((self.steepest - square).max(0.0) + above)
        });
        let w: f64 = terms.sum();
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
        let layer = |(weights, q)| JacobianLayer {
            moments: &moments,
            ensemble: WeightEnsemble::Gaussian,
            weights,
            q,
            width: 1,
        };
        let edge = |layers: &[(WeightVariance, f64)]| {
            let layers: Vec<_> = layers.iter().copied().map(layer).collect();
            JacobianSpectrum::of_layers(1, &layers).largest_singular_value
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
    #[test]
    fn rectangular_layers_are_those_of_marchenko_and_pastur() {
        let linear = parse("identity").expect("known");
        let moments = Moments::of(&*linear);
        let layer = |ensemble, width| JacobianLayer {
            moments: &moments,
            ensemble,
            weights: WeightVariance::from_sigma_w_squared(2.0),
            q: 1.0,
            width,
        };
        for (inputs, width) in [(100, 400), (400, 100), (300, 300)] {
            let got =
                JacobianSpectrum::of_layers(inputs, &[layer(WeightEnsemble::Gaussian, width)]);
            let ratio = width as f64 / inputs as f64;
            let edge = 2f64.sqrt() * (1.0 + ratio.sqrt());
            assert!(
                (got.largest_singular_value / edge - 1.0).abs() < 1e-6,
                "{got:?}"
            );
            assert!(
                (got.mean_square - 2.0 * ratio.max(1.0)).abs() < 1e-9,
                "{got:?}"
            );
            // The spectrum's variance over its squared mean is min/max.
            let variance = ratio.min(1.0 / ratio);
            assert!((got.relative_variance - variance).abs() < 1e-9, "{got:?}");

            // Orthogonal rows, or columns, have one length.
            let got =
                JacobianSpectrum::of_layers(inputs, &[layer(WeightEnsemble::Orthogonal, width)]);
            let length = (2.0 * ratio.max(1.0)).sqrt();
            assert!(
                (got.largest_singular_value / length - 1.0).abs() < 1e-5,
                "{got:?}"
            );
            assert!(got.relative_variance.abs() < 1e-9, "{got:?}");
        }
    }
}

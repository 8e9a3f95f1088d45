//! Integrals: Gauss-Legendre rules by Golub-Welsch, and adaptive panels of them.
//!
//! The caller splits the line where the integrand is not smooth (kinks, jumps, where a scale
//! begins); each panel is then halved until halving changes nothing.

use std::sync::OnceLock;

/// The nodes and weights of a Gauss-Legendre rule on [−1, 1].
#[derive(Clone, Debug)]
pub struct GaussLegendre {
    /// The nodes, ascending.
    pub nodes: Vec<f64>,
    /// The weights, which sum to 2.
    pub weights: Vec<f64>,
}

impl GaussLegendre {
    /// The rule of `points` nodes, exact for polynomials of degree 2·points − 1.
    ///
    /// The nodes are the eigenvalues of the symmetric tridiagonal matrix with zeros on its
    /// diagonal and k/√(4k² − 1) beside it (Golub and Welsch 1969), sharpened by a Newton step on
    /// the Legendre polynomial; the weights are 2/((1 − x²) P′(x)²).
    ///
    /// # Panics
    /// If `points` is 0.
    pub fn new(points: usize) -> Self {
        assert!(points > 0, "a rule has at least one point");
        let beside = |k: usize| {
            let k = k as f64;
            k / (4.0 * k * k - 1.0).sqrt()
        };
        let mut nodes = tridiagonal_eigenvalues(vec![0.0; points], (1..points).map(beside));
        nodes.sort_by(f64::total_cmp);
        let weights = nodes
            .iter_mut()
            .map(|x| {
                let (value, slope) = legendre(points, *x);
                *x -= value / slope;
                let slope = legendre(points, *x).1;
                2.0 / ((1.0 - *x * *x) * slope * slope)
            })
            .collect();
        Self { nodes, weights }
    }

    /// The integral of `f`, and of |f|, from `from` to `to`.
    fn integrate(&self, from: f64, to: f64, f: &mut impl FnMut(&[f64], &mut [f64])) -> (f64, f64) {
        let (middle, half) = (0.5 * (from + to), 0.5 * (to - from));
        let count = self.nodes.len().min(PANEL_POINTS);
        let (mut points, mut values) = ([0.0; PANEL_POINTS], [0.0; PANEL_POINTS]);
        for (point, node) in points.iter_mut().zip(&self.nodes) {
            *point = middle + half * node;
        }
        f(&points[..count], &mut values[..count]);
        let (mut sum, mut size) = (0.0, 0.0);
        for (value, weight) in values.iter().zip(&self.weights) {
            let value = weight * value;
            sum += value;
            size += value.abs();
        }
        (half * sum, half.abs() * size)
    }
}

/// P_n(x) and its derivative, by the three-term recurrence.
fn legendre(degree: usize, x: f64) -> (f64, f64) {
    let (mut before, mut value) = (0.0, 1.0);
    for k in 1..=degree {
        let k = k as f64;
        (before, value) = (
            value,
            ((2.0 * k - 1.0) * x * value - (k - 1.0) * before) / k,
        );
    }
    let slope = degree as f64 * (before - x * value) / (1.0 - x * x);
    (value, slope)
}

/// The eigenvalues of a symmetric tridiagonal matrix by the implicit QL method (Wilkinson's
/// shift), in no order.
fn tridiagonal_eigenvalues(mut diagonal: Vec<f64>, beside: impl Iterator<Item = f64>) -> Vec<f64> {
    /// Two or three are usual.
    const MOST_ITERATIONS: usize = 60;
    let n = diagonal.len();
    let mut beside: Vec<f64> = beside.collect();
    beside.resize(n, 0.0);
    for first in 0..n {
        for _ in 0..MOST_ITERATIONS {
            let negligible = |k: &usize| {
                let k = *k;
                let scale = diagonal[k].abs() + diagonal.get(k + 1).map_or(0.0, |d| d.abs());
                beside[k].abs() <= f64::EPSILON * scale.max(f64::EPSILON)
            };
            let last = (first..n - 1).find(negligible).unwrap_or(n - 1);
            if last == first {
                break;
            }
            let half = (diagonal[first + 1] - diagonal[first]) / (2.0 * beside[first]);
            let root = half.hypot(1.0);
            let shift = beside[first] / (half + root.copysign(half));
            let mut g = diagonal[last] - diagonal[first] + shift;
            let (mut sine, mut cosine, mut carried) = (1.0, 1.0, 0.0);
            for k in (first..last).rev() {
                let f = sine * beside[k];
                let b = cosine * beside[k];
                let r = f.hypot(g);
                beside[k + 1] = r;
                if r == 0.0 {
                    break;
                }
                (sine, cosine) = (f / r, g / r);
                g = diagonal[k + 1] - carried;
                let r = (diagonal[k] - g) * sine + 2.0 * cosine * b;
                carried = sine * r;
                diagonal[k + 1] = g + carried;
                g = cosine * r - b;
            }
            diagonal[first] -= carried;
            beside[first] = g;
            beside[last] = 0.0;
        }
    }
    diagonal
}

/// Points of the rule that the panels use: as many are asked for at a time.
pub const PANEL_POINTS: usize = 20;
/// How often a panel is halved at most: to 2^−50 of its length.
const MOST_HALVINGS: u32 = 50;
/// How many halvings an integral may take in all. What needs more (sin(10⁶ x)) is not resolved,
/// and what is given is its average over the points.
const MOST_HALVINGS_IN_ALL: u32 = 2000;

fn panel_rule() -> &'static GaussLegendre {
    static RULE: OnceLock<GaussLegendre> = OnceLock::new();
    RULE.get_or_init(|| GaussLegendre::new(PANEL_POINTS))
}

/// The integral of `f` over the panels between neighbouring `breaks` (ascending), each halved until
/// halving changes less than `tolerance` times the integral of |f|. NaN or infinite where `f` is.
pub fn integrate(breaks: &[f64], tolerance: f64, mut f: impl FnMut(f64) -> f64) -> f64 {
    integrate_slices(breaks, tolerance, |points, values| {
        for (value, &point) in values.iter_mut().zip(points) {
            *value = f(point);
        }
    })
}

/// The same of an `f` that takes many points at once: it is given up to [`PANEL_POINTS`] and writes
/// the values there.
pub fn integrate_slices(
    breaks: &[f64],
    tolerance: f64,
    mut f: impl FnMut(&[f64], &mut [f64]),
) -> f64 {
    let rule = panel_rule();
    let panels: Vec<(f64, f64, f64, f64)> = breaks
        .windows(2)
        .filter(|pair| pair[0] < pair[1])
        .map(|pair| {
            let (sum, size) = rule.integrate(pair[0], pair[1], &mut f);
            (pair[0], pair[1], sum, size)
        })
        .collect();
    let size: f64 = panels.iter().map(|panel| panel.3).sum();
    if !size.is_finite() {
        return panels.iter().map(|panel| panel.2).sum();
    }
    let mut work = Work {
        rule,
        allowed: tolerance * size,
        left: MOST_HALVINGS_IN_ALL,
        f,
    };
    panels
        .into_iter()
        .map(|(from, to, whole, size)| {
            // What is next to nothing need not be looked at twice.
            if size <= 1e-3 * work.allowed {
                return whole;
            }
            work.refined(from, to, whole, MOST_HALVINGS)
        })
        .sum()
}

/// An integral on its way.
struct Work<F> {
    rule: &'static GaussLegendre,
    /// The difference that halving may make.
    allowed: f64,
    /// Halvings that are left.
    left: u32,
    f: F,
}

impl<F: FnMut(&[f64], &mut [f64])> Work<F> {
    fn refined(&mut self, from: f64, to: f64, whole: f64, halvings: u32) -> f64 {
        let middle = 0.5 * (from + to);
        let left = self.rule.integrate(from, middle, &mut self.f).0;
        let right = self.rule.integrate(middle, to, &mut self.f).0;
        let both = left + right;
        self.left = self.left.saturating_sub(1);
        // A NaN is never near: it would be halved for ever.
        let near = (both - whole).abs() <= self.allowed;
        if near || halvings == 0 || self.left == 0 || !both.is_finite() {
            return both;
        }
        self.refined(from, middle, left, halvings - 1)
            + self.refined(middle, to, right, halvings - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_exact_for_polynomials() {
        for points in [1, 2, 5, 20, 64] {
            let rule = GaussLegendre::new(points);
            for degree in (0..2 * points).step_by(2) {
                let integral: f64 = rule
                    .nodes
                    .iter()
                    .zip(&rule.weights)
                    .map(|(x, w)| w * x.powi(degree as i32))
                    .sum();
                let expected = 2.0 / (degree as f64 + 1.0);
                assert!((integral - expected).abs() < 1e-14, "{points}, {degree}");
            }
        }
    }

    #[test]
    fn nodes_are_those_of_the_tables() {
        // Abramowitz and Stegun, table 25.4, n = 5.
        let rule = GaussLegendre::new(5);
        assert!((rule.nodes[4] - 0.906_179_845_938_664).abs() < 1e-15);
        assert!((rule.nodes[2]).abs() < 1e-15);
        assert!((rule.weights[4] - 0.236_926_885_056_189).abs() < 1e-15);
    }

    #[test]
    fn panels_are_halved_where_the_integrand_is_not_smooth() {
        let root = integrate(&[0.0, 1.0], 1e-13, f64::sqrt);
        assert!((root - 2.0 / 3.0).abs() < 1e-12, "{root}");
        let step = integrate(&[0.0, 1.0], 1e-14, |x| f64::from(x > 0.3));
        assert!((step - 0.7).abs() < 1e-12, "{step}");
        let wave = integrate(&[0.0, 100.0], 1e-13, |x| (x * 10.0).sin().powi(2));
        let expected = 50.0 - (2000f64).sin() / 40.0;
        assert!((wave - expected).abs() < 1e-10, "{wave}");
        assert!(integrate(&[0.0, 1.0], 1e-13, |_| f64::NAN).is_nan());
    }
}

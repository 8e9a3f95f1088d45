//! Expectations of an activation over a normal pre-activation, to about 1e-13.
//!
//! The line is split at the kinks of φ, where the density changes (in z) and where activations do
//! (in u = √q z, at powers of two), so that a q of 1e-12 or 1e12 is integrated as well as one of 1.
//! Squares are integrated as (φ e^(−z²/4))²: an activation that grows like e^u meets its density
//! before it overflows.

use crate::num::Real;
use crate::num::quadrature::{GaussLegendre, PANEL_POINTS, integrate_slices};
use crate::num::simd::vectorised;
use crate::ops::activation::Activation;
use pulp::{Simd, WithSimd};

/// Beyond this the density e^(−z²/2) is below the smallest f64.
const FURTHEST: f64 = 40.0;
/// Beyond this less than 1e-18 of the probability lies.
const FURTHEST_SAMPLE: f64 = 9.0;
/// Where the density is split.
const DENSITY_BREAKS: [f64; 9] = [0.0, 1.0, 2.0, 3.0, 4.5, 6.5, 9.0, 14.0, FURTHEST];
/// The smallest |u| at which φ is split, as a power of two.
const FINEST_SCALE: i32 = -3;
/// The largest.
const COARSEST_SCALE: i32 = 60;
const TOLERANCE: f64 = 1e-14;
/// For integrals over two pre-activations: the inner one is the outer one's noise.
const INNER_TOLERANCE: f64 = 1e-13;
const OUTER_TOLERANCE: f64 = 1e-11;
/// (2π)^(−1/4).
const FOURTH_ROOT: f64 = 0.631_618_777_746_065_5;
/// A number that is as good as 0 to every activation, and not 0.
const NEXT_TO_ZERO: f64 = 1e-100;

/// The expectations of one activation.
#[derive(Clone, Debug)]
pub struct Moments<'a> {
    activation: &'a dyn Activation,
    kinks: Vec<f64>,
}

/// e^(−z²/4)/(2π)^(1/4): the root of the standard normal density, element by element.
struct RootDensity<'a> {
    z: &'a [f64],
    out: &'a mut [f64],
}

impl WithSimd for RootDensity<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        for (out, &z) in self.out.iter_mut().zip(self.z) {
            *out = FOURTH_ROOT * Real::exp(-0.25 * z * z);
        }
    }
}

/// One point of an integral over z ~ N(0, 1).
#[derive(Clone, Copy)]
struct Point {
    z: f64,
    /// The root of the density at z.
    root: f64,
    /// φ at u.
    value: f64,
    /// φ′ at u.
    slope: f64,
}

impl<'a> Moments<'a> {
    /// Of an activation.
    pub fn of(activation: &'a dyn Activation) -> Self {
        let mut kinks = activation.kinks();
        kinks.retain(|kink| kink.is_finite());
        Self { activation, kinks }
    }

    /// The activation.
    pub fn activation(&self) -> &'a dyn Activation {
        self.activation
    }

    /// φ(0) where that is exactly zero: then, without a bias, a signal of length 0 stays 0.
    pub fn is_zero_at_zero(&self) -> bool {
        self.activation.value(0.0) == 0.0
    }

    /// The panels in z over which `mean + deviation·z` goes through φ.
    fn breaks(&self, mean: f64, deviation: f64) -> Vec<f64> {
        let mut breaks: Vec<f64> = DENSITY_BREAKS.iter().flat_map(|&z| [-z, z]).collect();
        let mut at = |u: f64| {
            let z = (u - mean) / deviation;
            if z.abs() < FURTHEST {
                breaks.push(z);
            }
        };
        at(0.0);
        self.kinks.iter().for_each(|&kink| at(kink));
        for exponent in FINEST_SCALE..=COARSEST_SCALE {
            let u = f64::exp2(f64::from(exponent));
            if u - mean.abs() > FURTHEST * deviation {
                break;
            }
            at(u);
            at(-u);
        }
        breaks.sort_by(f64::total_cmp);
        breaks.dedup();
        breaks
    }

    /// The integral of `f` over z, with φ and φ′ at `mean + deviation·z`.
    fn integral(
        &self,
        breaks: &[f64],
        tolerance: f64,
        (mean, deviation): (f64, f64),
        mut f: impl FnMut(Point) -> f64,
    ) -> f64 {
        let kernel = self.activation.in_f64();
        let mut room = [[0.0; PANEL_POINTS]; 4];
        integrate_slices(breaks, tolerance, |z, out| {
            let [u, values, slopes, roots] = &mut room;
            let count = z.len();
            for (u, &z) in u.iter_mut().zip(z) {
                *u = mean + deviation * z;
            }
            let (values, slopes) = (&mut values[..count], &mut slopes[..count]);
            kernel.value_and_derivative(&u[..count], values, slopes);
            vectorised(RootDensity {
                z,
                out: &mut roots[..count],
            });
            for (index, out) in out.iter_mut().enumerate() {
                *out = f(Point {
                    z: z[index],
                    root: roots[index],
                    value: values[index],
                    slope: slopes[index],
                });
            }
        })
    }

    /// E f(φ, φ′)² over u ~ N(0, q).
    fn mean_of_square(&self, q: f64, f: impl Fn(f64, f64) -> f64) -> f64 {
        let deviation = q.sqrt();
        let breaks = self.breaks(0.0, deviation);
        self.integral(&breaks, TOLERANCE, (0.0, deviation), |at| {
            (f(at.value, at.slope) * at.root).powi(2)
        })
    }

    /// E φ(u)², u ~ N(0, q).
    pub fn square(&self, q: f64) -> f64 {
        if q == 0.0 {
            return self.activation.value(0.0).powi(2);
        }
        self.mean_of_square(q, |value, _| value)
    }

    /// E φ′(u)², u ~ N(0, q); for q = 0 the limit from above, which averages a kink's two sides.
    pub fn derivative_square(&self, q: f64) -> f64 {
        self.derivative_moment(q, 1)
    }

    /// μ_k = E φ′(u)^(2k), u ~ N(0, q) (Pennington et al. 2017).
    pub fn derivative_moment(&self, q: f64, k: i32) -> f64 {
        if q == 0.0 {
            let side = |u: f64| self.activation.derivative(u).powi(2 * k);
            return 0.5 * (side(NEXT_TO_ZERO) + side(-NEXT_TO_ZERO));
        }
        self.mean_of_square(q, |_, slope| slope.powi(k))
    }

    /// E φ(u)⁴, u ~ N(0, q).
    pub fn fourth(&self, q: f64) -> f64 {
        self.mean_of_square(q, |value, _| value.powi(2))
    }

    /// E φ(u)² φ′(u)², u ~ N(0, q).
    pub fn square_times_derivative_square(&self, q: f64) -> f64 {
        self.mean_of_square(q, |value, slope| value * slope)
    }

    /// E φ(u), u ~ N(0, q).
    pub fn mean(&self, q: f64) -> f64 {
        self.expectation(q, |value, _| value)
    }

    /// E φ′(u), u ~ N(0, q).
    pub fn derivative_mean(&self, q: f64) -> f64 {
        if q == 0.0 {
            let side = |u: f64| self.activation.derivative(u);
            return 0.5 * (side(NEXT_TO_ZERO) + side(-NEXT_TO_ZERO));
        }
        self.expectation(q, |_, slope| slope)
    }

    /// E f(φ, φ′) over u ~ N(0, q).
    fn expectation(&self, q: f64, f: impl Fn(f64, f64) -> f64) -> f64 {
        let deviation = q.sqrt();
        let breaks = self.breaks(0.0, deviation);
        self.integral(&breaks, TOLERANCE, (0.0, deviation), |at| {
            f(at.value, at.slope) * at.root.powi(2)
        })
    }

    /// d E φ(√q z)² / dq = E φ²(z² − 1)/(2q), which needs no φ″.
    ///
    /// For q = 0 the limit where φ(0) = 0, else the value at a q next to 0.
    pub fn square_slope(&self, q: f64) -> f64 {
        if q == 0.0 {
            return if self.is_zero_at_zero() {
                self.derivative_square(0.0)
            } else {
                self.square_slope(1e-8)
            };
        }
        // E(z² − 1) = 0: without φ(0)² there is nothing large to cancel.
        let at_zero = self.activation.value(0.0);
        let deviation = q.sqrt();
        let breaks = self.breaks(0.0, deviation);
        let integral = self.integral(&breaks, TOLERANCE, (0.0, deviation), |at| {
            ((at.value - at_zero) * at.root)
                * ((at.value + at_zero) * at.root)
                * (at.z * at.z - 1.0)
        });
        integral / (2.0 * q)
    }

    /// d E φ′(√q z)² / dq = E φ′²(z² − 1)/(2q).
    pub fn derivative_square_slope(&self, q: f64) -> f64 {
        let deviation = q.sqrt();
        let breaks = self.breaks(0.0, deviation);
        let integral = self.integral(&breaks, TOLERANCE, (0.0, deviation), |at| {
            (at.slope * at.root).powi(2) * (at.z * at.z - 1.0)
        });
        integral / (2.0 * q)
    }

    /// The distribution of φ′(u)², u ~ N(0, q), q > 0, as some 2,000 (probability, value): for
    /// many integrals over it that are no sharper than a hundredth of a standard deviation.
    pub fn squared_derivatives(&self, q: f64) -> Vec<(f64, f64)> {
        const WIDEST_PANEL: f64 = 0.125;
        const POINTS: usize = 12;
        let deviation = q.sqrt();
        let rule = GaussLegendre::new(POINTS);
        let mut breaks = self.breaks(0.0, deviation);
        breaks.retain(|z| z.abs() <= FURTHEST_SAMPLE);
        let mut points = Vec::new();
        for pair in breaks.windows(2) {
            let panels = ((pair[1] - pair[0]) / WIDEST_PANEL).ceil().max(1.0);
            let half = 0.5 * (pair[1] - pair[0]) / panels;
            for panel in 0..panels as usize {
                let middle = pair[0] + (2.0 * panel as f64 + 1.0) * half;
                for (node, weight) in rule.nodes.iter().zip(&rule.weights) {
                    let z = middle + half * node;
                    let density = (-0.5 * z * z).exp() / std::f64::consts::TAU.sqrt();
                    let slope = self.activation.derivative(deviation * z);
                    points.push((half * weight * density, slope * slope));
                }
            }
        }
        points
    }

    /// E φ(u1) φ(u2) for two pre-activations of variance q and correlation c.
    pub fn product(&self, q: f64, c: f64) -> f64 {
        self.of_pair(q, c, |value, _| value)
    }

    /// E φ′(u1) φ′(u2) for two pre-activations of variance q and correlation c.
    pub fn derivative_product(&self, q: f64, c: f64) -> f64 {
        self.of_pair(q, c, |_, slope| slope)
    }

    fn of_pair(&self, q: f64, c: f64, f: impl Fn(f64, f64) -> f64) -> f64 {
        let deviation = q.sqrt();
        let c = c.clamp(-1.0, 1.0);
        if c == 1.0 {
            return self.mean_of_square(q, f);
        }
        if c == 0.0 {
            return self.expectation(q, f).powi(2);
        }
        // u1 = √q z1, u2 = √q (c z1 + s z2).
        let rest = deviation * ((1.0 - c) * (1.0 + c)).sqrt();
        // Where u2's kink is crossed in the mean, the inner integral bends within a width of s.
        let mut breaks = self.breaks(0.0, deviation);
        let bend = rest / deviation;
        for &kink in &self.kinks {
            let z = kink / (c * deviation);
            breaks.extend([z - 4.0 * bend, z, z + 4.0 * bend]);
        }
        breaks.retain(|z| z.abs() <= FURTHEST);
        breaks.sort_by(f64::total_cmp);
        breaks.dedup();
        self.integral(&breaks, OUTER_TOLERANCE, (0.0, deviation), |first| {
            let outer = f(first.value, first.slope) * first.root;
            if outer == 0.0 {
                return 0.0;
            }
            let mean = c * deviation * first.z;
            let inner = self.breaks(mean, rest);
            let inner = self.integral(&inner, INNER_TOLERANCE, (mean, rest), |second| {
                f(second.value, second.slope) * first.root * second.root.powi(2)
            });
            outer * inner
        })
    }
}

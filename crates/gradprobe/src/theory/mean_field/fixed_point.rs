//! Where the length map rests.

use super::maps::MeanField;
use crate::num::roots::roots_on;

/// The smallest and the largest q that is looked at, as powers of e, and the step between.
const SMALLEST: f64 = -27.0;
const LARGEST: f64 = 21.0;
const STEP: f64 = 0.25;
/// Relative differences below this are rounding.
const NOISE: f64 = 3e-13;
/// χ∥ within this of 1 is 1.
const MARGINAL: f64 = 1e-9;

/// The grid of q on which roots are looked for.
pub(super) fn grid() -> impl Iterator<Item = f64> {
    let steps = ((LARGEST - SMALLEST) / STEP) as u32;
    (0..=steps).map(|k| libm::exp(SMALLEST + STEP * f64::from(k)))
}

/// Does the length stay at a fixed point when it is moved away a little?
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stability {
    /// χ∥ < 1: it comes back, exponentially.
    Stable,
    /// χ∥ = 1 to first order, and it comes back as a power of the depth.
    PowerLaw,
    /// Every length is a fixed point: it stays where it is put.
    Marginal,
    /// χ∥ = 1, and it comes back from one side only.
    HalfStable,
    /// χ∥ > 1 (or = 1 and driven away on both sides): it leaves.
    Unstable,
}

impl Stability {
    /// Can a network be initialised there?
    pub fn holds(self) -> bool {
        matches!(self, Self::Stable | Self::PowerLaw | Self::Marginal)
    }

    /// In words.
    pub fn in_words(self) -> &'static str {
        match self {
            Self::Stable => "stable",
            Self::PowerLaw => "stable as a power law",
            Self::Marginal => "marginal",
            Self::HalfStable => "half-stable",
            Self::Unstable => "unstable",
        }
    }
}

/// A length that the map leaves where it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FixedPoint {
    /// q*.
    pub q: f64,
    /// χ1 there.
    pub chi_1: f64,
    /// χ∥ there.
    pub chi_parallel: f64,
    /// Does the length stay?
    pub stability: Stability,
}

/// All of them.
#[derive(Clone, Debug, PartialEq)]
pub enum FixedPoints {
    /// Every q is one: ReLU at its critical gain without a bias. χ1 is the same for all.
    Everywhere {
        /// χ1 at every q.
        chi_1: f64,
    },
    /// These, ascending; none where every length grows without end.
    At(Vec<FixedPoint>),
}

/// Where the length goes from a given one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum LengthLimit {
    /// To a fixed point.
    FixedPoint(FixedPoint),
    /// To zero, exponentially, though zero is no attractor of the map's scale: the map is a
    /// multiple of q (ReLU below its critical gain), or q = 0 is stable.
    Zero {
        /// χ1 in the limit.
        chi_1: f64,
    },
    /// Without end.
    Infinity {
        /// χ1 at the largest length looked at.
        chi_1: f64,
    },
}

impl LengthLimit {
    /// χ1 in the limit.
    pub fn chi_1(&self) -> f64 {
        match self {
            Self::FixedPoint(point) => point.chi_1,
            Self::Zero { chi_1 } | Self::Infinity { chi_1 } => *chi_1,
        }
    }

    /// q*, 0 or infinity.
    pub fn q(&self) -> f64 {
        match self {
            Self::FixedPoint(point) => point.q,
            Self::Zero { .. } => 0.0,
            Self::Infinity { .. } => f64::INFINITY,
        }
    }
}

impl MeanField<'_> {
    /// (V(q) − q)/q, with what is rounding taken for zero.
    fn drift(&self, q: f64) -> f64 {
        let drift = self.length_map(q) / q - 1.0;
        if drift.abs() < NOISE { 0.0 } else { drift }
    }

    /// The fixed points of the length map, by the sign of V(q) − q on a grid of q from 1e-12 to
    /// 1e9 and Brent's method between.
    pub fn fixed_points(&self) -> FixedPoints {
        if [1e-6, 1e-2, 1.0, 1e2, 1e6]
            .iter()
            .all(|&q| self.drift(q) == 0.0)
        {
            return FixedPoints::Everywhere {
                chi_1: self.chi_1(1.0),
            };
        }
        let mut points = Vec::new();
        if self.biases.sigma_b_squared() == 0.0 && self.moments.is_zero_at_zero() {
            points.push(self.at_zero());
        }
        let roots = roots_on(grid(), NOISE, |q| self.length_map(q) / q - 1.0);
        points.extend(roots.into_iter().map(|q| self.at(q)));
        FixedPoints::At(points)
    }

    /// What q = 0 is, where it is a fixed point.
    fn at_zero(&self) -> FixedPoint {
        let chi_parallel = self.chi_parallel(0.0);
        let stability = if (chi_parallel - 1.0).abs() < MARGINAL {
            // The next order decides: is a small length made smaller?
            match [1e-4, 1e-3].map(|q| self.drift(q)) {
                [a, b] if a == 0.0 && b == 0.0 => Stability::Marginal,
                [a, b] if a <= 0.0 && b <= 0.0 => Stability::PowerLaw,
                _ => Stability::Unstable,
            }
        } else if chi_parallel < 1.0 {
            Stability::Stable
        } else {
            Stability::Unstable
        };
        FixedPoint {
            q: 0.0,
            chi_1: self.chi_1(0.0),
            chi_parallel,
            stability,
        }
    }

    /// What a fixed point q > 0 is.
    pub(super) fn at(&self, q: f64) -> FixedPoint {
        let chi_parallel = self.chi_parallel(q);
        FixedPoint {
            q,
            chi_1: self.chi_1(q),
            chi_parallel,
            stability: if (chi_parallel - 1.0).abs() < MARGINAL {
                Stability::HalfStable
            } else if chi_parallel < 1.0 {
                Stability::Stable
            } else {
                Stability::Unstable
            },
        }
    }

    /// Where the length goes from `q`: to the next fixed point in the direction of V(q) − q.
    pub fn limit(&self, q: f64) -> LengthLimit {
        let points = match self.fixed_points() {
            FixedPoints::Everywhere { chi_1 } => {
                return LengthLimit::FixedPoint(FixedPoint {
                    q,
                    chi_1,
                    chi_parallel: 1.0,
                    stability: Stability::Marginal,
                });
            }
            FixedPoints::At(points) => points,
        };
        let drift = self.drift(q);
        let next = if drift == 0.0 {
            let near = |point: &&FixedPoint| (point.q / q - 1.0).abs() < 1e-6;
            points
                .iter()
                .find(near)
                .copied()
                .or_else(|| Some(self.at(q)))
        } else if drift > 0.0 {
            points.iter().find(|point| point.q > q).copied()
        } else {
            points.iter().rev().find(|point| point.q < q).copied()
        };
        match next {
            Some(point) => LengthLimit::FixedPoint(point),
            None if drift > 0.0 => LengthLimit::Infinity {
                chi_1: self.chi_1(libm::exp(LARGEST)),
            },
            None => LengthLimit::Zero {
                chi_1: self.chi_1(0.0),
            },
        }
    }
}

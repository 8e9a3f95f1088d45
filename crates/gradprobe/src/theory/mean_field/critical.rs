//! The edge of chaos: where χ1 = 1, and whether the length stays there.
//!
//! It is parametrised by q: σ_w² = 1/E φ′², σ_b² = q − σ_w² E φ². A point exists where σ_b² ≥ 0; a
//! network can be put there where the length stays at q. A solver that asks for χ1 = 1 alone
//! recommends unstable points for GELU, SiLU and Mish.

use super::fixed_point::{Stability, grid};
use super::maps::MeanField;
use super::moments::Moments;
use super::variances::{BiasVariance, WeightVariance};
use crate::num::roots::roots_on;
use crate::ops::activation::Activation;

/// Relative differences below this are rounding.
const NOISE: f64 = 1e-12;

/// A point of the edge of chaos.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CriticalPoint {
    /// σ_w²: its root is the critical gain.
    pub weights: WeightVariance,
    /// σ_b².
    pub biases: BiasVariance,
    /// q*; of a [`Stability::Marginal`] point any other would do.
    pub q: f64,
    /// χ∥.
    pub chi_parallel: f64,
    /// Does the length stay at q*?
    pub stability: Stability,
}

/// A point with χ1 = χ∥ = 1 and q* > 0 (Roberts, Yaida and Hanin 2022, section 5.3.4).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HalfStable {
    /// q* (K* in the book).
    pub q: f64,
    /// σ_w² (C_W).
    pub weights: WeightVariance,
    /// σ_b² (C_b).
    pub biases: BiasVariance,
}

/// How an activation behaves along its edge of chaos.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum UniversalityClass {
    /// φ(λu) = λφ(u): critical at one σ_w² and σ_b = 0, for every length (ReLU).
    ScaleInvariant,
    /// Critical without a bias at q* = 0, which attracts as a power law (tanh, sine).
    ZeroLength,
    /// Critical without a bias at a stable q* > 0 (sigmoid).
    FiniteLength,
    /// The points of χ1 = 1 with a small bias are unstable; they end in one that is stable from one
    /// side (GELU, SiLU, Mish).
    HalfStable(HalfStable),
    /// Critical with a bias only.
    WithBias,
    /// χ1 = 1 only where the length leaves.
    Unstable,
    /// Nowhere (softplus).
    NoCriticalPoint,
}

/// Why there is no critical gain for a σ_b.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum NoCriticalPoint {
    /// The activation has none at all: σ_b² would have to be negative.
    Nowhere,
    /// χ1 = 1 with this σ_b only where χ∥ > 1, so that the length leaves: at this σ_w².
    Unstable {
        /// The σ_w² that would be recommended in error.
        weights: WeightVariance,
        /// Its q*.
        q: f64,
        /// χ∥ there.
        chi_parallel: f64,
    },
    /// With another σ_b there is one, with this none.
    NotWithThisBias,
}

/// What is known of an activation's critical points with a given bias.
#[derive(Clone, Debug, PartialEq)]
pub struct Criticality {
    /// The class of the activation.
    pub class: UniversalityClass,
    /// Every point with χ1 = 1 and the given σ_b, by q.
    pub points: Vec<CriticalPoint>,
    /// The one to initialise at, or why there is none. Never one with χ∥ > 1.
    pub recommended: Result<CriticalPoint, NoCriticalPoint>,
}

/// The edge of chaos at q.
///
/// σ_b² may be negative: then no network has its edge of chaos at q. `None` where E φ′² is 0 or
/// something overflows.
fn edge_at(moments: &Moments<'_>, q: f64) -> Option<(f64, f64)> {
    let sigma_w_squared = 1.0 / moments.derivative_square(q);
    let sigma_b_squared = q - sigma_w_squared * moments.square(q);
    (sigma_w_squared.is_finite() && sigma_b_squared.is_finite())
        .then_some((sigma_w_squared, sigma_b_squared))
}

fn point(
    activation: &dyn Activation,
    q: f64,
    sigma_w_squared: f64,
    sigma_b_squared: f64,
) -> CriticalPoint {
    let weights = WeightVariance::from_sigma_w_squared(sigma_w_squared);
    let biases = BiasVariance::from_sigma_b_squared(sigma_b_squared);
    let at = MeanField::new(activation, weights, biases).at(q);
    CriticalPoint {
        weights,
        biases,
        q,
        chi_parallel: at.chi_parallel,
        stability: at.stability,
    }
}

/// The edge of chaos as a curve: the point at each q of `lengths` where there is one. For a phase
/// diagram.
pub fn edge_of_chaos(
    activation: &dyn Activation,
    lengths: impl IntoIterator<Item = f64>,
) -> Vec<CriticalPoint> {
    let moments = Moments::of(activation);
    lengths
        .into_iter()
        .filter_map(|q| {
            let (sigma_w_squared, sigma_b_squared) = edge_at(&moments, q)?;
            let rounding = NOISE * q;
            (sigma_b_squared >= -rounding)
                .then(|| point(activation, q, sigma_w_squared, sigma_b_squared.max(0.0)))
        })
        .collect()
}

/// The critical points of an activation with biases of a given variance, and the class it is of.
pub fn criticality(activation: &dyn Activation, biases: BiasVariance) -> Criticality {
    let moments = Moments::of(activation);
    if let Some(invariant) = scale_invariant(activation, &moments) {
        let with_bias = biases.sigma_b_squared() > 0.0;
        return Criticality {
            class: UniversalityClass::ScaleInvariant,
            points: if with_bias { vec![] } else { vec![invariant] },
            recommended: if with_bias {
                Err(NoCriticalPoint::NotWithThisBias)
            } else {
                Ok(invariant)
            },
        };
    }
    // σ_b² and χ∥ along the edge, once for everything below.
    let edge: Vec<(f64, f64, f64)> = grid()
        .filter_map(|q| {
            let (sigma_w_squared, sigma_b_squared) = edge_at(&moments, q)?;
            let chi_parallel = sigma_w_squared * moments.square_slope(q);
            Some((q, sigma_b_squared, chi_parallel))
        })
        .collect();
    let points = points(activation, &moments, biases);
    let recommended = points.iter().find(|point| point.stability.holds()).copied();
    let class = class(activation, &moments, &edge);
    let recommended = recommended.ok_or_else(|| match points.first() {
        Some(point) => NoCriticalPoint::Unstable {
            weights: point.weights,
            q: point.q,
            chi_parallel: point.chi_parallel,
        },
        None if class == UniversalityClass::NoCriticalPoint => NoCriticalPoint::Nowhere,
        None => NoCriticalPoint::NotWithThisBias,
    });
    Criticality {
        class,
        points,
        recommended,
    }
}

/// The critical point of an activation whose length map is a multiple of q.
fn scale_invariant(activation: &dyn Activation, moments: &Moments<'_>) -> Option<CriticalPoint> {
    const LENGTHS: [f64; 5] = [1e-6, 1e-2, 1.0, 1e2, 1e6];
    let sigma_w_squared = 1.0 / moments.derivative_square(1.0);
    let weights = WeightVariance::from_sigma_w_squared(sigma_w_squared);
    let network = MeanField::new(activation, weights, BiasVariance::ZERO);
    let same = |q: &f64| {
        (network.length_map(*q) / q - 1.0).abs() < NOISE && (network.chi_1(*q) - 1.0).abs() < NOISE
    };
    LENGTHS.iter().all(same).then_some(CriticalPoint {
        weights,
        biases: BiasVariance::ZERO,
        q: 1.0,
        chi_parallel: 1.0,
        stability: Stability::Marginal,
    })
}

/// Every point with χ1 = 1 and the given σ_b².
fn points(
    activation: &dyn Activation,
    moments: &Moments<'_>,
    biases: BiasVariance,
) -> Vec<CriticalPoint> {
    let sigma_b_squared = biases.sigma_b_squared();
    let mut points = Vec::new();
    if sigma_b_squared == 0.0 && moments.is_zero_at_zero() {
        let sigma_w_squared = 1.0 / moments.derivative_square(0.0);
        if sigma_w_squared.is_finite() {
            points.extend(at_zero(activation, sigma_w_squared));
        }
    }
    let roots = roots_on(grid(), NOISE, |q| {
        edge_at(moments, q).map_or(f64::NAN, |(_, at)| (at - sigma_b_squared) / q)
    });
    points.extend(roots.into_iter().filter_map(|q| {
        let (sigma_w_squared, _) = edge_at(moments, q)?;
        Some(point(activation, q, sigma_w_squared, sigma_b_squared))
    }));
    points
}

/// The point at q = 0 without a bias.
fn at_zero(activation: &dyn Activation, sigma_w_squared: f64) -> Option<CriticalPoint> {
    let weights = WeightVariance::from_sigma_w_squared(sigma_w_squared);
    let network = MeanField::new(activation, weights, BiasVariance::ZERO);
    let super::FixedPoints::At(points) = network.fixed_points() else {
        return None;
    };
    let at = points.first().filter(|point| point.q == 0.0)?;
    Some(CriticalPoint {
        weights,
        biases: BiasVariance::ZERO,
        q: 0.0,
        chi_parallel: at.chi_parallel,
        stability: at.stability,
    })
}

fn class(
    activation: &dyn Activation,
    moments: &Moments<'_>,
    edge: &[(f64, f64, f64)],
) -> UniversalityClass {
    let without_bias = points(activation, moments, BiasVariance::ZERO);
    let stable = without_bias.iter().find(|point| point.stability.holds());
    if let Some(point) = stable {
        return if point.q == 0.0 {
            UniversalityClass::ZeroLength
        } else {
            UniversalityClass::FiniteLength
        };
    }
    if let Some(point) = half_stable(moments) {
        return UniversalityClass::HalfStable(point);
    }
    let exists = |(q, sigma_b_squared, _): &&(f64, f64, f64)| *sigma_b_squared > NOISE * q;
    let mut exists = edge.iter().filter(exists).peekable();
    if exists.peek().is_none() && without_bias.is_empty() {
        UniversalityClass::NoCriticalPoint
    } else if exists.any(|&(_, _, chi_parallel)| chi_parallel < 1.0) {
        UniversalityClass::WithBias
    } else {
        UniversalityClass::Unstable
    }
}

/// Where χ∥ falls through 1 along the edge of chaos, at a σ_b² that is not negative.
fn half_stable(moments: &Moments<'_>) -> Option<HalfStable> {
    let chi_parallel = |q: f64| {
        let (sigma_w_squared, _) = edge_at(moments, q)?;
        Some(sigma_w_squared * moments.square_slope(q))
    };
    // Where q is tiny χ∥ is 1 but for rounding.
    let lengths = grid().filter(|q| (1e-4..1e8).contains(q));
    let roots = roots_on(lengths, 1e-9, |q| {
        chi_parallel(q).map_or(f64::NAN, |chi| chi - 1.0)
    });
    roots.into_iter().find_map(|q| {
        let (sigma_w_squared, sigma_b_squared) = edge_at(moments, q)?;
        (sigma_b_squared >= 0.0).then_some(HalfStable {
            q,
            weights: WeightVariance::from_sigma_w_squared(sigma_w_squared),
            biases: BiasVariance::from_sigma_b_squared(sigma_b_squared),
        })
    })
}

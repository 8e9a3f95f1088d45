//! Everything that theory says about dense layers of one activation, for the gains in question.

use super::finite_width::LogNormal;
use super::isometry::{JacobianSpectrum, WeightEnsemble};
use super::mean_field::{
    BiasVariance, CRITICAL, CriticalPoint, Criticality, LengthLimit, MeanField, NoCriticalPoint,
    Prediction, Stability, UniversalityClass, WeightVariance, predict,
};
use super::normalised::{
    batch_norm_rate, batch_norm_rate_of_large_batches, layer_norm_rate, pre_norm_residual_factors,
    residual_factors,
};
use crate::ops::activation::Activation;
use serde::Serialize;
use std::f64::consts::LN_10;

/// The length of the first pre-activation that predictions start from.
pub const FIRST_LENGTH: f64 = 1.0;
/// A signal is taken for lost when the gradient's norm has changed by so many decades.
pub const LOST_DECADES: f64 = 3.0;
/// Layers up to which it is looked for.
const MOST_LAYERS: usize = 2000;
/// χ1 within this of 1 is 1 for a length that is still growing at the largest that is looked at.
const SLOWLY: f64 = 1e-3;

/// What is asked about.
#[derive(Clone, Debug)]
pub struct Question<'a> {
    /// The activation.
    pub activation: &'a dyn Activation,
    /// σ_b².
    pub biases: BiasVariance,
    /// Layers.
    pub depth: usize,
    /// Units a layer.
    pub width: usize,
    /// Rows of a batch, for batch normalisation.
    pub batch: usize,
    /// Gains in use, each with the name of who uses it: a given σ_w, PyTorch's `calculate_gain`.
    pub gains: Vec<(String, WeightVariance)>,
}

/// A point (σ_w, σ_b).
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct PointOutlook {
    /// σ_w: the gain.
    pub sigma_w: f64,
    /// σ_w².
    pub sigma_w_squared: f64,
    /// σ_b.
    pub sigma_b: f64,
    /// σ_b².
    pub sigma_b_squared: f64,
    /// q*.
    pub q: f64,
    /// χ∥ there.
    pub chi_parallel: f64,
    /// Does the length stay?
    pub stability: Stability,
}

/// How the gradient changes deep in the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// χ1 = 1: it stays.
    Constant,
    /// By χ1 a layer.
    Exponential,
    /// χ1 → 1, as a power of the depth.
    PowerLaw,
}

/// What one gain does.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GainOutlook {
    /// Who uses it: `critical`, `PyTorch`, `He`, …
    pub names: Vec<String>,
    /// σ_w: the gain.
    pub sigma_w: f64,
    /// σ_w².
    pub sigma_w_squared: f64,
    /// Where the length goes: q*, 0, or infinite (`null` in JSON).
    pub q: f64,
    /// Does it stay there? `None` where it goes to 0 or infinity by the scale of the map.
    pub stability: Option<Stability>,
    /// The factor of the squared gradient norm a layer, deep in the network.
    pub chi_1: f64,
    /// dq′/dq in the limit.
    pub chi_parallel: Option<f64>,
    /// The law of the gradient.
    pub change: Change,
    /// ξ_∇ = −1/ln χ1, layers.
    pub gradient_depth_scale: f64,
    /// ξ_q = −1/ln χ∥, layers.
    pub length_depth_scale: Option<f64>,
    /// c*: the correlation that two inputs run to.
    pub correlation: Option<f64>,
    /// ξ_c, layers.
    pub correlation_depth_scale: Option<f64>,
    /// Layers after which the gradient's norm has changed by three decades, from q = 1; `None`:
    /// more than 2000.
    pub survives: Option<usize>,
    /// Decades that the gradient's norm gains over all layers, from q = 1: the mean over networks
    /// of this width.
    pub decades: f64,
    /// Its standard deviation over networks of this width.
    pub decades_deviation: f64,
    /// ln of the squared norm, from which the two are.
    pub log_normal: LogNormal,
    /// The spectrum of the Jacobian with Gaussian weights; `None` where the length has no limit.
    pub gaussian: Option<JacobianSpectrum>,
    /// The same with orthogonal weights.
    pub orthogonal: Option<JacobianSpectrum>,
    /// The factor of the squared gradient a layer with layer normalisation.
    pub layer_norm_rate: f64,
    /// Decades over all layers as residual blocks x + φ(W x).
    pub residual_decades: f64,
    /// The same with branches times 1/√depth.
    pub scaled_residual_decades: f64,
    /// The same with layer normalisation before each branch, x + φ(W LN(x)).
    pub pre_norm_residual_decades: f64,
}

/// Everything about an activation.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Outlook {
    /// The activation's name, or itself.
    pub activation: String,
    /// σ_b.
    pub sigma_b: f64,
    /// σ_b².
    pub sigma_b_squared: f64,
    /// Layers.
    pub depth: usize,
    /// Units a layer.
    pub width: usize,
    /// Rows of a batch.
    pub batch: usize,
    /// Its class: `scale-invariant`, `zero-length`, `finite-length`, `half-stable`, `with-bias`,
    /// `unstable`, `no-critical-point`.
    pub class: &'static str,
    /// The class in words.
    pub class_in_words: &'static str,
    /// Of the half-stable class: where χ1 = χ∥ = 1.
    pub half_stable: Option<PointOutlook>,
    /// The critical point for this σ_b; never one with χ∥ > 1.
    pub critical: Option<PointOutlook>,
    /// Why there is none.
    pub no_critical: Option<String>,
    /// Every point with χ1 = 1 and this σ_b, unstable ones too.
    pub edge_of_chaos: Vec<PointOutlook>,
    /// What each gain does.
    pub gains: Vec<GainOutlook>,
    /// The factor of the squared gradient a layer with batch normalisation in batches of this size;
    /// `None` below 4 rows.
    pub batch_norm_rate: Option<f64>,
    /// The same for large batches.
    pub batch_norm_rate_of_large_batches: f64,
    /// γ = sup|φ′|. A recurrent weight whose largest singular value is below 1/γ makes gradients
    /// vanish through time; one above is necessary for exploding, not sufficient (Pascanu et al.
    /// 2013).
    pub steepest: f64,
    /// 1/γ.
    pub recurrent_bound: f64,
}

impl Outlook {
    /// Answers a question.
    pub fn of(question: &Question<'_>) -> Self {
        let activation = question.activation;
        let Criticality {
            class,
            points,
            recommended,
        } = super::mean_field::criticality(activation, question.biases);
        let mut gains: Vec<(Vec<String>, WeightVariance)> = Vec::new();
        let mut add = |name: &str, weights: WeightVariance| {
            let near =
                |known: &WeightVariance| (known.sigma_w() / weights.sigma_w() - 1.0).abs() < 1e-12;
            match gains.iter_mut().find(|(_, known)| near(known)) {
                Some((names, _)) => names.push(name.to_owned()),
                None => gains.push((vec![name.to_owned()], weights)),
            }
        };
        let (given, usual): (Vec<_>, Vec<_>) =
            question.gains.iter().partition(|(name, _)| name == "given");
        for (name, weights) in given {
            add(name, *weights);
        }
        if let Ok(point) = &recommended {
            add("critical", point.weights);
        }
        for (name, weights) in usual {
            add(name, *weights);
        }
        let steepest = activation.steepest();
        Self {
            activation: activation.label(),
            sigma_b: question.biases.sigma_b(),
            sigma_b_squared: question.biases.sigma_b_squared(),
            depth: question.depth,
            width: question.width,
            batch: question.batch,
            class: class_name(class).0,
            class_in_words: class_name(class).1,
            half_stable: match class {
                UniversalityClass::HalfStable(point) => Some(PointOutlook {
                    sigma_w: point.weights.sigma_w(),
                    sigma_w_squared: point.weights.sigma_w_squared(),
                    sigma_b: point.biases.sigma_b(),
                    sigma_b_squared: point.biases.sigma_b_squared(),
                    q: point.q,
                    chi_parallel: 1.0,
                    stability: Stability::HalfStable,
                }),
                _ => None,
            },
            critical: recommended.ok().map(point_outlook),
            no_critical: recommended.err().map(|why| why_not(why, question.biases)),
            edge_of_chaos: points.into_iter().map(point_outlook).collect(),
            gains: gains
                .into_iter()
                .map(|(names, weights)| gain_outlook(question, names, weights))
                .collect(),
            batch_norm_rate: batch_norm_rate(activation, question.batch),
            batch_norm_rate_of_large_batches: batch_norm_rate_of_large_batches(activation),
            steepest,
            recurrent_bound: 1.0 / steepest,
        }
    }

    /// The gain that the details are about: the given one, else the critical, else the first.
    pub fn main_gain(&self) -> Option<&GainOutlook> {
        self.gains.first()
    }
}

fn class_name(class: UniversalityClass) -> (&'static str, &'static str) {
    match class {
        UniversalityClass::ScaleInvariant => (
            "scale-invariant",
            "scale-invariant: critical at one gain without a bias, for every length",
        ),
        UniversalityClass::ZeroLength => (
            "zero-length",
            "critical without a bias at q* = 0, which attracts as a power of the depth",
        ),
        UniversalityClass::FiniteLength => (
            "finite-length",
            "critical without a bias at a stable q* above 0",
        ),
        UniversalityClass::HalfStable(_) => (
            "half-stable",
            "half-stable: with a small bias the length leaves every point with χ1 = 1",
        ),
        UniversalityClass::WithBias => ("with-bias", "critical with a bias only"),
        UniversalityClass::Unstable => (
            "unstable",
            "χ1 = 1 only where the length leaves: no stable critical point",
        ),
        UniversalityClass::NoCriticalPoint => ("no-critical-point", "no critical point"),
    }
}

fn why_not(why: NoCriticalPoint, biases: BiasVariance) -> String {
    let sigma_b = biases.sigma_b();
    match why {
        NoCriticalPoint::Nowhere => {
            "χ1 = 1 would need a negative σ_b²: there is no critical point".into()
        }
        NoCriticalPoint::Unstable {
            weights,
            q,
            chi_parallel,
        } => format!(
            "χ1 = 1 at σ_w = {:.6} (q = {q:.4}), but the length leaves it (χ∥ = {chi_parallel:.4}): \
             not recommended",
            weights.sigma_w()
        ),
        NoCriticalPoint::NotWithThisBias => format!("none with σ_b = {sigma_b}"),
    }
}

fn point_outlook(point: CriticalPoint) -> PointOutlook {
    PointOutlook {
        sigma_w: point.weights.sigma_w(),
        sigma_w_squared: point.weights.sigma_w_squared(),
        sigma_b: point.biases.sigma_b(),
        sigma_b_squared: point.biases.sigma_b_squared(),
        q: point.q,
        chi_parallel: point.chi_parallel,
        stability: point.stability,
    }
}

fn gain_outlook(
    question: &Question<'_>,
    names: Vec<String>,
    weights: WeightVariance,
) -> GainOutlook {
    let activation = question.activation;
    let network = MeanField::new(activation, weights, question.biases);
    let prediction: Prediction = predict(activation, weights, question.biases, FIRST_LENGTH);
    let widths = vec![question.width; question.depth];
    let all = network.log_normal(FIRST_LENGTH, &widths, 1);
    let log_normal = all.last().copied().unwrap_or_default();
    let decades = |ln_squared: f64| 0.5 * ln_squared / LN_10;
    let spectrum = |ensemble| match prediction.limit {
        LengthLimit::FixedPoint(point) => Some(JacobianSpectrum::of(
            &network.moments,
            weights,
            point.q,
            question.depth,
            ensemble,
        )),
        _ => None,
    };
    let stability = match prediction.limit {
        LengthLimit::FixedPoint(point) => Some(point.stability),
        _ => None,
    };
    let product = |factors: Vec<f64>| decades(factors.iter().map(|f| f.ln()).sum());
    let unit = WeightVariance::from_sigma_w_squared(1.0);
    let scaled = WeightVariance::from_sigma_w_squared(1.0 / question.depth.max(1) as f64);
    let blocks = |outer| residual_factors(activation, weights, outer, 1.0, question.depth);
    // A length that grows without end takes its time: χ1 comes near 1 as a power of the depth.
    let grows = matches!(prediction.limit, LengthLimit::Infinity { .. });
    let off = (prediction.chi_1 - 1.0).abs();
    let shrinks = stability == Some(Stability::PowerLaw);
    let change = if (grows && off < SLOWLY) || (shrinks && off < CRITICAL) {
        Change::PowerLaw
    } else if off < CRITICAL {
        Change::Constant
    } else {
        Change::Exponential
    };
    GainOutlook {
        names,
        sigma_w: weights.sigma_w(),
        sigma_w_squared: weights.sigma_w_squared(),
        q: prediction.limit.q(),
        stability,
        chi_1: prediction.chi_1,
        chi_parallel: prediction.chi_parallel,
        change,
        gradient_depth_scale: match change {
            Change::Exponential => prediction.gradient_depth_scale(),
            _ => f64::INFINITY,
        },
        length_depth_scale: prediction.length_depth_scale(),
        correlation: prediction.correlation.map(|point| point.c),
        correlation_depth_scale: prediction.correlation_depth_scale(),
        survives: survives(&network, &prediction),
        decades: decades(log_normal.mean),
        decades_deviation: decades(log_normal.deviation()),
        log_normal,
        gaussian: spectrum(WeightEnsemble::Gaussian),
        orthogonal: spectrum(WeightEnsemble::Orthogonal),
        layer_norm_rate: layer_norm_rate(activation, weights, question.biases),
        residual_decades: product(blocks(unit)),
        scaled_residual_decades: product(blocks(scaled)),
        pre_norm_residual_decades: product(pre_norm_residual_factors(
            activation,
            weights,
            unit,
            1.0,
            question.depth,
        )),
    }
}

/// Layers after which the gradient's norm has changed by [`LOST_DECADES`].
fn survives(network: &MeanField<'_>, prediction: &Prediction) -> Option<usize> {
    let lost = 2.0 * LOST_DECADES * LN_10;
    let (mut q, mut sum) = (FIRST_LENGTH, 0.0f64);
    for layer in 1..=MOST_LAYERS {
        let log = libm::log(network.chi_1(q));
        sum += log;
        if sum.abs() >= lost || sum.is_nan() {
            return Some(layer);
        }
        let next = network.length_map(q);
        let settled = (next / q - 1.0).abs() < 1e-11 || !(1e-12..1e8).contains(&next);
        if settled {
            let log = libm::log(prediction.chi_1);
            let left = (lost.copysign(log) - sum) / log;
            let layers = layer as f64 + left.ceil();
            return (layers <= MOST_LAYERS as f64).then_some(layers as usize);
        }
        q = next;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::activation::parse;

    fn outlook(name: &str, gains: &[(&str, f64)]) -> Outlook {
        let activation = parse(name).expect("known");
        let gains = gains
            .iter()
            .map(|&(name, gain)| (name.to_owned(), WeightVariance::from_sigma_w(gain)));
        Outlook::of(&Question {
            activation: &*activation,
            biases: BiasVariance::ZERO,
            depth: 50,
            width: 256,
            batch: 64,
            gains: gains.collect(),
        })
    }

    #[test]
    fn a_gain_in_use_is_told_with_what_it_does() {
        let tanh = outlook("tanh", &[("PyTorch", 5.0 / 3.0), ("given", 0.9)]);
        let names: Vec<&str> = tanh
            .gains
            .iter()
            .map(|gain| gain.names[0].as_str())
            .collect();
        assert_eq!(names, ["given", "critical", "PyTorch"]);
        assert!((tanh.gains[2].chi_1 - 1.2098313204).abs() < 1e-9);
        assert_eq!(tanh.gains[1].change, Change::PowerLaw);
        // 0.81 a layer: six decades of the square take 65 layers, a few fewer while q is large.
        let survives = tanh.gains[0].survives.expect("it vanishes");
        assert!((55..=66).contains(&survives), "{survives}");
        let gelu = outlook("gelu", &[("He", 2f64.sqrt())]);
        assert!(gelu.critical.is_none() && gelu.half_stable.is_some());
        assert_eq!(gelu.class, "half-stable");
        let relu = outlook("relu", &[("PyTorch", 2f64.sqrt()), ("He", 2f64.sqrt())]);
        assert_eq!(relu.gains.len(), 1);
        assert_eq!(relu.gains[0].survives, None);
        assert!((relu.gains[0].log_normal.variance - 250.0 / 256.0).abs() < 1e-6);
    }
}

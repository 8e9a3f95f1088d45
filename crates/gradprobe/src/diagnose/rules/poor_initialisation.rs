//! Weights of another size than their activation wants.

use super::super::finding::{Finding, Severity};
use super::super::judged::judged_layers;
use super::super::rule::{Examination, Page, Rule, RuleSubject, Setting};
use crate::measure::{LayerMeasurement, LayerRun, RunMeasurement};
use crate::ops::activation::{Activation, parse};
use crate::theory::mean_field::Moments;
use std::collections::BTreeMap;
use std::sync::Arc;

/// How far χ1 may be from 1.
pub const FACTOR: Setting = Setting {
    name: "factor",
    default: 1.1,
    unit: "",
    least: 1.0,
    most: f64::INFINITY,
    reason: "χ1, the factor that mean-field theory gives the squared gradient a layer, is a note where it \
             is above this or below its inverse.",
    source: "PyTorch's gain 5/3 for tanh gives 1.21, He's √2 with GELU or SiLU 0.5, Xavier with sigmoid \
             0.06; finite widths from 32 move it by less",
};

/// What it comes to over the depth of the network.
pub const DECADES: Setting = Setting {
    name: "decades",
    default: 2.0,
    unit: "decades",
    least: 0.0,
    most: f64::INFINITY,
    reason: "A χ1 away from 1 is a warning where over the layers of this network theory and measurement \
             both say that it changes the gradient by so much. Few layers bear any initialisation.",
    source: "a decade below what `vanishing-gradient` calls an error",
};

/// Fewer linear layers have no depth.
const FEWEST_PAIRS: usize = 2;

/// The rule.
pub static RULE: Rule = Rule {
    code: "GP009",
    name: "poor-initialisation",
    severity: Severity::Warning,
    summary: "the weights' variance is not what the activation wants: χ1 is away from 1",
    subject: RuleSubject::Network,
    page: Page {
        meaning: "At initialisation every layer multiplies the squared gradient by χ1 = σ_w² E φ′(√q z)², \
                  where σ_w² is the weights' variance times fan_in, q the mean square of the \
                  pre-activations and z a standard normal number. Only at χ1 = 1, the edge of chaos, \
                  does depth not matter.",
        importance: "χ1 to the power of half the depth is what the first layers' gradients are too small \
                     or too large by. Which σ_w² gives 1 depends on the activation: He's 2 is ReLU's, and \
                     loses with GELU half of the square at every layer.",
        evidence: "σ_w² and q of the layers as measured, χ1 as the geometric mean over the \
                   second half of them, where q is near its fixed point, what it comes to over \
                   the depth, what was measured beside it, and the σ_w² that would give 1 at this q.",
        look_alikes: "Given weights may be trained, and are not judged. Layers with a normalisation after \
                      their weights do not care about the weights' size; residual branches have an \
                      arithmetic of their own (`residual-growth`). Critical tanh loses signal as a power \
                      law with χ1 a little below 1 at every depth, which is as good as it gets.",
        remedies: "The gain for the activation at hand, which `gradprobe theory --activation` computes; \
                   2/fan_in for ReLU, 1/fan_in for tanh and SELU, about 2/fan_in with biases \
                   for GELU and SiLU. For the sigmoid no usable one exists: use another activation.",
        references: "Poole et al. 2016; Schoenholz et al. 2017; He et al. 2015; Hayou, Doucet and Rousseau \
                     2019.",
    },
    settings: &[FACTOR, DECADES],
    check,
};

/// What theory says of a stretch of plain linear layers.
struct Prediction {
    /// log10 χ1 of each layer that has one before it.
    log10_chi: Vec<f64>,
    weight_variance: f64,
    length: f64,
    slope: f64,
}

fn check(examined: &Examination<'_>) -> Vec<Finding> {
    let measurement = examined.measurement;
    if !measurement.draws_weights {
        return Vec::new();
    }
    let judged = judged_layers(measurement);
    if let Some(finding) = unbounded_slope(examined, &judged) {
        return vec![finding];
    }
    let names: Vec<&str> = judged
        .iter()
        .map(|layer| layer.median.name.as_str())
        .collect();
    let chains: Option<Vec<Vec<Link<'_>>>> = measurement
        .runs
        .iter()
        .map(|run| chain(run, &names))
        .collect();
    let slopes = Slopes::of(chains.iter().flatten().flatten());
    let predictions: Option<Vec<Prediction>> = chains
        .iter()
        .flatten()
        .map(|links| predict(links, &slopes))
        .collect();
    let Some(mut predictions) = predictions.filter(|all| !all.is_empty()) else {
        return Vec::new();
    };
    // Deep in the stretch, where the length of the signal has come near its fixed point.
    let per_layer = |p: &Prediction| {
        let deep = &p.log10_chi[p.log10_chi.len() / 2..];
        deep.iter().sum::<f64>() / deep.len() as f64
    };
    let least = examined.setting(&FACTOR).log10();
    let mut seeds = examined.agreement(|_| false);
    seeds.agreeing = predictions
        .iter()
        .filter(|p| per_layer(p).abs() >= least)
        .count();
    if !seeds.is_agreed() {
        return Vec::new();
    }
    let figures: Vec<Option<f64>> = predictions
        .iter()
        .map(|p| Some(10f64.powf(per_layer(p))))
        .collect();
    predictions.sort_by(|a, b| per_layer(a).total_cmp(&per_layer(b)));
    let median = &predictions[predictions.len() / 2];
    let chi = 10f64.powf(per_layer(median));
    let predicted = 0.5 * median.log10_chi.iter().sum::<f64>();
    let activations: Vec<&str> = judged
        .iter()
        .filter_map(|layer| layer.median.activation.as_deref())
        .collect();
    let activation = activations.first().copied().unwrap_or("linear");
    let measured = judged
        .first()
        .and_then(|layer| layer.median.backward_decades);
    let bound = examined.setting(&DECADES);
    let serious = predicted.abs() >= bound
        && measured.is_some_and(|measured| measured * predicted.signum() >= bound);
    let message = format!(
        "{activation} with σ_w² = {:.3} has χ1 = {chi:.3} a layer in the second half (q = {:.3} on \
         average): {} of {:.1} decades over \
         {} layers by theory",
        median.weight_variance,
        median.length,
        if predicted < 0.0 { "a loss" } else { "a gain" },
        predicted.abs(),
        median.log10_chi.len(),
    );
    let beside = measured.map_or_else(String::new, |measured| {
        format!(
            "measured: {measured:+.1} decades at the output of `{}`",
            names[0]
        )
    });
    let better = 1.0 / median.slope;
    let wanted = if better.is_finite() && better < 50.0 {
        format!("σ_w² = {better:.3} would give χ1 = 1 at this q")
    } else {
        "no σ_w² of a usable size gives χ1 = 1".into()
    };
    let severity = if serious {
        Severity::Warning
    } else {
        Severity::Info
    };
    let finding = examined
        .finding_by(&FACTOR, severity, chi, message)
        .seen_by(seeds)
        .over(&figures)
        .because(beside)
        .because(wanted);
    vec![finding]
}

/// An activation whose slope has no bound, such as e^x: q′ = σ_w² E φ² grows without end unless the
/// weights are tiny, whatever the depth.
fn unbounded_slope(examined: &Examination<'_>, judged: &[&LayerMeasurement]) -> Option<Finding> {
    let unbounded = |layer: &&&LayerMeasurement| {
        let activation = match &layer.median.activation {
            Some(label) => parse(label).ok(),
            None => None,
        };
        !layer.median.normalised && activation.is_some_and(|a| a.steepest().is_infinite())
    };
    let layer = judged.iter().find(unbounded)?;
    let name = layer.median.activation.as_deref().unwrap_or_default();
    let message = format!(
        "{name} at `{}` has a slope without bound: the length q of the signal has no stable fixed point \
         at a usual σ_w², so that no initialisation keeps it through several layers",
        layer.median.name
    );
    let finding = examined.finding(Severity::Warning, message);
    Some(
        finding
            .at(&layer.median.name)
            .seen_by(examined.agreement(|_| true)),
    )
}

/// A layer that reads the one before it through an activation.
struct Link<'a> {
    activation: &'a str,
    /// q, the mean square of what goes into the activation.
    length: f64,
    /// σ_w².
    variance: f64,
}

/// The chain of judged layers; `None` unless all are plain linear layers.
fn chain<'a>(run: &'a RunMeasurement, names: &[&str]) -> Option<Vec<Link<'a>>> {
    let layers: Vec<&LayerRun> = names
        .iter()
        .map(|name| run.layers.iter().find(|layer| layer.name == *name))
        .collect::<Option<_>>()?;
    let mut links = Vec::new();
    for pair in layers.windows(2) {
        let (before, layer) = (pair[0], pair[1]);
        let weight = layer
            .parameters
            .iter()
            .find(|parameter| parameter.fan_in.is_some())?;
        let plain = layer.paths.is_empty() && before.paths.is_empty();
        if weight.shape.len() != 2 || !plain || layer.normalised || before.normalised {
            return None;
        }
        // A last layer is often made small on purpose.
        if layer.activation.is_none() {
            continue;
        }
        links.push(Link {
            activation: before.activation.as_deref()?,
            length: before.pre_activation?.rms.powi(2),
            variance: weight.value_rms.powi(2) * weight.fan_in? as f64,
        });
    }
    Some(links)
}

fn predict(links: &[Link<'_>], slopes: &Slopes<'_>) -> Option<Prediction> {
    let mut prediction = Prediction {
        log10_chi: Vec::new(),
        weight_variance: 0.0,
        length: 0.0,
        slope: 0.0,
    };
    for link in links {
        let slope = slopes.at(link)?;
        prediction
            .log10_chi
            .push((link.variance * slope).max(1e-300).log10());
        prediction.weight_variance += link.variance;
        prediction.length += link.length;
        prediction.slope += slope;
    }
    let count = prediction.log10_chi.len() as f64;
    prediction.weight_variance /= count;
    prediction.length /= count;
    prediction.slope /= count;
    (prediction.log10_chi.len() >= FEWEST_PAIRS).then_some(prediction)
}

/// E φ′(√q z)² for every q that is asked for. In a deep network these are many and close together, so
/// the integral is taken at a few and interpolated in the logarithms, by cubics through four: that is
/// right to a thousandth, where the measured q is to a hundredth.
struct Slopes<'a>(BTreeMap<&'a str, Table>);

struct Table {
    activation: Arc<dyn Activation>,
    /// ln q of the first knot, and ln E φ′² at all of them: one before the shortest length, and one
    /// beyond the longest.
    first: f64,
    knots: Vec<f64>,
}

/// ln q from one knot to the next.
const STEP: f64 = 0.3;

impl<'a> Slopes<'a> {
    fn of(links: impl Iterator<Item = &'a Link<'a>>) -> Self {
        let mut lengths: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
        for link in links {
            lengths
                .entry(link.activation)
                .or_default()
                .push(link.length);
        }
        let tables = lengths
            .into_iter()
            .filter_map(|(name, lengths)| Some((name, Table::of(parse(name).ok()?, &lengths))));
        Self(tables.collect())
    }

    fn at(&self, link: &Link<'_>) -> Option<f64> {
        Some(self.0.get(link.activation)?.at(link.length))
    }
}

impl Table {
    fn of(activation: Arc<dyn Activation>, lengths: &[f64]) -> Self {
        let moments = Moments::of(&*activation);
        let logarithms = lengths.iter().map(|length| length.ln());
        let (low, high) = logarithms.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| {
            (low.min(x), high.max(x))
        });
        let first = low - STEP;
        let count = ((high - low) / STEP).ceil() + 3.0;
        let knot = |index: usize| {
            let length = (first + STEP * index as f64).exp();
            moments.derivative_square(length).max(1e-300).ln()
        };
        let mut knots = Vec::new();
        if count.is_finite() && (count as usize) < lengths.len() {
            knots.extend((0..count as usize).map(knot));
        }
        Self {
            activation,
            first,
            knots,
        }
    }

    fn at(&self, length: f64) -> f64 {
        let exact = || Moments::of(&*self.activation).derivative_square(length);
        let place = (length.ln() - self.first) / STEP;
        // NaN is on no side of anything.
        if !(place >= 0.5 && place < self.knots.len() as f64) {
            return exact();
        }
        let index = place.max(1.0) as usize;
        match self.knots.get(index - 1..index + 3) {
            Some(&[a, b, c, d]) => cubic([a, b, c, d], place - index as f64).exp(),
            _ => match self.knots.get(index - 1..index + 2) {
                // At the longest length itself.
                Some(&[a, b, c]) => cubic([a, b, c, c], place - index as f64).exp(),
                _ => exact(),
            },
        }
    }
}

/// Catmull and Rom's cubic between the second and the third of four values at equal steps.
fn cubic([a, b, c, d]: [f64; 4], part: f64) -> f64 {
    let (slope, bend) = (c - a, 2.0 * a - 5.0 * b + 4.0 * c - d);
    let twist = 3.0 * (b - c) + d - a;
    b + 0.5 * part * (slope + part * (bend + part * twist))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn between_two_knots_a_slope_is_right_to_a_thousandth() {
        for name in ["tanh", "gelu", "relu", "sigmoid"] {
            let activation = || parse(name).expect("an activation");
            let lengths: Vec<f64> = (0..100)
                .map(|i| (0.07 * f64::from(i) - 4.0).exp())
                .collect();
            let table = Table::of(activation(), &lengths);
            assert!(!table.knots.is_empty());
            for length in lengths {
                let exact = Moments::of(&*activation()).derivative_square(length);
                let error = table.at(length) / exact - 1.0;
                assert!(error.abs() < 1e-3, "{name} {length}: {error}");
            }
        }
    }
}

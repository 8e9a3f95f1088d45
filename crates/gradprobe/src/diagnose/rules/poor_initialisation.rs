//! Weights of another size than their activation wants.

use super::super::finding::{Finding, Severity};
use super::super::rule::{Examination, Page, Rule, RuleSubject, Setting};
use super::super::verdict::judged_layers;
use crate::measure::{LayerMeasurement, LayerRun, RunMeasurement};
use crate::ops::activation::parse;
use crate::theory::mean_field::Moments;

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
    let predictions: Option<Vec<Prediction>> = measurement
        .runs
        .iter()
        .map(|run| predict(run, &names))
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
        let name = layer.median.activation.as_deref();
        let activation = name.and_then(|name| parse(name).ok());
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

/// Follows the chain of judged layers; `None` unless all are plain linear layers.
fn predict(run: &RunMeasurement, names: &[&str]) -> Option<Prediction> {
    let layers: Vec<&LayerRun> = names
        .iter()
        .map(|name| run.layers.iter().find(|layer| layer.name == *name))
        .collect::<Option<_>>()?;
    let mut prediction = Prediction {
        log10_chi: Vec::new(),
        weight_variance: 0.0,
        length: 0.0,
        slope: 0.0,
    };
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
        let activation = parse(before.activation.as_deref()?).ok()?;
        let length = before.pre_activation?.rms.powi(2);
        let variance = weight.value_rms.powi(2) * weight.fan_in? as f64;
        let slope = Moments::of(&*activation).derivative_square(length);
        prediction
            .log10_chi
            .push((variance * slope).max(1e-300).log10());
        prediction.weight_variance += variance;
        prediction.length += length;
        prediction.slope += slope;
    }
    let count = prediction.log10_chi.len() as f64;
    prediction.weight_variance /= count;
    prediction.length /= count;
    prediction.slope /= count;
    (prediction.log10_chi.len() >= FEWEST_PAIRS).then_some(prediction)
}

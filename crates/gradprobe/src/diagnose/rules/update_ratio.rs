//! The first update beside the weights.

use super::super::finding::{Finding, Severity};
use super::super::rule::{Examination, Page, Rule, RuleSubject, Setting};
use crate::measure::{Optimiser, ParameterRun};

/// Too large.
pub const LARGEST: Setting = Setting {
    name: "largest",
    default: -0.5,
    unit: "decades",
    least: f64::MIN,
    most: f64::INFINITY,
    reason: "log10 of the first update of a weight over the weight, both as root mean square: from a third \
             on, one step makes another network of it.",
    source: "10^−3 is the usual advice (CS231n; Karpathy, makemore part 3); networks that train well here \
             begin at 10^−1.2 and less",
};

/// Too small.
pub const SMALLEST: Setting = Setting {
    name: "smallest",
    default: -5.5,
    unit: "decades",
    least: f64::MIN,
    most: f64::INFINITY,
    reason: "log10 of that ratio where even the fastest weight of the network is below it: three \
             hundred thousand steps to move by its own size are more than most trainings make.",
    source: "10^−3 is the usual advice, small convolutional networks at SGD's 10^−3 begin at 10^−4.6; f32 holds \
             7 digits, so that two decades below updates begin to round away; SageMaker Debugger draws the line at 10^−8",
};

/// The loss after the step.
pub const GROWTH: Setting = Setting {
    name: "growth",
    default: 1.5,
    unit: "",
    least: 1.0,
    most: f64::INFINITY,
    reason: "The loss of the batch after the first update over that before. The step is against this \
             batch's own gradient, so a loss that is higher after it has gone past the valley: a \
             learning rate beyond twice the inverse of the curvature.",
    source: "training survives a little of it (Lewkowycz et al. 2020, the catapult); at half as much again \
             the first steps climb",
};

/// The rule.
pub static RULE: Rule = Rule {
    code: "GP017",
    name: "update-ratio",
    severity: Severity::Warning,
    summary: "the first update is too large or too small beside the weights",
    subject: RuleSubject::Optimiser,
    page: Page {
        meaning: "For the given optimiser and learning rate the first step moves a weight by more than a \
                  third of its size, or makes the loss of its own batch larger, or moves no weight of the \
                  network by more than 10^−5.5 of its size.",
        importance: "Too large a step destroys what the initialisation was chosen for; too small a one \
                     trains nothing, and in low precision is lost in rounding.",
        evidence: "The weight with the largest ratio, for SGD and momentum by the gradient, for Adam and \
                   AdamW by the learning rate (its first step is lr wherever |g| ≫ ε). Where that is above 10^−2.5, \
                   the first seed's step is made and the loss of the same batch computed again (in \
                   networks of up to 16 million trained numbers). With SGD the \
                   ratio grows with the scale of the loss as training does, so this rule, alone of all, \
                   depends on that; it judges the learning rate and is no part of the verdict on the \
                   network.",
        look_alikes: "Weights that a normalisation follows may take large steps: only their direction \
                      matters, and they are left out. Biases begin at zero, so their ratio says nothing. \
                      Single slow layers are `vanishing-gradient`.",
        remedies: "Another learning rate; a warm-up; a mean and not a sum over the batch in the loss; \
                   clipping where single batches are to blame.",
        references: "Karpathy 2022, makemore part 3; Lewkowycz et al. 2020, The large learning rate \
                     phase of deep learning; Kingma and Ba 2015; Loshchilov and Hutter 2019.",
    },
    settings: &[LARGEST, SMALLEST, GROWTH],
    check,
};

fn check(examined: &Examination<'_>) -> Vec<Finding> {
    let measurement = examined.measurement;
    // Without a loss the gradient's size means nothing.
    let (Some(optimiser), Some(_)) = (measurement.optimiser, measurement.loss) else {
        return Vec::new();
    };
    let counts = |parameter: &&ParameterRun| parameter.fan_in.is_some() && !parameter.normalised;
    let ratio =
        |parameter: &ParameterRun| parameter.log10_update_ratio.unwrap_or(f64::NEG_INFINITY);
    let all = measurement.layers.iter().flat_map(|layer| {
        let parameters = layer.median.parameters.iter().filter(counts);
        parameters.map(|parameter| (layer.median.name.as_str(), parameter))
    });
    let largest = all.max_by(|a, b| ratio(a.1).total_cmp(&ratio(b.1)));
    let Some((layer, largest)) = largest.filter(|(_, p)| p.log10_update_ratio.is_some()) else {
        return Vec::new();
    };
    let of_run = |run: &crate::measure::RunMeasurement| {
        let parameters = run
            .layers
            .iter()
            .flat_map(|layer| &layer.parameters)
            .filter(counts);
        parameters.map(ratio).fold(f64::NEG_INFINITY, f64::max)
    };
    let (most, least) = (examined.setting(&LARGEST), examined.setting(&SMALLEST));
    let too_large = examined.agreement(|run| of_run(run) >= most);
    let too_small = examined.agreement(|run| of_run(run) <= least);
    let figures: Vec<Option<f64>> = measurement
        .runs
        .iter()
        .map(|run| Some(of_run(run)).filter(|r| r.is_finite()))
        .collect();
    let measured = ratio(largest);
    let by = optimiser_in_words(optimiser);
    if too_large.is_agreed() {
        let message = format!(
            "{by} moves `{}` by 10^{measured:.1} of its size in the first step",
            largest.name
        );
        let finding = examined.finding_by(&LARGEST, Severity::Warning, measured, message);
        return vec![finding.at(layer).seen_by(too_large).over(&figures)];
    }
    if let Some(step) = measurement.first_step
        && step.growth() >= examined.setting(&GROWTH)
    {
        let after = step.loss_after.map_or_else(
            || "a number that is not finite".into(),
            |loss| format!("{loss:.3}"),
        );
        let message = format!(
            "{by} goes past the valley: its first step takes the loss of its own batch from {:.3} to {after}",
            step.loss_before
        );
        let finding = examined.finding_by(&GROWTH, Severity::Warning, step.growth(), message);
        return vec![finding.because(format!(
            "it moves `{}` by 10^{measured:.1} of its size",
            largest.name
        ))];
    }
    if too_small.is_agreed() {
        let message = format!(
            "{by} moves no weight by more than 10^{measured:.1} of its size in the first step (`{}`)",
            largest.name
        );
        let finding = examined.finding_by(&SMALLEST, Severity::Warning, measured, message);
        return vec![finding.seen_by(too_small).over(&figures)];
    }
    Vec::new()
}

fn optimiser_in_words(optimiser: Optimiser) -> String {
    match optimiser {
        Optimiser::Sgd { learning_rate } => format!("SGD at {learning_rate}"),
        Optimiser::Adam {
            learning_rate,
            weight_decay,
            ..
        } => {
            let name = if weight_decay > 0.0 { "AdamW" } else { "Adam" };
            format!("{name} at {learning_rate}")
        }
    }
}

//! Linear layers with nothing nonlinear between them.

use super::super::finding::{Finding, Severity};
use super::super::judged::judged_layers;
use super::super::rule::{Examination, Page, Rule, RuleSubject};
use crate::measure::{LayerRun, Measurement};

/// The rule.
pub static RULE: Rule = Rule {
    code: "GP025",
    name: "linear-network",
    severity: Severity::Warning,
    summary: "there is no activation between linear layers: together they are one",
    subject: RuleSubject::Network,
    page: Page {
        meaning: "A linear map of a linear map is a linear map. Where a network has no activation at all it \
                  is a linear regression, whatever its depth.",
        importance: "It cannot fit what one linear layer cannot, and takes longer for it. Gradients look \
                     healthy, so nothing else shows it.",
        evidence: "That no layer of the network has an activation, a normalisation or anything else that \
                   is not linear; or, as a note, the first pair of linear layers that follow each other.",
        look_alikes: "A pair with fewer units between than on either side is a factorisation on purpose, \
                      and is not told. Layers with a normalisation, recurrent layers, attention and pooling \
                      of maxima are not linear. A softmax or sigmoid inside the loss comes after the last \
                      layer and makes none of them worth more.",
        remedies: "An activation after each linear layer but the last; or one layer instead of two.",
        references: "Saxe, McClelland and Ganguli 2014, Exact solutions to the nonlinear dynamics of learning \
                     in deep linear networks; Humbatova et al. 2020 (missing activation).",
    },
    settings: &[],
    check,
};

fn check(examined: &Examination<'_>) -> Vec<Finding> {
    let measurement = examined.measurement;
    if measurement.loss.is_none() {
        return Vec::new();
    }
    let judged = judged_layers(measurement);
    let weighted: Vec<&LayerRun> = judged.iter().map(|layer| &layer.median).collect();
    if weighted.len() > 1 && is_linear(measurement) {
        let message = format!(
            "none of the {} layers has an activation: the network is one linear map",
            weighted.len()
        );
        return vec![examined.finding(Severity::Warning, message)];
    }
    let all: Vec<&LayerRun> = measurement
        .layers
        .iter()
        .map(|layer| &layer.median)
        .collect();
    let pair = all.windows(2).find(|pair| is_one(pair[0], pair[1]));
    let found = pair.map(|pair| {
        let message = format!(
            "there is no activation between `{}` and `{}`: together they are one linear map",
            pair[0].name, pair[1].name
        );
        examined.finding(Severity::Info, message).at(&pair[0].name)
    });
    found.into_iter().collect()
}

fn is_linear(measurement: &Measurement) -> bool {
    measurement.layers.iter().all(|layer| {
        let layer = &layer.median;
        layer.is_linear && layer.paths.is_empty() && layer.on_spine
    })
}

/// Are two neighbours linear layers on vectors, the first without an activation and with no fewer
/// units than go in or out?
fn is_one(before: &LayerRun, layer: &LayerRun) -> bool {
    let linear = |layer: &LayerRun| {
        let weights = layer.parameters.iter();
        let mut maps = weights.filter(|parameter| parameter.fan_in.is_some());
        // Where there are several (queries, keys and values) it is more than a linear map.
        let (weight, None) = (maps.next()?, maps.next()) else {
            return None;
        };
        let inputs = weight.fan_in?;
        let units = weight.shape.iter().product::<usize>() / inputs.max(1);
        let plain = layer.on_spine && layer.paths.is_empty();
        (plain && weight.shape.len() == 2).then_some((units, inputs))
    };
    let (Some((units, inputs)), Some((outputs, _))) = (linear(before), linear(layer)) else {
        return false;
    };
    before.is_linear && units >= inputs.min(outputs)
}

//! Units that pass no gradient.

use super::super::finding::{Agreement, Finding, Severity};
use super::super::judged::judged_layers;
use super::super::rule::{Examination, Page, Rule, RuleSubject, Setting};
use crate::measure::LayerRun;

/// The share of a layer's units.
pub const SHARE: Setting = Setting {
    name: "share",
    default: 0.9,
    unit: "",
    least: 0.0,
    most: 1.0,
    reason: "The share of a layer's units that pass no gradient for any row of the batch. Deep ReLU \
             layers see nearly the same direction for every sample, so at initialisation up to half \
             their units (in narrow layers more) are off for a whole batch without harm.",
    source: "healthy ReLU networks of 20 layers have 10 to 60 % here; SageMaker Debugger draws the line \
             at half, which they cross",
};

/// The chance that an input is lost.
pub const CHANCE: Setting = Setting {
    name: "chance",
    default: 0.1,
    unit: "",
    least: 0.0,
    most: 1.0,
    reason: "The chance, over initialisations, that some layer of the chain is off for a given input, \
             so that nothing passes: 1 − ∏(1 − 2^−n) over the layers' widths n.",
    source: "Lu, Shin, Su and Karniadakis 2019, Dying ReLU and initialization; 40 % at width 5 and 16 \
             layers, 2 % at width 10 and 20",
};

/// The rule.
pub static RULE: Rule = Rule {
    code: "GP008",
    name: "dead-units",
    severity: Severity::Error,
    summary: "units, or whole layers, are on the flat side of their activation for every sample",
    subject: RuleSubject::Network,
    page: Page {
        meaning: "A ReLU whose input is negative for every sample hands nothing on and nothing back. A \
                  layer in which all units are so cuts the network in two: nothing before it learns, \
                  and the output is the same for every input.",
        importance: "A dead unit stays dead unless layers before it move it; a dead layer stays dead. In \
                     deep narrow networks it is a matter of chance at every initialisation.",
        evidence: "Of the layer concerned: the share of units that are dead on this batch; how many are dead \
                   on all of the batches that the same weights have seen (the first seed's see those of \
                   the other seeds too, up to four), and how many only on some; the share that is dead \
                   for ever: for any input that the layer before could give, by the range of its \
                   activation and the weights' signs; the share of rows for which the whole layer is \
                   off. In how many of the seeds a layer is dead. The chance that an initialisation of \
                   these widths loses a given input.",
        look_alikes: "Dead on this batch is not dead on the next, and dead on every batch seen is not dead \
                      for ever: up to half the units of a deep layer are off for a whole batch and come \
                      back when the layers before move. Where too few are dead on all batches, it is a \
                      note. A unit that is \
                      dead inside a residual branch is gone round.",
        remedies: "Wider layers; leaky ReLU, ELU or GELU; skip connections; normalisation; biases at zero \
                   or slightly above; a smaller learning rate where units die in training.",
        references: "Lu, Shin, Su and Karniadakis 2019; Maas, Hannun and Ng 2013 (leaky ReLU); Trottier, \
                     Giguère and Chaib-draa 2017.",
    },
    settings: &[SHARE, CHANCE],
    check,
};

fn check(examined: &Examination<'_>) -> Vec<Finding> {
    let share = examined.setting(&SHARE);
    let measurement = examined.measurement;
    let mut findings = Vec::new();
    // A layer that is dead as a whole, in any run.
    let whole = |layer: &LayerRun| layer.on_spine && layer.dead_fraction == Some(1.0);
    let dead_runs = examined.agreement(|run| run.layers.iter().any(whole));
    let first_dead = measurement
        .runs
        .iter()
        .find_map(|run| run.layers.iter().find(|l| whole(l)));
    if let Some(layer) = first_dead {
        let message = format!(
            "in {} every unit of a layer is dead (`{}` first): nothing before it receives a gradient, \
             and the output is the same for every input",
            in_words(dead_runs),
            layer.name
        );
        let severity = if dead_runs.is_agreed() {
            Severity::Error
        } else {
            Severity::Warning
        };
        let finding = examined
            .finding_by(&SHARE, severity, 1.0, message)
            .at(&layer.name)
            .seen_by(dead_runs)
            .because(batches_in_words(examined, layer))
            .because(for_ever_in_words(layer));
        findings.push(finding);
    } else {
        findings.extend(mostly_dead(examined, share));
    }
    findings.extend(by_chance(examined));
    findings
}

fn in_words(seeds: Agreement) -> String {
    match (seeds.agreeing, seeds.of) {
        (1, 1) => "this run".into(),
        (agreeing, of) => format!("{agreeing} of {of} seeds"),
    }
}

/// On how many of the batches that one set of weights has seen the layer's units are dead.
fn batches_in_words(examined: &Examination<'_>, layer: &LayerRun) -> String {
    let Some(batches) = &examined.measurement.batches else {
        return match examined.measurement.runs.len() {
            1 => "one batch was seen; with more seeds, so are more batches".into(),
            _ => String::new(),
        };
    };
    let Some(layer) = batches.layer(&layer.name).filter(|l| !l.dead_on.is_empty()) else {
        return String::new();
    };
    let count = batches.count;
    let on_all = layer.dead_on[count];
    let on_some: usize = layer.dead_on[1..count].iter().sum();
    format!(
        "the weights of seed {} saw {count} batches: {on_all} of {} units are dead on all of them, {on_some} \
         only on some",
        batches.seed,
        layer.dead_on.iter().sum::<usize>()
    )
}

fn for_ever_in_words(layer: &LayerRun) -> String {
    layer.dead_for_ever_fraction.map_or_else(String::new, |share| {
        format!(
            "{:.0} % of its units are dead for ever: for any input that the layer before could give",
            100.0 * share
        )
    })
}

/// The layer with the largest share of dead units, where that is beyond the setting.
fn mostly_dead(examined: &Examination<'_>, share: f64) -> Option<Finding> {
    let layers = examined
        .measurement
        .layers
        .iter()
        .map(|layer| &layer.median);
    let of = |layer: &LayerRun| layer.dead_fraction.unwrap_or(0.0);
    let worst = layers
        .filter(|layer| layer.on_spine && layer.dead_fraction.is_some())
        .max_by(|a, b| of(a).total_cmp(&of(b)))?;
    let beyond = |layer: &LayerRun| layer.dead_fraction.is_some_and(|dead| dead >= share);
    let seeds = examined.agreement(|run| {
        let mut layers = run.layers.iter();
        layers.any(|layer| layer.name == worst.name && beyond(layer))
    });
    if !beyond(worst) || seeds.is_refuted() {
        return None;
    }
    let lost = worst.lost_rows_fraction.unwrap_or(0.0);
    let batches = examined.measurement.batches.as_ref();
    let on_all = batches.and_then(|batches| batches.layer(&worst.name)?.dead_on_all());
    // Units that are dead on one batch and not on the next are not dead.
    let severity = match on_all {
        Some(on_all) if on_all < share => Severity::Info,
        _ => seeds.severity(Severity::Warning),
    };
    let message = format!(
        "{}{:.0} % of the units of `{}` are dead on this batch",
        seeds.lead(),
        100.0 * of(worst),
        worst.name
    );
    let figures: Vec<Option<f64>> = examined
        .measurement
        .figures_of(&worst.name, |layer| layer.dead_fraction)
        .collect();
    let rows = format!(
        "for {:.0} % of the rows the whole layer is off",
        100.0 * lost
    );
    let finding = examined
        .finding_by(&SHARE, severity, of(worst), message)
        .at(&worst.name)
        .seen_by(seeds)
        .over(&figures)
        .because(if lost > 0.0 { rows } else { String::new() })
        .because(batches_in_words(examined, worst))
        .because(for_ever_in_words(worst));
    Some(finding)
}

/// The chance that an initialisation loses an input, where weights are drawn and every layer of the
/// chain is a plain ReLU layer or linear.
fn by_chance(examined: &Examination<'_>) -> Option<Finding> {
    let measurement = examined.measurement;
    if !measurement.draws_weights {
        return None;
    }
    let layers = judged_layers(measurement);
    let plain = |layer: &LayerRun| layer.paths.is_empty() && !layer.normalised;
    if !layers.iter().all(|layer| plain(&layer.median)) {
        return None;
    }
    let width = |layer: &LayerRun| {
        let weight = layer
            .parameters
            .iter()
            .find(|parameter| parameter.fan_in.is_some())?;
        let units = weight.shape.iter().product::<usize>() / weight.fan_in?.max(1);
        (layer.is_rectified && weight.shape.len() == 2).then_some(units)
    };
    let widths: Vec<usize> = layers
        .iter()
        .filter_map(|layer| width(&layer.median))
        .collect();
    let passes = |n: &usize| 1.0 - 0.5f64.powi(i32::try_from(*n).unwrap_or(i32::MAX));
    let chance = 1.0 - widths.iter().map(passes).product::<f64>();
    if chance < examined.setting(&CHANCE) || widths.is_empty() {
        return None;
    }
    let lost = |run: &crate::measure::RunMeasurement| {
        let shares = run
            .layers
            .iter()
            .filter_map(|layer| layer.lost_rows_fraction);
        shares.fold(0.0, f64::max)
    };
    let seeds = examined.agreement(|run| lost(run) > 0.0);
    let narrowest = widths.iter().min().copied().unwrap_or(0);
    let message = format!(
        "{} ReLU layers, the narrowest of {narrowest} units: an initialisation loses a given input \
         with a chance of {:.0} %",
        widths.len(),
        100.0 * chance
    );
    let measured: Vec<String> = measurement
        .runs
        .iter()
        .map(|run| format!("{:.0} %", 100.0 * lost(run)))
        .collect();
    let finding = examined
        .finding_by(&CHANCE, Severity::Warning, chance, message)
        .seen_by(seeds)
        .because(format!(
            "rows lost in a layer that is off, by seed: {}",
            measured.join(", ")
        ));
    Some(finding)
}

//! An output layer that is certain before it has learnt anything.

use super::super::finding::{Finding, Severity};
use super::super::rule::{Examination, Page, Rule, RuleSubject, Setting};

/// Nats above ln(classes).
pub const NATS: Setting = Setting {
    name: "nats",
    default: 5.0,
    unit: "nats",
    least: 0.0,
    most: f64::INFINITY,
    reason: "How far the cross-entropy of the first logits, on labels drawn at random, is above \
             ln(classes): at 5 the right class gets less than a hundredth of its even share.",
    source: "Karpathy 2019, A recipe for training neural networks: verify the loss at initialisation; \
             He-initialised heads on signals of variance 1 have about 1, those of small convolutional \
             networks, which train all the same, up to 4.4",
};

/// The rule.
pub static RULE: Rule = Rule {
    code: "GP012",
    name: "hot-output",
    severity: Severity::Warning,
    summary: "the first logits are so large that the loss begins far above ln(classes)",
    subject: RuleSubject::Network,
    page: Page {
        meaning: "A network that knows nothing should give every class its even share, so that the loss \
                  begins at ln(classes). Here the logits are so large that it is certain of wrong \
                  classes.",
        importance: "The first hundreds of steps only squash the output layer down (the loss curve of a \
                     hockey stick), and their large gradients push the layers before into saturation or \
                     death.",
        evidence: "The mean of logsumexp(z) − mean(z) − ln(classes) over the batch: what the cross-entropy \
                   would be above ln(classes) on labels drawn at random. It does not depend on the \
                   targets, nor on the scale of the loss.",
        look_alikes: "A trained network is certain by right: for given weights this is a note. A high loss \
                      with small logits is a matter of the labels. A summed loss is large by the batch.",
        remedies: "A smaller last layer (gain 0.1, or zeros), a normalisation before it, inputs of \
                   variance 1; where the signal grows with depth, see `exploding-signal`.",
        references: "Karpathy 2019 and 2022 (makemore part 3).",
    },
    settings: &[NATS],
    check,
};

fn check(examined: &Examination<'_>) -> Vec<Finding> {
    let most = examined.setting(&NATS);
    let measurement = examined.measurement;
    let figures: Vec<Option<f64>> = measurement
        .runs
        .iter()
        .map(|run| Some(run.output?.excess_nats))
        .collect();
    let seeds = examined.agreement(|run| run.output.is_some_and(|o| o.excess_nats >= most));
    let output = measurement.runs.iter().find_map(|run| run.output);
    let (Some(spread), Some(output), true) =
        (crate::measure::spread(&figures), output, seeds.is_agreed())
    else {
        return Vec::new();
    };
    let even = (output.classes as f64).ln();
    let message = format!(
        "the first logits are worth a cross-entropy of {:.1} nats on random labels, where {} classes \
         have ln({}) = {even:.2}",
        spread.median + even,
        output.classes,
        output.classes
    );
    let severity = if measurement.draws_weights {
        Severity::Warning
    } else {
        Severity::Info
    };
    let finding = examined
        .finding_by(&NATS, severity, spread.median, message)
        .seen_by(seeds)
        .over(&figures);
    vec![finding]
}

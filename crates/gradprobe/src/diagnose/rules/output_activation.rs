//! An activation between the last weights and a loss that does not fit it.

use super::super::finding::{Finding, Severity};
use super::super::rule::{Examination, Page, Rule, RuleSubject, Setting};
use crate::measure::HeadRun;

/// The least cross-entropy.
pub const NATS: Setting = Setting {
    name: "nats",
    default: 0.1,
    unit: "nats",
    least: 0.0,
    most: f64::INFINITY,
    reason: "The least cross-entropy that outputs within the activation's range can have, however long they \
             are trained: ln(1 + (n − 1)/e) for a softmax over n classes, ln 2 for a sigmoid before a \
             binary one. At a tenth the right class gets at most nine tenths.",
    source: "by arithmetic; 0 for logits",
};

/// The share of targets.
pub const SHARE: Setting = Setting {
    name: "share",
    default: 0.01,
    unit: "",
    least: 0.0,
    most: 1.0,
    reason: "The share of the batch's targets that lie outside the range of the activation, so that no \
             weights reach them.",
    source: "a hundredth: single outliers may be clipped on purpose",
};

/// The rule.
pub static RULE: Rule = Rule {
    code: "GP024",
    name: "output-activation",
    severity: Severity::Warning,
    summary: "the activation before the loss does not fit it: logits that are bounded, targets out of reach",
    subject: RuleSubject::Network,
    page: Page {
        meaning: "A cross-entropy takes logits, any real numbers, and has its softmax or sigmoid inside. \
                  After another one, or a tanh, its logits are bounded and its loss cannot go to 0; after a \
                  ReLU the score of a class that is negative is 0 and gets no gradient. A regression \
                  whose output is bounded cannot reach targets beyond the bounds; one that compares a \
                  sigmoid or softmax with 0 and 1 by squares learns least where it is most wrong.",
        importance: "Training goes on and the loss stays high: a softmax twice over ten classes ends at 1.46 \
                     nats at best, and its gradient is damped from the start. It looks like a network that \
                     is too small, or a learning rate that is too low.",
        evidence: "The activation, the loss, and the least loss in nats; or the share of the targets of the \
                   first batch that are out of range. Targets are looked at where they are given with the \
                   data.",
        look_alikes: "A log-softmax before a cross-entropy changes nothing, and is not told. An ONNX model \
                      that ends in a softmax is judged before it where the loss was chosen for it. A \
                      sigmoid before a squared error is right for targets between 0 and 1, such as the \
                      pixels of an autoencoder.",
        remedies: "No activation before a cross-entropy. For regression a linear output, or targets scaled \
                   into the range. For probabilities of classes a cross-entropy in the place of squares.",
        references: "Bridle 1990 (softmax and cross-entropy); Golik, Doetsch and Ney 2013, Cross-entropy vs. \
                     squared error training; Humbatova et al. 2020, Taxonomy of real faults in deep \
                     learning systems (wrong activation in the last layer, wrong loss).",
    },
    settings: &[NATS, SHARE],
    check,
};

fn check(examined: &Examination<'_>) -> Vec<Finding> {
    let measurement = examined.measurement;
    // Where the loss was chosen for the user it is not the user's mistake.
    let Some(head) = measurement
        .runs
        .iter()
        .find_map(|run| run.head.as_ref())
        .filter(|_| measurement.given_loss)
    else {
        return Vec::new();
    };
    let finding = match head.least_nats {
        Some(least) if least >= examined.setting(&NATS) => {
            let message = format!(
                "{} before a cross-entropy bounds its logits: the loss cannot get below {least:.2} nats",
                head.activation
            );
            Some(examined.finding_by(&NATS, Severity::Warning, least, message))
        }
        Some(_) if head.is_flat => {
            let message = format!(
                "{} before a cross-entropy is flat for negative scores: a class with one gets no gradient",
                head.activation
            );
            Some(examined.finding(Severity::Warning, message))
        }
        Some(_) => None,
        None if measurement.given_targets => by_targets(examined, head),
        None => None,
    };
    let at_layer = |finding: Finding| match &head.layer {
        Some(layer) => finding.at(layer),
        None => finding,
    };
    finding.map(at_layer).into_iter().collect()
}

fn by_targets(examined: &Examination<'_>, head: &HeadRun) -> Option<Finding> {
    let least = examined.setting(&SHARE);
    let outside = |head: &HeadRun| head.targets_out_of_range.unwrap_or(0.0);
    let reaches = |head: &HeadRun| outside(head) == 0.0 || outside(head) < least;
    let seeds = examined.agreement(|run| run.head.as_ref().is_some_and(|head| !reaches(head)));
    if seeds.is_agreed() && !reaches(head) {
        let message = format!(
            "{:.0} % of the targets lie outside the range of {}, the activation of the output: no weights \
             reach them",
            (100.0 * outside(head)).max(1.0),
            head.activation
        );
        let finding = examined.finding_by(&SHARE, Severity::Warning, outside(head), message);
        return Some(finding.seen_by(seeds));
    }
    (head.is_probability && head.binary_targets).then(|| {
        let message = format!(
            "{} against targets of 0 and 1 by {}: the gradient is smallest where the output is certain and \
             wrong",
            head.activation, examined.measurement.objective
        );
        examined.finding(Severity::Warning, message)
    })
}

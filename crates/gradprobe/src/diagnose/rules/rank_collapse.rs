//! Representations of different samples become the same.

use super::super::finding::{Finding, Severity};
use super::super::judged::judged_layers;
use super::super::rule::{Examination, Page, Rule, RuleSubject, Setting};

/// How much of the representation still differs.
pub const SPREAD: Setting = Setting {
    name: "spread",
    default: 1e-4,
    unit: "",
    least: 0.0,
    most: 1.0,
    reason: "The root mean square distance of samples (in a sequence: of tokens) from their mean, over \
             that of their length, at the last hidden layer. Below a ten-thousandth a weight has to grow \
             a thousandfold to tell them apart, and f16 and bf16 cannot hold the difference at all.",
    source: "He-initialised ReLU networks of 20 layers have 0.3, of 56 about 0.1; the ordered phase of \
             Schoenholz et al. 2017 falls exponentially, sigmoid layers by 4 each",
};

/// The rule.
pub static RULE: Rule = Rule {
    code: "GP013",
    name: "rank-collapse",
    severity: Severity::Warning,
    summary: "the last hidden layer gives nearly the same for every sample or token",
    subject: RuleSubject::Network,
    page: Page {
        meaning: "Layer by layer the representations of different inputs come closer, until they differ \
                  in the fifth digit only: the signal is there, but it says nothing about the input. In \
                  transformers without skip connections tokens become one.",
        importance: "The output is a constant to which the last bias is fitted. The weights' gradients are \
                     of full size and nearly all of it points the same way for every sample.",
        evidence: "At the first and at the last hidden layer, how far 16 samples (tokens of one sequence) \
                   are from their mean, relative to their length.",
        look_alikes: "A signal that shrinks altogether is `vanishing-signal`. ReLU networks come closer \
                      as a power law of depth, which does not matter at a hundred layers. A batch whose \
                      rows are the same to begin with is the data's, and is not told.",
        remedies: "Weights at the edge of chaos (He for ReLU; for the sigmoid another activation); smaller \
                   biases; skip connections; in transformers skip connections and MLPs.",
        references: "Poole et al. 2016; Schoenholz et al. 2017; Dong, Cordonnier and Loukas 2021; Noci et \
                     al. 2022.",
    },
    settings: &[SPREAD],
    check,
};

fn check(examined: &Examination<'_>) -> Vec<Finding> {
    let least = examined.setting(&SPREAD);
    let layers = judged_layers(examined.measurement);
    let [first, .., last, _] = &layers[..] else {
        return Vec::new();
    };
    let of_last: Vec<Option<f64>> = examined
        .measurement
        .figures_of(&last.median.name, |layer| layer.sample_distance)
        .collect();
    let collapsed = |spread: Option<f64>| spread.is_some_and(|spread| spread < least);
    let mut seeds = examined.agreement(|_| false);
    seeds.agreeing = of_last.iter().filter(|&&spread| collapsed(spread)).count();
    let (Some(before), Some(after)) = (first.median.sample_distance, last.median.sample_distance)
    else {
        return Vec::new();
    };
    // Rows that are the same to begin with are the data's.
    if seeds.is_refuted() || before < 10.0 * least {
        return Vec::new();
    }
    let message = format!(
        "{}samples differ by {after:.1e} of their size at `{}`, where at `{}` it was {before:.1e}",
        seeds.lead(),
        last.median.name,
        first.median.name
    );
    let finding = examined
        .finding_by(&SPREAD, seeds.severity(Severity::Warning), after, message)
        .at(&last.median.name)
        .seen_by(seeds)
        .over(&of_last);
    vec![finding]
}

//! Inputs far from mean 0 and variance 1.

use super::super::finding::{Finding, Severity};
use super::super::rule::{Examination, Page, Rule, RuleSubject, Setting};

/// The size of the inputs.
pub const RMS: Setting = Setting {
    name: "rms",
    default: 10.0,
    unit: "",
    least: 0.0,
    most: f64::INFINITY,
    reason: "The root mean square of the network's input. Initialisers are made for 1: at 10 the first \
             pre-activations are ten times what they should be, where tanh is flat.",
    source: "LeCun et al. 1998, Efficient BackProp, §4.3: mean 0, variance 1; pixels of 0 to 255 have \
             about 130, an unscaled x = 100 has 100",
};

/// The features' sizes beside each other.
pub const RATIO: Setting = Setting {
    name: "ratio",
    default: 100.0,
    unit: "",
    least: 1.0,
    most: f64::INFINITY,
    reason: "The largest root mean square of a feature over the median: one feature that is a hundred \
             times the others decides alone what the first layer sees, and its weights' gradients are a \
             hundred times theirs.",
    source: "LeCun et al. 1998: features of one scale, for the curvature's condition is the square of \
             their ratio",
};

/// The rule.
pub static RULE: Rule = Rule {
    code: "GP011",
    name: "unscaled-input",
    severity: Severity::Warning,
    summary: "the inputs are far larger than what initialisers are made for, or of uneven scale",
    subject: RuleSubject::Network,
    page: Page {
        meaning: "The numbers that go into the first weights are large, or some features are far larger \
                  than others.",
        importance: "Bounded activations saturate in the first layer and lose the gradient of its weights \
                     there; unbounded ones make the loss and the first steps as large as the inputs. \
                     Features of uneven scale make the problem as badly conditioned as the square of \
                     their ratio.",
        evidence: "Mean, root mean square and largest magnitude of the input, and for rows of features \
                   the largest feature's size over the median, by the batch of each seed.",
        look_alikes: "A network that begins with a normalisation scales its inputs itself, and is not \
                      told. Token ids are no numbers. Saturated layers further up are the weights' work: \
                      `saturated-activation`.",
        remedies: "Subtract the mean and divide by the standard deviation, by feature (`standardise = \
                   \"per-feature\"`) or overall; divide pixels by 255; take the logarithm of sizes that \
                   span decades.",
        references: "LeCun, Bottou, Orr and Müller 1998, Efficient BackProp.",
    },
    settings: &[RMS, RATIO],
    check,
};

fn check(examined: &Examination<'_>) -> Vec<Finding> {
    let (most, ratio) = (examined.setting(&RMS), examined.setting(&RATIO));
    let inputs = || {
        examined
            .measurement
            .runs
            .iter()
            .map(|run| run.input.filter(|i| i.unscaled))
    };
    let (mut findings, Some(first)) = (Vec::new(), inputs().flatten().next()) else {
        return Vec::new();
    };
    let large = examined.agreement(|run| run.input.is_some_and(|i| i.unscaled && i.rms >= most));
    if large.is_agreed() {
        let message = format!(
            "the input's root mean square is {:.4} (mean {:.4}, largest {:.4}); initialisers are made \
             for 1",
            first.rms, first.mean, first.max_abs
        );
        let figures: Vec<Option<f64>> = inputs().map(|input| Some(input?.rms)).collect();
        findings.push(
            examined
                .finding_by(&RMS, Severity::Warning, first.rms, message)
                .seen_by(large)
                .over(&figures),
        );
    }
    let uneven = examined.agreement(|run| {
        let input = run.input.filter(|input| input.unscaled);
        input
            .and_then(|input| input.feature_ratio)
            .is_some_and(|found| found >= ratio)
    });
    if uneven.is_agreed() {
        let found = first.feature_ratio.unwrap_or(0.0);
        let message =
            format!("the largest feature of the input is {found:.0} times the median one");
        let figures: Vec<Option<f64>> = inputs().map(|input| input?.feature_ratio).collect();
        findings.push(
            examined
                .finding_by(&RATIO, Severity::Warning, found, message)
                .seen_by(uneven)
                .over(&figures),
        );
    }
    findings
}

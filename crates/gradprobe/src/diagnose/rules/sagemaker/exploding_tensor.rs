//! ExplodingTensor: an infinite or NaN element.

use super::super::super::finding::{Finding, Severity};
use super::super::super::rule::{Examination, Page, Rule, RuleSubject, Setting};
use super::{REFERENCES, SOURCE, first_of, layers};

/// Elements that are infinite or NaN from which on it is found.
pub const COUNT: Setting = Setting {
    name: "count",
    default: 1.0,
    unit: "elements",
    least: 0.0,
    most: f64::INFINITY,
    reason: "Elements that are infinite or NaN from which on it is found.",
    source: SOURCE,
};

/// The rule.
pub static RULE: Rule = Rule {
    code: "SM002",
    name: "ExplodingTensor",
    severity: Severity::Error,
    summary: "a tensor has an infinite or NaN element (as SageMaker Debugger)",
    subject: RuleSubject::Network,
    page: Page {
        meaning: "Any output, gradient or weight has an element that is infinite or NaN.",
        importance: "What our own rule does better: `non-finite` (GP004) names the first node that made such a number, with its inputs, and `exploding-gradient` (GP002) finds the growth decades before the type overflows.",
        evidence: "The first layer concerned, how many elements, and how many layers there are.",
        look_alikes: "A mask of −∞ before a softmax is meant so.",
        remedies: "Those of `non-finite` (GP004): begin at the first node that made such a number.",
        references: REFERENCES,
    },
    settings: &[COUNT],
    check,
};

fn check(examined: &Examination<'_>) -> Vec<Finding> {
    let least = examined.setting(&COUNT);
    let found = layers(examined).filter_map(|layer| {
        let gradients = layer
            .parameters
            .iter()
            .map(|parameter| parameter.grad_non_finite);
        let count = layer.forward.non_finite + layer.backward.non_finite + gradients.sum::<u64>();
        let message = format!("{count} elements of `{}` are infinite or NaN", layer.name);
        (count as f64 >= least.max(1.0)).then(|| (layer.name.clone(), count as f64, message))
    });
    let mut findings = first_of(examined, &COUNT, found.collect());
    for finding in &mut findings {
        finding.severity = Severity::Error;
    }
    findings
}

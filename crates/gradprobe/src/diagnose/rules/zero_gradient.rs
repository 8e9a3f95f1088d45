//! A parameter whose gradient is exactly zero.

use super::super::finding::{Finding, Severity};
use super::super::rule::{Examination, Page, Rule, RuleSubject};
use crate::measure::ParameterRun;

/// The rule.
pub static RULE: Rule = Rule {
    code: "GP003",
    name: "zero-gradient",
    severity: Severity::Error,
    summary: "a parameter's gradient is exactly zero in every element, on every seed",
    subject: RuleSubject::Network,
    page: Page {
        meaning: "The gradient of a parameter is zero by construction and not by size: no path leads \
                  from the objective to it, or every path crosses something whose derivative is zero: \
                  a softmax or cross-entropy over one class, a sign or a rounding, a layer of units \
                  that are all on their flat side, a weight of zeros.",
        importance: "The parameter never learns. Gradients are carried here with an exponent of their \
                     own, so a gradient of 1e-4000 is a number and not a zero: this rule does not fire \
                     for what is only small.",
        evidence: "The parameters, by layer; the node in which the gradient became zero on its way back, \
                   or that no path leads there; in how many of the seeds.",
        look_alikes: "Weights that begin at zero on purpose (the last layer of a residual branch in \
                      Fixup, a ReZero scale, a zero head): what lies before them receives nothing in \
                      the first step and everything later; that is a note. A frozen parameter is no \
                      parameter here. An embedding's unused rows make a gradient sparse, not zero.",
        remedies: "One class: two outputs, or one output with binary cross-entropy. Sign or round: a \
                   straight-through estimator. A detached parameter: connect it or remove it. Dead \
                   units: see `dead-units`.",
        references: "The PyTorch documentation of `torch.Tensor.detach`; Bengio, Léonard and Courville \
                     2013 (straight-through); Zhang, Dauphin and Ma 2019 (zeros on purpose).",
    },
    settings: &[],
    check,
};

/// What is to be known of a gradient that ends in an exported file.
const LOST_IN_EXPORT: &str = "an exported file carries no stop-gradients, frozen weights or surrogate \
     gradients: what the training code detaches, freezes, or passes through a step by a gradient of \
     its own, is not in it";

fn check(examined: &Examination<'_>) -> Vec<Finding> {
    let measurement = examined.measurement;
    let mut findings = Vec::new();
    let origin = measurement
        .runs
        .iter()
        .find_map(|run| run.zero_origin.as_ref());
    for layer in &measurement.layers {
        // One finding a layer: its weight and its bias share the reason.
        let zero = layer
            .median
            .parameters
            .iter()
            .filter(|p| is_zero_everywhere(examined, p));
        let (mut names, mut reached) = (Vec::new(), false);
        for parameter in zero {
            names.push(format!("`{}`", parameter.name));
            reached |= parameter.reached;
        }
        if names.is_empty() {
            continue;
        }
        let verb = if names.len() == 1 { "is" } else { "are" };
        let what = if names.len() == 1 {
            "gradient"
        } else {
            "gradients"
        };
        let (severity, why) = match origin {
            _ if !reached => (
                Severity::Error,
                "no path leads from the objective to it".into(),
            ),
            Some(origin) if origin.for_one_step => (
                Severity::Info,
                format!(
                    "the way back ends at `{}`: {}; it receives a gradient itself, so this lasts for \
                     the first step only",
                    origin.node, origin.reason
                ),
            ),
            Some(origin) => (
                Severity::Error,
                format!(
                    "the way back ends at {} `{}`: {}",
                    origin.op, origin.node, origin.reason
                ),
            ),
            None => (
                Severity::Error,
                "every path to the objective passes an activation's flat part or a zero".into(),
            ),
        };
        let message = format!(
            "the {what} of {} {verb} exactly zero: {why}",
            names.join(", ")
        );
        let mut finding = examined.finding(severity, message);
        let is_stopped = !reached || origin.is_some_and(|origin| origin.is_step);
        if measurement.is_exported && is_stopped && severity == Severity::Error {
            finding = finding.because(LOST_IN_EXPORT);
        }
        findings.push(
            finding
                .at(&layer.median.name)
                .one_of(&layer.median.name)
                .seen_by(examined.agreement(|_| true)),
        );
    }
    findings
}

fn is_zero_everywhere(examined: &Examination<'_>, parameter: &ParameterRun) -> bool {
    let runs = examined.measurement.runs.iter().flat_map(|run| &run.layers);
    let all = runs.flat_map(|run| &run.parameters);
    let mut same = all.filter(|run| run.name == parameter.name).peekable();
    same.peek().is_some() && same.all(|run| run.grad_log10_l2.is_none() && run.grad_non_finite == 0)
}

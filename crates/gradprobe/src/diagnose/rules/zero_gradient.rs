//! A parameter whose gradient is exactly zero.

use super::super::finding::{Finding, Severity};
use super::Rule;
use crate::measure::Measurement;

/// The rule.
pub const RULE: Rule = Rule {
    code: "GP003",
    name: "zero-gradient",
    about: "a parameter's gradient is exactly zero in every element, on every seed",
    check,
};

fn check(measurement: &Measurement) -> Vec<Finding> {
    let mut findings = Vec::new();
    for layer in &measurement.layers {
        for parameter in &layer.median.parameters {
            let runs = measurement.runs.iter().flat_map(|run| &run.layers);
            let same = runs
                .flat_map(|run| &run.parameters)
                .filter(|run| run.name == parameter.name);
            let mut same = same.peekable();
            let all_zero = same.peek().is_some()
                && same.all(|run| run.grad_log10_l2.is_none() && run.grad_non_finite == 0);
            if !all_zero {
                continue;
            }
            let why = if parameter.reached {
                "every path to the objective passes an activation's flat part or a zero"
            } else {
                "no path leads from the objective to it"
            };
            findings.push(Finding {
                code: RULE.code.into(),
                name: RULE.name.into(),
                severity: Severity::Error,
                layer: Some(layer.median.name.clone()),
                message: format!(
                    "the gradient of `{}` is exactly zero: {why}",
                    parameter.name
                ),
            });
        }
    }
    findings
}

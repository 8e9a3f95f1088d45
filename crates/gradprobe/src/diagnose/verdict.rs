//! The verdict on a measurement as a whole.

use super::finding::{Finding, Severity};
use super::judged::{judged_layers, onset};
use super::made_up;
use super::rule::{Examination, RuleSubject};
use super::rule_set::{RuleSet, find_rule};
use super::rules;
use super::trend::{Direction, Trend, trend};
use crate::measure::{Gains, LayerMeasurement, Measurement};
use serde::{Deserialize, Serialize};

/// The verdict in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// No rule found anything.
    Healthy,
    /// The backward signal is lost on its way to the first layers.
    Vanishing,
    /// The backward signal grows on its way to the first layers.
    Exploding,
    /// Something else is wrong; the findings say what.
    Unhealthy,
    /// The seeds disagree.
    Inconclusive,
}

/// What is judged of a measurement.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Diagnosis {
    /// The verdict.
    pub verdict: Verdict,
    /// Decades of backward signal from the last layer back to the weights of the first; `None`
    /// where what arrives there is an exact zero.
    pub total_decades: Option<f64>,
    /// How the backward signal changes with depth.
    pub backward: Option<Trend>,
    /// How the forward signal changes with depth.
    pub forward: Option<Trend>,
    /// The layer at which it starts: going backward, the first that a decade is lost (or gained)
    /// by, for good.
    pub starts_at: Option<String>,
    /// The gains that make up those decades, by cause.
    pub gains: Gains,
    /// What the rules found, worst first.
    pub findings: Vec<Finding>,
}

/// Judges a measurement by gradprobe's own rules with their defaults.
pub fn diagnose(measurement: &Measurement) -> Diagnosis {
    diagnose_by(&RuleSet::default(), measurement)
}

/// Judges a measurement.
pub fn diagnose_by(rules: &RuleSet, measurement: &Measurement) -> Diagnosis {
    let layers = judged_layers(measurement);
    let decades = |get: fn(&LayerMeasurement) -> Option<f64>| -> Option<Vec<f64>> {
        layers.iter().map(|layer| get(layer)).collect()
    };
    let backward = decades(|layer| layer.median.decades_at_weights);
    let forward = decades(|layer| layer.median.forward_decades);
    let mut findings: Vec<Finding> = rules
        .active()
        .flat_map(|rule| (rule.check)(&Examination::new(measurement, rule, rules.settings())))
        .collect();
    findings.sort_by(|a, b| {
        b.severity
            .cmp(&a.severity)
            .then_with(|| a.code.cmp(&b.code))
    });
    made_up::say(&mut findings, measurement);
    let verdict = verdict(&findings);
    let sign = match verdict {
        Verdict::Exploding => 1.0,
        _ => -1.0,
    };
    let starts_at = match verdict {
        Verdict::Vanishing | Verdict::Exploding => onset(&layers, sign),
        _ => None,
    };
    Diagnosis {
        verdict,
        total_decades: layers
            .first()
            .and_then(|layer| layer.median.decades_at_weights),
        backward: backward.and_then(|decades| trend(&decades, Direction::Backward)),
        forward: forward.and_then(|decades| trend(&decades, Direction::Forward)),
        starts_at: starts_at
            .map(|layer| layer.median.name.clone())
            .or_else(|| over_time(verdict, &findings)),
        gains: measurement.chain_gains(),
        findings,
    }
}

/// The recurrent layer that a signal is lost or gained in over time, where that is the verdict.
fn over_time(verdict: Verdict, findings: &[Finding]) -> Option<String> {
    let code = match verdict {
        Verdict::Vanishing => rules::vanishing_gradient::CODE,
        Verdict::Exploding => rules::exploding_gradient::CODE,
        _ => return None,
    };
    let mut of_rule = findings.iter().filter(|finding| finding.code == code);
    of_rule.find_map(|finding| finding.layer.clone())
}

fn verdict(findings: &[Finding]) -> Verdict {
    let of_network = |finding: &&Finding| {
        find_rule(&finding.code).is_none_or(|rule| rule.subject == RuleSubject::Network)
    };
    let findings: Vec<&Finding> = findings.iter().filter(of_network).collect();
    // A note that the seeds agree on is no verdict; one that they disagree on leaves it open.
    let counts = |finding: &Finding| {
        finding.severity > Severity::Info || finding.seeds.is_none_or(|seeds| !seeds.is_agreed())
    };
    let found = |code: &str| {
        let mut of_rule = findings.iter().filter(|finding| finding.code == code);
        of_rule.find(|finding| counts(finding))
    };
    let (vanishing, exploding) = (
        found(rules::vanishing_gradient::CODE),
        found(rules::exploding_gradient::CODE),
    );
    match (vanishing, exploding) {
        (Some(finding), _) | (_, Some(finding)) if finding.severity < Severity::Warning => {
            Verdict::Inconclusive
        }
        (Some(_), _) => Verdict::Vanishing,
        (_, Some(_)) => Verdict::Exploding,
        _ if findings
            .iter()
            .any(|finding| finding.severity > Severity::Info) =>
        {
            Verdict::Unhealthy
        }
        _ => Verdict::Healthy,
    }
}

//! Inputs that were made up: findings that they may cause say so first, and several of them that
//! the same doubtful inputs may cause are one.

use super::finding::{Finding, Severity};
use super::rules::{non_finite, zero_gradient};
use crate::measure::Measurement;

/// Says in the findings that made-up inputs may cause that they were made up, and folds the errors
/// among them into the first. A number that is not finite may come of any input (a logarithm of a
/// negative one), a gradient of zero of one whose meaning nothing tells (indices, lengths, masks).
pub(super) fn say(findings: &mut Vec<Finding>, measurement: &Measurement) {
    let made_up = &measurement.made_up_inputs;
    let doubtful: Vec<&str> = made_up
        .iter()
        .filter(|input| input.is_doubtful)
        .map(|input| &input.description[..])
        .collect();
    let all: Vec<&str> = made_up.iter().map(|input| &input.description[..]).collect();
    let may_be_caused = |finding: &Finding| {
        let is_non_finite = finding.code == non_finite::RULE.code;
        let is_zero = finding.code == zero_gradient::RULE.code;
        match finding.severity {
            Severity::Error if is_non_finite => !all.is_empty(),
            Severity::Error if is_zero => !doubtful.is_empty(),
            _ => false,
        }
    };
    let is_of_non_finite = |finding: &Finding| finding.code == non_finite::RULE.code;
    // What is not finite explains what is zero, and not the other way round.
    let first = findings
        .iter()
        .position(|finding| may_be_caused(finding) && is_of_non_finite(finding))
        .or_else(|| findings.iter().position(may_be_caused));
    let Some(first) = first else { return };
    let mut kept = findings.remove(first);
    let mut folded: Vec<String> = Vec::new();
    if !doubtful.is_empty() {
        findings.retain(|finding| {
            let folds = may_be_caused(finding);
            if folds {
                let place = finding.layer.as_deref().unwrap_or("the network");
                folded.push(format!("{} at `{place}`", finding.code));
            }
            !folds
        });
    }
    let named = if doubtful.is_empty() { &all } else { &doubtful };
    kept.message = format!(
        "inputs were made up ({}), give yours with --data; with these {}",
        shown(named.iter().map(|name| (*name).to_owned())),
        kept.message
    );
    if !folded.is_empty() {
        kept = kept.because(format!(
            "{} more may come of the same: {}",
            folded.len(),
            shown(folded.into_iter())
        ));
    }
    let after = |other: &Finding| {
        other.severity < kept.severity
            || (other.severity == kept.severity && other.code > kept.code)
    };
    let place = findings.iter().position(after).unwrap_or(findings.len());
    findings.insert(place, kept);
}

fn shown(names: impl ExactSizeIterator<Item = String>) -> String {
    const MOST: usize = 4;
    let more = names.len().saturating_sub(MOST);
    let listed: Vec<String> = names.take(MOST).collect();
    let more = match more {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("{}{more}", listed.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::MadeUpInput;

    fn finding(code: &str, severity: Severity, layer: &str) -> Finding {
        Finding {
            code: code.into(),
            name: String::new(),
            severity,
            layer: Some(layer.into()),
            subject: None,
            message: "the gradient is bad".into(),
            measured: None,
            unit: String::new(),
            threshold: None,
            setting: None,
            evidence: Vec::new(),
            seeds: None,
            spread: None,
        }
    }

    fn judged(is_doubtful: Option<bool>) -> Vec<Finding> {
        let mut findings = vec![
            finding("GP001", Severity::Error, "d"),
            finding("GP003", Severity::Error, "a"),
            finding("GP003", Severity::Error, "b"),
            finding("GP004", Severity::Error, "c"),
            finding("GP003", Severity::Info, "e"),
        ];
        let made_up_inputs = is_doubtful
            .map(|is_doubtful| MadeUpInput {
                description: "`i` [8] whole numbers below 2".into(),
                is_doubtful,
            })
            .into_iter()
            .collect();
        let measurement = Measurement {
            made_up_inputs,
            ..Measurement::default()
        };
        say(&mut findings, &measurement);
        findings
    }

    fn codes(findings: &[Finding]) -> Vec<&str> {
        findings.iter().map(|finding| &finding.code[..]).collect()
    }

    #[test]
    fn errors_that_doubtful_inputs_may_cause_are_one() {
        let findings = judged(Some(true));
        assert_eq!(codes(&findings), ["GP001", "GP004", "GP003"]);
        let kept = &findings[1];
        let begin = "inputs were made up (`i` [8] whole numbers below 2), give yours with --data";
        assert!(kept.message.starts_with(begin), "{}", kept.message);
        assert!(
            kept.message.ends_with("the gradient is bad"),
            "{}",
            kept.message
        );
        let more = "2 more may come of the same: GP003 at `a`, GP003 at `b`";
        assert_eq!(kept.evidence, [more]);
        assert_eq!(findings[2].severity, Severity::Info);
    }

    #[test]
    fn what_is_not_finite_may_come_of_any_input_that_was_drawn() {
        let findings = judged(Some(false));
        assert_eq!(
            codes(&findings),
            ["GP001", "GP003", "GP003", "GP004", "GP003"]
        );
        let says = |finding: &Finding| finding.message.contains("made up");
        let saying: Vec<bool> = findings.iter().map(says).collect();
        assert_eq!(saying, [false, false, false, true, false]);
    }

    #[test]
    fn with_given_inputs_nothing_is_said() {
        let findings = judged(None);
        assert_eq!(findings.len(), 5);
        assert!(
            findings
                .iter()
                .all(|finding| finding.message == "the gradient is bad")
        );
    }
}

//! Findings that are known: only what is new is to fail.
//!
//! A finding is the same one as before if its network, its rule and the setting that it crosses are.
//! The layer at which it shows is none of this: from which layer on a gradient vanishes, or which of
//! twenty saturated layers is the worst, moves with the seed and with every change of the network,
//! while the fault stays. Only where a rule has several findings in one network (a zero gradient in
//! each of two layers, an overflow in each of two types) does what sets them apart count.
//!
//! One that has become worse, a warning that is an error now, is new.

use super::finding::{Finding, Severity};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The name and version of the file's schema.
pub const BASELINE_SCHEMA: &str = "gradprobe.baseline/1";

/// What makes a finding the same as another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Fingerprint {
    /// The network's name.
    pub network: String,
    /// The rule's code.
    pub code: String,
    /// The setting whose threshold is crossed, e.g. `GP011.rms`; `None` where there is none.
    pub setting: Option<String>,
    /// What sets it apart from others of its rule; `None` where there is one.
    pub subject: Option<String>,
}

impl Fingerprint {
    /// The fingerprint of a finding about a network.
    pub fn new(network: &str, finding: &Finding) -> Self {
        Self {
            network: network.into(),
            code: finding.code.clone(),
            setting: finding.setting.clone(),
            subject: finding.subject.clone(),
        }
    }

    /// It as one text, for formats that have one.
    pub fn text(&self) -> String {
        let rule = self.setting.as_ref().unwrap_or(&self.code);
        let subject = self.subject.as_deref().unwrap_or_default();
        format!("{rule}/{subject}/{}", self.network)
    }
}

/// The findings that are known, of one network or of several: each as bad as it was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Baseline {
    known: BTreeMap<Fingerprint, Severity>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    schema: String,
    findings: Vec<Entry>,
}

#[derive(Serialize, Deserialize)]
struct Entry {
    #[serde(flatten)]
    fingerprint: Fingerprint,
    severity: Severity,
}

impl Baseline {
    /// Reads the text of a baseline file.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let document: Document = serde_json::from_str(text).map_err(|error| error.to_string())?;
        if document.schema != BASELINE_SCHEMA {
            let got = document.schema.escape_debug();
            return Err(format!(
                "its schema is `{got}`, expected `{BASELINE_SCHEMA}`"
            ));
        }
        let mut baseline = Self::default();
        for entry in document.findings {
            baseline.add(entry.fingerprint, entry.severity);
        }
        Ok(baseline)
    }

    /// Its text, with a line end.
    pub fn text(&self) -> String {
        let findings = self.known.iter().map(|(fingerprint, &severity)| Entry {
            fingerprint: fingerprint.clone(),
            severity,
        });
        let document = Document {
            schema: BASELINE_SCHEMA.into(),
            findings: findings.collect(),
        };
        // Strings can always be written.
        serde_json::to_string_pretty(&document).unwrap_or_default() + "\n"
    }

    /// Records these findings as all that is known of a network; those of others stay.
    pub fn record(&mut self, network: &str, findings: &[Finding]) {
        self.known.retain(|known, _| known.network != network);
        for finding in findings {
            self.add(Fingerprint::new(network, finding), finding.severity);
        }
    }

    fn add(&mut self, fingerprint: Fingerprint, severity: Severity) {
        let known = self.known.entry(fingerprint).or_insert(severity);
        *known = severity.max(*known);
    }

    /// Of each finding about a network: is it known, and no worse than it was?
    pub fn known(&self, network: &str, findings: &[Finding]) -> Vec<bool> {
        let is_known = |finding| {
            let known = self.known.get(&Fingerprint::new(network, finding));
            known.is_some_and(|&severity| finding.severity <= severity)
        };
        findings.iter().map(is_known).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(code: &str, layer: &str) -> Finding {
        serde_json::from_value(serde_json::json!({
            "code": code,
            "name": "a-rule",
            "severity": Severity::Warning,
            "layer": layer,
            "message": "found",
        }))
        .expect("a finding")
    }

    #[test]
    fn where_a_finding_shows_and_what_is_said_of_it_may_change() {
        let mut baseline = Baseline::default();
        baseline.record("net", &[finding("GP001", "fc25")]);
        let baseline = Baseline::parse(&baseline.text()).expect("what it wrote");
        let moved = Finding {
            message: "found elsewhere".into(),
            ..finding("GP001", "fc24")
        };
        assert_eq!(baseline.known("net", std::slice::from_ref(&moved)), [true]);
        assert_eq!(baseline.known("other", &[moved]), [false]);
        assert_eq!(baseline.known("net", &[finding("GP002", "fc25")]), [false]);
    }

    #[test]
    fn several_of_a_rule_are_known_one_by_one() {
        let of = |layer: &str| finding("GP003", layer).one_of(layer);
        let mut baseline = Baseline::default();
        baseline.record("net", &[of("fc1"), of("fc2")]);
        let now = [of("fc2"), of("fc3"), of("fc1")];
        assert_eq!(baseline.known("net", &now), [true, false, true]);
        let crossing = |setting: &str| Finding {
            setting: Some(setting.into()),
            ..finding("GP011", "fc1")
        };
        baseline.record("net", &[crossing("GP011.rms")]);
        let now = [crossing("GP011.rms"), crossing("GP011.ratio")];
        assert_eq!(baseline.known("net", &now), [true, false]);
    }

    #[test]
    fn what_has_become_worse_is_new() {
        let as_bad_as = |severity| Finding {
            severity,
            ..finding("GP001", "fc1")
        };
        let mut baseline = Baseline::default();
        baseline.record("net", &[as_bad_as(Severity::Warning)]);
        let now = [Severity::Info, Severity::Warning, Severity::Error].map(as_bad_as);
        assert_eq!(baseline.known("net", &now), [true, true, false]);
    }

    #[test]
    fn recording_one_network_leaves_the_others() {
        let mut baseline = Baseline::default();
        baseline.record("net", &[finding("GP001", "fc1")]);
        baseline.record("other", &[finding("GP001", "fc1")]);
        baseline.record("other", &[]);
        assert_eq!(baseline.known("net", &[finding("GP001", "fc1")]), [true]);
        assert_eq!(baseline.known("other", &[finding("GP001", "fc1")]), [false]);
    }

    #[test]
    fn what_is_no_baseline_is_refused() {
        for text in ["", "[]", "{\"schema\": \"x/1\", \"findings\": []}"] {
            assert!(Baseline::parse(text).is_err(), "{text}");
        }
    }
}

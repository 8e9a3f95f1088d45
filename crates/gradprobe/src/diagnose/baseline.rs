//! Findings that are known: only what is new is to fail.
//!
//! A finding is the same one as before if its rule, its layer and its network are; figures and words
//! may change. Of several the same, as many are known as were recorded.

use super::finding::Finding;
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
    /// The layer; `None` for the network as a whole.
    pub layer: Option<String>,
}

impl Fingerprint {
    /// The fingerprint of a finding about a network.
    pub fn new(network: &str, finding: &Finding) -> Self {
        Self {
            network: network.into(),
            code: finding.code.clone(),
            layer: finding.layer.clone(),
        }
    }
}

/// The findings that are known, of one network or of several.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Baseline {
    counts: BTreeMap<Fingerprint, usize>,
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
    count: usize,
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
        let mut counts = BTreeMap::new();
        for entry in document.findings {
            *counts.entry(entry.fingerprint).or_insert(0) += entry.count;
        }
        Ok(Self { counts })
    }

    /// Its text, with a line end.
    pub fn text(&self) -> String {
        let findings = self.counts.iter().map(|(fingerprint, &count)| Entry {
            fingerprint: fingerprint.clone(),
            count,
        });
        let document = Document {
            schema: BASELINE_SCHEMA.into(),
            findings: findings.collect(),
        };
        // Strings and counts can always be written.
        serde_json::to_string_pretty(&document).unwrap_or_default() + "\n"
    }

    /// Records these findings as all that is known of a network; those of others stay.
    pub fn record(&mut self, network: &str, findings: &[Finding]) {
        self.counts.retain(|known, _| known.network != network);
        for finding in findings {
            let fingerprint = Fingerprint::new(network, finding);
            *self.counts.entry(fingerprint).or_insert(0) += 1;
        }
    }

    /// Of each finding about a network: is it known?
    pub fn known(&self, network: &str, findings: &[Finding]) -> Vec<bool> {
        let mut left = self.counts.clone();
        let take = |finding| match left.get_mut(&Fingerprint::new(network, finding)) {
            Some(count) if *count > 0 => {
                *count -= 1;
                true
            }
            _ => false,
        };
        findings.iter().map(take).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnose::Severity;

    fn finding(code: &str, layer: Option<&str>) -> Finding {
        serde_json::from_value(serde_json::json!({
            "code": code,
            "name": "a-rule",
            "severity": Severity::Error,
            "layer": layer,
            "message": "found",
        }))
        .expect("a finding")
    }

    #[test]
    fn as_many_are_known_as_were_recorded_whatever_is_said_of_them() {
        let mut baseline = Baseline::default();
        let (one, other) = (finding("GP003", Some("fc1")), finding("GP001", None));
        baseline.record("net", &[one.clone(), other.clone()]);
        baseline.record("other", std::slice::from_ref(&one));
        let baseline = Baseline::parse(&baseline.text()).expect("what it wrote");
        let now = [
            one.clone(),
            one.clone(),
            other,
            finding("GP001", Some("fc1")),
        ];
        assert_eq!(baseline.known("net", &now), [true, false, true, false]);
        assert_eq!(baseline.known("third", &now), [false; 4]);
        let mut fewer = baseline.clone();
        fewer.record("net", &[]);
        assert_eq!(fewer.known("other", &now), [true, false, false, false]);
    }

    #[test]
    fn what_is_no_baseline_is_refused() {
        for text in ["", "[]", "{\"schema\": \"x/1\", \"findings\": []}"] {
            assert!(Baseline::parse(text).is_err(), "{text}");
        }
    }
}

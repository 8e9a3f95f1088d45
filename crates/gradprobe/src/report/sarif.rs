//! Findings as SARIF 2.1.0 (OASIS, 2020), which code-scanning services read.

use super::escape::{SafeJson, escape};
use super::findings::{FindingSource, JudgedFinding, level};
use super::rules::write_rule_markdown;
use crate::diagnose::baseline::Fingerprint;
use crate::diagnose::{Rule, rules};
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::{self, Write};

const SCHEMA: &str =
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

#[derive(Serialize)]
struct Log<'a> {
    #[serde(rename = "$schema")]
    schema: &'static str,
    version: &'static str,
    runs: [Run<'a>; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Run<'a> {
    tool: Tool,
    column_kind: &'static str,
    results: Vec<SarifResult<'a>>,
}

#[derive(Serialize)]
struct Tool {
    driver: Driver,
}

#[derive(Serialize)]
struct Driver {
    name: &'static str,
    version: &'static str,
    rules: Vec<SarifRule>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SarifRule {
    id: &'static str,
    name: &'static str,
    short_description: Text,
    help: Help,
}

#[derive(Serialize)]
struct Text {
    text: String,
}

#[derive(Serialize)]
struct Help {
    text: String,
    markdown: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SarifResult<'a> {
    rule_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule_index: Option<usize>,
    level: &'static str,
    message: Text,
    locations: [Location; 1],
    partial_fingerprints: BTreeMap<&'static str, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    baseline_state: Option<&'static str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Location {
    physical_location: PhysicalLocation,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    logical_locations: Vec<LogicalLocation>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PhysicalLocation {
    artifact_location: ArtifactLocation,
    #[serde(skip_serializing_if = "Option::is_none")]
    region: Option<SarifRegion>,
}

#[derive(Serialize)]
struct ArtifactLocation {
    uri: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SarifRegion {
    start_line: usize,
    start_column: usize,
    end_line: usize,
    end_column: usize,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LogicalLocation {
    name: String,
    fully_qualified_name: String,
    kind: &'static str,
}

/// Writes findings as one SARIF run, with a line end.
///
/// # Errors
/// If the writer fails.
pub fn write_sarif(
    out: &mut dyn Write,
    findings: &[JudgedFinding<'_>],
    source: &FindingSource,
) -> io::Result<()> {
    let log = Log {
        schema: SCHEMA,
        version: "2.1.0",
        runs: [Run {
            tool: Tool {
                driver: Driver {
                    name: "gradprobe",
                    version: env!("CARGO_PKG_VERSION"),
                    rules: rules::registry().iter().map(sarif_rule).collect(),
                },
            },
            column_kind: "unicodeCodePoints",
            results: findings.iter().map(|one| result(one, source)).collect(),
        }],
    };
    serde_json::to_writer_pretty(SafeJson(&mut *out), &log).map_err(io::Error::from)?;
    writeln!(out)
}

fn sarif_rule(rule: &&'static Rule) -> SarifRule {
    let mut page = Vec::new();
    // Writing to memory does not fail.
    let _ = write_rule_markdown(&mut page, rule);
    SarifRule {
        id: rule.code,
        name: rule.name,
        short_description: Text {
            text: rule.summary.into(),
        },
        help: Help {
            text: rule.summary.into(),
            markdown: String::from_utf8_lossy(&page).into_owned(),
        },
    }
}

fn result<'a>(judged: &JudgedFinding<'a>, source: &FindingSource) -> SarifResult<'a> {
    let finding = judged.finding;
    let layer = finding.layer.as_deref();
    let region = layer.and_then(|layer| source.region_of(layer));
    let logical = layer.map(|layer| LogicalLocation {
        name: layer.into(),
        fully_qualified_name: format!("{}/{layer}", source.network),
        kind: "module",
    });
    let fingerprint = Fingerprint::new(&source.network, finding);
    let position = rules::registry()
        .iter()
        .position(|rule| rule.code == finding.code);
    SarifResult {
        rule_id: &finding.code,
        rule_index: position,
        level: level(finding.severity),
        message: Text {
            text: escape(&finding.message).into_owned(),
        },
        locations: [Location {
            physical_location: PhysicalLocation {
                artifact_location: ArtifactLocation {
                    uri: uri(&source.path),
                },
                region: region.map(|region| SarifRegion {
                    start_line: region.start.0,
                    start_column: region.start.1,
                    end_line: region.end.0,
                    end_column: region.end.1,
                }),
            },
            logical_locations: logical.into_iter().collect(),
        }],
        partial_fingerprints: BTreeMap::from([("gradprobe/v1", fingerprint.text())]),
        baseline_state: judged.known.map(|known| match known {
            true => "unchanged",
            false => "new",
        }),
    }
}

/// A path as a URI: relative, or of a file where it is absolute.
fn uri(path: &str) -> String {
    let path = path.strip_prefix("./").unwrap_or(path);
    let mut uri = String::from(if path.starts_with('/') { "file://" } else { "" });
    for byte in path.bytes() {
        match byte {
            b'/' | b'-' | b'.' | b'_' | b'~' => uri.push(char::from(byte)),
            byte if byte.is_ascii_alphanumeric() => uri.push(char::from(byte)),
            byte => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_a_uri() {
        assert_eq!(uri("./nets/a b.toml"), "nets/a%20b.toml");
        assert_eq!(uri("/tmp/ä.toml"), "file:///tmp/%C3%A4.toml");
    }
}

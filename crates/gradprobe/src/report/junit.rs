//! Findings as JUnit XML, which CI servers show as tests: one a finding, and one a rule that found
//! nothing. A finding that does not fail is a test that passes and says so.

use super::escape::escape;
use super::findings::{FindingSource, JudgedFinding};
use crate::diagnose::Rule;
use std::io::{self, Write};

/// Writes findings as one suite of tests; `rules` are those that looked for them.
///
/// # Errors
/// If the writer fails.
pub fn write_junit(
    out: &mut dyn Write,
    findings: &[JudgedFinding<'_>],
    rules: &[&Rule],
    source: &FindingSource,
) -> io::Result<()> {
    let is_silent = |rule: &&&Rule| findings.iter().all(|one| one.finding.code != rule.code);
    let silent = || rules.iter().filter(is_silent);
    let tests = findings.len() + silent().count();
    let failures = findings.iter().filter(|one| one.fails).count();
    let skipped = findings.iter().filter(|one| is_skipped(one)).count();
    let counts = format!("tests=\"{tests}\" failures=\"{failures}\" errors=\"0\"");
    let network = attribute(&source.network);
    writeln!(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>")?;
    writeln!(out, "<testsuites name=\"gradprobe\" {counts}>")?;
    writeln!(
        out,
        "  <testsuite name=\"{network}\" {counts} skipped=\"{skipped}\">"
    )?;
    for one in findings {
        test(out, one, source)?;
    }
    for rule in silent() {
        let name = attribute(&format!("{} {}", rule.code, rule.name));
        writeln!(
            out,
            "    <testcase classname=\"{network}\" name=\"{name}\"/>"
        )?;
    }
    writeln!(out, "  </testsuite>")?;
    writeln!(out, "</testsuites>")
}

fn is_skipped(one: &JudgedFinding<'_>) -> bool {
    !one.fails && one.known == Some(true)
}

fn test(out: &mut dyn Write, one: &JudgedFinding<'_>, source: &FindingSource) -> io::Result<()> {
    let finding = one.finding;
    let layer = finding.layer.as_deref();
    let place = layer.map_or_else(String::new, |layer| format!(" `{layer}`"));
    let name = attribute(&format!("{} {}{place}", finding.code, finding.name));
    let network = attribute(&source.network);
    let file = attribute(&source.path);
    let line = layer.and_then(|layer| source.region_of(layer));
    let line = line.map_or_else(String::new, |region| {
        format!(" line=\"{}\"", region.start.0)
    });
    writeln!(
        out,
        "    <testcase classname=\"{network}\" name=\"{name}\" file=\"{file}\"{line}>"
    )?;
    let message = attribute(&finding.message);
    if one.fails {
        let severity = finding.severity;
        writeln!(
            out,
            "      <failure type=\"{severity}\" message=\"{message}\"/>"
        )?;
    } else if is_skipped(one) {
        writeln!(
            out,
            "      <skipped message=\"in the baseline: {message}\"/>"
        )?;
    } else {
        writeln!(
            out,
            "      <system-out>{}: {message}</system-out>",
            finding.severity
        )?;
    }
    writeln!(out, "    </testcase>")
}

/// A text as it stands in an attribute, or between tags; control characters are shown, not obeyed.
fn attribute(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in escape(text).chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            c => escaped.push(c),
        }
    }
    escaped
}

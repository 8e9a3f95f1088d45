//! The pages of the rules, and the list of them.

use super::layout::write_wrapped;
use crate::diagnose::{Rule, RuleSubject, Setting};
use serde::Serialize;
use std::io::{self, Write};

/// Where the page of a rule stands below `docs/rules/`.
pub fn rule_page_file(rule: &Rule) -> String {
    format!("{}.md", rule.name)
}

/// Writes a rule's page as text.
///
/// # Errors
/// If the writer fails.
pub fn write_rule_text(out: &mut dyn Write, rule: &Rule, width: usize) -> io::Result<()> {
    writeln!(
        out,
        "{} {} ({})",
        rule.code,
        rule.name,
        severity_in_words(rule)
    )?;
    write_wrapped(out, &sentence(rule.summary), width, (0, 0))?;
    for (title, text) in rule.page.sections() {
        writeln!(out, "\n{}", title.to_uppercase())?;
        write_wrapped(out, text, width, (2, 2))?;
    }
    writeln!(out, "\nSETTINGS")?;
    if rule.settings.is_empty() {
        writeln!(out, "  none")?;
    }
    for setting in rule.settings {
        writeln!(out, "  {}", setting_in_words(rule, setting))?;
        write_wrapped(out, setting.reason, width, (4, 4))?;
        write_wrapped(
            out,
            &sentence(&format!("source: {}", setting.source)),
            width,
            (4, 4),
        )?;
    }
    Ok(())
}

/// Writes a rule's page as Markdown: a file of `docs/rules/`.
///
/// # Errors
/// If the writer fails.
pub fn write_rule_markdown(out: &mut dyn Write, rule: &Rule) -> io::Result<()> {
    writeln!(out, "# {} ({})\n", rule.name, rule.code)?;
    writeln!(
        out,
        "{} Severity: {}.",
        sentence(rule.summary),
        severity_in_words(rule)
    )?;
    for (title, text) in rule.page.sections() {
        writeln!(out, "\n## {title}\n")?;
        write_wrapped(out, text, 100, (0, 0))?;
    }
    writeln!(out, "\n## Settings\n")?;
    if rule.settings.is_empty() {
        return writeln!(out, "None.");
    }
    writeln!(out, "| setting | default | what it decides | source |")?;
    writeln!(out, "|---|---|---|---|")?;
    for setting in rule.settings {
        writeln!(
            out,
            "| `{}.{}` | {} | {} | {} |",
            rule.code,
            setting.name,
            with_unit(setting),
            setting.reason,
            setting.source
        )?;
    }
    Ok(())
}

/// Writes a line a rule.
///
/// # Errors
/// If the writer fails.
pub fn write_rules_text(out: &mut dyn Write, rules: &[&Rule], width: usize) -> io::Result<()> {
    let longest = rules.iter().map(|rule| rule.name.len()).max().unwrap_or(0);
    let indent = longest + 7;
    for rule in rules {
        let text = format!("{} {:longest$} {}", rule.code, rule.name, rule.summary);
        write_wrapped(out, &text, width, (0, indent))?;
    }
    writeln!(out)?;
    writeln!(
        out,
        "{} rules; `gradprobe rule CODE` prints a page",
        rules.len()
    )
}

/// Writes the table of all rules as Markdown: `docs/rules/README.md`.
///
/// # Errors
/// If the writer fails.
pub fn write_rules_markdown(out: &mut dyn Write, rules: &[&Rule]) -> io::Result<()> {
    writeln!(out, "{}", include_str!("rules.md").trim_end())?;
    writeln!(out)?;
    writeln!(out, "| code | name | severity | finds |")?;
    writeln!(out, "|---|---|---|---|")?;
    for rule in rules {
        writeln!(
            out,
            "| {} | [{}]({}) | {} | {} |",
            rule.code,
            rule.name,
            rule_page_file(rule),
            severity_in_words(rule),
            rule.summary
        )?;
    }
    Ok(())
}

#[derive(Serialize)]
struct RuleDocument<'a> {
    code: &'a str,
    name: &'a str,
    severity: crate::diagnose::Severity,
    summary: &'a str,
    counts_for_verdict: bool,
    page: Vec<SectionDocument<'a>>,
    settings: Vec<SettingDocument<'a>>,
}

#[derive(Serialize)]
struct SectionDocument<'a> {
    title: &'a str,
    text: &'a str,
}

#[derive(Serialize)]
struct SettingDocument<'a> {
    name: &'a str,
    default: f64,
    unit: &'a str,
    least: f64,
    /// `null`: without bound.
    most: Option<f64>,
    reason: &'a str,
    source: &'a str,
}

/// Writes rules as a JSON array, pages and settings included.
///
/// # Errors
/// If the writer fails.
pub fn write_rules_json(out: &mut dyn Write, rules: &[&Rule]) -> io::Result<()> {
    let documents: Vec<RuleDocument<'_>> = rules.iter().map(|rule| document(rule)).collect();
    serde_json::to_writer_pretty(&mut *out, &documents).map_err(io::Error::from)?;
    writeln!(out)
}

fn document(rule: &Rule) -> RuleDocument<'_> {
    let setting = |setting: &Setting| SettingDocument {
        name: setting.name,
        default: setting.default,
        unit: setting.unit,
        least: setting.least,
        most: setting.most.is_finite().then_some(setting.most),
        reason: setting.reason,
        source: setting.source,
    };
    let sections = rule.page.sections().into_iter();
    RuleDocument {
        code: rule.code,
        name: rule.name,
        severity: rule.severity,
        summary: rule.summary,
        counts_for_verdict: rule.subject == RuleSubject::Network,
        page: sections
            .map(|(title, text)| SectionDocument { title, text })
            .collect(),
        settings: rule.settings.iter().map(setting).collect(),
    }
}

fn severity_in_words(rule: &Rule) -> String {
    match rule.severity {
        crate::diagnose::Severity::Info => "info".into(),
        severity => format!("up to {severity}"),
    }
}

fn setting_in_words(rule: &Rule, setting: &Setting) -> String {
    format!("{}.{} = {}", rule.code, setting.name, with_unit(setting))
}

fn with_unit(setting: &Setting) -> String {
    format!("{} {}", setting.default, setting.unit)
        .trim_end()
        .into()
}

/// With a capital, and a full stop.
fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|c| c.to_uppercase().to_string());
    format!("{}{}.", first.unwrap_or_default(), chars.as_str())
}

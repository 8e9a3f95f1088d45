//! `gradprobe rule`: what a rule means, and which there are.

use crate::failure::Failure;
use crate::output::OutputArguments;
use clap::{Args, ValueEnum};
use gradprobe::diagnose::{Rule, find_rule, nearest_rule, rules};
use gradprobe::report::{
    escape, write_rule_markdown, write_rule_text, write_rules_json, write_rules_markdown,
    write_rules_text,
};
use std::process::ExitCode;

/// Explain a rule, or list them all
///
/// A rule's page says what a finding means, why it matters, what is printed as evidence, what looks
/// like it and is not, what helps, and which settings move its thresholds.
#[derive(Debug, Args)]
pub struct RuleArguments {
    /// The rule: its code or its name
    #[arg(value_name = "RULE", required_unless_present = "all")]
    rule: Option<String>,
    /// List all rules
    #[arg(long, conflicts_with = "rule")]
    all: bool,
    /// How it is written
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,
    #[command(flatten)]
    output: OutputArguments,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Format {
    /// For people
    #[default]
    Text,
    /// Pages and settings, for programs
    Json,
    /// As in docs/rules
    Markdown,
}

impl RuleArguments {
    /// Runs the command.
    pub fn run(self) -> Result<ExitCode, Failure> {
        let width = self.output.width();
        match &self.rule {
            Some(name) => {
                let rule = find(name)?;
                self.output.write(|out| match self.format {
                    Format::Text => write_rule_text(out, rule, width),
                    Format::Json => write_rules_json(out, &[rule]),
                    Format::Markdown => write_rule_markdown(out, rule),
                })?;
            }
            None => {
                let all = rules::registry();
                self.output.write(|out| match self.format {
                    Format::Text => write_rules_text(out, all, width),
                    Format::Json => write_rules_json(out, all),
                    Format::Markdown => write_rules_markdown(out, all),
                })?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn find(name: &str) -> Result<&'static Rule, Failure> {
    find_rule(name).ok_or_else(|| {
        let help = match nearest_rule(name) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "`gradprobe rule --all` lists them".into(),
        };
        Failure::Input(format!("there is no rule `{}`; {help}", escape(name)))
    })
}

//! Which rules are to be run and where their thresholds lie, as a person wrote it down.
//!
//! ```toml
//! [rules]
//! select = ["GP", "vanishing-gradient"]   # codes, beginnings of codes, names, "ALL"
//! ignore = ["GP011"]
//! GP001.decades = 4
//! ```
//!
//! What the names mean is known where the rules are.

use super::error::{SpecError, SpecErrorKind as Kind};
use super::reader::{Result, listed, quoted};
use super::source::Source;
use crate::graph::Origin;
use std::path::{Path, PathBuf};

/// The name of a configuration file.
pub const CONFIGURATION_FILE: &str = "gradprobe.toml";

/// What one source says about rules.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct RuleChoices {
    /// A set of rules by name, in place of gradprobe's own.
    pub profile: Option<Choice>,
    /// The rules to run, if it is said; otherwise those that were.
    pub select: Option<Vec<Choice>>,
    /// The rules to leave out.
    pub ignore: Vec<Choice>,
    /// Thresholds.
    pub settings: Vec<SettingChoice>,
    /// The text it was read from.
    pub source: Source,
}

/// A name that somebody wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The name.
    pub text: String,
    /// Where it stands.
    pub origin: Origin,
}

/// A threshold that somebody wrote.
#[derive(Clone, Debug, PartialEq)]
pub struct SettingChoice {
    /// The rule's code or name.
    pub rule: Choice,
    /// The setting's name.
    pub setting: Choice,
    /// The value.
    pub value: f64,
}

impl RuleChoices {
    /// What a command line says: `settings` are written `GP001.decades=4`.
    ///
    /// # Errors
    /// If a setting is not written so.
    pub fn of_arguments(
        profile: Option<&str>,
        select: &[String],
        ignore: &[String],
        settings: &[String],
    ) -> std::result::Result<Self, SpecError> {
        let choice = |text: &str, place: &str| Choice {
            text: text.trim().into(),
            origin: Origin {
                place: place.into(),
                span: None,
            },
        };
        let all = |texts: &[String], place: &str| -> Vec<Choice> {
            texts.iter().map(|text| choice(text, place)).collect()
        };
        let setting = |text: &String| {
            let parts = text.split_once('=').and_then(|(name, value)| {
                let (rule, setting) = name.split_once('.')?;
                Some((rule, setting, value.trim().parse().ok()?))
            });
            let Some((rule, setting, value)) = parts else {
                let message = format!("--set: {} is no setting", quoted(text));
                let error = SpecError::new(Kind::Value, message);
                return Err(error.help("one is written RULE.NAME=NUMBER, e.g. GP001.decades=4"));
            };
            Ok(SettingChoice {
                rule: choice(rule, "--set"),
                setting: choice(setting, "--set"),
                value,
            })
        };
        Ok(Self {
            profile: profile.map(|text| choice(text, "--profile")),
            select: (!select.is_empty()).then(|| all(select, "--select")),
            ignore: all(ignore, "--ignore"),
            settings: settings.iter().map(setting).collect::<Result<_>>()?,
            source: Source::default(),
        })
    }

    /// The mistake of a name that nothing has.
    pub(crate) fn mistake(
        &self,
        choice: &Choice,
        what: &str,
        near: Option<&str>,
        names: &[&str],
    ) -> SpecError {
        let help = match near {
            Some(near) => format!("did you mean `{near}`?"),
            None if names.is_empty() => "`gradprobe rule --all` lists them".into(),
            None => format!("expected {}", listed(names.iter().copied())),
        };
        let message = format!("unknown {what} {}", quoted(&choice.text));
        self.error(choice, message, &format!("no such {what}"))
            .help(help)
    }

    /// The mistake of a value that is not accepted.
    pub(crate) fn wrong_value(&self, choice: &Choice, message: String) -> SpecError {
        self.error(choice, message, "out of range")
    }

    fn error(&self, choice: &Choice, message: String, label: &str) -> SpecError {
        match choice.origin.span.clone() {
            Some(span) => {
                let error = SpecError::new(Kind::Value, message).at(span).label(label);
                self.source.blame(error)
            }
            None => SpecError::new(Kind::Value, format!("{}: {message}", choice.origin.place)),
        }
    }
}

/// The configuration file that goes for a file: the nearest `gradprobe.toml` in its folder and the
/// folders above that.
pub fn find_configuration(file: &Path) -> Option<PathBuf> {
    let file = std::fs::canonicalize(file).ok()?;
    let candidates = file
        .ancestors()
        .skip(1)
        .map(|folder| folder.join(CONFIGURATION_FILE));
    let mut candidates = candidates.filter(|candidate| *candidate != file);
    candidates.find(|candidate| candidate.is_file())
}

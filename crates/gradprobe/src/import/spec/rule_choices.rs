//! `[rules]`: which rules are to be run and where their thresholds lie, as a person wrote it down.
//!
//! ```toml
//! [rules]
//! select = ["GP", "vanishing-gradient"]   # codes, beginnings of codes, names, "ALL"
//! ignore = ["GP011"]
//! GP001.decades = 4
//! ```
//!
//! What the names mean is known where the rules are; here they are read with their places.

use super::error::{SpecError, SpecErrorKind as Kind};
use super::parse::{read_source, root_of};
use super::reader::{Field, Fields, Result, listed, quoted};
use super::specification::Source;
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
    /// Reads a configuration file.
    ///
    /// # Errors
    /// If it cannot be read, is no TOML, or says something that means nothing.
    pub fn read(path: &Path) -> std::result::Result<Self, SpecError> {
        let source = read_source(path)?;
        Self::parse(&source.text, Some(path))
    }

    /// Parses the text of a configuration file.
    ///
    /// # Errors
    /// If it is no TOML, or says something that means nothing.
    pub fn parse(text: &str, path: Option<&Path>) -> std::result::Result<Self, SpecError> {
        let source = Source {
            path: path.map(Path::to_path_buf),
            text: text.into(),
        };
        match parse(text) {
            Ok(choices) => Ok(Self { source, ..choices }),
            Err(error) => Err(source.blame(error)),
        }
    }

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

fn parse(text: &str) -> Result<RuleChoices> {
    let root = root_of(text)?;
    let mut top = Fields::new("the file", 0..0, root.get_ref())?;
    let choices = read_rules(top.get("rules"))?;
    top.finish()?;
    Ok(choices)
}

/// `[rules]`.
pub(super) fn read_rules(field: Option<Field<'_, '_>>) -> Result<RuleChoices> {
    let mut choices = RuleChoices::default();
    let Some(field) = field else {
        return Ok(choices);
    };
    let Some(table) = field.table() else {
        return Err(field.wrong_type("a table with `select`, `ignore` or a rule's settings"));
    };
    for (key, value) in table.iter() {
        let (name, span) = (key.get_ref().as_ref(), key.span());
        let field = Field { key: name, value };
        match name {
            "profile" => choices.profile = Some(word(field)?),
            "select" => choices.select = Some(words(field)?),
            "ignore" => choices.ignore = words(field)?,
            _ => {
                let rule = written(name, span);
                read_settings(field, &rule, &mut choices.settings)?;
            }
        }
    }
    // A table's order is that of its keys' names; a mistake is told where it stands first.
    let place = |choice: &SettingChoice| choice.setting.origin.span.as_ref().map(|span| span.start);
    choices.settings.sort_by_key(place);
    Ok(choices)
}

fn read_settings(
    field: Field<'_, '_>,
    rule: &Choice,
    settings: &mut Vec<SettingChoice>,
) -> Result<()> {
    let Some(table) = field.table() else {
        let error = field.wrong_type("a table of the rule's settings");
        let help = "rules are named under `select` and `ignore`; a setting is written \
                    GP001.decades = 4";
        return Err(error.help(help));
    };
    for (key, value) in table.iter() {
        let name = key.get_ref().as_ref();
        settings.push(SettingChoice {
            rule: rule.clone(),
            setting: written(name, key.span()),
            value: Field { key: name, value }.number()?,
        });
    }
    Ok(())
}

fn written(text: &str, span: std::ops::Range<usize>) -> Choice {
    Choice {
        text: text.into(),
        origin: Origin {
            place: "[rules]".into(),
            span: Some(span),
        },
    }
}

fn word(field: Field<'_, '_>) -> Result<Choice> {
    Ok(written(field.text("a name")?, field.span()))
}

fn words(field: Field<'_, '_>) -> Result<Vec<Choice>> {
    const EXPECTED: &str = "a list of codes or names, such as [\"GP001\"]";
    field.elements(EXPECTED)?.map(word).collect()
}

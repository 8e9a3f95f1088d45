//! `[rules]`, in a specification or a configuration file, read with the places of names.

use super::{read_source, root_of};
use crate::graph::Origin;
use crate::import::spec::error::SpecError;
use crate::import::spec::reader::{Field, Fields, Result};
use crate::import::spec::rule_choices::{Choice, RuleChoices, SettingChoice};
use crate::import::spec::source::Source;
use std::path::Path;

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

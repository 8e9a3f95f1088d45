//! Which rules are run, and with which thresholds: what the configuration, the network's file and
//! the command line say, one after the other.

use super::rule::{Rule, Setting};
use super::rules::registry;
use super::settings::Settings;
use crate::import::spec::{Choice, RuleChoices, SpecError, nearest};

/// The prefix of gradprobe's own rules.
const OWN: &str = "GP";

/// Sets of rules by name: the prefixes of the codes they hold.
pub const PROFILES: [(&str, &str, &str); 2] = [
    ("gradprobe", OWN, "gradprobe's own rules"),
    (
        "sagemaker",
        "SM",
        "the built-in rules of SageMaker Debugger, with its names and defaults",
    ),
];

/// The rules that are run, with their settings.
#[derive(Clone, Debug, PartialEq)]
pub struct RuleSet {
    /// By position in the registry.
    active: Vec<bool>,
    settings: Settings,
}

impl Default for RuleSet {
    /// gradprobe's own rules with their defaults.
    fn default() -> Self {
        Self {
            active: matching(OWN),
            settings: Settings::default(),
        }
    }
}

impl RuleSet {
    /// What several sources say, the later ones over the earlier ones. In each, `profile` and
    /// `select` say anew which rules are run, then `ignore` takes away; of two that name the same
    /// rule in one source the more exact one counts, and `ignore` where both are as exact.
    ///
    /// # Errors
    /// If a rule, a setting or a profile is named that there is not, or a value is out of range.
    pub fn new<'a>(sources: impl IntoIterator<Item = &'a RuleChoices>) -> Result<Self, SpecError> {
        let mut rules = Self::default();
        for choices in sources {
            rules.apply(choices)?;
        }
        Ok(rules)
    }

    fn apply(&mut self, choices: &RuleChoices) -> Result<(), SpecError> {
        if let Some(profile) = &choices.profile {
            let found = PROFILES.iter().find(|(name, ..)| *name == profile.text);
            let Some((_, prefix, _)) = found else {
                let names = PROFILES.map(|(name, ..)| name);
                return Err(choices.mistake(
                    profile,
                    "profile",
                    nearest(&profile.text, names),
                    &names,
                ));
            };
            self.active = matching(prefix);
        }
        let exactness = |given: &[Choice]| -> Result<Vec<usize>, SpecError> {
            let mut exactness = vec![0; registry().len()];
            for choice in given {
                let selected = select(choices, choice)?;
                for (best, matches) in exactness.iter_mut().zip(selected) {
                    if matches {
                        *best = choice.text.len().max(*best);
                    }
                }
            }
            Ok(exactness)
        };
        let ignored = exactness(&choices.ignore)?;
        if let Some(given) = &choices.select {
            let selected = exactness(given)?;
            self.active = selected
                .iter()
                .zip(&ignored)
                .map(|(selected, ignored)| selected > ignored)
                .collect();
        } else {
            for (active, ignored) in self.active.iter_mut().zip(ignored) {
                *active &= ignored == 0;
            }
        }
        for value in &choices.settings {
            let rule = rule_of(choices, &value.rule)?;
            let wanted = value.setting.text.replace('_', "-");
            let found = rule.settings.iter().find(|setting| setting.name == wanted);
            let Some(setting) = found else {
                let names: Vec<&str> = rule.settings.iter().map(|setting| setting.name).collect();
                let what = format!("setting of {} {}", rule.code, rule.name);
                let near = nearest(&wanted, names.iter().copied());
                return Err(choices.mistake(&value.setting, &what, near, &names));
            };
            if !setting.accepts(value.value) {
                let message = format!(
                    "{}.{} is {}, expected {}",
                    rule.code,
                    setting.name,
                    value.value,
                    setting.accepted()
                );
                return Err(choices.wrong_value(&value.setting, message));
            }
            self.settings.set(rule.code, setting.name, value.value);
        }
        Ok(())
    }

    /// The rules that are run, in the registry's order.
    pub fn active(&self) -> impl Iterator<Item = &'static Rule> + '_ {
        let rules = registry().iter().zip(&self.active);
        rules.filter(|(_, active)| **active).map(|(rule, _)| *rule)
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The value of a rule's setting.
    pub fn value(&self, rule: &Rule, setting: &Setting) -> f64 {
        let set = self.settings.value(rule.code, setting.name);
        set.unwrap_or(setting.default)
    }
}

/// Which rules have codes that begin so.
fn matching(prefix: &str) -> Vec<bool> {
    registry()
        .iter()
        .map(|rule| rule.code.starts_with(prefix))
        .collect()
}

/// The rules that a code, the beginning of one, a name or `ALL` selects.
fn select(choices: &RuleChoices, choice: &Choice) -> Result<Vec<bool>, SpecError> {
    let text = choice.text.trim();
    let upper = text.to_uppercase();
    let selected: Vec<bool> = if upper == "ALL" {
        vec![true; registry().len()]
    } else if let Some(rule) = find_rule(text) {
        registry()
            .iter()
            .map(|other| other.code == rule.code)
            .collect()
    } else if text.is_empty() {
        Vec::new()
    } else {
        matching(&upper)
    };
    if selected.contains(&true) {
        Ok(selected)
    } else {
        Err(unknown_rule(choices, choice))
    }
}

/// The rule of this code or name, whatever its case, `-` or `_`.
pub fn find_rule(text: &str) -> Option<&'static Rule> {
    let wanted = text.trim().to_lowercase().replace('_', "-");
    let named =
        |rule: &&&Rule| rule.code.to_lowercase() == wanted || rule.name.to_lowercase() == wanted;
    registry().iter().find(named).copied()
}

/// The code or name of a rule that is most like a text, if any is near.
pub fn nearest_rule(text: &str) -> Option<&'static str> {
    let names = registry().iter().flat_map(|rule| [rule.name, rule.code]);
    nearest(text, names)
}

fn rule_of(choices: &RuleChoices, choice: &Choice) -> Result<&'static Rule, SpecError> {
    find_rule(&choice.text).ok_or_else(|| unknown_rule(choices, choice))
}

fn unknown_rule(choices: &RuleChoices, choice: &Choice) -> SpecError {
    choices.mistake(choice, "rule", nearest_rule(&choice.text), &[])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(rules: &RuleSet) -> Vec<&'static str> {
        rules.active().map(|rule| rule.code).collect()
    }

    fn parsed(text: &str) -> RuleChoices {
        RuleChoices::parse(text, None).unwrap_or_else(|error| panic!("{error}"))
    }

    fn refused(text: &str) -> String {
        RuleSet::new([&parsed(text)])
            .expect_err("a mistake")
            .to_string()
    }

    #[test]
    fn own_rules_are_run_unless_said_otherwise() {
        let own = codes(&RuleSet::default());
        assert!(own.contains(&"GP001") && own.iter().all(|code| code.starts_with(OWN)));
    }

    #[test]
    fn the_more_exact_choice_counts_and_ignore_where_both_are() {
        let of = |text: &str| codes(&RuleSet::new([&parsed(text)]).expect("accepted"));
        assert_eq!(
            of("[rules]\nselect = [\"GP001\", \"exploding-gradient\"]"),
            ["GP001", "GP002"]
        );
        assert_eq!(
            of("[rules]\nselect = [\"GP001\"]\nignore = [\"GP\"]"),
            ["GP001"]
        );
        assert_eq!(
            of("[rules]\nselect = [\"GP001\"]\nignore = [\"GP001\"]"),
            [""; 0]
        );
        let all_but = of("[rules]\nignore = [\"gp001\"]");
        assert!(!all_but.contains(&"GP001") && all_but.contains(&"GP002"));
    }

    #[test]
    fn later_sources_overrule_earlier_ones() {
        let file = parsed("[rules]\nselect = [\"GP001\"]\nGP001.decades = 4");
        let line = parsed("[rules]\nselect = [\"GP002\"]\nvanishing-gradient.decades = 5");
        let rules = RuleSet::new([&file, &line]).expect("accepted");
        assert_eq!(codes(&rules), ["GP002"]);
        let rule = find_rule("GP001").expect("a rule");
        assert_eq!(rules.value(rule, &rule.settings[0]), 5.0);
    }

    #[test]
    fn slips_are_named_and_corrected() {
        let error = refused("[rules]\nselect = [\"vanishing-gradent\"]");
        assert_eq!(
            error,
            "2:11: unknown rule `vanishing-gradent`; did you mean `vanishing-gradient`?"
        );
        let error = refused("[rules]\nGP001.decade = 4");
        assert!(error.contains("did you mean `decades`?"), "{error}");
        let error = refused("[rules]\nGP001.decades = -4");
        assert!(error.contains("expected a number of at least 0"), "{error}");
        let error = refused("[rules]\nprofile = \"sagemeker\"");
        assert!(error.contains("did you mean `sagemaker`?"), "{error}");
    }
}

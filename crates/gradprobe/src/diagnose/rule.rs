//! What a rule is: a stable code, a page, its settings, and the check itself.

use super::finding::{Agreement, Finding, Severity};
use super::settings::Settings;
use crate::measure::Measurement;
use std::fmt;

/// A rule: one file in `rules/`, one row in its registry.
#[derive(Debug)]
pub struct Rule {
    /// Its stable code, e.g. `GP001`.
    pub code: &'static str,
    /// Its name, e.g. `vanishing-gradient`; reads well after "allow".
    pub name: &'static str,
    /// The most severe that its findings get.
    pub severity: Severity,
    /// What it finds, in one line.
    pub summary: &'static str,
    /// Whether its findings count for the verdict on the network.
    pub subject: RuleSubject,
    /// What is written about it.
    pub page: Page,
    /// Its thresholds.
    pub settings: &'static [Setting],
    /// Looks for it.
    pub check: fn(&Examination<'_>) -> Vec<Finding>,
}

impl Rule {
    /// Does it look at anything in this measurement? A rule that does not has found nothing, and has
    /// not passed.
    pub fn looks_at(&self, measurement: &Measurement) -> bool {
        self.subject != RuleSubject::Precision || !measurement.precision.is_empty()
    }
}

/// What a rule judges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuleSubject {
    /// The network: its findings count for the verdict.
    Network,
    /// The optimiser and its learning rate, which depend on the scale of the loss where the verdict
    /// on a network must not.
    Optimiser,
    /// What a floating-point type makes of the network's gradient, where that was asked for.
    Precision,
}

/// The page of a rule, in Markdown; `gradprobe rule` prints it and `docs/rules/` shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// What it means.
    pub meaning: &'static str,
    /// Why it matters.
    pub importance: &'static str,
    /// What is printed as evidence, and how it is measured.
    pub evidence: &'static str,
    /// What looks like it and is not.
    pub look_alikes: &'static str,
    /// What helps.
    pub remedies: &'static str,
    /// Where it is written about.
    pub references: &'static str,
}

impl Page {
    /// The sections in their order, with their titles.
    pub fn sections(&self) -> [(&'static str, &'static str); 6] {
        [
            ("What it means", self.meaning),
            ("Why it matters", self.importance),
            ("Evidence", self.evidence),
            ("Look-alikes", self.look_alikes),
            ("What helps", self.remedies),
            ("References", self.references),
        ]
    }
}

/// A threshold that a user may move.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Setting {
    /// Its name, e.g. `decades`.
    pub name: &'static str,
    /// What it is unless set.
    pub default: f64,
    /// Its unit, e.g. `decades`; empty for a plain number.
    pub unit: &'static str,
    /// The least value that means anything.
    pub least: f64,
    /// The largest value that means anything.
    pub most: f64,
    /// What it decides, and why the default is what it is.
    pub reason: &'static str,
    /// Where the default is from.
    pub source: &'static str,
}

impl Setting {
    /// Which values are accepted, in words.
    pub fn accepted(&self) -> String {
        match (self.least, self.most) {
            (least, f64::INFINITY) => format!("a number of at least {least}"),
            (least, most) => format!("a number from {least} to {most}"),
        }
    }

    /// Is a value accepted?
    pub fn accepts(&self, value: f64) -> bool {
        value.is_finite() && value >= self.least && value <= self.most
    }
}

/// What a rule sees: a measurement, and its own settings.
#[derive(Clone, Copy)]
pub struct Examination<'a> {
    /// What was measured.
    pub measurement: &'a Measurement,
    rule: &'static Rule,
    settings: &'a Settings,
}

impl fmt::Debug for Examination<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Examination")
            .field("rule", &self.rule.code)
            .finish_non_exhaustive()
    }
}

impl<'a> Examination<'a> {
    pub(super) fn new(
        measurement: &'a Measurement,
        rule: &'static Rule,
        settings: &'a Settings,
    ) -> Self {
        Self {
            measurement,
            rule,
            settings,
        }
    }

    /// The value of one of the rule's settings.
    pub fn setting(&self, setting: &Setting) -> f64 {
        let set = self.settings.value(self.rule.code, setting.name);
        set.unwrap_or(setting.default)
    }

    /// A finding of this rule.
    pub fn finding(&self, severity: Severity, message: impl Into<String>) -> Finding {
        Finding {
            code: self.rule.code.into(),
            name: self.rule.name.into(),
            severity: severity.min(self.rule.severity),
            layer: None,
            subject: None,
            message: message.into(),
            measured: None,
            unit: String::new(),
            threshold: None,
            setting: None,
            evidence: Vec::new(),
            seeds: None,
            spread: None,
        }
    }

    /// A finding of this rule, measured against one of its settings.
    pub fn finding_by(
        &self,
        setting: &Setting,
        severity: Severity,
        measured: f64,
        message: impl Into<String>,
    ) -> Finding {
        Finding {
            measured: measured.is_finite().then_some(measured),
            unit: setting.unit.into(),
            threshold: Some(self.setting(setting)),
            setting: Some(format!("{}.{}", self.rule.code, setting.name)),
            ..self.finding(severity, message)
        }
    }

    /// In how many runs something holds.
    pub fn agreement(&self, holds: impl Fn(&crate::measure::RunMeasurement) -> bool) -> Agreement {
        let runs = &self.measurement.runs;
        Agreement {
            agreeing: runs.iter().filter(|run| holds(run)).count(),
            of: runs.len(),
        }
    }
}

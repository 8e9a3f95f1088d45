//! What a rule finds.

use crate::measure::Spread;
use serde::{Deserialize, Serialize};
use std::fmt;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Training will be harder than it needs to be.
    Warning,
    /// A part of the network cannot train as it stands.
    Error,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

/// How many of the seeds see what was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agreement {
    /// Seeds that see it.
    pub agreeing: usize,
    /// Seeds run.
    pub of: usize,
}

impl Agreement {
    /// The share of seeds that must agree for a finding; between this and its complement the
    /// verdict is inconclusive.
    const QUORUM: f64 = 0.75;

    /// The share of the seeds that see it.
    pub fn share(self) -> f64 {
        self.agreeing as f64 / self.of.max(1) as f64
    }

    /// Do enough seeds see it?
    pub fn is_agreed(self) -> bool {
        self.share() >= Self::QUORUM
    }

    /// Do so few see it that there is nothing to report?
    pub fn is_refuted(self) -> bool {
        self.share() <= 1.0 - Self::QUORUM
    }

    /// `severity` where the seeds agree, else a note.
    pub fn severity(self, severity: Severity) -> Severity {
        if self.is_agreed() {
            severity
        } else {
            Severity::Info
        }
    }

    /// What a message begins with where the seeds disagree.
    pub fn lead(self) -> String {
        if self.is_agreed() {
            return String::new();
        }
        format!(
            "the seeds disagree ({} of {} see it): ",
            self.agreeing, self.of
        )
    }
}

/// What a rule found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// The rule's stable code, e.g. `GP001`.
    pub code: String,
    /// The rule's name, e.g. `vanishing-gradient`.
    pub name: String,
    /// How bad it is.
    pub severity: Severity,
    /// The layer it is about; `None` for the network as a whole.
    pub layer: Option<String>,
    /// What sets it apart from other findings of its rule in the same network: a layer, a type.
    /// `None` where the rule has at most one for a setting, and the layer only says where it shows.
    #[serde(default)]
    pub subject: Option<String>,
    /// What was found, in a sentence or two, with its figures.
    pub message: String,
    /// The figure that was compared with the threshold.
    #[serde(default)]
    pub measured: Option<f64>,
    /// The unit of both; empty for a plain number.
    #[serde(default)]
    pub unit: String,
    /// The threshold it was compared with.
    #[serde(default)]
    pub threshold: Option<f64>,
    /// The setting that moves the threshold, e.g. `GP001.decades`.
    #[serde(default)]
    pub setting: Option<String>,
    /// What supports it, in sentences with their figures.
    #[serde(default)]
    pub evidence: Vec<String>,
    /// How many of the seeds see it, where it was counted.
    #[serde(default)]
    pub seeds: Option<Agreement>,
    /// The figure's median and range over the seeds.
    #[serde(default)]
    pub spread: Option<Spread>,
}

impl Finding {
    /// The finding, about a layer.
    #[must_use]
    pub fn at(mut self, layer: &str) -> Self {
        self.layer = Some(layer.into());
        self
    }

    /// The finding, one of several of its rule that are set apart by this.
    #[must_use]
    pub fn one_of(mut self, subject: &str) -> Self {
        self.subject = Some(subject.into());
        self
    }

    /// The finding, with one more sentence of evidence.
    #[must_use]
    pub fn because(mut self, sentence: impl Into<String>) -> Self {
        let sentence = sentence.into();
        if !sentence.is_empty() {
            self.evidence.push(sentence);
        }
        self
    }

    /// The finding, with how many seeds see it.
    #[must_use]
    pub fn seen_by(mut self, seeds: Agreement) -> Self {
        self.seeds = Some(seeds);
        self
    }

    /// The finding, with the figures of all seeds.
    #[must_use]
    pub fn over(mut self, figures: &[Option<f64>]) -> Self {
        self.spread = crate::measure::spread(figures);
        self
    }
}

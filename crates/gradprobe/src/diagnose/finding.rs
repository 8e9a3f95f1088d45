//! What a rule finds.

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
    /// What was found, in a sentence or two, with its figures.
    pub message: String,
}

//! Which findings make the exit status 1.

use clap::ValueEnum;
use gradprobe::diagnose::Severity;
use std::process::ExitCode;

/// The least severity of a finding that makes the exit status 1.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum FailOn {
    /// Any finding
    Info,
    /// A warning or an error
    Warning,
    /// An error
    Error,
    /// Nothing
    Never,
}

impl FailOn {
    /// Does a finding of this severity make the exit status 1?
    pub fn includes(self, severity: Severity) -> bool {
        match self {
            Self::Info => severity >= Severity::Info,
            Self::Warning => severity >= Severity::Warning,
            Self::Error => severity >= Severity::Error,
            Self::Never => false,
        }
    }

    /// The exit status of a command with these findings.
    pub fn status(self, findings: impl IntoIterator<Item = Severity>) -> ExitCode {
        let fails = findings.into_iter().any(|severity| self.includes(severity));
        ExitCode::from(u8::from(fails))
    }
}

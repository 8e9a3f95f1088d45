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
    /// The exit status of a command with these findings.
    pub fn status(self, findings: impl IntoIterator<Item = Severity>) -> ExitCode {
        let least = match self {
            Self::Info => Severity::Info,
            Self::Warning => Severity::Warning,
            Self::Error => Severity::Error,
            Self::Never => return ExitCode::SUCCESS,
        };
        let fails = findings.into_iter().any(|severity| severity >= least);
        ExitCode::from(u8::from(fails))
    }
}

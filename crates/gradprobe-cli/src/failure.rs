//! Why a command stops, and how that is said.

use crate::specification_error;
use crate::talk::say;
use anstyle::{AnsiColor, Style};
use gradprobe::import::spec::SpecError;
use std::io;
use std::process::ExitCode;

/// Exit status of a bad input, as in clap.
const BAD_INPUT: u8 = 2;

/// Why a command stops before its end.
#[derive(Debug)]
pub enum Failure {
    /// Something about the input, in a sentence; shown after `error: `.
    Input(String),
    /// A message that is already laid out, e.g. with the source text it points into.
    Rendered(String),
}

impl Failure {
    /// A mistake in a specification, shown in its text.
    pub fn spec(error: &SpecError) -> Self {
        match specification_error::render(error) {
            Some(text) => Self::Rendered(text),
            None => Self::Input(error.to_string()),
        }
    }

    /// An error whose words may hold names from a file.
    pub fn escaped(error: &impl std::fmt::Display) -> Self {
        Self::Input(gradprobe::report::escape(&error.to_string()).into_owned())
    }

    /// Says it on stderr.
    pub fn report(self) -> ExitCode {
        let style = Style::new().bold().fg_color(Some(AnsiColor::Red.into()));
        match self {
            Self::Input(message) => say(format_args!("{style}error{style:#}: {message}")),
            Self::Rendered(message) => say(format_args!("{message}")),
        }
        ExitCode::from(BAD_INPUT)
    }
}

/// An I/O error without its number.
pub fn in_words(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| {
        first.to_lowercase().chain(chars).collect()
    })
}

//! What can be wrong with a network specification, and where in the text.

use crate::graph::Origin;
use std::fmt;
use std::ops::{Deref, DerefMut, Range};
use std::path::PathBuf;
use std::sync::Arc;

/// What kind of mistake it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SpecErrorKind {
    /// The file cannot be read, or is not UTF-8 text.
    Unreadable,
    /// The text is not TOML.
    Syntax,
    /// A key that means nothing where it stands.
    UnknownKey,
    /// A key that has to be there and is not.
    Missing,
    /// A value of another type than the key takes.
    WrongType,
    /// A value out of range, or a name that nothing has.
    Value,
    /// Layers that do not fit each other.
    Shape,
    /// A network larger than the limits.
    TooLarge,
    /// The data file.
    Data,
}

/// A mistake in a specification: what, where, and what would be right.
///
/// Displayed on one line, `network.toml:3:7: …`. A terminal does better with the parts: the text
/// around [`span`](Mistake::span) with [`label`](Mistake::label) under it. Boxed, because every
/// reader returns one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpecError(Box<Mistake>);

/// The parts of a [`SpecError`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Mistake {
    /// What kind of mistake it is.
    pub kind: SpecErrorKind,
    /// What is wrong, in one line, lower case.
    pub message: String,
    /// What was expected there; a few words for the mark in the text. May be empty.
    pub label: String,
    /// A suggestion.
    pub help: Option<String>,
    /// Bytes of the text that are wrong.
    pub span: Option<Range<usize>>,
    /// The file.
    pub path: Option<PathBuf>,
    /// The whole text of the file.
    pub text: Option<Arc<str>>,
}

impl SpecError {
    pub(super) fn new(kind: SpecErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Mistake {
            kind,
            message: message.into(),
            label: String::new(),
            help: None,
            span: None,
            path: None,
            text: None,
        }))
    }

    pub(super) fn of_kind(mut self, kind: SpecErrorKind) -> Self {
        self.kind = kind;
        self
    }

    pub(super) fn at(mut self, span: Range<usize>) -> Self {
        self.span.get_or_insert(span);
        self
    }

    pub(super) fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    pub(super) fn maybe_help(mut self, help: Option<String>) -> Self {
        if help.is_some() {
            self.help = help;
        }
        self
    }
}

impl Mistake {
    /// Line and column of the mistake, both from 1; columns count characters.
    pub fn line_and_column(&self) -> Option<(usize, usize)> {
        let (span, text) = (self.span.as_ref()?, self.text.as_deref()?);
        let mut start = span.start.min(text.len());
        while !text.is_char_boundary(start) {
            start -= 1;
        }
        let before = &text[..start];
        let line_start = before.rfind('\n').map_or(0, |end| end + 1);
        let line = before.matches('\n').count() + 1;
        Some((line, before[line_start..].chars().count() + 1))
    }
}

impl Deref for SpecError {
    type Target = Mistake;
    fn deref(&self) -> &Mistake {
        &self.0
    }
}

impl DerefMut for SpecError {
    fn deref_mut(&mut self) -> &mut Mistake {
        &mut self.0
    }
}

impl fmt::Display for SpecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(path) = &self.path {
            write!(f, "{}:", path.display().to_string().escape_debug())?;
        }
        if let Some((line, column)) = self.line_and_column() {
            write!(f, "{line}:{column}:")?;
        }
        if self.path.is_some() || self.line_and_column().is_some() {
            f.write_str(" ")?;
        }
        f.write_str(&self.message)?;
        if let Some(help) = &self.help {
            write!(f, "; {help}")?;
        }
        Ok(())
    }
}

impl std::error::Error for SpecError {}

/// An error with a place in the text.
pub(super) fn at(error: SpecError, origin: &Origin) -> SpecError {
    match &origin.span {
        Some(span) => error.at(span.clone()),
        None => error,
    }
}

//! What can be wrong with an ONNX file, and where in it.

use crate::data;
use std::fmt;
use std::path::{Path, PathBuf};

/// What is wrong with an ONNX file, or with what was asked of it.
///
/// Displayed on one line: the file, the place in it, what is wrong, what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OnnxError(Box<Parts>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Parts {
    path: PathBuf,
    place: String,
    message: String,
    help: Option<String>,
}

impl OnnxError {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self(Box::new(Parts {
            path: PathBuf::new(),
            place: String::new(),
            message: message.into(),
            help: None,
        }))
    }

    /// In the file; what is named first stays.
    pub(super) fn in_file(mut self, path: &Path) -> Self {
        if self.0.path.as_os_str().is_empty() {
            self.0.path = path.to_path_buf();
        }
        self
    }

    /// At a place of the file; what is named first stays.
    pub(super) fn at(mut self, place: impl Into<String>) -> Self {
        if self.0.place.is_empty() {
            self.0.place = place.into();
        }
        self
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.0.help.get_or_insert(help.into());
        self
    }

    /// What is wrong, without the file and the place.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The place in the file, in words; may be empty.
    pub fn place(&self) -> &str {
        &self.0.place
    }
}

impl fmt::Display for OnnxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Parts {
            path,
            place,
            message,
            help,
        } = &*self.0;
        if !path.as_os_str().is_empty() {
            write!(f, "`{}`: ", path.display().to_string().escape_debug())?;
        }
        if !place.is_empty() {
            write!(f, "{place}: ")?;
        }
        f.write_str(message)?;
        if let Some(help) = help {
            write!(f, "; {help}")?;
        }
        Ok(())
    }
}

impl std::error::Error for OnnxError {}

/// A name from a file, in back quotes on one line, cut where it is long.
pub(super) fn quoted(name: &str) -> String {
    const LONGEST: usize = 120;
    data::quoted(name, LONGEST)
}

//! The text that something was read from.

use super::error::SpecError;
use std::path::PathBuf;
use std::sync::Arc;

/// The text of a specification, for messages.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Source {
    /// The file; data files are sought from its folder.
    pub path: Option<PathBuf>,
    /// The text.
    pub text: Arc<str>,
}

impl Source {
    /// The error with the file and the text that its place refers to.
    pub(super) fn blame(&self, mut error: SpecError) -> SpecError {
        error.path.clone_from(&self.path);
        error.text = Some(Arc::clone(&self.text));
        error
    }
}

//! What can be wrong with a data file.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// What is wrong with a data file, with the place in it. Lines and columns count from 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// It cannot be opened or read.
    #[error("cannot read `{}`: {reason}", shown(path))]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What kind of failure it was.
        kind: ErrorKind,
        /// What the system says.
        reason: String,
    },
    /// It has no rows.
    #[error("`{}` holds no rows of numbers", shown(path))]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// A row of another length than the first.
    #[error(
        "`{}`, line {line}: expected {expected} columns as in line {first_line}, got {got}",
        shown(path)
    )]
    Ragged {
        /// The file.
        path: PathBuf,
        /// The line of the row.
        line: u64,
        /// The line of the first row.
        first_line: u64,
        /// How many columns the first row has.
        expected: usize,
        /// How many this row has.
        got: usize,
    },
    /// A field that is not a number.
    #[error(
        "`{}`, line {line}, column {column}: expected a number, got {}",
        shown(path),
        field(text)
    )]
    NotANumber {
        /// The file.
        path: PathBuf,
        /// The line.
        line: u64,
        /// The column.
        column: usize,
        /// The field.
        text: String,
    },
    /// A first line in which some fields are numbers and some are not.
    #[error(
        "`{}`, line {line}, column {column}: expected a number, got {} (if line {line} holds the \
         columns' names, set header = true)",
        shown(path),
        field(text)
    )]
    MixedHeader {
        /// The file.
        path: PathBuf,
        /// The line.
        line: u64,
        /// The column.
        column: usize,
        /// The field.
        text: String,
    },
    /// A number that is infinite or NaN.
    #[error(
        "`{}`, line {line}, column {column}: expected a finite number, got {}",
        shown(path),
        field(text)
    )]
    NotFinite {
        /// The file.
        path: PathBuf,
        /// The line.
        line: u64,
        /// The column.
        column: usize,
        /// The field, or the number it became.
        text: String,
    },
    /// More than may be read.
    #[error("`{}` {what}, more than the limit of {limit} bytes", shown(path))]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// What is too large.
        what: &'static str,
        /// The limit in bytes.
        limit: u64,
    },
    /// A file of arrays that is damaged, or of another format.
    #[error("`{}`: {what}", shown(path))]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// A column that is not there.
    #[error("`{}` has no column {column}: {available}", shown(path))]
    NoColumn {
        /// The file.
        path: PathBuf,
        /// The column asked for.
        column: String,
        /// Which there are.
        available: String,
    },
    /// A class that is not one of the network's.
    #[error(
        "`{}`, line {line}, column {column}: expected a class from 0 to {}, got {value}",
        shown(path),
        classes.saturating_sub(1)
    )]
    Class {
        /// The file.
        path: PathBuf,
        /// The line.
        line: u64,
        /// The column.
        column: usize,
        /// What is there.
        value: String,
        /// How many classes the network has.
        classes: usize,
    },
    /// Nothing left beside the target.
    #[error("`{}` has only the target's column, no inputs", shown(path))]
    NoInputs {
        /// The file.
        path: PathBuf,
    },
    /// A batch larger than the file.
    #[error(
        "a batch of {batch} rows was asked for, but `{}` has {rows}",
        shown(path)
    )]
    TooFewRows {
        /// The file.
        path: PathBuf,
        /// The batch.
        batch: usize,
        /// The rows.
        rows: usize,
    },
}

impl DataError {
    /// What to do about it, where that is not in the message.
    pub fn help(&self) -> Option<&'static str> {
        match self {
            Self::Unreadable { kind, .. } => match kind {
                ErrorKind::NotFound => {
                    Some("the path is looked up from the folder of the file that names it")
                }
                ErrorKind::UnexpectedEof | ErrorKind::InvalidData | ErrorKind::InvalidInput => {
                    Some("copy or download it again")
                }
                _ => None,
            },
            Self::Ragged { .. } => Some("every row needs as many fields as the first"),
            Self::NotANumber { .. } | Self::NotFinite { .. } => {
                Some("fill the value in, or leave the row out")
            }
            Self::TooLarge { .. } => Some("keep a part of the file"),
            Self::TooFewRows { .. } => Some("lower `batch`"),
            _ => None,
        }
    }
}

/// A path on one line.
fn shown(path: &Path) -> String {
    path.display().to_string().escape_debug().to_string()
}

/// A field of a table, as a message repeats it.
fn field(text: &str) -> String {
    const LONGEST: usize = 40;
    match text {
        "" => "an empty field".into(),
        text => quoted(text, LONGEST),
    }
}

/// A piece of a user's text in back quotes, on one line, cut where it is longer than so many
/// characters.
pub(crate) fn quoted(text: &str, longest: usize) -> String {
    let mut shown: String = text.chars().take(longest).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    format!("`{}`", shown.escape_debug())
}

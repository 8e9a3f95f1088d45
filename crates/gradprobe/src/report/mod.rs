//! What was found, written down: one file a format.

mod check_json;
mod check_text;
mod escape;

pub use check_json::{CHECK_SCHEMA, write_check_json};
pub use check_text::{CheckTextOptions, write_check_text};
pub use escape::escape;

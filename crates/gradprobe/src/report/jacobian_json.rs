//! The JSON of Jacobians. Its schema is documented in `docs/JACOBIAN.md`.

use super::escape::SafeJson;
use crate::measure::Jacobians;
use serde::Serialize;
use std::io::{self, Write};

/// The name and version of the schema. The number rises when a field changes its meaning or goes;
/// new fields do not raise it.
pub const JACOBIAN_SCHEMA: &str = "gradprobe.jacobian/1";

#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    #[serde(flatten)]
    jacobians: &'a Jacobians,
}

/// Writes Jacobians as JSON, with a line end.
///
/// # Errors
/// If the writer fails.
pub fn write_jacobian_json(out: &mut dyn Write, jacobians: &Jacobians) -> io::Result<()> {
    let document = Document {
        schema: JACOBIAN_SCHEMA,
        jacobians,
    };
    serde_json::to_writer_pretty(SafeJson(&mut *out), &document).map_err(io::Error::from)?;
    writeln!(out)
}

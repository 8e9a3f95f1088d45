//! What theory says, as JSON. Its schema is documented in `docs/THEORY.md`.

use super::escape::SafeJson;
use crate::diagnose::experiment::{CaseResult, Comparison};
use crate::theory::outlook::Outlook;
use serde::Serialize;
use std::io::{self, Write};

/// The name and version of the schema.
pub const THEORY_SCHEMA: &str = "gradprobe.theory/1";

#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    activations: Vec<Entry<'a>>,
    experiments: &'a [CaseResult],
}

#[derive(Serialize)]
struct Entry<'a> {
    #[serde(flatten)]
    outlook: &'a Outlook,
    measured: &'a [Comparison],
}

/// Writes what theory says of some activations, each with what was measured, and the results of
/// published experiments.
///
/// # Errors
/// If the writer fails.
pub fn write_theory_json(
    out: &mut dyn Write,
    outlooks: &[(Outlook, Vec<Comparison>)],
    experiments: &[CaseResult],
) -> io::Result<()> {
    let document = Document {
        schema: THEORY_SCHEMA,
        activations: outlooks
            .iter()
            .map(|(outlook, measured)| Entry { outlook, measured })
            .collect(),
        experiments,
    };
    serde_json::to_writer_pretty(SafeJson(&mut *out), &document).map_err(io::Error::from)?;
    writeln!(out)
}

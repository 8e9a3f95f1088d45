//! What theory says, as JSON. Its schema is documented in `docs/THEORY.md`.

use super::escape::SafeJson;
use super::theory_phase::PhaseDiagram;
use crate::diagnose::experiment::{CaseResult, Comparison};
use crate::theory::outlook::Outlook;
use serde::Serialize;
use std::io::{self, Write};

/// The name and version of the schema.
pub const THEORY_SCHEMA: &str = "gradprobe.theory/1";

#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    activations: &'a [TheoryAnswer],
    experiments: &'a [CaseResult],
}

/// What is said of an activation.
#[derive(Clone, Debug, Serialize)]
pub struct TheoryAnswer {
    /// What theory says.
    #[serde(flatten)]
    pub outlook: Outlook,
    /// What was measured with its gains, where it was: one a gain.
    pub measured: Vec<Comparison>,
    /// The phase diagram, where one was asked for.
    pub phase_diagram: Option<PhaseDiagram>,
}

/// Writes what theory says of some activations, each with what was measured, and the results of
/// published experiments.
///
/// # Errors
/// If the writer fails.
pub fn write_theory_json(
    out: &mut dyn Write,
    activations: &[TheoryAnswer],
    experiments: &[CaseResult],
) -> io::Result<()> {
    let document = Document {
        schema: THEORY_SCHEMA,
        activations,
        experiments,
    };
    serde_json::to_writer_pretty(SafeJson(&mut *out), &document).map_err(io::Error::from)?;
    writeln!(out)
}

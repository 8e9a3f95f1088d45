//! How many batch normalisations were found that an exporter wrote out.

/// What was put back, for the report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Recognised {
    /// By names that say batch norm.
    pub by_name: usize,
    /// By the numbers of an untrained one, or by the place.
    pub by_structure: usize,
    /// Of either, those whose variance the exporter multiplied into the scale.
    pub folded_variance: usize,
}

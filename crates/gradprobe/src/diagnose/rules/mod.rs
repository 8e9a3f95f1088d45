//! The rules: one file a rule, one row each in the registry.

pub mod exploding_gradient;
pub mod non_finite;
pub mod vanishing_gradient;
pub mod zero_gradient;

mod depth;

use super::finding::Finding;
use crate::measure::Measurement;

/// A row of the registry.
#[derive(Debug)]
pub struct Rule {
    /// Its stable code.
    pub code: &'static str,
    /// Its name.
    pub name: &'static str,
    /// What it finds, in one line.
    pub about: &'static str,
    /// Looks for it.
    pub check: fn(&Measurement) -> Vec<Finding>,
}

/// Every rule, by code.
pub fn registry() -> &'static [Rule] {
    &[
        vanishing_gradient::RULE,
        exploding_gradient::RULE,
        zero_gradient::RULE,
        non_finite::RULE,
    ]
}

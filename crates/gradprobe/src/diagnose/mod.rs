//! The judgement: how the signals change with depth, and what the rules find in a measurement.

mod finding;
pub mod rules;
mod trend;
mod verdict;

pub use finding::{Finding, Severity};
pub use trend::{Direction, Law, Trend, trend};
pub use verdict::{Diagnosis, Verdict, diagnose};

//! The judgement: how the signals change with depth, and what the rules find in a measurement.

pub mod baseline;
pub mod chain;
pub mod experiment;
mod finding;
pub mod rules;
mod trend;
mod verdict;
mod zero_cause;

pub use finding::{Finding, Severity};
pub use trend::{Direction, Law, Trend, factor_in_words, trend};
pub use verdict::{Diagnosis, Verdict, diagnose};
pub use zero_cause::{ZeroCause, cause_of_zero_derivative, vanishes_in, zero_cause};

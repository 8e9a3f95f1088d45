//! The judgement: how the signals change with depth, and what the rules find in a measurement.

pub mod baseline;
mod causes;
pub mod chain;
pub mod experiment;
mod finding;
mod judged;
mod made_up;
mod rule;
mod rule_set;
pub mod rules;
mod settings;
mod trend;
mod verdict;
mod zero_cause;

pub use finding::{Agreement, Finding, Severity};
pub use rule::{Examination, Page, Rule, RuleSubject, Setting};
pub use rule_set::{PROFILES, RuleSet, find_rule, nearest_rule};
pub use trend::{Direction, Law, Trend, factor_in_words, trend};
pub use verdict::{Diagnosis, Verdict, diagnose, diagnose_by};
pub use zero_cause::{ZeroCause, cause_of_zero_derivative, vanishes_in, zero_cause};

//! UnchangedTensor: needs a recorded run.

use super::super::super::finding::Severity;
use super::super::super::rule::{Page, Rule, RuleSubject};
use super::{NEEDS_A_RUN, REFERENCES};

/// The rule.
pub static RULE: Rule = Rule {
    code: "SM009",
    name: "UnchangedTensor",
    severity: Severity::Warning,
    summary: "a tensor stays the same over steps (as SageMaker Debugger; needs a recorded run)",
    subject: RuleSubject::Network,
    page: Page {
        meaning: "A weight, an output or a gradient does not change from step to step (within a relative 1e-5).",
        importance: "What our own rules do better already: a weight that cannot change is found before the first step by `zero-gradient` (GP003), `dead-units` (GP008) and `update-ratio` (GP017).",
        evidence: NEEDS_A_RUN,
        look_alikes: "It cannot be told from a single step, and is not guessed at here.",
        remedies: "Record a run where that is available, and judge that.",
        references: REFERENCES,
    },
    settings: &[],
    check: |_| Vec::new(),
};

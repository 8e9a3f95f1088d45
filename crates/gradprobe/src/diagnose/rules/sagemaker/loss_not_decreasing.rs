//! LossNotDecreasing: needs a recorded run.

use super::super::super::finding::Severity;
use super::super::super::rule::{Page, Rule, RuleSubject};
use super::{NEEDS_A_RUN, REFERENCES};

/// The rule.
pub static RULE: Rule = Rule {
    code: "SM010",
    name: "LossNotDecreasing",
    severity: Severity::Warning,
    summary: "the loss does not fall (as SageMaker Debugger; needs a recorded run)",
    subject: RuleSubject::Network,
    page: Page {
        meaning: "The loss does not fall by the wanted share over ten steps.",
        importance: "What our own rules do better already: they say before the first step why it will not: see the list of `gradprobe rule --all`.",
        evidence: NEEDS_A_RUN,
        look_alikes: "It cannot be told from a single step, and is not guessed at here.",
        remedies: "Record a run where that is available, and judge that.",
        references: REFERENCES,
    },
    settings: &[],
    check: |_| Vec::new(),
};

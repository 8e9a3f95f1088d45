//! Overtraining: needs a recorded run.

use super::super::super::finding::Severity;
use super::super::super::rule::{Page, Rule, RuleSubject};
use super::{NEEDS_A_RUN, REFERENCES};

/// The rule.
pub static RULE: Rule = Rule {
    code: "SM012",
    name: "Overtraining",
    severity: Severity::Warning,
    summary: "the loss no longer improves (as SageMaker Debugger; needs a recorded run)",
    subject: RuleSubject::Network,
    page: Page {
        meaning: "The training or the validation loss has not improved for five steps or more.",
        importance: "Nothing that a first step shows stands for it; our own rule will come with recorded runs.",
        evidence: NEEDS_A_RUN,
        look_alikes: "It cannot be told from a single step, and is not guessed at here.",
        remedies: "Record a run where that is available, and judge that.",
        references: REFERENCES,
    },
    settings: &[],
    check: |_| Vec::new(),
};

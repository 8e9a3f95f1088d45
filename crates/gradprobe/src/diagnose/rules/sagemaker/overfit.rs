//! Overfit: needs a recorded run.

use super::super::super::finding::Severity;
use super::super::super::rule::{Page, Rule, RuleSubject};
use super::{NEEDS_A_RUN, REFERENCES};

/// The rule.
pub static RULE: Rule = Rule {
    code: "SM011",
    name: "Overfit",
    severity: Severity::Warning,
    summary: "training and validation loss part (as SageMaker Debugger; needs a recorded run)",
    subject: RuleSubject::Network,
    page: Page {
        meaning: "The validation loss is above the training loss by more than a tenth.",
        importance: "Nothing that a first step shows stands for it; our own rule will come with recorded runs.",
        evidence: NEEDS_A_RUN,
        look_alikes: "It cannot be told from a single step, and is not guessed at here.",
        remedies: "Record a run where that is available, and judge that.",
        references: REFERENCES,
    },
    settings: &[],
    check: |_| Vec::new(),
};

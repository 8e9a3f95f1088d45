//! The forward signal grows by decades on its way through the layers.

use super::super::finding::Severity;
use super::super::rule::{Page, Rule, RuleSubject, Setting};
use super::super::trend::Direction;
use super::time::Question;
use super::{forward, time};

/// How much growth is a finding.
pub const DECADES: Setting = Setting {
    name: "decades",
    default: 3.0,
    unit: "decades",
    least: 0.0,
    most: f64::INFINITY,
    reason: "Decades that the root mean square of the signal gains from the first layer to the last \
             hidden one: outputs in the thousands where the loss expects a few.",
    source: "networks that train well here gain 0 to 2 (GPT-2 from embeddings of σ = 0.02); 27 \
             residual blocks without normalisation gain 4",
};

/// The rule.
pub static RULE: Rule = Rule {
    code: "GP006",
    name: "exploding-signal",
    severity: Severity::Error,
    summary: "the forward signal grows by decades from the first layer to the last",
    subject: RuleSubject::Network,
    page: Page {
        meaning: "Every layer makes the signal larger, so that the output layer sees numbers in the \
                  thousands.",
        importance: "The first losses are huge, softmax is certain of a class at random, the first steps \
                     tear the last layer apart; half precision overflows at 65,504.",
        evidence: "The decades gained by the root mean square of the layers' outputs (so that widths do \
                   not matter), from the first layer to the last hidden one, and the law. Of a recurrent \
                   layer those that its state gains from the first step to the last, where they follow \
                   a law.",
        look_alikes: "Unscaled inputs begin large and do not grow: `unscaled-input`. Bounded activations \
                      cannot grow; they saturate. A residual stream that grows by the root of its depth \
                      is as it should be; see `residual-growth` for what is not.",
        remedies: "The initialisation that fits the activation; normalisation; residual branches scaled \
                   by 1/√depth.",
        references: "He et al. 2015; Hanin and Rolnick 2018; Zhang, Dauphin and Ma 2019.",
    },
    settings: &[DECADES],
    check: |examined| {
        let question = Question {
            direction: Direction::Forward,
            sign: 1.0,
            decades: &DECADES,
            forgotten: None,
        };
        let mut findings = forward::check(examined, &DECADES, 1.0);
        findings.extend(time::check(examined, question));
        findings
    },
};

//! The forward signal shrinks by decades on its way through the layers.

use super::super::finding::Severity;
use super::super::rule::{Page, Rule, RuleSubject, Setting};
use super::super::trend::Direction;
use super::time::Question;
use super::{forward, time};

/// How much loss is a finding.
pub const DECADES: Setting = Setting {
    name: "decades",
    default: 3.0,
    unit: "decades",
    least: 0.0,
    most: f64::INFINITY,
    reason: "Decades that the root mean square of the signal loses from the first layer to the last \
             hidden one: by then a loss sees its input only in the fourth digit.",
    source: "networks that train well here lose 0 to 1.5; ReLU layers of width 64 with weights \
             uniform in ±0.05 lose 0.8 a layer",
};

/// The rule.
pub static RULE: Rule = Rule {
    code: "GP005",
    name: "vanishing-signal",
    severity: Severity::Error,
    summary: "the forward signal shrinks by decades from the first layer to the last",
    subject: RuleSubject::Network,
    page: Page {
        meaning: "Every layer makes the signal smaller, until the output hardly depends on the input. \
                  Where weights are too small the backward signal shrinks by the same factor, and \
                  both collapse together.",
        importance: "The gradient of a weight is the product of the forward signal before it and the \
                     backward signal after it. Where both collapse, the first layers see a healthy h \
                     and a tiny δ, the last ones a tiny h and a healthy δ: the ratio of their weight \
                     gradients is near 1 and hides both. Nothing trains until the biases have.",
        evidence: "The decades lost by the root mean square of the layers' outputs (so that widths do \
                   not matter), from the first layer to the last hidden one; the law; where the \
                   backward signal collapses too, by how much, and the ratio of weight gradients that \
                   hides it. Of a recurrent layer the decades that its state loses from the first step \
                   to the last, where they follow a law.",
        look_alikes: "A small last layer is often meant so (it makes the first predictions even), and \
                      is left out. A signal of constant size that no longer tells samples apart is \
                      `rank-collapse`. Small inputs shrink everything alike: that is no loss by depth.",
        remedies: "The initialisation that fits the activation: He for ReLU (variance 2/fan_in), Glorot \
                   or LeCun for tanh. Keras' RandomUniform(−0.05, 0.05) fits no width by itself.",
        references: "Glorot and Bengio 2010; He et al. 2015; Hanin and Rolnick 2018, How to start \
                     training.",
    },
    settings: &[DECADES],
    check: |examined| {
        let question = Question {
            direction: Direction::Forward,
            sign: -1.0,
            decades: &DECADES,
            forgotten: None,
        };
        let mut findings = forward::check(examined, &DECADES, -1.0);
        findings.extend(time::check(examined, question));
        findings
    },
};

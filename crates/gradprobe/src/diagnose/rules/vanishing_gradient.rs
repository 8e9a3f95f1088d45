//! The backward signal shrinks by decades on its way from the last layer to the first.

use super::super::finding::Severity;
use super::super::rule::{Page, Rule, RuleSubject, Setting};
use super::super::trend::Direction;
use super::time::Question;
use super::{depth, time};

/// The rule's code.
pub const CODE: &str = "GP001";

/// How much loss is a finding.
pub const DECADES: Setting = Setting {
    name: "decades",
    default: 3.0,
    unit: "decades",
    least: 0.0,
    most: f64::INFINITY,
    reason: "Decades lost from the last layer back to the weights of the first. From three on no \
             one learning rate serves both: plain SGD moves one of them a thousand times less, \
             relative to its gradient's due, than the other.",
    source: "networks that train well here lose 0 to 2.4 (ResNet-50, 18 tanh layers of width 5); \
             sigmoid networks of ten layers lose 5 and more",
};

/// How much a recurrence whose weights are given may forget.
pub const FORGOTTEN: Setting = Setting {
    name: "forgotten",
    default: 38.0,
    unit: "decades",
    least: 0.0,
    most: f64::INFINITY,
    reason: "Decades that a recurrent layer whose weights are given may lose over its steps before it \
             is more than a note: trained gates forget on purpose. Beyond this, what is 1 at the last \
             step is no normal number of f32 at the first, and soon an exact zero: nothing there is \
             learnt, whatever the optimiser.",
    source: "the smallest normal number of f32 is 10^−37.9; PyTorch's default LSTM loses 20 decades over \
             100 steps",
};

/// The rule.
pub static RULE: Rule = Rule {
    code: CODE,
    name: "vanishing-gradient",
    severity: Severity::Error,
    summary: "the backward signal shrinks by decades from the last layer back to the first",
    subject: RuleSubject::Network,
    page: Page {
        meaning: "Going back from the loss, the cotangent δ = ∂loss/∂h is multiplied by every \
                  layer's transposed Jacobian. Where these shrink it, layer after layer, the first \
                  layers receive a signal smaller by powers of ten than the last. The rule compares \
                  what arrives at the weights of the first layer with what the last layer has: a \
                  ratio, so the scale of the loss does not matter. Over the steps of a recurrent \
                  layer it is the same: there the rule compares what arrives at the state after the \
                  first step with what the last step has.",
        importance: "The first layers do not learn while the last ones do, and the network behaves as \
                     if it had only these. In low precision what is small becomes zero. A recurrent \
                     layer's weights are shared by its steps and learn from the last of them; what \
                     only the first steps tell is not learnt (a label that depends on the first of 28 \
                     steps stays at chance with PyTorch's default LSTM, which loses 6 decades over \
                     them, and is learnt with an open forget gate).",
        evidence: "The decades lost (log10 of the ratio of norms, median over the seeds); the law that \
                   they follow over depth: exponential with its factor a layer and the number of \
                   layers over which a decade is lost, a power law with its exponent, or one step; \
                   the layer by which the first decade is lost; what lost it, split exactly along the \
                   chain (activations' slopes, weights, normalisation), by block where signals meet. Over \
                   time: the root mean square of the whole cotangent of the state after each step (of \
                   an LSTM h and c together), counted back from the last step of each sequence that a \
                   cotangent arrives at; the same law with its factor a step; the step by which the \
                   first decade is lost; beyond which distance less than a thousandth arrives; every \
                   other direction and layer that is concerned.",
        look_alikes: "A small gradient everywhere is not a vanishing one: multiply the loss by 1e-6 \
                      and every gradient shrinks, but no ratio does. A critical tanh network loses \
                      signal as a power law, which a hundred layers survive. Ratios of weight \
                      gradients mislead where the forward signal collapses as well: see \
                      `vanishing-signal`. In given weights, which may be trained, one step at a layer \
                      that is not saturated is a note: training moves the scales of single layers. A \
                      recurrence with given weights may be trained to forget: up to `forgotten` decades \
                      are a note. Where the loss reads the state of every step, each step has a \
                      cotangent of its own and the whole one does not vanish, although what the last \
                      step asks may not reach the first: `over_time` of the JSON says how many steps \
                      are read, and reading the last alone shows the rest. A weight gradient of exactly \
                      zero is `zero-gradient`.",
        remedies: "If the activations lose it: an activation with slope 1 where the signal lies (tanh, \
                   ReLU and their kin rather than the sigmoid). If the weights lose it: the \
                   initialisation that fits the activation (Glorot for tanh, He for ReLU). Skip \
                   connections or normalisation in deep networks; for recurrent ones gates that begin \
                   open (a forget bias of 1 to 5), orthogonal recurrent weights, shorter sequences, \
                   attention over the steps.",
        references: "Hochreiter 1991; Bengio, Simard and Frasconi 1994; Glorot and Bengio 2010; \
                     Pascanu, Mikolov and Bengio 2013; Schoenholz et al. 2017 (the depth over which \
                     a signal survives); Jozefowicz, Zaremba and Sutskever 2015 (forget biases).",
    },
    settings: &[DECADES, FORGOTTEN],
    check: |examined| {
        let question = Question {
            direction: Direction::Backward,
            sign: -1.0,
            decades: &DECADES,
            forgotten: Some(&FORGOTTEN),
        };
        let mut findings = depth::check(examined, &DECADES, -1.0);
        findings.extend(time::check(examined, question));
        findings
    },
};

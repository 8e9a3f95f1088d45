//! The backward signal shrinks by decades on its way from the last layer to the first.

use super::super::finding::Severity;
use super::super::rule::{Page, Rule, RuleSubject, Setting};
use super::depth;

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
                  ratio, so the scale of the loss does not matter.",
        importance: "The first layers do not learn while the last ones do, and the network behaves as \
                     if it had only these. In low precision what is small becomes zero.",
        evidence: "The decades lost (log10 of the ratio of norms, median over the seeds); the law that \
                   they follow over depth: exponential with its factor a layer and the number of \
                   layers over which a decade is lost, a power law with its exponent, or one step; \
                   the layer by which the first decade is lost; what lost it, split exactly along the \
                   chain (activations' slopes, weights, normalisation), by block where signals meet.",
        look_alikes: "A small gradient everywhere is not a vanishing one: multiply the loss by 1e-6 \
                      and every gradient shrinks, but no ratio does. A critical tanh network loses \
                      signal as a power law, which a hundred layers survive. Ratios of weight \
                      gradients mislead where the forward signal collapses as well: see \
                      `vanishing-signal`. In given weights, which may be trained, one step at a layer \
                      that is not saturated is a note: training moves the scales of single layers. A weight gradient of exactly zero is `zero-gradient`.",
        remedies: "If the activations lose it: an activation with slope 1 where the signal lies (tanh, \
                   ReLU and their kin rather than the sigmoid). If the weights lose it: the \
                   initialisation that fits the activation (Glorot for tanh, He for ReLU). Skip \
                   connections or normalisation in deep networks; for recurrent ones gates, \
                   orthogonal recurrent weights, shorter sequences.",
        references: "Hochreiter 1991; Bengio, Simard and Frasconi 1994; Glorot and Bengio 2010; \
                     Pascanu, Mikolov and Bengio 2013; Schoenholz et al. 2017 (the depth over which \
                     a signal survives).",
    },
    settings: &[DECADES],
    check: |examined| depth::check(examined, &DECADES, -1.0),
};

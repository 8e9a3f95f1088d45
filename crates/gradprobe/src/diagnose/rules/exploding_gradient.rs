//! The backward signal grows by decades on its way from the last layer to the first.

use super::super::finding::Severity;
use super::super::rule::{Page, Rule, RuleSubject, Setting};
use super::super::trend::Direction;
use super::time::Question;
use super::{depth, time};

/// The rule's code.
pub const CODE: &str = "GP002";

/// How much growth is a finding.
pub const DECADES: Setting = Setting {
    name: "decades",
    default: 3.0,
    unit: "decades",
    least: 0.0,
    most: f64::INFINITY,
    reason: "Decades gained from the last layer back to the weights of the first. A learning rate \
             that the first layers bear is a thousand times too small for the last.",
    source: "networks that train well here gain 0 to 2.4 (ResNet-50); plain networks with batch \
             normalisation pass 3 at 40 layers, where He et al. 2016 see training degrade",
};

/// The rule.
pub static RULE: Rule = Rule {
    code: CODE,
    name: "exploding-gradient",
    severity: Severity::Error,
    summary: "the backward signal grows by decades from the last layer back to the first",
    subject: RuleSubject::Network,
    page: Page {
        meaning: "Going back from the loss, the cotangent δ = ∂loss/∂h grows at every layer, so that \
                  the first layers receive a signal larger by powers of ten than the last. The rule \
                  compares what arrives at the weights of the first layer with what the last layer \
                  has: a ratio, so the scale of the loss does not matter. Over the steps of a \
                  recurrent layer it compares what arrives at the state after the first step with \
                  what the last step has.",
        importance: "One step throws the first layers far from where they were; a learning rate that \
                     they bear leaves the last ones standing still. Half precision overflows.",
        evidence: "The decades gained (log10 of the ratio of norms, median over the seeds); the law that \
                   they follow over depth, exponential with its factor a layer, a power law or one \
                   step; the layer by which the first decade is gained; what made it, split exactly \
                   along the chain, by block with the shares of skip and branch where signals meet. Over \
                   the steps of a recurrent layer as `vanishing-gradient` has it.",
        look_alikes: "A large gradient everywhere: the loss is summed and not averaged, or scaled. One \
                      outlier batch in training: that is the data's. Growth by batch normalisation \
                      has a rate of its own, see `batch-norm-explosion`; growth by unscaled residual \
                      sums is `residual-growth`.",
        remedies: "The initialisation that fits the activation; branches scaled by 1/√depth or begun at \
                   zero (Fixup, SkipInit) where skip connections add up; LayerNorm or RMSNorm before \
                   the branch. Clipping the gradient's norm treats the symptom.",
        references: "Bengio, Simard and Frasconi 1994; Pascanu, Mikolov and Bengio 2013; Schoenholz et \
                     al. 2017; Yang et al. 2019 (batch normalisation); Zhang, Dauphin and Ma 2019 \
                     (Fixup).",
    },
    settings: &[DECADES],
    check: |examined| {
        let question = Question {
            direction: Direction::Backward,
            sign: 1.0,
            decades: &DECADES,
            forgotten: None,
        };
        let mut findings = depth::check(examined, &DECADES, 1.0);
        findings.extend(time::check(examined, question));
        findings
    },
};

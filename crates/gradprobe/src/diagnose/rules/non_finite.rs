//! The first infinite or NaN signal.

use super::super::finding::{Finding, Severity};
use super::super::rule::{Examination, Page, Rule, RuleSubject};
use crate::measure::{LayerRun, NonFiniteOrigin};

/// The rule.
pub static RULE: Rule = Rule {
    code: "GP004",
    name: "non-finite",
    severity: Severity::Error,
    summary: "a signal or a gradient is infinite or NaN: the first node where it happens",
    subject: RuleSubject::Network,
    page: Page {
        meaning: "Somewhere a number left the range of its type (an overflow to infinity), or an \
                  operation has no value there (0/0, ∞ − ∞, the logarithm of a negative number). \
                  Everything after it is infinite or NaN too.",
        importance: "One NaN in the forward pass makes the loss NaN, and one step of the optimiser every \
                     weight.",
        evidence: "The first node in the order of the run whose output has such elements while its \
                   inputs have none, how many, and the size of its inputs; where the forward pass is \
                   clean, the first node on the way back.",
        look_alikes: "A mask of −∞ before a softmax is meant so, and its output is finite. An infinite \
                      gradient in half precision under a loss scale that is too large is not the \
                      network's; gradients here have an exponent of their own and do not overflow.",
        remedies: "Look at the inputs that are named. Exponentials and powers of unbounded signals want \
                   a bounded or a logarithmic form (log-softmax, softplus, an ε in a division); a \
                   growing signal wants another initialisation or a normalisation.",
        references: "IEEE 754; the PyTorch documentation of `torch.autograd.detect_anomaly`.",
    },
    settings: &[],
    check,
};

fn check(examined: &Examination<'_>) -> Vec<Finding> {
    let runs = &examined.measurement.runs;
    let first = runs.iter().find_map(|run| {
        let forward = run.layers.iter().find(|layer| layer.forward.non_finite > 0);
        let backward = || {
            run.layers
                .iter()
                .rev()
                .find(|layer| backward_count(layer) > 0)
        };
        forward
            .map(|layer| (run.seed, layer, "forward signal", layer.forward.non_finite))
            .or_else(|| {
                backward().map(|layer| (run.seed, layer, "gradient", backward_count(layer)))
            })
    });
    let finding = first.map(|(seed, layer, what, count)| {
        let message = format!(
            "the {what} has {count} infinite or NaN elements at `{}` first (seed {seed})",
            layer.name
        );
        let seeds = examined.agreement(|run| {
            let mut layers = run.layers.iter();
            layers.any(|layer| layer.forward.non_finite > 0 || backward_count(layer) > 0)
        });
        let run = examined
            .measurement
            .runs
            .iter()
            .find(|run| run.seed == seed);
        let origin = run.and_then(|run| run.non_finite_origin.as_ref());
        examined
            .finding(Severity::Error, message)
            .at(&layer.name)
            .seen_by(seeds)
            .because(origin.map_or_else(String::new, in_words))
    });
    finding.into_iter().collect()
}

/// The node with its inputs.
fn in_words(origin: &NonFiniteOrigin) -> String {
    let inputs: Vec<String> = origin
        .inputs
        .iter()
        .map(|input| {
            let about = match (input.log10_max_abs, input.non_finite) {
                (Some(log10), 0) => format!("up to 10^{log10:.1}"),
                (Some(log10), count) => format!("up to 10^{log10:.1}, {count} not finite"),
                (None, 0) => "all zeros".into(),
                (None, count) => format!("{count} not finite, and no number but 0"),
            };
            format!("`{}` ({about})", input.name)
        })
        .collect();
    let way = if origin.in_backward {
        " on the way back"
    } else {
        ""
    };
    let given = if inputs.is_empty() {
        String::new()
    } else {
        format!(", from {}", inputs.join(" and "))
    };
    format!(
        "the first node is {} `{}`{way}: {} such elements{given}",
        origin.op, origin.node, origin.count
    )
}

fn backward_count(layer: &LayerRun) -> u64 {
    let parameters: u64 = layer
        .parameters
        .iter()
        .map(|parameter| parameter.grad_non_finite)
        .sum();
    layer.backward.non_finite + parameters
}

//! The same network spelled two documented ways gets the same findings.

use super::*;
use gradprobe::diagnose::{RuleSet, diagnose_by};
use gradprobe::import::spec::RuleChoices;

/// Every activation of the table, and the same function written out.
fn spellings() -> impl Iterator<Item = (&'static str, &'static str)> {
    let table =
        include_str!("../../../../gradprobe-engine/src/ops/activation/testdata/spellings.csv");
    let lines = table.lines().skip(1);
    lines.map(|line| line.split_once(';').unwrap())
}

type Told = Vec<(String, Severity, Option<String>)>;

fn told(text: &str) -> Told {
    let check = checked(text);
    let choices = RuleChoices::of_arguments(Some("sagemaker"), &[], &[], &[]).unwrap();
    let by_sagemaker = RuleSet::new([&choices]).unwrap();
    let by_sagemaker = diagnose_by(&by_sagemaker, &check.measurement);
    let all = [&check.diagnosis, &by_sagemaker];
    let findings = all.into_iter().flat_map(|diagnosis| &diagnosis.findings);
    let mut told: Told = findings
        .map(|finding| {
            (
                finding.code.clone(),
                finding.severity,
                finding.layer.clone(),
            )
        })
        .collect();
    told.sort();
    told
}

/// Networks that show what depends on an activation: as drawn, saturated, off, narrow, before a loss.
fn networks(activation: &str) -> [String; 5] {
    let network = |width: usize, depth: usize, more: &str, head: &str, loss: &str| {
        format!(
            "dtype = \"f64\"\ninput = 8\nbatch = 32\nseeds = 2\nlayers = [\n  {{ repeat = {depth}, linear = {width}, activation = \"{activation}\"{more} }},\n  \
             {{ linear = 4{head} }},\n]\n[loss]\nname = \"{loss}\"\n"
        )
    };
    let large = ", init = { name = \"normal\", std = 2 }";
    let low = ", bias = { name = \"constant\", value = -4 }";
    let head = format!(", activation = \"{activation}\"");
    [
        network(16, 6, "", "", "cross-entropy"),
        network(16, 4, large, "", "cross-entropy"),
        network(16, 4, low, "", "cross-entropy"),
        network(3, 12, "", "", "cross-entropy"),
        network(16, 3, "", &head, "mse"),
    ]
}

#[test]
fn an_activation_written_as_an_expression_gets_the_findings_of_the_named_one() {
    for (named, written) in spellings() {
        for (one, other) in networks(named).iter().zip(&networks(written)) {
            assert_eq!(told(one), told(other), "{named} and {written}:\n{one}");
        }
    }
    for entry in gradprobe::ops::activation::registry() {
        let spelled = spellings().any(|(named, _)| named == entry.about.name);
        assert!(spelled, "{} is spelled one way only", entry.about.name);
    }
}

#[test]
fn rectifiers_saturate_above_and_a_sine_not_at_all() {
    let saturated = |activation: &str| {
        let [_, large, ..] = networks(activation);
        let check = checked(&large);
        check.measurement.layers[1].median.saturated_fraction
    };
    assert!(saturated("tanh").is_some_and(|share| share > 0.5));
    assert!(saturated("relu6").is_some_and(|share| share < 0.5));
    assert_eq!(saturated("sin"), None);
}

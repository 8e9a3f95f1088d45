//! The rules about what a floating-point type makes of a gradient.

use super::each::{has, has_not, judged, turns_at_its_threshold};
use super::*;
use gradprobe::check::{Resources, check_by};
use gradprobe::diagnose::rules::registry;
use gradprobe::diagnose::{RuleSet, RuleSubject, Verdict};
use gradprobe::measure::precision::PrecisionOptions;

const CODES: [&str; 5] = ["GP019", "GP020", "GP021", "GP022", "GP023"];

fn in_types(text: &str, types: &[&str], loss_scale: Option<f64>) -> Check {
    let network = Network::new(Specification::parse(text).unwrap()).unwrap();
    let precision = PrecisionOptions {
        precisions: types.iter().map(|name| name.parse().unwrap()).collect(),
        loss_scale,
    };
    let rules = RuleSet::default();
    check_by(
        &rules,
        &network,
        Resources::default(),
        &precision,
        &mut |_| {},
    )
    .unwrap()
}

/// Four layers of signals and gradients near 1: nothing is lost to any type.
fn healthy() -> String {
    Mlp::new(4, 32, "relu", "he-normal")
        .more("[optimiser]\nname = \"sgd\"\nlearning_rate = 0.1\n")
        .text()
}

/// Three tanh layers, whose pre-activations are about `size`.
fn tanh(size: f64) -> String {
    format!(
        "input = 32\nlayers = [{{ repeat = 3, linear = 32, activation = \"tanh\", init = {{ name = \
         \"normal\", sigma_w = {size} }} }}, {{ linear = 4 }}]\nloss = \"cross-entropy\"\n"
    )
}

fn found<'a>(check: &'a Check, code: &str) -> Vec<&'a Finding> {
    let findings = check.diagnosis.findings.iter();
    findings.filter(|finding| finding.code == code).collect()
}

#[test]
fn they_look_only_where_a_type_was_asked_for() {
    let deep = Mlp::new(14, 16, "sigmoid", "xavier-normal").check();
    for rule in registry() {
        let is_numeric = CODES.contains(&rule.code);
        assert_eq!(rule.subject == RuleSubject::Precision, is_numeric);
        assert_eq!(rule.looks_at(&deep.measurement), !is_numeric);
    }
    for code in CODES {
        has_not(&deep, code);
    }
}

#[test]
fn a_healthy_network_has_none_of_them_where_types_are_wide_enough() {
    let types = ["f64", "f32", "bf16", "autocast-bf16", "autocast-f16"];
    let check = in_types(&healthy(), &types, None);
    for code in ["GP019", "GP020", "GP021", "GP023"] {
        has_not(&check, code);
    }
}

#[test]
fn cancelled_gradient() {
    // Beyond 4.5, where f16 has 1 − y² = 0, and within the 9.01 of f32 and the 19 of f64.
    let check = in_types(&tanh(4.0), &["f16", "f64"], None);
    has(&check, "GP019");
    let subjects: Vec<Option<&str>> = found(&check, "GP019")
        .iter()
        .map(|finding| finding.subject.as_deref())
        .collect();
    assert_eq!(subjects, [Some("f16")]);
    has_not(&in_types(&tanh(0.7), &["f16", "bf16"], None), "GP019");
    // One row: units whose pre-activation is beyond 4.5 get nothing, the others do.
    let row = format!("batch = 1\n{}", tanh(4.0));
    let check = in_types(&row, &["f16"], None);
    turns_at_its_threshold(&check, "GP019.share", true);
}

#[test]
fn underflowed_gradient() {
    let deep = Mlp::new(8, 16, "sigmoid", "xavier-normal").text();
    let check = in_types(&deep, &["f16", "bf16"], None);
    has(&check, "GP020");
    assert_eq!(found(&check, "GP020").len(), 1, "bf16 has f32's range");
    let alone = in_types(&deep, &["f16"], None);
    turns_at_its_threshold(&alone, "GP020.share", true);
    // Zeros that are true are no underflow.
    let off = "input = 8\nlayers = [{ linear = 16, activation = \"relu\", bias = { name = \"constant\", value \
               = -100 } }, { linear = 4 }]\nloss = \"cross-entropy\"\n";
    has_not(&in_types(off, &["f16"], None), "GP020");
}

#[test]
fn overflow_in_type() {
    let large = "input = 32\nlayers = [{ repeat = 4, linear = 32, activation = \"relu\", init = { name = \
                 \"normal\", std = 10 } }, { linear = 4 }]\nloss = \"mse\"\n";
    let check = in_types(large, &["f16", "bf16"], None);
    has(&check, "GP021");
    let findings = found(&check, "GP021");
    assert_eq!(findings.len(), 1);
    assert_eq!(findings[0].severity, Severity::Error);
    assert!(findings[0].message.contains("forward"), "{findings:?}");
    // It is the type's and not the network's.
    let scaled = |exponent| in_types(&healthy(), &["autocast-f16"], Some(2f64.powi(exponent)));
    let verdict = scaled(40);
    assert_eq!(verdict.diagnosis.verdict, Verdict::Healthy);
    has(&verdict, "GP021");
    // The scale at which the first entries overflow.
    let first = (10..40)
        .map(scaled)
        .find(|check| !found(check, "GP021").is_empty());
    turns_at_its_threshold(&first.unwrap(), "GP021.share", true);
    has_not(&in_types(&healthy(), &["f16"], Some(1024.0)), "GP021");
}

#[test]
fn lost_update() {
    let slow = Mlp::new(4, 32, "relu", "he-normal")
        .more("[optimiser]\nname = \"sgd\"\nlearning_rate = 0.001\n")
        .text();
    let check = in_types(&slow, &["bf16", "autocast-bf16"], None);
    assert_eq!(
        found(&check, "GP022").len(),
        1,
        "autocast keeps weights in f32"
    );
    turns_at_its_threshold(&check, "GP022.share", true);
    let fast = Mlp::new(4, 32, "relu", "he-normal")
        .more("[optimiser]\nname = \"sgd\"\nlearning_rate = 10.0\n")
        .text();
    has_not(&in_types(&fast, &["bf16"], None), "GP022");
}

#[test]
fn loss_scale_window() {
    let deep = Mlp::new(30, 16, "sigmoid", "xavier-normal").text();
    let check = in_types(&deep, &["autocast-f16", "autocast-bf16"], None);
    assert_eq!(found(&check, "GP023").len(), 1, "bf16 has f32's range");
    turns_at_its_threshold(&check, "GP023.width", false);
    let healthy = in_types(&healthy(), &["autocast-f16"], None);
    has_not(&healthy, "GP023");
    let width = |findings: Vec<Finding>| findings.iter().any(|f| f.code == "GP023");
    assert!(width(judged(&healthy, "GP023.width=100")));
}

//! The compatibility set: what SageMaker Debugger's rules find there, they find here.

use super::*;
use gradprobe::diagnose::{RuleSet, diagnose_by};
use gradprobe::import::spec::RuleChoices;

/// A check by the built-in rules of SageMaker Debugger.
fn by_sagemaker(check: &Check) -> Vec<String> {
    let choices = RuleChoices::of_arguments(Some("sagemaker"), &[], &[], &[]).unwrap();
    let rules = RuleSet::new([&choices]).unwrap();
    let findings = diagnose_by(&rules, &check.measurement).findings.into_iter();
    let mut codes: Vec<String> = findings.map(|finding| finding.name).collect();
    codes.dedup();
    codes
}

#[test]
fn sagemakers_rules_find_what_they_do_there() {
    let has = |check: &Check, name: &str| {
        let found = by_sagemaker(check);
        assert!(
            found.iter().any(|found| found == name),
            "no {name}: {found:?}"
        );
    };
    let sigmoid = Mlp::new(14, 16, "sigmoid", "xavier-normal").check();
    has(&sigmoid, "VanishingGradient");
    let wide = Mlp::new(4, 512, "tanh", "{ name = \"normal\", std = 100 }").check();
    has(&wide, "SaturatedActivation");
    has(&wide, "TensorVariance");
    let overflow = checked(
        "input = 4\nlayers = [{ linear = 8, init = { name = \"constant\", value = 1e38 } }, { linear = 4, \
         init = { name = \"constant\", value = 1e38 } }]\n",
    );
    has(&overflow, "ExplodingTensor");
    let dead = checked(
        "input = 8\nlayers = [{ linear = 16, activation = \"relu\", bias = { name = \"constant\", value = \
         -100 } }, { linear = 4 }]\nloss = \"cross-entropy\"\n",
    );
    has(&dead, "DeadRelu");
    has(&dead, "AllZero");
    let small = Mlp::new(12, 64, "relu", "{ name = \"uniform\", bound = 0.05 }").check();
    has(&small, "PoorWeightInitialization");
    let fast = Mlp::new(4, 16, "relu", "he-normal");
    has(
        &fast
            .more("[optimiser]\nname = \"adam\"\nlearning_rate = 100.0\n")
            .check(),
        "WeightUpdateRatio",
    );
    // Its rule for saturation is silent where f32's 1 − t² is zero already; ours is not.
    let at_nine = chain_of_tanh(9.2);
    assert!(!by_sagemaker(&at_nine).contains(&"SaturatedActivation".to_owned()));
    assert!(codes(&at_nine).contains(&"GP007".to_owned()));
    let healthy = Mlp::new(4, 64, "tanh", "xavier-normal").check();
    assert_eq!(by_sagemaker(&healthy), [""; 0]);
}

fn chain_of_tanh(x: f64) -> Check {
    let layer = "{ linear = 1, activation = \"tanh\" }";
    checked(&format!(
        "batch = 1\nseeds = 1\nloss = \"output\"\nlayers = [{layer}, {layer}, {layer}, {layer}]\n[input]\n\
         shape = [1]\nvalues = {x}\n[defaults]\ninit = \"ones\"\nbias = false\n"
    ))
}

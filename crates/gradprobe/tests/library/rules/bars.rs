//! Networks that train well stay without a warning; networks that cannot do not.

use super::*;
use gradprobe::diagnose::{Direction, Law, trend};
use gradprobe::import::onnx::{OnnxNetwork, OnnxOptions};

#[track_caller]
fn silent(mlp: &Mlp) {
    let check = mlp.check();
    let found = alarms(&check);
    assert!(found.is_empty(), "{}: {found:#?}", mlp.text());
}

#[track_caller]
fn found(mlp: &Mlp, code: &str) {
    let check = mlp.check();
    let found = codes(&check);
    assert!(found.iter().any(|c| c == code), "{}: {found:?}", mlp.text());
}

#[test]
fn tanh_at_glorots_initialisation_is_silent() {
    for depth in [6, 10, 14, 18] {
        for width in [5, 8, 16, 64] {
            for init in ["xavier-normal", "xavier-uniform"] {
                silent(&Mlp::new(depth, width, "tanh", init));
            }
        }
    }
}

#[test]
fn he_relu_to_twenty_layers_is_silent() {
    for depth in [3, 6, 10, 15, 20] {
        for width in [16, 32, 64, 128] {
            silent(&Mlp::new(depth, width, "relu", "he-normal"));
        }
    }
}

#[test]
fn sigmoid_of_ten_layers_and_more_is_found() {
    for depth in [10, 14, 20] {
        for width in [8, 32, 64] {
            for init in ["xavier-uniform", "pytorch", "lecun-normal"] {
                found(&Mlp::new(depth, width, "sigmoid", init), "GP001");
            }
            let check = Mlp::new(depth, width, "sigmoid", "he-normal").check();
            assert!(!alarms(&check).is_empty(), "he, {depth} of {width}");
        }
    }
}

#[test]
fn small_uniform_relu_is_found_in_both_directions() {
    for depth in [8, 12, 20] {
        for width in [16, 32, 64] {
            let mlp = Mlp::new(depth, width, "relu", "{ name = \"uniform\", bound = 0.05 }");
            found(&mlp, "GP001");
            found(&mlp, "GP005");
        }
    }
    let check = Mlp::new(12, 64, "relu", "{ name = \"uniform\", bound = 0.05 }").check();
    let finding = check
        .diagnosis
        .findings
        .iter()
        .find(|f| f.code == "GP005")
        .unwrap();
    assert!(
        finding.evidence[0].contains("both signals go together"),
        "{finding:#?}"
    );
}

#[test]
fn narrow_deep_relu_is_told_by_how_often_it_dies() {
    for depth in [16, 20, 30] {
        for seed in [0, 3, 6] {
            found(&Mlp::new(depth, 5, "relu", "he-normal").seed(seed), "GP008");
        }
    }
    let finding_of = |width| {
        let check = Mlp::new(17, width, "relu", "he-normal").check();
        let mut findings = check.diagnosis.findings.into_iter();
        findings.find(|f| f.code == "GP008" && f.setting.as_deref() == Some("GP008.chance"))
    };
    // 1 − (1 − 2⁻⁵)¹⁶.
    let chance = finding_of(5).unwrap().measured.unwrap();
    assert!((chance - 0.398_3).abs() < 1e-3, "{chance}");
    assert!(finding_of(16).is_none());
}

#[test]
fn exponential_activations_are_found() {
    for depth in [3, 5, 8, 12] {
        for width in [8, 32, 64] {
            for init in ["xavier-normal", "he-normal", "pytorch"] {
                let mlp = Mlp::new(depth, width, "exp", init);
                assert!(!alarms(&mlp.check()).is_empty(), "{}", mlp.text());
            }
        }
    }
}

fn chain(activation: &str, x: f64) -> Check {
    let layer = format!("{{ linear = 1, activation = \"{activation}\" }}");
    checked(&format!(
        "dtype = \"f64\"\nbatch = 1\nseeds = 1\nloss = \"output\"\nlayers = [{layer}, {layer}, {layer}, \
         {layer}]\n[input]\nshape = [1]\nvalues = {x}\n[defaults]\ninit = \"ones\"\n\
         bias = false\n"
    ))
}

#[test]
fn the_seed_chain_is_found_and_that_of_one_is_not_saturated() {
    let seed = codes(&chain("tanh", 100.0));
    for code in ["GP001", "GP007", "GP011"] {
        assert!(seed.iter().any(|c| c == code), "{code}: {seed:?}");
    }
    assert_eq!(codes(&chain("tanh", 1.0)), [""; 0]);
}

/// The law that the backward signal follows.
fn law(sigma_w: f64, width: usize, depth: usize) -> Law {
    let check = checked(&format!(
        "input = {width}\nbatch = 4\nseeds = 2\nlayers = [{{ repeat = {depth}, layers = [{{ linear = \
         {width}, activation = \"tanh\" }}] }}]\n[defaults]\ninit = {{ name = \"normal\", sigma_w = \
         {sigma_w} }}\n"
    ));
    let layers = &check.measurement.layers;
    let backward: Vec<f64> = layers
        .iter()
        .map(|l| l.median.backward_decades.unwrap())
        .collect();
    trend(&backward, Direction::Backward).unwrap().law
}

#[test]
fn exponential_and_power_law_are_told_apart() {
    for width in [100, 200] {
        let critical = law(1.0, width, 100);
        assert!(
            matches!(critical, Law::PowerLaw { exponent, from_input: true } if (exponent - 0.5).abs() < 0.25),
            "{width}: {critical:?}"
        );
        let chaotic = law(1.3, width, 100);
        assert!(
            matches!(chaotic, Law::Exponential { factor_per_layer, .. } if factor_per_layer > 1.0),
            "{width}: {chaotic:?}"
        );
        let ordered = law(0.9, width, 100);
        assert!(
            matches!(ordered, Law::Exponential { factor_per_layer, .. } if (factor_per_layer - 0.9).abs() < 0.02),
            "{width}: {ordered:?}"
        );
    }
}

/// The models in a folder of `tests/models`.
fn models(folder: &str) -> Vec<std::path::PathBuf> {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/models");
    let paths = std::fs::read_dir(root.join(folder)).unwrap();
    let paths = paths.map(|entry| entry.unwrap().path());
    paths
        .filter(|path| path.extension().is_some_and(|e| e == "onnx"))
        .collect()
}

fn checked_model(path: &std::path::Path) -> Check {
    let network = OnnxNetwork::read(path, &OnnxOptions::default()).unwrap();
    check(&network, 0, &mut |_| {}).unwrap()
}

#[test]
fn exported_models_at_initialisation_are_silent() {
    for path in models("exported") {
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let healthy = ["resnet20_cifar", "gpt_tiny", "lenet5_tanh", "lstm_100"];
        if healthy.contains(&name.as_str()) {
            let check = checked_model(&path);
            assert!(alarms(&check).is_empty(), "{name}: {:#?}", alarms(&check));
        }
    }
}

/// Those called light have constants for weights.
#[test]
fn trained_models_neither_vanish_nor_explode() {
    for path in models("public") {
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        if name.starts_with("light_") {
            continue;
        }
        let found = codes(&checked_model(&path));
        assert!(
            !found.iter().any(|code| code == "GP001" || code == "GP002"),
            "{name}: {found:?}"
        );
    }
}

#[test]
fn healthy_examples_are_silent() {
    for name in [
        "resnet18",
        "resnet50",
        "resnet_56",
        "mobilenet_v2",
        "transformer_pre_ln",
        "gpt2_small",
    ] {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
        let network = Network::read(&folder.join(format!("{name}.toml"))).unwrap();
        let check = check(&network, 0, &mut |_| {}).unwrap();
        assert!(alarms(&check).is_empty(), "{name}: {:#?}", alarms(&check));
    }
}

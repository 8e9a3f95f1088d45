//! What is a weight: small models under the names and in the forms of many exporters, made by
//! `weights/weights.py`. Every floating-point number of a file is trained, frozen or not judged.

use gradprobe::import::Subject;
use gradprobe::import::onnx::{FileNumbers, OnnxNetwork, OnnxOptions};
use serde_json::Value;
use std::path::{Path, PathBuf};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/onnx/weights")
}

fn read(name: &str, options: &OnnxOptions) -> OnnxNetwork {
    let path = folder().join(format!("{name}.onnx"));
    OnnxNetwork::read(&path, options).unwrap_or_else(|error| panic!("{error}"))
}

fn expected() -> Value {
    let text = std::fs::read_to_string(folder().join("expected.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

#[test]
fn every_number_of_a_file_is_accounted_for() {
    let expected = expected();
    let models = expected.as_object().unwrap();
    assert!(models.len() >= 60, "{}", models.len());
    let mut wrong = Vec::new();
    for (name, model) in models {
        let network = read(name, &OnnxOptions::default());
        let count = |key: &str| model[key].as_u64().unwrap_or_default() as usize;
        let right = FileNumbers {
            trained: count("trained"),
            frozen: count("frozen"),
            not_judged: count("not_judged"),
        };
        let got = FileNumbers::of(network.tensors());
        let trainable = match &model["trainable"] {
            Value::Null => right.trained,
            known => known.as_u64().unwrap() as usize,
        };
        let graph = network.build(0).unwrap();
        if got != right || graph.trainable_count() != trainable {
            wrong.push(format!(
                "{name}: {got:?} and {} trainable, expected {right:?} and {trainable}: {:#?}",
                graph.trainable_count(),
                network.tensors()
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn layers_and_weights_are_called_as_the_user_wrote_them() {
    let expected = expected();
    let mut looked_at = 0;
    for (name, model) in expected.as_object().unwrap() {
        let graph = read(name, &OnnxOptions::default()).build(0).unwrap();
        if let Some(layers) = model["layers"].as_array() {
            let got: Vec<&str> = graph.layers().iter().map(|it| it.name.as_str()).collect();
            assert_eq!(
                got,
                layers
                    .iter()
                    .map(|it| it.as_str().unwrap())
                    .collect::<Vec<_>>()
            );
            looked_at += 1;
        }
        for parameter in model["parameters"].as_array().into_iter().flatten() {
            let mut parameters = graph.parameters().iter();
            let found = parameters.any(|it| Some(it.name.as_str()) == parameter.as_str());
            assert!(found, "{name}: {parameter}");
        }
    }
    assert!(looked_at >= 3);
}

#[test]
fn the_user_has_the_last_word() {
    let pattern = |text: &str| vec![glob::Pattern::new(text).unwrap()];
    let options = OnnxOptions {
        freeze: pattern("d[01].*"),
        ..OnnxOptions::default()
    };
    let network = read("mlp_torch_zero_3", &options);
    let numbers = FileNumbers::of(network.tensors());
    assert_eq!((numbers.trained, numbers.frozen), (27, 112));
    let options = OnnxOptions {
        train: pattern("onnx::*"),
        ..OnnxOptions::default()
    };
    let numbers = FileNumbers::of(read("standardised_input", &options).tensors());
    assert_eq!((numbers.trained, numbers.not_judged), (64, 0));
    let options = OnnxOptions {
        train: pattern("backbone.*"),
        ..OnnxOptions::default()
    };
    let path = folder().join("mlp_torch_zero_3.onnx");
    let error = OnnxNetwork::read(&path, &options).unwrap_err().to_string();
    assert!(
        error.contains("--train `backbone.*`: no floating-point tensor"),
        "{error}"
    );
}

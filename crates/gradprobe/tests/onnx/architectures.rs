//! Architectures of torchvision and transformers as both of PyTorch's exporters write them: every
//! parameter's gradient against PyTorch's in double precision, and a check without any argument.

use gradprobe::check::check;
use gradprobe::import::Subject;
use gradprobe::import::onnx::{OnnxLoss, OnnxNetwork, OnnxOptions};
use gradprobe::import::spec::Dtype;
use gradprobe::measure::ParameterRun;
use serde_json::Value;
use std::path::{Path, PathBuf};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/onnx/architectures")
}

fn golden() -> Value {
    let text = std::fs::read_to_string(folder().join("golden.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// Parameters that the exporter computed others of: position tables cut to length, a class token
/// repeated for each sample, tables of relative positions, biases added to a first state of zeros.
fn may_be_folded(parameter: &str) -> bool {
    [
        "position_embeddings",
        "pos_embedding",
        "class_token",
        "relative_position_bias_table",
        "token_type_embeddings",
        "wpe",
    ]
    .iter()
    .any(|part| parameter.contains(part))
}

/// Number of elements, l2 norm, mean, largest magnitude.
type Statistics = [f64; 4];

fn of_run(parameter: &ParameterRun) -> Statistics {
    let size: usize = parameter.shape.iter().product();
    [
        size as f64,
        parameter.grad_l2,
        parameter.grad_mean,
        parameter.grad_max_abs,
    ]
}

fn are_close(got: &Statistics, expected: &Statistics, noise: f64) -> bool {
    let near = |index: usize, scale: f64| {
        let (got, expected) = (got[index], expected[index]);
        (got - expected).abs() <= 1e-4 * scale.abs() + noise
    };
    got[0] == expected[0] && near(1, expected[1]) && near(2, expected[3]) && near(3, expected[3])
}

/// Joins what the exporter packed into one tensor: the biases of a recurrent layer.
fn packed(parts: &[(String, Statistics)]) -> Statistics {
    let mut whole = [0.0; 4];
    for (_, [size, l2, mean, largest]) in parts {
        whole[0] += size;
        whole[1] = whole[1].hypot(*l2);
        whole[2] += size * mean;
        whole[3] = whole[3].max(*largest);
    }
    whole[2] /= whole[0];
    whole
}

#[test]
fn every_gradient_is_pytorchs() {
    for (name, model) in golden()["models"].as_object().unwrap() {
        for file in model["models"].as_array().unwrap() {
            let file = file.as_str().unwrap();
            let options = OnnxOptions {
                data: Some(folder().join(format!("{name}.safetensors"))),
                dtype: Dtype::F64,
                loss: match model["loss"].as_str().unwrap() {
                    "mse" => OnnxLoss::Mse,
                    _ => OnnxLoss::CrossEntropy,
                },
                ..OnnxOptions::default()
            };
            let path = folder().join(format!("{file}.onnx"));
            let network = OnnxNetwork::read(&path, &options).unwrap();
            let measurement = check(&network, 0, &mut |_| {}).unwrap().measurement;
            let loss = measurement.loss.map(|loss| loss.median).unwrap();
            let expected = model["value"].as_f64().unwrap();
            assert!(
                (loss - expected).abs() <= 1e-6 * expected,
                "{file}: {loss}, expected {expected}"
            );
            let layers = measurement.layers.into_iter();
            let parameters = layers.flat_map(|layer| layer.median.parameters);
            let mut got: Vec<(String, Statistics)> = parameters
                .map(|parameter| (parameter.name.clone(), of_run(&parameter)))
                .collect();
            let parameters = model["parameters"].as_object().unwrap();
            let mut expected: Vec<(String, Statistics)> = parameters
                .iter()
                .map(|(name, statistics)| {
                    let number = |index: usize| statistics[index].as_f64().unwrap();
                    (name.clone(), [0, 1, 2, 3].map(number))
                })
                .collect();
            let largest = expected.iter().map(|(_, [.., largest])| *largest);
            let noise = 1e-12 * largest.fold(0.0, f64::max);
            // By name where the exporter kept it.
            got.retain(|(name, got)| {
                let named = expected.iter().position(|(known, _)| known == name);
                let Some(named) = named else { return true };
                let (_, expected) = expected.remove(named);
                assert!(
                    are_close(got, &expected, noise),
                    "{file}, {name}: {got:?}, expected {expected:?}"
                );
                false
            });
            // A transposed matrix has a new name and the same numbers.
            got.retain(|(_, got)| {
                let mut left = expected.iter();
                let same = left.position(|(_, expected)| are_close(got, expected, noise));
                same.map(|same| expected.remove(same)).is_none()
            });
            if !got.is_empty() && got.len() < expected.len() {
                let (all, each) = (packed(&got), packed(&expected));
                assert!(
                    are_close(&all, &each, noise),
                    "{file}: {got:?}, {expected:?}"
                );
                continue;
            }
            assert!(got.is_empty(), "{file}: {got:?}, of PyTorch's {expected:?}");
            expected.retain(|(name, _)| !may_be_folded(name));
            assert!(expected.is_empty(), "{file} lacks {expected:?}");
        }
    }
}

#[test]
fn each_runs_without_any_argument_and_has_the_layers_the_user_knows() {
    for (name, model) in golden()["models"].as_object().unwrap() {
        let modules: Vec<&str> = model["parameters"]
            .as_object()
            .unwrap()
            .keys()
            .filter_map(|parameter| parameter.rsplit_once('.'))
            .map(|(module, _)| module)
            .collect();
        for file in model["models"].as_array().unwrap() {
            let file = file.as_str().unwrap();
            let path = folder().join(format!("{file}.onnx"));
            let options = OnnxOptions::default();
            let network = OnnxNetwork::read(&path, &options).unwrap();
            let measurement = check(&network, 0, &mut |_| {}).unwrap().measurement;
            let layers = measurement.layers.iter();
            let weighted = layers.filter(|layer| !layer.median.parameters.is_empty());
            for layer in weighted {
                let layer = layer.median.name.as_str();
                let layer = layer.split(" (").next().unwrap();
                let known = modules.iter().any(|module| layer.starts_with(module))
                    || model["parameters"].get(layer).is_some()
                    || modules.iter().any(|module| module.starts_with(layer))
                    || layer == "lm_head";
                assert!(known, "{file}: layer {layer}, of {modules:?}");
            }
            assert!(
                network
                    .notes()
                    .iter()
                    .any(|note| note.starts_with("inputs: ")),
                "{name}"
            );
        }
    }
}

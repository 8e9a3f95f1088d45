//! Networks that reach the borders of what their functions are defined on, made by
//! `non_finite.py`: their gradients are finite where PyTorch's are, and of the same size there.

use gradprobe::check::check;
use gradprobe::import::onnx::{OnnxNetwork, OnnxOptions};
use gradprobe::import::spec::Dtype;
use gradprobe::report::{CheckTextOptions, write_check_json, write_check_text};
use serde_json::Value;
use std::path::Path;

#[test]
fn what_is_not_finite_in_a_network_is_so_where_pytorch_has_it() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/onnx/non_finite");
    let text = std::fs::read_to_string(folder.join("gradients.json")).unwrap();
    let expected: Value = serde_json::from_str(&text).unwrap();
    let mut differences = Vec::new();
    for (name, parameters) in expected.as_object().unwrap() {
        for (dtype, tolerance) in [(Dtype::F64, 1e-10), (Dtype::F32, 1e-4)] {
            let options = OnnxOptions {
                data: Some(folder.join(format!("{name}.npz"))),
                dtype,
                ..OnnxOptions::default()
            };
            let path = folder.join(format!("{name}.onnx"));
            let network =
                OnnxNetwork::read(&path, &options).unwrap_or_else(|error| panic!("{error}"));
            let measurement = check(&network, 1, &mut |_| {}).unwrap().measurement;
            let layers = measurement.layers.into_iter();
            let seen: Vec<_> = layers.flat_map(|layer| layer.median.parameters).collect();
            for (parameter, expected) in parameters.as_object().unwrap() {
                let seen = seen.iter().find(|seen| seen.name == *parameter);
                let seen = seen.unwrap_or_else(|| panic!("{name} has no {parameter}"));
                let same_size = match expected["l2"].as_f64() {
                    Some(l2) => (seen.grad_l2 - l2).abs() <= tolerance * l2.abs(),
                    None => seen.grad_l2.is_nan(),
                };
                if expected["non_finite"] != seen.grad_non_finite || !same_size {
                    differences.push(format!(
                        "{name}, {parameter}, {dtype:?}: {} not finite, norm {}; PyTorch: {expected}",
                        seen.grad_non_finite, seen.grad_l2
                    ));
                }
            }
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn what_is_no_number_is_never_written_as_zero() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/onnx/non_finite");
    for name in ["nan_through_relu", "deviation_of_one_row"] {
        let options = OnnxOptions {
            data: Some(folder.join(format!("{name}.npz"))),
            ..OnnxOptions::default()
        };
        let path = folder.join(format!("{name}.onnx"));
        let network = OnnxNetwork::read(&path, &options).unwrap();
        let seen = check(&network, 1, &mut |_| {}).unwrap();
        let mut text = Vec::new();
        let options = CheckTextOptions::default();
        write_check_text(&mut text, &seen.measurement, &seen.diagnosis, &options).unwrap();
        let text = String::from_utf8(text).unwrap();
        let row = text.lines().find(|line| line.starts_with("f ")).unwrap();
        assert!(row.contains("NaN"), "{text}");
        let mut json = Vec::new();
        write_check_json(&mut json, &seen.measurement, &seen.diagnosis, &seen.theory).unwrap();
        let json: Value = serde_json::from_slice(&json).unwrap();
        let mut counted = 0;
        for layer in json["layers"].as_array().unwrap() {
            for parameter in layer["parameters"].as_object().unwrap().values() {
                counted += parameter["grad_non_finite"].as_u64().unwrap();
                for figure in ["grad_l2", "grad_log10_l2", "grad_mean", "grad_max_abs"] {
                    assert!(parameter[figure].is_null(), "{name}: {parameter}");
                }
            }
        }
        assert!(counted > 0, "{name}");
    }
}

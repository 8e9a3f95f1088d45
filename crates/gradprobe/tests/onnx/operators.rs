//! Operators on signals, grids and matrices, through the importer: gradients against PyTorch's, on
//! the models that `operators.py` makes; what would not fit in memory is refused.

use gradprobe::check::check;
use gradprobe::import::onnx::{OnnxNetwork, OnnxOptions};
use gradprobe::import::spec::Dtype;
use serde_json::Value;
use std::path::{Path, PathBuf};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/onnx/operators")
}

fn options() -> OnnxOptions {
    OnnxOptions {
        data: Some(folder().join("data.safetensors")),
        dtype: Dtype::F64,
        max_memory: Some(1 << 30),
        ..OnnxOptions::default()
    }
}

fn assert_same(model: &str, what: &str, got: f64, expected: &Value) {
    let expected = expected.as_f64().unwrap();
    let distance = (got - expected).abs();
    assert!(
        distance <= 1e-12 * expected.abs().max(0.1),
        "{model}: {what} is {got}, PyTorch has {expected}"
    );
}

#[test]
fn gradients_through_every_operator_are_pytorchs() {
    let text = std::fs::read_to_string(folder().join("gradients.json")).unwrap();
    let recorded: Value = serde_json::from_str(&text).unwrap();
    let models = recorded["models"].as_object().unwrap();
    assert!(models.len() > 30);
    for (name, expected) in models {
        let path = folder().join(format!("{name}.onnx"));
        let network =
            OnnxNetwork::read(&path, &options()).unwrap_or_else(|error| panic!("{error}"));
        let measurement = check(&network, 1, &mut |_| {}).unwrap().measurement;
        let layers = measurement.layers.into_iter();
        let got: Vec<_> = layers.flat_map(|layer| layer.median.parameters).collect();
        let parameters = expected["parameters"].as_object().unwrap();
        for (parameter, expected) in parameters {
            let got = got.iter().find(|got| got.name == *parameter);
            let got = got.unwrap_or_else(|| panic!("{name} has no {parameter}"));
            assert_same(name, parameter, got.grad_l2, &expected["l2"]);
            assert_same(name, parameter, got.grad_mean, &expected["mean"]);
        }
    }
}

#[test]
fn what_would_not_fit_in_memory_is_refused() {
    let says = [
        ("refused_affine_grid", "elements are computed in advance"),
        (
            "refused_col2im",
            "expected [batch, a multiple of 4, 999998000001]",
        ),
        ("refused_dft", "at most 4194304, got 1000000000000"),
        (
            "refused_dft_of_constants",
            "at most 4194304, got 1000000000000",
        ),
        ("refused_eye_like", "needs more than the 1.0 GiB of memory"),
        ("refused_mel", "elements are computed in advance"),
        (
            "refused_mel_edges",
            "the edges 0 and 4000 Hz are not between 0 and 2000 Hz",
        ),
    ];
    for (name, says) in says {
        let path = folder().join(format!("{name}.onnx"));
        let error = OnnxNetwork::read(&path, &options())
            .unwrap_err()
            .to_string();
        assert!(error.contains(says), "{name}: {error}");
        assert!(error.contains(&format!("{name}.onnx")), "{error}");
    }
}

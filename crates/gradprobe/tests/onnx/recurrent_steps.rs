//! Recurrent layers that are written out step by step, made by `recurrent_steps.py`: clipped, with
//! coupled gates, with other activations than the usual. PyTorch's gradients of the same formulas.

use gradprobe::check::check;
use gradprobe::import::onnx::{OnnxLoss, OnnxNetwork, OnnxOptions};
use gradprobe::import::spec::Dtype;
use serde_json::Value;
use std::path::Path;

#[test]
fn what_the_cells_have_not_is_written_out() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/onnx/recurrent_steps");
    let text = std::fs::read_to_string(folder.join("golden.json")).unwrap();
    let golden: Value = serde_json::from_str(&text).unwrap();
    let models = golden["models"].as_object().unwrap();
    assert_eq!(models.len(), 7);
    for (name, model) in models {
        let options = OnnxOptions {
            data: Some(folder.join(format!("{name}.safetensors"))),
            dtype: Dtype::F64,
            loss: OnnxLoss::Mse,
            ..OnnxOptions::default()
        };
        let path = folder.join(format!("{name}.onnx"));
        let network = OnnxNetwork::read(&path, &options).unwrap();
        let measurement = check(&network, 0, &mut |_| {}).unwrap().measurement;
        let close = |what: &str, got: f64, expected: &Value| {
            let expected = expected.as_f64().unwrap();
            assert!(
                (got - expected).abs() <= 1e-12 * expected.abs().max(1e-2),
                "{name}: {what} is {got}, expected {expected}"
            );
        };
        close("the loss", measurement.loss.unwrap().median, &model["loss"]);
        let layers = measurement.layers.into_iter();
        let got: Vec<_> = layers.flat_map(|layer| layer.median.parameters).collect();
        let parameters = model["parameters"].as_object().unwrap();
        assert_eq!(got.len(), parameters.len(), "{name}");
        for parameter in got {
            let expected = &parameters[&parameter.name];
            close(&parameter.name, parameter.grad_l2, &expected[0]);
            close(&parameter.name, parameter.grad_mean, &expected[1]);
        }
    }
}

//! Gradients of exported models against PyTorch's, computed in double precision from the same
//! weights: every parameter's l2 norm, largest magnitude, share of zeros and mean.

use super::models;
use gradprobe::check::check;
use gradprobe::import::Subject;
use gradprobe::import::onnx::{OnnxLoss, OnnxNetwork, OnnxOptions};
use gradprobe::import::spec::Dtype;
use gradprobe::measure::ParameterRun;
use gradprobe::num::Tensor;
use gradprobe::run::{Executor, Options};
use serde_json::Value;
use std::collections::HashMap;
use std::path::Path;

/// Below this share of the model's largest gradient a gradient is zero but for rounding.
fn noise(dtype: Dtype) -> f64 {
    match dtype {
        Dtype::F32 => 1e-6,
        Dtype::F64 => 1e-12,
    }
}

/// Parameters that hold an attention's key bias.
const KEY_BIASES: [&str; 2] = ["in_proj_bias", "qkv.bias"];

struct Run {
    loss: Option<f64>,
    parameters: HashMap<String, ParameterRun>,
}

fn run(folder: &Path, name: &str, dtype: Dtype) -> Run {
    let options = OnnxOptions {
        data: Some(folder.join(format!("{name}.safetensors"))),
        dtype,
        ..OnnxOptions::default()
    };
    let network = OnnxNetwork::read(&folder.join(format!("{name}.onnx")), &options).unwrap();
    let measurement = check(&network, 0, &mut |_| {}).unwrap().measurement;
    let layers = measurement.layers.into_iter();
    Run {
        loss: measurement.loss.map(|loss| loss.median),
        parameters: layers
            .flat_map(|layer| layer.median.parameters)
            .map(|parameter| (parameter.name.clone(), parameter))
            .collect(),
    }
}

/// `tolerance` says how near the gradient of a parameter of a model has to be.
fn holds(folder: &Path, dtype: Dtype, tolerance: impl Fn(&str, &str) -> f64) {
    let text = std::fs::read_to_string(folder.join("golden.json")).unwrap();
    let golden: Value = serde_json::from_str(&text).unwrap();
    for (name, model) in golden["models"].as_object().unwrap() {
        let run = run(folder, name, dtype);
        if let Some(loss) = run.loss {
            let expected = model["value"].as_f64().unwrap();
            assert!(
                (loss - expected).abs() <= 1e-6 * expected.abs(),
                "{name}: loss {loss}"
            );
        }
        let parameters = model["parameters"].as_object().unwrap();
        assert_eq!(run.parameters.len(), parameters.len(), "{name}");
        let number = |value: &Value, key: &str| value[key].as_f64().unwrap();
        let largest = parameters
            .values()
            .map(|value| number(value, "grad_max_abs"));
        let noise = noise(dtype) * largest.fold(0.0, f64::max);
        for (parameter, expected) in parameters {
            let tolerance = tolerance(name, parameter);
            let got = &run.parameters[parameter];
            let close = |what: &str, got: f64, absolute: f64| {
                let expected = number(expected, what);
                assert!(
                    (got - expected).abs() <= tolerance * expected.abs() + absolute,
                    "{name}, {parameter}: {what} is {got}, expected {expected}"
                );
            };
            close("grad_l2", got.grad_l2, noise);
            close("grad_max_abs", got.grad_max_abs, noise);
            let mean = 1e-4f64.max(tolerance) * number(expected, "grad_max_abs");
            close("grad_mean", got.grad_mean, mean + noise);
            // The gradient of an attention's key bias is zero but for rounding, element by element:
            // which elements come out as exact zeros is chance.
            let is_noise = number(expected, "grad_max_abs") <= noise;
            if !is_noise && !KEY_BIASES.iter().any(|end| parameter.ends_with(end)) {
                close("grad_zero_fraction", got.grad_zero_fraction, 0.0);
            }
        }
    }
}

#[test]
fn gradients_in_double_precision_are_pytorchs() {
    holds(&models("exported"), Dtype::F64, |_, _| 1e-4);
    holds(&own(), Dtype::F64, |_, _| 1e-4);
}

#[test]
fn gradients_in_single_precision_are_near() {
    // Of resnet20_cifar one ReLU takes the other side, see below: what comes before it gets a
    // cotangent of one element less.
    let tolerance = |name: &str, parameter: &str| {
        let after = ["layers.7.", "layers.8.", "fc."];
        match name {
            "resnet20_cifar" if !after.iter().any(|start| parameter.starts_with(start)) => 5e-3,
            "resnet20_cifar" => 1e-4,
            _ => 1e-3,
        }
    };
    holds(&models("exported"), Dtype::F32, tolerance);
    holds(&own(), Dtype::F32, |_, _| 1e-3);
}

/// The values that the ReLUs of resnet20_cifar read, in their order.
#[rustfmt::skip]
const PRE_ACTIVATIONS: [&str; 19] = [
    "getitem", "getitem_5", "add_3", "getitem_15", "add_6", "getitem_25", "add_9", "getitem_35",
    "add_13", "getitem_50", "add_16", "getitem_60", "add_19", "getitem_70", "add_23", "getitem_85",
    "add_26", "getitem_95", "add_29",
];

/// A value of resnet20_cifar in single and in double precision.
fn in_both_precisions(folder: &Path, value: &str) -> [Vec<f64>; 2] {
    let options = OnnxOptions {
        data: Some(folder.join("resnet20_cifar.safetensors")),
        output: Some(value.into()),
        loss: OnnxLoss::Output,
        ..OnnxOptions::default()
    };
    let network = OnnxNetwork::read(&folder.join("resnet20_cifar.onnx"), &options).unwrap();
    let graph = network.build(0).unwrap();
    let wide = network.batch(0).unwrap();
    let narrow: Vec<Tensor<f32>> = wide.iter().map(Tensor::cast).collect();
    let mut single = Executor::<f32>::new(&graph, Options::default()).unwrap();
    single.run(&narrow).unwrap();
    let mut double = Executor::<f64>::new(&graph, Options::default()).unwrap();
    double.run(&wide).unwrap();
    let single = single.output(&narrow);
    [
        single.data().iter().map(|&x| x.into()).collect(),
        double.output(&wide).data().to_vec(),
    ]
}

/// Why single precision is off by up to 0.45 % before `layers.7`: of all pre-activations one,
/// 1.2e-6 where they are spread by 1.4, rounds to the other side of 0. PyTorch's single precision
/// is as far from the true pre-activations (2.2e-6 there, root mean square, here 2.3e-6), nearly all
/// of it from the sums of the convolutions: in double precision these alone leave 0.6e-6, batch norms
/// alone nothing to speak of. On which side of 0 that one comes out is up to the order of the sums:
/// in PyTorch with oneDNN above, with its own convolutions below, with the channels summed in six
/// other orders three times each.
#[test]
fn one_relu_of_resnet20_takes_the_other_side_in_single_precision() {
    let folder = models("exported");
    let mut flips = Vec::new();
    for value in PRE_ACTIVATIONS {
        let [single, double] = in_both_precisions(&folder, value);
        let mean_square = double.iter().map(|x| x * x).sum::<f64>() / double.len() as f64;
        for (&single, &double) in single.iter().zip(&double) {
            assert!(
                (single - double).abs() < 3e-5 * mean_square.sqrt(),
                "{value}"
            );
            if (single > 0.0) != (double > 0.0) {
                flips.push((value, double.abs() < 2e-6));
            }
        }
    }
    assert_eq!(flips, [("add_23", true)]);
}

/// The models of this repository, made by `generate.py`.
fn own() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/onnx/models")
}

#[test]
fn the_seed_chains_have_the_notebooks_gradients() {
    let folder = models("exported");
    let tanh = run(&folder, "chain4_tanh", Dtype::F64);
    let gradient = |run: &Run, name: &str| run.parameters[name].grad_l2;
    // Where PyTorch prints 0.0, because 1 − tanh² cancels, the true value.
    let first = gradient(&tanh, "w.0");
    assert!(
        (first / 9.283_557_574_435_51e-86 - 1.0).abs() < 1e-12,
        "{first}"
    );
    assert!((gradient(&tanh, "w.3") - 0.436_145_382_444_544).abs() < 1e-14);
    let relu = run(&folder, "chain4_relu", Dtype::F64);
    for name in ["w.0", "w.1", "w.2", "w.3"] {
        assert_eq!(gradient(&relu, name), 100.0);
    }
}

#[test]
fn public_models_are_judged() {
    let folder = models("public");
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let options = OnnxOptions {
            reinit: name
                .starts_with("light_")
                .then(|| gradprobe::init::Initialiser::by_name("he").unwrap()),
            seeds: vec![0],
            ..OnnxOptions::default()
        };
        let network = OnnxNetwork::read(&path, &options).unwrap();
        let checked = check(&network, 0, &mut |_| {}).unwrap();
        let layers = &checked.measurement.layers;
        let judged = layers.iter().filter(|layer| layer.median.is_judged());
        assert!(judged.count() >= 2, "{name}");
        let parameters = layers.iter().flat_map(|layer| &layer.median.parameters);
        for parameter in parameters {
            assert!(parameter.reached, "{name}: {}", parameter.name);
            assert_eq!(parameter.grad_non_finite, 0, "{name}: {}", parameter.name);
        }
    }
}

//! Operators of onnxruntime and of classical models: each alone, made by `fused_nodes.py`, against
//! onnxruntime and PyTorch; and networks before and after onnxruntime's optimisers, made by
//! `fused_models.py`, which have the same gradients.

use gradprobe::check::check;
use gradprobe::data::Array;
use gradprobe::import::onnx::{
    OnnxLoss, OnnxNetwork, OnnxOptions, coverage, evaluate, weighted_outputs,
};
use gradprobe::import::spec::Dtype;
use gradprobe::measure::ParameterRun;
use gradprobe::num::{Shape, Tensor};
use gradprobe::ops::Mode;
use gradprobe::run::{Executor, Options};
use serde_json::Value;
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

fn folder(name: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    root.join("tests/onnx/fused").join(name)
}

fn read(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn tensor(numbers: &Value) -> Tensor<f64> {
    let list = |key: &str| numbers[key].as_array().unwrap().iter();
    let shape: Vec<usize> = list("shape")
        .map(|x| x.as_u64().unwrap() as usize)
        .collect();
    let data = list("data").map(|x| x.as_f64().unwrap()).collect();
    Tensor::new(Shape::new(shape), data)
}

fn arrays(named: &Value) -> Vec<Array> {
    let named = named.as_object().unwrap().iter();
    let array = |(name, numbers): (&String, &Value)| Array {
        name: name.clone(),
        tensor: tensor(numbers),
    };
    named.map(array).collect()
}

fn assert_near(what: &str, got: &Tensor<f64>, expected: &Tensor<f64>, tolerance: f64) {
    assert_eq!(got.shape(), expected.shape(), "{what}");
    let largest = |most: f64, x: &f64| most.max(x.abs());
    let size = expected.data().iter().fold(1.0, largest);
    for (index, (&got, &expected)) in got.data().iter().zip(expected.data()).enumerate() {
        let near = (got - expected).abs() <= tolerance * size;
        assert!(near, "{what}[{index}]: {got}, expected {expected}");
    }
}

/// A case of `cases.json`.
struct Case {
    name: String,
    model: PathBuf,
    inputs: Vec<Array>,
    outputs: Vec<Array>,
    cotangents: Vec<Array>,
    gradients: Vec<Array>,
}

fn cases() -> Vec<Case> {
    let folder = folder("nodes");
    let all = read(&folder.join("cases.json"));
    let cases = all["cases"].as_array().unwrap().iter();
    let cases = cases.map(|case| {
        let name = case["name"].as_str().unwrap().to_owned();
        Case {
            model: folder.join(format!("{name}.onnx")),
            inputs: arrays(&case["inputs"]),
            outputs: arrays(&case["outputs"]),
            cotangents: arrays(&case["cotangents"]),
            gradients: arrays(&case["gradients"]),
            name,
        }
    });
    cases.collect()
}

impl Case {
    /// Σ cotangent · output with an element of an input moved.
    fn total(&self, input: &str, at: usize, by: f64) -> f64 {
        let mut inputs = self.inputs.clone();
        let moved = inputs.iter_mut().find(|array| array.name == input);
        moved.unwrap().tensor.data_mut()[at] += by;
        let outputs = evaluate(&self.model, &inputs, Mode::Train).unwrap();
        let weighted = self.cotangents.iter().map(|cotangent| {
            let output = outputs.iter().find(|array| array.name == cotangent.name);
            let elements = output.unwrap().tensor.data().iter();
            let terms = elements.zip(cotangent.tensor.data());
            terms.map(|(y, g)| y * g).sum::<f64>()
        });
        weighted.sum()
    }

    /// The gradient of an input by the pull-back.
    fn gradient(&self, input: &Array) -> Tensor<f64> {
        let graph = weighted_outputs(
            &self.model,
            &self.inputs,
            &input.name,
            &self.cotangents,
            Mode::Train,
        );
        let zero = || Tensor::zeros(input.tensor.shape().clone());
        let Some(graph) = graph.unwrap_or_else(|error| panic!("{}: {error}", self.name)) else {
            return zero();
        };
        let options = Options {
            input_gradients: true,
            threads: 1,
            ..Options::default()
        };
        let mut executor = Executor::<f64>::new(&graph, options).unwrap();
        let run = executor.run(std::slice::from_ref(&input.tensor)).unwrap();
        let Some(gradient) = &run.input_gradients[0] else {
            return zero();
        };
        let scale = f64::exp2(gradient.exponent as f64);
        let data = gradient.tensor.data().iter().map(|g| g * scale).collect();
        Tensor::new(input.tensor.shape().clone(), data)
    }

    fn input(&self, name: &str) -> &Array {
        self.inputs.iter().find(|array| array.name == name).unwrap()
    }
}

#[test]
fn every_operator_computes_what_onnxruntime_and_pytorch_compute() {
    for case in cases() {
        let outputs = evaluate(&case.model, &case.inputs, Mode::Train);
        let outputs = outputs.unwrap_or_else(|error| panic!("{error}"));
        for expected in &case.outputs {
            let got = outputs.iter().find(|array| array.name == expected.name);
            let what = format!("{}, {}", case.name, expected.name);
            // The file holds an ε and an α as float32.
            assert_near(&what, &got.unwrap().tensor, &expected.tensor, 1e-9);
        }
    }
}

#[test]
fn every_gradient_is_pytorchs() {
    for case in cases() {
        for expected in &case.gradients {
            let got = case.gradient(case.input(&expected.name));
            let what = format!("{}, ∂{}", case.name, expected.name);
            assert_near(&what, &got, &expected.tensor, 1e-9);
        }
    }
}

#[test]
fn every_gradient_agrees_with_central_differences() {
    const STEP: f64 = 1e-5;
    let (mut agree, mut kinks) = (0, 0);
    for case in cases() {
        for gradient in &case.gradients {
            let input = case.input(&gradient.name);
            let got = case.gradient(input);
            let size = got
                .data()
                .iter()
                .fold(1.0, |most: f64, g| most.max(g.abs()));
            // Three elements an input, spread over it.
            let count = input.tensor.data().len();
            for at in [0, count / 2, count - 1] {
                let [down, here, up] =
                    [-STEP, 0.0, STEP].map(|by| case.total(&gradient.name, at, by));
                let slopes = [(here - down) / STEP, (up - here) / STEP];
                // A threshold or a corner lies within the step.
                if (slopes[0] - slopes[1]).abs() > 1e-2 * size {
                    kinks += 1;
                    continue;
                }
                let difference = (up - down) / (2.0 * STEP);
                assert!(
                    (got.data()[at] - difference).abs() <= 1e-7 * size,
                    "{}, ∂{}[{at}]: {}, the difference says {difference}",
                    case.name,
                    gradient.name,
                    got.data()[at]
                );
                agree += 1;
            }
        }
    }
    assert!(kinks * 50 < agree, "{agree} agree, {kinks} are kinks");
}

#[test]
fn wrong_attributes_and_inputs_are_said_at_the_node_of_the_file() {
    let folder = folder("nodes");
    let all = read(&folder.join("cases.json"));
    let refused = all["refused"].as_array().unwrap();
    assert!(refused.len() >= 30, "{}", refused.len());
    for case in refused {
        let name = case["name"].as_str().unwrap();
        let model = folder.join(format!("{name}.onnx"));
        let error = evaluate(&model, &arrays(&case["inputs"]), Mode::Train);
        let error = error.unwrap_err().to_string();
        let says = case["says"].as_str().unwrap();
        assert!(error.contains(says), "{name}: {error}, expected {says}");
    }
}

#[test]
fn every_operator_of_these_domains_has_a_case() {
    let all = read(&folder("nodes").join("cases.json"));
    let cases = all["cases"].as_array().unwrap().iter();
    let tried: HashSet<(&str, &str)> = cases
        .map(|case| {
            (
                case["domain"].as_str().unwrap(),
                case["op"].as_str().unwrap(),
            )
        })
        .collect();
    let without: Vec<_> = coverage()
        .into_iter()
        .filter(|op| !op.domain.is_empty() && !tried.contains(&(op.domain, op.name)))
        .collect();
    assert!(without.is_empty(), "{without:?}");
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

/// To what the files keep of constants such as those of GELU, and PyTorch of a softmax: single
/// precision.
fn are_near(got: &Statistics, expected: &Statistics, noise: f64) -> bool {
    let near = |index: usize, scale: f64| {
        (got[index] - expected[index]).abs() <= 1e-5 * scale.abs() + noise
    };
    got[0] == expected[0] && near(1, expected[1]) && near(2, expected[3]) && near(3, expected[3])
}

fn together(parts: &[Statistics]) -> Statistics {
    let mut whole = [0.0; 4];
    for [size, l2, mean, largest] in parts {
        whole[0] += size;
        whole[1] = whole[1].hypot(*l2);
        whole[2] += size * mean;
        whole[3] = whole[3].max(*largest);
    }
    whole[2] /= whole[0];
    whole
}

fn run(model: &Path, data: &Path) -> (f64, Vec<(String, String, Statistics)>) {
    let options = OnnxOptions {
        data: Some(data.to_path_buf()),
        dtype: Dtype::F64,
        loss: OnnxLoss::Mse,
        ..OnnxOptions::default()
    };
    let network = OnnxNetwork::read(model, &options).unwrap_or_else(|error| panic!("{error}"));
    let measurement = check(&network, 0, &mut |_| {}).unwrap().measurement;
    let loss = measurement.loss.map(|loss| loss.median).unwrap();
    let parameters = measurement.layers.into_iter().flat_map(|layer| {
        let name = layer.median.name;
        let parameters = layer.median.parameters.into_iter();
        parameters.map(move |parameter| (name.clone(), parameter.name.clone(), of_run(&parameter)))
    });
    (loss, parameters.collect())
}

#[test]
fn an_optimised_network_has_the_gradients_of_the_one_it_was_made_from() {
    let folder = folder("models");
    let mut files = 0;
    for (name, model) in read(&folder.join("golden.json"))["models"]
        .as_object()
        .unwrap()
    {
        let statistics = |name: &str| -> Statistics {
            let numbers = &model["parameters"][name];
            [0, 1, 2, 3].map(|index| numbers[index].as_f64().unwrap())
        };
        let all = model["parameters"].as_object().unwrap();
        let largest = all.keys().map(|name| statistics(name)[3]);
        let noise = 1e-7 * largest.fold(0.0, f64::max);
        for file in model["models"].as_array().unwrap() {
            let file = file.as_str().unwrap();
            let data = folder.join(format!("{name}.safetensors"));
            let (loss, got) = run(&folder.join(file), &data);
            let expected = model["value"].as_f64().unwrap();
            assert!((loss - expected).abs() <= 1e-6 * expected, "{file}: {loss}");
            let mut left: Vec<&str> = all.keys().map(String::as_str).collect();
            let mut layers: HashMap<&str, String> = HashMap::new();
            for (layer, parameter, got) in got {
                // A number that an optimiser computed and named, a mask's 0.
                if got[0] == 1.0 && !all.contains_key(&parameter) {
                    continue;
                }
                let joined = model["joined"].get(&parameter).and_then(Value::as_array);
                let known = left.iter().copied().find(|name| *name == parameter);
                let parts: Vec<&str> = match (joined, known) {
                    (Some(parts), _) => parts.iter().map(|part| part.as_str().unwrap()).collect(),
                    (None, Some(known)) => vec![known],
                    // A transposed matrix has a new name and the same numbers.
                    (None, None) => {
                        let same = |name: &&str| are_near(&got, &statistics(name), noise);
                        let same = left.iter().copied().find(same);
                        vec![same.unwrap_or_else(|| panic!("{file}: {parameter} {got:?}"))]
                    }
                };
                let expected: Vec<Statistics> = parts.iter().map(|part| statistics(part)).collect();
                let expected = together(&expected);
                assert!(
                    are_near(&got, &expected, noise),
                    "{file}, {parameter}: {got:?}, expected {expected:?}"
                );
                left.retain(|name| !parts.contains(name));
                layers.extend(parts.into_iter().map(|part| (part, layer.clone())));
            }
            // Also a bias that an optimiser took into the next operator.
            for (part, layer) in &layers {
                let weight = part
                    .strip_suffix(".bias")
                    .map(|path| format!("{path}.weight"));
                let of_weight = weight.and_then(|weight| layers.get(&weight[..]));
                assert!(
                    of_weight.is_none_or(|of_weight| of_weight == layer),
                    "{file}: {part} is in {layer}, its weight in {of_weight:?}"
                );
            }
            let folded = ["position", "token_type", "class_token", "cls_token", "wpe"];
            left.retain(|name| !folded.iter().any(|part| name.contains(part)));
            assert!(left.is_empty(), "{file} lacks {left:?}");
            files += 1;
        }
    }
    assert!(files >= 20, "{files}");
}

#[test]
fn weights_laid_out_for_a_processor_are_refused_with_what_to_do() {
    let path = folder("models").join("refused_blocked.onnx");
    let error = OnnxNetwork::read(&path, &OnnxOptions::default());
    let error = error.unwrap_err().to_string();
    assert!(error.contains("com.microsoft.nchwc.Conv"), "{error}");
    assert!(error.contains("ORT_ENABLE_EXTENDED"), "{error}");
}

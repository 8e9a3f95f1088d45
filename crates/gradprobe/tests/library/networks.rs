//! The networks of `examples/` have PyTorch's loss and gradients: recorded in
//! `fixtures/networks.json` by `fixtures/networks.py`, on numbers that both compute from names.

use gradprobe::graph::{Graph, ParameterData};
use gradprobe::import::spec::{Network, Source, Specification};
use gradprobe::num::{Scaled, Shape, Tensor};
use gradprobe::run::{Executor, Options};
use serde_json::Value;
use std::path::Path;
use std::sync::Arc;

/// Relative to the gradient's norm. Recorded numbers have 9 digits, and normalisation over few
/// numbers makes more of rounding errors.
const TOLERANCE: f64 = 1e-6;
/// A gradient this much smaller than the largest of its network is zero but for rounding: that of
/// a bias before a normalisation, or of a key's bias in attention.
const ROUNDING: f64 = 1e-12;

/// 32 bits for every index: FNV-1a of the name, mixed with the index (xxHash's avalanche).
fn hashes(name: &str) -> impl Iterator<Item = u32> {
    let start = name.bytes().fold(2_166_136_261u32, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(16_777_619)
    });
    (0u32..).map(move |index| {
        let mut h = index.wrapping_mul(2_654_435_761).wrapping_add(start);
        h ^= h >> 15;
        h = h.wrapping_mul(2_246_822_519);
        h ^= h >> 13;
        h = h.wrapping_mul(3_266_489_917);
        h ^ h >> 16
    })
}

/// On [-1, 1).
fn uniform(name: &str) -> impl Iterator<Item = f64> {
    hashes(name).map(|hash| f64::from(hash) / f64::exp2(31.0) - 1.0)
}

/// Of a parameter: He's uniform for matrices and kernels, about 1 for scales, about 0 for shifts.
fn numbers(name: &str, shape: &Shape) -> Tensor<f64> {
    let count = shape.element_count();
    let (centre, radius) = if shape.len() > 1 {
        let fan_in: usize = shape[1..].iter().product();
        (0.0, f64::sqrt(6.0 / fan_in as f64))
    } else if name.ends_with("norm.weight") {
        (1.0, 0.25)
    } else {
        (0.0, 0.1)
    };
    let data = uniform(name).take(count).map(|u| centre + radius * u);
    Tensor::new(shape.clone(), data.collect())
}

/// The example of a case, in f64 and with its parameters' numbers.
fn network(case: &Value) -> (Network, Graph) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    let path = folder.join(case["example"].as_str().unwrap());
    let mut text = std::fs::read_to_string(&path).unwrap();
    for pair in case["replace"].as_array().unwrap() {
        let [old, new] = [0, 1].map(|index| pair[index].as_str().unwrap());
        assert!(text.contains(old), "{path:?} has no {old}");
        text = text.replace(old, new);
    }
    let text = format!("dtype = \"f64\"\n{text}");
    let mut specification = Specification::parse(&text).unwrap();
    specification.source = Source {
        path: Some(path),
        ..specification.source
    };
    let network = Network::new(specification).unwrap();
    let mut graph = network.build(0).unwrap();
    let trained: Vec<(usize, String, Shape)> = graph
        .parameters()
        .iter()
        .enumerate()
        .filter(|(_, parameter)| parameter.trainable)
        .map(|(index, parameter)| {
            let shape = graph.value(parameter.value).shape.clone();
            (index, parameter.name.clone(), shape)
        })
        .collect();
    for (index, name, shape) in trained {
        let data = ParameterData::F64(Arc::new(numbers(&name, &shape)));
        graph.set_parameter(index, data);
    }
    (network, graph)
}

/// The input and the targets of a network with so many classes.
fn batch(network: &Network, vocabulary: Option<u32>, classes: u32) -> Vec<Tensor<f64>> {
    let drawn = network.batch(0).unwrap();
    let fill = |tensor: &Tensor<f64>, numbers: &mut dyn Iterator<Item = f64>| {
        let data = numbers.take(tensor.data().len()).collect();
        Tensor::new(tensor.shape().clone(), data)
    };
    let input = match vocabulary {
        Some(tokens) => fill(
            &drawn[0],
            &mut hashes("input").map(|hash| f64::from(hash % tokens)),
        ),
        None => fill(&drawn[0], &mut uniform("input").map(|u| u * f64::sqrt(3.0))),
    };
    let targets = fill(
        &drawn[1],
        &mut hashes("target").map(|hash| f64::from(hash % classes)),
    );
    vec![input, targets]
}

/// Euclidean norm, largest magnitude, product with a fixed vector.
fn summary(gradient: &Scaled<f64>) -> [f64; 3] {
    let scale = f64::exp2(gradient.exponent as f64);
    let data = || gradient.tensor.data().iter().map(|x| x * scale);
    let product = data().zip(uniform("checksum")).map(|(x, c)| x * c).sum();
    [
        data().map(|x| x * x).sum::<f64>().sqrt(),
        data().fold(0.0, |max, x| x.abs().max(max)),
        product,
    ]
}

fn has_the_gradients_of_pytorch(example: &str) {
    let cases: Vec<Value> =
        serde_json::from_str(include_str!("../fixtures/networks.json")).unwrap();
    let case = cases.iter().find(|case| case["example"] == example);
    let case = case.unwrap_or_else(|| panic!("{example} was not recorded"));
    let (network, graph) = network(case);
    let output = &graph.value(graph.output()).shape;
    let classes = *output.last().unwrap() as u32;
    let vocabulary = (output.len() == 3).then_some(classes);
    let options = Options {
        keep_gradients: true,
        ..Options::default()
    };
    let mut executor = Executor::<f64>::new(&graph, options).unwrap();
    let run = executor.run(&batch(&network, vocabulary, classes)).unwrap();
    let (loss, expected) = (run.trace.loss.unwrap(), case["loss"].as_f64().unwrap());
    assert!(
        (loss / expected - 1.0).abs() < 1e-10,
        "{example}: loss {loss}, {expected}"
    );
    let recorded = case["gradients"].as_object().unwrap();
    let number = |row: &Value, index: usize| row[index].as_f64().unwrap();
    let largest = recorded
        .values()
        .map(|row| number(row, 0))
        .fold(0.0, f64::max);
    let mut count = 0;
    for (parameter, gradient) in graph.parameters().iter().zip(&run.gradients) {
        if !parameter.trainable {
            continue;
        }
        count += 1;
        let name = &parameter.name;
        let row = recorded.get(name);
        let row = row.unwrap_or_else(|| panic!("{example}: no {name}"));
        let tolerance = (TOLERANCE * number(row, 0)).max(ROUNDING * largest);
        for (index, ours) in summary(gradient.as_ref().unwrap()).into_iter().enumerate() {
            let theirs = number(row, index);
            assert!(
                (ours - theirs).abs() < tolerance,
                "{example}, {name}, {}: {ours}, {theirs}",
                ["norm", "largest", "checksum"][index]
            );
        }
    }
    assert_eq!(count, recorded.len(), "{example}");
}

#[test]
fn plain_networks_of_56_layers() {
    has_the_gradients_of_pytorch("cnn_56_plain.toml");
    has_the_gradients_of_pytorch("cnn_56_plain_batch_norm.toml");
}

#[test]
fn residual_networks_of_56_layers() {
    has_the_gradients_of_pytorch("resnet_56.toml");
    has_the_gradients_of_pytorch("resnet_56_no_norm.toml");
}

#[test]
fn resnet_18() {
    has_the_gradients_of_pytorch("resnet18.toml");
}

#[test]
fn resnet_50() {
    has_the_gradients_of_pytorch("resnet50.toml");
}

#[test]
fn mobilenet_v2() {
    has_the_gradients_of_pytorch("mobilenet_v2.toml");
}

#[test]
fn gpt2_small() {
    has_the_gradients_of_pytorch("gpt2_small.toml");
}

#[test]
fn a_perceptron_with_batch_normalisation() {
    has_the_gradients_of_pytorch("batch_norm_mlp.toml");
}

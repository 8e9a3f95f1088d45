//! Whole sequence networks, from their TOML, have PyTorch's loss and gradients: recorded in
//! `data/sequence_networks.json` by `generators/sequence_networks.py`.

use gradprobe::graph::{Graph, ParameterData};
use gradprobe::import::spec::{Network, Specification};
use gradprobe::num::{Shape, Tensor};
use gradprobe::run::{Executor, Options};
use serde_json::Value;
use std::sync::Arc;

/// Of the largest element of a gradient; the recorded numbers have 10 digits.
const TOLERANCE: f64 = 1e-8;

fn tensor(value: &Value) -> Tensor<f64> {
    let shape = value["shape"].as_array().unwrap().iter();
    let shape = shape.map(|extent| extent.as_u64().unwrap() as usize);
    let data = value["data"].as_array().unwrap().iter();
    let data = data.map(|number| number.as_f64().unwrap()).collect();
    Tensor::new(Shape(shape.collect()), data)
}

#[test]
fn sequence_networks_have_the_loss_and_the_gradients_of_pytorch() {
    let text = include_str!("../data/sequence_networks.json");
    let cases: Vec<Value> = serde_json::from_str(text).unwrap();
    assert_eq!(cases.len(), 3);
    for case in &cases {
        let name = &case["name"];
        let text = case["specification"].as_str().unwrap();
        let network = Specification::parse(text).and_then(Network::new);
        let network = network.unwrap_or_else(|error| panic!("{name}: {error}"));
        let mut graph = network.build(0).unwrap();
        let names: Vec<(String, bool)> = graph
            .parameters()
            .iter()
            .map(|parameter| (parameter.name.clone(), parameter.trainable))
            .collect();
        for (index, (parameter, trainable)) in names.iter().enumerate() {
            if *trainable {
                let given = &case["parameters"][parameter];
                assert!(given.is_object(), "{name}: no {parameter}");
                graph.set_parameter(index, ParameterData::F64(Arc::new(tensor(given))));
            }
        }
        let given = case["parameters"].as_object().unwrap().len();
        assert_eq!(
            given,
            names.iter().filter(|(_, trainable)| *trainable).count()
        );
        let batch = [tensor(&case["ids"]), tensor(&case["targets"])];
        let drawn = network.batch(0).unwrap();
        for (ours, theirs) in drawn.iter().zip(&batch) {
            assert_eq!(ours.shape(), theirs.shape(), "{name}");
        }
        let options = Options {
            keep_gradients: true,
            ..Options::default()
        };
        let mut executor = Executor::<f64>::new(&graph, options).unwrap();
        let output = executor.run(&batch).unwrap();
        let (loss, expected) = (output.trace.loss.unwrap(), case["loss"].as_f64().unwrap());
        assert!(
            (loss / expected - 1.0).abs() < 1e-9,
            "{name}: {loss}, {expected}"
        );
        for ((parameter, trainable), gradient) in names.iter().zip(&output.gradients) {
            if !trainable {
                continue;
            }
            let theirs = tensor(&case["gradients"][parameter]);
            let ours = gradient.as_ref().unwrap();
            let scale = f64::exp2(ours.exponent as f64);
            let size = theirs
                .data()
                .iter()
                .fold(0.0, |size: f64, x| size.max(x.abs()));
            // A key's bias adds the same to every score of a query: its gradient is zero but for
            // rounding.
            let size = if parameter.ends_with("k.bias") {
                1.0
            } else {
                size
            };
            for (ours, theirs) in ours.tensor.data().iter().zip(theirs.data()) {
                let distance = (ours * scale - theirs).abs();
                assert!(
                    distance < TOLERANCE * size,
                    "{name}, {parameter}: {ours}, {theirs}"
                );
            }
        }
    }
}

fn network(text: &str) -> Network {
    let network = Specification::parse(text).and_then(Network::new);
    network.unwrap_or_else(|error| panic!("{error}"))
}

fn numbers(graph: &Graph, name: &str) -> Vec<f64> {
    let mut parameters = graph.parameters().iter();
    let found = parameters.find(|parameter| parameter.name == name);
    match &found.unwrap_or_else(|| panic!("no {name}")).data {
        ParameterData::F64(tensor) => tensor.data().to_vec(),
        ParameterData::F32(_) => panic!("{name} is single"),
    }
}

#[test]
fn an_unrolled_layer_has_the_last_state_of_the_layer_in_one_piece() {
    for cell in [
        "rnn = 3",
        "rnn = 3, activation = \"relu\"",
        "lstm = 3",
        "gru = 3",
    ] {
        let text = |more: &str, after: &str| {
            let layers = format!("{{ embedding = 4, vocabulary = 9 }}, {{ {cell}{more} }}{after}");
            let head = "dtype = \"f64\"\nloss = \"mse\"\nbatch = 3";
            format!("{head}\nlayers = [{layers}]\n[input]\nshape = [6]\nvalues = \"ids\"")
        };
        let loss_of = |text: &str, change: &dyn Fn(&Graph, &mut Graph)| {
            let network = network(text);
            let mut graph = network.build(0).expect("builds");
            let untouched = graph.clone();
            change(&untouched, &mut graph);
            let batch = network.batch(0).expect("drawn");
            let mut executor = Executor::<f64>::new(&graph, Options::default()).expect("planned");
            executor.run(&batch).expect("runs").trace.loss
        };
        let whole_text = text("", ", \"last-step\"");
        let whole = loss_of(&whole_text, &|_, _| {});
        let fused = network(&whole_text).build(0).unwrap();
        // The same numbers in both.
        let unrolled = loss_of(&text(", unroll = true", ""), &|before, graph| {
            let scope = fused.layers()[1].name.clone();
            let bias = numbers(&fused, &format!("{scope}.bias"));
            let (of_input, of_state) = bias.split_at(bias.len() / 2);
            for (index, parameter) in before.parameters().iter().enumerate() {
                let data = match parameter.name.rsplit('.').next() {
                    Some("bias_ih") => of_input.to_vec(),
                    Some("bias_hh") => of_state.to_vec(),
                    _ if parameter.name.contains("weight") => numbers(&fused, &parameter.name),
                    _ => continue,
                };
                let shape = before.value(parameter.value).shape.clone();
                let data = ParameterData::F64(Arc::new(Tensor::new(shape, data)));
                graph.set_parameter(index, data);
            }
        });
        let (whole, unrolled) = (whole.expect("a loss"), unrolled.expect("a loss"));
        assert!(
            (whole - unrolled).abs() < 1e-12,
            "{cell}: {whole}, {unrolled}"
        );
    }
}

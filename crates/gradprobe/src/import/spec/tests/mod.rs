//! The promises of a specification.

mod blocks;
mod hostile;
mod images;
mod mistakes;
mod sequences;
mod shortcuts;

use super::*;
use crate::graph::{CotangentKind, Graph, Objective, ParameterData};
use crate::num::Tensor;
use crate::ops::Role;

fn network(text: &str) -> Network {
    let specification = Specification::parse(text).unwrap_or_else(|error| panic!("{error}"));
    Network::new(specification).unwrap_or_else(|error| panic!("{error}"))
}

fn graph(text: &str) -> Graph {
    network(text)
        .build(0)
        .unwrap_or_else(|error| panic!("{error}"))
}

fn error(text: &str) -> SpecError {
    match Specification::parse(text).and_then(Network::new) {
        Ok(_) => panic!("accepted:\n{text}"),
        Err(error) => error,
    }
}

/// What the error says, and the piece of the text that it points at.
fn blamed(text: &str) -> (String, String) {
    let error = error(text);
    let span = error.span.clone().unwrap_or(0..0);
    (error.to_string(), text[span].to_owned())
}

fn layers(graph: &Graph) -> Vec<(String, String)> {
    let pair = |layer: &crate::graph::Layer| (layer.name.clone(), layer.kind.clone());
    graph.layers().iter().map(pair).collect()
}

fn parameters(graph: &Graph) -> Vec<(String, Vec<usize>)> {
    let entry = |parameter: &crate::graph::Parameter| {
        let shape = graph.value(parameter.value).shape.to_vec();
        (parameter.name.clone(), shape)
    };
    graph.parameters().iter().map(entry).collect()
}

fn numbers(graph: &Graph, name: &str) -> Vec<f64> {
    let found = graph
        .parameters()
        .iter()
        .find(|parameter| parameter.name == name);
    match &found.unwrap_or_else(|| panic!("no {name}")).data {
        ParameterData::F32(tensor) => tensor.data().iter().map(|&x| f64::from(x)).collect(),
        ParameterData::F64(tensor) => tensor.data().to_vec(),
    }
}

#[test]
fn layers_and_parameters_get_the_names_that_messages_use() {
    let graph = graph(
        r#"
        input = 6
        layers = [
            { linear = 8, norm = "batch", activation = "relu" },
            { residual = [{ linear = 8 }, "relu", { name = "last", linear = 8 }], scale = 0.5 },
            "relu",
            { name = "down", residual = ["layer-norm", { linear = 4, bias = false }], shortcut = "projection" },
            { name = "hidden", repeat = 2, linear = 4, activation = "tanh" },
            { name = "stage", repeat = 2, layers = [{ linear = 4 }, { name = "x", linear = 4 }] },
            { linear = 3 },
            "layer-norm",
            "softmax",
        ]
        "#,
    );
    let expected = [
        ("fc1", "linear + batch-norm + relu"),
        ("block1.fc1", "linear + relu"),
        ("block1.last", "linear"),
        ("block1", "residual + relu"),
        ("down.ln1", "layer-norm"),
        ("down.fc1", "linear"),
        ("down.shortcut", "linear"),
        ("down", "residual"),
        ("hidden1", "linear + tanh"),
        ("hidden2", "linear + tanh"),
        ("stage1.fc1", "linear"),
        ("stage1.x", "linear"),
        ("stage2.fc1", "linear"),
        ("stage2.x", "linear"),
        ("fc2", "linear + layer-norm + softmax"),
    ];
    let expected: Vec<_> = expected
        .map(|(name, kind)| (name.to_owned(), kind.to_owned()))
        .into();
    assert_eq!(layers(&graph), expected);
    let got = parameters(&graph);
    let shape_of = |name: &str| {
        let found = got.iter().find(|(known, _)| known == name);
        found.map(|(_, shape)| &shape[..])
    };
    for (name, shape) in [
        ("fc1.weight", &[8, 6][..]),
        ("fc1.bias", &[8]),
        ("fc1.norm.weight", &[8]),
        ("fc1.norm.running_var", &[8]),
        ("block1.last.weight", &[8, 8]),
        ("block1.scale", &[]),
        ("down.ln1.norm.bias", &[8]),
        ("down.shortcut.weight", &[4, 8]),
        ("hidden2.weight", &[4, 4]),
        ("stage2.x.bias", &[4]),
        ("fc2.norm.weight", &[3]),
    ] {
        assert_eq!(shape_of(name), Some(shape), "{name}");
    }
    assert_eq!(shape_of("down.shortcut.bias"), None);
    let sums: Vec<_> = graph
        .nodes()
        .iter()
        .filter(|node| node.role == Role::Residual)
        .collect();
    assert_eq!(sums.len(), 2);
    assert_eq!(
        graph.objective(),
        &Objective::Output(graph.output(), CotangentKind::Random)
    );
    let trained = |name: &str| {
        let found = graph
            .parameters()
            .iter()
            .find(|parameter| parameter.name == name);
        found.is_some_and(|parameter| parameter.trainable)
    };
    assert!(trained("fc1.norm.weight") && !trained("fc1.norm.running_mean"));
    assert!(!trained("block1.scale"));
}

#[test]
fn the_seed_chain_is_plain_layers() {
    let text = r#"
        batch = 1
        dtype = "f64"
        loss = "output"
        layers = [
            { repeat = 4, linear = 1, activation = "tanh", bias = false, init = { name = "constant", value = 1 } },
        ]
        [input]
        shape = 1
        values = 100
    "#;
    let graph = graph(text);
    assert_eq!(graph.layers().len(), 4);
    assert_eq!(numbers(&graph, "fc4.weight"), [1.0]);
    assert_eq!(
        graph.objective(),
        &Objective::Output(graph.output(), CotangentKind::Ones)
    );
    let batch = network(text).batch(3).expect("a batch");
    assert_eq!(batch, [Tensor::new([1, 1], vec![100.0])]);
}

const PLAIN: &str = r#"
    input = 20
    batch = 8
    loss = { name = "cross-entropy", classes = 5 }
    layers = [
        { name = "a", linear = 30, activation = "tanh" },
        { name = "b", linear = 30, init = "orthogonal" },
        { name = "c", linear = 5 },
    ]
"#;

#[test]
fn the_same_seed_draws_the_same_bits() {
    let network = network(PLAIN);
    let (one, other) = (
        network.build(7).expect("a graph"),
        network.build(7).expect("a graph"),
    );
    for name in ["a.weight", "a.bias", "b.weight", "c.weight"] {
        assert_eq!(numbers(&one, name), numbers(&other, name), "{name}");
        let third = network.build(8).expect("a graph");
        assert_ne!(numbers(&one, name), numbers(&third, name), "{name}");
    }
    assert_eq!(network.batch(7), network.batch(7));
    assert_ne!(network.batch(7), network.batch(8));
    let batch = network.batch(7).expect("a batch");
    assert_eq!(batch[0].shape()[..], [8, 20]);
    assert_eq!(batch[1].shape()[..], [8]);
    assert!(
        batch[1]
            .data()
            .iter()
            .all(|class| [0.0, 1.0, 2.0, 3.0, 4.0].contains(class))
    );
}

#[test]
fn a_new_layer_leaves_the_others_weights_as_they_were() {
    let before = graph(PLAIN);
    let after = graph(&PLAIN.replace(
        r#"{ name = "b""#,
        r#"{ name = "new", linear = 30, norm = "layer" }, { name = "b""#,
    ));
    for name in ["a.weight", "a.bias", "b.weight", "c.weight", "c.bias"] {
        assert_eq!(numbers(&before, name), numbers(&after, name), "{name}");
    }
    assert!(numbers(&after, "new.weight").iter().any(|&x| x != 0.0));
}

#[test]
fn f32_weights_are_the_f64_weights_rounded() {
    let single = graph(PLAIN);
    let double = graph(&format!("dtype = \"f64\"\n{PLAIN}"));
    let rounded: Vec<f64> = numbers(&double, "b.weight")
        .iter()
        .map(|&x| f64::from(x as f32))
        .collect();
    assert_eq!(numbers(&single, "b.weight"), rounded);
}

#[test]
fn biases_follow_the_initialiser_unless_they_are_given() {
    let bias = |rest: &str| {
        let graph = graph(&format!(
            "input = 50\nlayers = [{{ linear = 400, {rest} }}]"
        ));
        let has = graph
            .parameters()
            .iter()
            .any(|parameter| parameter.name == "fc1.bias");
        has.then(|| numbers(&graph, "fc1.bias"))
    };
    let std = |numbers: &[f64]| {
        (numbers.iter().map(|x| x * x).sum::<f64>() / numbers.len() as f64).sqrt()
    };
    let pytorch = bias("activation = \"none\"").expect("a bias");
    let bound = 1.0 / 50f64.sqrt();
    assert!(pytorch.iter().all(|x| x.abs() <= bound + 1e-7) && std(&pytorch) > 0.5 * bound);
    assert!(
        bias("init = \"xavier-normal\"")
            .expect("a bias")
            .iter()
            .all(|&x| x == 0.0)
    );
    assert_eq!(bias("bias = false"), None);
    assert!(
        bias("bias = \"ones\"")
            .expect("a bias")
            .iter()
            .all(|&x| x == 1.0)
    );
    let mean_field = r#"init = { name = "normal", sigma_w2 = 1.3, sigma_b2 = 0.05 }"#;
    let drawn = std(&bias(mean_field).expect("a bias"));
    assert!((drawn / 0.05f64.sqrt() - 1.0).abs() < 0.15, "{drawn}");
}

#[test]
fn mean_field_variances_are_not_confused_with_deviations() {
    let std = |argument: &str| {
        let graph = graph(&format!(
            "input = 300\nlayers = [{{ linear = 300, init = {{ name = \"normal\", {argument} }} }}]"
        ));
        let weight = numbers(&graph, "fc1.weight");
        (weight.iter().map(|x| x * x).sum::<f64>() / weight.len() as f64 * 300.0).sqrt()
    };
    assert!((std("sigma_w = 2") - 2.0).abs() < 0.03);
    assert!((std("sigma_w2 = 2") - 2f64.sqrt()).abs() < 0.03);
    assert!((std("std = 2") - 2.0 * 300f64.sqrt()).abs() < 0.5);
}

#[test]
fn gains_may_be_named() {
    let of = |init: &str| {
        let text = format!("input = 4\nlayers = [{{ linear = 4, init = {init} }}]");
        let specification = Specification::parse(&text).unwrap_or_else(|error| panic!("{error}"));
        match &specification.layers[0].kind {
            LayerKind::Linear(linear) => serde_json::to_value(linear.common.init).expect("json"),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(
        of(r#"{ name = "glorot_normal", gain = "tanh" }"#)["gain"],
        5.0 / 3.0
    );
    assert_eq!(of(r#""kaiming-normal""#)["gain"], 2f64.sqrt());
    let leaky =
        r#"{ name = "he-normal", nonlinearity = "leaky_relu", slope = 2, mode = "fan_out" }"#;
    assert_eq!(of(leaky)["gain"], 0.4f64.sqrt());
    assert_eq!(of(leaky)["mode"], "fan-out");
    assert_eq!(of(r#"{ name = "uniform", bound = 0.1 }"#)["low"], -0.1);
}

#[test]
fn defaults_hold_where_a_layer_says_nothing() {
    let graph = graph(
        r#"
        input = 6
        layers = [{ linear = 6 }, { linear = 6, activation = "relu", norm = "none" }, { linear = 2, activation = "none", bias = true }]
        [defaults]
        activation = "tanh"
        norm = { name = "layer", affine = false }
        bias = false
        init = "he-normal"
        "#,
    );
    let kinds: Vec<String> = layers(&graph).into_iter().map(|(_, kind)| kind).collect();
    assert_eq!(
        kinds,
        [
            "linear + layer-norm + tanh",
            "linear + relu",
            "linear + layer-norm"
        ]
    );
    assert!(
        parameters(&graph)
            .iter()
            .any(|(name, _)| name == "fc3.bias")
    );
    assert!(
        !parameters(&graph)
            .iter()
            .any(|(name, _)| name == "fc1.bias")
    );
}

#[test]
fn seeds_are_a_count_or_a_list() {
    let seeds = |text: &str| {
        let text = format!("{text}\ninput = 1\nlayers = [{{ linear = 1 }}]");
        Specification::parse(&text)
            .unwrap_or_else(|error| panic!("{error}"))
            .seeds
    };
    assert_eq!(seeds(""), [0, 1, 2]);
    assert_eq!(seeds("seed = 5"), [5, 6, 7]);
    assert_eq!(seeds("seed = 5\nseeds = 2"), [5, 6]);
    assert_eq!(seeds("seeds = [3, 1]"), [3, 1]);
}

#[test]
fn the_time_to_build_grows_as_the_layers_do() {
    let time = |layers: usize| {
        let text = format!(
            "input = 1\nbatch = 1\nlayers = [{{ repeat = {layers}, linear = 1, activation = \"tanh\" }}]"
        );
        let start = std::time::Instant::now();
        assert_eq!(graph(&text).layers().len(), layers);
        start.elapsed()
    };
    // 16 times if it grows as the layers do, 256 if as their square. Other work on the machine can
    // spoil one comparison, but not ten.
    let tried: Vec<_> = (0..10).map(|_| (time(1_000), time(16_000))).collect();
    assert!(
        tried.iter().any(|&(few, many)| many < 90 * few),
        "for 1000 and 16000 layers: {tried:?}"
    );
}

#[test]
fn a_specification_is_serialised_with_every_default_filled_in() {
    let specification = network(PLAIN).specification().clone();
    let json = serde_json::to_value(&specification).expect("json");
    assert_eq!(json["layers"][0]["linear"]["units"], 30);
    assert_eq!(json["layers"][0]["linear"]["activation"], "tanh");
    assert_eq!(json["layers"][1]["linear"]["init"]["name"], "orthogonal");
    assert_eq!(json["batch"], 8);
    assert_eq!(json["dtype"], "f32");
    assert_eq!(json["optimiser"]["learning_rate"], 0.01);
}

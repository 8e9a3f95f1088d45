//! What a check says of networks with skip connections: the blocks are steps of the chain, their
//! gains add up, and the growth is that of theory (§5).

use super::support::{mean, network, runs, squared_gain};
use gradprobe::check::{Check, check};
use gradprobe::diagnose::Verdict;
use gradprobe::import::spec::Network;
use gradprobe::measure::{LayerRun, Measurement};
use std::path::Path;

fn checked(network: &Network) -> Check {
    check(network, 0, &mut |_| {}).unwrap_or_else(|error| panic!("{error}"))
}

fn example(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    std::fs::read_to_string(folder.join(name)).unwrap()
}

/// x ← x + scale · V·ReLU(W·x), with σv²·σw² = 2; the input goes straight into the first block.
fn residual_relu(depth: usize, scale: f64) -> String {
    format!(
        "batch = 8\nseeds = 3\nloss = \"random-cotangent\"\n\
         layers = [{{ repeat = {depth}, scale = {scale}, residual = [\
         {{ linear = 300, activation = \"relu\" }},\
         {{ linear = 300, init = \"lecun-normal\" }}] }}]\n\
         input = {{ shape = [300], values = \"normal\" }}\n\
         defaults = {{ init = \"he-normal\", bias = false }}\n"
    )
}

fn spine(layers: &[LayerRun]) -> impl Iterator<Item = &LayerRun> {
    layers.iter().filter(|layer| layer.on_spine)
}

/// Both squared signals grow by 1 + σv²σw²/2 a block.
#[test]
fn a_residual_relu_network_grows_by_the_factor_of_theory() {
    for (depth, scale) in [(21, 1.0), (21, 0.05f64.sqrt())] {
        let runs = runs(&residual_relu(depth, scale), 8);
        let blocks = depth as f64 - 1.0;
        let expected = blocks * f64::ln(1.0 + scale * scale);
        let backward = mean(runs.iter().map(|run| squared_gain(spine(&run.layers))));
        let forward = mean(runs.iter().map(|run| {
            let first = spine(&run.layers).next().unwrap();
            -2.0 * std::f64::consts::LN_10 * first.forward_decades.unwrap()
        }));
        for growth in [backward, forward] {
            assert!(
                (growth / expected - 1.0).abs() < 0.06,
                "scale {scale}: {growth} against {expected}"
            );
        }
    }
}

/// There is no layer with weights on the chain, only blocks round some.
#[test]
fn a_network_of_blocks_alone_is_judged() {
    let Check { diagnosis, .. } = checked(&network(&residual_relu(40, 1.0)));
    assert_eq!(diagnosis.verdict, Verdict::Exploding);
    let total = diagnosis.total_decades.unwrap();
    // 39 · log10 √2.
    assert!((total - 5.87).abs() < 0.4, "{total}");
    assert!((diagnosis.gains.residual - total).abs() < 1e-9);
    let start = diagnosis.starts_at.unwrap();
    assert!(start.starts_with("block3"), "{start}");
    let message = &diagnosis.findings[0].message;
    assert!(
        message.contains("from `block40` back to the weights of `block1`, exponentially: ×1.4"),
        "{message}"
    );
    let Check { diagnosis, .. } = checked(&network(&residual_relu(40, 40f64.sqrt().recip())));
    assert_eq!(diagnosis.verdict, Verdict::Healthy);
}

/// Along the chain each layer's gains are what the signal gains on its way to the layer before.
fn gains_add_up(measurement: &Measurement, name: &str) {
    for run in &measurement.runs {
        let spine: Vec<&LayerRun> = spine(&run.layers).collect();
        for pair in spine.windows(2) {
            let gained = pair[0].backward_decades.unwrap() - pair[1].backward_decades.unwrap();
            let gains = pair[1].gains.total();
            assert!(
                (gained - gains).abs() < 1e-9,
                "{name}: `{}` gains {gains}, its signal {gained}",
                pair[1].name
            );
        }
    }
}

#[test]
fn the_gains_of_residual_networks_add_up_layer_by_layer() {
    for name in [
        "resnet_56.toml",
        "resnet_56_no_norm.toml",
        "resnet18.toml",
        "mobilenet_v2.toml",
        "transformer_pre_ln.toml",
        "transformer_post_ln.toml",
        "gpt2_small.toml",
    ] {
        let mut text = example(name);
        text = text.replace("\nseeds = ", "\n# seeds = ");
        text = text.replace("50257", "500").replace("768", "96");
        text = text
            .replace("3072", "384")
            .replace("[3, 64, 64]", "[3, 32, 32]");
        let Check { measurement, .. } =
            checked(&network(&format!("dtype = \"f64\"\nseeds = 1\n{text}")));
        gains_add_up(&measurement, name);
    }
}

#[test]
fn layers_on_the_chain_are_named_as_in_the_papers() {
    let names = |name: &str| -> Vec<String> {
        let text = example(name).replace("[3, 64, 64]", "[3, 32, 32]");
        let runs = runs(&text.replace("50257", "50").replace("768", "24"), 1);
        spine(&runs[0].layers)
            .map(|layer| layer.name.clone())
            .collect()
    };
    let expected = "conv1 pool1 conv2_1 conv2_2 conv3_1 conv3_2 conv4_1 conv4_2 conv5_1 conv5_2 \
                    pool2 fc";
    assert_eq!(names("resnet18.toml").join(" "), expected);
    let expected = "conv1 pool1 conv2_1 conv2_2 conv2_3 conv3_1 conv3_2 conv3_3 conv3_4 conv4_1 \
                    conv4_2 conv4_3 conv4_4 conv4_5 conv4_6 conv5_1 conv5_2 conv5_3 pool2 fc";
    assert_eq!(names("resnet50.toml").join(" "), expected);
    let gpt2 = names("gpt2_small.toml");
    assert_eq!(gpt2[..5], ["wte", "h1.attn", "h1.mlp", "h2.attn", "h2.mlp"]);
    assert_eq!(gpt2[23..], ["h12.attn", "h12.mlp", "ln_f", "head"]);
    // A block of MobileNet whose shapes differ is no block with a skip connection.
    let mobile = names("mobilenet_v2.toml");
    assert_eq!(
        mobile[3..8],
        [
            "block2.conv1",
            "block2.conv2",
            "block2.conv3",
            "block3",
            "block4.conv1"
        ]
    );
}

/// The remedy that examples/README.md names.
#[test]
fn scaled_branches_make_a_network_without_normalisation_healthy() {
    let scaled = example("resnet_56_no_norm.toml")
        .replace("\n    ] },", "\n    ], scale = 0.19 },")
        .replace("shortcut = \"pad\"", "shortcut = \"pad\", scale = 0.19");
    assert_eq!(scaled.matches("scale = 0.19 }").count(), 5);
    let diagnosis = checked(&network(&scaled)).diagnosis;
    assert_eq!(diagnosis.verdict, Verdict::Healthy);
}

//! How often the rules are right, over families of faulty and healthy networks.

use super::*;

/// Faulty networks that must be found, at least so many of them.
const DETECTION: f64 = 0.95;
/// Healthy networks with a warning, at most so many.
const FALSE_ALARMS: f64 = 0.02;
/// Each network is judged so many times, with other seeds.
const REPEATS: usize = 3;

fn faulty() -> Vec<(&'static str, Mlp)> {
    const SMALL: &str = "{ name = \"uniform\", bound = 0.05 }";
    const UNIT: &str = "{ name = \"normal\", std = 1 }";
    let mut all = Vec::new();
    for depth in [10, 12, 16, 24] {
        for width in [8, 16, 64] {
            for init in ["xavier-normal", "pytorch", "he-normal", UNIT] {
                all.push(("deep sigmoid", Mlp::new(depth, width, "sigmoid", init)));
            }
        }
    }
    for depth in [8, 12, 20] {
        for width in [16, 64] {
            all.push(("ReLU, ±0.05", Mlp::new(depth, width, "relu", SMALL)));
            all.push(("tanh, ±0.05", Mlp::new(depth, width, "tanh", SMALL)));
        }
    }
    for depth in [16, 24, 40] {
        all.push(("narrow deep ReLU", Mlp::new(depth, 5, "relu", "he-normal")));
    }
    for depth in [20, 30, 50] {
        for width in [16, 64] {
            all.push((
                "deep tanh, PyTorch",
                Mlp::new(depth, width, "tanh", "pytorch"),
            ));
            all.push((
                "deep ReLU, PyTorch",
                Mlp::new(depth, width, "relu", "pytorch"),
            ));
            all.push((
                "deep GELU, He",
                Mlp::new(depth + 10, width, "gelu", "he-normal"),
            ));
        }
    }
    for depth in [3, 6, 12] {
        for width in [32, 64] {
            all.push(("ReLU, N(0, 1)", Mlp::new(depth, width, "relu", UNIT)));
            all.push(("tanh, N(0, 1)", Mlp::new(depth, width, "tanh", UNIT)));
            all.push(("constant weights", Mlp::new(depth, width, "relu", "ones")));
            all.push(("zero weights", Mlp::new(depth, width, "tanh", "zeros")));
        }
    }
    let rate = |more| Mlp::new(4, 32, "relu", "he-normal").more(more);
    all.push((
        "rate too high",
        rate("[optimiser]\nname = \"sgd\"\nlearning_rate = 100.0\n"),
    ));
    all.push((
        "rate too high",
        rate("[optimiser]\nname = \"adam\"\nlearning_rate = 1.0\n"),
    ));
    all.push((
        "rate too low",
        rate("[optimiser]\nname = \"sgd\"\nlearning_rate = 1e-8\n"),
    ));
    all.push((
        "rate too low",
        rate("[optimiser]\nname = \"adam\"\nlearning_rate = 1e-9\n"),
    ));
    all
}

fn healthy() -> Vec<(&'static str, Mlp)> {
    let mut all = Vec::new();
    for depth in [6, 9, 12, 18] {
        for width in [5, 8, 16, 32, 64] {
            all.push((
                "tanh, Glorot",
                Mlp::new(depth, width, "tanh", "xavier-uniform"),
            ));
        }
    }
    for depth in [3, 5, 10, 20] {
        for width in [16, 32, 64, 128] {
            all.push(("ReLU, He", Mlp::new(depth, width, "relu", "he-normal")));
            all.push((
                "leaky ReLU, He",
                Mlp::new(depth, width, "leaky-relu", "he-uniform"),
            ));
        }
        for width in [16, 64] {
            all.push((
                "SELU, LeCun",
                Mlp::new(depth, width, "selu", "lecun-normal"),
            ));
            all.push((
                "softsign, Glorot",
                Mlp::new(depth, width, "softsign", "xavier-normal"),
            ));
        }
    }
    for depth in [2, 3, 4] {
        for width in [32, 64] {
            all.push((
                "shallow ReLU, PyTorch",
                Mlp::new(depth, width, "relu", "pytorch"),
            ));
            all.push((
                "shallow sigmoid",
                Mlp::new(depth, width, "sigmoid", "xavier-normal"),
            ));
            all.push((
                "shallow GELU, He",
                Mlp::new(depth, width, "gelu", "he-normal"),
            ));
            all.push((
                "shallow tanh, 5/3",
                Mlp::new(
                    depth,
                    width,
                    "tanh",
                    "{ name = \"lecun-normal\", gain = \"tanh\" }",
                ),
            ));
        }
    }
    let rate = |more| Mlp::new(4, 32, "relu", "he-normal").more(more);
    all.push((
        "usual rate",
        rate("[optimiser]\nname = \"sgd\"\nlearning_rate = 0.1\n"),
    ));
    all.push((
        "usual rate",
        rate("[optimiser]\nname = \"adam\"\nlearning_rate = 1e-3\n"),
    ));
    all
}

/// The share of networks with a warning, and which of them went the other way.
fn share(networks: &[(&'static str, Mlp)], expected: bool) -> f64 {
    let (mut alarmed, mut count) = (0, 0);
    for (family, mlp) in networks {
        for repeat in 0..REPEATS {
            let mlp = mlp.clone().seed(3 * repeat);
            let found = codes(&mlp.check());
            count += 1;
            alarmed += usize::from(!found.is_empty());
            if found.is_empty() == expected {
                let Mlp {
                    depth, width, init, ..
                } = mlp;
                println!(
                    "  {family}: {depth} layers of {width}, {init}, repeat {repeat}: {found:?}"
                );
            }
        }
    }
    println!("{alarmed} of {count} with a warning");
    alarmed as f64 / count as f64
}

#[test]
fn the_rules_are_right_often_enough() {
    println!("faulty networks that were not found:");
    let detection = share(&faulty(), true);
    println!("healthy networks with a warning:");
    let false_alarms = share(&healthy(), false);
    println!(
        "detection {:.1} %, false alarms {:.1} %",
        100.0 * detection,
        100.0 * false_alarms
    );
    assert!(detection >= DETECTION, "{detection}");
    assert!(false_alarms <= FALSE_ALARMS, "{false_alarms}");
}

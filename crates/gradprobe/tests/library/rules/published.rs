//! Faults that studies of deep learning report, and their healthy counterparts, as first steps: which
//! the rules tell apart.
//!
//! The faults are those of the taxonomy of Humbatova et al. 2020 that show in a network, its data and
//! its optimiser, as the benchmarks of AUTOTRAINER (Zhang et al. 2021), DeepLocalize (Wardat et al.
//! 2021), UMLAUT (Schoop et al. 2021), NeuraLint (Nikanjam et al. 2021), DeepDiagnosis (Wardat et al.
//! 2022) and DeepFD (Cao et al. 2022) have them: the last layer's activation, the loss, the learning
//! rate, initial weights, unscaled inputs, vanishing and exploding gradients, dying ReLUs, missing
//! activations. Their networks are small perceptrons, convolutional and recurrent nets; these here are
//! written after them. What shows only later in training (too few epochs, overfitting, a learning
//! rate that is a little low) no first step can know, and is not here.

use super::*;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Faulty networks that must be found, at least so many of them.
const DETECTION: f64 = 0.95;
/// Healthy networks with a warning, at most so many.
const FALSE_ALARMS: f64 = 0.02;

struct Case {
    what: &'static str,
    text: String,
}

/// What a network is made of, as sections of a specification.
#[derive(Clone, Copy)]
struct Parts<'a> {
    input: &'a str,
    layers: &'a str,
    loss: &'a str,
    optimiser: &'a str,
    more: &'a str,
}

impl Parts<'_> {
    fn text(&self, seed: usize) -> String {
        let Self {
            input,
            layers,
            loss,
            optimiser,
            more,
        } = self;
        let (name, rate) = optimiser.split_once(' ').unwrap();
        format!(
            "name = \"case\"\nbatch = 32\nseed = {seed}\nseeds = 3\nlayers = [{layers}]\n[input]\n{input}\n\
             [loss]\nname = \"{loss}\"\n[optimiser]\nname = \"{name}\"\nlearning_rate = {rate}\n{more}\n"
        )
    }
}

/// Files of made-up data.
struct Data {
    folder: PathBuf,
    digits: String,
    circles: String,
    blobs: String,
    xor: String,
    housing: String,
    scaled_housing: String,
    signed: String,
    autoencoder: &'static str,
}

impl Data {
    fn new() -> Self {
        let folder = std::env::temp_dir().join(format!("gradprobe-faults-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let file = |name: &str, rows: usize, row: &dyn Fn(&mut dyn FnMut() -> f64) -> String| {
            let mut state = 1u64;
            let mut uniform = move || {
                state = state
                    .wrapping_mul(6364136223846793005)
                    .wrapping_add(1442695040888963407);
                (state >> 33) as f64 / f64::from(1u32 << 31)
            };
            let text: String = (0..rows).map(|_| row(&mut uniform) + "\n").collect();
            let path = folder.join(name);
            std::fs::write(&path, text).unwrap();
            format!("data = \"{}\"\nheader = false", path.to_str().unwrap())
        };
        let circles = file("circles.csv", 400, &|uniform| {
            let (angle, class) = (std::f64::consts::TAU * uniform(), (2.0 * uniform()).floor());
            let radius = 0.5 + class + 0.2 * uniform();
            format!("{},{},{class}", radius * angle.cos(), radius * angle.sin())
        });
        let blobs = file("blobs.csv", 300, &|uniform| {
            let class = (3.0 * uniform()).floor();
            let centre = [(-2.0, 0.0), (1.5, 1.5), (1.0, -2.0)][class as usize];
            format!("{},{},{class}", centre.0 + uniform(), centre.1 + uniform())
        });
        let xor = file("xor.csv", 64, &|uniform| {
            let (a, b) = ((2.0 * uniform()).floor(), (2.0 * uniform()).floor());
            format!("{a},{b},{}", if a == b { 0 } else { 1 })
        });
        // Thirteen features and a price between 5 and 50, as Boston's houses have.
        let housing = |scale: &'static [f64], target: &'static dyn Fn(f64) -> f64| {
            move |uniform: &mut dyn FnMut() -> f64| {
                let mut row = String::new();
                let mut price = 0.0;
                for index in 0..13 {
                    let x = 2.0 * uniform() - 1.0;
                    price += x;
                    write!(row, "{},", scale[index % scale.len()] * (x + 1.5)).unwrap();
                }
                write!(row, "{}", target(price)).unwrap();
                row
            }
        };
        let raw = file(
            "housing.csv",
            300,
            &housing(&[0.1, 50.0, 10.0, 0.5, 400.0], &|price| {
                (25.0 + 4.0 * price).clamp(5.0, 50.0)
            }),
        );
        let scaled = file("scaled.csv", 300, &housing(&[1.0], &|price| price / 2.0));
        let digits =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/data/digits.csv.gz");
        let digits = format!("data = \"{}\"", digits.to_str().unwrap());
        let standardised = |text: &str| format!("{text}\nstandardise = \"per-feature\"");
        Self {
            digits: format!("{digits}\nstandardise = \"global\""),
            circles,
            blobs,
            xor,
            scaled_housing: standardised(&raw),
            housing: raw,
            signed: standardised(&scaled),
            autoencoder: "shape = [64]\nvalues = \"uniform\"",
            folder,
        }
    }
}

impl Drop for Data {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

const PIXELS: &str = "shape = [784]\nvalues = { name = \"uniform\", low = 0, high = 255 }";
const NORMAL: &str = "shape = [64]\nvalues = \"normal\"";
const UNIT_PIXELS: &str = "shape = [784]\nvalues = \"uniform\"";
const IMAGES: &str = "shape = [1, 28, 28]\nvalues = \"uniform\"";
const RAW_IMAGES: &str =
    "shape = [1, 28, 28]\nvalues = { name = \"uniform\", low = 0, high = 255 }";
const COLOURS: &str = "shape = [3, 32, 32]\nvalues = \"normal\"";
const RAW_COLOURS: &str =
    "shape = [3, 32, 32]\nvalues = { name = \"uniform\", low = 0, high = 255 }";
const WORDS: &str = "shape = [60]\nvalues = \"ids\"";

/// Keras' defaults: Glorot's uniform weights, biases of zero.
const GLOROT: &str = "[defaults]\ninit = \"xavier-uniform\"\nbias = \"zeros\"";
const PYTORCH: &str = "[defaults]\ninit = \"pytorch\"";
const HE: &str = "[defaults]\ninit = \"he-normal\"";

const LENET: &str = "{ conv = 6, kernel = 5, activation = \"relu\" }, { max-pool = 2 }, { conv = 16, kernel = 5, \
                     activation = \"relu\" }, { max-pool = 2 }, \"flatten\", { linear = 120, activation = \
                     \"relu\" }, { linear = 84, activation = \"relu\" }";

fn mlp(activation: &str, widths: &[usize], head: &str) -> String {
    let hidden = widths.iter().map(|width| {
        let activation = match activation {
            "" => String::new(),
            name => format!(", activation = \"{name}\""),
        };
        format!("{{ linear = {width}{activation} }}, ")
    });
    hidden.collect::<String>() + head
}

const TEN: &str = "{ linear = 10 }";

struct Table(Vec<Case>, usize);

impl Table {
    fn add(&mut self, what: &'static str, parts: Parts<'_>) {
        let text = parts.text(self.1);
        self.0.push(Case { what, text });
    }
}

fn digits<'a>(data: &'a Data, layers: &'a str) -> Parts<'a> {
    Parts {
        input: &data.digits,
        layers,
        loss: "cross-entropy",
        optimiser: "adam 1e-3",
        more: GLOROT,
    }
}

fn faulty(data: &Data, seed: usize) -> Vec<Case> {
    let mut table = Table(Vec::new(), seed);
    let relu = mlp("relu", &[64, 32], TEN);
    let base = digits(data, &relu);

    // The last layer's activation.
    for head in ["softmax", "sigmoid", "tanh", "relu"] {
        let layers = mlp(
            "relu",
            &[64],
            &format!("{{ linear = 10, activation = \"{head}\" }}"),
        );
        table.add(
            "activation before a cross-entropy",
            Parts {
                layers: &layers,
                ..base
            },
        );
        let layers = format!("{LENET}, {{ linear = 10, activation = \"{head}\" }}");
        table.add(
            "the same, convolutional",
            Parts {
                layers: &layers,
                input: IMAGES,
                ..base
            },
        );
        let layers = mlp(
            "tanh",
            &[16, 16],
            &format!("{{ linear = 3, activation = \"{head}\" }}"),
        );
        table.add(
            "the same, three classes",
            Parts {
                layers: &layers,
                input: &data.blobs,
                ..base
            },
        );
    }
    for head in ["sigmoid", "relu", "tanh", "softmax"] {
        let layers = mlp(
            "relu",
            &[16],
            &format!("{{ linear = 1, activation = \"{head}\" }}"),
        );
        table.add(
            "activation before a binary cross-entropy",
            Parts {
                layers: &layers,
                input: &data.circles,
                loss: "bce-with-logits",
                ..base
            },
        );
    }
    for head in ["sigmoid", "tanh", "softmax", "relu"] {
        let layers = mlp(
            "relu",
            &[32, 16],
            &format!("{{ linear = 1, activation = \"{head}\" }}"),
        );
        table.add(
            "regression out of reach",
            Parts {
                layers: &layers,
                input: &data.scaled_housing,
                loss: "mse",
                ..base
            },
        );
    }
    for head in ["relu", "sigmoid"] {
        let layers = mlp(
            "relu",
            &[32, 16],
            &format!("{{ linear = 1, activation = \"{head}\" }}"),
        );
        table.add(
            "negative targets",
            Parts {
                layers: &layers,
                input: &data.signed,
                loss: "mse",
                ..base
            },
        );
    }
    table.add(
        "a softmax over one class",
        Parts {
            layers: &mlp("relu", &[16], "{ linear = 1 }"),
            input: NORMAL,
            ..base
        },
    );

    // The loss.
    table.add(
        "squares of a sigmoid's probabilities",
        Parts {
            layers: &mlp("tanh", &[8], "{ linear = 1, activation = \"sigmoid\" }"),
            input: &data.xor,
            loss: "mse",
            ..base
        },
    );
    table.add(
        "squares of a softmax's probabilities",
        Parts {
            layers: &mlp("relu", &[64], "{ linear = 10, activation = \"softmax\" }"),
            loss: "mse",
            ..base
        },
    );

    // The learning rate.
    for optimiser in [
        "sgd 10.0",
        "sgd 5.0",
        "sgd 100.0",
        "momentum 10.0",
        "adam 1.0",
        "adam 0.5",
        "adam 0.1",
        "adamw 1.0",
        "sgd 1e-6",
        "sgd 1e-8",
        "adam 1e-7",
        "adam 1e-8",
    ] {
        table.add("learning rate", Parts { optimiser, ..base });
    }
    for optimiser in ["adam 0.1", "adam 1.0", "sgd 10.0", "adam 1e-7", "sgd 1e-7"] {
        let layers = format!("{LENET}, {TEN}");
        table.add(
            "learning rate, convolutional",
            Parts {
                layers: &layers,
                input: IMAGES,
                optimiser,
                ..base
            },
        );
    }
    for optimiser in ["adam 1.0", "sgd 100.0"] {
        let layers =
            "{ embedding = 16, vocabulary = 1000 }, { lstm = 32, unroll = true }, { linear = 2 }";
        table.add(
            "learning rate, recurrent",
            Parts {
                layers,
                input: WORDS,
                optimiser,
                ..base
            },
        );
    }

    // Initial weights.
    for init in [
        "\"zeros\"",
        "\"ones\"",
        "{ name = \"constant\", value = 0.5 }",
        "{ name = \"normal\", std = 1 }",
        "{ name = \"normal\", std = 10 }",
        "{ name = \"uniform\", bound = 1 }",
    ] {
        let more = format!("[defaults]\ninit = {init}");
        for activation in ["relu", "tanh"] {
            let layers = mlp(activation, &[64, 64, 64], TEN);
            table.add(
                "initial weights",
                Parts {
                    layers: &layers,
                    more: &more,
                    ..base
                },
            );
        }
        let layers = format!("{LENET}, {TEN}");
        table.add(
            "initial weights, convolutional",
            Parts {
                layers: &layers,
                input: IMAGES,
                more: &more,
                ..base
            },
        );
    }

    // Inputs.
    for activation in ["relu", "tanh", "sigmoid"] {
        let layers = mlp(activation, &[128, 64], TEN);
        table.add(
            "pixels of 0 to 255",
            Parts {
                layers: &layers,
                input: PIXELS,
                ..base
            },
        );
    }
    let layers = format!("{LENET}, {TEN}");
    table.add(
        "images of 0 to 255",
        Parts {
            layers: &layers,
            input: RAW_IMAGES,
            ..base
        },
    );
    table.add(
        "colours of 0 to 255",
        Parts {
            layers: &layers,
            input: RAW_COLOURS,
            ..base
        },
    );
    table.add(
        "features of uneven scale",
        Parts {
            layers: &mlp("relu", &[32, 16], "{ linear = 1 }"),
            input: &data.housing,
            loss: "mse",
            ..base
        },
    );

    // Depth.
    for depth in [8, 10, 15, 20] {
        let layers = mlp("sigmoid", &vec![32; depth], TEN);
        table.add(
            "deep sigmoid",
            Parts {
                layers: &layers,
                ..base
            },
        );
    }
    for depth in [10, 20] {
        let more = "[defaults]\ninit = { name = \"normal\", std = 0.05 }";
        for activation in ["relu", "tanh"] {
            let layers = mlp(activation, &vec![32; depth], TEN);
            table.add(
                "deep, N(0, 0.05²)",
                Parts {
                    layers: &layers,
                    more,
                    ..base
                },
            );
        }
    }
    for activation in ["relu", "elu"] {
        let more = "[defaults]\ninit = { name = \"normal\", std = 0.5 }";
        let layers = mlp(activation, &[64; 12], TEN);
        table.add(
            "exploding",
            Parts {
                layers: &layers,
                more,
                ..base
            },
        );
    }
    let layers = mlp("exp", &[32, 32, 32], TEN);
    table.add(
        "exponentials",
        Parts {
            layers: &layers,
            ..base
        },
    );

    // Dying units.
    for bias in [-3, -10] {
        let more = format!(
            "[defaults]\ninit = \"he-normal\"\nbias = {{ name = \"constant\", value = {bias} }}"
        );
        let layers = mlp("relu", &[64, 64], TEN);
        table.add(
            "dying ReLU",
            Parts {
                layers: &layers,
                more: &more,
                ..base
            },
        );
    }
    let layers = mlp("relu", &[4; 20], TEN);
    table.add(
        "narrow deep ReLU",
        Parts {
            layers: &layers,
            more: HE,
            ..base
        },
    );

    // Activations that are missing, or out of place.
    let layers = mlp("", &[64, 64], TEN);
    table.add(
        "no activation",
        Parts {
            layers: &layers,
            ..base
        },
    );
    let layers = mlp("", &[16, 16, 16], "{ linear = 1 }");
    table.add(
        "no activation",
        Parts {
            layers: &layers,
            input: &data.circles,
            loss: "bce-with-logits",
            ..base
        },
    );
    let layers = mlp("softmax", &[64, 64], TEN);
    table.add(
        "softmax in hidden layers",
        Parts {
            layers: &layers,
            ..base
        },
    );
    table.0
}

fn healthy(data: &Data, seed: usize) -> Vec<Case> {
    let mut table = Table(Vec::new(), seed);
    let relu = mlp("relu", &[64, 32], TEN);
    let base = digits(data, &relu);
    for more in [GLOROT, PYTORCH, HE] {
        for (activation, widths) in [
            ("relu", &[64, 32][..]),
            ("relu", &[512, 512]),
            ("tanh", &[64, 64, 64]),
            ("elu", &[128, 64]),
            ("leaky-relu", &[64; 5]),
            ("sigmoid", &[64]),
        ] {
            let layers = mlp(activation, widths, TEN);
            table.add(
                "digits",
                Parts {
                    layers: &layers,
                    more,
                    ..base
                },
            );
        }
        let layers = format!("{LENET}, {TEN}");
        for input in [IMAGES, COLOURS] {
            table.add(
                "LeNet",
                Parts {
                    layers: &layers,
                    input,
                    more,
                    ..base
                },
            );
        }
        let layers = mlp("relu", &[512, 512], TEN);
        table.add(
            "MNIST's perceptron",
            Parts {
                layers: &layers,
                input: UNIT_PIXELS,
                more,
                ..base
            },
        );
        for activation in ["tanh", "relu"] {
            let layers = mlp(activation, &[16, 16], "{ linear = 3 }");
            table.add(
                "blobs",
                Parts {
                    layers: &layers,
                    input: &data.blobs,
                    more,
                    ..base
                },
            );
            let layers = mlp(activation, &[32, 16], "{ linear = 1 }");
            for (input, loss) in [
                (&data.circles, "bce-with-logits"),
                (&data.scaled_housing, "mse"),
                (&data.signed, "mse"),
                (&data.signed, "huber"),
            ] {
                table.add(
                    "one output",
                    Parts {
                        layers: &layers,
                        input,
                        loss,
                        more,
                        ..base
                    },
                );
            }
        }
        // Not written out step by step: at initialisation a loss after the last step alone is lost on
        // its way through 60 others, which is told, though the last few train.
        let layers = "{ embedding = 32, vocabulary = 1000 }, { lstm = 32 }, { linear = 2 }";
        table.add(
            "tagging",
            Parts {
                layers,
                input: WORDS,
                more,
                ..base
            },
        );
    }
    for optimiser in [
        "sgd 0.1",
        "sgd 0.01",
        "sgd 0.05",
        "momentum 0.01",
        "momentum 0.1",
        "adam 1e-3",
        "adam 3e-4",
        "adam 1e-4",
        "adamw 1e-3",
        "adam 3e-3",
    ] {
        table.add("rates", Parts { optimiser, ..base });
        let layers = format!("{LENET}, {TEN}");
        table.add(
            "rates, LeNet",
            Parts {
                layers: &layers,
                input: IMAGES,
                optimiser,
                ..base
            },
        );
    }
    for head in ["sigmoid", "relu"] {
        let layers = mlp(
            "relu",
            &[32, 8, 32],
            &format!("{{ linear = 64, activation = \"{head}\" }}"),
        );
        table.add(
            "autoencoder",
            Parts {
                layers: &layers,
                input: data.autoencoder,
                loss: "mse",
                ..base
            },
        );
    }
    let layers = mlp("tanh", &[8], "{ linear = 1 }");
    table.add(
        "XOR",
        Parts {
            layers: &layers,
            input: &data.xor,
            loss: "bce-with-logits",
            ..base
        },
    );
    // Logistic regression begins at zeros as well as anywhere.
    table.add(
        "logistic regression",
        Parts {
            layers: "{ linear = 10, init = \"zeros\" }",
            optimiser: "sgd 0.1",
            ..base
        },
    );
    let layers = "{ conv = 32, kernel = 3, padding = 1, norm = \"batch\", activation = \"relu\" }, { max-pool = 2 \
                  }, { conv = 64, kernel = 3, padding = 1, norm = \"batch\", activation = \"relu\" }, \
                  \"global-average-pool\", { dropout = 0.5 }, { linear = 10 }";
    table.add(
        "VGG in small",
        Parts {
            layers,
            input: COLOURS,
            more: HE,
            ..base
        },
    );
    table.0
}

/// The share of cases with a warning, and which of them went the other way.
fn share(cases: &[Case], expected: bool) -> f64 {
    let mut alarmed = 0;
    for Case { what, text } in cases {
        let check = checked(text);
        let found = codes(&check);
        alarmed += usize::from(!found.is_empty());
        if found.is_empty() == expected {
            println!("  {what}: {:?}", all_codes(&check));
            for finding in alarms(&check) {
                println!("    {} {}", finding.code, finding.message);
            }
            println!(
                "{}",
                text.lines()
                    .map(|line| format!("      {line}\n"))
                    .collect::<String>()
            );
        }
    }
    println!("{alarmed} of {} with a warning", cases.len());
    alarmed as f64 / cases.len() as f64
}

#[test]
fn faults_of_the_studies_are_told_from_their_healthy_counterparts() {
    let data = Data::new();
    let (mut detection, mut false_alarms) = (0.0, 0.0);
    const SEEDS: [usize; 2] = [0, 30];
    for seed in SEEDS {
        println!("seed {seed}: faults that were not found:");
        detection += share(&faulty(&data, seed), true) / SEEDS.len() as f64;
        println!("seed {seed}: healthy networks with a warning:");
        false_alarms += share(&healthy(&data, seed), false) / SEEDS.len() as f64;
    }
    println!(
        "detection {:.1} %, false alarms {:.1} %",
        100.0 * detection,
        100.0 * false_alarms
    );
    assert!(detection >= DETECTION, "{detection}");
    assert!(false_alarms <= FALSE_ALARMS, "{false_alarms}");
}

//! Any text gives a network or one clear error.

use crate::import::spec::{Network, Specification};
use proptest::prelude::*;

/// A text with a little of everything.
const SEEDS: &[&str] = &[
    r#"input = [2, 6, 6]
batch = 3
max_memory = "16 MiB"
layers = [
  { conv = 4, kernel = 3, padding = "same", norm = "batch", activation = "relu" },
  { max-pool = [2, 1], stride = 2 }, { average-pool = 2, padding = 1 },
  { residual = [{ conv = 8, kernel = 1, stride = 2, groups = 2 }], shortcut = "projection", scale = 0.5 },
  { reshape = [8, -1] }, "flatten", { repeat = 3, layers = [{ linear = 5 }, "layer-norm"] },
  { dropout = 0.5 }, "softmax",
]
"#,
    r#"max_memory = 10000000
seeds = [1, 2]
dtype = "f64"
mode = "eval"
layers = [{ linear = 7, init = { name = "he-normal", gain = "tanh", mode = "fan_out" } }, "tanh",
  { linear = 3, bias = { name = "uniform", low = -1, high = 1 }, norm = { name = "layer", eps = 0.1 } }]
[input]
shape = 4
values = { name = "uniform", low = 0, high = 1 }
[defaults]
init = { name = "normal", sigma_w2 = 1.3, sigma_b = 0.1 }
[loss]
name = "cross-entropy"
classes = 3
[optimiser]
name = "adamw"
lr = 1e-3
"#,
    r#"max_memory = 10000000
input = [2, 4, 4]
layers = [{ conv-transpose = 4, kernel = 3, stride = 2, output-padding = 1 }, { lrn = 3 },
  { upsample = 2, mode = "bilinear" }, { group-norm = 2 }, { repeat = 2, block = "a" },
  { adaptive-average-pool = [2, 3] }, "instance-norm", "flatten", { linear = 3, norm = "rms" }]
[blocks]
a = [{ block = "b" }, "relu"]
b = [{ residual = [{ conv = 4, kernel = 1 }] }]
"#,
];

/// Pieces that mean something to the parser.
const PIECES: &[&str] = &[
    "-1",
    "0",
    "1",
    "2",
    "3",
    "1e308",
    "-1e400",
    "nan",
    "inf",
    "9223372036854775807",
    "65536",
    "1000000000",
    "true",
    "\"\"",
    "\"tanh\"",
    "[]",
    "{}",
    "{",
    "}",
    "[",
    "]",
    "=",
    ",",
    "\n",
    "\"",
    "conv",
    "linear",
    "kernel",
    "repeat",
    "residual",
    "layers",
    "input",
    "[loss]",
    "[[layers]]",
    "activation",
    "\"leaky-relu=nan\"",
    "\u{0}",
    "\u{202e}",
    "é",
    "'''",
    "1979-05-27",
    "#",
];

fn edited() -> impl Strategy<Value = String> {
    let edit = (
        any::<prop::sample::Index>(),
        0usize..12,
        prop::option::of(0..PIECES.len()),
    );
    (0..SEEDS.len(), prop::collection::vec(edit, 1..6)).prop_map(|(seed, edits)| {
        let mut text: Vec<char> = SEEDS[seed].chars().collect();
        for (at, removed, piece) in edits {
            let start = at.index(text.len() + 1);
            let end = (start + removed).min(text.len());
            let piece = piece.map_or("", |piece| PIECES[piece]);
            text.splice(start..end, piece.chars());
        }
        text.into_iter().collect()
    })
}

/// The seeds themselves must pass, or the edits would only try the syntax.
#[test]
fn the_texts_that_are_edited_pass() {
    for text in SEEDS {
        let network = Specification::parse(text).and_then(Network::new);
        let network = network.unwrap_or_else(|error| panic!("{error}"));
        network.build(0).unwrap_or_else(|error| panic!("{error}"));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn an_edited_text_gives_a_network_or_one_line_of_error(text in edited()) {
        let result = Specification::parse(&text).and_then(Network::new).and_then(|network| {
            network.batch(0)?;
            network.build(0)
        });
        if let Err(error) = result {
            let message = error.to_string();
            prop_assert!(!message.is_empty() && !message.chars().any(char::is_control), "{message:?}");
            if let Some(span) = &error.span {
                prop_assert!(span.start <= span.end && span.end <= text.len());
            }
        }
    }
}

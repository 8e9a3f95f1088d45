//! What `gradprobe chain` prints, and how it refuses.
#![allow(clippy::unwrap_used)]

use serde_json::Value;
use std::path::Path;
use std::process::{Command, Output, Stdio};

fn gradprobe() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gradprobe"));
    command.env_remove("COLUMNS").env_remove("CLICOLOR_FORCE");
    command
}

fn chain(arguments: &[&str]) -> Output {
    gradprobe().arg("chain").args(arguments).output().unwrap()
}

fn printed(arguments: &[&str]) -> String {
    let output = chain(arguments);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{arguments:?}: {errors}");
    assert_eq!(errors, "", "{arguments:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn json(arguments: &[&str]) -> Value {
    let mut all = vec!["--format", "json"];
    all.extend_from_slice(arguments);
    serde_json::from_str(&printed(&all)).unwrap()
}

/// Fails with exit status 2 and one message that holds `part`, and prints no result.
fn refused(arguments: &[&str], part: &str) {
    let output = chain(arguments);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {errors}");
    assert!(errors.contains(part), "{arguments:?}: {errors}");
    assert_eq!(
        errors.matches("error").count(),
        1,
        "{arguments:?}: {errors}"
    );
    assert!(!errors.contains("panicked"), "{errors}");
    assert!(output.stdout.is_empty());
}

#[test]
fn the_notebook_in_english() {
    insta::assert_snapshot!(printed(&[]));
}

#[test]
fn the_notebook_in_russian() {
    let text = printed(&["--lang", "ru"]);
    assert!(text.contains("Градиент W на 1 слое: 9.28355757443550945e-86"));
    insta::assert_snapshot!(text);
}

#[test]
fn a_weight_for_each_layer_and_a_bias() {
    insta::assert_snapshot!(printed(&[
        "-a",
        "tanh",
        "--w",
        "1.5,-0.5,2,0.75",
        "--b",
        "-0.25",
        "--x",
        "1",
        "--dtype",
        "bf16"
    ]));
}

#[test]
fn the_whole_as_latex() {
    insta::assert_snapshot!(printed(&["--format", "latex"]));
}

#[test]
fn the_derivation_as_latex() {
    insta::assert_snapshot!(printed(&["--latex", "-a", "sigmoid", "--depth", "2"]));
}

#[test]
fn json_of_the_seed() {
    insta::assert_snapshot!(printed(&["--format", "json", "-a", "tanh"]));
}

#[test]
fn csv_of_the_seed() {
    insta::assert_snapshot!(printed(&[
        "--format",
        "csv",
        "-a",
        "relu,tanh",
        "--x",
        "-1"
    ]));
}

#[test]
fn a_kink_is_told_with_pytorchs_choice() {
    let text = printed(&["-a", "relu", "--x", "-100"]);
    assert!(text.contains("PyTorch's choice"), "{text}");
    let run = &json(&["-a", "relu", "--x", "-100"])["runs"][0];
    assert_eq!(run["gradients"][0]["at_kink"], true);
    assert_eq!(run["gradients"][0]["log10_abs"], Value::Null);
    assert_eq!(run["gradients"][0]["zero_cause"]["f32"], "true_zero");
}

#[test]
fn the_json_of_the_seed_has_the_figures() {
    let report = json(&[]);
    assert_eq!(report["schema"], "gradprobe.chain/1");
    let tanh = &report["runs"][0];
    assert_eq!(tanh["activation"], "tanh");
    assert_eq!(tanh["w"], serde_json::json!([1.0, 1.0, 1.0, 1.0]));
    let first = &tanh["gradients"][0];
    assert_eq!(first["layer"], 1);
    assert_eq!(first["sign"], 1);
    assert_eq!(first["exact"], "9.28355757443550945e-86");
    assert_eq!(first["f64"].as_f64(), Some(0.0));
    assert_eq!(first["f32"].as_f64(), Some(0.0));
    assert_eq!(first["zero_cause"]["f64"], "cancellation");
    assert_eq!(first["zero_cause"]["f32"], "underflow");
    let second = &tanh["gradients"][1];
    assert_eq!(second["f64"].as_f64(), Some(0.16770685876939032));
    assert_eq!(second["f32"].as_f64(), Some(0.16770686209201813));
    assert_eq!(second["zero_cause"]["f64"], Value::Null);
    for layer in 0..4 {
        assert_eq!(report["runs"][1]["gradients"][layer]["exact"], "100");
    }
}

#[test]
fn activations_and_inputs_repeat_and_negative_numbers_are_numbers() {
    let report = json(&[
        "--activation",
        "leaky-relu=0.2",
        "--activation",
        "erf",
        "--x",
        "-100",
        "--x",
        "-0.5",
        "--w",
        "-0.5",
    ]);
    let runs = report["runs"].as_array().unwrap();
    let named: Vec<_> = runs
        .iter()
        .map(|run| {
            (
                run["activation"].as_str().unwrap(),
                run["x"].as_f64().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        named,
        [
            ("leaky-relu=0.2", -100.0),
            ("erf", -100.0),
            ("leaky-relu=0.2", -0.5),
            ("erf", -0.5)
        ]
    );
    assert_eq!(runs[0]["w"][3].as_f64(), Some(-0.5));
}

#[test]
fn no_line_is_wider_than_80_columns() {
    for arguments in [
        &[][..],
        &["--lang", "ru"],
        &["--depth", "1000"],
        &["--depth", "1000", "--lang", "ru", "-a", "sin", "--w", "3"],
        &["--depth", "1000", "--dtype", "bf16,f16", "--w", "-1.5"],
        &[
            "--x",
            "1,-1e300",
            "--w",
            "0.123456789012345,-1.23456789012e-300",
        ],
        &[
            "-a",
            "tanh,relu,sigmoid,gelu,silu,mish,softplus,elu,selu",
            "--x",
            "-100",
            "--depth",
            "30",
        ],
    ] {
        for line in printed(arguments).lines() {
            assert!(line.chars().count() <= 80, "{arguments:?}: {line}");
        }
    }
}

#[test]
fn a_long_table_is_elided_as_text_and_never_as_json_or_csv() {
    let text = printed(&["-a", "tanh", "--depth", "1000", "--x", "1"]);
    assert!(text.lines().count() < 120, "{}", text.lines().count());
    assert!(text.contains("990 layers left out"));
    let run = &json(&["-a", "tanh", "--depth", "1000", "--x", "1"])["runs"][0];
    assert_eq!(run["gradients"].as_array().unwrap().len(), 1000);
    let csv = printed(&[
        "-a", "tanh", "--depth", "1000", "--x", "1", "--format", "csv",
    ]);
    assert_eq!(csv.lines().count(), 1002);
    let full = printed(&["-a", "tanh", "--depth", "40", "--x", "1", "--full"]);
    assert!(!full.contains("left out") && !full.contains('…'));
}

#[test]
fn infinities_are_strings_in_json() {
    let run = &json(&["-a", "identity", "--w", "1e30", "--x", "1e300"])["runs"][0];
    assert_eq!(run["gradients"][0]["f64"], "inf");
    // The doubles nearest to 1e30 and 1e300 are 1.99e-17 and 5.25e-17 above them, relatively.
    assert_eq!(run["gradients"][0]["exact"], "1.00000000000000011e+390");
    assert!((run["gradients"][0]["log10_abs"].as_f64().unwrap() - 390.0).abs() < 1e-9);
}

#[test]
fn wrong_values_are_refused_in_a_sentence() {
    refused(&["--depth", "1000000000"], "from 1 to 1000000");
    refused(&["--depth", "0"], "from 1 to 1000000");
    refused(
        &["--depth", "99999999999999999999999999"],
        "from 1 to 1000000",
    );
    refused(&["--depth", "four"], "from 1 to 1000000");
    refused(&["--x", "nan"], "finite number");
    refused(&["--x", "inf"], "finite number");
    refused(&["--x", "1e999"], "beyond what a double holds");
    refused(&["--w", "1,,2"], "got nothing");
    refused(&["--w", "abc"], "expected a number");
    refused(&["--w", "1,2,3", "--depth", "4"], "w has 3 values");
    refused(&["--b", "1,2", "--w", "1,2,3"], "b has 2 values");
    refused(&["--activation", "tahn"], "did you mean `tanh`");
    refused(&["--activation", "tanh=1"], "takes no parameter");
    refused(&["--activation", "leaky-relu=x"], "leaky-relu");
    refused(&["--activation", ""], "unknown activation");
    refused(&["--dtype", "f8"], "f8");
    refused(&["--lang", "fr"], "fr");
    refused(&["--format", "yaml"], "yaml");
}

#[test]
fn an_output_file_is_written_whole_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("chain.json");
    let arguments = ["--format", "json", "-o", path.to_str().unwrap()];
    assert_eq!(printed(&arguments), "");
    let report: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    assert_eq!(report["schema"], "gradprobe.chain/1");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);

    refused(&["-o", folder.path().to_str().unwrap()], "directory");
    let missing = folder.path().join("no/such/folder.txt");
    refused(
        &["-o", missing.to_str().unwrap()],
        "no such file or directory",
    );
    if Path::new("/dev/full").exists() {
        refused(&["-o", "/dev/full"], "no space left");
    }
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let mut child = gradprobe()
        .args(["chain", "--depth", "20000", "--format", "csv", "-a", "tanh"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{:?}", output.status);
    assert!(output.stderr.is_empty());
}

#[test]
fn a_chaotic_chain_says_that_no_digit_holds() {
    let text = printed(&["-a", "sin", "--w", "4", "--depth", "500", "--x", "1"]);
    assert!(text.contains("only the digits that hold are printed"));
    assert!(text.contains("no digit of the first gradient holds"));
    let first =
        &json(&["-a", "sin", "--w", "4", "--depth", "500", "--x", "1"])["runs"][0]["gradients"][0];
    assert_eq!(first["exact"], Value::Null);
    assert_eq!(first["digits"], 0);
}

#[test]
fn every_documented_activation_runs() {
    let help = printed(&["--help"]);
    for name in [
        "identity",
        "tanh",
        "relu",
        "sigmoid",
        "leaky-relu",
        "prelu",
        "elu",
        "celu",
        "selu",
        "gelu",
        "gelu-tanh",
        "silu",
        "mish",
        "softplus",
        "softsign",
        "erf",
        "hard-tanh",
        "hard-sigmoid",
        "hard-swish",
        "relu6",
        "log-sigmoid",
        "tanhshrink",
        "softshrink",
        "hardshrink",
        "sin",
        "arctan",
        "gaussian",
    ] {
        assert!(help.contains(name), "{name}");
        for x in ["0", "100", "-1e30", "1e-300"] {
            printed(&["-a", name, "--x", x]);
        }
    }
}

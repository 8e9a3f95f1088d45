//! `gradprobe check model.onnx` and `gradprobe ops`.

use super::{Folder, printed, run};
use std::path::Path;

fn model(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../gradprobe/tests/onnx/models");
    folder.join(name).to_str().unwrap().to_owned()
}

#[test]
fn a_model_needs_no_options_and_says_what_was_chosen() {
    let text = printed(&["check", &model("mobile.onnx")], 0);
    for said in [
        "inputs: `x` [4, 3, 16, 16] standard normal",
        "loss: cross-entropy of output `y`, shape [4, 5], against random labels",
        "batch norm: 2 in inference form, run on batch statistics",
        "block.expand",
        "verdict:",
    ] {
        let text = text.replace("\n  ", " ");
        assert!(text.contains(said), "{said}: {text}");
    }
    assert!(
        text.lines().all(|line| line.chars().count() <= 80),
        "{text}"
    );
}

#[test]
fn tokens_are_drawn_below_the_rows_of_their_table() {
    let text = printed(&["check", &model("tokens.onnx")], 0);
    assert!(text.contains("`x` [2, 6] whole numbers below 11"), "{text}");
}

#[test]
fn a_last_sigmoid_belongs_to_the_loss() {
    let text = printed(&["check", &model("recurrent.onnx"), "--seeds", "3"], 0);
    let text = text.replace("\n  ", " ");
    assert!(
        text.contains("3 seeds, binary cross-entropy loss"),
        "{text}"
    );
    assert!(
        text.contains("what the sigmoid before output `y` reads"),
        "{text}"
    );
}

#[test]
fn every_choice_can_be_made_otherwise() {
    let name = model("mobile.onnx");
    let data = model("mobile.safetensors");
    let json = |options: &[&str]| {
        let mut arguments = vec!["check", &name, "--format", "json", "--fail-on", "never"];
        arguments.extend(options);
        let text = printed(&arguments, 0);
        serde_json::from_str::<serde_json::Value>(&text).unwrap()
    };
    assert_eq!(json(&["--mode", "eval"])["mode"], "eval");
    assert_eq!(json(&["--dtype", "f64"])["dtype"], "f64");
    assert_eq!(json(&["--loss", "mse"])["objective"], "mean squared error");
    assert_eq!(
        json(&["--reinit", "he"])["seeds"].as_array().unwrap().len(),
        3
    );
    let given = json(&["--data", &data])["loss"].as_f64().unwrap();
    let input = format!("x={data}");
    let one_by_one = json(&["--input", &input, "--target", &data])["loss"]
        .as_f64()
        .unwrap();
    assert_eq!(given, one_by_one);
    let constant = json(&["--input", &input, "--target", "0"])["loss"]
        .as_f64()
        .unwrap();
    assert_ne!(given, constant);
    let layers = json(&["--output", "conv2d"])["layers"]
        .as_array()
        .unwrap()
        .len();
    assert!(layers < 3, "{layers}");
}

/// What a command says that ends with exit status 2.
fn refused(arguments: &[&str]) -> String {
    let output = run(arguments);
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{errors}");
    assert!(output.stdout.is_empty());
    errors
}

#[test]
fn options_that_do_not_fit_the_model_say_what_would() {
    let name = model("mobile.onnx");
    for (options, says) in [
        (&["--dim", "batch=3"][..], "no free dimension `batch`"),
        (&["--input", "image=x.npy"], "no such file"),
        (&["--output", "z"], "its outputs are `y`"),
        (&["--target", "5"], "expected a class from 0 to 4"),
        (&["--reinit", "hee"], "expected one of pytorch"),
        (&["--dim", "batch"], "expected NAME=SIZE"),
        (
            &["--batch", "6"],
            "takes batches of 4 alone, where one of 6 is asked for",
        ),
        (&["--input", "x="], "expected NAME=FILE, NAME=NUMBER"),
        (
            &["--input", "x=1,2,3"],
            "more than a list is given as a file",
        ),
        (&["--straight-through"], "leave out --straight-through"),
    ] {
        let mut arguments = vec!["check", &name];
        arguments.extend(options);
        let errors = refused(&arguments);
        assert!(errors.contains(says), "{options:?}: {errors}");
    }
    let folder = Folder::with("input = 4\nlayers = [{ linear = 2 }]\n");
    let errors = refused(&["check", &folder.network(), "--reinit", "he"]);
    assert!(errors.contains("--reinit is for ONNX models"), "{errors}");
    let errors = refused(&["check", &folder.network(), "--output", "out.json"]);
    assert!(errors.contains("`-o FILE` writes"), "{errors}");
}

/// A model of the library's `tests/onnx/reach`.
fn reach(name: &str) -> String {
    model(&format!("../reach/{name}"))
}

#[test]
fn an_input_may_be_given_as_a_number_and_decides_the_course() {
    let name = reach("course_if.onnx");
    let text = printed(&["check", &name, "--input", "rate=8000"], 0);
    let text = text.replace("\n  ", " ");
    let said =
        "input `rate` = 8000 decides the condition (`is_known`) of If `if_v`: taken as given";
    assert!(text.contains(said), "{text}");
    let errors = refused(&["check", &name, "--input", "rate=0.5"]);
    assert!(
        errors.contains("input `rate`: holds whole numbers, got 0.5"),
        "{errors}"
    );
    let errors = refused(&["check", &name, "--input", "sr=1"]);
    assert!(errors.contains("has no input `sr`"), "{errors}");
}

#[test]
fn any_batch_may_be_asked_for() {
    for (name, says) in [
        (
            model("mobile.onnx"),
            "the graph takes 4 samples at a time: 16 run one after the other",
        ),
        (
            reach("batch_of_one.onnx"),
            "the graph takes one sample at a time: 64 run one after",
        ),
        (reach("course_if.onnx"), "`x` [64, 6] standard normal"),
    ] {
        let text = printed(&["check", &name, "--batch", "64", "--fail-on", "never"], 0);
        let text = text.replace("\n  ", " ");
        assert!(text.contains(says), "{text}");
    }
}

#[test]
fn a_pointer_of_git_lfs_is_no_model() {
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 97276\n";
    let folder = Folder::new();
    let path = folder.file("model.onnx", pointer.as_bytes());
    let errors = refused(&["check", &path]);
    let said = "is a Git LFS pointer to the model (97276 bytes), not the model itself; fetch it";
    assert!(errors.contains(said), "{errors}");
}

/// A field of a message, with its length.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![number << 3 | 2, content.len() as u8];
    bytes.extend(content);
    bytes
}

#[test]
fn every_operator_that_is_not_supported_is_named_at_once() {
    let node = |input: &str, output: &str, op: &str| {
        let parts = [(1, input), (2, output), (4, op)];
        let parts = parts.map(|(number, text)| field(number, text.as_bytes()));
        field(1, &parts.concat())
    };
    let output = field(12, &field(1, b"c"));
    let graph = [node("a", "b", "Foo"), node("b", "c", "Bar\x1b[31m"), output].concat();
    let folder = Folder::new();
    let path = folder.file("model.onnx", field(7, &graph));
    let errors = refused(&["check", &path]);
    for said in [
        "model.onnx",
        "Foo (Foo (node 0))",
        "Bar\\u{1b}[31m",
        "gradprobe ops",
    ] {
        assert!(errors.contains(said), "{said}: {errors}");
    }
}

#[test]
fn the_page_of_operators_is_what_the_program_writes() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/ONNX.md");
    let page = std::fs::read_to_string(page).unwrap();
    assert_eq!(printed(&["ops", "--format", "markdown"], 0), page);
    let text = printed(&["ops"], 0);
    assert!(
        text.lines().all(|line| line.chars().count() <= 80),
        "{text}"
    );
    assert!(text.contains("\nConv "), "{text}");
}

//! What the READMEs and the picture show is what is printed.

use super::*;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(name: &str) -> String {
    std::fs::read_to_string(root().join(name)).unwrap()
}

fn printed_at_the_root(command: &str) -> String {
    let arguments: Vec<&str> = command.split_whitespace().collect();
    let output = gradprobe(&arguments).current_dir(root()).output().unwrap();
    assert_ne!(output.status.code(), Some(2), "{command}");
    String::from_utf8(output.stdout).unwrap()
}

/// Every line of a sample is printed, in this order; `…` stands for lines left out.
fn samples_are_true(document: &str) {
    let text = read(document);
    let mut count = 0;
    for sample in text.split("```\n$ gradprobe ").skip(1) {
        let (command, sample) = sample.split_once('\n').unwrap();
        let sample = sample.split("```").next().unwrap();
        let printed = printed_at_the_root(command);
        let mut lines = printed.lines();
        let mut skipping = false;
        for line in sample.lines() {
            if line == "…" {
                skipping = true;
                continue;
            }
            let found = if skipping {
                lines.any(|printed| printed == line)
            } else {
                lines.next() == Some(line)
            };
            assert!(found, "{document}: `{command}` does not print: {line}");
            skipping = false;
        }
        assert!(skipping || lines.next().is_none(), "{document}: {command}");
        count += 1;
    }
    assert!(count > 0, "{document} has no sample");
}

#[test]
fn the_samples_of_the_readmes_are_true() {
    samples_are_true("README.md");
    samples_are_true("README.ru.md");
}

#[test]
fn the_picture_shows_what_is_printed() {
    let picture = read("docs/check.svg");
    let text = picture.split("<desc id=\"text\">").nth(1).unwrap();
    let text = text.split("</desc>").next().unwrap();
    let text = text
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&amp;", "&");
    assert_eq!(
        text,
        printed_at_the_root("check examples/digits_sigmoid_12.toml"),
        "docs/picture.py draws it anew"
    );
}

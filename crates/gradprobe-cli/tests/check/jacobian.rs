//! `gradprobe jacobian`: what it prints, the fields of its JSON, how it refuses.

use super::schema::documented_in;
use super::*;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

const RESIDUAL: &str = "batch = 2\nseeds = 2\nlayers = [\n  { linear = 8, activation = \"tanh\" },\n  \
     { residual = [{ linear = 8, activation = \"relu\" }] },\n  { linear = 3, name = \"head\" },\n]\n\
     [input]\nshape = [6]\nvalues = \"normal\"\n";
/// What theory is about.
const DENSE: &str = "layers = [\n  { repeat = 3, linear = 60, activation = \"tanh\" },\n  \
     { linear = 10 },\n]\n[input]\nshape = [40]\nvalues = \"normal\"\n[defaults]\ninit = \"xavier-normal\"\n";
/// Too large to be written down.
const LARGE: &str = "batch = 1\nlayers = [{ conv = 2, kernel = 3, padding = 1, activation = \"tanh\" }]\n\
     [input]\nshape = [2, 28, 28]\nvalues = \"normal\"\n";

#[test]
fn text_of_every_kind_of_jacobian() {
    let seed_chain = printed(&["jacobian", &example("seed_chain.toml")], 0);
    insta::assert_snapshot!("jacobian_seed_chain", seed_chain);
    let folder = Folder::with(RESIDUAL);
    let residual = printed(&["jacobian", &folder.network(), "--samples", "2"], 0);
    insta::assert_snapshot!("jacobian_residual", residual);
    let batch_norm = Folder::with(&RESIDUAL.replacen("tanh\"", "tanh\", norm = \"batch\"", 1));
    let whole = printed(&["jacobian", &batch_norm.network(), "--no-layers"], 0);
    insta::assert_snapshot!("jacobian_batch_norm", whole);
    let large = Folder::with(LARGE);
    let large = printed(&["jacobian", &large.network(), "--largest", "3"], 0);
    insta::assert_snapshot!("jacobian_large", large);
    let dense = Folder::with(DENSE);
    let dense = printed(&["jacobian", &dense.network(), "--seeds", "3"], 0);
    insta::assert_snapshot!("jacobian_dense", dense);
    for text in [seed_chain, residual, whole, large, dense] {
        let longest = text.lines().map(|line| line.chars().count()).max();
        assert!(longest.unwrap() <= 80, "{text}");
    }
}

/// Collects the fields of every object by the section that documents it.
fn collect(section: &'static str, value: &Value, found: &mut BTreeMap<&str, BTreeSet<String>>) {
    let fields = value.as_object().unwrap();
    found
        .entry(section)
        .or_default()
        .extend(fields.keys().cloned());
    let each = |value: &Value| value.as_array().unwrap().clone();
    for (name, value) in fields {
        match (section, name.as_str()) {
            ("The report", "runs") => each(value)
                .iter()
                .for_each(|run| collect("A run", run, found)),
            ("A run", "end_to_end") | ("A layer", "spectrum") => {
                collect("A spectrum", value, found)
            }
            ("A run" | "A layer", "theory") => collect("Theory", value, found),
            ("A run", "layers") => each(value)
                .iter()
                .for_each(|layer| collect("A layer", layer, found)),
            _ => assert!(!value.is_object(), "{section}: {name}"),
        }
    }
}

#[test]
fn every_field_of_the_json_is_documented_and_every_documented_field_is_there() {
    let mut found = BTreeMap::new();
    for network in [RESIDUAL, LARGE, DENSE] {
        let folder = Folder::with(network);
        let text = printed(&["jacobian", &folder.network(), "--format", "json"], 0);
        collect(
            "The report",
            &serde_json::from_str(&text).unwrap(),
            &mut found,
        );
    }
    let documented = documented_in("JACOBIAN.md");
    let found: BTreeMap<String, BTreeSet<String>> = found
        .into_iter()
        .map(|(section, fields)| (section.to_owned(), fields))
        .collect();
    assert_eq!(documented, found);
}

#[test]
fn an_onnx_model_has_a_jacobian() {
    let text = printed(
        &[
            "jacobian",
            &example("../crates/gradprobe/tests/onnx/models/autoencoder.onnx"),
        ],
        0,
    );
    assert!(text.contains("end to end"), "{text}");
}

#[test]
fn refusals_name_the_file_and_end_with_2() {
    let folder = Folder::with("batch = 0\nlayers = [{ linear = 2 }]\ninput = 3\n");
    let output = run(&["jacobian", &folder.network()]);
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty());
    let output = run(&["jacobian", "nowhere.toml"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("nowhere.toml"));
    let overflows = Folder::with(
        "batch = 1\nlayers = [{ repeat = 60, linear = 4, activation = \"none\" }]\n[input]\nshape = [4]\n\
         values = \"normal\"\n[defaults]\ninit = { name = \"normal\", std = 1e9 }\n",
    );
    // The signal overflows, the Jacobian (carried by powers of two) does not.
    let text = printed(&["jacobian", &overflows.network(), "--no-layers"], 0);
    assert!(text.contains("e5"), "{text}");
}

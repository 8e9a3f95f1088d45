//! docs/CHECK_JSON.md documents every field of the JSON, and none else.

use super::*;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// The fields that the tables of a page in `docs` document, by section: the names in the first
/// column.
pub fn documented_in(page: &str) -> BTreeMap<String, BTreeSet<String>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    let file = folder.join(page);
    let text = std::fs::read_to_string(file).unwrap();
    let mut sections: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut section = String::new();
    for line in text.lines() {
        if let Some(title) = line.strip_prefix("## ") {
            section = title.to_owned();
        } else if let Some(row) = line.strip_prefix("| `") {
            let names = row.split(" | ").next().unwrap().split("`, `");
            let names = names.map(|name| name.trim_end_matches('`').to_owned());
            sections.entry(section.clone()).or_default().extend(names);
        }
    }
    sections
}

/// The fields that reports have, by the section that documents their object.
#[derive(Default)]
struct Found(BTreeMap<&'static str, BTreeSet<String>>);

impl Found {
    fn object(&mut self, section: &'static str, value: &Value) {
        let Value::Object(fields) = value else {
            assert!(value.is_null(), "{section}: {value}");
            return;
        };
        let found = self.0.entry(section).or_default();
        found.extend(fields.keys().cloned());
        for (name, value) in fields {
            match (section, name.as_str()) {
                ("A parameter", _) => {}
                (_, "optimiser") => self.object("An optimiser", value),
                (_, "backward_trend" | "forward_trend") => self.object("A trend", value),
                (_, "law") => self.object("A law", value),
                (_, "gains") => self.object("Gains", value),
                (_, "forward" | "backward" | "pre_activation") => self.object("A signal", value),
                ("The report", "batches") => self.object("Batches", value),
                ("Batches", "layers") => self.objects("A layer over batches", value),
                ("The report", "first_step") => self.object("A first step", value),
                (_, "head") => self.object("A head", value),
                ("A precision", "layers") => self.objects("A layer in a precision", value),
                ("A precision", "window") => self.object("A loss-scale window", value),
                (_, "precision") if value.is_array() => self.objects("A precision", value),
                (_, "theory") => self.object("Theory", value),
                (_, "stretches") => self.objects("A stretch", value),
                (_, "deviating") => self.objects("A deviating layer", value),
                ("A stretch", "layers") => self.objects("A layer of a stretch", value),
                (_, "layers") => self.objects("A layer", value),
                ("A finding", "seeds") => self.object("An agreement", value),
                ("A finding", "spread") => self.object("A spread", value),
                (_, "paths") => self.objects("A path", value),
                (_, "over_time") => self.objects("A recurrence", value),
                (_, "input") => self.object("An input", value),
                (_, "output") => self.object("An output", value),
                (_, "zero_origin") => self.object("A zero", value),
                (_, "non_finite_origin") => self.object("A non-finite node", value),
                (_, "inputs") => self.objects("An input of it", value),
                (_, "findings") => self.objects("A finding", value),
                (_, "runs") => self.objects("A run", value),
                (_, "parameters") => {
                    for parameter in value.as_object().unwrap().values() {
                        self.object("A parameter", parameter);
                    }
                }
                (_, name) if name.ends_with("_spread") => self.object("A spread", value),
                _ => assert!(!value.is_object(), "{section}: {name} is an object"),
            }
        }
    }

    fn objects(&mut self, section: &'static str, value: &Value) {
        for value in value.as_array().unwrap() {
            self.object(section, value);
        }
    }
}

#[test]
fn every_field_is_documented_and_every_documented_field_is_there() {
    let adam = Folder::with(
        "input = 8\nseeds = 3\nlayers = [\n  \
         { linear = 8, norm = \"batch\", activation = \"relu\" },\n  \
         { residual = [{ linear = 8, activation = \"tanh\" }] },\n  { dropout = 0.1 },\n  \
         { linear = 4 },\n]\n[optimiser]\nname = \"adamw\"\nlearning_rate = 0.1\n",
    );
    // A hard tanh that is saturated as a whole, and an overflow.
    let zero = Folder::with(
        "input = 4\nloss = \"cross-entropy\"\nlayers = [\n  { linear = 8, activation = \"hard-tanh\", init = \
         { name = \"constant\", value = 9 }, bias = { name = \"constant\", value = 1e6 } },\n  \
         { linear = 4 },\n]\n",
    );
    let overflow = Folder::with(
        "input = 4\nlayers = [\n  { linear = 8, init = { name = \"constant\", value = 1e38 } },\n  \
         { linear = 4, init = { name = \"constant\", value = 1e38 } },\n]\n",
    );
    let deviating = Folder::with(
        "input = 64\nloss = \"random-cotangent\"\nlayers = [\n  \
         { repeat = 4, linear = 64, activation = \"tanh\" },\n  \
         { linear = 64, activation = \"tanh\", init = { name = \"normal\", sigma_w = 0.01 } },\n  \
         { repeat = 4, linear = 64, activation = \"tanh\" },\n]\n",
    );
    let head = Folder::with(
        "input = 8\nloss = \"cross-entropy\"\nlayers = [\n  { linear = 8, activation = \"relu\" },\n  \
         { linear = 4, activation = \"tanh\" },\n]\n[optimiser]\nname = \"sgd\"\nlearning_rate = 1\n",
    );
    let recurrent = Folder::with(
        "layers = [\n  { lstm = 4 },\n  { linear = 4 },\n]\n[input]\nshape = [5, 3]\n\
         [loss]\nname = \"cross-entropy\"\n",
    );
    let mut found = Found::default();
    for network in [
        adam.network(),
        zero.network(),
        overflow.network(),
        deviating.network(),
        head.network(),
        recurrent.network(),
        example("seed_chain.toml"),
        example("digits_sigmoid_12.toml"),
    ] {
        let mut arguments = vec!["check", &network, "--format", "json", "--seeds", "2"];
        arguments.extend(["--precision", "f16"]);
        let output = run(&arguments);
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(report["schema"], gradprobe::report::CHECK_SCHEMA);
        found.object("The report", &report);
    }
    // A law that none of these networks follows.
    let power = gradprobe::diagnose::Law::PowerLaw {
        exponent: 0.5,
        from_input: true,
    };
    found.object("A law", &serde_json::to_value(power).unwrap());
    let documented = documented_in("CHECK_JSON.md");
    let sections: Vec<&str> = documented.keys().map(String::as_str).collect();
    let expected: Vec<&str> = found.0.keys().copied().collect();
    assert_eq!(sections, expected);
    for (section, fields) in &found.0 {
        assert_eq!(&documented[*section], fields, "{section}");
    }
}

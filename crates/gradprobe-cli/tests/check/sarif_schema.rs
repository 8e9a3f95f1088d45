//! What `--format sarif` writes is SARIF 2.1.0, by the schema of the standard.
//!
//! The schema lies in `tests/fixtures/sarif`, with its licence. What judges by it is here and small:
//! it knows the keywords of JSON Schema (draft 7) that this schema uses, and refuses any other.

use super::*;
use serde_json::Value;

const SCHEMA: &str = include_str!("../fixtures/sarif/sarif-schema-2.1.0.json");

/// Words that say something about a schema and nothing about what it describes.
const SILENT: [&str; 7] = [
    "$schema",
    "$id",
    "title",
    "description",
    "default",
    "definitions",
    "format",
];

struct Schema {
    root: Value,
}

impl Schema {
    fn new() -> Self {
        Self {
            root: serde_json::from_str(SCHEMA).unwrap(),
        }
    }

    /// What is wrong with a document, with the place.
    fn faults(&self, document: &Value) -> Vec<String> {
        let mut faults = Vec::new();
        self.judge(&self.root, document, "", &mut faults);
        faults
    }

    fn fits(&self, schema: &Value, value: &Value) -> bool {
        let mut faults = Vec::new();
        self.judge(schema, value, "", &mut faults);
        faults.is_empty()
    }

    fn judge(&self, schema: &Value, value: &Value, place: &str, faults: &mut Vec<String>) {
        let Some(words) = schema.as_object() else {
            if schema == &Value::Bool(false) {
                faults.push(format!("{place} is not allowed"));
            }
            return;
        };
        for (word, wanted) in words {
            let mut check = |holds: bool| {
                if !holds {
                    faults.push(format!("{place}: {word} {wanted}, got {value}"));
                }
            };
            match word.as_str() {
                "$ref" => {
                    let pointer = wanted.as_str().unwrap().strip_prefix('#').unwrap();
                    let target = self.root.pointer(pointer).unwrap();
                    self.judge(target, value, place, faults);
                }
                "type" => check(has_type(value, wanted)),
                "enum" => check(wanted.as_array().unwrap().contains(value)),
                "minimum" => check(value.as_f64().is_none_or(|x| x >= wanted.as_f64().unwrap())),
                "maximum" => check(value.as_f64().is_none_or(|x| x <= wanted.as_f64().unwrap())),
                "minItems" => {
                    let least = wanted.as_u64().unwrap() as usize;
                    check(value.as_array().is_none_or(|items| items.len() >= least));
                }
                "uniqueItems" => {
                    let unique = |items: &Vec<Value>| {
                        let mut seen = items.iter().enumerate();
                        seen.all(|(index, item)| !items[..index].contains(item))
                    };
                    check(wanted == &Value::Bool(false) || value.as_array().is_none_or(unique));
                }
                "required" => {
                    let names = wanted.as_array().unwrap();
                    let has = |name: &Value| value.get(name.as_str().unwrap()).is_some();
                    check(!value.is_object() || names.iter().all(has));
                }
                "anyOf" => {
                    let mut ways = wanted.as_array().unwrap().iter();
                    check(ways.any(|schema| self.fits(schema, value)));
                }
                "oneOf" => {
                    let ways = wanted.as_array().unwrap().iter();
                    check(ways.filter(|schema| self.fits(schema, value)).count() == 1);
                }
                "items" => {
                    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                        self.judge(wanted, item, &format!("{place}/{index}"), faults);
                    }
                }
                "properties" => {
                    for (name, schema) in wanted.as_object().unwrap() {
                        if let Some(field) = value.get(name) {
                            self.judge(schema, field, &format!("{place}/{name}"), faults);
                        }
                    }
                }
                "additionalProperties" => {
                    for (name, field) in value.as_object().into_iter().flatten() {
                        if words
                            .get("properties")
                            .is_none_or(|known| known.get(name).is_none())
                        {
                            self.judge(wanted, field, &format!("{place}/{name}"), faults);
                        }
                    }
                }
                // Of identifiers that gradprobe does not write.
                "pattern" => check(value.as_str().is_none()),
                known => assert!(SILENT.contains(&known), "{place}: the keyword {known}"),
            }
        }
    }
}

fn has_type(value: &Value, wanted: &Value) -> bool {
    let is = |name: &Value| match name.as_str().unwrap() {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("the type {other}"),
    };
    match wanted {
        Value::Array(names) => names.iter().any(is),
        name => is(name),
    }
}

fn sarif_of(arguments: &[&str]) -> Value {
    let mut all = vec!["check"];
    all.extend(arguments);
    all.extend(["--format", "sarif"]);
    serde_json::from_slice(&run(&all).stdout).unwrap()
}

#[test]
fn what_is_written_fits_the_schema_of_the_standard() {
    let schema = Schema::new();
    let folder = super::gate::vanishing();
    let network = folder.network();
    let known = folder.path("known.json").to_str().unwrap().to_owned();
    run(&["check", &network, "--write-baseline", &known]);
    let mut results = 0;
    for arguments in [
        &[&network[..]][..],
        &[&network, "--baseline", &known],
        &[&network, "--precision", "f16,autocast-f16,bf16"],
        &[&network, "--profile", "sagemaker"],
        &[&example("seed_chain.toml")],
        &[&example("transformer_pre_ln.toml"), "--seeds", "1"],
    ] {
        let log = sarif_of(arguments);
        assert_eq!(schema.faults(&log), [""; 0], "{arguments:?}");
        results += log["runs"][0]["results"].as_array().unwrap().len();
    }
    assert!(results > 10, "{results}");
}

/// A keyword of the schema, and what is done to a document that it fits.
type Break = (&'static str, fn(&mut Value));

#[test]
fn what_does_not_fit_the_schema_is_told() {
    let schema = Schema::new();
    let good = sarif_of(&[&example("seed_chain.toml")]);
    let breaks: [Break; 7] = [
        ("additionalProperties", |log| log["made"] = "up".into()),
        ("required", |log| {
            drop(log.as_object_mut().unwrap().remove("version"))
        }),
        ("enum", |log| log["version"] = "2.0.0".into()),
        ("type", |log| log["runs"][0]["tool"] = "gradprobe".into()),
        ("enum", |log| {
            log["runs"][0]["results"][0]["level"] = "fatal".into()
        }),
        ("minimum", |log| {
            log["runs"][0]["results"][0]["locations"][0]["physicalLocation"]["region"] =
                serde_json::json!({ "startLine": 0 });
        }),
        ("uniqueItems", |log| {
            let rules = &mut log["runs"][0]["tool"]["driver"]["rules"];
            rules[1] = rules[0].clone();
        }),
    ];
    for (word, spoil) in breaks {
        let mut log = good.clone();
        spoil(&mut log);
        let faults = schema.faults(&log);
        let told = faults
            .iter()
            .any(|fault| fault.contains(word) || fault.contains("not allowed"));
        assert!(told, "{word}: {faults:?}");
    }
}

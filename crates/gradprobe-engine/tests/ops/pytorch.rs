//! Values and gradients against PyTorch's, from `fixtures/ops.json` (made by
//! `fixtures/generate_ops.py`).

use gradprobe_engine::num::{Shape, Tensor};
use gradprobe_engine::ops::{
    Attribute, Attributes, Context, Mode, apply, apply_vjp, find_op, registry,
};
use serde_json::Value;
use std::collections::BTreeSet;

/// The recorded numbers have 12 digits.
const TOLERANCE: f64 = 2e-10;

fn tensor(value: &Value) -> Tensor<f64> {
    let numbers = |name: &str| value[name].as_array().unwrap().clone();
    let shape = numbers("shape")
        .iter()
        .map(|n| n.as_u64().unwrap() as usize)
        .collect();
    let data = numbers("data")
        .iter()
        .map(|n| n.as_f64().unwrap())
        .collect();
    Tensor::new(Shape(shape), data)
}

pub fn attribute(value: &Value) -> Attribute {
    match value {
        Value::Array(values) if values.iter().any(|value| value.is_f64()) => {
            Attribute::Floats(values.iter().map(|value| value.as_f64().unwrap()).collect())
        }
        Value::Array(values) => {
            Attribute::Ints(values.iter().map(|value| value.as_i64().unwrap()).collect())
        }
        Value::String(text) => Attribute::Text(text.clone()),
        number => match number.as_i64() {
            Some(int) => Attribute::Int(int),
            None => Attribute::Float(number.as_f64().unwrap()),
        },
    }
}

fn assert_close(ours: &Tensor<f64>, theirs: &Tensor<f64>, what: &str) {
    assert_eq!(ours.shape(), theirs.shape(), "{what}");
    let size = theirs
        .data()
        .iter()
        .fold(1.0, |size: f64, x| size.max(x.abs()));
    for (ours, theirs) in ours.data().iter().zip(theirs.data()) {
        assert!(
            (ours - theirs).abs() <= TOLERANCE * size,
            "{what}: {ours}, PyTorch has {theirs}"
        );
    }
}

#[test]
fn values_and_gradients_are_those_of_pytorch() {
    let text = include_str!("../fixtures/ops.json");
    let cases: Vec<Value> = serde_json::from_str(text).unwrap();
    let mut seen = BTreeSet::new();
    for case in &cases {
        let name = case["op"].as_str().unwrap();
        let what = format!("{name}, {}", case["name"]);
        let attributes: Attributes = case["attributes"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(name, value)| (name.clone(), attribute(value)))
            .collect();
        let entry = find_op(name).unwrap_or_else(|| panic!("no op {name}"));
        let op = (entry.from_attributes)(&attributes).unwrap_or_else(|e| panic!("{what}: {e}"));
        let context = Context {
            mode: match case["mode"].as_str() {
                Some("eval") => Mode::Eval,
                _ => Mode::Train,
            },
            ..Context::default()
        };
        let inputs: Vec<_> = case["inputs"]
            .as_array()
            .unwrap()
            .iter()
            .map(tensor)
            .collect();
        let outputs =
            apply(&*op, &context, &inputs).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_close(&outputs[0], &tensor(&case["output"]), &what);
        let theirs = case["gradients"].as_array().unwrap();
        let wanted: Vec<bool> = theirs.iter().map(|gradient| !gradient.is_null()).collect();
        let mut cotangents = vec![tensor(&case["cotangent"])];
        // The other outputs of an op that has several, where they are recorded.
        for (position, more) in case["more"].as_array().into_iter().flatten().enumerate() {
            let output = &outputs[position + 1];
            assert_close(output, &tensor(&more["output"]), &what);
            cotangents.push(tensor(&more["cotangent"]));
        }
        let (gradients, exponent) =
            apply_vjp(&*op, &context, &inputs, &outputs, &cotangents, &wanted).unwrap();
        assert_eq!(exponent, 0, "{what}");
        for (position, (ours, theirs)) in gradients.iter().zip(theirs).enumerate() {
            if let Some(ours) = ours {
                assert_close(
                    ours,
                    &tensor(theirs),
                    &format!("{what}, gradient {position}"),
                );
            }
        }
        seen.insert(name.to_string());
    }
    let all: BTreeSet<String> = registry()
        .iter()
        .map(|entry| entry.name.to_string())
        .collect();
    let missing: Vec<_> = all.difference(&seen).collect();
    assert!(missing.is_empty(), "no reference values for {missing:?}");
}

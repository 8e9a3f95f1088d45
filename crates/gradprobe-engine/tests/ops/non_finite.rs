//! Which elements are infinite or NaN, forward and in every gradient, against PyTorch, from
//! `fixtures/non_finite.json` (made by `fixtures/non_finite.py`).

use crate::pytorch::attribute;
use gradprobe_engine::num::{Element, Shape, Tensor, scaled};
use gradprobe_engine::ops::activation::{self, ActivationOp};
use gradprobe_engine::ops::{
    Attributes, Context, Mode, Op, OpElement, apply, apply_vjp, find_op, registry,
};
use serde_json::Value;
use std::collections::BTreeSet;

/// Ops and activations without a row in the table, and why.
const NOT_IN_THE_TABLE: &[(&str, &str)] = &[];

/// Cases in which PyTorch gives more elements that are not finite than this engine, and why.
const SELECTED: &[(&str, &str, &str)] = &[
    (
        "Resize",
        "",
        "PyTorch multiplies what a window does not see by 0",
    ),
    (
        "ScatterElements",
        "mul",
        "PyTorch divides the product by the factor",
    ),
    (
        "ScatterND",
        "mul",
        "PyTorch divides the product by the factor",
    ),
    (
        "ScatterElements",
        "max",
        "PyTorch multiplies by the mask of ties",
    ),
    ("ScatterND", "max", "PyTorch multiplies by the mask of ties"),
    (
        "ScatterElements",
        "min",
        "PyTorch multiplies by the mask of ties",
    ),
    ("ScatterND", "min", "PyTorch multiplies by the mask of ties"),
    (
        "DFT",
        "one-sided inverse, of 4",
        "PyTorch multiplies by 0 what a number that is its own conjugate has no part of",
    ),
    (
        "DFT",
        "one-sided inverse, of 5",
        "PyTorch multiplies by 0 what a number that is its own conjugate has no part of",
    ),
    (
        "DFT",
        "one-sided inverse of its own length",
        "PyTorch multiplies by 0 what a number that is its own conjugate has no part of",
    ),
    (
        "DFT",
        "3 of 5, one-sided inverse",
        "PyTorch multiplies by 0 what a number that is its own conjugate has no part of",
    ),
    (
        "DFT",
        "7 of 5, one-sided inverse",
        "PyTorch multiplies by 0 what a number that is its own conjugate has no part of",
    ),
    (
        "Det",
        "of rank 1",
        "PyTorch multiplies by a determinant of 0",
    ),
    (
        "GridSample",
        "2-D, cubic, zeros, align_corners 0",
        "PyTorch multiplies what is outside by 0",
    ),
];

/// Cases that mean something else there, and what.
const ANOTHER_MEANING: &[(&str, &str, &str)] = &[
    (
        "Attention",
        "causal, with a scale",
        "PyTorch multiplies later keys by weights of 0, and gives 0 for a row of −∞, where ONNX's \
         softmax has no number",
    ),
    (
        "Attention",
        "heads side by side, in groups, causal",
        "as the other causal one",
    ),
];

fn is_in(list: &[(&str, &str, &str)], case: &Value) -> bool {
    let [op, name] = ["op", "name"].map(|field| case[field].as_str().unwrap());
    list.iter()
        .any(|(of, which, _)| *of == op && (which.is_empty() || *which == name))
}

fn number(value: &Value) -> f64 {
    match value {
        Value::String(text) => text.parse().unwrap(),
        value => value.as_f64().unwrap(),
    }
}

fn tensor<T: Element>(value: &Value) -> Tensor<T> {
    let list = |name: &str| value[name].as_array().unwrap().iter();
    let shape = list("shape").map(|n| n.as_u64().unwrap() as usize);
    let data = list("data").map(|n| T::from_f64(number(n)));
    Tensor::new(Shape(shape.collect()), data.collect())
}

fn tensors<T: Element>(value: &Value) -> Vec<Tensor<T>> {
    value.as_array().unwrap().iter().map(tensor).collect()
}

/// Which of `count` elements a hexadecimal number says are not finite.
fn bits(text: &str, count: usize) -> Vec<bool> {
    let digits: Vec<u32> = text
        .chars()
        .rev()
        .map(|c| c.to_digit(16).unwrap())
        .collect();
    let bit = |i: usize| {
        digits
            .get(i / 4)
            .is_some_and(|digit| digit >> (i % 4) & 1 == 1)
    };
    (0..count).map(bit).collect()
}

fn not_finite<T: Element>(tensor: &Tensor<T>) -> Vec<bool> {
    tensor.data().iter().map(|x| !x.is_finite()).collect()
}

fn op_of(case: &Value) -> Box<dyn Op> {
    let name = case["op"].as_str().unwrap();
    if let Some(name) = name.strip_prefix("activation ") {
        return Box::new(ActivationOp::new(activation::parse(name).unwrap()));
    }
    let attributes: Attributes = case["attributes"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, value)| (name.clone(), attribute(value)))
        .collect();
    (find_op(name).unwrap().from_attributes)(&attributes).unwrap()
}

/// What differs in one case, in words.
fn differences<T: OpElement>(case: &Value) -> Vec<String> {
    let op = op_of(case);
    let context = Context {
        mode: match case["mode"].as_str() {
            Some("eval") => Mode::Eval,
            _ => Mode::Train,
        },
        ..Context::default()
    };
    let mut found = Vec::new();
    for outcome in case["outcomes"].as_array().unwrap() {
        let mut inputs: Vec<Tensor<T>> = tensors(&case["inputs"]);
        let mut cotangents: Vec<Tensor<T>> = tensors(&case["cotangents"]);
        let place = &outcome["place"];
        for (name, tensors) in [("input", &mut inputs), ("cotangent", &mut cotangents)] {
            if let Some(which) = place[name].as_u64() {
                let element = place["element"].as_u64().unwrap() as usize;
                let value = T::from_f64(number(&place["value"]));
                tensors[which as usize].data_mut()[element] = value;
            }
        }
        let outputs = apply(&*op, &context, &inputs).unwrap();
        // An output that is not recorded gets a cotangent of zeros.
        for output in &outputs[cotangents.len()..outputs.len() - op.kept_outputs()] {
            cotangents.push(Tensor::zeros(output.shape().clone()));
        }
        let mut compare = |what: String,
                           ours: &Tensor<T>,
                           theirs: &Value,
                           of: &dyn Fn(usize) -> String| {
            let theirs = bits(theirs.as_str().unwrap(), ours.data().len());
            let ours_not = not_finite(ours);
            let differs = |&i: &usize| match is_in(SELECTED, case) {
                true => ours_not[i] && !theirs[i],
                false => theirs[i] != ours_not[i],
            };
            if let Some(at) = (0..theirs.len()).find(differs) {
                let count = |bits: &[bool]| bits.iter().filter(|&&bit| bit).count();
                found.push(format!(
                    "{} ({}) {} {place}: {what} has {} elements that are not finite, PyTorch {}; first at {at}: {:?}{}",
                    case["op"].as_str().unwrap(),
                    case["name"].as_str().unwrap(),
                    T::NAME,
                    count(&ours_not),
                    count(&theirs),
                    ours.data()[at],
                    of(at),
                ));
            }
        };
        let one_by_one = inputs
            .iter()
            .chain(&cotangents)
            .all(|x| x.shape() == inputs[0].shape());
        let at = |i: usize| match one_by_one {
            true => format!(
                " of {:?}, cotangent {:?}",
                inputs
                    .iter()
                    .map(|x| x.data()[i].to_f64())
                    .collect::<Vec<_>>(),
                cotangents[0].data()[i]
            ),
            false => String::new(),
        };
        for (position, theirs) in outcome["outputs"].as_array().unwrap().iter().enumerate() {
            compare(
                format!("output {position}"),
                &outputs[position],
                theirs,
                &at,
            );
        }
        let theirs = outcome["gradients"].as_array().unwrap();
        let wanted: Vec<bool> = theirs.iter().map(|gradient| !gradient.is_null()).collect();
        let (gradients, exponent) =
            apply_vjp(&*op, &context, &inputs, &outputs, &cotangents, &wanted).unwrap();
        for (position, gradient) in gradients.into_iter().enumerate() {
            if let Some(mut gradient) = gradient {
                scaled::scale(gradient.data_mut(), exponent);
                compare(
                    format!("gradient {position}"),
                    &gradient,
                    &theirs[position],
                    &at,
                );
            }
        }
    }
    found
}

#[test]
fn what_is_not_finite_is_so_where_pytorch_has_it() {
    let text = include_str!("../fixtures/non_finite.json");
    let cases: Vec<Value> = serde_json::from_str(text).unwrap();
    let mut found: Vec<String> = Vec::new();
    for case in cases.iter().filter(|case| !is_in(ANOTHER_MEANING, case)) {
        found.extend(differences::<f64>(case));
        found.extend(differences::<f32>(case));
    }
    assert!(
        found.is_empty(),
        "{} differences:\n{}",
        found.len(),
        found.join("\n")
    );
}

#[test]
fn every_op_and_activation_is_in_the_table_or_has_a_reason_not_to_be() {
    let text = include_str!("../fixtures/non_finite.json");
    let cases: Vec<Value> = serde_json::from_str(text).unwrap();
    let in_table: BTreeSet<&str> = cases
        .iter()
        .map(|case| case["op"].as_str().unwrap())
        .collect();
    let ops = registry().iter().map(|entry| entry.name.to_owned());
    let activations = activation::registry().iter();
    let all = ops.chain(activations.map(|entry| format!("activation {}", entry.about.name)));
    for name in all {
        let excused = NOT_IN_THE_TABLE.iter().any(|(excused, _)| *excused == name);
        assert!(
            in_table.contains(name.as_str()) != excused,
            "{name} must be in fixtures/non_finite.json or in NOT_IN_THE_TABLE, and not in both"
        );
    }
}

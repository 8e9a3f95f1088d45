//! What is seen of recurrent layers step by step: PyTorch's gradients of every state, and those of
//! the same layer written out step by step.

use gradprobe::check::{Check, check};
use gradprobe::import::spec::{Network, Specification};
use gradprobe::measure::RecurrenceRun;
use gradprobe::num::{Magnitude, Shape, Tensor};
use gradprobe::ops::{Attribute, Attributes, Context, OpElement, Saved, apply, find_op};
use serde_json::Value;

fn tensor(value: &Value) -> Tensor<f64> {
    let numbers = |of: &Value| -> Vec<f64> {
        let numbers = of.as_array().unwrap().iter();
        numbers.map(|number| number.as_f64().unwrap()).collect()
    };
    let shape = numbers(&value["shape"])
        .iter()
        .map(|&n| n as usize)
        .collect();
    Tensor::new(Shape(shape), numbers(&value["data"]))
}

#[track_caller]
fn assert_close(ours: &[Magnitude], theirs: &Value, what: &str) {
    let theirs = theirs.as_array().unwrap();
    assert_eq!(ours.len(), theirs.len(), "{what}");
    for (step, (ours, theirs)) in ours.iter().zip(theirs).enumerate() {
        let (ours, theirs) = (ours.to_f64(), theirs.as_f64().unwrap());
        assert!(
            (ours / theirs - 1.0).abs() < 1e-11,
            "{what}, step {step}: {ours}, {theirs}"
        );
    }
}

/// `data/recurrence_over_time.json`, made by `generators/recurrence_over_time.py`.
#[test]
fn every_step_has_the_state_and_the_cotangent_of_pytorch() {
    let text = include_str!("../data/recurrence_over_time.json");
    let cases: Vec<Value> = serde_json::from_str(text).unwrap();
    assert_eq!(cases.len(), 18);
    for case in &cases {
        let name = case["op"].as_str().unwrap();
        let what = format!("{name}, {}, read: {}", case["direction"], case["read"]);
        let inputs: Vec<Tensor<f64>> = case["inputs"]
            .as_array()
            .unwrap()
            .iter()
            .map(tensor)
            .collect();
        let direction = case["direction"].as_str().unwrap().to_owned();
        let mut attributes = Attributes::new();
        attributes.insert("direction".into(), Attribute::Text(direction));
        attributes.insert(
            "layout".into(),
            Attribute::Int(case["layout"].as_i64().unwrap()),
        );
        for given in ["bias", "lengths"] {
            attributes.insert(given.into(), Attribute::Int(1));
        }
        if name == "GRU" {
            attributes.insert("linear_before_reset".into(), Attribute::Int(1));
        }
        let op = (find_op(name).unwrap().from_attributes)(&attributes).unwrap();
        let context = Context::default();
        let outputs = apply(&*op, &context, &inputs).unwrap();
        let cotangents: Vec<Tensor<f64>> = case["cotangents"]
            .as_array()
            .unwrap()
            .iter()
            .map(tensor)
            .collect();
        let mut gradients: Vec<Tensor<f64>> = inputs
            .iter()
            .map(|input| Tensor::zeros(input.shape().clone()))
            .collect();
        let views: Vec<_> = inputs.iter().map(Tensor::view).collect();
        let written: Vec<_> = outputs.iter().map(Tensor::view).collect();
        let arrived: Vec<_> = cotangents.iter().map(|g| Some(g.view())).collect();
        let mut wanted: Vec<_> = gradients.iter_mut().map(|g| Some(g.view_mut())).collect();
        let saved = Saved {
            inputs: &views,
            outputs: &written,
        };
        let kernel = <f64 as OpElement>::kernel(&*op);
        let (_, seen) = kernel
            .vjp_over_time(&context, saved, &arrived, &mut wanted)
            .unwrap();
        let expected = case["directions"].as_array().unwrap();
        assert_eq!(seen.len(), expected.len(), "{what}");
        for (seen, expected) in seen.iter().zip(expected) {
            assert_close(&seen.forward, &expected["forward"], &what);
            assert_close(&seen.backward, &expected["backward"], &what);
        }
    }
}

fn checked(text: &str) -> Check {
    let specification =
        Specification::parse(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let network = Network::new(specification).unwrap_or_else(|error| panic!("{error}\n{text}"));
    check(&network, 0, &mut |_| {}).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn recurrence<'a>(check: &'a Check, layer: &str) -> &'a RecurrenceRun {
    let mut layers = check.measurement.layers.iter();
    let layer = layers.find(|found| found.median.name == layer).unwrap();
    &layer.median.over_time[0]
}

/// The figures of a layer in one piece are those of its steps written out: the same network has the
/// same decades over time whichever way it is spelled.
#[test]
fn a_layer_in_one_piece_has_the_decades_of_its_steps_written_out() {
    for (cell, decades) in [
        ("rnn = 8", -11.6),
        ("rnn = 8, activation = \"relu\"", -13.0),
        ("lstm = 8", -7.3),
        ("gru = 8", -7.9),
    ] {
        let text = |unroll: &str, after: &str| {
            format!(
                "dtype = \"f64\"\nbatch = 5\nseeds = 1\nlayers = [\n{{ {cell}, \
                 name = \"r\"{unroll} }},{after}\n{{ linear = 3 }},\n]\n[input]\nshape = [40, 4]\n\
                 [loss]\nname = \"cross-entropy\"\n"
            )
        };
        let fused = checked(&text("", "\n\"last-step\","));
        let unrolled = checked(&text(", unroll = true", ""));
        let over_time = recurrence(&fused, "r");
        assert_eq!(over_time.steps, 40, "{cell}");
        assert_eq!(over_time.read_steps, 1, "{cell}");
        let of_step = |step: usize| {
            let name = format!("r.t{step}");
            let mut layers = unrolled.measurement.layers.iter();
            let layer = layers.find(|layer| layer.median.name == name).unwrap();
            layer.median.backward.log10_l2.unwrap()
        };
        for (distance, ours) in over_time.backward_decades.iter().enumerate() {
            let theirs = of_step(40 - distance) - of_step(40);
            let ours = ours.unwrap();
            assert!(
                (ours - theirs).abs() < 1e-9,
                "{cell}, {distance} steps before the last: {ours}, {theirs}"
            );
        }
        let total = over_time.backward_total().unwrap();
        assert!((total - decades).abs() < 8.0, "{cell}: {total}");
    }
}

#[test]
fn the_series_is_the_same_on_any_number_of_threads() {
    let text = "batch = 40\nseeds = 1\nlayers = [\n{ lstm = 8, bidirectional = true, name = \"r\" },\n\
                { linear = 3 },\n]\n[input]\nshape = [20, 4]\n[loss]\nname = \"cross-entropy\"\n";
    let on = |threads: usize| {
        let network = Network::new(Specification::parse(text).unwrap()).unwrap();
        let check = check(&network, threads, &mut |_| {}).unwrap();
        check.measurement.layers[0].median.over_time.clone()
    };
    let alone = on(1);
    assert_eq!(alone.len(), 2);
    assert_eq!(alone, on(3));
    // Every state is read.
    assert!(alone.iter().all(|direction| direction.read_steps == 20));
}

//! Networks in which values fork: every layer's output and cotangent is that of PyTorch's hooks, and
//! the gains between two layers of the chain add up to what lies between their cotangents.

#![allow(clippy::unwrap_used)]

use gradprobe::measure::{LayerRun, Signal};
use gradprobe_peers::{Array, Examined, TOLERANCE, cases, examine};

/// How far a layer's signal is from an array, in words; `None` where their norms agree.
fn far(layer: &str, what: &str, signal: &Signal, expected: &Array) -> Option<String> {
    let squares: f64 = expected.data.iter().map(|x| x * x).sum();
    let expected = squares.sqrt();
    let got = signal.log10_l2.map_or(0.0, |log10| 10f64.powf(log10));
    let near = (got - expected).abs() <= TOLERANCE * expected;
    (!near).then(|| format!("{what} of {layer} has norm {got:e}, expected {expected:e}"))
}

fn gains_that_do_not_add_up(examined: &Examined) -> Vec<String> {
    let has_signal = |layer: &&LayerRun| layer.on_spine && layer.backward_decades.is_some();
    let spine: Vec<&LayerRun> = examined.layers.iter().filter(has_signal).collect();
    let pairs = spine.windows(2).filter_map(|pair| {
        let between = pair[0].backward_decades? - pair[1].backward_decades?;
        let gains = pair[1].gains.total();
        let [from, to] = [&pair[1].name, &pair[0].name];
        let differ = (between - gains).abs() > 1e-9;
        differ.then(|| format!("{between} decades from {from} to {to}, gains of {gains}"))
    });
    pairs.collect()
}

#[test]
fn layers_outputs_and_cotangents_are_those_of_pytorchs_hooks() {
    let mut wrong = Vec::new();
    let mut networks = 0;
    for case in cases("forks") {
        networks += 1;
        let (outputs, cotangents) = (case.truth("output"), case.truth("cotangent"));
        for model in &case.models {
            let tell = |what: String| format!("{}, {}: {what}", case.name, model.form);
            let examined = match examine(&case.path(model), &case.options()) {
                Ok(examined) => examined,
                Err(message) => {
                    wrong.push(tell(message));
                    continue;
                }
            };
            for (name, output) in &outputs {
                let Some(layer) = examined.layers.iter().find(|layer| layer.name == *name) else {
                    let names = examined.layers.iter().map(|layer| &layer.name[..]);
                    let names: Vec<&str> = names.collect();
                    wrong.push(tell(format!("no layer {name} among {}", names.join(", "))));
                    continue;
                };
                wrong.extend(far(name, "the output", &layer.forward, output).map(tell));
                let cotangent = &cotangents[name];
                wrong.extend(far(name, "the cotangent", &layer.backward, cotangent).map(tell));
            }
            wrong.extend(gains_that_do_not_add_up(&examined).into_iter().map(tell));
        }
    }
    assert!(networks >= 30, "{networks} networks");
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

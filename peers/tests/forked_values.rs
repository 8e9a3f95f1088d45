//! The signals of a layer are those of its own output, whoever else reads it.

use gradprobe_peers::{Array, TOLERANCE, cases, examine};

/// log10 of the Euclidean norm.
fn log10_l2(array: &Array) -> f64 {
    let squares = array.data.iter().map(|x| x * x);
    squares.sum::<f64>().sqrt().log10()
}

#[test]
fn layers_have_the_signals_of_pytorchs_hooks() {
    for case in cases("forked_values") {
        for model in &case.models {
            let examined = examine(&case.path(model), &case.options()).expect("it runs");
            assert_eq!(
                case.differences_of(&examined),
                [""; 0],
                "{}, {}",
                case.name,
                model.form
            );
            for (kind, backward) in [("output", false), ("cotangent", true)] {
                let truth = case.truth(kind);
                assert!(!truth.is_empty(), "{}", case.name);
                for (name, expected) in truth {
                    let place = format!("{}, {}: {kind} of {name}", case.name, model.form);
                    let layer = examined.layers.iter().find(|layer| layer.name == name);
                    let layer = layer.unwrap_or_else(|| panic!("{place}: no such layer"));
                    let signal = if backward {
                        &layer.backward
                    } else {
                        &layer.forward
                    };
                    let got = signal.log10_l2.unwrap_or(f64::NEG_INFINITY);
                    let expected = log10_l2(&expected);
                    assert!(
                        (got - expected).abs() <= TOLERANCE,
                        "{place} is 10^{got}, expected 10^{expected}"
                    );
                }
            }
        }
    }
}

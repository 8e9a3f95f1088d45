//! Recurrent networks over many steps, through a check: single precision has the gradients that
//! double has. (`ops/long_sequences.rs` holds the layers themselves against a walk step by step.)

use gradprobe::check::check;
use gradprobe::import::spec::{Network, Specification};
use gradprobe::measure::ParameterRun;
use std::collections::BTreeMap;

struct Case {
    /// A layer, as a specification writes it.
    layer: &'static str,
    steps: usize,
}

const CASES: [Case; 5] = [
    Case {
        layer: "rnn = 4",
        steps: 200,
    },
    Case {
        layer: "rnn = 4",
        steps: 1500,
    },
    Case {
        layer: "gru = 4",
        steps: 1000,
    },
    Case {
        layer: "lstm = 6, layers = 2",
        steps: 1000,
    },
    Case {
        layer: "lstm = 4, bidirectional = true",
        steps: 700,
    },
];

fn parameters(case: &Case, dtype: &str) -> BTreeMap<String, ParameterRun> {
    let Case { layer, steps } = case;
    let text = format!(
        "batch = 2\nseeds = 1\ndtype = \"{dtype}\"\n\
         layers = [ {{ {layer}, name = \"r\" }}, \"last-step\", {{ linear = 1 }} ]\n\
         [input]\nshape = [{steps}, 3]\nvalues = \"normal\"\n\
         [loss]\nname = \"mse\"\ntargets = \"random\"\n"
    );
    let network = Specification::parse(&text).and_then(Network::new);
    let network = network.unwrap_or_else(|error| panic!("{text}: {error}"));
    let measurement = check(&network, 1, &mut |_| {}).unwrap().measurement;
    let layers = measurement.layers.into_iter();
    let parameters = layers.flat_map(|layer| layer.median.parameters);
    parameters
        .map(|parameter| (parameter.name.clone(), parameter))
        .collect()
}

fn assert_same(
    what: &str,
    one: &BTreeMap<String, ParameterRun>,
    other: &BTreeMap<String, ParameterRun>,
    tolerance: f64,
) {
    assert_eq!(
        one.len(),
        other.len(),
        "{what}: {:?}, {:?}",
        one.keys(),
        other.keys()
    );
    for (name, one) in one {
        let other = &other[name];
        assert_eq!(one.grad_non_finite, 0, "{what}, {name}");
        assert!(other.grad_l2 > 0.0, "{what}, {name}");
        let error = (one.grad_l2 - other.grad_l2).abs() / other.grad_l2;
        assert!(
            error < tolerance,
            "{what}, {name}: {} against {}",
            one.grad_l2,
            other.grad_l2
        );
    }
}

#[test]
fn single_precision_has_the_gradients_of_double_over_any_number_of_steps() {
    for case in &CASES {
        let what = format!("{} over {} steps", case.layer, case.steps);
        let (single, double) = (parameters(case, "f32"), parameters(case, "f64"));
        assert_same(&what, &single, &double, 1e-3);
    }
}

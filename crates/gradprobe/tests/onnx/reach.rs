//! Files that need more than their graph to be run, made by `reach.py`: a course that an input
//! decides, outputs of whole numbers, batches that the file fixes, lost stop-gradients, soft labels.

use gradprobe::check::{Check, check};
use gradprobe::import::onnx::{OnnxNetwork, OnnxOptions, OnnxTarget};
use gradprobe::import::spec::Dtype;
use gradprobe::init::Initialiser;
use serde_json::Value;
use std::path::{Path, PathBuf};

fn file(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/onnx/reach");
    folder.join(name)
}

fn with_data(data: &str) -> OnnxOptions {
    OnnxOptions {
        data: Some(file(data)),
        dtype: Dtype::F64,
        ..OnnxOptions::default()
    }
}

fn numbers(given: &[(&str, &[f64])]) -> Vec<(String, Vec<f64>)> {
    let given = given.iter();
    given
        .map(|(name, numbers)| ((*name).to_owned(), numbers.to_vec()))
        .collect()
}

fn read(name: &str, options: &OnnxOptions) -> OnnxNetwork {
    let path = file(&format!("{name}.onnx"));
    OnnxNetwork::read(&path, options).unwrap_or_else(|error| panic!("{error}"))
}

fn run(name: &str, options: &OnnxOptions) -> Check {
    check(&read(name, options), 1, &mut |_| {}).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn refused(name: &str, options: &OnnxOptions) -> String {
    let path = file(&format!("{name}.onnx"));
    OnnxNetwork::read(&path, options).unwrap_err().to_string()
}

fn assert_near(what: &str, got: f64, expected: f64) {
    let near = (got - expected).abs() <= 1e-12 * expected.abs().max(0.1);
    assert!(near, "{what} is {got}, expected {expected}");
}

/// The loss and every gradient are PyTorch's.
fn assert_is(case: &str, check: &Check) {
    let text = std::fs::read_to_string(file("reach.json")).unwrap();
    let expected: Value = serde_json::from_str(&text).unwrap();
    let expected = &expected[case];
    let loss = check.measurement.loss.as_ref().unwrap().median;
    assert_near(case, loss, expected["loss"].as_f64().unwrap());
    let layers = check.measurement.layers.iter();
    let parameters: Vec<_> = layers.flat_map(|layer| &layer.median.parameters).collect();
    for (name, size) in expected["l2"].as_object().unwrap() {
        let found = parameters.iter().find(|parameter| parameter.name == *name);
        let found = found.unwrap_or_else(|| panic!("{case} has no {name}"));
        assert_near(
            &format!("{case}: {name}"),
            found.grad_l2,
            size.as_f64().unwrap(),
        );
    }
}

fn notes(check: &Check) -> String {
    check.measurement.notes.join("\n")
}

#[test]
fn a_branch_is_taken_by_the_input_that_decides_it() {
    // Drawn as what it is compared with.
    let drawn = run("course_if", &with_data("batch.safetensors"));
    assert_is("plain", &drawn);
    let said =
        "input `rate` = 16000 decides the condition (`is_known`) of If `if_v`: taken as drawn";
    assert!(notes(&drawn).contains(said), "{}", notes(&drawn));
    for (rate, case) in [(16000.0, "plain"), (8000.0, "twice")] {
        let given = OnnxOptions {
            numbers: numbers(&[("rate", &[rate])]),
            ..with_data("batch.safetensors")
        };
        let given = run("course_if", &given);
        assert_is(case, &given);
        assert!(
            notes(&given).contains("taken as given"),
            "{}",
            notes(&given)
        );
    }
}

#[test]
fn bounds_and_trip_counts_may_be_inputs() {
    let mut options = OnnxOptions {
        numbers: numbers(&[
            ("begin", &[1.0]),
            ("end", &[7.0]),
            ("low", &[-0.5]),
            ("high", &[1.5]),
        ]),
        ..with_data("wide.safetensors")
    };
    assert_is("clipped", &run("course_slice", &options));
    options.numbers[0].1 = vec![1.5];
    let error = refused("course_slice", &options);
    assert!(
        error.contains("input `begin`: holds whole numbers, got 1.5"),
        "{error}"
    );
    // Drawn bounds fit seldom.
    let error = refused("course_slice", &OnnxOptions::default());
    assert!(error.contains("were made up, `begin`, `end`"), "{error}");
    options.numbers = numbers(&[("steps", &[3.0])]);
    options.data = Some(file("batch.safetensors"));
    let looped = run("course_loop", &options);
    assert_is("loop", &looped);
    let said = "input `steps` = 3 decides the trip count (`steps`) of Loop `loop_last`";
    assert!(notes(&looped).contains(said), "{}", notes(&looped));
}

#[test]
fn what_a_signal_decides_is_decided_by_the_batch_and_stays_for_every_seed() {
    let given = run("course_of_signal", &with_data("batch.safetensors"));
    assert_is("plain", &given);
    // What only the condition is made of is no layer.
    let names: Vec<&str> = given
        .measurement
        .layers
        .iter()
        .map(|layer| &layer.median.name[..])
        .collect();
    for unneeded in ["reducesum_sum", "less_is_small"] {
        assert!(!names.contains(&unneeded), "{names:?}");
    }
    let drawn = OnnxOptions {
        seeds: vec![3, 4],
        ..OnnxOptions::default()
    };
    let network = read("course_of_signal", &drawn);
    use gradprobe::import::Subject;
    let batches = [3, 4].map(|seed| network.batch(seed).unwrap());
    assert_eq!(batches[0][0], batches[1][0]);
    let said = "input `x` decides the condition (`is_small`) of If `if_v`";
    assert!(
        network.notes().join("\n").contains(said),
        "{:?}",
        network.notes()
    );
    let anew = OnnxOptions {
        reinit: Initialiser::by_name("he"),
        ..OnnxOptions::default()
    };
    let error = refused("course_of_signal", &anew);
    assert!(
        error.contains("depends on the input `x` through trained weights"),
        "{error}"
    );
}

#[test]
fn whole_numbers_are_stepped_back_from() {
    for (name, output) in [("label", "best"), ("label_table", "output_label")] {
        let check = run(name, &with_data("batch.safetensors"));
        assert_is("plain", &check);
        let said = format!(
            "output `{output}` holds whole numbers, which have no gradient: judged is the last \
             floating value before it, `p` (--output)"
        );
        assert!(notes(&check).contains(&said), "{}", notes(&check));
        assert!(notes(&check).contains("what the softmax before value `p` reads"));
    }
    let error = refused("label_of_nothing", &OnnxOptions::default());
    assert!(error.contains("holds whole numbers"), "{error}");
}

#[test]
fn a_batch_of_one_is_run_on_several_samples_and_measured_as_one() {
    let data = with_data("batch.safetensors");
    let together = run("batch_of_one", &data);
    assert_is("plain", &together);
    assert_eq!(together.measurement.batch, 8);
    let whole = run("course_if", &data);
    let alone = together.measurement.layers.iter();
    for (alone, whole) in alone.zip(&whole.measurement.layers) {
        let (alone, whole) = (&alone.median, &whole.median);
        if alone.name != whole.name {
            continue;
        }
        let size = |x: Option<f64>| x.unwrap();
        let pairs = [
            (alone.backward.log10_l2, whole.backward.log10_l2),
            (alone.forward.log10_l2, whole.forward.log10_l2),
        ];
        // The If, and what follows it, is a layer of its own.
        if alone.kind == whole.kind {
            for (alone, whole) in pairs {
                assert_near("a signal", size(alone), size(whole));
            }
        }
    }
    // By default, too, and as many as are asked for; a unit is dead that is on all of them.
    let drawn = run("batch_of_one", &OnnxOptions::default());
    assert_eq!(drawn.measurement.batch, 8);
    let many = OnnxOptions {
        batch: Some(64),
        ..OnnxOptions::default()
    };
    let many = run("batch_of_one", &many);
    assert_eq!(many.measurement.batch, 64);
    assert!(notes(&many).contains("one sample at a time: 64 run one after the other"));
    let dead = |check: &Check| {
        let layers = check.measurement.layers.iter();
        layers
            .filter_map(|layer| layer.median.dead_fraction)
            .sum::<f64>()
    };
    let one = OnnxOptions {
        batch: Some(1),
        ..OnnxOptions::default()
    };
    let one = run("batch_of_one", &one);
    assert_eq!(one.measurement.batch, 1);
    assert!(dead(&one) > dead(&many), "{} {}", dead(&one), dead(&many));
}

#[test]
fn sizes_that_do_not_fit_are_tried_otherwise_or_named() {
    let state = run("batch_of_state", &OnnxOptions::default());
    assert_eq!(state.measurement.batch, 8);
    assert!(
        notes(&state).contains("one sample at a time"),
        "{}",
        notes(&state)
    );
    let window = run("window", &OnnxOptions::default());
    assert!(
        notes(&window).contains("`x` [8, 1, 512]"),
        "{}",
        notes(&window)
    );
    let short = OnnxOptions {
        dims: vec![("samples".into(), 100)],
        ..OnnxOptions::default()
    };
    let error = refused("window", &short);
    assert!(error.contains("`batch` = 8"), "{error}");
    assert!(error.contains("--dim NAME=SIZE"), "{error}");
}

#[test]
fn straight_through_estimators_are_asked_about_and_pass_the_gradient_where_that_is_asked_for() {
    for name in ["straight_sum", "straight_difference"] {
        let mut options = with_data("batch.safetensors");
        let asked = run(name, &options);
        assert!(
            notes(&asked).contains("is that a straight-through estimator"),
            "{}",
            notes(&asked)
        );
        options.straight_through = true;
        let passed = run(name, &options);
        assert_is("estimator", &passed);
        let said = "the gradient passes as through x";
        assert!(notes(&passed).contains(said), "{}", notes(&passed));
    }
    let error = refused(
        "batch_of_one",
        &OnnxOptions {
            straight_through: true,
            ..OnnxOptions::default()
        },
    );
    assert!(error.contains("has no x + (f(x) − x)"), "{error}");
}

#[test]
fn a_step_on_the_way_is_said_to_have_lost_its_stop_gradient() {
    let check = run("straight_sum", &with_data("batch.safetensors"));
    let mut findings = check.diagnosis.findings.iter();
    let zero = findings.find(|finding| finding.code == "GP003");
    let evidence = zero.expect("a gradient of zero").evidence.join(" ");
    assert!(evidence.contains("carries no stop-gradients"), "{evidence}");
}

#[test]
fn probabilities_of_classes_are_a_target() {
    let check = run("batch_of_one", &with_data("soft.safetensors"));
    assert_is("soft", &check);
    assert!(
        notes(&check).contains("against the given probabilities"),
        "{}",
        notes(&check)
    );
}

#[test]
fn a_target_that_does_not_fit_says_what_would() {
    let target = |given: &str| OnnxOptions {
        target: OnnxTarget::File(file(given)),
        loss: gradprobe::import::onnx::OnnxLoss::Mse,
        batch: Some(8),
        ..OnnxOptions::default()
    };
    let error = refused("course_if", &target("batch.safetensors"));
    assert!(
        error.contains("it has one column, and `y` has 3"),
        "{error}"
    );
}

#[test]
fn inputs_that_were_made_up_are_said_in_what_they_may_cause() {
    let check = run("graph", &OnnxOptions::default());
    // Drawn below the rows of what they look up in, though that is no table of the file.
    assert!(
        notes(&check).contains("`sources` [12] whole numbers below 8"),
        "{}",
        notes(&check)
    );
    let errors: Vec<_> = check
        .diagnosis
        .findings
        .iter()
        .filter(|finding| finding.code == "GP004")
        .collect();
    let [finding] = &errors[..] else {
        panic!("{:?}", check.diagnosis.findings);
    };
    assert!(
        finding
            .message
            .starts_with("inputs were made up (`x` [8, 6]"),
        "{}",
        finding.message
    );
}

#[test]
fn a_version_that_is_not_known_is_said() {
    let check = run("opset_newer", &OnnxOptions::default());
    assert!(
        notes(&check).contains("opset 99 is newer than 26"),
        "{}",
        notes(&check)
    );
}

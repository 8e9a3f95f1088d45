//! The examples show what their README says.

use gradprobe::check::{Check, check};
use gradprobe::import::spec::Network;
use std::path::{Path, PathBuf};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples")
}

fn checked(name: &str) -> Check {
    let network = Network::read(&folder().join(name)).unwrap_or_else(|error| panic!("{error}"));
    check(&network, 0, &mut |_| {}).unwrap_or_else(|error| panic!("{error}"))
}

/// What the README says of an example: the rule that fires (if one does) and the decades of
/// backward signal, to the digit it gives.
struct Promise {
    file: &'static str,
    code: Option<&'static str>,
    decades: f64,
}

const PROMISES: &[Promise] = &[
    Promise {
        file: "digits_tanh_30.toml",
        code: Some("GP001"),
        decades: -7.1,
    },
    Promise {
        file: "digits_sigmoid_12.toml",
        code: Some("GP001"),
        decades: -6.2,
    },
    Promise {
        file: "lenet5_1998_tanh.toml",
        code: Some("GP001"),
        decades: -4.4,
    },
    Promise {
        file: "lenet5_relu.toml",
        code: None,
        decades: 0.3,
    },
    Promise {
        file: "makemore_mlp.toml",
        code: None,
        decades: -0.9,
    },
    Promise {
        file: "mean_field_ordered.toml",
        code: None,
        decades: -1.2,
    },
    Promise {
        file: "rnn_200_steps.toml",
        code: Some("GP001"),
        decades: -61.4,
    },
    Promise {
        file: "gru_200_steps.toml",
        code: Some("GP001"),
        decades: -41.1,
    },
    Promise {
        file: "lstm_200_steps.toml",
        code: Some("GP001"),
        decades: -39.7,
    },
    Promise {
        file: "transformer_pre_ln.toml",
        code: None,
        decades: -0.1,
    },
    Promise {
        file: "transformer_post_ln.toml",
        code: None,
        decades: 0.0,
    },
];

#[test]
fn every_example_shows_what_its_readme_line_says() {
    for promise in PROMISES {
        let Check { diagnosis, .. } = checked(promise.file);
        let total = diagnosis.total_decades.expect("a number");
        assert!(
            (total - promise.decades).abs() < 0.06,
            "{}: {total} decades",
            promise.file
        );
        let vanishing = diagnosis
            .findings
            .iter()
            .any(|finding| finding.code == "GP001");
        assert_eq!(vanishing, promise.code.is_some(), "{}", promise.file);
    }
}

#[test]
fn the_seed_chain_has_the_gradient_of_the_notebook() {
    let Check { measurement, .. } = checked("seed_chain.toml");
    let parameter = &measurement.layers[0].median.parameters[0];
    assert_eq!(parameter.name, "fc1.weight");
    // df/dw1 = 9.28355757443550945e-86, by mpmath.
    let log10 = parameter.grad_log10_l2.expect("not zero");
    assert!((log10 - 9.283_557_574_435_509e-86_f64.log10()).abs() < 1e-10);
    assert_eq!(measurement.layers[0].median.saturated_fraction, Some(1.0));
}

#[test]
fn every_example_is_in_the_readme_and_nothing_else() {
    let readme = std::fs::read_to_string(folder().join("README.md")).expect("a README");
    let mut count = 0;
    for entry in std::fs::read_dir(folder()).expect("the folder") {
        let name = entry
            .expect("an entry")
            .file_name()
            .into_string()
            .expect("a name");
        if name.ends_with(".toml") {
            assert!(readme.contains(&format!("]({name})")), "{name}");
            count += 1;
        }
    }
    assert_eq!(readme.matches(".toml)").count(), count);
}

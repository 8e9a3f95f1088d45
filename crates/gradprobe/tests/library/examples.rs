//! The examples show what their README says.

use gradprobe::check::{Check, check};
use gradprobe::diagnose::{Law, Verdict};
use gradprobe::import::spec::Network;
use gradprobe::measure::{Gains, LayerRun};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples")
}

/// An example's check: each is run once, whichever tests ask for it.
fn checked(name: &'static str) -> &'static Check {
    static CHECKS: Mutex<BTreeMap<&str, &Check>> = Mutex::new(BTreeMap::new());
    let mut checks = CHECKS.lock().expect("no test panics in a check");
    checks.entry(name).or_insert_with(|| {
        let network = Network::read(&folder().join(name)).unwrap_or_else(|error| panic!("{error}"));
        let done = check(&network, 0, &mut |_| {}).unwrap_or_else(|error| panic!("{error}"));
        Box::leak(Box::new(done))
    })
}

/// What the README says of an example, each figure to the digit it gives.
struct Promise {
    file: &'static str,
    verdict: Verdict,
    /// Decades of backward signal.
    decades: f64,
    /// The factor a layer, of an exponential.
    factor: Option<f64>,
    /// What the weights, the activations, the normalisations, the skip connections and the other
    /// ops make of it.
    causes: [f64; 5],
    /// Layers with their saturated outputs, in per cent.
    saturated: &'static [(&'static str, f64)],
    /// Layers with their dead units, in per cent.
    dead: &'static [(&'static str, f64)],
}

const PROMISES: &[Promise] = &[
    Promise {
        file: "seed_chain.toml",
        verdict: Verdict::Vanishing,
        decades: -87.0,
        factor: None,
        causes: [0.0, -87.0, 0.0, 0.0, 0.0],
        saturated: &[("fc1", 100.0), ("fc2", 0.0)],
        dead: &[],
    },
    Promise {
        file: "digits_tanh_30.toml",
        verdict: Verdict::Vanishing,
        decades: -7.2,
        factor: Some(0.57),
        causes: [-7.0, -0.2, 0.0, 0.0, 0.0],
        saturated: &[],
        dead: &[],
    },
    Promise {
        file: "digits_sigmoid_12.toml",
        verdict: Verdict::Vanishing,
        decades: -6.8,
        factor: Some(0.24),
        causes: [0.1, -6.9, 0.0, 0.0, 0.0],
        saturated: &[("fc1", 0.0), ("fc11", 0.0)],
        dead: &[],
    },
    Promise {
        file: "lenet5_1998_tanh.toml",
        verdict: Verdict::Vanishing,
        decades: -4.5,
        factor: None,
        causes: [-3.8, 0.0, 0.0, 0.0, -0.6],
        saturated: &[],
        dead: &[],
    },
    Promise {
        file: "lenet5_relu.toml",
        verdict: Verdict::Healthy,
        decades: 0.2,
        factor: None,
        causes: [0.6, -0.5, 0.0, 0.0, 0.0],
        saturated: &[],
        dead: &[("C5", 14.0), ("F6", 18.0)],
    },
    Promise {
        file: "makemore_mlp.toml",
        verdict: Verdict::Healthy,
        decades: -1.1,
        factor: None,
        causes: [-0.1, -1.0, 0.0, 0.0, 0.0],
        saturated: &[
            ("fc1", 21.0),
            ("fc2", 10.0),
            ("fc3", 7.0),
            ("fc4", 6.0),
            ("fc5", 5.0),
        ],
        dead: &[],
    },
    Promise {
        file: "mean_field_ordered.toml",
        verdict: Verdict::Healthy,
        decades: -1.4,
        factor: Some(0.936),
        causes: [2.2, -3.6, 0.0, 0.0, 0.0],
        saturated: &[],
        dead: &[],
    },
    Promise {
        file: "rnn_200_steps.toml",
        verdict: Verdict::Vanishing,
        decades: -61.4,
        factor: Some(0.493),
        causes: [-47.0, -14.4, 0.0, 0.0, 0.0],
        saturated: &[],
        dead: &[],
    },
    Promise {
        file: "gru_200_steps.toml",
        verdict: Verdict::Vanishing,
        decades: -41.1,
        factor: Some(0.624),
        causes: [-0.2, 0.0, 0.0, 0.0, -40.9],
        saturated: &[],
        dead: &[],
    },
    Promise {
        file: "lstm_200_steps.toml",
        verdict: Verdict::Vanishing,
        decades: -39.7,
        factor: Some(0.637),
        causes: [-0.2, 0.0, 0.0, 0.0, -39.5],
        saturated: &[],
        dead: &[],
    },
    Promise {
        file: "transformer_pre_ln.toml",
        verdict: Verdict::Healthy,
        decades: -0.1,
        factor: None,
        causes: [0.0, 0.0, -0.35, 0.24, 0.0],
        saturated: &[],
        dead: &[],
    },
    Promise {
        file: "transformer_post_ln.toml",
        verdict: Verdict::Healthy,
        decades: 0.0,
        factor: None,
        causes: [0.0, 0.0, -1.0, 1.0, 0.0],
        saturated: &[],
        dead: &[],
    },
    Promise {
        file: "cnn_56_plain.toml",
        verdict: Verdict::Healthy,
        decades: -1.4,
        factor: None,
        causes: [7.8, -8.3, 0.0, 0.0, -0.9],
        saturated: &[],
        dead: &[],
    },
    Promise {
        file: "cnn_56_plain_batch_norm.toml",
        verdict: Verdict::Exploding,
        decades: 3.2,
        factor: Some(1.194),
        causes: [7.7, -8.3, 4.7, 0.0, -0.9],
        saturated: &[],
        dead: &[],
    },
    Promise {
        file: "resnet_56.toml",
        verdict: Verdict::Healthy,
        decades: 0.5,
        factor: None,
        causes: [0.2, -1.1, -0.1, 2.5, -0.9],
        saturated: &[],
        dead: &[],
    },
    Promise {
        file: "resnet_56_no_norm.toml",
        verdict: Verdict::Exploding,
        decades: 3.1,
        factor: Some(1.395),
        causes: [0.2, -2.4, 0.0, 6.2, -0.9],
        saturated: &[],
        dead: &[],
    },
    Promise {
        file: "resnet18.toml",
        verdict: Verdict::Healthy,
        decades: 0.9,
        factor: None,
        causes: [-0.2, -0.7, 0.5, 1.6, -0.3],
        saturated: &[],
        dead: &[],
    },
    Promise {
        file: "resnet50.toml",
        verdict: Verdict::Healthy,
        decades: 2.4,
        factor: Some(1.366),
        causes: [-0.2, -1.4, 0.5, 3.8, -0.3],
        saturated: &[],
        dead: &[],
    },
    Promise {
        file: "mobilenet_v2.toml",
        verdict: Verdict::Healthy,
        decades: 1.35,
        factor: None,
        causes: [-7.1, -2.3, 9.1, 1.9, -0.3],
        saturated: &[("conv1", 0.0)],
        dead: &[],
    },
    Promise {
        file: "gpt2_small.toml",
        verdict: Verdict::Healthy,
        decades: 1.4,
        factor: None,
        causes: [-0.3, 0.0, 0.5, 1.2, 0.0],
        saturated: &[],
        dead: &[],
    },
    Promise {
        file: "batch_norm_mlp.toml",
        verdict: Verdict::Exploding,
        decades: 3.8,
        factor: Some(1.206),
        causes: [7.1, -7.4, 4.1, 0.0, 0.0],
        saturated: &[],
        dead: &[],
    },
];

impl Promise {
    fn holds(&self) {
        let file = self.file;
        let Check {
            diagnosis,
            measurement,
            ..
        } = checked(file);
        assert_eq!(diagnosis.verdict, self.verdict, "{file}");
        let total = diagnosis.total_decades.expect("a number");
        assert!((total - self.decades).abs() < 0.06, "{file}: {total}");
        if let Some(factor) = self.factor {
            let law = diagnosis.backward.as_ref().map(|trend| trend.law);
            assert!(
                matches!(law, Some(Law::Exponential { factor_per_layer, .. })
                    if (factor_per_layer - factor).abs() < 0.006),
                "{file}: {law:?}"
            );
        }
        let gains = diagnosis.gains;
        let measured = Gains::ROLES.map(|role| gains.of(role));
        for (measured, promised) in measured.iter().zip(self.causes) {
            assert!((measured - promised).abs() < 0.06, "{file}: {gains:?}");
        }
        let share = |name: &str, get: fn(&LayerRun) -> Option<f64>| {
            let mut layers = measurement.layers.iter();
            let layer = layers.find(|layer| layer.median.name == name);
            100.0 * layer.and_then(|layer| get(&layer.median)).expect("a share")
        };
        for &(name, percent) in self.saturated {
            let measured = share(name, |layer| layer.saturated_fraction);
            assert!(
                (measured - percent).abs() < 0.6,
                "{file} {name}: {measured}"
            );
        }
        for &(name, percent) in self.dead {
            let measured = share(name, |layer| layer.dead_fraction);
            assert!(
                (measured - percent).abs() < 0.6,
                "{file} {name}: {measured}"
            );
        }
    }
}

#[test]
fn every_example_shows_what_its_readme_line_says() {
    PROMISES.iter().for_each(Promise::holds);
}

fn layer<'a>(check: &'a Check, name: &str) -> &'a LayerRun {
    let mut layers = check.measurement.layers.iter();
    let layer = layers.find(|layer| layer.median.name == name);
    &layer.unwrap_or_else(|| panic!("no {name}")).median
}

#[test]
fn single_layers_gain_what_the_readme_says() {
    for (file, name, factor) in [
        ("resnet_56.toml", "block1", 1.9),
        ("resnet_56.toml", "block9", 1.1),
        ("gpt2_small.toml", "h1.attn", 2.0),
        ("gpt2_small.toml", "h1.mlp", 2.4),
        ("gpt2_small.toml", "h12.mlp", 1.0),
    ] {
        let measured = 10f64.powf(layer(checked(file), name).gains.total());
        assert!(
            (measured - factor).abs() < 0.06,
            "{file} {name}: {measured}"
        );
    }
    let law = checked("gpt2_small.toml").diagnosis.backward.map(|t| t.law);
    assert!(
        matches!(law, Some(Law::PowerLaw { exponent, from_input: true })
            if (exponent + 0.75).abs() < 0.006),
        "{law:?}"
    );
}

#[test]
fn the_other_figures_of_the_readme_are_right() {
    let of_first = &layer(checked("resnet50.toml"), "conv1").parameters[0];
    let update = of_first.log10_update_ratio.expect("a ratio");
    assert!((update - 1.8).abs() < 0.06, "{update}");
    let loss = checked("resnet_56_no_norm.toml").measurement.loss;
    let loss = loss.expect("a loss").median;
    assert!((loss / 19_000.0 - 1.0).abs() < 0.03, "{loss}");
    let forward = layer(checked("batch_norm_mlp.toml"), "fc1").forward_decades;
    assert!((forward.expect("not zero") - 0.4).abs() < 0.06);
}

#[test]
fn the_gains_add_up_to_the_decades() {
    for promise in PROMISES {
        let Check { measurement, .. } = checked(promise.file);
        let mut layers = measurement.layers.iter();
        let first = layers.position(|layer| layer.median.is_judged());
        let of_first = measurement.runs.iter().map(|run| {
            let layer = first.and_then(|index| run.layers.get(index));
            layer.and_then(|layer| layer.decades_at_weights)
        });
        let sum = measurement.chain_gains().total();
        assert!(
            of_first
                .flatten()
                .any(|total| (total - sum).abs() < 1e-9 * total.abs().max(1.0)),
            "{}: {sum}",
            promise.file
        );
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

//! Every published experiment, as `gradprobe theory --experiment` repeats it: figures that nobody
//! here wrote.

use gradprobe::diagnose::experiment::{Experiment, Normalisation, compare, published};
use gradprobe::ops::activation::parse;
use gradprobe::theory::isometry::WeightEnsemble;
use gradprobe::theory::mean_field::{BiasVariance, WeightVariance};

fn repeat(name: &str) {
    let experiment = published().iter().find(|known| known.name == name).unwrap();
    let results = experiment.run(0, &|_| ()).unwrap();
    assert!(!results.is_empty());
    for result in results {
        assert!(result.inside, "{result:#?}");
    }
}

#[test]
fn schoenholz() {
    repeat("schoenholz");
}

#[test]
fn calculate_gain() {
    repeat("calculate-gain");
}

#[test]
fn hanin_nica() {
    repeat("hanin-nica");
}

#[test]
fn yang() {
    repeat("yang");
}

#[test]
fn pennington() {
    repeat("pennington");
}

#[test]
fn power_law() {
    repeat("power-law");
}

/// Usual gains at depth 50, width 256: theory and the mean of 20 networks agree inside the band.
#[test]
fn the_usual_gains_do_what_theory_says() {
    let he = 2f64.sqrt();
    for (name, gain) in [
        ("gelu", he),
        ("silu", he),
        ("mish", he),
        ("sigmoid", 1.0),
        ("tanh", 5.0 / 3.0),
        ("selu", 0.75),
        ("selu", 1.0),
    ] {
        let experiment = Experiment {
            name: name.to_owned(),
            activation: parse(name).unwrap(),
            weights: WeightVariance::from_sigma_w(gain),
            biases: BiasVariance::ZERO,
            ensemble: WeightEnsemble::Gaussian,
            normalisation: Normalisation::None,
            depth: 50,
            width: 256,
            batch: 16,
            networks: 20,
            singular_values: false,
        };
        let found = compare(&experiment, 0, &|_| ()).unwrap();
        assert!(found.inside, "{found:#?}");
        assert!(found.band < 0.035, "{name}: a band of {}", found.band);
    }
}

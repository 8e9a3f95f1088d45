//! Batch normalisation makes gradients explode at the published rate (Yang et al., A mean field
//! theory of batch normalization, ICLR 2019; theory §5).

use super::support::{mean, network, runs, squared_slope};
use gradprobe::check::check;
use gradprobe::diagnose::{Law, Verdict};

fn specification(batch: usize, width: usize, depth: usize, more: &str) -> String {
    format!(
        "batch = {batch}\nseeds = 3\nloss = \"random-cotangent\"\n\
         layers = [{{ repeat = {depth}, linear = {width}, norm = \"batch\"{more} }}]\n\
         input = {{ shape = [{width}], values = \"normal\" }}\n\
         defaults = {{ init = \"he-normal\", bias = false }}\n"
    )
}

/// The factor of the squared gradient a layer, over so many networks of 24 layers of 500.
fn factor(batch: usize, more: &str, seeds: u64) -> f64 {
    let runs = runs(&specification(batch, 500, 24, more), seeds);
    // The forward signal takes a few layers to settle.
    mean(runs.iter().map(|run| squared_slope(&run.layers[4..]))).exp()
}

#[test]
fn gradients_explode_at_the_rate_of_yang() {
    for (batch, expected, seeds) in [
        (8, 1.788_189_976_7, 16),
        (32, 1.521_952_830_6, 8),
        (256, 1.473_234_263_1, 4),
    ] {
        let factor = factor(batch, ", activation = \"relu\"", seeds);
        assert!(
            (factor / expected - 1.0).abs() < 0.015,
            "batch {batch}: {factor} against {expected}"
        );
    }
}

#[test]
fn without_an_activation_the_rate_is_that_of_small_batches_alone() {
    for (batch, seeds) in [(8, 16), (32, 8)] {
        let expected = (batch as f64 - 2.0) / (batch as f64 - 3.0);
        let factor = factor(batch, "", seeds);
        assert!(
            (factor / expected - 1.0).abs() < 0.015,
            "batch {batch}: {factor} against {expected}"
        );
    }
}

/// 50 layers make 49 · log10 √1.4732 = 4.1 decades, and are told as an exponential.
#[test]
fn a_deep_network_with_batch_normalisation_is_called_exploding() {
    let network = network(&specification(256, 128, 50, ", activation = \"relu\""));
    let diagnosis = check(&network, 0, &mut |_| {}).unwrap().diagnosis;
    assert_eq!(diagnosis.verdict, Verdict::Exploding);
    let law = diagnosis.backward.unwrap().law;
    assert!(
        matches!(law, Law::Exponential { factor_per_layer, .. }
            if (factor_per_layer.powi(2) / 1.473 - 1.0).abs() < 0.03),
        "{law:?}"
    );
    assert!(diagnosis.gains.normalisation > 3.0, "{:?}", diagnosis.gains);
}

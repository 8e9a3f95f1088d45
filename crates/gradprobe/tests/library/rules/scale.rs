//! The scale of the loss changes no verdict and no decade.

use super::*;
use gradprobe::diagnose::{Verdict, diagnose};
use gradprobe::graph::Graph;
use gradprobe::import::Subject;
use gradprobe::import::onnx::{OnnxNetwork, OnnxOptions};
use gradprobe::measure::{Measurement, Probe, RunMeasurement, aggregate, measure};
use gradprobe::num::Tensor;
use gradprobe::run::{Executor, Options};
use std::path::{Path, PathBuf};

const SCALES: [f64; 4] = [1e-30, 1e-15, 1e15, 1e30];

fn files(folder: PathBuf, extension: &str) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(&folder) else {
        return Vec::new();
    };
    let paths = entries.map(|entry| entry.unwrap().path());
    let mut paths: Vec<PathBuf> = paths
        .filter(|path| path.extension().is_some_and(|e| e == extension))
        .collect();
    paths.sort();
    paths
}

/// The measurement of one seed with the loss times `scale`.
fn measured(network: &dyn Subject, graph: &Graph, seed: u64) -> Measurement {
    let inputs: Vec<Tensor<f32>> = network
        .batch(seed)
        .unwrap()
        .iter()
        .map(Tensor::cast)
        .collect();
    let options = Options {
        mode: network.mode(),
        seed,
        ..Options::default()
    };
    let mut executor = Executor::<f32>::new(graph, options).unwrap();
    let mut probe = Probe::new(graph, options.mode);
    let output = executor.run_observed(&inputs, &mut probe).unwrap();
    let mut run: RunMeasurement = measure(graph, &output.trace, None, seed);
    probe.add_to(&mut run, &inputs);
    let runs = vec![run];
    let (loss, layers) = aggregate(&runs);
    Measurement {
        mode: network.mode(),
        batch: network.batch_size(),
        draws_weights: network.is_freshly_drawn(),
        loss,
        layers,
        runs,
        ..Measurement::default()
    }
}

fn verdict_and_findings(measurement: &Measurement) -> (Verdict, Vec<(String, Severity)>) {
    let diagnosis = diagnose(measurement);
    let findings = diagnosis.findings.into_iter();
    (
        diagnosis.verdict,
        findings
            .map(|finding| (finding.code, finding.severity))
            .collect(),
    )
}

fn holds(name: &str, network: &dyn Subject) {
    let seed = network.seeds()[0];
    let graph = network.build(seed).unwrap();
    let plain = measured(network, &graph, seed);
    for scale in SCALES {
        let scaled = graph.with_scaled_objective(scale).unwrap();
        let scaled = measured(network, &scaled, seed);
        assert_eq!(
            verdict_and_findings(&scaled),
            verdict_and_findings(&plain),
            "{name}, scale {scale}"
        );
        for (a, b) in plain.layers.iter().zip(&scaled.layers) {
            let name = format!("{name}: {}, scale {scale}", a.median.name);
            match (a.median.decades_at_weights, b.median.decades_at_weights) {
                (Some(a), Some(b)) => assert!((a - b).abs() < 1e-4, "{name}: {a} against {b}"),
                (a, b) => assert_eq!(a, b, "{name}"),
            }
        }
    }
}

#[test]
fn of_every_example() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    let examples = files(folder, "toml");
    assert!(examples.len() > 15);
    for path in examples {
        let network = Network::read(&path).unwrap();
        holds(&path.display().to_string(), &network);
    }
}

#[test]
fn of_every_exported_model() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/models/exported");
    let models = files(folder, "onnx");
    assert!(!models.is_empty());
    for path in models {
        let network = OnnxNetwork::read(&path, &OnnxOptions::default()).unwrap();
        holds(&path.display().to_string(), &network);
    }
}

//! Verdicts and decades do not change with the scale of the loss.

use gradprobe::diagnose::{Diagnosis, Verdict, diagnose};
use gradprobe::graph::{
    CotangentKind, Graph, GraphBuilder, Objective, Origin, ParameterData, ValueId,
};
use gradprobe::measure::{Measurement, aggregate, measure};
use gradprobe::num::random::Stream;
use gradprobe::num::{Shape, Tensor};
use gradprobe::ops::activation::{ActivationOp, parse};
use gradprobe::ops::{Linear, LogSoftmax, Mode, Mul};
use gradprobe::run::{Executor, Options, RunElement};
use std::sync::Arc;

const ROWS: usize = 32;
const WIDTH: usize = 24;
const DEPTH: usize = 12;

fn parameter(b: &mut GraphBuilder, name: &str, data: Tensor<f64>, trained: bool) -> ValueId {
    let data = ParameterData::F64(Arc::new(data));
    b.parameter(name, data, trained).unwrap()
}

fn normal(seed: u64, name: &str, shape: &[usize], std: f64) -> Tensor<f64> {
    let mut tensor = Tensor::zeros(Shape::new(shape));
    Stream::new(seed, name).fill_normal(0.0, std, tensor.data_mut());
    tensor
}

/// ReLU layers whose weights have a standard deviation of `gain`/√width, with a
/// loss that is multiplied by `scale`.
fn network(seed: u64, gain: f64, scale: f64) -> Graph {
    let mut b = GraphBuilder::new();
    let mut h = b.input("x", [ROWS, WIDTH].into()).unwrap();
    for layer in 1..=DEPTH {
        let name = format!("fc{layer}");
        b.begin_layer(&name, "linear", Origin::default()).unwrap();
        let weight = format!("{name}.weight");
        let data = normal(seed, &weight, &[WIDTH, WIDTH], gain / (WIDTH as f64).sqrt());
        let w = parameter(&mut b, &weight, data, true);
        let op = Linear { bias: false };
        h = b.node(&name, op, &[h, w], Origin::default()).unwrap();
        if layer < DEPTH {
            let op = ActivationOp::new(parse("relu").unwrap());
            h = b
                .node(format!("{name}.relu"), op, &[h], Origin::default())
                .unwrap();
        }
        b.end_layer();
    }
    let y = b
        .node("log", LogSoftmax { axis: -1 }, &[h], Origin::default())
        .unwrap();
    let scale = parameter(&mut b, "scale", Tensor::new([1], vec![scale]), false);
    let loss = b
        .node("scaled", Mul, &[y, scale], Origin::default())
        .unwrap();
    b.finish(h, Objective::Output(loss, CotangentKind::Random))
        .unwrap()
}

fn judged<T: RunElement>(gain: f64, scale: f64) -> Diagnosis {
    let run = |seed| {
        let graph = network(seed, gain, scale);
        let inputs = [normal(seed, "x", &[ROWS, WIDTH], 1.0).cast::<T>()];
        let options = Options {
            seed,
            ..Options::default()
        };
        let output = Executor::<T>::new(&graph, options)
            .unwrap()
            .run(&inputs)
            .unwrap();
        measure(&graph, &output.trace, None, seed)
    };
    let runs: Vec<_> = (0..3).map(run).collect();
    let (loss, layers) = aggregate(&runs);
    diagnose(&Measurement {
        network: "scaled".into(),
        dtype: String::new(),
        mode: Mode::Train,
        batch: ROWS,
        trainable: 0,
        objective: String::new(),
        notes: Vec::new(),
        optimiser: None,
        loss,
        layers,
        runs,
        ..Measurement::default()
    })
}

fn holds<T: RunElement>(tolerance: f64) {
    for (gain, verdict) in [
        (0.3, Verdict::Vanishing),
        (1.0, Verdict::Healthy),
        (4.0, Verdict::Exploding),
    ] {
        let plain = judged::<T>(gain, 1.0);
        assert_eq!(plain.verdict, verdict, "gain {gain}: {plain:?}");
        for scale in [1e-30, 1e30, -1e30] {
            let scaled = judged::<T>(gain, scale);
            assert_eq!(scaled.verdict, plain.verdict, "gain {gain}, scale {scale}");
            assert_eq!(scaled.starts_at, plain.starts_at);
            let (a, b) = (plain.total_decades.unwrap(), scaled.total_decades.unwrap());
            assert!((a - b).abs() < tolerance, "{a} against {b}, scale {scale}");
            let codes = |diagnosis: &Diagnosis| -> Vec<String> {
                let findings = diagnosis.findings.iter();
                findings.map(|finding| finding.code.clone()).collect()
            };
            assert_eq!(codes(&scaled), codes(&plain));
        }
    }
}

#[test]
fn the_verdict_does_not_change_with_the_scale_of_the_loss() {
    holds::<f64>(1e-12);
    holds::<f32>(1e-5);
}

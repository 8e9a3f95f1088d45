//! Emulated precision held against PyTorch's results in 16 bits and against exact arithmetic.

use gradprobe::diagnose::cause_of_zero_derivative;
use gradprobe::graph::{
    CotangentKind, Graph, GraphBuilder, Objective, Origin, ParameterData, ParameterId, ValueId,
};
use gradprobe::measure::Optimiser;
use gradprobe::measure::precision::{
    LOST_SHARE, LayerPrecision, PrecisionOptions, PrecisionReport, RunSettings, examine_precision,
};
use gradprobe::num::random::Stream;
use gradprobe::num::{Dtype, Extended, Real, Shape, Tensor};
use gradprobe::ops::activation::{self, ActivationOp};
use gradprobe::ops::{Add, CrossEntropy, LayerNorm, Linear, MeanSquaredError, Mode, Reduction};
use gradprobe::run::emulated::{
    Derivatives, EmulatedOptions, Emulator, Exponents, Precision, Watch,
};
use gradprobe::theory::{Chain, FloatChain, LayerValues};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::Arc;

fn here() -> Origin {
    Origin::default()
}

fn parameter(b: &mut GraphBuilder, name: &str, shape: &[usize], data: Vec<f64>) -> ValueId {
    let tensor = Tensor::new(Shape::new(shape), data);
    b.parameter(name, ParameterData::F64(Arc::new(tensor)), true)
        .unwrap()
}

fn activate(b: &mut GraphBuilder, name: &str, activation: &str, x: ValueId) -> ValueId {
    let op = ActivationOp::new(activation::parse(activation).unwrap());
    b.node(name, op, &[x], here()).unwrap()
}

fn settings() -> RunSettings {
    RunSettings {
        mode: Mode::Train,
        threads: 2,
        seed: 3,
        optimiser: Some(Optimiser::Sgd { learning_rate: 0.1 }),
    }
}

fn examine(
    graph: &Graph,
    batch: &[Tensor<f64>],
    precision: &str,
    loss_scale: Option<f64>,
) -> PrecisionReport {
    let options = PrecisionOptions {
        precisions: vec![precision.parse().unwrap()],
        loss_scale,
    };
    examine_precision(graph, batch, &options, &settings())
        .unwrap()
        .remove(0)
}

#[derive(Deserialize)]
struct Case {
    precision: String,
    activation: String,
    widths: Vec<usize>,
    rows: usize,
    loss: bool,
    residual: bool,
    given: BTreeMap<String, Vec<f64>>,
    output: Vec<f64>,
    gradients: BTreeMap<String, Vec<f64>>,
}

fn network_of(case: &Case) -> (Graph, Vec<Tensor<f32>>) {
    let mut b = GraphBuilder::new();
    let input = |name: &str, width: usize| {
        let data = case.given[name].iter().map(|&x| x as f32).collect();
        Tensor::new([case.rows, width], data)
    };
    let mut inputs = vec![input("x", case.widths[0])];
    let mut h = b.input("x", [case.rows, case.widths[0]].into()).unwrap();
    let last = *case.widths.last().unwrap();
    let target = case.loss.then(|| {
        inputs.push(input("target", last));
        b.input("target", [case.rows, last].into()).unwrap()
    });
    for (layer, widths) in case.widths.windows(2).enumerate() {
        b.begin_layer(format!("{layer}"), "linear", here()).unwrap();
        let given = |name: &str| case.given[&format!("{layer}.{name}")].clone();
        let weight = format!("{layer}.weight");
        let weight = parameter(&mut b, &weight, &[widths[1], widths[0]], given("weight"));
        let bias = parameter(
            &mut b,
            &format!("{layer}.bias"),
            &[widths[1]],
            given("bias"),
        );
        let op = Linear { bias: true };
        let u = b.node(format!("{layer}.linear"), op, &[h, weight, bias], here());
        let a = activate(
            &mut b,
            &format!("{layer}.act"),
            &case.activation,
            u.unwrap(),
        );
        h = match case.residual {
            true => b
                .node(format!("{layer}.sum"), Add, &[h, a], here())
                .unwrap(),
            false => a,
        };
    }
    let objective = match target {
        None => Objective::Output(h, CotangentKind::Ones),
        Some(target) => {
            let op = MeanSquaredError::default();
            Objective::Loss(b.node("loss", op, &[h, target], here()).unwrap())
        }
    };
    (b.finish(h, objective).unwrap(), inputs)
}

#[derive(Default)]
struct Kept(BTreeMap<usize, Vec<f32>>);

impl Watch<f32> for Kept {
    fn gradient(&mut self, parameter: ParameterId, data: &[f32], exponent: i64) {
        assert_eq!(exponent, 0);
        self.0.insert(parameter.index(), data.to_vec());
    }
}

fn emulator(graph: &Graph, precision: Precision) -> Emulator<'_, f32> {
    let options = EmulatedOptions {
        precision,
        derivatives: Derivatives::Framework,
        exponents: Exponents::OfType,
        loss_scale: 1.0,
        mode: Mode::Train,
        threads: 1,
        seed: 0,
    };
    Emulator::new(graph, options).unwrap()
}

#[test]
fn outputs_and_gradients_are_pytorchs_to_the_bit() {
    let cases: Vec<Case> =
        serde_json::from_str(include_str!("../fixtures/precision.json")).unwrap();
    let (mut all, mut other) = (0, Vec::new());
    for case in &cases {
        let (graph, inputs) = network_of(case);
        let mut emulator = emulator(&graph, case.precision.parse().unwrap());
        let mut kept = Kept::default();
        emulator.run(&inputs, &mut kept).unwrap();
        let mut compare = |name: &str, got: &[f32], expected: &[f64]| {
            assert_eq!(got.len(), expected.len());
            for (index, (&got, &expected)) in got.iter().zip(expected).enumerate() {
                all += 1;
                // Every number is one of f32; reading it from text may miss it by a f64's last bit.
                if got != expected as f32 {
                    let title = format!("{} {}", case.precision, case.activation);
                    other.push(format!("{title} {name}[{index}]: {got}, not {expected}"));
                }
            }
        };
        compare("output", &emulator.output(&inputs), &case.output);
        for (id, parameter) in graph.parameters().iter().enumerate() {
            compare(
                &parameter.name,
                &kept.0[&id],
                &case.gradients[&parameter.name],
            );
        }
    }
    assert!(all > 5000);
    assert!(other.is_empty(), "{} of {all}: {other:#?}", other.len());
}

/// The one layer of x + b through an activation, of which b's gradient is φ′(x).
fn lone(activation: &str, x: f64) -> (Graph, Vec<Tensor<f64>>) {
    let mut b = GraphBuilder::new();
    let input = b.input("x", [1, 1].into()).unwrap();
    b.begin_layer("lone", activation, here()).unwrap();
    let bias = parameter(&mut b, "bias", &[1], vec![0.0]);
    let u = b.node("sum", Add, &[input, bias], here()).unwrap();
    let y = activate(&mut b, "y", activation, u);
    let graph = b.finish(y, Objective::Output(y, CotangentKind::Ones));
    (graph.unwrap(), vec![Tensor::new([1, 1], vec![x])])
}

fn cause(layer: &LayerPrecision) -> &'static str {
    let shares = [
        (layer.true_zero, "true_zero"),
        (layer.cancelled, "cancellation"),
        (layer.underflowed, "underflow"),
        (layer.rounded, "rounding"),
        (layer.overflowed, "overflow"),
    ];
    let found = shares.iter().find(|(share, _)| *share == 1.0);
    found.map_or("none", |(_, name)| name)
}

/// Bar: a zero's cause is right for every activation at these points in every type. The table is
/// made of PyTorch's own zeros and of exact derivatives.
#[test]
fn the_cause_of_a_zero_is_right_for_every_activation_in_every_type() {
    let table = include_str!("../data/zero_causes.csv");
    let mut wrong = Vec::new();
    let mut rows = 0;
    for row in table.lines().skip(1) {
        let cells: Vec<&str> = row.split(',').collect();
        let (name, x, dtype) = (cells[0], cells[1].parse().unwrap(), cells[2]);
        let (graph, batch) = lone(name, x);
        let report = examine(&graph, &batch, dtype, Some(1.0));
        let got = cause(&report.layers[0]);
        rows += 1;
        if got != cells[3] {
            wrong.push(format!("{row}, got {got}"));
        }
        // The scalar chain says the same of the same number.
        let activation = activation::parse(name).unwrap();
        let dtype = Dtype::ALL.into_iter().find(|d| d.name() == dtype).unwrap();
        let one = LayerValues::Same(1.0);
        let chain = Chain::new(activation, 1, x, one, LayerValues::Same(0.0)).unwrap();
        let derivative = FloatChain::new(&chain, dtype).derivative(1);
        let exact = chain.activation().in_extended();
        let exact = exact.derivative(Extended::from_f64(x));
        let said = if dtype.round(derivative) != 0.0 {
            "none"
        } else if exact.is_zero() {
            "true_zero"
        } else {
            cause_of_zero_derivative(x, exact, dtype).name()
        };
        if said != cells[3] {
            wrong.push(format!("{row}, the chain says {said}"));
        }
    }
    assert_eq!(rows, 720);
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// A classifier with `depth` hidden layers of He's initialisation times `gain`.
fn classifier(depth: usize, gain: f64, activation: &str) -> (Graph, Vec<Tensor<f64>>) {
    const ROWS: usize = 16;
    const WIDTH: usize = 12;
    let normal = |name: &str, count: usize, std: f64| {
        let mut data = vec![0.0; count];
        Stream::new(7, name).fill_normal(0.0, std, &mut data);
        data
    };
    let mut b = GraphBuilder::new();
    let mut h = b.input("x", [ROWS, WIDTH].into()).unwrap();
    let target = b.input("target", [ROWS].into()).unwrap();
    for layer in 0..=depth {
        let name = format!("fc{layer}");
        b.begin_layer(&name, "linear", here()).unwrap();
        let std = gain * (2.0 / WIDTH as f64).sqrt();
        let weight = normal(&name, WIDTH * WIDTH, std);
        let weight = parameter(&mut b, &format!("{name}.weight"), &[WIDTH, WIDTH], weight);
        h = b
            .node(&name, Linear { bias: false }, &[h, weight], here())
            .unwrap();
        if layer < depth {
            h = activate(&mut b, &format!("{name}.act"), activation, h);
        }
    }
    let loss = CrossEntropy::default();
    let loss = b.node("loss", loss, &[h, target], here()).unwrap();
    let graph = b.finish(h, Objective::Loss(loss)).unwrap();
    let targets = (0..ROWS).map(|row| (row % WIDTH) as f64).collect();
    let batch = vec![
        Tensor::new([ROWS, WIDTH], normal("x", ROWS * WIDTH, 1.0)),
        Tensor::new([ROWS], targets),
    ];
    (graph, batch)
}

#[test]
fn inside_the_window_little_is_lost_and_above_it_something_overflows() {
    let mut narrow = 0;
    for (depth, gain, activation) in [(6, 1.0, "relu"), (6, 0.7, "tanh"), (10, 0.6, "relu")] {
        let (graph, batch) = classifier(depth, gain, activation);
        for precision in ["f16", "autocast-f16", "e5m2", "bf16"] {
            let window = examine(&graph, &batch, precision, Some(1.0)).window;
            let at = |exponent: i64| {
                let scale = Some(2f64.powi(exponent as i32));
                examine(&graph, &batch, precision, scale)
            };
            let largest = window.log2_largest.unwrap();
            let title = format!("{precision}, {depth} layers of {activation}");
            assert!(at(largest).finite, "{title}: {window:?}");
            if largest < 100 {
                assert!(!at(largest + 1).finite, "{title}: {window:?}");
            }
            if let (Some(smallest), true) = (window.log2_smallest, window.is_open()) {
                // 8-bit signals have too few digits for sizes to be those of the true ones.
                let bound = if precision == "e5m2" {
                    0.1
                } else {
                    2.0 * LOST_SHARE
                };
                let report = at(smallest);
                for layer in &report.layers {
                    assert!(layer.underflowed <= bound, "{title}: {window:?} {layer:?}");
                }
                let lost_below = at(smallest - 6).layers;
                let most = lost_below.iter().map(|layer| layer.underflowed);
                narrow += usize::from(most.fold(0.0, f64::max) > 2.0 * LOST_SHARE);
            }
        }
    }
    assert!(narrow >= 4, "below the window more is lost: {narrow}");
}

#[test]
fn a_healthy_network_loses_nothing_in_f32_and_shares_never_exceed_one() {
    let (graph, batch) = classifier(4, 1.0, "relu");
    for precision in Precision::ALL {
        let report = examine(&graph, &batch, &precision.to_string(), None);
        for layer in &report.layers {
            let all = layer.true_zero + layer.lost() + layer.lost_update.unwrap();
            assert!((0.0..=1.0 + 1e-12).contains(&all), "{precision}: {layer:?}");
            if precision.narrow() <= Dtype::F32 {
                assert_eq!(layer.lost(), 0.0, "{precision}: {layer:?}");
                let bound = if precision.narrow() == Dtype::F64 {
                    1e-12
                } else {
                    1e-4
                };
                assert!(layer.relative_error.unwrap() < bound);
                assert!(!layer.needs_wider_type());
            }
        }
    }
}

#[test]
fn a_layer_whose_derivatives_cancel_is_named_and_one_that_only_underflows_is_not() {
    let report = |activation: &str, x: f64, precision: &str| {
        let (graph, batch) = lone(activation, x);
        let layer = &examine(&graph, &batch, precision, None).layers[0];
        (layer.derivatives_cancel, layer.beyond_loss_scale)
    };
    assert_eq!(report("tanh", 20.0, "f32"), (true, false));
    assert_eq!(report("tanh", 1.0, "f32"), (false, false));
    // 1e-86 is nothing that a loss scale in f32 could lift.
    assert_eq!(report("tanh", 100.0, "f32"), (false, true));
    assert_eq!(report("relu", -20.0, "f16"), (false, false));
}

#[test]
fn the_result_does_not_depend_on_the_threads() {
    let (graph, batch) = classifier(3, 0.5, "tanh");
    let with = |threads| {
        let options = PrecisionOptions {
            precisions: Precision::ALL.to_vec(),
            loss_scale: None,
        };
        let settings = RunSettings {
            threads,
            ..settings()
        };
        examine_precision(&graph, &batch, &options, &settings).unwrap()
    };
    let one = with(1);
    assert_eq!(one, with(2));
    assert_eq!(one, with(5));
}

#[test]
fn updates_are_lost_where_the_step_is_below_the_weights_last_bit() {
    let (graph, batch) = classifier(1, 1.0, "relu");
    let report = |precision: &str, learning_rate: f64| {
        let options = PrecisionOptions {
            precisions: vec![precision.parse().unwrap()],
            loss_scale: None,
        };
        let optimiser = Some(Optimiser::Sgd { learning_rate });
        let settings = RunSettings {
            optimiser,
            ..settings()
        };
        let mut reports = examine_precision(&graph, &batch, &options, &settings).unwrap();
        reports.remove(0).share(|layer| layer.lost_update.unwrap())
    };
    // bf16 keeps 8 bits: steps of 1e-4 of a weight are gone, f32 takes them, as autocast does.
    assert!(report("bf16", 1e-3) > 0.6);
    assert_eq!(report("bf16", 1e4), 0.0);
    assert!(report("f32", 1e-3) < 0.01);
    assert!(report("autocast-bf16", 1e-3) < 0.01);
}

#[test]
fn autocast_gives_every_signal_the_type_of_its_list() {
    let mut b = GraphBuilder::new();
    let x = b.input("x", [4, 6].into()).unwrap();
    let target = b.input("target", [4].into()).unwrap();
    b.begin_layer("fc", "linear", here()).unwrap();
    let weight = parameter(&mut b, "weight", &[6, 6], vec![0.5; 36]);
    let u = b
        .node("linear", Linear { bias: false }, &[x, weight], here())
        .unwrap();
    let h = activate(&mut b, "tanh", "tanh", u);
    let scale = parameter(&mut b, "scale", &[6], vec![1.0; 6]);
    let normal = b
        .node("norm", LayerNorm::default(), &[h, scale], here())
        .unwrap();
    let sum = b.node("sum", Add, &[normal, h], here()).unwrap();
    let loss = CrossEntropy {
        reduction: Reduction::Sum,
    };
    let loss = b.node("loss", loss, &[sum, target], here()).unwrap();
    let graph = b.finish(sum, Objective::Loss(loss)).unwrap();
    let of = |precision: &str| {
        let emulator = emulator(&graph, precision.parse().unwrap());
        [x, target, weight, u, h, scale, normal, sum, loss]
            .map(|value| emulator.cotangent_dtype(value))
    };
    let (half, single) = (Some(Dtype::F16), Some(Dtype::F32));
    // What the cotangent of x and of the weight passes is the cast to f16; the index has no type.
    let expected = [half, None, half, half, half, single, single, single, single];
    assert_eq!(of("autocast-f16"), expected);
    let uniform = [half, None, half, half, half, half, half, half, half];
    assert_eq!(of("f16"), uniform);
}

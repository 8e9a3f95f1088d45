//! Promises of the engine as a whole: right gradients through branches and shared parameters, the
//! same bits on any number of threads, no signal too small or too large to measure.

use gradprobe::graph::{
    CotangentKind, Graph, GraphBuilder, Objective, Origin, ParameterData, ValueId,
};
use gradprobe::measure::measure;
use gradprobe::num::random::Stream;
use gradprobe::num::{Shape, Tensor};
use gradprobe::ops::activation::{self, ActivationOp};
use gradprobe::ops::{
    Add, ConvTranspose, CrossEntropy, Einsum, GatherElements, GroupNorm, Interpolation, Linear,
    LogSoftmax, Max, Mul, Reduce, ReduceKind, Reduction, Reshape, Resize, Role, Softmax, Split,
    TopK, Unsqueeze,
};
use gradprobe::run::{Executor, Options, RunElement, RunOutput};
use std::sync::Arc;

fn here() -> Origin {
    Origin::default()
}

fn normal(name: &str, shape: &[usize], std: f64) -> Tensor<f64> {
    let mut tensor = Tensor::zeros(Shape::new(shape));
    Stream::new(7, name).fill_normal(0.0, std, tensor.data_mut());
    tensor
}

fn parameter(builder: &mut GraphBuilder, name: &str, shape: &[usize], std: f64) -> ValueId {
    let data = ParameterData::F64(Arc::new(normal(name, shape, std)));
    builder.parameter(name, data, true).unwrap()
}

fn linear(builder: &mut GraphBuilder, name: &str, x: ValueId, units: usize, std: f64) -> ValueId {
    let fan_in = *builder.shape(x).last().unwrap();
    let w = parameter(builder, &format!("{name}.weight"), &[units, fan_in], std);
    let b = parameter(builder, &format!("{name}.bias"), &[units], 0.1);
    builder
        .node(name, Linear { bias: true }, &[x, w, b], here())
        .unwrap()
}

/// A network with a skip connection, a value read three times, a weight that two layers share, a
/// gate (a product of two branches), a reshape, and a loss.
fn branched(rows: usize) -> Graph {
    let mut b = GraphBuilder::new();
    let x = b.input("x", [rows, 6].into()).unwrap();
    let target = b.input("target", [rows].into()).unwrap();
    b.begin_layer("first", "linear", here()).unwrap();
    let h = linear(&mut b, "first", x, 8, 0.4);
    b.begin_layer("branch", "linear + softmax", here()).unwrap();
    let branch = linear(&mut b, "branch", h, 8, 0.4);
    let branch = b
        .node("branch.softmax", Softmax { axis: -1 }, &[branch], here())
        .unwrap();
    b.begin_layer("gate", "product", here()).unwrap();
    let gated = b.node("gate", Mul, &[branch, h], here()).unwrap();
    b.begin_layer("skip", "sum", here()).unwrap();
    let sum = b
        .node_with(
            "skip",
            Arc::new(Add),
            &[gated, h],
            Some(Role::Residual),
            here(),
        )
        .unwrap()[0];
    let square = b.node("square", Mul, &[sum, sum], here()).unwrap();
    b.begin_layer("tied", "linear, twice", here()).unwrap();
    let w = parameter(&mut b, "tied.weight", &[8, 8], 0.4);
    let once = b
        .node("tied.once", Linear { bias: false }, &[square, w], here())
        .unwrap();
    let twice = b
        .node("tied.twice", Linear { bias: false }, &[once, w], here())
        .unwrap();
    b.begin_layer("shape", "reshape", here()).unwrap();
    let fold = Reshape {
        shape: vec![0, 2, 4],
        ..Reshape::default()
    };
    let folded = b.node("fold", fold, &[twice], here()).unwrap();
    let unfolded = b
        .node(
            "unfold",
            Reshape {
                shape: vec![0, -1],
                ..Reshape::default()
            },
            &[folded],
            here(),
        )
        .unwrap();
    b.begin_layer("head", "linear", here()).unwrap();
    let logits = linear(&mut b, "head", unfolded, 3, 0.4);
    b.end_layer();
    let loss = CrossEntropy {
        reduction: Reduction::Mean,
    };
    let loss = b.node("loss", loss, &[logits, target], here()).unwrap();
    b.finish(logits, Objective::Loss(loss)).unwrap()
}

fn branched_inputs<T: RunElement>(rows: usize) -> Vec<Tensor<T>> {
    let target: Vec<T> = (0..rows).map(|row| T::from_f64((row % 3) as f64)).collect();
    vec![
        normal("x", &[rows, 6], 1.0).cast(),
        Tensor::new([rows], target),
    ]
}

fn run<T: RunElement>(graph: &Graph, inputs: &[Tensor<T>], threads: usize) -> RunOutput<T> {
    let options = Options {
        threads,
        keep_gradients: true,
        input_gradients: true,
        ..Options::default()
    };
    Executor::new(graph, options).unwrap().run(inputs).unwrap()
}

/// A network of ops with several outputs, indices, and values that are rearranged.
fn rearranged(rows: usize) -> Graph {
    let mut b = GraphBuilder::new();
    let x = b.input("x", [rows, 6].into()).unwrap();
    let target = b.input("target", [rows].into()).unwrap();
    b.begin_layer("first", "linear", here()).unwrap();
    let h = linear(&mut b, "first", x, 8, 0.8);
    let split = Split {
        axis: 1,
        split: vec![3, 5],
        ..Split::default()
    };
    let halves = b.node_with("split", Arc::new(split), &[h], None, here());
    let [left, right] = halves.unwrap()[..] else {
        panic!("two pieces")
    };
    let top = TopK {
        k: 3,
        ..TopK::default()
    };
    let top = b.node_with("top", Arc::new(top), &[right], None, here());
    let [largest, indices] = top.unwrap()[..] else {
        panic!("values and indices")
    };
    let gather = GatherElements { axis: 1 };
    let gathered = b.node("gather", gather, &[right, indices], here()).unwrap();
    let sum = b.node("sum", Add, &[left, largest], here()).unwrap();
    let gated = b.node("gate", Mul, &[sum, gathered], here()).unwrap();
    b.begin_layer("mixed", "einsum", here()).unwrap();
    let w = parameter(&mut b, "mixed.weight", &[4, 3], 0.5);
    let equation = "bi,ji->bj".to_string();
    let mixed = b
        .node("mix", Einsum { equation }, &[gated, w], here())
        .unwrap();
    let axes = vec![-1];
    let column = b
        .node("column", Unsqueeze { axes }, &[mixed], here())
        .unwrap();
    b.begin_layer("grown", "conv-transpose", here()).unwrap();
    let w = parameter(&mut b, "grown.weight", &[4, 2, 3], 0.5);
    let grown = b.node("grow", ConvTranspose::default(), &[column, w], here());
    let scale = parameter(&mut b, "grown.scale", &[2], 1.0);
    let shift = parameter(&mut b, "grown.shift", &[2], 1.0);
    let norm = GroupNorm {
        groups: 1,
        epsilon: 0.1,
    };
    let normal = b.node("norm", norm, &[grown.unwrap(), scale, shift], here());
    let resize = Resize {
        interpolation: Interpolation::Linear,
        scales: vec![1.0, 1.0, 2.0],
        ..Resize::default()
    };
    let wide = b.node("widen", resize, &[normal.unwrap()], here()).unwrap();
    let floor = parameter(&mut b, "grown.floor", &[1, 2, 1], 0.5);
    let wide = b.node("floor", Max, &[wide, floor], here()).unwrap();
    let log_sum = Reduce {
        kind: ReduceKind::LogSumExp,
        axes: vec![2],
        keep_dims: false,
    };
    let reduced = b.node("log-sum", log_sum, &[wide], here()).unwrap();
    b.begin_layer("head", "linear", here()).unwrap();
    let logits = linear(&mut b, "head", reduced, 3, 0.4);
    b.end_layer();
    let loss = CrossEntropy {
        reduction: Reduction::Mean,
    };
    let loss = b.node("loss", loss, &[logits, target], here()).unwrap();
    b.finish(logits, Objective::Loss(loss)).unwrap()
}

#[test]
fn gradients_through_several_outputs_and_indices_agree_with_central_differences() {
    assert_central_differences(&rearranged(70), &branched_inputs::<f64>(70));
}

#[test]
fn gradients_through_branches_and_shared_parameters_agree_with_central_differences() {
    assert_central_differences(&branched(70), &branched_inputs::<f64>(70));
}

fn assert_central_differences(graph: &Graph, inputs: &[Tensor<f64>]) {
    let output = run(graph, inputs, 2);
    for (index, parameter) in graph.parameters().iter().enumerate() {
        let gradient = output.gradients[index].as_ref().unwrap();
        let ParameterData::F64(values) = &parameter.data else {
            unreachable!()
        };
        for element in [0, values.data().len() / 2, values.data().len() - 1] {
            let step = 1e-5;
            let loss = |sign: f64| {
                let mut moved = graph.clone();
                let mut data = values.as_ref().clone();
                data.data_mut()[element] += sign * step;
                moved.set_parameter(index, ParameterData::F64(Arc::new(data)));
                run(&moved, inputs, 1).trace.loss.unwrap()
            };
            let expected = (loss(1.0) - loss(-1.0)) / (2.0 * step);
            let got = gradient.tensor.data()[element] * 2f64.powi(gradient.exponent as i32);
            assert!(
                (got - expected).abs() <= 1e-6 * expected.abs().max(1e-3),
                "{} [{element}]: {got} against {expected}",
                parameter.name
            );
        }
    }
    assert!(output.input_gradients[0].is_some());
}

#[test]
fn the_result_is_the_same_bits_on_any_number_of_threads() {
    for graph in [branched(97), rearranged(97)] {
        assert_same_bits(&graph, &branched_inputs(97));
    }
}

fn assert_same_bits(graph: &Graph, inputs: &[Tensor<f32>]) {
    let one = run(graph, inputs, 1);
    for threads in [2, 3, 7] {
        let other = run(graph, inputs, threads);
        assert_eq!(one.trace.loss, other.trace.loss);
        assert_eq!(one.gradients, other.gradients);
        assert_eq!(one.input_gradients, other.input_gradients);
        for (a, b) in one.trace.nodes.iter().zip(&other.trace.nodes) {
            assert_eq!((a.forward, a.backward), (b.forward, b.backward));
        }
    }
}

/// Layers so wide that a weight's gradient is reduced in parts, on a batch that is cut and on one
/// that is not.
fn wide(rows: usize) -> Graph {
    let mut b = GraphBuilder::new();
    let x = b.input("x", [rows, 300].into()).unwrap();
    let h = linear(&mut b, "wide", x, 1100, 0.06);
    let tanh = ActivationOp::new(activation::parse("tanh").unwrap());
    let h = b.node("tanh", tanh, &[h], here()).unwrap();
    let h = linear(&mut b, "narrow", h, 300, 0.03);
    b.finish(h, Objective::Output(h, CotangentKind::Random))
        .unwrap()
}

#[test]
fn a_wide_weights_gradient_is_reduced_to_what_it_is_as_a_whole() {
    for rows in [3, 200] {
        let graph = wide(rows);
        let inputs = [normal("x", &[rows, 300], 1.0)];
        let kept = run(&graph, &inputs, 2);
        let options = Options {
            threads: 2,
            ..Options::default()
        };
        let reduced = Executor::new(&graph, options)
            .unwrap()
            .run(&inputs)
            .unwrap();
        let traces = reduced.trace.parameters.iter();
        for ((reduced, whole), gradient) in traces.zip(&kept.trace.parameters).zip(&kept.gradients)
        {
            let (reduced, whole) = (reduced.gradient.unwrap(), whole.gradient.unwrap());
            let gradient = gradient.as_ref().unwrap();
            let square: f64 = gradient.tensor.data().iter().map(|x| x * x).sum();
            let l2 = square.sqrt().log10() + gradient.exponent as f64 * 2f64.log10();
            assert!((reduced.l2().log10() - l2).abs() < 1e-12, "{rows} rows");
            assert!((reduced.mean() / whole.mean() - 1.0).abs() < 1e-9);
            assert_eq!(reduced.max_abs().log10(), whole.max_abs().log10());
            assert_eq!(reduced.count, whole.count);
        }
        let narrow = [inputs[0].cast::<f32>()];
        assert_same_bits(&graph, &narrow);
    }
}

#[test]
fn f32_agrees_with_f64_and_a_second_run_with_the_first() {
    let graph = branched(40);
    let single = branched_inputs::<f32>(40);
    let mut executor = Executor::new(
        &graph,
        Options {
            keep_gradients: true,
            ..Options::default()
        },
    )
    .unwrap();
    let first = executor.run(&single).unwrap();
    let second = executor.run(&single).unwrap();
    assert_eq!(first.gradients, second.gradients);
    let double = run(&graph, &branched_inputs::<f64>(40), 2);
    for (a, b) in first.trace.parameters.iter().zip(&double.trace.parameters) {
        let (a, b) = (
            a.gradient.unwrap().l2().log10(),
            b.gradient.unwrap().l2().log10(),
        );
        assert!((a - b).abs() < 1e-5, "{a} against {b}");
    }
}

/// Linear layers whose weights are the identity × `factor`, without a loss.
fn scaling_chain(depth: usize, factor: f64) -> Graph {
    let mut b = GraphBuilder::new();
    let mut x = b.input("x", [64, 3].into()).unwrap();
    for layer in 0..depth {
        b.begin_layer(format!("fc{layer}"), "linear", here())
            .unwrap();
        let mut eye = Tensor::zeros([3, 3]);
        (0..3).for_each(|i| eye.data_mut()[4 * i] = factor);
        let eye = ParameterData::F64(Arc::new(eye));
        let w = b.parameter(format!("fc{layer}.weight"), eye, true).unwrap();
        x = b
            .node(
                format!("fc{layer}"),
                Linear { bias: false },
                &[x, w],
                here(),
            )
            .unwrap();
    }
    b.finish(x, Objective::Output(x, CotangentKind::Random))
        .unwrap()
}

#[test]
fn cotangents_of_any_size_keep_their_decades_in_f32() {
    for (factor, depth) in [(1e-20, 300), (1e20, 300)] {
        let graph = scaling_chain(depth, factor);
        let x = Tensor::new([64, 3], vec![1f32; 192]);
        let output = run(&graph, &[x], 2);
        let measured = measure(&graph, &output.trace, None, 0);
        let expected = factor.log10() * (depth - 1) as f64;
        let got = measured.layers[0].backward_decades.unwrap();
        // The f32 nearest to 1e±20 is off by some 1e-8 of it.
        assert!((got - expected).abs() < 1e-4, "{got} against {expected}");
    }
}

#[test]
fn gains_sum_to_the_lost_decades_along_the_chain() {
    let graph = branched(64);
    let output = run(&graph, &branched_inputs::<f64>(64), 2);
    let measured = measure(&graph, &output.trace, None, 0);
    let spine: Vec<_> = measured
        .layers
        .iter()
        .filter(|layer| layer.on_spine)
        .collect();
    let names: Vec<&str> = spine.iter().map(|layer| layer.name.as_str()).collect();
    assert_eq!(names, ["first", "skip", "tied", "head"]);
    for (position, layer) in spine.iter().enumerate() {
        let gains: f64 = spine[position + 1..]
            .iter()
            .map(|layer| layer.gains.total())
            .sum();
        let decades = layer.backward_decades.unwrap();
        assert!(
            (gains - decades).abs() <= 1e-9 * decades.abs().max(1.0),
            "{gains}, {decades}"
        );
    }
    assert!(spine[1].gains.residual != 0.0);
}

#[test]
fn decades_do_not_change_when_the_loss_is_rescaled() {
    let scaled = |scale: f64| {
        let mut b = GraphBuilder::new();
        let x = b.input("x", [50, 6].into()).unwrap();
        b.begin_layer("a", "linear", here()).unwrap();
        let h = linear(&mut b, "a", x, 20, 0.01);
        b.begin_layer("b", "linear", here()).unwrap();
        let y = linear(&mut b, "b", h, 20, 0.01);
        let y = b
            .node("b.log", LogSoftmax { axis: -1 }, &[y], here())
            .unwrap();
        b.end_layer();
        let scale = ParameterData::F64(Arc::new(Tensor::new([1], vec![scale])));
        let scale = b.parameter("scale", scale, false).unwrap();
        let out = b.node("scaled", Mul, &[y, scale], here()).unwrap();
        let graph = b
            .finish(y, Objective::Output(out, CotangentKind::Random))
            .unwrap();
        let output = run(&graph, &[normal("x", &[50, 6], 1.0).cast::<f32>()], 2);
        measure(&graph, &output.trace, None, 0)
    };
    let plain = scaled(1.0);
    for scale in [2f64.powi(-100), 2f64.powi(100)] {
        let other = scaled(scale);
        for (a, b) in plain.layers.iter().zip(&other.layers) {
            let (c, d) = (a.backward_decades.unwrap(), b.backward_decades.unwrap());
            assert!((c - d).abs() < 1e-12, "{c} against {d}");
            assert_eq!(a.gains, b.gains);
        }
    }
    // A factor that is no power of two rounds differently, but by no more than that.
    for (a, b) in plain.layers.iter().zip(&scaled(1e-30).layers) {
        let (a, b) = (a.backward_decades.unwrap(), b.backward_decades.unwrap());
        assert!((a - b).abs() < 1e-6);
    }
}

#[test]
fn inputs_that_do_not_fit_are_refused_by_name() {
    let graph = branched(8);
    let mut executor = Executor::<f32>::new(&graph, Options::default()).unwrap();
    let error = executor.run(&[]).unwrap_err().to_string();
    assert_eq!(error, "the network takes 2 inputs, got 0");
    let wrong = [Tensor::zeros([8, 5]), Tensor::zeros([8])];
    let error = executor.run(&wrong).unwrap_err().to_string();
    assert_eq!(error, "input `x`: expected shape [8, 6], got [8, 5]");
    let mut inputs = branched_inputs::<f32>(8);
    inputs[1].data_mut()[3] = 17.0;
    let error = executor.run(&inputs).unwrap_err().to_string();
    assert!(error.contains("`loss`") && error.contains("17"), "{error}");
}

/// The seed experiment: one neuron a layer, every weight 1, x = 100.
fn seed_chain(activation: &str) -> Graph {
    let mut b = GraphBuilder::new();
    let mut h = b.input("x", [1, 1].into()).unwrap();
    for layer in 1..=4 {
        b.begin_layer(format!("f{layer}"), "linear", here())
            .unwrap();
        let one = ParameterData::F64(Arc::new(Tensor::new([1, 1], vec![1.0])));
        let w = b.parameter(format!("w{layer}"), one, true).unwrap();
        h = b
            .node(format!("u{layer}"), Linear { bias: false }, &[h, w], here())
            .unwrap();
        let op = ActivationOp::new(activation::parse(activation).unwrap());
        h = b.node(format!("h{layer}"), op, &[h], here()).unwrap();
    }
    b.finish(h, Objective::Output(h, CotangentKind::Ones))
        .unwrap()
}

#[test]
fn the_seed_chain_has_its_true_gradients_in_both_types() {
    // theory: 9.28355757443550945508e-86, 0.167706858769390248, 0.304124683097546545, 0.436145382444543986
    let expected: [f64; 4] = [
        9.283557574435509e-86,
        0.16770685876939025,
        0.30412468309754655,
        0.43614538244454399,
    ];
    let graph = seed_chain("tanh");
    let double = run(&graph, &[Tensor::new([1, 1], vec![100.0f64])], 2).trace;
    let single = run(&graph, &[Tensor::new([1, 1], vec![100.0f32])], 2).trace;
    for (layer, expected) in expected.into_iter().enumerate() {
        let of = |trace: &gradprobe::run::Trace| trace.parameters[layer].gradient.unwrap().l2();
        assert!((of(&double).to_f64() / expected - 1.0).abs() < 1e-13);
        assert!((of(&single).log10() - expected.log10()).abs() < 1e-5);
    }
    let relu = run(
        &seed_chain("relu"),
        &[Tensor::new([1, 1], vec![100.0f32])],
        1,
    )
    .trace;
    assert!(
        relu.parameters
            .iter()
            .all(|p| p.gradient.unwrap().l2().to_f64() == 100.0)
    );
}

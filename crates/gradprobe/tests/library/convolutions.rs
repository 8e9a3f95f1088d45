//! Gradients of deep convolutional networks change as mean-field theory says (Xiao et al.,
//! Dynamical isometry and a mean field theory of CNNs, ICML 2018): the rates are those of fully
//! connected networks (theory §2) but for what is lost at the borders.

use super::support::{mean, runs, squared_gain, squared_slope};
use gradprobe::graph::{CotangentKind, Graph, GraphBuilder, Objective, Origin, ParameterData};
use gradprobe::measure::{LayerRun, measure};
use gradprobe::num::{Shape, Stream, Tensor};
use gradprobe::ops::activation::{self, ActivationOp};
use gradprobe::ops::{Conv, Pad, PadMode};
use gradprobe::run::{Executor, Options};
use rayon::prelude::*;
use std::sync::Arc;

const CHANNELS: usize = 64;
const EXTENT: usize = 6;
const BATCH: usize = 2;

/// Tanh layers on a torus: the image is padded with what lies at its other end.
fn torus(depth: usize, sigma_w2: f64, sigma_b2: f64, seed: u64) -> Graph {
    let mut b = GraphBuilder::new();
    let shape = Shape::from([BATCH, CHANNELS, EXTENT, EXTENT]);
    let mut h = b.input("x", shape).unwrap();
    let draw = |name: &str, shape: &[usize], variance: f64| {
        let mut tensor = Tensor::zeros(Shape::new(shape));
        Stream::new(seed, name).fill_normal(0.0, variance.sqrt(), tensor.data_mut());
        ParameterData::F32(Arc::new(tensor))
    };
    for layer in 1..=depth {
        let name = format!("conv{layer}");
        b.begin_layer(&name, "conv + tanh", Origin::default())
            .unwrap();
        let fan_in = 9 * CHANNELS;
        let word = format!("{name}.weight");
        let weight = draw(&word, &[CHANNELS, CHANNELS, 3, 3], sigma_w2 / fan_in as f64);
        let weight = b.parameter(word, weight, true).unwrap();
        let word = format!("{name}.bias");
        let bias = draw(&word, &[CHANNELS], sigma_b2);
        let bias = b.parameter(word, bias, true).unwrap();
        let around = Pad {
            pads: vec![1; 4],
            axes: vec![2, 3],
            mode: PadMode::Wrap,
            value: 0.0,
        };
        let origin = Origin::default;
        let word = |part: &str| format!("{name}.{part}");
        h = b.node(word("pad"), around, &[h], origin()).unwrap();
        let inputs = [h, weight, bias];
        h = b
            .node(word("conv"), Conv::default(), &inputs, origin())
            .unwrap();
        let op = ActivationOp::new(activation::parse("tanh").unwrap());
        h = b.node(word("tanh"), op, &[h], origin()).unwrap();
    }
    b.finish(h, Objective::Output(h, CotangentKind::Random))
        .unwrap()
}

fn run(graph: &Graph, q: f64, seed: u64) -> Vec<LayerRun> {
    let mut x = Tensor::zeros([BATCH, CHANNELS, EXTENT, EXTENT]);
    Stream::new(seed, "x").fill_normal(0.0, 1.0, x.data_mut());
    x.data_mut()
        .iter_mut()
        .for_each(|z: &mut f32| *z = (q.sqrt() as f32 * *z).tanh());
    let options = Options {
        threads: 1,
        seed,
        ..Options::default()
    };
    let output = Executor::<f32>::new(graph, options)
        .unwrap()
        .run(&[x])
        .unwrap();
    measure(graph, &output.trace, None, seed).layers
}

#[test]
fn gradients_on_a_torus_change_at_the_rate_of_fully_connected_networks() {
    // σw², the fixed point q*, and ln χ1, at σb² = 0.05.
    for (sigma_w2, q, expected) in [
        (1.3, 0.243, -0.127_65),
        (1.760_954_639_607, 0.570_047_881_641, 0.0),
        (2.5, 1.1, 0.125_32),
    ] {
        let slopes: Vec<f64> = (0..8u64)
            .into_par_iter()
            .map(|seed| squared_slope(&run(&torus(30, sigma_w2, 0.05, seed), q, seed)))
            .collect();
        let slope = mean(slopes);
        assert!(
            (slope - expected).abs() < 0.015,
            "σw² = {sigma_w2}: {slope} against {expected}"
        );
    }
}

/// What is left of the squared gradient of an image after so many 3 × 3 convolutions that are
/// padded with zeros: every pixel gives a third of its share to each neighbour along an axis, and
/// what falls off the image is lost.
fn left_after(depth: usize, extent: usize) -> f64 {
    let mut share = vec![1.0; extent];
    for _ in 0..depth {
        let at = |k: usize| share.get(k).copied().unwrap_or(0.0);
        share = (0..extent)
            .map(|k| (at(k.wrapping_sub(1)) + at(k) + at(k + 1)) / 3.0)
            .collect();
    }
    (share.iter().sum::<f64>() / extent as f64).powi(2)
}

#[test]
fn zeros_around_an_image_lose_the_gradient_that_falls_off_it() {
    let (depth, extent) = (20, 8);
    let text = format!(
        "batch = 2\nloss = \"random-cotangent\"\n\
         layers = [{{ repeat = {}, conv = 96, kernel = 3, padding = 1, activation = \"relu\" }}]\n\
         input = {{ shape = [96, {extent}, {extent}], values = \"normal\" }}\n\
         defaults = {{ init = \"he-normal\" }}\n",
        depth + 1
    );
    let runs = runs(&text, 8);
    let left = mean(runs.iter().map(|run| squared_gain(&run.layers).exp()));
    let expected = left_after(depth, extent);
    assert!((0.05..0.2).contains(&expected), "{expected}");
    assert!(
        (left / expected - 1.0).abs() < 0.15,
        "{left} against {expected}"
    );
}

/// One orthogonal matrix in the middle of the kernel keeps the norm of both signals, at any depth.
#[test]
fn delta_orthogonal_kernels_keep_the_gradients_norm() {
    let text = "batch = 2\nloss = \"random-cotangent\"\n\
         layers = [{ repeat = 50, conv = 16, kernel = 3, padding = 1 }]\n\
         input = { shape = [16, 6, 6], values = \"normal\" }\n\
         defaults = { init = \"delta-orthogonal\", bias = false }\n";
    for run in runs(text, 2) {
        for layer in &run.layers {
            assert!(layer.backward_decades.unwrap().abs() < 1e-5);
            assert!(layer.forward_decades.unwrap().abs() < 1e-5);
        }
    }
}

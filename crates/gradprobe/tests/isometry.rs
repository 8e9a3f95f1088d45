//! The singular values of the Jacobian are those of free probability (Saxe et al. 2014;
//! Pennington et al. 2017, 2018; theory §4).

#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use gradprobe::graph::{CotangentKind, GraphBuilder, Objective, Origin, ParameterData};
use gradprobe::init::{Initialiser, Target};
use gradprobe::num::{Shape, Stream, Tensor};
use gradprobe::ops::activation::{self, ActivationOp};
use gradprobe::ops::{Linear, Mul};
use gradprobe::run::{Executor, Options};
use rayon::prelude::*;
use std::sync::Arc;
use support::mean;

/// Of 400, the largest singular value with ReLU is 4 % too small, and that of one network off by 5 %.
const WIDTH: usize = 800;
const DEPTH: usize = 4;

/// The Jacobian of the network's output with respect to its input at a random point: the point
/// stands in every row of the batch, and row k's cotangent is the k-th unit vector.
fn jacobian(activation: &str, initialiser: Initialiser, seed: u64) -> Tensor<f64> {
    let mut b = GraphBuilder::new();
    let mut h = b.input("x", [WIDTH, WIDTH].into()).unwrap();
    for layer in 0..DEPTH {
        let target = Target::weight(&[WIDTH, WIDTH], 1);
        let mut weight = Tensor::zeros([WIDTH, WIDTH]);
        let mut stream = Stream::new(seed, &format!("w{layer}"));
        initialiser.fill(&target, &mut stream, weight.data_mut());
        let weight = ParameterData::F64(Arc::new(weight));
        let weight = b.parameter(format!("w{layer}"), weight, true).unwrap();
        let linear = Linear { bias: false };
        let origin = Origin::default;
        let u = b.node(format!("u{layer}"), linear, &[h, weight], origin());
        let op = ActivationOp::new(activation::parse(activation).unwrap());
        h = b
            .node(format!("h{layer}"), op, &[u.unwrap()], origin())
            .unwrap();
    }
    let mut identity = Tensor::zeros([WIDTH, WIDTH]);
    (0..WIDTH).for_each(|k| identity.data_mut()[k * WIDTH + k] = 1.0);
    let identity = ParameterData::F64(Arc::new(identity));
    let identity = b.parameter("identity", identity, false).unwrap();
    let diagonal = b
        .node("diagonal", Mul, &[h, identity], Origin::default())
        .unwrap();
    let objective = Objective::Output(diagonal, CotangentKind::Ones);
    let graph = b.finish(diagonal, objective).unwrap();
    let mut point = vec![0.0; WIDTH];
    Stream::new(seed, "x").fill_normal(0.0, 1.0, &mut point);
    let options = Options {
        input_gradients: true,
        ..Options::default()
    };
    let run = Executor::<f64>::new(&graph, options)
        .unwrap()
        .run(&[Tensor::new(
            Shape::from([WIDTH, WIDTH]),
            point.repeat(WIDTH),
        )])
        .unwrap();
    let gradient = run.input_gradients[0].as_ref().unwrap();
    let scale = f64::exp2(gradient.exponent as f64);
    let data = gradient.tensor.data().iter().map(|x| x * scale);
    Tensor::new([WIDTH, WIDTH], data.collect())
}

fn times(matrix: &Tensor<f64>, vector: &[f64]) -> Vec<f64> {
    let rows = matrix.data().par_chunks_exact(WIDTH);
    rows.map(|row| row.iter().zip(vector).map(|(a, b)| a * b).sum())
        .collect()
}

fn transposed(matrix: &Tensor<f64>) -> Tensor<f64> {
    let at = |k: usize| matrix.data()[k % WIDTH * WIDTH + k / WIDTH];
    Tensor::new([WIDTH, WIDTH], (0..WIDTH * WIDTH).map(at).collect())
}

/// By power iteration; neighbours of the largest value do not matter to its size.
fn largest_singular_value(jacobian: &Tensor<f64>) -> f64 {
    let back = transposed(jacobian);
    let mut vector = vec![0.0; WIDTH];
    Stream::new(0, "start").fill_normal(0.0, 1.0, &mut vector);
    let mut size = 0.0f64;
    for _ in 0..100 {
        vector = times(&back, &times(jacobian, &vector));
        size = vector.iter().map(|x| x * x).sum::<f64>().sqrt();
        vector.iter_mut().for_each(|x| *x /= size);
    }
    size.sqrt()
}

/// Mean and variance of the squared singular values.
fn moments(jacobian: &Tensor<f64>) -> (f64, f64) {
    let n = WIDTH as f64;
    let first = jacobian.data().iter().map(|x| x * x).sum::<f64>() / n;
    let second: f64 = (0..WIDTH)
        .map(|row| {
            let row = &jacobian.data()[row * WIDTH..][..WIDTH];
            times(jacobian, row).iter().map(|x| x * x).sum::<f64>()
        })
        .sum();
    (first, second / n - first * first)
}

/// The mean over networks of the largest singular value, and of the moments.
fn spectrum(activation: &str, initialiser: Initialiser) -> [f64; 3] {
    let of_each: Vec<[f64; 3]> = (0..6)
        .map(|seed| {
            let jacobian = jacobian(activation, initialiser, seed);
            let (first, variance) = moments(&jacobian);
            [largest_singular_value(&jacobian), first, variance]
        })
        .collect();
    [0, 1, 2].map(|index| mean(of_each.iter().map(|numbers| numbers[index])))
}

#[test]
fn the_largest_singular_value_is_that_of_free_probability() {
    let gaussian = |gain: f64| Initialiser::LecunNormal { gain };
    let orthogonal = |gain: f64| Initialiser::Orthogonal { gain };
    let relu = std::f64::consts::SQRT_2;
    // Activation, initialiser, largest value, and the variance L·(μ2/μ1² − 1 − s1) of the squares.
    let depth = DEPTH as f64;
    for (activation, initialiser, largest, variance) in [
        ("identity", gaussian(1.0), 3.493_856, depth),
        ("relu", gaussian(relu), 4.675_281, 2.0 * depth),
        ("relu", orthogonal(relu), 3.079_201, depth),
    ] {
        let [got, first, second] = spectrum(activation, initialiser);
        let words = format!("{activation}, {}", initialiser.name());
        println!("{words} {got} {first} {second}");
        assert!(
            (got / largest - 1.0).abs() < 0.05,
            "{words}: {got} against {largest}"
        );
        assert!((first - 1.0).abs() < 0.1, "{words}: {first}");
        assert!(
            (second / variance - 1.0).abs() < 0.25,
            "{words}: {second} against {variance}"
        );
    }
}

#[test]
fn every_singular_value_of_orthogonal_linear_layers_is_one() {
    let jacobian = jacobian("identity", Initialiser::Orthogonal { gain: 1.0 }, 1);
    for row in 0..WIDTH {
        let products = times(&jacobian, &jacobian.data()[row * WIDTH..][..WIDTH]);
        for (column, product) in products.into_iter().enumerate() {
            let expected = f64::from(u8::from(row == column));
            assert!((product - expected).abs() < 1e-12, "{row}, {column}");
        }
    }
}

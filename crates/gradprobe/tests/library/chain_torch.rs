//! The chain in plain arithmetic, and the exact chain, against PyTorch's autograd.

use gradprobe::num::Dtype;
use gradprobe::ops::activation::parse;
use gradprobe::theory::{Chain, ExactChain, FloatChain, LayerValues};

struct Row {
    text: &'static str,
    dtype: Dtype,
    chain: Chain,
    /// Index 0: with respect to x; index l: to w_l.
    gradients: [f64; 5],
}

fn rows() -> Vec<Row> {
    let lines = include_str!("../data/chain_torch.csv").lines();
    lines
        .filter(|line| !line.starts_with('#'))
        .map(|text| {
            let cells: Vec<&str> = text.split(',').collect();
            let numbers: Vec<f64> = cells[2..]
                .iter()
                .map(|cell| cell.parse().unwrap())
                .collect();
            let chain = Chain::new(
                parse(cells[0]).unwrap(),
                4,
                numbers[0],
                LayerValues::Each(numbers[1..5].to_vec()),
                LayerValues::Same(0.0),
            );
            let dtype = Dtype::ALL
                .into_iter()
                .find(|dtype| dtype.name() == cells[1])
                .unwrap();
            let g = &numbers[5..];
            Row {
                text,
                dtype,
                chain: chain.unwrap(),
                gradients: [g[4], g[0], g[1], g[2], g[3]],
            }
        })
        .collect()
}

/// How far two frameworks' functions, each a few units in the last place off, may bring a product
/// of eight factors apart (relative).
fn tolerance(dtype: Dtype) -> f64 {
    match dtype {
        Dtype::F64 => 1e-13,
        Dtype::F32 => 3e-5,
        Dtype::Bf16 => 0.05,
        Dtype::F16 => 0.01,
        Dtype::E5m2 | Dtype::E4m3 => unreachable!("PyTorch does not compute in 8 bits"),
    }
}

/// Relative to the gradient, or where that is in the rounding noise of a cancelled derivative, to
/// the noise: an epsilon of the type. A derivative that is computed as 1 − y² carries the last
/// unit of y, which is `amplification` times as much of a small derivative.
fn agrees(got: f64, torch: f64, dtype: Dtype, amplification: f64) -> bool {
    let (noise, epsilon): (f64, f64) = match dtype {
        Dtype::F64 => (1e-13, f64::EPSILON),
        Dtype::F32 => (1e-5, f64::from(f32::EPSILON)),
        Dtype::Bf16 => (0.02, 0.007_812_5),
        Dtype::F16 => (0.005, 0.000_976_562_5),
        Dtype::E5m2 | Dtype::E4m3 => unreachable!("PyTorch does not compute in 8 bits"),
    };
    let difference = (got - torch).abs();
    let relative = tolerance(dtype) + 2.0 * epsilon * amplification;
    got == torch
        || got.is_nan() && torch.is_nan()
        || difference <= relative * torch.abs()
        || difference <= noise * noise.min(1.0) && torch.abs() < noise
}

/// Σ 1/|φ′| over the layers that a gradient passes.
fn amplification(chain: &FloatChain, from_layer: usize, depth: usize) -> f64 {
    (from_layer.max(1)..=depth)
        .map(|layer| chain.derivative(layer).abs())
        .filter(|&derivative| derivative > 0.0)
        .map(f64::recip)
        .sum()
}

#[test]
fn plain_arithmetic_is_pytorchs_in_every_type() {
    let (mut same, mut all) = (0, 0);
    let mut failures = Vec::new();
    for row in rows() {
        let float = FloatChain::new(&row.chain, row.dtype);
        for (layer, &torch) in row.gradients.iter().enumerate() {
            let got = float.gradient(layer);
            all += 1;
            same += usize::from(got == torch);
            let amplification = amplification(&float, layer, row.chain.depth());
            if !agrees(got, torch, row.dtype, amplification) {
                failures.push(format!(
                    "layer {layer}: {got:e}, torch {torch:e}: {}",
                    row.text
                ));
            }
        }
    }
    println!("{same} of {all} gradients are PyTorch's to the bit");
    assert!(
        failures.is_empty(),
        "{} of {all}:\n{}",
        failures.len(),
        failures.join("\n")
    );
    assert!(all > 4000);
}

#[test]
fn the_exact_gradient_is_near_pytorchs_f64_where_that_does_not_cancel() {
    let mut compared = 0;
    for row in rows().into_iter().filter(|row| row.dtype == Dtype::F64) {
        // PyTorch takes hard-sigmoid's 1/6 in f32 even for f64: 3e-8 a layer.
        let bound = if row.chain.activation().name() == "hard-sigmoid" {
            4.0 * f64::from(f32::EPSILON)
        } else {
            1e-9
        };
        let exact = ExactChain::new(&row.chain);
        for (layer, &torch) in row.gradients.iter().enumerate() {
            let expected = exact.gradient(layer).value.to_f64();
            if torch.abs() < 1e-5 {
                continue;
            }
            compared += 1;
            let error = ((torch - expected) / expected).abs();
            assert!(
                error < bound,
                "layer {layer}: {expected:e}, torch {torch:e}: {}",
                row.text
            );
        }
    }
    assert!(compared > 500, "{compared}");
}

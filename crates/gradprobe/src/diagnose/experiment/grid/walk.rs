//! One network at many points at once: its weights are σ_w/√n times matrices that all points share,
//! so that the rows of several points go through each product together.

use crate::num::linalg::{Matrix, MatrixElement, MatrixMut};
use crate::num::packed::{Packed, PackedElement, packed_len};
use crate::num::scaled::{max_abs, renormalisation, renormalise, scale};
use crate::num::scratch::Scratch;
use crate::num::{Shape, Stream, Tensor};
use crate::ops::activation::Activation;
use rayon::prelude::*;
use std::sync::atomic::{AtomicBool, Ordering};

/// Layers, units and rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extents {
    pub depth: usize,
    pub width: usize,
    pub batch: usize,
}

/// What one network's draws are before any point scales them.
pub(super) struct Drawn {
    extents: Extents,
    /// Of every layer Zᵀ, laid out for products.
    forward: Vec<Vec<f32>>,
    /// Of every layer but the first Z; the gradient of the input is nobody's question.
    backward: Vec<Vec<f32>>,
    /// Of every layer, standard normal.
    biases: Vec<Vec<f32>>,
    /// Z₁ x, which is the same at every point.
    first: Vec<f32>,
    /// Row by row the products of the inputs with each other.
    inputs: Vec<f32>,
    /// ∂L/∂(output), standard normal.
    cotangent: Vec<f32>,
}

impl Drawn {
    /// Draws the network of a seed: the same numbers as the engine's network of that seed has, with
    /// σ_w = √width. `None` if it was told to stop.
    pub fn new(seed: u64, extents: Extents, stop: &AtomicBool) -> Option<Self> {
        let Extents {
            depth,
            width,
            batch,
        } = extents;
        let draw = |name: String, len: usize| {
            let mut values = vec![0f32; len];
            Stream::new(seed, &name).fill_normal(0.0, 1.0, &mut values);
            values
        };
        let layers: Option<Vec<_>> = (0..depth)
            .into_par_iter()
            .map(|layer| {
                if stop.load(Ordering::Relaxed) {
                    return None;
                }
                let weight = draw(format!("fc{}.weight", layer + 1), width * width);
                let biases = draw(format!("fc{}.bias", layer + 1), width);
                let pack = |matrix| {
                    let mut panels = vec![0f32; packed_len::<f32>(width, width)];
                    Packed::new(matrix, &mut panels);
                    panels
                };
                let weight = Matrix::new(&weight, width, width);
                let backward = if layer > 0 { pack(weight) } else { Vec::new() };
                Some((pack(weight.transposed()), backward, biases))
            })
            .collect();
        let (mut forward, mut backward, mut biases) = (Vec::new(), Vec::new(), Vec::new());
        for (there, back, bias) in layers? {
            forward.push(there);
            backward.push(back);
            biases.push(bias);
        }
        let mut x = Tensor::<f32>::zeros(Shape::from([batch, width]));
        Stream::new(seed, "x").fill_normal(0.0, 1.0, x.data_mut());
        let mut first = vec![0f32; batch * width];
        if let Some(panels) = forward.first() {
            f32::matmul_packed(
                MatrixMut::new(&mut first, batch, width),
                Matrix::new(x.data(), batch, width),
                Packed::of_panels(panels, width, width),
                false,
            );
        }
        let mut inputs = vec![0f32; batch * batch];
        products(x.data(), batch, &mut inputs);
        Some(Self {
            extents,
            forward,
            backward,
            biases,
            first,
            inputs,
            cotangent: draw("cotangent".into(), batch * width),
        })
    }
}

/// Row by row the products of some rows with each other: M Mᵀ.
fn products(rows: &[f32], count: usize, out: &mut [f32]) {
    let matrix = Matrix::new(rows, count, rows.len() / count.max(1));
    let out = MatrixMut::new(out, count, count);
    f32::matmul(out, matrix, matrix.transposed(), false);
}

/// What was measured at one point, layer by layer: log10 of norms, −∞ for an exact zero.
#[derive(Clone, Debug)]
pub(super) struct Norms {
    /// Of the gradient with respect to each layer's weights.
    pub weights: Vec<f64>,
    /// Of the gradient with respect to each layer's pre-activations.
    pub backward: Vec<f64>,
}

/// Signals of one layer for all points of a group, and what is kept of every layer.
#[derive(Default)]
pub(super) struct Workspace {
    signal: Vec<f32>,
    product: Vec<f32>,
    /// φ′ of every layer.
    slopes: Vec<f32>,
    /// By layer and point the products of the rows that the layer reads, and the power of two that
    /// those rows were multiplied by.
    gram: Vec<f32>,
    gram_exponents: Vec<i64>,
}

/// Runs one network forward and backward at some points (σ_w, σ_b). `None` if it was told to stop.
pub(super) fn walk(
    drawn: &Drawn,
    activation: &dyn Activation,
    points: &[(f64, f64)],
    space: &mut Workspace,
    stop: &AtomicBool,
) -> Option<Vec<Norms>> {
    let Extents {
        depth,
        width,
        batch,
    } = drawn.extents;
    let (cell, square) = (batch * width, batch * batch);
    let rows = points.len() * batch;
    let kernel = activation.in_f32();
    space.signal.resize(rows * width, 0.0);
    space.product.resize(rows * width, 0.0);
    space.slopes.resize(depth * rows * width, 0.0);
    space.gram.resize(depth * points.len() * square, 0.0);
    space.gram_exponents.clear();
    space.gram_exponents.resize(depth * points.len(), 0);
    let gains: Vec<f32> = points
        .iter()
        .map(|&(sigma_w, _)| (sigma_w / (width as f64).sqrt()) as f32)
        .collect();
    for layer in 0..depth {
        if stop.load(Ordering::Relaxed) {
            return None;
        }
        let grams = &mut space.gram[layer * points.len() * square..][..points.len() * square];
        if layer == 0 {
            for to in space.product.chunks_exact_mut(cell) {
                to.copy_from_slice(&drawn.first);
            }
            grams
                .chunks_exact_mut(square)
                .for_each(|gram| gram.copy_from_slice(&drawn.inputs));
        } else {
            let exponents = &mut space.gram_exponents[layer * points.len()..];
            for ((rows, gram), exponent) in space
                .signal
                .chunks_exact(cell)
                .zip(grams.chunks_exact_mut(square))
                .zip(exponents)
            {
                *exponent = scaled_products(rows, batch, gram);
            }
            f32::matmul_packed(
                MatrixMut::new(&mut space.product, rows, width),
                Matrix::new(&space.signal, rows, width),
                Packed::of_panels(&drawn.forward[layer], width, width),
                false,
            );
        }
        let slopes = &mut space.slopes[layer * rows * width..][..rows * width];
        let each = space
            .product
            .chunks_exact_mut(cell)
            .zip(space.signal.chunks_exact_mut(cell))
            .zip(slopes.chunks_exact_mut(cell))
            .zip(points.iter().zip(&gains));
        for (((product, signal), slopes), (&(_, sigma_b), &gain)) in each {
            pre_activations(product, &drawn.biases[layer], gain, sigma_b as f32);
            kernel.value_and_derivative(product, signal, slopes);
        }
    }
    let mut norms: Vec<Norms> = points
        .iter()
        .map(|_| Norms {
            weights: vec![0.0; depth],
            backward: vec![0.0; depth],
        })
        .collect();
    let mut exponents = vec![0i64; points.len()];
    let mut gram = vec![0f32; square];
    for layer in (0..depth).rev() {
        if stop.load(Ordering::Relaxed) {
            return None;
        }
        // The signal's place holds ∂L/∂u now.
        let slopes = &space.slopes[layer * rows * width..][..rows * width];
        for (point, norms) in norms.iter_mut().enumerate() {
            let range = point * cell..(point + 1) * cell;
            let (to, slopes) = (&mut space.signal[range.clone()], &slopes[range.clone()]);
            if layer + 1 == depth {
                pulled_back(&drawn.cotangent, slopes, 1.0, to);
            } else {
                pulled_back(&space.product[range], slopes, gains[point], to);
            }
            renormalise(to, &mut exponents[point]);
            products(to, batch, &mut gram);
            let read = layer * points.len() + point;
            let (squared, traced) = sums(&gram, &space.gram[read * square..][..square], batch);
            let log10 = |square: f64, exponent: i64| {
                0.5 * libm::log10(square) + exponent as f64 * std::f64::consts::LOG10_2
            };
            norms.backward[layer] = log10(traced, exponents[point]);
            norms.weights[layer] = log10(squared, exponents[point] + space.gram_exponents[read]);
        }
        if layer > 0 {
            f32::matmul_packed(
                MatrixMut::new(&mut space.product, rows, width),
                Matrix::new(&space.signal, rows, width),
                Packed::of_panels(&drawn.backward[layer], width, width),
                false,
            );
        }
    }
    Some(norms)
}

/// The products of rows whose squares may underflow: of the rows × 2^−e, and e.
fn scaled_products(rows: &[f32], count: usize, out: &mut [f32]) -> i64 {
    let Some(exponent) = renormalisation(max_abs(rows)) else {
        products(rows, count, out);
        return 0;
    };
    let exponent = i64::from(exponent);
    f32::with_scratch(rows.len(), |copy| {
        copy.copy_from_slice(rows);
        scale(copy, -exponent);
        products(copy, count, out);
    });
    exponent
}

/// ‖Σ_b δ_b h_bᵀ‖² = Σ_bc (δ_b·δ_c)(h_b·h_c), so that the gradient need not be written down; and
/// ‖δ‖².
fn sums(backward: &[f32], read: &[f32], batch: usize) -> (f64, f64) {
    let squared: f64 = backward
        .iter()
        .zip(read)
        .map(|(&d, &h)| f64::from(d) * f64::from(h))
        .sum();
    let traced: f64 = backward
        .iter()
        .step_by(batch + 1)
        .map(|&d| f64::from(d))
        .sum();
    // Rounding may leave less than nothing where all cancels.
    (if squared < 0.0 { 0.0 } else { squared }, traced)
}

/// u ← gain·u + σ_b β, row by row.
fn pre_activations(rows: &mut [f32], biases: &[f32], gain: f32, sigma_b: f32) {
    for row in rows.chunks_exact_mut(biases.len()) {
        for (u, &bias) in row.iter_mut().zip(biases) {
            *u = gain * *u + sigma_b * bias;
        }
    }
}

/// ∂L/∂u = gain·∂L/∂h ∘ φ′.
fn pulled_back(from: &[f32], slopes: &[f32], gain: f32, to: &mut [f32]) {
    for ((to, &from), &slope) in to.iter_mut().zip(from).zip(slopes) {
        *to = gain * from * slope;
    }
}

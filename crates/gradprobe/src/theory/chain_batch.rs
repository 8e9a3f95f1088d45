//! Many scalar chains at once, in f32 or f64.
//!
//! f(x) = φ(w_L φ(… φ(w_1 x))): the output and every df/dw_l of each of n chains, by the chain rule
//! with stable derivatives. The chains go through in blocks that stay in cache, split over the
//! threads of the current rayon pool; the result is the same bits however they are split.

use crate::num::simd::vectorised;
use crate::ops::activation::{Activation, ActivationElement, ActivationKernel};
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

/// The weights of a batch of chains.
#[derive(Clone, Copy, Debug)]
pub enum BatchWeights<'a, T> {
    /// One weight a layer, the same for every chain; layer 1 (nearest the input) first.
    Shared(&'a [T]),
    /// A weight for each layer and chain, `[depth][n]`: all chains of layer 1 come first.
    PerChain(&'a [T]),
}

/// Why a batch cannot be computed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BatchError {
    /// No layer at all.
    #[error("a chain needs at least one weight")]
    NoLayers,
    /// Weights a chain that do not make whole layers.
    #[error("{weights} weights are not a whole number of layers of {chains} chains")]
    RaggedWeights {
        /// How many weights were given.
        weights: usize,
        /// How many chains there are.
        chains: usize,
    },
    /// A slice to write to that is too short or too long.
    #[error("{what}: expected {expected} elements, got {got}")]
    Length {
        /// Which slice.
        what: &'static str,
        /// How many elements it should have.
        expected: usize,
        /// How many it has.
        got: usize,
    },
}

/// Computes the outputs and the gradients of n = `x.len()` chains.
///
/// `output` has n elements; `gradients` has depth × n, `[depth][n]`: df/dw_1 of every chain first.
/// Both are overwritten. A NaN in a chain makes that chain's results NaN; what is below the
/// type's range comes out as zero. Many chains are shared among the threads that it is called on
/// ([`Threads::install`](crate::num::Threads::install)).
pub fn chain_batch<T: ActivationElement>(
    activation: &dyn Activation,
    x: &[T],
    weights: BatchWeights<'_, T>,
    output: &mut [T],
    gradients: &mut [T],
) -> Result<(), BatchError> {
    let n = x.len();
    let depth = depth(n, weights)?;
    expect_length("output", n, output.len())?;
    expect_length("gradients", depth.saturating_mul(n), gradients.len())?;
    if n == 0 {
        return Ok(());
    }
    let kernel = T::activation(activation);
    // Some parts a thread, so that one that was held up does not make the others wait.
    let part_len = match rayon::current_num_threads() {
        1 => n,
        threads => n.div_ceil(4 * threads).max(LEAST_PART),
    };
    let mut parts: Vec<Part<'_, T>> = x
        .chunks(part_len)
        .zip(output.chunks_mut(part_len))
        .enumerate()
        .map(|(i, (x, output))| Part {
            first: i * part_len,
            x,
            output,
            gradients: Vec::with_capacity(depth),
        })
        .collect();
    for row in gradients.chunks_mut(n) {
        for (part, gradient) in parts.iter_mut().zip(row.chunks_mut(part_len)) {
            part.gradients.push(gradient);
        }
    }
    if parts.len() == 1 {
        parts
            .into_iter()
            .for_each(|part| part.run(kernel, n, weights));
    } else {
        parts
            .into_par_iter()
            .for_each(|part| part.run(kernel, n, weights));
    }
    Ok(())
}

/// Fewer chains than this are not worth a hand-over to another thread.
const LEAST_PART: usize = 8192;
/// What a block may keep between its forward and its backward pass.
const L1_BYTES: usize = 32 * 1024;
const L2_BYTES: usize = 512 * 1024;
/// Shorter blocks spend their time in the calls.
const ENOUGH: usize = 256;
const LARGEST_BLOCK: usize = 2048;
/// The elements of a cache line, or two.
const LINE: usize = 16;

/// How many chains go through together.
fn block_len<T>(depth: usize) -> usize {
    // Two a layer (derivative and gradient), the argument, the cotangent, the input, the output.
    let kept = depth.saturating_mul(2).saturating_add(4) * size_of::<T>();
    // In the L1 cache if the block is then not too short, else in the L2 cache.
    let block = match L1_BYTES / kept {
        few if few < ENOUGH => (L2_BYTES / kept).min(ENOUGH),
        many => many.min(LARGEST_BLOCK),
    };
    block.next_multiple_of(LINE).max(LINE)
}

/// The index of the first element on a cache line of its own, 0 if there is none.
fn aligned_from<T>(data: &[T]) -> usize {
    match data.as_ptr().align_offset(64) {
        offset if offset < data.len() && offset < LINE => offset,
        _ => 0,
    }
}

fn depth<T>(n: usize, weights: BatchWeights<'_, T>) -> Result<usize, BatchError> {
    let depth = match weights {
        BatchWeights::Shared(weights) => weights.len(),
        BatchWeights::PerChain([]) => 0,
        BatchWeights::PerChain(weights) => {
            if n == 0 || !weights.len().is_multiple_of(n) {
                return Err(BatchError::RaggedWeights {
                    weights: weights.len(),
                    chains: n,
                });
            }
            weights.len() / n
        }
    };
    if depth == 0 {
        return Err(BatchError::NoLayers);
    }
    Ok(depth)
}

fn expect_length(what: &'static str, expected: usize, got: usize) -> Result<(), BatchError> {
    if expected == got {
        Ok(())
    } else {
        Err(BatchError::Length {
            what,
            expected,
            got,
        })
    }
}

/// The chains that one task computes.
struct Part<'a, T> {
    /// The index of its first chain.
    first: usize,
    x: &'a [T],
    output: &'a mut [T],
    /// One slice a layer.
    gradients: Vec<&'a mut [T]>,
}

/// The weights of one layer for one block.
#[derive(Clone, Copy)]
enum LayerWeights<'a, T> {
    Same(T),
    Each(&'a [T]),
}

impl<T: ActivationElement> Part<'_, T> {
    fn run(mut self, kernel: &dyn ActivationKernel<T>, n: usize, weights: BatchWeights<'_, T>) {
        let depth = self.gradients.len();
        let block = block_len::<T>(depth).min(self.x.len());
        // A stride that is not a multiple of a page, so that stores to one row do not stall loads
        // of another whose address ends alike.
        let stride = block.next_multiple_of(LINE) + LINE;
        let mut scratch = vec![T::zero(); (depth + 2) * stride + LINE];
        let aligned = aligned_from(&scratch);
        let (argument, rest) = scratch[aligned..].split_at_mut(stride);
        let (cotangent, derivatives) = rest.split_at_mut(stride);
        let mut start = 0;
        while start < self.x.len() {
            // The first block ends where the next can begin on a cache line.
            let lead = if start == 0 { aligned_from(self.x) } else { 0 };
            let len = if lead > 0 { lead } else { block };
            let end = (start + len).min(self.x.len());
            let len = end - start;
            let layer_weights = |layer: usize| match weights {
                BatchWeights::Shared(weights) => LayerWeights::Same(weights[layer]),
                BatchWeights::PerChain(weights) => {
                    let from = layer * n + self.first + start;
                    LayerWeights::Each(&weights[from..from + len])
                }
            };
            let x = &self.x[start..end];
            let argument = &mut argument[..len];
            let cotangent = &mut cotangent[..len];
            // Forward. Until its gradient is known, the row of layer l holds its input h_(l−1),
            // which the gradient is made of; that of layer 1 is x.
            for layer in 0..depth {
                let (before, after) = self.gradients.split_at_mut(layer + 1);
                let input = match layer {
                    0 => x,
                    _ => &before[layer][start..end],
                };
                let value = match after.first_mut() {
                    Some(row) => &mut row[start..end],
                    None => &mut self.output[start..end],
                };
                let derivative = &mut derivatives[layer * stride..][..len];
                match layer_weights(layer) {
                    LayerWeights::Same(w) => kernel.weighted(w, input, value, derivative),
                    LayerWeights::Each(weights) => {
                        vectorised(Multiply {
                            weights,
                            input,
                            argument: &mut *argument,
                        });
                        kernel.value_and_derivative(argument, value, derivative);
                    }
                }
            }
            // Backward.
            for layer in (0..depth).rev() {
                vectorised(PullBack {
                    weights: layer_weights(layer),
                    derivative: &derivatives[layer * stride..][..len],
                    is_last: layer + 1 == depth,
                    cotangent: &mut *cotangent,
                    first_input: (layer == 0).then_some(x),
                    row: &mut self.gradients[layer][start..end],
                });
            }
            start = end;
        }
    }
}

// Structs and not functions, so that the loops are compiled for each instruction set.

/// u = w·h.
struct Multiply<'a, T> {
    weights: &'a [T],
    input: &'a [T],
    argument: &'a mut [T],
}

impl<T: ActivationElement> WithSimd for Multiply<'_, T> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        let operands = self.input.iter().zip(self.weights);
        for (u, (&h, &w)) in self.argument.iter_mut().zip(operands) {
            *u = w * h;
        }
    }
}

/// From df/dh_l in `cotangent` and h_(l−1) in `row`: df/dw_l into `row`, df/dh_(l−1) into
/// `cotangent`.
struct PullBack<'a, T> {
    weights: LayerWeights<'a, T>,
    derivative: &'a [T],
    /// df/dh_L is 1, whatever `cotangent` holds.
    is_last: bool,
    cotangent: &'a mut [T],
    /// h_0, at the first layer: it lies elsewhere, and nothing is before it.
    first_input: Option<&'a [T]>,
    row: &'a mut [T],
}

impl<T: ActivationElement> WithSimd for PullBack<'_, T> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        match self.is_last {
            true => self.pull(|_, derivative| derivative),
            false => self.pull(|cotangent, derivative| cotangent * derivative),
        }
    }
}

impl<T: ActivationElement> PullBack<'_, T> {
    /// `at_argument` gives df/du_l of df/dh_l and φ′(u_l).
    #[inline(always)]
    fn pull(self, at_argument: impl Fn(T, T) -> T) {
        let entries = self.derivative.iter().zip(self.cotangent).zip(self.row);
        match (self.first_input, self.weights) {
            (Some(input), _) => {
                for (((&d, c), g), &x) in entries.zip(input) {
                    *g = at_argument(*c, d) * x;
                }
            }
            (None, LayerWeights::Same(w)) => {
                for ((&d, c), g) in entries {
                    let at_argument = at_argument(*c, d);
                    *g = at_argument * *g;
                    *c = at_argument * w;
                }
            }
            (None, LayerWeights::Each(weights)) => {
                for (((&d, c), g), &w) in entries.zip(weights) {
                    let at_argument = at_argument(*c, d);
                    *g = at_argument * *g;
                    *c = at_argument * w;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::ops::activation::{parse, registry};

    /// (output, df/dw_1 … df/dw_L) straight from the definition: each gradient is its own product.
    fn by_definition(activation: &dyn Activation, x: f64, w: &[f64]) -> (f64, Vec<f64>) {
        let mut h = vec![x];
        let mut factors = Vec::new();
        for &w in w {
            let u = w * h[h.len() - 1];
            factors.push(activation.derivative(u));
            h.push(activation.value(u));
        }
        let gradients = (0..w.len())
            .map(|l| {
                let later: f64 = (l + 1..w.len()).map(|k| w[k] * factors[k]).product();
                later * factors[l] * h[l]
            })
            .collect();
        (h[w.len()], gradients)
    }

    fn inputs(n: usize) -> Vec<f64> {
        (0..n)
            .map(|i| ((i * 7919) % 1009) as f64 / 100.0 - 5.0)
            .collect()
    }

    #[test]
    fn a_batch_agrees_with_the_definition() {
        let n = 5000;
        let x = inputs(n);
        for depth in [1, 4, 17] {
            let shared: Vec<f64> = (0..depth).map(|l| 1.5 - 0.7 * (l % 4) as f64).collect();
            let each: Vec<f64> = (0..depth * n)
                .map(|i| ((i * 31) % 97) as f64 / 40.0 - 1.2)
                .collect();
            for entry in registry() {
                let activation = entry.make(None).unwrap();
                for per_chain in [false, true] {
                    let weights = if per_chain {
                        BatchWeights::PerChain(&each)
                    } else {
                        BatchWeights::Shared(&shared)
                    };
                    let mut output = vec![f64::NAN; n];
                    let mut gradients = vec![f64::NAN; depth * n];
                    chain_batch(&*activation, &x, weights, &mut output, &mut gradients).unwrap();
                    for i in (0..n).step_by(37) {
                        let w: Vec<f64> = match weights {
                            BatchWeights::Shared(w) => w.to_vec(),
                            BatchWeights::PerChain(w) => (0..depth).map(|l| w[l * n + i]).collect(),
                        };
                        let (value, expected) = by_definition(&*activation, x[i], &w);
                        // Exponentials of exponentials leave the type: both ways the same way.
                        let close = |a: f64, b: f64| {
                            let same = a == b || (a.is_nan() && b.is_nan());
                            same || (a - b).abs() <= 1e-12 * b.abs() + 1e-300
                        };
                        assert!(close(output[i], value), "{} {i}", activation.label());
                        for l in 0..depth {
                            let got = gradients[l * n + i];
                            assert!(
                                close(got, expected[l]),
                                "{} chain {i} layer {}: {got}, not {}",
                                activation.label(),
                                l + 1,
                                expected[l]
                            );
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn the_seed_chain_has_its_known_gradients() {
        let (mut output, mut gradients) = ([0.0f64; 1], [0.0; 4]);
        let tanh = parse("tanh").unwrap();
        let weights = BatchWeights::Shared(&[1.0; 4]);
        chain_batch(&*tanh, &[100.0], weights, &mut output, &mut gradients).unwrap();
        let expected = [
            9.283_557_574_435_509e-86,
            0.167_706_858_769_390_25,
            0.304_124_683_097_546_55,
            0.436_145_382_444_544,
        ];
        for (got, expected) in gradients.iter().zip(expected) {
            assert!(
                (got / expected - 1.0).abs() < 1e-14,
                "{got}, not {expected}"
            );
        }
    }

    #[test]
    fn the_result_is_the_same_bits_whatever_the_number_of_threads() {
        let n = 20_011;
        let x: Vec<f32> = inputs(n).iter().map(|&x| x as f32).collect();
        let gelu = parse("gelu").unwrap();
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap();
            let (mut output, mut gradients) = (vec![0.0; n], vec![0.0; 3 * n]);
            pool.install(|| {
                let weights = BatchWeights::Shared(&[1.5f32, -0.5, 2.0]);
                chain_batch(&*gelu, &x, weights, &mut output, &mut gradients).unwrap();
            });
            (output, gradients)
        };
        assert_eq!(run(1), run(3));
    }

    #[test]
    fn nan_stays_in_its_chain() {
        let (mut output, mut gradients) = ([0.0f32; 3], [0.0; 6]);
        let relu = parse("relu").unwrap();
        let weights = BatchWeights::Shared(&[1.0, 2.0]);
        chain_batch(
            &*relu,
            &[1.0, f32::NAN, 3.0],
            weights,
            &mut output,
            &mut gradients,
        )
        .unwrap();
        assert_eq!([output[0], output[2]], [2.0, 6.0]);
        assert!(output[1].is_nan() && gradients[1].is_nan() && gradients[4].is_nan());
        assert_eq!(
            [gradients[0], gradients[2], gradients[3], gradients[5]],
            [2.0, 6.0, 1.0, 3.0]
        );
    }

    #[test]
    fn lengths_that_do_not_fit_are_refused() {
        let tanh = parse("tanh").unwrap();
        let run = |x: &[f64], weights: BatchWeights<'_, f64>, output: usize, gradients: usize| {
            let mut output = vec![0.0; output];
            let mut gradients = vec![0.0; gradients];
            chain_batch(&*tanh, x, weights, &mut output, &mut gradients)
                .map_err(|error| error.to_string())
        };
        let x = [1.0, 2.0];
        let shared = BatchWeights::Shared(&[1.0, 1.0, 1.0]);
        assert_eq!(run(&x, shared, 2, 6), Ok(()));
        assert_eq!(run(&[], shared, 0, 0), Ok(()));
        assert_eq!(
            run(&x, shared, 1, 6).unwrap_err(),
            "output: expected 2 elements, got 1"
        );
        assert_eq!(
            run(&x, shared, 2, 5).unwrap_err(),
            "gradients: expected 6 elements, got 5"
        );
        assert_eq!(
            run(&x, BatchWeights::Shared(&[]), 2, 0).unwrap_err(),
            "a chain needs at least one weight"
        );
        assert_eq!(
            run(&x, BatchWeights::PerChain(&[1.0; 3]), 2, 4).unwrap_err(),
            "3 weights are not a whole number of layers of 2 chains"
        );
    }
}

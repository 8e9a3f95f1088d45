//! Convolution where every kernel sees one channel: plain loops along output lines, for as a
//! matrix product each would be a single row.

use super::Plan;
use crate::num::Element;
use crate::num::sum::{dot, sum};
use crate::ops::parallel::for_each_part;
use crate::ops::{Context, OpElement};

/// y += W ∗ x for one sample.
pub(super) fn forward<T: Element>(plan: &Plan, x: &[T], w: &[T], y: &mut [T]) {
    let window = &plan.window;
    let (len, step) = (window.line_len(), window.step());
    let kernels = w.chunks_exact(window.taps());
    let planes = y.chunks_exact_mut(window.output_len());
    for (kernel, (w, y)) in kernels.zip(planes).enumerate() {
        let x = channel(plan, x, kernel);
        for (line, y) in y.chunks_exact_mut(len).enumerate() {
            window.line(line, |tap, outputs, source| {
                let w = w[tap];
                let y = &mut y[outputs];
                let x = &x[source..];
                if step == 1 {
                    for (y, &x) in y.iter_mut().zip(x) {
                        *y += w * x;
                    }
                } else {
                    for (y, &x) in y.iter_mut().zip(x.iter().step_by(step)) {
                        *y += w * x;
                    }
                }
            });
        }
    }
}

/// ∂x += Wᵀ g for one sample.
pub(super) fn pull_input<T: Element>(plan: &Plan, w: &[T], g: &[T], dx: &mut [T]) {
    let window = &plan.window;
    let (len, step) = (window.line_len(), window.step());
    let kernels = w.chunks_exact(window.taps());
    let planes = g.chunks_exact(window.output_len());
    for (kernel, (w, g)) in kernels.zip(planes).enumerate() {
        let at = kernel / plan.kernels * window.input_len();
        let dx = &mut dx[at..at + window.input_len()];
        for (line, g) in g.chunks_exact(len).enumerate() {
            window.line(line, |tap, outputs, source| {
                let w = w[tap];
                let dx = &mut dx[source..];
                let g = &g[outputs];
                if step == 1 {
                    for (dx, &g) in dx.iter_mut().zip(g) {
                        *dx += w * g;
                    }
                } else {
                    for (dx, &g) in dx.iter_mut().step_by(step).zip(g) {
                        *dx += w * g;
                    }
                }
            });
        }
    }
}

/// ∂W = g ∗ x over the batch, kernel by kernel.
pub(super) fn pull_weight<T: OpElement>(
    context: &Context,
    plan: &Plan,
    x: &[T],
    g: &[T],
    dw: &mut [T],
) {
    let window = &plan.window;
    let (len, step) = (window.line_len(), window.step());
    let (input_len, output_len) = (plan.input_len(), plan.output_len());
    for_each_part(context.parallel, dw, window.taps(), |kernel, dw| {
        dw.fill(T::zero());
        for (x, g) in x.chunks_exact(input_len).zip(g.chunks_exact(output_len)) {
            let x = channel(plan, x, kernel);
            let g = &g[kernel * window.output_len()..][..window.output_len()];
            for (line, g) in g.chunks_exact(len).enumerate() {
                window.line(line, |tap, outputs, source| {
                    let x = &x[source..];
                    let g = &g[outputs];
                    dw[tap] += if step == 1 {
                        dot(g, &x[..g.len()])
                    } else {
                        T::with_scratch(g.len(), |products| {
                            let operands = g.iter().zip(x.iter().step_by(step));
                            for (product, (&g, &x)) in products.iter_mut().zip(operands) {
                                *product = g * x;
                            }
                            sum(products)
                        })
                    };
                });
            }
        }
    });
}

/// The channel of a sample that a kernel sees.
fn channel<'a, T>(plan: &Plan, x: &'a [T], kernel: usize) -> &'a [T] {
    let len = plan.window.input_len();
    &x[kernel / plan.kernels * len..][..len]
}

//! Pooling of sliding windows.

use super::window::{NOBODY, PoolWindow};
use crate::num::simd::vectorised;
use crate::num::{Element, Shape, View, ViewMut};
use crate::ops::attributes::AttributeReader;
use crate::ops::parallel::for_rows;
use crate::ops::shapes::{expect_inputs, misfit};
use crate::ops::window::{Axis, Window, copy_steps};
use crate::ops::{Attributes, Context, Kernel, Op, OpElement, OpError, OpFacts, Role, Saved};
use pulp::{Simd, WithSimd};

/// The largest element of every window of every channel of x\[N, C, …\]; padding never wins, NaN
/// always does. The cotangent goes to the first largest element, as in PyTorch.
#[derive(Clone, Debug, Default)]
pub struct MaxPool {
    /// The windows.
    pub window: PoolWindow,
    /// Is there a second output, of y's shape: the place of each winner in x as a flat array?
    pub indices: Option<PoolIndices>,
}

/// How the places of a plane are counted; planes come one after the other either way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolIndices {
    /// Along the last axis first.
    RowMajor,
    /// Along the first spatial axis first.
    ColumnMajor,
}

/// Single precision tells no more whole numbers apart.
const MOST_INDICES: usize = 1 << 24;

/// The mean of every window of every channel of x\[N, C, …\].
#[derive(Clone, Debug, Default)]
pub struct AveragePool {
    /// The windows.
    pub window: PoolWindow,
    /// Count padding as zeros in the mean (PyTorch's default; not ONNX's). What lies beyond the
    /// padding never counts.
    pub count_include_pad: bool,
}

impl MaxPool {
    pub(in crate::ops) fn from_attributes(attributes: &Attributes) -> Result<Box<dyn Op>, OpError> {
        let mut reader = AttributeReader::new(attributes);
        let window = PoolWindow::read(&mut reader)?;
        let column_major = reader.flag("storage_order", false)?;
        let indices = reader.flag("indices", false)?.then_some(if column_major {
            PoolIndices::ColumnMajor
        } else {
            PoolIndices::RowMajor
        });
        reader.finish()?;
        Ok(Box::new(Self { window, indices }))
    }

    /// Writes where in x the winners of all windows are.
    fn write_indices<T: OpElement>(
        &self,
        order: PoolIndices,
        window: &Window,
        x: View<'_, T>,
        first_row: usize,
        indices: &mut [T],
    ) {
        let plane_len = window.input_len();
        let first_plane = first_row * x.shape[1];
        let [depth, height, width] = [0, 1, 2].map(|axis| window.axes[axis].input);
        let mut search = Search::new(window);
        let planes = x.data.chunks_exact(plane_len.max(1));
        let outputs = indices.chunks_exact_mut(window.output_len().max(1));
        for (plane, (x, indices)) in planes.zip(outputs).enumerate() {
            let start = (first_plane + plane) * plane_len;
            for (line, indices) in indices.chunks_exact_mut(window.line_len()).enumerate() {
                for (index, &winner) in indices.iter_mut().zip(search.line(x, line)) {
                    let at = winner as usize;
                    let [d, h, w] = [at / (height * width), at / width % height, at % width];
                    let place = match order {
                        PoolIndices::RowMajor => at,
                        PoolIndices::ColumnMajor => (w * height + h) * depth + d,
                    };
                    *index = T::from_f64((start + place) as f64);
                }
            }
        }
    }
}

/// The search for the winners of a line of windows, with the memory that it needs.
struct Search<'w, T> {
    window: &'w Window,
    read: Vec<T>,
    best: Vec<T>,
    winners: Vec<u32>,
}

impl<'w, T: OpElement> Search<'w, T> {
    fn new(window: &'w Window) -> Self {
        let len = window.line_len();
        Self {
            window,
            read: vec![T::zero(); len],
            best: vec![T::zero(); len],
            winners: vec![0; len],
        }
    }

    /// The places in the plane x of the winners of a line.
    fn line(&mut self, x: &[T], line: usize) -> &[u32] {
        let step = self.window.step();
        let Self {
            read,
            best,
            winners,
            ..
        } = self;
        best.fill(T::from_f64(f64::NEG_INFINITY));
        winners.fill(NOBODY);
        self.window.line(line, |_, outputs, first| {
            let read = &mut read[..outputs.len()];
            copy_steps(read, &x[first..], step);
            vectorised(Winners {
                step: step as u32,
                first: first as u32,
                x: read,
                best: &mut best[outputs.clone()],
                winners: &mut winners[outputs],
            });
        });
        winners
    }
}

impl AveragePool {
    pub(in crate::ops) fn from_attributes(attributes: &Attributes) -> Result<Box<dyn Op>, OpError> {
        let mut reader = AttributeReader::new(attributes);
        let pool = Self {
            window: PoolWindow::read(&mut reader)?,
            count_include_pad: reader.flag("count_include_pad", false)?,
        };
        reader.finish()?;
        Ok(Box::new(pool))
    }

    /// For every output, 1/the number of elements that its mean is over.
    fn fill_weights<T: Element>(&self, window: &Window, weights: &mut [T]) {
        let [depth, height, width] = &window.axes;
        let count = |counts: (usize, usize)| {
            if self.count_include_pad {
                counts.1
            } else {
                counts.0
            }
        };
        let mut at = 0;
        for d in 0..depth.output {
            for h in 0..height.output {
                let plane = count(depth.tap_counts(d)) * count(height.tap_counts(h));
                for w in 0..width.output {
                    let elements = plane * count(width.tap_counts(w));
                    weights[at] = T::from_f64(1.0 / elements.max(1) as f64);
                    at += 1;
                }
            }
        }
    }
}

pub(super) fn pool_shape(x: &Shape, axes: &[Axis]) -> Shape {
    let mut out = x[..2].to_vec();
    out.extend(axes.iter().map(|axis| axis.output));
    Shape(out)
}

impl<T: OpElement> Kernel<T> for MaxPool {
    fn forward(
        &self,
        context: &Context,
        inputs: &[View<'_, T>],
        outputs: &mut [ViewMut<'_, T>],
    ) -> Result<(), OpError> {
        let x = inputs[0];
        let window = Window::new(&self.window.axes(x.shape)?);
        let (len, step, input_len) = (window.line_len(), window.step(), window.input_len());
        for_rows(
            context.parallel,
            &mut *outputs[0].data,
            window.output_len(),
            |planes, y| {
                let mut read = vec![T::zero(); len];
                for (plane, y) in planes.zip(y.chunks_exact_mut(window.output_len())) {
                    let x = &x.data[plane * input_len..][..input_len];
                    for (line, y) in y.chunks_exact_mut(len).enumerate() {
                        y.fill(T::from_f64(f64::NEG_INFINITY));
                        window.line(line, |_, outputs, source| {
                            let read = &mut read[..outputs.len()];
                            copy_steps(read, &x[source..], step);
                            let y = &mut y[outputs];
                            vectorised(Maxima { x: read, y });
                        });
                    }
                }
            },
        );
        if let (Some(order), [_, indices]) = (self.indices, outputs) {
            self.write_indices(order, &window, x, context.first_row, indices.data);
        }
        Ok(())
    }

    fn vjp(
        &self,
        context: &Context,
        saved: Saved<'_, T>,
        cotangents: &[Option<View<'_, T>>],
        gradients: &mut [Option<ViewMut<'_, T>>],
    ) -> Result<i64, OpError> {
        let Some(gradient) = &mut gradients[0] else {
            return Ok(0);
        };
        let Some(g) = cotangents[0] else {
            // Of the indices alone.
            gradient.data.fill(T::zero());
            return Ok(0);
        };
        let x = saved.inputs[0];
        let window = Window::new(&self.window.axes(x.shape)?);
        let (input_len, output_len) = (window.input_len(), window.output_len());
        for_rows(context.parallel, gradient.data, input_len, |planes, dx| {
            let mut search = Search::new(&window);
            for (plane, dx) in planes.zip(dx.chunks_exact_mut(input_len)) {
                let x = &x.data[plane * input_len..][..input_len];
                let g = &g.data[plane * output_len..][..output_len];
                dx.fill(T::zero());
                for (line, g) in g.chunks_exact(window.line_len()).enumerate() {
                    for (&winner, &g) in search.line(x, line).iter().zip(g) {
                        if let Some(dx) = dx.get_mut(winner as usize) {
                            *dx += g;
                        }
                    }
                }
            }
        });
        Ok(0)
    }
}

/// y = the larger of y and x, NaN where one is.
struct Maxima<'a, T> {
    x: &'a [T],
    y: &'a mut [T],
}

impl<T: Element> WithSimd for Maxima<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        for (y, &x) in self.y.iter_mut().zip(self.x) {
            *y = T::select((x > *y) | x.is_nan(), x, *y);
        }
    }
}

/// Which element wins each window of a line so far: the first NaN, else the first largest. The
/// elements of `x` lie `step` apart in their plane, from its element `first` on.
struct Winners<'a, T> {
    step: u32,
    first: u32,
    x: &'a [T],
    best: &'a mut [T],
    winners: &'a mut [u32],
}

impl<T: Element> WithSimd for Winners<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        let len = self.x.len();
        let (best, winners) = (&mut self.best[..len], &mut self.winners[..len]);
        for k in 0..len {
            let x = self.x[k];
            let nan = x.is_nan() & !best[k].is_nan();
            // The first of a window wins even where it is −∞.
            let wins = (x > best[k]) | nan | (winners[k] == NOBODY);
            let at = self.first.wrapping_add(self.step.wrapping_mul(k as u32));
            best[k] = T::select(wins, x, best[k]);
            winners[k] = if wins { at } else { winners[k] };
        }
    }
}

impl<T: OpElement> Kernel<T> for AveragePool {
    fn forward(
        &self,
        context: &Context,
        inputs: &[View<'_, T>],
        outputs: &mut [ViewMut<'_, T>],
    ) -> Result<(), OpError> {
        let x = inputs[0];
        let window = Window::new(&self.window.axes(x.shape)?);
        let (len, step) = (window.line_len(), window.step());
        let (input_len, output_len) = (window.input_len(), window.output_len());
        T::with_scratch(output_len, |weights| {
            self.fill_weights(&window, weights);
            let weights = &*weights;
            for_rows(
                context.parallel,
                outputs[0].data,
                output_len,
                |planes, y| {
                    for (plane, y) in planes.zip(y.chunks_exact_mut(output_len)) {
                        let x = &x.data[plane * input_len..][..input_len];
                        y.fill(T::zero());
                        for (line, y) in y.chunks_exact_mut(len).enumerate() {
                            window.line(line, |_, outputs, source| {
                                let x = x[source..].iter().step_by(step);
                                for (y, &x) in y[outputs].iter_mut().zip(x) {
                                    *y += x;
                                }
                            });
                        }
                        for (y, &weight) in y.iter_mut().zip(weights) {
                            *y *= weight;
                        }
                    }
                },
            );
        });
        Ok(())
    }

    fn vjp(
        &self,
        context: &Context,
        saved: Saved<'_, T>,
        cotangents: &[Option<View<'_, T>>],
        gradients: &mut [Option<ViewMut<'_, T>>],
    ) -> Result<i64, OpError> {
        let (Some(g), Some(gradient)) = (cotangents[0], &mut gradients[0]) else {
            return Ok(0);
        };
        let window = Window::new(&self.window.axes(saved.inputs[0].shape)?);
        let (len, step) = (window.line_len(), window.step());
        let (input_len, output_len) = (window.input_len(), window.output_len());
        T::with_scratch(output_len, |weights| {
            self.fill_weights(&window, weights);
            let weights = &*weights;
            for_rows(context.parallel, gradient.data, input_len, |planes, dx| {
                for (plane, dx) in planes.zip(dx.chunks_exact_mut(input_len)) {
                    let g = &g.data[plane * output_len..][..output_len];
                    dx.fill(T::zero());
                    let lines = g.chunks_exact(len).zip(weights.chunks_exact(len));
                    for (line, (g, weights)) in lines.enumerate() {
                        window.line(line, |_, outputs, source| {
                            let dx = dx[source..].iter_mut().step_by(step);
                            let g = g[outputs.clone()].iter().zip(&weights[outputs]);
                            for (dx, (&g, &weight)) in dx.zip(g) {
                                *dx += g * weight;
                            }
                        });
                    }
                }
            });
        });
        Ok(0)
    }
}

macro_rules! sliding_pool {
    ($name:ident, reads_input: $reads_input:expr, infer: $infer:expr) => {
        impl Op for $name {
            fn name(&self) -> &'static str {
                stringify!($name)
            }

            fn role(&self) -> Role {
                Role::Other
            }

            fn infer(&self, inputs: &[&Shape]) -> Result<Vec<Shape>, OpError> {
                expect_inputs(inputs, 1..=1)?;
                let y = pool_shape(inputs[0], &self.window.axes(inputs[0])?);
                let outputs: fn(&Self, &Shape, Shape) -> Result<Vec<Shape>, OpError> = $infer;
                outputs(self, inputs[0], y)
            }

            fn facts(&self) -> OpFacts {
                OpFacts {
                    pools: true,
                    // A pool that reads what it pools chooses an element of it.
                    selects: $reads_input,
                    ..OpFacts::default()
                }
            }

            fn per_sample(&self, sampled: &[bool], _inputs: &[&Shape]) -> bool {
                sampled[0]
            }

            fn reads_input(&self, _input: usize) -> bool {
                $reads_input
            }

            fn reads_outputs(&self) -> bool {
                false
            }

            fn flops(&self, _inputs: &[&Shape], outputs: &[Shape]) -> u64 {
                let taps: usize = self.window.kernel.iter().product();
                let outputs = outputs.first().map_or(0, Shape::element_count);
                (outputs as u64).saturating_mul(taps as u64)
            }
        }
    };
}

sliding_pool!(MaxPool, reads_input: true, infer: |pool, x, y| match pool.indices {
    Some(_) if x.element_count() > MOST_INDICES => {
        let expected = format!("at most {MOST_INDICES} elements to count");
        Err(misfit("input", expected, x))
    }
    Some(_) => Ok(vec![y.clone(), y]),
    None => Ok(vec![y]),
});
sliding_pool!(AveragePool, reads_input: false, infer: |_, _, y| Ok(vec![y]));

#[cfg(test)]
mod tests {
    use super::*;
    use crate::num::Tensor;
    use crate::ops::{Padding, apply, apply_vjp};

    #[test]
    fn a_nan_wins_its_windows_and_takes_their_cotangents() {
        let pool = MaxPool {
            window: PoolWindow {
                kernel: vec![2],
                ..PoolWindow::default()
            },
            indices: None,
        };
        let x = Tensor::new([1, 1, 4], vec![1.0, f64::NAN, 3.0, 3.0]);
        let (context, x) = (Context::default(), [x]);
        let y = apply(&pool, &context, &x).expect("it fits");
        assert!(y[0].data()[0].is_nan() && y[0].data()[1].is_nan());
        assert_eq!(y[0].data()[2], 3.0);
        let g = Tensor::new([1, 1, 3], vec![1.0, 10.0, 100.0]);
        let (dx, _) = apply_vjp(&pool, &context, &x, &y, &[g], &[true]).expect("it fits");
        let dx = dx[0].as_ref().expect("it was wanted");
        assert_eq!(dx.data(), [0.0, 11.0, 100.0, 0.0]);
    }

    #[test]
    fn padding_as_wide_as_the_window_is_refused() {
        let pool = MaxPool {
            window: PoolWindow {
                kernel: vec![2, 2],
                padding: Padding::Explicit(vec![2, 0, 0, 0]),
                ..PoolWindow::default()
            },
            indices: None,
        };
        let error = pool
            .infer(&[&Shape::from([1, 1, 4, 4])])
            .expect_err("too wide");
        assert_eq!(
            error.to_string(),
            "pads is 2, expected less than the window's 2 positions"
        );
    }
}

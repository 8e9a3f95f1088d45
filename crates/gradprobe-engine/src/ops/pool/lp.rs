//! LpPool and GlobalLpPool: the p-norm of windows, or of a whole channel.

use super::sliding::pool_shape;
use super::window::PoolWindow;
use crate::num::{Element, Shape, View, ViewMut};
use crate::ops::attributes::AttributeReader;
use crate::ops::parallel::for_rows;
use crate::ops::shapes::{expect_inputs, misfit};
use crate::ops::window::{Axis, Window};
use crate::ops::{
    Attributes, Autocast, Context, Kernel, Op, OpElement, OpError, OpFacts, Role, Saved,
};

/// y = (Σ |x|^p)^(1/p) over every window of every channel of x\[N, C, …\], without overflow on the
/// way. Pull-back: ∂x = g·sign(x)·(|x|/y)^(p − 1), 0 where y = 0.
#[derive(Clone, Debug)]
pub struct LpPool {
    /// The windows.
    pub window: PoolWindow,
    /// p, at least 1.
    pub p: u32,
}

/// The p-norm of every channel: x\[N, C, …\] → y\[N, C, 1, …\].
#[derive(Clone, Copy, Debug)]
pub struct GlobalLpPool {
    /// p, at least 1.
    pub p: u32,
}

fn read_p(reader: &mut AttributeReader<'_>) -> Result<u32, OpError> {
    let p = reader.size("p", 2, 1)?;
    u32::try_from(p).map_err(|_| OpError::Attribute {
        name: "p",
        expected: "a number below 2^32".into(),
        got: p.to_string(),
    })
}

impl LpPool {
    pub(in crate::ops) fn from_attributes(attributes: &Attributes) -> Result<Box<dyn Op>, OpError> {
        let mut reader = AttributeReader::new(attributes);
        let pool = Self {
            window: PoolWindow::read(&mut reader)?,
            p: read_p(&mut reader)?,
        };
        reader.finish()?;
        Ok(Box::new(pool))
    }

    fn axes(&self, x: &[usize]) -> Result<Vec<Axis>, OpError> {
        self.window.axes(x)
    }
}

impl GlobalLpPool {
    pub(in crate::ops) fn from_attributes(attributes: &Attributes) -> Result<Box<dyn Op>, OpError> {
        let mut reader = AttributeReader::new(attributes);
        let p = read_p(&mut reader)?;
        reader.finish()?;
        Ok(Box::new(Self { p }))
    }

    fn axes(&self, x: &[usize]) -> Result<Vec<Axis>, OpError> {
        let kernel = x.get(2..).unwrap_or_default().to_vec();
        if kernel.is_empty() {
            let expected = "[batch, channels] and 1 to 3 spatial axes, of at least 1";
            return Err(misfit("input", expected, Shape::new(x)));
        }
        let window = PoolWindow {
            kernel,
            ..PoolWindow::default()
        };
        window.axes(x)
    }
}

/// x^p.
fn power<T: Element>(x: T, mut p: u32) -> T {
    let (mut result, mut square) = (T::one(), x);
    while p > 0 {
        if p & 1 == 1 {
            result *= square;
        }
        p >>= 1;
        if p > 0 {
            square = square * square;
        }
    }
    result
}

fn root<T: Element>(x: T, p: u32) -> T {
    match p {
        1 => x,
        2 => x.sqrt(),
        p => T::from_f64(libm::pow(x.to_f64(), 1.0 / f64::from(p))),
    }
}

/// The norms of a line of windows over the plane x; `largest` is scratch.
fn line_norms<T: Element>(
    window: &Window,
    line: usize,
    p: u32,
    x: &[T],
    largest: &mut [T],
    y: &mut [T],
) {
    let step = window.step();
    largest.fill(T::zero());
    window.line(line, |_, outputs, source| {
        let x = x[source..].iter().step_by(step);
        for (largest, &x) in largest[outputs].iter_mut().zip(x) {
            *largest = largest.maximum(x.abs());
        }
    });
    y.fill(T::zero());
    window.line(line, |_, outputs, source| {
        let x = x[source..].iter().step_by(step);
        let sums = y[outputs.clone()].iter_mut().zip(&largest[outputs]);
        for ((sum, &largest), &x) in sums.zip(x) {
            *sum += power(x.abs() / largest, p);
        }
    });
    for (y, &largest) in y.iter_mut().zip(&*largest) {
        let usual = largest.is_finite() && largest > T::zero();
        *y = if usual {
            largest * root(*y, p)
        } else {
            largest
        };
    }
}

fn forward<T: OpElement>(context: &Context, window: &Window, p: u32, x: &[T], y: &mut [T]) {
    let (len, input_len) = (window.line_len(), window.input_len());
    for_rows(context.parallel, y, window.output_len(), |planes, y| {
        T::with_scratch(len, |largest| {
            for (plane, y) in planes.zip(y.chunks_exact_mut(window.output_len())) {
                let x = &x[plane * input_len..][..input_len];
                for (line, y) in y.chunks_exact_mut(len).enumerate() {
                    line_norms(window, line, p, x, largest, y);
                }
            }
        });
    });
}

fn pull<T: OpElement>(
    context: &Context,
    window: &Window,
    p: u32,
    [x, y, g]: [&[T]; 3],
    dx: &mut [T],
) {
    let (len, step) = (window.line_len(), window.step());
    let (input_len, output_len) = (window.input_len(), window.output_len());
    for_rows(context.parallel, dx, input_len, |planes, dx| {
        for (plane, dx) in planes.zip(dx.chunks_exact_mut(input_len)) {
            let x = &x[plane * input_len..][..input_len];
            let (y, g) = (&y[plane * output_len..], &g[plane * output_len..]);
            dx.fill(T::zero());
            let lines = y[..output_len].chunks_exact(len).zip(g.chunks_exact(len));
            for (line, (y, g)) in lines.enumerate() {
                window.line(line, |_, outputs, source| {
                    let x = x[source..].iter().step_by(step);
                    let dx = dx[source..].iter_mut().step_by(step);
                    let operands = y[outputs.clone()].iter().zip(&g[outputs]);
                    for ((dx, &x), (&y, &g)) in dx.zip(x).zip(operands) {
                        let flat = y == T::zero() || x == T::zero();
                        let slope = power(x.abs() / y, p - 1).copysign(x);
                        *dx += T::select(flat, T::zero(), g * slope);
                    }
                });
            }
        }
    });
}

macro_rules! lp_pool {
    ($name:ident) => {
        impl<T: OpElement> Kernel<T> for $name {
            fn forward(
                &self,
                context: &Context,
                inputs: &[View<'_, T>],
                outputs: &mut [ViewMut<'_, T>],
            ) -> Result<(), OpError> {
                let x = inputs[0];
                let window = Window::new(&self.axes(x.shape)?);
                forward(context, &window, self.p, x.data, outputs[0].data);
                Ok(())
            }

            fn vjp(
                &self,
                context: &Context,
                saved: Saved<'_, T>,
                cotangents: &[Option<View<'_, T>>],
                gradients: &mut [Option<ViewMut<'_, T>>],
            ) -> Result<i64, OpError> {
                if let (Some(g), Some(gradient)) = (cotangents[0], &mut gradients[0]) {
                    let (x, y) = (saved.inputs[0], saved.outputs[0]);
                    let window = Window::new(&self.axes(x.shape)?);
                    let operands = [x.data, y.data, g.data];
                    pull(context, &window, self.p, operands, gradient.data);
                }
                Ok(0)
            }
        }

        impl Op for $name {
            fn name(&self) -> &'static str {
                stringify!($name)
            }

            fn role(&self) -> Role {
                Role::Other
            }

            fn infer(&self, inputs: &[&Shape]) -> Result<Vec<Shape>, OpError> {
                expect_inputs(inputs, 1..=1)?;
                if self.p == 0 {
                    return Err(OpError::Attribute {
                        name: "p",
                        expected: "a whole number of at least 1".into(),
                        got: "0".into(),
                    });
                }
                Ok(vec![pool_shape(inputs[0], &self.axes(inputs[0])?)])
            }

            fn facts(&self) -> OpFacts {
                OpFacts {
                    pools: true,
                    autocast: Autocast::Single,
                    ..OpFacts::default()
                }
            }

            fn per_sample(&self, sampled: &[bool], _inputs: &[&Shape]) -> bool {
                sampled[0]
            }

            fn flops(&self, inputs: &[&Shape], _outputs: &[Shape]) -> u64 {
                (inputs[0].element_count() as u64).saturating_mul(20)
            }
        }
    };
}

lp_pool!(LpPool);
lp_pool!(GlobalLpPool);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::num::Tensor;
    use crate::ops::apply;

    #[test]
    fn a_norm_neither_overflows_nor_loses_a_nan() {
        let norm = |x: [f64; 2], p| {
            let x = Tensor::new([1, 1, 2], x.to_vec());
            let y = apply(&GlobalLpPool { p }, &Context::default(), &[x]).expect("it fits");
            y[0].data()[0]
        };
        assert!((norm([3e200, -4e200], 2) / 5e200 - 1.0).abs() < 1e-15);
        assert_eq!(norm([3.0, -4.0], 1), 7.0);
        assert_eq!(norm([0.0, 0.0], 3), 0.0);
        assert_eq!(norm([f64::INFINITY, 1.0], 2), f64::INFINITY);
        assert!(norm([f64::NAN, 1.0], 2).is_nan());
    }
}

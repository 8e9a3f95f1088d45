//! DFT: the discrete Fourier transform along an axis.
//!
//! Complex numbers are pairs along the last axis, real ones have an extent of 1 there. With
//! θ = 2π·jk/n:
//!
//! | form | input → output | y | pull-back |
//! |---|---|---|---|
//! | forward | real or complex → complex | y_k = Σⱼ xⱼ e^(−iθ) | xⱼ: Σ_k g_k e^(iθ) |
//! | forward, one-sided | real → the first n/2 + 1 of them | the same | the same over these k; its real part |
//! | inverse | complex → complex | yⱼ = Σ_k x_k e^(iθ)/n | x_k: Σⱼ gⱼ e^(−iθ)/n |
//! | inverse, one-sided | the first n/2 + 1 → real | the same, x_(n−k) being the conjugate of x_k | twice that where x_k stands for two |
//!
//! Where the input is longer than n the rest is not read, where it is shorter zeros stand for what
//! is missing. The arithmetic is in double precision, rounded once for a narrower type.

use super::attributes::AttributeReader;
use super::parallel::for_each_part;
use super::shapes::{expect_inputs, in_memory, misfit, resolve_axis};
use super::{Attributes, Context, Kernel, Op, OpElement, OpError, Role, Saved};
use crate::num::fourier::{Complex, Fourier};
use crate::num::{Element, Shape, View, ViewMut};

/// The longest transform: what it needs beside the signal is then below a gibibyte.
const LONGEST: usize = 1 << 22;

/// The discrete Fourier transform along an axis other than the last.
#[derive(Clone, Copy, Debug)]
pub struct Dft {
    /// The axis; counted from the end where it is negative.
    pub axis: i64,
    /// n; `None` for the input's extent (of a one-sided inverse, for twice the extent less one).
    pub length: Option<usize>,
    /// The inverse transform, which divides by n.
    pub inverse: bool,
    /// Only the first n/2 + 1 frequencies are written, or read by the inverse: the others are
    /// their conjugates.
    pub one_sided: bool,
}

impl Default for Dft {
    fn default() -> Self {
        Self {
            axis: -2,
            length: None,
            inverse: false,
            one_sided: false,
        }
    }
}

/// The sizes of a transform.
#[derive(Clone, Copy, Debug)]
struct Plan {
    /// Elements between neighbours along the axis.
    inner: usize,
    n: usize,
    /// Places along the axis, and components of a number.
    from: (usize, usize),
    to: (usize, usize),
}

impl Dft {
    pub(super) fn from_attributes(attributes: &Attributes) -> Result<Box<dyn Op>, OpError> {
        let mut reader = AttributeReader::new(attributes);
        let length = reader.size("dft_length", 0, 0)?;
        let op = Self {
            axis: reader.int("axis", -2)?,
            length: (length > 0).then_some(length),
            inverse: reader.flag("inverse", false)?,
            one_sided: reader.flag("onesided", false)?,
        };
        reader.finish()?;
        Ok(Box::new(op))
    }

    fn plan(&self, shape: &[usize]) -> Result<Plan, OpError> {
        let axis = resolve_axis("axis", self.axis, shape.len())?;
        let last = shape.len() - 1;
        let components = shape[last];
        if axis == last {
            let expected = "an axis before the last, which holds the parts of complex numbers";
            return Err(misfit("axis", expected, self.axis));
        }
        let real_only = self.one_sided && !self.inverse;
        let complex_only = self.one_sided && self.inverse;
        let expected = match components {
            1 if complex_only => "2: one-sided, the inverse is of complex numbers",
            2 if real_only => "1: a one-sided transform is of real numbers",
            1 | 2 => "",
            _ => "1 for real or 2 for complex numbers",
        };
        if !expected.is_empty() {
            return Err(misfit("extent of the last axis", expected, components));
        }
        let extent = shape[axis];
        let n = self.length.unwrap_or(match complex_only {
            true => extent.saturating_sub(1).saturating_mul(2),
            false => extent,
        });
        if !(1..=LONGEST).contains(&n) {
            let expected = format!("at least 1 and at most {LONGEST}");
            return Err(misfit("length of the transform", expected, n));
        }
        Ok(Plan {
            inner: Shape(shape[axis + 1..last].to_vec()).element_count(),
            n,
            from: (extent, components),
            to: match (self.one_sided, self.inverse) {
                (true, true) => (n, 1),
                (true, false) => (n / 2 + 1, 2),
                (false, _) => (n, 2),
            },
        })
    }

    /// y from x: `line` is n long.
    fn transform(&self, plan: &Plan, fourier: &Fourier, line: &mut [Complex]) {
        let n = plan.n;
        if self.one_sided && self.inverse {
            // Of a real signal's spectrum: the numbers that are their own conjugates are real.
            line[0].im = 0.0;
            for k in 1..=n / 2 {
                if 2 * k == n {
                    line[k].im = 0.0;
                } else {
                    line[n - k] = line[k].conj();
                }
            }
        }
        run(fourier, self.inverse, line);
        if self.inverse {
            divide(line, n);
        } else if plan.from.1 == 1 {
            // The plain and the alternating sum of real numbers are real, also infinite ones.
            line[0].im = 0.0;
            if n.is_multiple_of(2) {
                line[n / 2].im = 0.0;
            }
        }
    }

    /// The cotangent of x from that of y: `line` is n long.
    fn pull(&self, plan: &Plan, fourier: &Fourier, line: &mut [Complex]) {
        let n = plan.n;
        run(fourier, !self.inverse, line);
        if !self.inverse {
            return;
        }
        divide(line, n);
        if self.one_sided {
            for (k, number) in line.iter_mut().enumerate().take(n / 2 + 1) {
                if k == 0 || 2 * k == n {
                    number.im = 0.0;
                } else {
                    *number = number.scale(2.0);
                }
            }
            line[n / 2 + 1..].fill(Complex::default());
        }
    }
}

fn run(fourier: &Fourier, backward: bool, line: &mut [Complex]) {
    match backward {
        true => fourier.backward(line),
        false => fourier.forward(line),
    }
}

fn divide(line: &mut [Complex], n: usize) {
    let n = n as f64;
    for number in line {
        number.re /= n;
        number.im /= n;
    }
}

impl Plan {
    /// Carries the lines of `source` through `work` to `target`; lines have these (places,
    /// components).
    fn carry<T: Element>(
        &self,
        parallel: bool,
        (source, from): (&[T], (usize, usize)),
        (target, to): (&mut [T], (usize, usize)),
        work: impl Fn(&Fourier, &mut [Complex]) + Sync,
    ) {
        let fourier = Fourier::new(self.n);
        let block = |(places, components): (usize, usize)| places * self.inner * components;
        for_each_part(parallel, target, block(to).max(1), |outer, target| {
            let source = &source[outer * block(from)..][..block(from)];
            let mut line = vec![Complex::default(); self.n];
            for inner in 0..self.inner {
                line.fill(Complex::default());
                self.load(source, from, inner, &mut line);
                work(&fourier, &mut line);
                self.store(&line, target, to, inner);
            }
        });
    }

    fn load<T: Element>(
        &self,
        source: &[T],
        (places, components): (usize, usize),
        inner: usize,
        line: &mut [Complex],
    ) {
        for (place, number) in line.iter_mut().enumerate().take(places) {
            let at = (place * self.inner + inner) * components;
            number.re = source[at].to_f64();
            if components == 2 {
                number.im = source[at + 1].to_f64();
            }
        }
    }

    fn store<T: Element>(
        &self,
        line: &[Complex],
        target: &mut [T],
        (places, components): (usize, usize),
        inner: usize,
    ) {
        for place in 0..places {
            let number = line.get(place).copied().unwrap_or_default();
            let at = (place * self.inner + inner) * components;
            target[at] = T::from_f64(number.re);
            if components == 2 {
                target[at + 1] = T::from_f64(number.im);
            }
        }
    }

    /// How many places along the axis of the input are read.
    fn read_places(&self, dft: &Dft) -> usize {
        let most = match dft.one_sided && dft.inverse {
            true => self.n / 2 + 1,
            false => self.n,
        };
        self.from.0.min(most)
    }
}

impl<T: OpElement> Kernel<T> for Dft {
    fn forward(
        &self,
        context: &Context,
        inputs: &[View<'_, T>],
        outputs: &mut [ViewMut<'_, T>],
    ) -> Result<(), OpError> {
        let x = inputs[0];
        let plan = self.plan(x.shape)?;
        plan.carry(
            context.parallel,
            (x.data, plan.from),
            (outputs[0].data, plan.to),
            |fourier, line| {
                line[plan.read_places(self)..].fill(Complex::default());
                self.transform(&plan, fourier, line);
            },
        );
        Ok(())
    }

    fn vjp(
        &self,
        context: &Context,
        _saved: Saved<'_, T>,
        cotangents: &[Option<View<'_, T>>],
        gradients: &mut [Option<ViewMut<'_, T>>],
    ) -> Result<i64, OpError> {
        let (Some(g), Some(gradient)) = (cotangents[0], &mut gradients[0]) else {
            return Ok(0);
        };
        let plan = self.plan(gradient.shape)?;
        plan.carry(
            context.parallel,
            (g.data, plan.to),
            (gradient.data, plan.from),
            |fourier, line| self.pull(&plan, fourier, line),
        );
        Ok(0)
    }
}

impl Op for Dft {
    fn name(&self) -> &'static str {
        "DFT"
    }

    fn role(&self) -> Role {
        Role::Other
    }

    fn infer(&self, inputs: &[&Shape]) -> Result<Vec<Shape>, OpError> {
        expect_inputs(inputs, 1..=1)?;
        let x = inputs[0];
        let plan = self.plan(x)?;
        // Every product of extents has to be a number, also where another extent is 0.
        in_memory(x.iter().map(|&extent| extent.max(1)).collect())?;
        let mut out = x.to_vec();
        let axis = resolve_axis("axis", self.axis, x.len())?;
        (out[axis], out[x.len() - 1]) = plan.to;
        Ok(vec![in_memory(out)?])
    }

    fn per_sample(&self, sampled: &[bool], inputs: &[&Shape]) -> bool {
        let axis = resolve_axis("axis", self.axis, inputs[0].len());
        sampled[0] && axis.is_ok_and(|axis| axis > 0)
    }

    fn reads_input(&self, _input: usize) -> bool {
        false
    }

    fn reads_outputs(&self) -> bool {
        false
    }

    fn flops(&self, _inputs: &[&Shape], outputs: &[Shape]) -> u64 {
        // 5 n log₂ n real operations a line of n numbers, with log₂ n about 10.
        let elements = outputs.first().map_or(0, Shape::element_count);
        (elements as u64).saturating_mul(25)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::num::Tensor;
    use crate::ops::apply;

    fn transformed(op: Dft, shape: [usize; 3], data: Vec<f64>) -> Vec<f64> {
        let x = Tensor::new(shape, data);
        let outputs = apply(&op, &Context::default(), &[x]).expect("it fits");
        outputs[0].data().to_vec()
    }

    #[test]
    fn the_inverse_takes_the_transform_back_at_every_length() {
        for n in [1usize, 2, 3, 7, 8, 97, 360] {
            let signal: Vec<f64> = (0..n).map(|j| ((j * j) as f64).sin()).collect();
            let one_sided = Dft {
                one_sided: true,
                ..Dft::default()
            };
            let spectrum = transformed(one_sided, [1, n, 1], signal.clone());
            let back = Dft {
                inverse: true,
                length: Some(n),
                ..one_sided
            };
            let got = transformed(back, [1, n / 2 + 1, 2], spectrum);
            for (got, expected) in got.iter().zip(&signal) {
                assert!((got - expected).abs() < 1e-14, "{got}, expected {expected}");
            }
        }
    }

    #[test]
    fn real_and_complex_numbers_are_told_apart() {
        let refusal = |op: Dft, shape: [usize; 3]| {
            let shape = Shape::from(shape);
            op.infer(&[&shape]).expect_err("refused").to_string()
        };
        let one_sided = Dft {
            one_sided: true,
            ..Dft::default()
        };
        assert!(refusal(one_sided, [1, 4, 2]).contains("of real numbers"));
        let back = Dft {
            inverse: true,
            ..one_sided
        };
        assert!(refusal(back, [1, 4, 1]).contains("of complex numbers"));
        assert!(refusal(Dft::default(), [1, 4, 3]).contains("1 for real or 2 for complex"));
        assert!(refusal(Dft::default(), [1, 0, 1]).contains("at least 1 and at most"));
        let last = Dft {
            axis: 2,
            ..Dft::default()
        };
        assert!(refusal(last, [1, 4, 1]).contains("before the last"));
    }
}

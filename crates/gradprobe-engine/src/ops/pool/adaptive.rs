//! Adaptive pooling: windows that divide the input into a given number of outputs.

use crate::num::{Element, Shape, View, ViewMut};
use crate::ops::attributes::AttributeReader;
use crate::ops::parallel::for_rows;
use crate::ops::resample::{Taps, resample, resample_back};
use crate::ops::shapes::{expect_inputs, in_memory, misfit};
use crate::ops::{Attributes, Context, Kernel, Op, OpElement, OpError, OpFacts, Role, Saved};
use std::ops::Range;

/// The mean of every window of every channel of x\[N, C, …\], the windows as in PyTorch: output o
/// of n is over the inputs from ⌊o·input/n⌋ to below ⌈(o + 1)·input/n⌉.
#[derive(Clone, Debug, Default)]
pub struct AdaptiveAveragePool {
    /// The output's spatial extents.
    pub output_size: Vec<usize>,
}

/// The largest element of every such window; NaN always wins, and the cotangent goes to the first
/// largest element, as in PyTorch.
#[derive(Clone, Debug, Default)]
pub struct AdaptiveMaxPool {
    /// The output's spatial extents.
    pub output_size: Vec<usize>,
}

fn window(output: usize, outputs: usize, inputs: usize) -> Range<usize> {
    let at = |o: usize| o as u128 * inputs as u128;
    let outputs = outputs as u128;
    (at(output) / outputs) as usize..at(output + 1).div_ceil(outputs) as usize
}

fn read(attributes: &Attributes) -> Result<Vec<usize>, OpError> {
    let mut reader = AttributeReader::new(attributes);
    let output_size = reader.sizes("output_size", 1)?;
    reader.finish()?;
    Ok(output_size)
}

fn target(x: &Shape, output_size: &[usize]) -> Result<Shape, OpError> {
    if !(3..=5).contains(&x.len()) || x[1..].contains(&0) {
        let expected = "[batch, channels] and 1 to 3 spatial axes, of at least 1";
        return Err(misfit("input", expected, x));
    }
    if output_size.len() != x.len() - 2 || output_size.contains(&0) {
        return Err(OpError::Attribute {
            name: "output_size",
            expected: format!("{} numbers of at least 1", x.len() - 2),
            got: match output_size {
                [] => "missing".into(),
                sizes => format!("{sizes:?}"),
            },
        });
    }
    let mut out = x[..2].to_vec();
    out.extend(output_size);
    in_memory(out)
}

impl AdaptiveAveragePool {
    pub(in crate::ops) fn from_attributes(attributes: &Attributes) -> Result<Box<dyn Op>, OpError> {
        let output_size = read(attributes)?;
        Ok(Box::new(Self { output_size }))
    }

    fn taps(&self, x: &[usize]) -> Vec<Taps> {
        let axes = self.output_size.iter().zip(&x[2..]).enumerate();
        let changed = axes.filter(|(_, (outputs, inputs))| outputs != inputs);
        let taps = |(axis, (&outputs, &inputs))| Taps {
            axis: axis + 2,
            of: (0..outputs)
                .map(|output| {
                    let window = window(output, outputs, inputs);
                    let weight = 1.0 / window.len() as f64;
                    window.map(|input| (input, weight)).collect()
                })
                .collect(),
        };
        changed.map(taps).collect()
    }
}

impl AdaptiveMaxPool {
    pub(in crate::ops) fn from_attributes(attributes: &Attributes) -> Result<Box<dyn Op>, OpError> {
        let output_size = read(attributes)?;
        Ok(Box::new(Self { output_size }))
    }

    /// Calls `visit(output, its winner)` for every output of a plane.
    fn winners<T: Element>(&self, spatial: &[usize], x: &[T], mut visit: impl FnMut(usize, usize)) {
        let mut inputs = [1; 3];
        let mut outputs = [1; 3];
        inputs[3 - spatial.len()..].copy_from_slice(spatial);
        outputs[3 - spatial.len()..].copy_from_slice(&self.output_size);
        let along = |axis: usize| {
            let windows = (0..outputs[axis]).map(move |o| window(o, outputs[axis], inputs[axis]));
            windows.collect::<Vec<_>>()
        };
        let [depths, heights, widths] = [along(0), along(1), along(2)];
        let mut output = 0;
        for depth in &depths {
            for height in &heights {
                for width in &widths {
                    let mut best = None;
                    for d in depth.clone() {
                        for h in height.clone() {
                            let line = (d * inputs[1] + h) * inputs[2];
                            for at in line + width.start..line + width.end {
                                let wins = best.is_none_or(|best: usize| {
                                    !x[best].is_nan() && (x[at] > x[best] || x[at].is_nan())
                                });
                                if wins {
                                    best = Some(at);
                                }
                            }
                        }
                    }
                    if let Some(best) = best {
                        visit(output, best);
                    }
                    output += 1;
                }
            }
        }
    }
}

impl<T: OpElement> Kernel<T> for AdaptiveAveragePool {
    fn forward(
        &self,
        context: &Context,
        inputs: &[View<'_, T>],
        outputs: &mut [ViewMut<'_, T>],
    ) -> Result<(), OpError> {
        let x = inputs[0];
        let taps = self.taps(x.shape);
        resample(context.parallel, &taps, x.shape, x.data, outputs[0].data);
        Ok(())
    }

    fn vjp(
        &self,
        context: &Context,
        _saved: Saved<'_, T>,
        cotangents: &[Option<View<'_, T>>],
        gradients: &mut [Option<ViewMut<'_, T>>],
    ) -> Result<i64, OpError> {
        if let (Some(g), Some(dx)) = (cotangents[0], &mut gradients[0]) {
            let taps = self.taps(dx.shape);
            resample_back(context.parallel, &taps, dx.shape, g.data, dx.data);
        }
        Ok(0)
    }
}

impl<T: OpElement> Kernel<T> for AdaptiveMaxPool {
    fn forward(
        &self,
        context: &Context,
        inputs: &[View<'_, T>],
        outputs: &mut [ViewMut<'_, T>],
    ) -> Result<(), OpError> {
        let (x, spatial) = (inputs[0].data, &inputs[0].shape[2..]);
        let len: usize = spatial.iter().product();
        let output_len = self.output_size.iter().product();
        for_rows(
            context.parallel,
            outputs[0].data,
            output_len,
            |planes, y| {
                for (plane, y) in planes.zip(y.chunks_exact_mut(output_len)) {
                    let x = &x[plane * len..][..len];
                    self.winners(spatial, x, |output, winner| y[output] = x[winner]);
                }
            },
        );
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
        let (x, spatial) = (saved.inputs[0].data, &saved.inputs[0].shape[2..]);
        let len: usize = spatial.iter().product();
        let output_len: usize = self.output_size.iter().product();
        for_rows(context.parallel, gradient.data, len, |planes, dx| {
            for (plane, dx) in planes.zip(dx.chunks_exact_mut(len)) {
                let x = &x[plane * len..][..len];
                let g = &g.data[plane * output_len..][..output_len];
                dx.fill(T::zero());
                self.winners(spatial, x, |output, winner| dx[winner] += g[output]);
            }
        });
        Ok(0)
    }
}

macro_rules! adaptive_pool {
    ($name:ident, reads_input: $reads_input:expr) => {
        impl Op for $name {
            fn name(&self) -> &'static str {
                stringify!($name)
            }

            fn role(&self) -> Role {
                Role::Other
            }

            fn infer(&self, inputs: &[&Shape]) -> Result<Vec<Shape>, OpError> {
                expect_inputs(inputs, 1..=1)?;
                Ok(vec![target(inputs[0], &self.output_size)?])
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

            fn flops(&self, inputs: &[&Shape], outputs: &[Shape]) -> u64 {
                let outputs = outputs.first().map_or(0, Shape::element_count);
                (inputs[0].element_count() as u64).saturating_add(outputs as u64)
            }
        }
    };
}

adaptive_pool!(AdaptiveAveragePool, reads_input: false);
adaptive_pool!(AdaptiveMaxPool, reads_input: true);

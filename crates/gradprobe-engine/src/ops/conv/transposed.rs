//! ConvTranspose: the adjoint of a convolution with respect to its input.

use super::{Plan, correlate, pull_bias, pull_input, pull_kernel};
use crate::num::{Shape, View, ViewMut};
use crate::ops::attributes::AttributeReader;
use crate::ops::parallel::for_rows;
use crate::ops::shapes::{expect_inputs, expect_len, expect_shape, in_memory, misfit};
use crate::ops::window::{Axis, Padding};
use crate::ops::{
    Attributes, Autocast, Context, Kernel, Op, OpElement, OpError, OpFacts, Role, Saved,
};

/// y\[n, m, o·stride − begin + k·dilation\] += x\[n, c, o\] · W\[c, m, k\] for every input position
/// o and tap k, the channels m of c's group; and b\[m\] everywhere.
///
/// Inputs x\[N, C, …\], W\[C, M/groups, …\] and, if given, b\[M\], with one to three spatial axes.
/// An axis of the output has stride·(input − 1) + output_padding + dilation·(kernel − 1) + 1 −
/// begin − end positions; with `SameUpper` and `SameLower` it has stride·input, and `output_shape`
/// says it outright.
///
/// It is ∂x of [`Conv`](super::Conv) with y and x exchanged. Pull-back: ∂x is that convolution of
/// g, ∂W the correlation of g with x, ∂b = Σ g.
#[derive(Clone, Debug)]
pub struct ConvTranspose {
    /// The step between what neighbouring inputs write to, one a spatial axis.
    pub strides: Vec<usize>,
    /// What is cut off the ends of the output.
    pub padding: Padding,
    /// The step between the kernel's taps, one a spatial axis.
    pub dilations: Vec<usize>,
    /// The channels are split into so many groups that do not mix.
    pub groups: usize,
    /// Positions added at the end of the output, one a spatial axis; empty for none.
    pub output_padding: Vec<usize>,
    /// The output's spatial extents; empty where the padding decides.
    pub output_shape: Vec<usize>,
}

impl Default for ConvTranspose {
    fn default() -> Self {
        Self {
            strides: Vec::new(),
            padding: Padding::default(),
            dilations: Vec::new(),
            groups: 1,
            output_padding: Vec::new(),
            output_shape: Vec::new(),
        }
    }
}

impl ConvTranspose {
    pub(in crate::ops) fn from_attributes(attributes: &Attributes) -> Result<Box<dyn Op>, OpError> {
        let mut reader = AttributeReader::new(attributes);
        let conv = Self {
            strides: reader.sizes("strides", 1)?,
            padding: Padding::read(&mut reader)?,
            dilations: reader.sizes("dilations", 1)?,
            groups: reader.size("group", 1, 1)?,
            output_padding: reader.sizes("output_padding", 0)?,
            output_shape: reader.sizes("output_shape", 1)?,
        };
        reader.finish()?;
        Ok(Box::new(conv))
    }

    /// The axes of the convolution that this is the adjoint of: its input is the output here.
    fn axes(&self, x: &[usize], w: &[usize]) -> Result<Vec<Axis>, OpError> {
        let rank = x.len() - 2;
        let lists = [
            ("strides", &self.strides),
            ("dilations", &self.dilations),
            ("output_padding", &self.output_padding),
            ("output_shape", &self.output_shape),
        ];
        for (name, list) in lists {
            if !list.is_empty() {
                expect_len(name, list, rank)?;
            }
        }
        if let Padding::Explicit(pads) = &self.padding
            && !pads.is_empty()
        {
            expect_len("pads", pads, 2 * rank)?;
        }
        (0..rank)
            .map(|axis| self.axis(axis, x[2 + axis], w[2 + axis]))
            .collect()
    }

    fn axis(&self, axis: usize, input: usize, kernel: usize) -> Result<Axis, OpError> {
        let entry = |list: &[usize], default| list.get(axis).map_or(default, |&entry| entry);
        let (stride, dilation) = (entry(&self.strides, 1), entry(&self.dilations, 1));
        if stride == 0 || dilation == 0 {
            return Err(OpError::Attribute {
                name: if stride == 0 { "strides" } else { "dilations" },
                expected: "numbers of at least 1".into(),
                got: "0".into(),
            });
        }
        let wide = |extent: usize| extent as u128;
        let reach = wide(kernel - 1)
            .saturating_mul(wide(dilation))
            .saturating_add(1);
        let full = wide(input - 1)
            .saturating_mul(wide(stride))
            .saturating_add(reach)
            .saturating_add(wide(entry(&self.output_padding, 0)));
        let most = isize::MAX as u128 / 4;
        let given = match &self.padding {
            _ if !self.output_shape.is_empty() => Some(wide(entry(&self.output_shape, 1))),
            Padding::SameUpper | Padding::SameLower => Some(wide(input) * wide(stride)),
            Padding::Explicit(_) => None,
        };
        let (output, begin) = match (given, &self.padding) {
            (None, Padding::Explicit(pads)) if !pads.is_empty() => {
                let rank = pads.len() / 2;
                let (begin, end) = (wide(pads[axis]), wide(pads[rank + axis]));
                let left = full.checked_sub(begin.saturating_add(end));
                let left = left.filter(|&left| left > 0).ok_or_else(|| {
                    let name = format!("axis {} of the output without padding", axis + 2);
                    misfit(name, format!("more than {begin} + {end} positions"), full)
                })?;
                (left, begin)
            }
            (None, _) => (full, 0),
            (Some(output), padding) => {
                let total = full.saturating_sub(output);
                let smaller = total / 2;
                match padding {
                    Padding::SameUpper => (output, smaller),
                    _ => (output, total - smaller),
                }
            }
        };
        if full > most || output > most {
            let expected = "a tensor that fits in memory";
            return Err(misfit("output", expected, "a larger one"));
        }
        Ok(Axis {
            input: output as usize,
            output: input,
            kernel,
            stride,
            dilation,
            begin: begin as isize,
            end: 0,
        })
    }

    fn plan(&self, x: &[usize], w: &[usize]) -> Result<Plan, OpError> {
        Ok(Plan::new(&self.axes(x, w)?, self.groups, w))
    }
}

impl<T: OpElement> Kernel<T> for ConvTranspose {
    fn forward(
        &self,
        context: &Context,
        inputs: &[View<'_, T>],
        outputs: &mut [ViewMut<'_, T>],
    ) -> Result<(), OpError> {
        let (x, w) = (inputs[0], inputs[1]);
        let plan = self.plan(x.shape, w.shape)?;
        let y = &mut *outputs[0].data;
        pull_input(context, &plan, w.data, x.data, y);
        if let Some(bias) = inputs.get(2) {
            let plane = plan.window.input_len();
            for_rows(context.parallel, y, plane, |planes, y| {
                for (plane, y) in planes.zip(y.chunks_exact_mut(plane)) {
                    let bias = bias.data[plane % bias.data.len()];
                    y.iter_mut().for_each(|y| *y += bias);
                }
            });
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
        let Some(g) = cotangents[0] else { return Ok(0) };
        let (x, w) = (saved.inputs[0], saved.inputs[1]);
        let plan = self.plan(x.shape, w.shape)?;
        if let Some(gradient) = &mut gradients[0] {
            correlate(context, &plan, g.data, w.data, None, gradient.data);
        }
        if let Some(gradient) = &mut gradients[1] {
            pull_kernel(context, &plan, g, x.data, gradient.data);
        }
        if let Some(Some(gradient)) = gradients.get_mut(2) {
            pull_bias(plan.window.input_len(), g, gradient.data);
        }
        Ok(0)
    }
}

impl Op for ConvTranspose {
    fn name(&self) -> &'static str {
        "ConvTranspose"
    }

    fn role(&self) -> Role {
        Role::Weight
    }

    fn facts(&self) -> OpFacts {
        OpFacts {
            autocast: Autocast::Narrow,
            bias_of_product: Some(2),
            ..OpFacts::default()
        }
    }

    fn infer(&self, inputs: &[&Shape]) -> Result<Vec<Shape>, OpError> {
        expect_inputs(inputs, 2..=3)?;
        let (x, w) = (inputs[0], inputs[1]);
        if !(3..=5).contains(&x.len()) || x[1..].contains(&0) {
            let expected = "[batch, channels] and 1 to 3 spatial axes, of at least 1";
            return Err(misfit("input", expected, x));
        }
        if w.len() != x.len() || w.contains(&0) {
            let expected = format!("{} extents of at least 1, as the input has", x.len());
            return Err(misfit("kernel", expected, w));
        }
        if w[0] != x[1] {
            return Err(OpError::Mismatch {
                one: format!("kernel has {} input channels", w[0]),
                other: format!("input has {}", x[1]),
            });
        }
        if self.groups == 0 || w[0] % self.groups != 0 {
            return Err(OpError::Attribute {
                name: "group",
                expected: format!("a divisor of the {} input channels", w[0]),
                got: self.groups.to_string(),
            });
        }
        let channels = w[1].saturating_mul(self.groups);
        if let Some(bias) = inputs.get(2) {
            expect_shape("the bias", &[channels], bias)?;
        }
        let mut out = vec![x[0], channels];
        out.extend(self.axes(x, w)?.iter().map(|axis| axis.input));
        Ok(vec![in_memory(out)?])
    }

    fn per_sample(&self, sampled: &[bool], _inputs: &[&Shape]) -> bool {
        sampled[0] && !sampled[1..].contains(&true)
    }

    fn reads_input(&self, input: usize) -> bool {
        input < 2
    }

    fn reads_outputs(&self) -> bool {
        false
    }

    fn flops(&self, inputs: &[&Shape], _outputs: &[Shape]) -> u64 {
        let taps = 2 * inputs[1].row_len() as u64;
        (inputs[0].element_count() as u64).saturating_mul(taps)
    }
}

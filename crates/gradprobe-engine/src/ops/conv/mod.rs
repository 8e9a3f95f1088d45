//! Conv: cross-correlation with learned kernels, over one to three spatial axes, in groups; and
//! its adjoint, ConvTranspose.

mod columns;
mod depthwise;
mod together;
mod transposed;

pub use transposed::ConvTranspose;

use super::attributes::AttributeReader;
use super::parallel::for_each_part;
use super::shapes::{expect_inputs, expect_shape, misfit};
use super::window::{Axis, Padding, Window, WindowAttributes, resolve};
use super::{
    Attributes, Autocast, Context, Kernel, Op, OpElement, OpError, OpFacts, Role, Saved,
    WeightLayout,
};
use crate::num::sum::{column_sums_by, sum, sum_map};
use crate::num::{Element, Shape, View, ViewMut};
use columns::Columns;

/// Multiplications of a weight gradient that are worth splitting the batch for.
const SPLIT_PRODUCTS: usize = 1 << 24;
/// The most parts a batch is split into for a weight gradient, and the most elements that their
/// partial sums may take.
const MOST_PARTS: usize = 8;
const MOST_PARTIAL_ELEMENTS: usize = 1 << 24;

/// The fewest columns of a tile, for a matrix product to be efficient; more for the weight's
/// gradient, all of which is read and written for every tile.
const LEAST_COLUMNS: usize = 32;
const LEAST_COLUMNS_FOR_WEIGHT: usize = 128;

/// y\[n, m, o\] = b\[m\] + Σ x\[n, c, o·stride − begin + k·dilation\] · W\[m, c, k\], the sum over
/// the channels c of m's group and the taps k.
///
/// Inputs x\[N, C, …\], W\[M, C/groups, …\] and, if given, b\[M\], with one to three spatial axes.
/// An empty list of strides or dilations means ones, as in ONNX.
///
/// Pull-back: ∂x is the correlation of g with the kernel reversed, ∂W that of x with g, ∂b = Σ g.
#[derive(Clone, Debug)]
pub struct Conv {
    /// The step of the window, one a spatial axis.
    pub strides: Vec<usize>,
    /// How the ends are padded (with zeros).
    pub padding: Padding,
    /// The step between the kernel's taps, one a spatial axis.
    pub dilations: Vec<usize>,
    /// The channels are split into so many groups that do not mix.
    pub groups: usize,
}

impl Default for Conv {
    fn default() -> Self {
        Self {
            strides: Vec::new(),
            padding: Padding::default(),
            dilations: Vec::new(),
            groups: 1,
        }
    }
}

/// The extents of a convolution.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) window: Window,
    pub(super) groups: usize,
    /// Input channels of a group.
    pub(super) channels: usize,
    /// Output channels of a group.
    pub(super) kernels: usize,
}

impl Plan {
    /// Of kernels w\[outputs, inputs of a group, …\] over these axes.
    fn new(axes: &[Axis], groups: usize, w: &[usize]) -> Self {
        Self {
            window: Window::new(axes),
            groups,
            channels: w[1],
            kernels: w[0] / groups,
        }
    }

    /// Elements of a sample of the input.
    fn input_len(&self) -> usize {
        self.groups * self.channels * self.window.input_len()
    }

    /// Elements of a sample of the output.
    fn output_len(&self) -> usize {
        self.groups * self.kernels * self.window.output_len()
    }

    /// Taps of one kernel over its channels: the columns of the weight as a matrix.
    pub(super) fn fan_in(&self) -> usize {
        self.channels * self.window.taps()
    }

    fn is_depthwise(&self) -> bool {
        self.channels == 1
    }

    /// Parts that a batch is split into for the weight gradient; from the extents alone.
    fn parts(&self, samples: usize) -> usize {
        let weights = self.groups * self.kernels * self.fan_in();
        let products = samples
            .saturating_mul(self.output_len())
            .saturating_mul(self.fan_in());
        let worth = (products / SPLIT_PRODUCTS).min(MOST_PARTS);
        worth
            .min(MOST_PARTIAL_ELEMENTS / weights.max(1))
            .min(samples)
            .max(1)
    }
}

impl Conv {
    pub(super) fn from_attributes(attributes: &Attributes) -> Result<Box<dyn Op>, OpError> {
        let mut reader = AttributeReader::new(attributes);
        let conv = Self {
            strides: reader.sizes("strides", 1)?,
            padding: Padding::read(&mut reader)?,
            dilations: reader.sizes("dilations", 1)?,
            groups: reader.size("group", 1, 1)?,
        };
        reader.finish()?;
        Ok(Box::new(conv))
    }

    fn axes(&self, x: &[usize], w: &[usize]) -> Result<Vec<Axis>, OpError> {
        let attributes = WindowAttributes {
            kernel: &w[2..],
            strides: &self.strides,
            padding: &self.padding,
            dilations: &self.dilations,
            ceil_mode: false,
        };
        resolve(&attributes, &x[2..])
    }

    fn plan(&self, x: &[usize], w: &[usize]) -> Result<Plan, OpError> {
        Ok(Plan::new(&self.axes(x, w)?, self.groups, w))
    }
}

impl<T: OpElement> Kernel<T> for Conv {
    fn forward(
        &self,
        context: &Context,
        inputs: &[View<'_, T>],
        outputs: &mut [ViewMut<'_, T>],
    ) -> Result<(), OpError> {
        let (x, w, bias) = (inputs[0], inputs[1], inputs.get(2));
        let plan = self.plan(x.shape, w.shape)?;
        let bias = bias.map(|bias| bias.data);
        correlate(context, &plan, x.data, w.data, bias, outputs[0].data);
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
            pull_input(context, &plan, w.data, g.data, gradient.data);
        }
        if let Some(gradient) = &mut gradients[1] {
            pull_kernel(context, &plan, x, g.data, gradient.data);
        }
        if let Some(Some(gradient)) = gradients.get_mut(2) {
            pull_bias(plan.window.output_len(), g, gradient.data);
        }
        Ok(0)
    }
}

/// y = W ∗ x, with the bias if there is one.
fn correlate<T: OpElement>(
    context: &Context,
    plan: &Plan,
    x: &[T],
    w: &[T],
    bias: Option<&[T]>,
    y: &mut [T],
) {
    if !plan.is_depthwise() {
        return Columns::new(plan, LEAST_COLUMNS).forward(context, x, w, bias, y);
    }
    let within = shares_images(context, y.len() / plan.output_len().max(1));
    for_each_part(context.parallel, y, plan.output_len(), |sample, out| {
        let x = &x[sample * plan.input_len()..][..plan.input_len()];
        match bias {
            Some(bias) => fill_planes(out, plan.window.output_len(), bias),
            None => out.fill(T::zero()),
        }
        depthwise::forward(within, plan, x, w, out);
    });
}

/// Are there so few images that threads would be idle if each took whole ones?
fn shares_images(context: &Context, images: usize) -> bool {
    context.parallel && images < 2 * rayon::current_num_threads()
}

/// Each plane of an image with its channel's number.
fn fill_planes<T: Element>(image: &mut [T], plane: usize, numbers: &[T]) {
    for (plane, &number) in image.chunks_exact_mut(plane).zip(numbers) {
        plane.fill(number);
    }
}

/// ∂W.
fn pull_kernel<T: OpElement>(
    context: &Context,
    plan: &Plan,
    x: View<'_, T>,
    g: &[T],
    gradient: &mut [T],
) {
    if plan.is_depthwise() {
        depthwise::pull_weight(context, plan, x.data, g, gradient);
    } else {
        pull_weight(context, plan, x, g, gradient);
    }
}

fn pull_input<T: OpElement>(context: &Context, plan: &Plan, w: &[T], g: &[T], dx: &mut [T]) {
    // Turned round, a kernel is laid over zeros around the cotangent, and ∞ × 0 would leak from an
    // infinite or NaN weight to inputs that it never saw. Columns that are added to where they came
    // from have no such zeros.
    let by_columns = |dx: &mut [T]| Columns::new(plan, LEAST_COLUMNS).pull_input(context, w, g, dx);
    let has_non_finite = || sum_map(w, |w| w * T::zero()).is_nan();
    if plan.is_depthwise() {
        if has_non_finite() {
            return by_columns(dx);
        }
        let within = shares_images(context, dx.len() / plan.input_len().max(1));
        for_each_part(context.parallel, dx, plan.input_len(), |sample, dx| {
            dx.fill(T::zero());
            let g = &g[sample * plan.output_len()..][..plan.output_len()];
            depthwise::pull_input(within, plan, w, g, dx);
        });
        return;
    }
    // Turning the kernel round costs as much as an image of half as many positions as kernels.
    let small = 2 * plan.window.output_len() < plan.kernels;
    let turned = plan.window.unit_strides() && !plan.window.is_pointwise() && !small;
    if !turned || has_non_finite() {
        return by_columns(dx);
    }
    // The cotangent's channels are the input of this one, and the kernel is turned round.
    let reversed = Plan {
        window: plan.window.reversed(),
        groups: plan.groups,
        channels: plan.kernels,
        kernels: plan.channels,
    };
    T::with_scratch(w.len(), |turned| {
        columns::turn_weight(plan, w, turned);
        Columns::new(&reversed, LEAST_COLUMNS).forward(context, g, turned, None, dx);
    });
}

/// ∂W: partial sums over parts of the batch, added up in their order, so that the result does not
/// depend on who computes which.
fn pull_weight<T: OpElement>(
    context: &Context,
    plan: &Plan,
    x: View<'_, T>,
    g: &[T],
    gradient: &mut [T],
) {
    let columns = Columns::new(plan, LEAST_COLUMNS_FOR_WEIGHT);
    let samples = x.shape[0];
    if g.is_empty() {
        return gradient.fill(T::zero());
    }
    if columns.are_multiplied_at_once(samples) {
        return columns.weight_gradient_of_batch(context, x.data, g, gradient);
    }
    let parts = plan.parts(samples);
    let add_part = |part: usize, sum: &mut [T]| {
        let first = samples * part / parts;
        for sample in first..samples * (part + 1) / parts {
            let x = &x.data[sample * plan.input_len()..][..plan.input_len()];
            let g = &g[sample * plan.output_len()..][..plan.output_len()];
            columns.weight_gradient_of_one(x, g, sum, sample > first);
        }
    };
    if parts == 1 {
        return add_part(0, gradient);
    }
    let len = gradient.len();
    T::with_scratch(parts * len, |partial| {
        for_each_part(context.parallel, partial, len, add_part);
        gradient.copy_from_slice(&partial[..len]);
        for part in partial.chunks_exact(len).skip(1) {
            for (total, &part) in gradient.iter_mut().zip(part) {
                *total += part;
            }
        }
    });
}

fn pull_bias<T: Element>(plane: usize, g: View<'_, T>, gradient: &mut [T]) {
    let kernels = gradient.len();
    column_sums_by(gradient, g.shape[0], |sample, first, sums| {
        for (offset, total) in sums.iter_mut().enumerate() {
            let at = (sample * kernels + first + offset) * plane;
            *total += sum(&g.data[at..at + plane]);
        }
    });
}

impl Op for Conv {
    fn name(&self) -> &'static str {
        "Conv"
    }

    fn role(&self) -> Role {
        Role::Weight
    }

    fn infer(&self, inputs: &[&Shape]) -> Result<Vec<Shape>, OpError> {
        expect_inputs(inputs, 2..=3)?;
        let (x, w) = (inputs[0], inputs[1]);
        if !(3..=5).contains(&x.len()) {
            return Err(misfit(
                "input",
                "[batch, channels] and 1 to 3 spatial axes",
                x,
            ));
        }
        if x[1..].contains(&0) {
            return Err(misfit("input", "extents of at least 1", x));
        }
        if w.len() != x.len() || w.contains(&0) {
            let expected = format!("{} extents of at least 1, as the input has", x.len());
            return Err(misfit("kernel", expected, w));
        }
        if self.groups == 0 || w[0] % self.groups != 0 {
            return Err(OpError::Attribute {
                name: "group",
                expected: format!("a divisor of the {} kernels", w[0]),
                got: self.groups.to_string(),
            });
        }
        if w[1].checked_mul(self.groups) != Some(x[1]) {
            let groups = match self.groups {
                1 => String::new(),
                groups => format!(" in each of {groups} groups"),
            };
            return Err(OpError::Mismatch {
                one: format!("kernel has {} input channels{groups}", w[1]),
                other: format!("input has {}", x[1]),
            });
        }
        if let Some(bias) = inputs.get(2) {
            expect_shape("the bias", &[w[0]], bias)?;
        }
        let mut out = vec![x[0], w[0]];
        out.extend(self.axes(x, w)?.iter().map(|axis| axis.output));
        Ok(vec![Shape(out)])
    }

    fn per_sample(&self, sampled: &[bool], _inputs: &[&Shape]) -> bool {
        sampled[0] && !sampled[1..].contains(&true)
    }

    fn facts(&self) -> OpFacts {
        OpFacts {
            weight: Some(WeightLayout::Kernel),
            autocast: Autocast::Narrow,
            bias_of_product: Some(2),
            ..OpFacts::default()
        }
    }

    fn reads_input(&self, input: usize) -> bool {
        input < 2
    }

    fn reads_outputs(&self) -> bool {
        false
    }

    fn flops(&self, inputs: &[&Shape], outputs: &[Shape]) -> u64 {
        let taps = 2 * inputs[1].row_len() as u64;
        let outputs = outputs.first().map_or(0, Shape::element_count) as u64;
        outputs.saturating_mul(taps)
    }
}

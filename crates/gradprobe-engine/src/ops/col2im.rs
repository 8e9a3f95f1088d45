//! Col2Im: sliding blocks added up into an image, the adjoint of taking them out (PyTorch's
//! `fold`).

use super::attributes::AttributeReader;
use super::shapes::{expect_inputs, in_memory, misfit};
use super::window::{Axis, Padding, Window, WindowAttributes, resolve};
use super::{Attributes, Context, Kernel, Op, OpElement, OpError, Role, Saved};
use crate::num::{Shape, View, ViewMut};

/// x \[batch, channels · taps of a block, blocks\] → \[batch, channels, image…\]: element t of
/// block b is added where tap t of a convolution with the same window reads for its output b.
///
/// Pull-back: every block takes its elements out of the cotangent (PyTorch's `unfold`).
#[derive(Clone, Debug)]
pub struct Col2Im {
    /// The spatial extents of the image, one to three.
    pub image_shape: Vec<usize>,
    /// The extents of a block.
    pub block_shape: Vec<usize>,
    /// The steps between blocks; empty for 1 along every axis.
    pub strides: Vec<usize>,
    /// So much around the image: all the begins, then all the ends; empty for none.
    pub pads: Vec<usize>,
    /// The steps between elements of a block; empty for 1 along every axis.
    pub dilations: Vec<usize>,
}

impl Default for Col2Im {
    fn default() -> Self {
        Self {
            image_shape: vec![1, 1],
            block_shape: vec![1, 1],
            strides: Vec::new(),
            pads: Vec::new(),
            dilations: Vec::new(),
        }
    }
}

impl Col2Im {
    pub(super) fn from_attributes(attributes: &Attributes) -> Result<Box<dyn Op>, OpError> {
        let mut reader = AttributeReader::new(attributes);
        let given = |sizes: Vec<usize>, default: Vec<usize>| match sizes.is_empty() {
            true => default,
            false => sizes,
        };
        let default = Self::default();
        let op = Self {
            image_shape: given(reader.sizes("image_shape", 1)?, default.image_shape),
            block_shape: given(reader.sizes("block_shape", 1)?, default.block_shape),
            strides: reader.sizes("strides", 1)?,
            pads: reader.sizes("pads", 0)?,
            dilations: reader.sizes("dilations", 1)?,
        };
        reader.finish()?;
        Ok(Box::new(op))
    }

    fn axes(&self) -> Result<Vec<Axis>, OpError> {
        let attributes = WindowAttributes {
            kernel: &self.block_shape,
            strides: &self.strides,
            padding: &Padding::Explicit(self.pads.clone()),
            dilations: &self.dilations,
            ceil_mode: false,
        };
        resolve(&attributes, &self.image_shape)
    }

    fn window(&self) -> Result<Window, OpError> {
        Ok(Window::new(&self.axes()?))
    }

    /// Calls `visit(where in a channel's columns, where in its image, how many, the step between
    /// their places in the image)` for every run of elements that is inside the image.
    fn runs(window: &Window, mut visit: impl FnMut(usize, usize, usize)) {
        let blocks = window.output_len();
        for line in 0..window.line_count() {
            window.line(line, |tap, outputs, source| {
                let first = tap * blocks + line * window.line_len() + outputs.start;
                if !outputs.is_empty() {
                    visit(first, source, outputs.len());
                }
            });
        }
    }
}

impl<T: OpElement> Kernel<T> for Col2Im {
    fn forward(
        &self,
        _context: &Context,
        inputs: &[View<'_, T>],
        outputs: &mut [ViewMut<'_, T>],
    ) -> Result<(), OpError> {
        if inputs[0].data.is_empty() {
            outputs[0].data.fill(T::zero());
            return Ok(());
        }
        let window = self.window()?;
        let (columns, image) = (window.taps() * window.output_len(), window.input_len());
        let step = window.step();
        let channels = inputs[0].data.chunks_exact(columns);
        for (y, x) in outputs[0].data.chunks_exact_mut(image).zip(channels) {
            y.fill(T::zero());
            Self::runs(&window, |first, source, len| {
                let places = y[source..].iter_mut().step_by(step);
                for (y, &x) in places.zip(&x[first..first + len]) {
                    *y += x;
                }
            });
        }
        Ok(())
    }

    fn vjp(
        &self,
        _context: &Context,
        _saved: Saved<'_, T>,
        cotangents: &[Option<View<'_, T>>],
        gradients: &mut [Option<ViewMut<'_, T>>],
    ) -> Result<i64, OpError> {
        let (Some(g), Some(gradient)) = (cotangents[0], &mut gradients[0]) else {
            return Ok(0);
        };
        if gradient.data.is_empty() {
            return Ok(0);
        }
        let window = self.window()?;
        let (columns, image) = (window.taps() * window.output_len(), window.input_len());
        let step = window.step();
        let channels = gradient.data.chunks_exact_mut(columns);
        for (dx, g) in channels.zip(g.data.chunks_exact(image)) {
            // What fell on the padding went nowhere.
            dx.fill(T::zero());
            Self::runs(&window, |first, source, len| {
                let places = g[source..].iter().step_by(step);
                for (dx, &g) in dx[first..first + len].iter_mut().zip(places) {
                    *dx = g;
                }
            });
        }
        Ok(0)
    }
}

impl Op for Col2Im {
    fn name(&self) -> &'static str {
        "Col2Im"
    }

    fn role(&self) -> Role {
        Role::Other
    }

    fn infer(&self, inputs: &[&Shape]) -> Result<Vec<Shape>, OpError> {
        expect_inputs(inputs, 1..=1)?;
        let x = inputs[0];
        let axes = self.axes()?;
        // The attributes are whatever a file says: their products have to be numbers.
        in_memory(self.image_shape.clone())?;
        let taps = in_memory(axes.iter().map(|axis| axis.kernel).collect())?.element_count();
        let blocks = in_memory(axes.iter().map(|axis| axis.output).collect())?.element_count();
        let [batch, columns, got] = x[..] else {
            return Err(misfit("input", "3 axes: batch, block, blocks", x));
        };
        if !columns.is_multiple_of(taps) || got != blocks {
            return Err(misfit(
                "input",
                format!("[batch, a multiple of {taps}, {blocks}]"),
                x,
            ));
        }
        in_memory(vec![columns, blocks])?;
        let mut out = vec![batch, columns / taps];
        out.extend(&self.image_shape);
        Ok(vec![in_memory(out)?])
    }

    fn per_sample(&self, sampled: &[bool], _inputs: &[&Shape]) -> bool {
        sampled[0]
    }

    fn reads_input(&self, _input: usize) -> bool {
        false
    }

    fn reads_outputs(&self) -> bool {
        false
    }

    fn flops(&self, inputs: &[&Shape], _outputs: &[Shape]) -> u64 {
        inputs[0].element_count() as u64
    }
}

//! The windows of a pool: what its attributes say, and where that puts them.

use crate::num::Shape;
use crate::ops::OpError;
use crate::ops::attributes::AttributeReader;
use crate::ops::shapes::misfit;
use crate::ops::window::{Axis, Padding, WindowAttributes, resolve};

/// No element of a plane has this position: a window that nobody has won yet.
pub(super) const NOBODY: u32 = u32::MAX;

/// The windows that a pool slides over the spatial axes of x\[N, C, …\].
#[derive(Clone, Debug, Default)]
pub struct PoolWindow {
    /// The window's extents, one a spatial axis.
    pub kernel: Vec<usize>,
    /// The step of the window; empty for ones, as in ONNX (PyTorch's default is the kernel).
    pub strides: Vec<usize>,
    /// How the ends are padded; by less than the window's extent.
    pub padding: Padding,
    /// The step between the elements of a window; empty for ones.
    pub dilations: Vec<usize>,
    /// Round the number of windows up: the last one may reach beyond the padding.
    pub ceil_mode: bool,
}

impl PoolWindow {
    pub(super) fn read(reader: &mut AttributeReader<'_>) -> Result<Self, OpError> {
        Ok(Self {
            kernel: reader.sizes("kernel_shape", 1)?,
            strides: reader.sizes("strides", 1)?,
            padding: Padding::read(reader)?,
            dilations: reader.sizes("dilations", 1)?,
            ceil_mode: reader.flag("ceil_mode", false)?,
        })
    }

    /// Where the windows lie on each spatial axis of `x`.
    pub(super) fn axes(&self, x: &[usize]) -> Result<Vec<Axis>, OpError> {
        if !(3..=5).contains(&x.len()) || x[1..].contains(&0) {
            let expected = "[batch, channels] and 1 to 3 spatial axes, of at least 1";
            return Err(misfit("input", expected, Shape::new(x)));
        }
        if self.kernel.is_empty() {
            return Err(OpError::Attribute {
                name: "kernel_shape",
                expected: format!("{} numbers", x.len() - 2),
                got: "missing".into(),
            });
        }
        let plane = x[2..].iter().fold(1usize, |all, &n| all.saturating_mul(n));
        if plane >= NOBODY as usize {
            let expected = format!("planes of fewer than {NOBODY} elements");
            return Err(misfit("input", expected, Shape::new(x)));
        }
        let axes = resolve(
            &WindowAttributes {
                kernel: &self.kernel,
                strides: &self.strides,
                padding: &self.padding,
                dilations: &self.dilations,
                ceil_mode: self.ceil_mode,
            },
            &x[2..],
        )?;
        for axis in &axes {
            let reach = (axis.kernel - 1) * axis.dilation + 1;
            if axis.begin as usize >= reach || axis.end >= reach {
                return Err(OpError::Attribute {
                    name: "pads",
                    expected: format!("less than the window's {reach} positions"),
                    got: (axis.begin as usize).max(axis.end).to_string(),
                });
            }
        }
        Ok(axes)
    }
}

//! DepthToSpace and SpaceToDepth: channels to blocks of pixels and back.

use super::attributes::{AttributeReader, wrong};
use super::shapes::{expect_inputs, misfit};
use super::transpose::permute;
use super::{Attribute, Attributes, Context, Kernel, Op, OpElement, OpError, Role, Saved};
use crate::num::{Element, Shape, View, ViewMut};

/// In which order the channels hold the pixels of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum DepthOrder {
    /// Depth, column, row: channel (row of the block, column, c).
    #[default]
    Dcr,
    /// Column, row, depth: channel (c, row of the block, column), as PyTorch's `pixel_shuffle`.
    Crd,
}

/// x\[N, C·b², H, W\] → y\[N, C, H·b, W·b\]: every b² channels become a block of pixels.
#[derive(Clone, Copy, Debug)]
pub struct DepthToSpace {
    /// The block's extent b both ways.
    pub block: usize,
    /// The order of the channels.
    pub order: DepthOrder,
}

/// x\[N, C, H·b, W·b\] → y\[N, C·b², H, W\]: what [`DepthToSpace`] undoes.
#[derive(Clone, Copy, Debug)]
pub struct SpaceToDepth {
    /// The block's extent b both ways.
    pub block: usize,
    /// The order of the channels; ONNX has `Dcr` alone, PyTorch's `pixel_unshuffle` is `Crd`.
    pub order: DepthOrder,
}

fn read(attributes: &Attributes) -> Result<(usize, DepthOrder), OpError> {
    let mut reader = AttributeReader::new(attributes);
    let block = reader.size("blocksize", 1, 1)?;
    let order = match reader.text("mode", "DCR")? {
        "DCR" => DepthOrder::Dcr,
        "CRD" => DepthOrder::Crd,
        other => {
            return Err(wrong("mode", "DCR or CRD", &Attribute::Text(other.into())));
        }
    };
    reader.finish()?;
    Ok((block, order))
}

impl DepthToSpace {
    pub(super) fn from_attributes(attributes: &Attributes) -> Result<Box<dyn Op>, OpError> {
        let (block, order) = read(attributes)?;
        Ok(Box::new(Self { block, order }))
    }

    fn target(&self, x: &Shape) -> Result<Shape, OpError> {
        let Some((&[n, depth, height, width], area)) = image(x).zip(area(self.block)) else {
            return Err(misfit("input", "[batch, channels, height, width]", x));
        };
        if depth % area != 0 {
            let expected = format!("a multiple of {area}");
            return Err(misfit("number of channels", expected, depth));
        }
        let larger = |extent: usize| {
            let product = extent.checked_mul(self.block);
            product.ok_or_else(|| misfit("output", "a tensor that fits in memory", x))
        };
        Ok(Shape::from([
            n,
            depth / area,
            larger(height)?,
            larger(width)?,
        ]))
    }
}

impl SpaceToDepth {
    pub(super) fn from_attributes(attributes: &Attributes) -> Result<Box<dyn Op>, OpError> {
        let (block, order) = read(attributes)?;
        Ok(Box::new(Self { block, order }))
    }

    fn target(&self, x: &Shape) -> Result<Shape, OpError> {
        let Some((&[n, channels, height, width], area)) = image(x).zip(area(self.block)) else {
            return Err(misfit("input", "[batch, channels, height, width]", x));
        };
        if height % self.block != 0 || width % self.block != 0 {
            let expected = format!("a height and a width that {} divides", self.block);
            return Err(misfit("input", expected, x));
        }
        let depth = channels.checked_mul(area);
        let depth = depth.ok_or_else(|| misfit("output", "a tensor that fits in memory", x))?;
        Ok(Shape::from([
            n,
            depth,
            height / self.block,
            width / self.block,
        ]))
    }
}

fn image(x: &Shape) -> Option<&[usize; 4]> {
    (**x).try_into().ok()
}

fn area(block: usize) -> Option<usize> {
    block.checked_mul(block).filter(|&area| area > 0)
}

/// The extents of the deep side with the channels taken apart, and which of these axes each axis
/// of the spacious side, taken apart likewise, is: \[n, c, height, row, width, column\].
fn apart(deep: &[usize], block: usize, order: DepthOrder) -> ([usize; 6], [usize; 6]) {
    let channels = deep[1] / (block * block);
    let [n, height, width] = [deep[0], deep[2], deep[3]];
    match order {
        DepthOrder::Dcr => (
            [n, block, block, channels, height, width],
            [0, 3, 4, 1, 5, 2],
        ),
        DepthOrder::Crd => (
            [n, channels, block, block, height, width],
            [0, 1, 4, 2, 5, 3],
        ),
    }
}

fn to_space<T: Element>(deep: View<'_, T>, space: &mut [T], block: usize, order: DepthOrder) {
    let (extents, axes) = apart(deep.shape, block, order);
    let deep = View {
        shape: &extents,
        data: deep.data,
    };
    let shape = axes.map(|axis| extents[axis]);
    let mut space = ViewMut {
        shape: &shape,
        data: space,
    };
    permute(deep, &mut space, &axes);
}

fn to_depth<T: Element>(
    deep_shape: &[usize],
    space: &[T],
    deep: &mut [T],
    block: usize,
    order: DepthOrder,
) {
    let (extents, axes) = apart(deep_shape, block, order);
    let mut inverse = [0; 6];
    for (to, &from) in axes.iter().enumerate() {
        inverse[from] = to;
    }
    let shape = axes.map(|axis| extents[axis]);
    let space = View {
        shape: &shape,
        data: space,
    };
    let mut deep = ViewMut {
        shape: &extents,
        data: deep,
    };
    permute(space, &mut deep, &inverse);
}

macro_rules! rearrangement {
    ($name:ident, $deepens:expr) => {
        impl<T: OpElement> Kernel<T> for $name {
            fn forward(
                &self,
                _context: &Context,
                inputs: &[View<'_, T>],
                outputs: &mut [ViewMut<'_, T>],
            ) -> Result<(), OpError> {
                let (x, y) = (inputs[0], &mut outputs[0]);
                if $deepens {
                    to_depth(y.shape, x.data, y.data, self.block, self.order);
                } else {
                    to_space(x, y.data, self.block, self.order);
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
                if let (Some(g), Some(dx)) = (cotangents[0], &mut gradients[0]) {
                    if $deepens {
                        to_space(g, dx.data, self.block, self.order);
                    } else {
                        to_depth(dx.shape, g.data, dx.data, self.block, self.order);
                    }
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
                Ok(vec![self.target(inputs[0])?])
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
        }
    };
}

rearrangement!(DepthToSpace, false);
rearrangement!(SpaceToDepth, true);

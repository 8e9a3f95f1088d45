//! GridSample: an image read at given places, as a spatial transformer does (Jaderberg et al.
//! 2015).
//!
//! `places.rs` says which elements each place reads and by how much; here they are read, and
//! cotangents are carried back to the image and to the places.

mod places;

use super::attributes::{Attribute, AttributeReader, wrong};
use super::parallel::for_each_part;
use super::shapes::{expect_inputs, in_memory, misfit};
use super::{Attributes, Context, Kernel, Op, OpElement, OpError, Role, Saved};
use crate::num::{Shape, View, ViewMut};
use places::{Place, Sampler};

/// How an element between others is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Sampling {
    /// From the two neighbours along every axis.
    #[default]
    Linear,
    /// The nearest element, of two as near the one with an even index.
    Nearest,
    /// From the four neighbours along every axis, by Keys' cubic convolution with a = −3/4.
    Cubic,
}

/// What is read outside of the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Outside {
    /// Zeros.
    #[default]
    Zeros,
    /// The element at the border.
    Border,
    /// The image reflected at its border as often as it takes.
    Reflection,
}

/// Inputs: an image \[batch, channels, spatial…\] and a grid \[batch, out…, r\], r being the
/// number of spatial axes; output \[batch, channels, out…\]. The last axis of the grid holds a
/// place, the coordinate along the *last* spatial axis first, each from −1 at one end of the axis
/// to 1 at the other.
///
/// Pull-back: to the image by the same weights, to the grid by their slopes; none to the grid of
/// [`Sampling::Nearest`]. As in PyTorch, a coordinate has no gradient where it is outside and the
/// border is read for it.
#[derive(Clone, Copy, Debug, Default)]
pub struct GridSample {
    /// How an element between others is computed.
    pub mode: Sampling,
    /// What is read outside of the image.
    pub padding: Outside,
    /// −1 and 1 mean the centres of the first and last elements, not their outer edges.
    pub align_corners: bool,
}

impl GridSample {
    pub(super) fn from_attributes(attributes: &Attributes) -> Result<Box<dyn Op>, OpError> {
        let mut reader = AttributeReader::new(attributes);
        let text = |text: &str| Attribute::Text(text.into());
        // Before opset 20 the modes had the names that they have in PyTorch.
        let mode = match reader.text("mode", "linear")? {
            "linear" | "bilinear" => Sampling::Linear,
            "nearest" => Sampling::Nearest,
            "cubic" | "bicubic" => Sampling::Cubic,
            other => return Err(wrong("mode", "linear, nearest or cubic", &text(other))),
        };
        let padding = match reader.text("padding_mode", "zeros")? {
            "zeros" => Outside::Zeros,
            "border" => Outside::Border,
            "reflection" => Outside::Reflection,
            other => {
                let expected = "zeros, border or reflection";
                return Err(wrong("padding_mode", expected, &text(other)));
            }
        };
        let align_corners = reader.flag("align_corners", false)?;
        reader.finish()?;
        Ok(Box::new(Self {
            mode,
            padding,
            align_corners,
        }))
    }

    fn sampler<'a>(&self, image: &'a [usize]) -> Sampler<'a> {
        Sampler {
            op: *self,
            spatial: &image[2..],
        }
    }
}

/// Sizes of a sample.
struct Sizes {
    channels: usize,
    /// Elements of a channel of the image.
    image: usize,
    /// Places.
    places: usize,
    /// Spatial axes.
    rank: usize,
}

impl Sizes {
    fn of(image: &[usize], grid: &[usize]) -> Self {
        Self {
            channels: image[1],
            image: image[2..].iter().product(),
            places: grid[1..grid.len() - 1].iter().product(),
            rank: image.len() - 2,
        }
    }
}

impl<T: OpElement> Kernel<T> for GridSample {
    fn forward(
        &self,
        context: &Context,
        inputs: &[View<'_, T>],
        outputs: &mut [ViewMut<'_, T>],
    ) -> Result<(), OpError> {
        let (image, grid) = (inputs[0], inputs[1]);
        let sizes = Sizes::of(image.shape, grid.shape);
        let sampler = self.sampler(image.shape);
        let len = sizes.channels * sizes.places;
        for_each_part(context.parallel, outputs[0].data, len, |sample, y| {
            let image = &image.data[sample * sizes.channels * sizes.image..];
            let grid = &grid.data[sample * sizes.places * sizes.rank..];
            let mut place = Place::default();
            for (at, coordinates) in grid.chunks_exact(sizes.rank).take(sizes.places).enumerate() {
                sampler.locate(coordinates, &mut place);
                for channel in 0..sizes.channels {
                    let plane = &image[channel * sizes.image..][..sizes.image];
                    y[channel * sizes.places + at] = place.read(plane);
                }
            }
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
        let Some(g) = cotangents[0] else {
            return Ok(0);
        };
        let (image, grid) = (saved.inputs[0], saved.inputs[1]);
        let sizes = Sizes::of(image.shape, grid.shape);
        let sampler = self.sampler(image.shape);
        let coordinates = |sample: usize| {
            let grid = &grid.data[sample * sizes.places * sizes.rank..];
            grid.chunks_exact(sizes.rank).take(sizes.places).enumerate()
        };
        let cotangents = |sample: usize| &g.data[sample * sizes.channels * sizes.places..];
        if let Some(gradient) = &mut gradients[0] {
            let len = sizes.channels * sizes.image;
            for_each_part(context.parallel, gradient.data, len, |sample, dx| {
                dx.fill(T::zero());
                let g = cotangents(sample);
                let mut place = Place::default();
                for (at, coordinates) in coordinates(sample) {
                    sampler.locate(coordinates, &mut place);
                    for channel in 0..sizes.channels {
                        let plane = &mut dx[channel * sizes.image..][..sizes.image];
                        place.add(g[channel * sizes.places + at], plane);
                    }
                }
            });
        }
        if let Some(gradient) = &mut gradients[1] {
            if self.mode == Sampling::Nearest {
                gradient.data.fill(T::zero());
                return Ok(0);
            }
            let len = sizes.places * sizes.rank;
            for_each_part(context.parallel, gradient.data, len, |sample, d_grid| {
                let g = cotangents(sample);
                let image = &image.data[sample * sizes.channels * sizes.image..];
                let mut place = Place::default();
                for (at, coordinates) in coordinates(sample) {
                    sampler.locate(coordinates, &mut place);
                    let d_grid = &mut d_grid[at * sizes.rank..][..sizes.rank];
                    d_grid.fill(T::zero());
                    for channel in 0..sizes.channels {
                        let plane = &image[channel * sizes.image..][..sizes.image];
                        place.add_slopes(g[channel * sizes.places + at], plane, d_grid);
                    }
                }
            });
        }
        Ok(0)
    }
}

impl Op for GridSample {
    fn name(&self) -> &'static str {
        "GridSample"
    }

    fn role(&self) -> Role {
        Role::Other
    }

    fn infer(&self, inputs: &[&Shape]) -> Result<Vec<Shape>, OpError> {
        expect_inputs(inputs, 2..=2)?;
        let (image, grid) = (inputs[0], inputs[1]);
        if !(3..=5).contains(&image.len()) || image[2..].contains(&0) {
            return Err(misfit(
                "image",
                "3 to 5 axes, none of the last empty",
                image,
            ));
        }
        let rank = image.len() - 2;
        if grid.len() != image.len() || grid[0] != image[0] || grid[rank + 1] != rank {
            let expected = format!(
                "[{}, …, {rank}], with as many axes as the image {image}",
                image[0]
            );
            return Err(misfit("grid", expected, grid));
        }
        // What a sample holds has to be a number also where there are no samples.
        in_memory(image[1..].to_vec())?;
        in_memory(grid[1..].to_vec())?;
        let mut out = image[..2].to_vec();
        out.extend(&grid[1..=rank]);
        Ok(vec![in_memory(out)?])
    }

    fn per_sample(&self, sampled: &[bool], _inputs: &[&Shape]) -> bool {
        sampled[0] && sampled[1]
    }

    fn reads_outputs(&self) -> bool {
        false
    }

    fn flops(&self, inputs: &[&Shape], outputs: &[Shape]) -> u64 {
        let rank = inputs[0].len() as u32 - 2;
        let taps = match self.mode {
            Sampling::Linear => 2u64.pow(rank),
            Sampling::Nearest => 1,
            Sampling::Cubic => 4u64.pow(rank),
        };
        let elements = outputs.first().map_or(0, Shape::element_count);
        (elements as u64).saturating_mul(2 * taps)
    }
}

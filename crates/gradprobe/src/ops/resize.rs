//! Resize: interpolation along axes.

use super::attributes::{AttributeReader, wrong};
use super::resample::{Taps, resample, resample_back};
use super::shapes::{expect_inputs, expect_len, in_memory, misfit, resolve_axes};
use super::{Attribute, Attributes, Context, Kernel, Op, OpElement, OpError, Role, Saved};
use crate::num::{Shape, View, ViewMut};

/// How outputs are made of inputs.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub enum Interpolation {
    /// The nearest input, rounded as is said.
    #[default]
    Nearest,
    /// Between the two neighbours, linearly along every axis.
    Linear,
    /// Between the four neighbours by Keys's cubic kernel with this coefficient (Keys 1981): −0.75
    /// in ONNX and PyTorch, −0.5 for Catmull and Rom's spline.
    Cubic(f64),
}

/// Where an output stands among the inputs; o of an axis of n outputs and m inputs, scale s.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Coordinates {
    /// (o + ½)/s − ½: PyTorch's `align_corners=False`.
    #[default]
    HalfPixel,
    /// The same, but 0 where there is one output.
    PytorchHalfPixel,
    /// o·(m − 1)/(n − 1): the first and the last stay where they are.
    AlignCorners,
    /// o/s: PyTorch's `nearest`.
    Asymmetric,
}

/// Which of two inputs is the nearest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Rounding {
    /// The nearer, the lower of two as near.
    #[default]
    PreferFloor,
    /// The nearer, the higher of two as near.
    PreferCeil,
    /// The lower: PyTorch's `nearest`.
    Floor,
    /// The higher.
    Ceil,
}

/// x interpolated to other extents, by scales (an output has ⌊m·s⌋ positions) or by sizes; as in
/// ONNX and PyTorch's `interpolate`. Beyond the first and the last input there are copies of them.
///
/// Every axis is a linear map, so the pull-back is its transpose.
#[derive(Clone, Debug, Default)]
pub struct Resize {
    /// Where inputs come from.
    pub interpolation: Interpolation,
    /// Where an output stands.
    pub coordinates: Coordinates,
    /// How `Nearest` rounds.
    pub rounding: Rounding,
    /// The scales, one an axis; empty if there are sizes.
    pub scales: Vec<f64>,
    /// The extents of the output, one an axis; empty if there are scales.
    pub sizes: Vec<usize>,
    /// The axes that scales or sizes are for; empty for all.
    pub axes: Vec<i64>,
}

impl Resize {
    pub(super) fn from_attributes(attributes: &Attributes) -> Result<Box<dyn Op>, OpError> {
        let mut reader = AttributeReader::new(attributes);
        let coefficient = reader.float("cubic_coeff_a", -0.75)?;
        let interpolation = match reader.text("mode", "nearest")? {
            "nearest" => Interpolation::Nearest,
            "linear" => Interpolation::Linear,
            "cubic" => Interpolation::Cubic(coefficient),
            other => {
                let expected = "nearest, linear or cubic";
                return Err(wrong("mode", expected, &Attribute::Text(other.into())));
            }
        };
        let coordinates = match reader.text("coordinate_transformation_mode", "half_pixel")? {
            "half_pixel" => Coordinates::HalfPixel,
            "pytorch_half_pixel" => Coordinates::PytorchHalfPixel,
            "align_corners" => Coordinates::AlignCorners,
            "asymmetric" => Coordinates::Asymmetric,
            other => {
                let expected = "half_pixel, pytorch_half_pixel, align_corners or asymmetric";
                let other = Attribute::Text(other.into());
                return Err(wrong("coordinate_transformation_mode", expected, &other));
            }
        };
        let rounding = match reader.text("nearest_mode", "round_prefer_floor")? {
            "round_prefer_floor" => Rounding::PreferFloor,
            "round_prefer_ceil" => Rounding::PreferCeil,
            "floor" => Rounding::Floor,
            "ceil" => Rounding::Ceil,
            other => {
                let expected = "round_prefer_floor, round_prefer_ceil, floor or ceil";
                return Err(wrong(
                    "nearest_mode",
                    expected,
                    &Attribute::Text(other.into()),
                ));
            }
        };
        for unsupported in ["antialias", "exclude_outside"] {
            if reader.flag(unsupported, false)? {
                return Err(wrong(unsupported, "0", &Attribute::Int(1)));
            }
        }
        let resize = Self {
            interpolation,
            coordinates,
            rounding,
            scales: reader.floats("scales")?,
            sizes: reader.sizes("sizes", 1)?,
            axes: reader.ints("axes")?,
        };
        reader.finish()?;
        Ok(Box::new(resize))
    }

    /// For every axis, its new extent and the scale where one is given.
    fn extents(&self, input: &[usize]) -> Result<Vec<(usize, Option<f64>)>, OpError> {
        let mut extents: Vec<_> = input.iter().map(|&extent| (extent, None)).collect();
        let axes = match &self.axes[..] {
            [] => (0..input.len()).collect(),
            axes => resolve_axes("axes", axes, input.len())?,
        };
        match (&self.scales[..], &self.sizes[..]) {
            ([], []) => {}
            (scales, []) => {
                expect_len("scales", scales, axes.len())?;
                for (axis, &scale) in axes.into_iter().zip(scales) {
                    let extent = (input[axis] as f64 * scale).floor();
                    if scale.is_nan() || scale <= 0.0 || extent > (1u64 << 53) as f64 {
                        return Err(OpError::Attribute {
                            name: "scales",
                            expected: "positive numbers for an output that fits in memory".into(),
                            got: format!("{:?}", self.scales),
                        });
                    }
                    extents[axis] = (extent as usize, (scale != 1.0).then_some(scale));
                }
            }
            ([], sizes) => {
                expect_len("sizes", sizes, axes.len())?;
                for (axis, &size) in axes.into_iter().zip(sizes) {
                    extents[axis] = (size, None);
                }
            }
            (_, sizes) => {
                return Err(OpError::Attribute {
                    name: "sizes",
                    expected: "missing where there are scales".into(),
                    got: format!("{sizes:?}"),
                });
            }
        }
        Ok(extents)
    }

    /// Where output o of an axis stands.
    fn place(&self, o: usize, inputs: usize, outputs: usize, scale: Option<f64>) -> f64 {
        let o = o as f64;
        let scaled = |o: f64| match scale {
            Some(scale) => o / scale,
            None => o * inputs as f64 / outputs as f64,
        };
        match self.coordinates {
            Coordinates::PytorchHalfPixel | Coordinates::AlignCorners if outputs == 1 => 0.0,
            Coordinates::HalfPixel | Coordinates::PytorchHalfPixel => scaled(o + 0.5) - 0.5,
            Coordinates::AlignCorners => o * (inputs - 1) as f64 / (outputs - 1) as f64,
            Coordinates::Asymmetric => scaled(o),
        }
    }

    /// The inputs that a place is made of, each once.
    fn taps(&self, place: f64, inputs: usize) -> Vec<(usize, f64)> {
        let last = (inputs - 1) as f64;
        let inside = |index: f64| index.clamp(0.0, last) as usize;
        let (floor, part) = (place.floor(), place - place.floor());
        let weights: Vec<(f64, f64)> = match self.interpolation {
            Interpolation::Nearest => {
                let index = match self.rounding {
                    Rounding::PreferFloor => (place - 0.5).ceil(),
                    Rounding::PreferCeil => (place + 0.5).floor(),
                    Rounding::Floor => floor,
                    Rounding::Ceil => place.ceil(),
                };
                vec![(index, 1.0)]
            }
            Interpolation::Linear => vec![(floor, 1.0 - part), (floor + 1.0, part)],
            Interpolation::Cubic(a) => {
                let near = |d: f64| ((a + 2.0) * d - (a + 3.0)) * d * d + 1.0;
                let far = |d: f64| ((a * d - 5.0 * a) * d + 8.0 * a) * d - 4.0 * a;
                vec![
                    (floor - 1.0, far(1.0 + part)),
                    (floor, near(part)),
                    (floor + 1.0, near(1.0 - part)),
                    (floor + 2.0, far(2.0 - part)),
                ]
            }
        };
        let mut taps: Vec<(usize, f64)> = Vec::with_capacity(weights.len());
        for (index, weight) in weights {
            // A weight of 0 would make a NaN beside the place one of the output.
            if weight == 0.0 {
                continue;
            }
            let index = inside(index);
            match taps.iter_mut().find(|tap| tap.0 == index) {
                Some(tap) => tap.1 += weight,
                None => taps.push((index, weight)),
            }
        }
        taps
    }

    /// The axes that change, for an input and an output of these shapes.
    fn all_taps(&self, input: &[usize], output: &[usize]) -> Result<Vec<Taps>, OpError> {
        let extents = self.extents(input)?;
        let axes = input.iter().zip(output).zip(extents).enumerate();
        let changed = axes
            .filter(|(_, ((inputs, outputs), (_, scale)))| inputs != outputs || scale.is_some());
        let taps = |(axis, ((&inputs, &outputs), (_, scale)))| Taps {
            axis,
            of: (0..outputs)
                .map(|o| self.taps(self.place(o, inputs, outputs, scale), inputs))
                .collect(),
        };
        Ok(changed.map(taps).collect())
    }
}

impl<T: OpElement> Kernel<T> for Resize {
    fn forward(
        &self,
        context: &Context,
        inputs: &[View<'_, T>],
        outputs: &mut [ViewMut<'_, T>],
    ) -> Result<(), OpError> {
        let (x, y) = (inputs[0], &mut outputs[0]);
        let taps = self.all_taps(x.shape, y.shape)?;
        resample(context.parallel, &taps, x.shape, x.data, y.data);
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
            let taps = self.all_taps(dx.shape, g.shape)?;
            resample_back(context.parallel, &taps, dx.shape, g.data, dx.data);
        }
        Ok(0)
    }
}

impl Op for Resize {
    fn name(&self) -> &'static str {
        "Resize"
    }

    fn role(&self) -> Role {
        Role::Other
    }

    fn infer(&self, inputs: &[&Shape]) -> Result<Vec<Shape>, OpError> {
        expect_inputs(inputs, 1..=1)?;
        let input = inputs[0];
        let extents = self.extents(input)?;
        if let Some(axis) = (0..input.len()).find(|&axis| input[axis] == 0 && extents[axis].0 > 0) {
            let expected = format!("something to resize along axis {axis}");
            return Err(misfit("input", expected, input));
        }
        Ok(vec![in_memory(
            extents.iter().map(|extent| extent.0).collect(),
        )?])
    }

    fn per_sample(&self, sampled: &[bool], inputs: &[&Shape]) -> bool {
        let rows = inputs[0].first();
        let extents = self.extents(inputs[0]);
        sampled[0]
            && extents.is_ok_and(|extents| {
                extents.first().map(|&(e, s)| (e, s.is_none())) == rows.map(|&rows| (rows, true))
            })
    }

    fn reads_input(&self, _input: usize) -> bool {
        false
    }

    fn reads_outputs(&self) -> bool {
        false
    }
}

//! Resize: interpolation along axes.

use super::attributes::{AttributeReader, wrong};
use super::resample::{Taps, resample, resample_back};
use super::shapes::{Around, expect_inputs, expect_len, in_memory, misfit, resolve_axes};
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
    /// As `HalfPixel`, but the middle of the outputs stands at the middle of the inputs, also
    /// where m·s is no whole number.
    HalfPixelSymmetric,
    /// Evenly from the start to the end of a region; what stands outside of the inputs is one
    /// value. TensorFlow's `crop_and_resize`.
    CropAndResize,
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

/// x interpolated to other extents, by scales (an output has ⌊m·s⌋ positions), by sizes, or by
/// both, and then the scales say where outputs stand and the sizes how many there are; as in ONNX
/// and PyTorch's `interpolate`. Beyond the first and the last input there are copies of them.
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
    /// The scales, one an axis.
    pub scales: Vec<f64>,
    /// The extents of the output, one an axis.
    pub sizes: Vec<usize>,
    /// The axes that scales, sizes and the region are for; empty for all.
    pub axes: Vec<i64>,
    /// Where an axis shrinks, is the kernel as wide as its step, so that every input counts?
    pub antialias: bool,
    /// Do the weights of the inputs inside make up for those beyond the ends?
    pub exclude_outside: bool,
    /// For `CropAndResize`: where the region starts on each axis, then where it ends; the first
    /// input is at 0, the last at 1.
    pub region: Vec<f64>,
    /// For `CropAndResize`: what stands outside of the inputs.
    pub extrapolation: f64,
}

/// How an axis is resampled.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Rescaling {
    inputs: usize,
    outputs: usize,
    /// Where it is given, or does not follow from the extents.
    scale: Option<f64>,
    /// Start and end of what is cropped.
    region: [f64; 2],
}

impl Rescaling {
    /// All of an axis as it is.
    fn none(extent: usize) -> Self {
        Self {
            inputs: extent,
            outputs: extent,
            scale: None,
            region: [0.0, 1.0],
        }
    }

    fn is_none(&self) -> bool {
        *self == Self::none(self.inputs)
    }

    fn factor(&self) -> f64 {
        let extents = self.outputs as f64 / self.inputs as f64;
        self.scale.unwrap_or(extents)
    }
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
            "half_pixel_symmetric" => Coordinates::HalfPixelSymmetric,
            "tf_crop_and_resize" => Coordinates::CropAndResize,
            other => {
                let expected = "half_pixel, half_pixel_symmetric, pytorch_half_pixel, \
                                align_corners, asymmetric or tf_crop_and_resize";
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
        let resize = Self {
            interpolation,
            coordinates,
            rounding,
            scales: reader.floats("scales")?,
            sizes: reader.sizes("sizes", 1)?,
            axes: reader.ints("axes")?,
            antialias: reader.flag("antialias", false)?,
            exclude_outside: reader.flag("exclude_outside", false)?,
            region: reader.floats("roi")?,
            extrapolation: reader.float("extrapolation_value", 0.0)?,
        };
        if resize.antialias && resize.interpolation == Interpolation::Nearest {
            return Err(wrong(
                "antialias",
                "0 where mode is nearest",
                &Attribute::Int(1),
            ));
        }
        reader.finish()?;
        Ok(Box::new(resize))
    }

    /// How each axis is resampled.
    fn rescalings(&self, input: &[usize]) -> Result<Vec<Rescaling>, OpError> {
        let mut all: Vec<Rescaling> = input
            .iter()
            .map(|&extent| Rescaling::none(extent))
            .collect();
        let axes = match &self.axes[..] {
            [] => (0..input.len()).collect(),
            axes => resolve_axes("axes", axes, input.len())?,
        };
        if !self.scales.is_empty() {
            expect_len("scales", &self.scales, axes.len())?;
            for (&axis, &scale) in axes.iter().zip(&self.scales) {
                let extent = (input[axis] as f64 * scale).floor();
                if scale.is_nan() || scale <= 0.0 || extent > (1u64 << 53) as f64 {
                    return Err(OpError::Attribute {
                        name: "scales",
                        expected: "positive numbers for an output that fits in memory".into(),
                        got: format!("{:?}", self.scales),
                    });
                }
                all[axis].outputs = extent as usize;
                all[axis].scale = (scale != 1.0).then_some(scale);
            }
        }
        if !self.sizes.is_empty() {
            expect_len("sizes", &self.sizes, axes.len())?;
            for (&axis, &size) in axes.iter().zip(&self.sizes) {
                all[axis].outputs = size;
                // An antialiased kernel reaches over 1/scale inputs.
                let extent = all[axis].factor() * input[axis] as f64;
                if self.antialias && size > 0 && extent < 0.5 {
                    return Err(OpError::Attribute {
                        name: "scales",
                        expected: "scales that make about as many outputs as sizes says".into(),
                        got: format!("{:?}", self.scales),
                    });
                }
            }
        }
        if self.coordinates == Coordinates::CropAndResize && !self.region.is_empty() {
            expect_len("roi", &self.region, 2 * axes.len())?;
            let (starts, ends) = self.region.split_at(axes.len());
            for (axis, (&start, &end)) in axes.into_iter().zip(starts.iter().zip(ends)) {
                all[axis].region = [start, end];
            }
        }
        Ok(all)
    }

    /// Where output o of an axis stands; `None` where that is outside of what can be cropped.
    fn place(&self, o: usize, axis: &Rescaling) -> Option<f64> {
        let (o, inputs, outputs) = (o as f64, axis.inputs as f64, axis.outputs as f64);
        let scaled = |o: f64| match axis.scale {
            Some(scale) => o / scale,
            None => o * inputs / outputs,
        };
        Some(match self.coordinates {
            Coordinates::PytorchHalfPixel | Coordinates::AlignCorners if axis.outputs == 1 => 0.0,
            Coordinates::HalfPixel | Coordinates::PytorchHalfPixel => scaled(o + 0.5) - 0.5,
            Coordinates::AlignCorners => o * (inputs - 1.0) / (outputs - 1.0),
            Coordinates::Asymmetric => scaled(o),
            Coordinates::HalfPixelSymmetric => {
                // The outputs as one would count them with the scale, and as they are.
                let adjustment = outputs / (axis.factor() * inputs);
                inputs / 2.0 * (1.0 - adjustment) + scaled(o + 0.5) - 0.5
            }
            Coordinates::CropAndResize => {
                let [start, end] = axis.region.map(|place| place * (inputs - 1.0));
                let place = match axis.outputs {
                    1 => start + (end - start) / 2.0,
                    _ => start + o * (end - start) / (outputs - 1.0),
                };
                return (0.0..=inputs - 1.0).contains(&place).then_some(place);
            }
        })
    }

    /// The inputs around a place, those beyond the ends too, and their weights.
    fn weights(&self, place: f64, scale: f64) -> Vec<(f64, f64)> {
        let floor = place.floor();
        if self.interpolation == Interpolation::Nearest {
            let index = match self.rounding {
                Rounding::PreferFloor => (place - 0.5).ceil(),
                Rounding::PreferCeil => (place + 0.5).floor(),
                Rounding::Floor => floor,
                Rounding::Ceil => place.ceil(),
            };
            return vec![(index, 1.0)];
        }
        let step = if self.antialias { scale.min(1.0) } else { 1.0 };
        let kernel = |distance: f64| match self.interpolation {
            Interpolation::Cubic(a) if distance < 1.0 => {
                ((a + 2.0) * distance - (a + 3.0)) * distance * distance + 1.0
            }
            Interpolation::Cubic(a) if distance < 2.0 => {
                ((a * distance - 5.0 * a) * distance + 8.0 * a) * distance - 4.0 * a
            }
            Interpolation::Linear if distance < 1.0 => 1.0 - distance,
            _ => 0.0,
        };
        let reach = match self.interpolation {
            Interpolation::Cubic(_) => 2.0,
            _ => 1.0,
        };
        let reach = (reach / step).floor();
        let around = (0..=2 * reach as usize + 1).map(|offset| floor - reach + offset as f64);
        around
            .map(|index| (index, kernel(step * (index - place).abs())))
            .collect()
    }

    /// The inputs that a place is made of, each once.
    fn taps(&self, place: f64, axis: &Rescaling) -> Vec<(usize, f64)> {
        let last = (axis.inputs - 1) as f64;
        let mut weights = self.weights(place, axis.factor());
        if self.exclude_outside && weights.len() > 1 {
            weights.retain(|(index, _)| (0.0..=last).contains(index));
        }
        let total: f64 = weights.iter().map(|(_, weight)| weight).sum();
        let is_whole = !self.antialias && !self.exclude_outside || total == 0.0;
        let total = if is_whole { 1.0 } else { total };
        let mut taps: Vec<(usize, f64)> = Vec::with_capacity(weights.len());
        for (index, weight) in weights {
            // A weight of 0 would make a NaN beside the place one of the output.
            if weight == 0.0 {
                continue;
            }
            let (index, weight) = (index.clamp(0.0, last) as usize, weight / total);
            match taps.last_mut() {
                Some(tap) if tap.0 == index => tap.1 += weight,
                _ => taps.push((index, weight)),
            }
        }
        taps
    }

    /// The axes that change, for an input and an output of these shapes.
    fn all_taps(&self, input: &[usize], output: &[usize]) -> Result<Vec<Taps>, OpError> {
        let mut axes = self.rescalings(input)?;
        for ((axis, &inputs), &outputs) in axes.iter_mut().zip(input).zip(output) {
            (axis.inputs, axis.outputs) = (inputs, outputs);
        }
        let changed = axes.iter().enumerate().filter(|(_, axis)| !axis.is_none());
        let taps = |(number, axis): (usize, &Rescaling)| Taps {
            axis: number,
            of: (0..axis.outputs)
                .map(|o| match self.place(o, axis) {
                    Some(place) => self.taps(place, axis),
                    None => Vec::new(),
                })
                .collect(),
        };
        Ok(changed.map(taps).collect())
    }

    /// Writes what stands outside of the inputs.
    fn extrapolate<T: OpElement>(&self, taps: &[Taps], shape: &[usize], y: &mut [T]) {
        if self.coordinates != Coordinates::CropAndResize || self.extrapolation == 0.0 {
            return;
        }
        let value = T::from_f64(self.extrapolation);
        for taps in taps {
            let Around { extent, inner, .. } = Around::axis(shape, taps.axis);
            for y in y.chunks_exact_mut((extent * inner).max(1)) {
                let places = y.chunks_exact_mut(inner.max(1)).zip(&taps.of);
                for (y, _) in places.filter(|(_, taps)| taps.is_empty()) {
                    y.fill(value);
                }
            }
        }
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
        self.extrapolate(&taps, y.shape, y.data);
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
        let axes = self.rescalings(input)?;
        if let Some(axis) = axes
            .iter()
            .position(|axis| axis.inputs == 0 && axis.outputs > 0)
        {
            let expected = format!("something to resize along axis {axis}");
            return Err(misfit("input", expected, input));
        }
        Ok(vec![in_memory(
            axes.iter().map(|axis| axis.outputs).collect(),
        )?])
    }

    fn per_sample(&self, sampled: &[bool], inputs: &[&Shape]) -> bool {
        let axes = self.rescalings(inputs[0]);
        sampled[0] && axes.is_ok_and(|axes| axes.first().is_some_and(Rescaling::is_none))
    }

    fn reads_input(&self, _input: usize) -> bool {
        false
    }

    fn reads_outputs(&self) -> bool {
        false
    }
}

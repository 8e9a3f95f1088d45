//! Layers over images: what they read has the shape `[batch, channels, height, width]`.

use super::{Planner, Slot, at, row_of};
use crate::graph::Origin;
use crate::import::spec::error::{SpecError, SpecErrorKind as Kind};
use crate::import::spec::operators;
use crate::import::spec::reader::Result;
use crate::import::spec::specification::{Conv, ConvTranspose, Padding, Upsample};
use crate::init::Target;

impl Planner<'_> {
    /// How a layer of this kind, the open one, says what is wrong.
    fn refusal(&self, kind: &'static str, origin: &Origin) -> impl Fn(String) -> SpecError + use<> {
        let (name, origin) = (self.prefix().to_owned(), origin.clone());
        move |message: String| {
            let message = format!("{kind} layer `{name}`: {message}");
            at(SpecError::new(Kind::Shape, message), &origin)
        }
    }

    /// The channels of a value that has to be an image.
    fn image_channels(&self, value: Slot, wrong: &impl Fn(String) -> SpecError) -> Result<usize> {
        let shape = self.shape(value);
        match &shape[..] {
            &[_, channels, _, _] => Ok(channels),
            [_, _, ..] => {
                let got = row_of(shape);
                let message =
                    format!("expected rows of shape [channels, height, width], got {got}");
                Err(wrong(message)
                    .help("give [input] a shape of three extents, or add a reshape before it"))
            }
            _ => Err(wrong(
                "expected rows of shape [channels, height, width]".into(),
            )),
        }
    }

    pub(super) fn conv(&mut self, conv: &Conv, value: Slot, origin: &Origin) -> Result<Slot> {
        let wrong = self.refusal("conv", origin);
        let channels = self.image_channels(value, &wrong)?;
        let groups = conv.groups;
        if !channels.is_multiple_of(groups) || !conv.channels.is_multiple_of(groups) {
            let out = conv.channels;
            return Err(wrong(format!(
                "groups = {groups} does not divide {channels} input and {out} output channels"
            )));
        }
        let padding = match conv.padding {
            Padding::Each(padding) => padding,
            Padding::Same => {
                let whole = [0, 1].map(|axis| conv.dilation[axis] * (conv.kernel[axis] - 1));
                if conv.stride != [1, 1] || whole.iter().any(|around| around % 2 != 0) {
                    return Err(wrong(
                        "padding = \"same\" needs stride 1 and an odd kernel".into(),
                    )
                    .help("give the padding as a number"));
                }
                whole.map(|around| around / 2)
            }
        };
        let [height, width] = conv.kernel;
        let weight = [conv.channels, channels / groups, height, width];
        let mut inputs = vec![value];
        inputs.extend(self.weights(&weight, groups, &conv.common, origin)?);
        let op = operators::conv_op(conv.stride, padding, conv.dilation, groups);
        let value = self.node("conv", op, &inputs, None, origin)?;
        self.rest_of(&conv.common, value, origin)
    }

    pub(super) fn conv_transpose(
        &mut self,
        conv: &ConvTranspose,
        value: Slot,
        origin: &Origin,
    ) -> Result<Slot> {
        let wrong = self.refusal("conv-transpose", origin);
        let channels = self.image_channels(value, &wrong)?;
        let groups = conv.groups;
        if !channels.is_multiple_of(groups) || !conv.channels.is_multiple_of(groups) {
            let out = conv.channels;
            return Err(wrong(format!(
                "groups = {groups} does not divide {channels} input and {out} output channels"
            )));
        }
        let [height, width] = conv.kernel;
        // PyTorch takes the fans from the weight as it lies, its input channels first.
        let target = Target::weight(&[channels, conv.channels / groups, height, width], groups);
        let bias = Target {
            shape: vec![conv.channels],
            fans: target.fans,
            groups,
        };
        let common = &conv.common;
        let mut inputs = vec![
            value,
            self.parameter("weight", target, common.init, true, origin)?,
        ];
        if let Some(initialiser) = common.bias {
            inputs.push(self.parameter("bias", bias, initialiser, true, origin)?);
        }
        let op = operators::conv_transpose_op(conv);
        let value = self.node("conv-transpose", op, &inputs, None, origin)?;
        self.rest_of(common, value, origin)
    }

    pub(super) fn upsample(
        &mut self,
        upsample: &Upsample,
        value: Slot,
        origin: &Origin,
    ) -> Result<Slot> {
        let wrong = self.refusal("upsample", origin);
        self.image_channels(value, &wrong)?;
        let op = operators::upsample_op(upsample);
        self.node("upsample", op, &[value], None, origin)
    }
}

//! Residual blocks: a branch, a shortcut, and their sum.

use super::{Planner, Slot, at, row_of};
use crate::graph::Origin;
use crate::import::spec::error::{SpecError, SpecErrorKind as Kind};
use crate::import::spec::operators;
use crate::import::spec::reader::Result;
use crate::import::spec::specification::{
    Common, Conv, Layer, Linear, Padding, Residual, Shortcut,
};
use crate::init::{Initialiser, Target};
use crate::ops::{Attribute, Role};

impl Planner<'_> {
    pub(super) fn residual(
        &mut self,
        layer: &Layer,
        residual: &Residual,
        value: Slot,
        repeated: bool,
    ) -> Result<Slot> {
        let origin = &layer.origin;
        let name = self.name(layer, "block", repeated)?;
        self.names.enter(&name);
        self.open = None;
        let mut branch = self.list(&residual.layers, value, false)?;
        let skip = self.shortcut(residual, &name, value, branch, origin)?;
        self.names.leave();
        self.begin_named(name, "residual", origin);
        if residual.scale != 1.0 {
            let target = Target::weight(&[], 1);
            let constant = Initialiser::Constant {
                value: residual.scale,
            };
            let factor = self.parameter("scale", target, constant, false, origin)?;
            let op = operators::make("Mul", []);
            branch = self.node("scaled", op, &[branch, factor], None, origin)?;
        }
        let op = operators::make("Add", []);
        self.node("add", op, &[skip, branch], Some(Role::Residual), origin)
    }

    /// How the block's input gets to the sum.
    fn shortcut(
        &mut self,
        residual: &Residual,
        block: &str,
        from: Slot,
        to: Slot,
        origin: &Origin,
    ) -> Result<Slot> {
        if let Shortcut::Layers(layers) = &residual.shortcut {
            return self.shortcut_layers(layers, block, from, to, origin);
        }
        if self.shape(from) == self.shape(to) {
            return Ok(from);
        }
        let misfit =
            |planner: &Self, help: &str| planner.misfit(block, from, to, origin).help(help);
        match residual.shortcut {
            Shortcut::Projection => {
                let skip = self.projecting_shortcut(residual, from, to, origin)?;
                skip.ok_or_else(|| misfit(self, "a projection cannot bridge these shapes"))
            }
            Shortcut::Pad => {
                let skip = self.padded_shortcut(from, to, origin)?;
                skip.ok_or_else(|| {
                    misfit(
                        self,
                        "padding bridges images that become smaller by a whole factor and have \
                         no fewer channels",
                    )
                })
            }
            _ => Err(misfit(
                self,
                "make them alike, or add shortcut = \"projection\"",
            )),
        }
    }

    fn misfit(&self, block: &str, from: Slot, to: Slot, origin: &Origin) -> SpecError {
        let (before, after) = (row_of(self.shape(from)), row_of(self.shape(to)));
        let message = format!(
            "residual block `{block}` begins with rows of shape {before}, its branch ends with \
             {after}: they cannot be added"
        );
        at(SpecError::new(Kind::Shape, message), origin)
    }

    /// Layers that the user gave: `shortcut` if it is one without a name, else
    /// `shortcut.conv1`, ….
    fn shortcut_layers(
        &mut self,
        layers: &[Layer],
        block: &str,
        from: Slot,
        to: Slot,
        origin: &Origin,
    ) -> Result<Slot> {
        self.open = None;
        let skip = match layers {
            [only] if only.name.is_none() && only.kind.is_one_layer() => {
                let named = Layer {
                    name: Some("shortcut".into()),
                    ..only.clone()
                };
                self.layer(&named, from, false)?
            }
            _ => {
                let scope = self.names.numbered_once("shortcut");
                self.names.enter(&scope);
                let skip = self.list(layers, from, false)?;
                self.names.leave();
                skip
            }
        };
        let (by_shortcut, by_branch) = (self.shape(skip), self.shape(to));
        if by_shortcut != by_branch {
            let (by_shortcut, by_branch) = (row_of(by_shortcut), row_of(by_branch));
            let message = format!(
                "residual block `{block}`: its shortcut ends with rows of shape {by_shortcut}, \
                 its branch with {by_branch}: they cannot be added"
            );
            return Err(at(SpecError::new(Kind::Shape, message), origin).help("make them alike"));
        }
        Ok(skip)
    }

    /// `None` where a linear layer or a 1 × 1 convolution cannot lead from one shape to the other.
    fn projecting_shortcut(
        &mut self,
        residual: &Residual,
        from: Slot,
        to: Slot,
        origin: &Origin,
    ) -> Result<Option<Slot>> {
        let common = Common {
            init: residual.init,
            bias: None,
            norm: residual.norm,
            activation: None,
        };
        let begin = |planner: &mut Self, part: &str| {
            let name = planner.names.numbered_once("shortcut");
            planner.begin_named(name, part, origin);
        };
        let (before, after) = (self.shape(from).clone(), self.shape(to).clone());
        if let ([_, _], &[_, units]) = (&before[..], &after[..]) {
            begin(self, "linear");
            let linear = Linear {
                units,
                tied: None,
                common,
            };
            return self.linear(&linear, from, origin).map(Some);
        }
        let Some((stride, _, channels)) = strided(&before, &after) else {
            return Ok(None);
        };
        begin(self, "conv");
        let conv = Conv {
            channels,
            kernel: [1, 1],
            stride,
            padding: Padding::Each([0, 0]),
            dilation: [1, 1],
            groups: 1,
            common,
        };
        self.conv(&conv, from, origin).map(Some)
    }

    /// Every so many pixels, and zeros as the channels that are missing; `None` where that does
    /// not lead from one shape to the other.
    fn padded_shortcut(&mut self, from: Slot, to: Slot, origin: &Origin) -> Result<Option<Slot>> {
        let bridge = strided(self.shape(from), self.shape(to));
        let Some((stride, before, after)) = bridge.filter(|(_, before, after)| before <= after)
        else {
            return Ok(None);
        };
        let name = self.names.numbered_once("shortcut");
        self.begin_named(name, "pad", origin);
        let mut skip = from;
        if stride != [1, 1] {
            let ints = |list: &[i64]| Attribute::Ints(list.to_vec());
            let slice = operators::make(
                "Slice",
                [
                    ("starts", ints(&[0, 0])),
                    ("ends", ints(&[i64::MAX, i64::MAX])),
                    ("axes", ints(&[2, 3])),
                    ("steps", ints(&stride.map(|step| step as i64))),
                ],
            );
            skip = self.node("slice", slice, &[skip], None, origin)?;
        }
        if after > before {
            let added = Attribute::Ints(vec![0, (after - before) as i64]);
            let axes = Attribute::Ints(vec![1]);
            let pad = operators::make("Pad", [("pads", added), ("axes", axes)]);
            skip = self.node("pad", pad, &[skip], None, origin)?;
        }
        Ok(Some(skip))
    }
}

/// Between images of which the second is smaller by whole factors: these, and the channels of
/// both.
fn strided(before: &[usize], after: &[usize]) -> Option<([usize; 2], usize, usize)> {
    let (&[_, channels, height, width], &[_, out_channels, out_height, out_width]) =
        (before, after)
    else {
        return None;
    };
    let fits = height.is_multiple_of(out_height) && width.is_multiple_of(out_width);
    fits.then(|| {
        (
            [height / out_height, width / out_width],
            channels,
            out_channels,
        )
    })
}

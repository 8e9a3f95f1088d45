//! The ops that layers are made of, by what the specification says.

use super::names::SOFTMAXES;
use super::specification::{
    ConvTranspose, Interpolation, LocalResponseNorm, LossKind, Norm, NormKind, Pool, PoolKind,
    Upsample,
};
use crate::ops::activation::{self, ActivationOp};
use crate::ops::{Attribute, Attributes, Op, OpError, find_op};
use std::sync::Arc;

pub(super) type MadeOp = Result<Arc<dyn Op>, OpError>;

/// An op of the registry.
pub(super) fn make<const N: usize>(
    name: &'static str,
    attributes: [(&str, Attribute); N],
) -> MadeOp {
    let attributes: Attributes = attributes
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
    let entry = find_op(name).ok_or_else(|| OpError::Value {
        what: format!("the engine has no op {name}"),
    })?;
    (entry.from_attributes)(&attributes).map(Arc::from)
}

fn ints(extents: [usize; 2]) -> Attribute {
    Attribute::Ints(extents.map(|extent| extent as i64).to_vec())
}

/// Padding before and after each axis, as ONNX has it.
fn pads([height, width]: [usize; 2]) -> Attribute {
    let (height, width) = (height as i64, width as i64);
    Attribute::Ints(vec![height, width, height, width])
}

/// An activation, or a softmax along an axis.
pub(super) fn activation_op(name: &str, axis: i64) -> MadeOp {
    match SOFTMAXES.iter().position(|&softmax| softmax == name) {
        Some(0) => make("Softmax", [("axis", Attribute::Int(axis))]),
        Some(_) => make("LogSoftmax", [("axis", Attribute::Int(axis))]),
        None => match activation::parse(name) {
            Ok(activation) => Ok(Arc::new(ActivationOp::new(activation))),
            Err(error) => Err(OpError::Value {
                what: error.to_string(),
            }),
        },
    }
}

/// A convolution, its padding given.
pub(super) fn conv_op(
    stride: [usize; 2],
    padding: [usize; 2],
    dilation: [usize; 2],
    groups: usize,
) -> MadeOp {
    make(
        "Conv",
        [
            ("strides", ints(stride)),
            ("pads", pads(padding)),
            ("dilations", ints(dilation)),
            ("group", Attribute::Int(groups as i64)),
        ],
    )
}

pub(super) fn pool_op(pool: &Pool) -> MadeOp {
    let name = match pool.kind {
        PoolKind::Max => "MaxPool",
        PoolKind::Average => "AveragePool",
    };
    make(
        name,
        [
            ("kernel_shape", ints(pool.kernel)),
            ("strides", ints(pool.stride)),
            ("pads", pads(pool.padding)),
        ],
    )
}

/// A transposed convolution.
pub(super) fn conv_transpose_op(conv: &ConvTranspose) -> MadeOp {
    make(
        "ConvTranspose",
        [
            ("strides", ints(conv.stride)),
            ("pads", pads(conv.padding)),
            ("output_padding", ints(conv.output_padding)),
            ("dilations", ints(conv.dilation)),
            ("group", Attribute::Int(conv.groups as i64)),
        ],
    )
}

pub(super) fn upsample_op(upsample: &Upsample) -> MadeOp {
    let text = |text: &str| Attribute::Text(text.into());
    let [height, width] = upsample.factor.map(|factor| factor as f64);
    let scales = ("scales", Attribute::Floats(vec![1.0, 1.0, height, width]));
    let mode = match upsample.mode {
        Interpolation::Nearest => {
            return make(
                "Resize",
                [
                    ("mode", text("nearest")),
                    ("coordinate_transformation_mode", text("asymmetric")),
                    ("nearest_mode", text("floor")),
                    scales,
                ],
            );
        }
        Interpolation::Bilinear => "linear",
        Interpolation::Bicubic => "cubic",
    };
    make("Resize", [("mode", text(mode)), scales])
}

pub(super) fn lrn_op(norm: &LocalResponseNorm) -> MadeOp {
    make(
        "LRN",
        [
            (
                "size",
                Attribute::Int(norm.size.min(i64::MAX as usize) as i64),
            ),
            ("alpha", Attribute::Float(norm.alpha)),
            ("beta", Attribute::Float(norm.beta)),
            ("bias", Attribute::Float(norm.k)),
        ],
    )
}

/// A normalisation; a layer norm is taken over the axes from `axis` on.
pub(super) fn norm_op(norm: &Norm, axis: i64) -> MadeOp {
    let epsilon = Attribute::Float(norm.eps);
    match norm.kind {
        NormKind::Batch => make("BatchNormalization", [("epsilon", epsilon)]),
        NormKind::Layer => make(
            "LayerNormalization",
            [("axis", Attribute::Int(axis)), ("epsilon", epsilon)],
        ),
        NormKind::Rms => make(
            "RMSNormalization",
            [("axis", Attribute::Int(axis)), ("epsilon", epsilon)],
        ),
        NormKind::Group(groups) => make(
            "GroupNormalization",
            [
                (
                    "num_groups",
                    Attribute::Int(groups.min(i64::MAX as usize) as i64),
                ),
                ("epsilon", epsilon),
            ],
        ),
        NormKind::Instance => make("InstanceNormalization", [("epsilon", epsilon)]),
    }
}

/// A loss; `None` for those that are no node.
pub(super) fn loss_op(kind: LossKind, sum: bool) -> Option<MadeOp> {
    let reduction = || {
        (
            "reduction",
            Attribute::Text(if sum { "sum" } else { "mean" }.into()),
        )
    };
    let name = match kind {
        LossKind::CrossEntropy => "SoftmaxCrossEntropyLoss",
        LossKind::BceWithLogits => "BinaryCrossEntropyWithLogits",
        LossKind::Mse => "MeanSquaredError",
        LossKind::L1 => "MeanAbsoluteError",
        LossKind::Huber { delta } => {
            return Some(make(
                "Huber",
                [reduction(), ("delta", Attribute::Float(delta))],
            ));
        }
        LossKind::Output | LossKind::RandomCotangent => return None,
    };
    Some(make(name, [reduction()]))
}

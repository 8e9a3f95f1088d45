//! Convolutions, pools and whatever else slides over images.

use super::defaults::Defaults;
use crate::import::spec::reader::{Field, Fields, Result};
use crate::import::spec::specification::{
    Conv, ConvTranspose, Interpolation, Padding, Pool, PoolKind, Upsample,
};
use toml::de::DeValue;

/// The largest extent of a kernel, a stride or a padding.
const MOST_PLACES: u64 = 1 << 16;

/// A pair of places around or between entries of a kernel.
fn places(field: Field<'_, '_>, least: u64) -> Result<[usize; 2]> {
    let pair = field.pair(least)?;
    if pair.iter().any(|&extent| extent as u64 > MOST_PLACES) {
        return Err(field.wrong_value(&format!("at most {MOST_PLACES}")));
    }
    Ok(pair)
}

pub(super) fn read_conv(
    field: Field<'_, '_>,
    fields: &mut Fields<'_, '_>,
    defaults: &Defaults,
) -> Result<Conv> {
    let channels = field.size()?;
    let kernel = places(fields.need("kernel", "its extents, e.g. kernel = 3")?, 1)?;
    let pair = |field: Option<Field<'_, '_>>| field.map(|field| places(field, 1)).transpose();
    let stride = pair(fields.get("stride"))?;
    let dilation = pair(fields.get("dilation"))?;
    let padding = fields.get("padding").map(read_padding).transpose()?;
    let groups = fields.get("groups").map(|field| field.size()).transpose()?;
    Ok(Conv {
        channels,
        kernel,
        stride: stride.unwrap_or([1, 1]),
        padding: padding.unwrap_or(Padding::Each([0, 0])),
        dilation: dilation.unwrap_or([1, 1]),
        groups: groups.unwrap_or(1),
        common: defaults.overridden(fields)?.common(),
    })
}

fn read_padding(field: Field<'_, '_>) -> Result<Padding> {
    match field.value.get_ref() {
        DeValue::String(_) => {
            field.word(&[("same", Padding::Same), ("valid", Padding::Each([0, 0]))])
        }
        _ => places(field, 0).map(Padding::Each),
    }
}

pub(super) fn read_pool(
    kind: PoolKind,
    field: Field<'_, '_>,
    fields: &mut Fields<'_, '_>,
) -> Result<Pool> {
    let kernel = places(field, 1)?;
    let stride = fields
        .get("stride")
        .map(|field| places(field, 1))
        .transpose()?;
    let padding = fields
        .get("padding")
        .map(|field| places(field, 0))
        .transpose()?;
    Ok(Pool {
        kind,
        kernel,
        stride: stride.unwrap_or(kernel),
        padding: padding.unwrap_or([0, 0]),
    })
}

pub(super) fn read_conv_transpose(
    field: Field<'_, '_>,
    fields: &mut Fields<'_, '_>,
    defaults: &Defaults,
) -> Result<ConvTranspose> {
    let channels = field.size()?;
    let kernel = places(fields.need("kernel", "its extents, e.g. kernel = 3")?, 1)?;
    let pair = |field: Option<Field<'_, '_>>, least| {
        let pair = field.map(|field| places(field, least)).transpose();
        Ok(pair?.unwrap_or([least as usize; 2]))
    };
    let stride = pair(fields.get("stride"), 1)?;
    let padding = pair(fields.get("padding"), 0)?;
    let output_padding = pair(fields.get("output-padding"), 0)?;
    let dilation = pair(fields.get("dilation"), 1)?;
    let groups = fields.get("groups").map(|field| field.size()).transpose()?;
    Ok(ConvTranspose {
        channels,
        kernel,
        stride,
        padding,
        output_padding,
        dilation,
        groups: groups.unwrap_or(1),
        common: defaults.overridden(fields)?.common(),
    })
}

/// `adaptive-average-pool = 7`: the extents of what comes out.
pub(super) fn read_adaptive_pool(field: Field<'_, '_>) -> Result<[usize; 2]> {
    places(field, 1)
}

/// `upsample = 2, mode = "bilinear"`.
pub(super) fn read_upsample(field: Field<'_, '_>, fields: &mut Fields<'_, '_>) -> Result<Upsample> {
    const MODES: &[(&str, Interpolation)] = &[
        ("nearest", Interpolation::Nearest),
        ("bilinear", Interpolation::Bilinear),
        ("bicubic", Interpolation::Bicubic),
    ];
    let factor = places(field, 1)?;
    let mode = fields.get("mode").map(|field| field.word(MODES));
    Ok(Upsample {
        factor,
        mode: mode.transpose()?.unwrap_or_default(),
    })
}

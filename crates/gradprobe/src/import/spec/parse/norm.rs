//! Normalisations, as layers and as options of layers.

use crate::import::spec::reader::{Field, Fields, Result};
use crate::import::spec::specification::{LocalResponseNorm, Norm, NormKind};

/// What `norm` may say.
#[derive(Clone, Copy)]
enum Name {
    Kind(NormKind),
    /// Needs `groups` beside it.
    Group,
    None,
}

const NAMES: &[(&str, Name)] = &[
    ("batch", Name::Kind(NormKind::Batch)),
    ("layer", Name::Kind(NormKind::Layer)),
    ("rms", Name::Kind(NormKind::Rms)),
    ("group", Name::Group),
    ("instance", Name::Kind(NormKind::Instance)),
    ("none", Name::None),
    ("batch-norm", Name::Kind(NormKind::Batch)),
    ("layer-norm", Name::Kind(NormKind::Layer)),
    ("rms-norm", Name::Kind(NormKind::Rms)),
    ("group-norm", Name::Group),
    ("instance-norm", Name::Kind(NormKind::Instance)),
];

/// PyTorch's defaults, but for the ε of an RMSNorm, which is ONNX's.
pub(super) fn plain_norm(kind: NormKind) -> Norm {
    Norm {
        kind,
        eps: 1e-5,
        affine: kind != NormKind::Instance,
    }
}

/// The options of a normalisation.
pub(super) fn norm_options(kind: NormKind, fields: &mut Fields<'_, '_>) -> Result<Norm> {
    let plain = plain_norm(kind);
    let eps = fields.get("eps");
    let eps = eps.map(|field| field.number_that("a number of at least 0", |eps| eps >= 0.0));
    let affine = fields.get("affine").map(|field| field.flag()).transpose()?;
    Ok(Norm {
        eps: eps.transpose()?.unwrap_or(plain.eps),
        affine: affine.unwrap_or(plain.affine),
        ..plain
    })
}

/// `batch-norm = true, eps = 1e-3`.
pub(super) fn read_norm(
    kind: NormKind,
    field: Field<'_, '_>,
    fields: &mut Fields<'_, '_>,
) -> Result<Norm> {
    field.only_true()?;
    norm_options(kind, fields)
}

/// `norm = "batch"`, `norm = { name = "group", groups = 8 }`.
pub(super) fn read_norm_option(field: Field<'_, '_>) -> Result<Option<Norm>> {
    if field.value.get_ref().is_str() {
        let kind = match field.word(NAMES)? {
            Name::Kind(kind) => kind,
            Name::None => return Ok(None),
            Name::Group => {
                let error = field.wrong_value("a group norm with its groups");
                return Err(error.help("write norm = { name = \"group\", groups = 8 }"));
            }
        };
        return Ok(Some(plain_norm(kind)));
    }
    let mut fields = Fields::of(field, "`norm`", "a normalisation such as \"batch\"")?;
    let name = fields.need("name", "a normalisation such as \"batch\"")?;
    let kind = match name.word(NAMES)? {
        Name::Kind(kind) => Some(kind),
        Name::None => None,
        Name::Group => Some(NormKind::Group(
            fields
                .need("groups", "how many groups the channels are in")?
                .size()?,
        )),
    };
    let norm = kind
        .map(|kind| norm_options(kind, &mut fields))
        .transpose()?;
    fields.finish()?;
    Ok(norm)
}

/// `lrn = 5, alpha = 1e-4, beta = 0.75, k = 2`: PyTorch's names and defaults.
pub(super) fn read_lrn(
    field: Field<'_, '_>,
    fields: &mut Fields<'_, '_>,
) -> Result<LocalResponseNorm> {
    let size = field.size()?;
    let mut number = |key| fields.get(key).map(|field| field.number()).transpose();
    Ok(LocalResponseNorm {
        size,
        alpha: number("alpha")?.unwrap_or(1e-4),
        beta: number("beta")?.unwrap_or(0.75),
        k: number("k")?.unwrap_or(1.0),
    })
}

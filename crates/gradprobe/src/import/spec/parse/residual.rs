//! Residual blocks and their shortcuts.

use super::defaults::Defaults;
use super::initialiser;
use super::norm::read_norm_option;
use crate::import::spec::reader::{Field, Fields, Result};
use crate::import::spec::specification::{Layer, Residual, Shortcut};
use toml::de::DeValue;

/// Reads a list of layers at a place.
pub(super) type ReadList<'a> = dyn Fn(Field<'_, '_>, &str) -> Result<Vec<Layer>> + 'a;

/// A word, or a list of layers.
fn read_shortcut(field: Field<'_, '_>, place: &str, read_list: &ReadList<'_>) -> Result<Shortcut> {
    /// What a word may say.
    #[derive(Clone, Copy)]
    enum Word {
        Identity,
        Projection,
        Pad,
    }
    const WORDS: &[(&str, Word)] = &[
        ("identity", Word::Identity),
        ("projection", Word::Projection),
        ("pad", Word::Pad),
    ];
    match field.value.get_ref() {
        DeValue::String(_) => Ok(match field.word(WORDS)? {
            Word::Identity => Shortcut::Identity,
            Word::Projection => Shortcut::Projection,
            Word::Pad => Shortcut::Pad,
        }),
        DeValue::Array(_) => {
            let place = format!("{place}.shortcut");
            read_list(field, &place).map(Shortcut::Layers)
        }
        _ => Err(field.wrong_type(
            "\"identity\", \"projection\", \"pad\" or a list of layers such as \
             [{ conv = 64, kernel = 1, stride = 2 }]",
        )),
    }
}

pub(super) fn read_residual(
    field: Field<'_, '_>,
    fields: &mut Fields<'_, '_>,
    place: &str,
    defaults: &Defaults,
    read_list: &ReadList<'_>,
) -> Result<Residual> {
    let layers = read_list(field, &format!("{place}.residual"))?;
    let shortcut = fields.get("shortcut");
    let shortcut = shortcut
        .map(|field| read_shortcut(field, place, read_list))
        .transpose()?;
    let scale = fields
        .get("scale")
        .map(|field| field.number())
        .transpose()?;
    let init = fields.get("init").map(initialiser::read).transpose()?;
    let norm = fields.get("norm").map(read_norm_option).transpose()?;
    Ok(Residual {
        layers,
        shortcut: shortcut.unwrap_or_default(),
        scale: scale.unwrap_or(1.0),
        init: init.unwrap_or(defaults.init).weight,
        norm: norm.flatten(),
    })
}

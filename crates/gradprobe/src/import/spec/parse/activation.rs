//! Activations by name.

use crate::import::spec::error::{SpecError, SpecErrorKind as Kind};
use crate::import::spec::names::SOFTMAXES;
use crate::import::spec::reader::{Field, Result, nearest, normalised, quoted};
use crate::ops::activation;

/// Every name that stands for an activation.
pub(super) fn names() -> impl Iterator<Item = &'static str> + Clone {
    let known = activation::registry().iter().flat_map(|entry| {
        std::iter::once(entry.about.name).chain(entry.about.aliases.iter().copied())
    });
    known.chain(SOFTMAXES.iter().copied())
}

/// Is it the name of an activation, whatever its parameter?
pub(super) fn is_name(text: &str) -> bool {
    let name = text.split_once('=').map_or(text, |(name, _)| name);
    let name = normalised(name.trim()).to_lowercase();
    names().any(|known| known == name)
}

/// An activation; `None` for `none`.
pub(super) fn read(field: Field<'_, '_>) -> Result<Option<String>> {
    let text = field.text("the name of an activation")?;
    let name = normalised(text.trim()).to_lowercase();
    if name == "none" {
        return Ok(None);
    }
    check(text, field).map(Some)
}

/// The name as the registry has it, with its parameter if it was given one.
pub(super) fn check(text: &str, field: Field<'_, '_>) -> Result<String> {
    let name = normalised(text.trim()).to_lowercase();
    if SOFTMAXES.contains(&name.as_str()) {
        return Ok(name);
    }
    match activation::parse(text) {
        // An expression is kept as it is written.
        Ok(activation) if activation.name() == "expression" => Ok(activation.label()),
        Ok(_) => Ok(name),
        Err(activation::ActivationError::Unknown { .. }) => {
            let base = text.split_once('=').map_or(text, |(name, _)| name).trim();
            let help = match nearest(base, names()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => {
                    "common ones are `tanh`, `relu`, `sigmoid`, `gelu`, `silu` and `none`".into()
                }
            };
            Err(
                SpecError::new(Kind::Value, format!("unknown activation {}", quoted(base)))
                    .at(field.span())
                    .label("unknown activation")
                    .help(help),
            )
        }
        Err(error) => Err(SpecError::new(Kind::Value, error.to_string()).at(field.span())),
    }
}

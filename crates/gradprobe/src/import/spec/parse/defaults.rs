//! `[defaults]`: what layers have that do not say otherwise.

use super::activation;
use super::hint_for_table;
use super::initialiser::{self, WeightInit};
use super::norm::read_norm_option;
use crate::import::spec::reader::{Field, Fields, Result};
use crate::import::spec::specification::{Common, Norm};
use crate::init::Initialiser;
use toml::de::DeValue;

/// What a layer has that does not say otherwise.
#[derive(Clone, Debug, Default)]
pub(super) struct Defaults {
    pub(super) init: WeightInit,
    bias: Bias,
    norm: Option<Norm>,
    activation: Option<String>,
}

/// What `bias` may say.
#[derive(Clone, Copy, Debug, Default)]
enum Bias {
    /// As the initialiser has it.
    #[default]
    Yes,
    No,
    Drawn(Initialiser),
}

impl Defaults {
    pub(super) fn read(field: Option<Field<'_, '_>>) -> Result<Self> {
        let Some(field) = field else {
            return Ok(Self::default());
        };
        let mut fields = Fields::of(field, "[defaults]", "a table")?;
        let defaults = Self::default().overridden(&mut fields)?;
        fields.finish_with(hint_for_table)?;
        Ok(defaults)
    }

    /// The initialisers alone, for layers that neither normalise nor activate.
    pub(super) fn weights(&self, fields: &mut Fields<'_, '_>) -> Result<Common> {
        let own = self.with_weights(fields)?;
        Ok(Common {
            norm: None,
            activation: None,
            ..own.common()
        })
    }

    /// These, but for the initialisers that the fields say.
    fn with_weights(&self, fields: &mut Fields<'_, '_>) -> Result<Self> {
        let mut own = self.clone();
        if let Some(field) = fields.get("init") {
            own.init = initialiser::read(field)?;
        }
        if let Some(field) = fields.get("bias") {
            own.bias = match field.value.get_ref() {
                DeValue::Boolean(true) => Bias::Yes,
                DeValue::Boolean(false) => Bias::No,
                DeValue::String(_) | DeValue::Table(_) => {
                    Bias::Drawn(initialiser::read(field)?.weight)
                }
                _ => return Err(field.wrong_type("`true`, `false` or an initialiser")),
            };
        }
        Ok(own)
    }

    /// These, but for what the fields say.
    pub(super) fn overridden(&self, fields: &mut Fields<'_, '_>) -> Result<Self> {
        let mut own = self.with_weights(fields)?;
        if let Some(field) = fields.get("norm") {
            own.norm = read_norm_option(field)?;
        }
        if let Some(field) = fields.get("activation") {
            own.activation = activation::read(field)?;
        }
        Ok(own)
    }

    pub(super) fn common(self) -> Common {
        Common {
            init: self.init.weight,
            bias: match self.bias {
                Bias::Yes => Some(self.init.bias),
                Bias::No => None,
                Bias::Drawn(initialiser) => Some(initialiser),
            },
            norm: self.norm,
            activation: self.activation,
        }
    }
}

//! Networks that a person writes down in TOML.
//!
//! ```toml
//! batch = 64
//! layers = [
//!   { repeat = 29, layers = [{ linear = 64, activation = "tanh" }] },
//!   { linear = 10 },
//! ]
//!
//! [input]
//! data = "digits.csv.gz"
//! standardise = "global"
//!
//! [loss]
//! name = "cross-entropy"
//! ```
//!
//! The way from text to graph: `reader.rs` reads tables key by key with the place of every
//! mistake; `parse/` fills in a [`Specification`]; `plan.rs` walks its layers, checks every shape
//! and size and lists what is to be built; `network.rs` draws the weights and the batch of a seed.
//! `-` and `_` mean the same in keys and names.

mod blocks;
mod error;
mod memory;
mod names;
mod network;
mod objective;
mod operators;
mod parse;
mod plan;
mod reader;
mod rule_choices;
mod sequence;
mod source;
mod specification;
mod subject;
#[cfg(test)]
mod tests;

pub(super) use memory::{default_limit, shown as shown_bytes};
pub(crate) use reader::nearest;

pub use error::{Mistake, SpecError, SpecErrorKind};
pub use network::Network;
pub use rule_choices::{
    CONFIGURATION_FILE, Choice, RuleChoices, SettingChoice, find_configuration,
};
pub use sequence::{Embedding, RecurrentCell, RecurrentLayers, SelfAttention};
pub use source::Source;
pub use specification::{
    Common, Conv, ConvTranspose, Dtype, FileValues, Input, Interpolation, Layer, LayerKind, Linear,
    LocalResponseNorm, Loss, LossKind, Norm, NormKind, Optimiser, OptimiserKind, Padding, Pool,
    PoolKind, Repeat, Residual, RowChoice, Shortcut, Specification, TargetColumn, Targets,
    Upsample, Values,
};

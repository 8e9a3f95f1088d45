//! Training or inference.

/// Whether the network is run as in training or as in inference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Batch statistics in BatchNorm; dropout where it was asked for.
    #[default]
    Train,
    /// Running statistics in BatchNorm; dropout is the identity.
    Eval,
}

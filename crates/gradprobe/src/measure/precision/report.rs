//! What is reported about a setting.

use super::compare::Counts;
use super::window::LossScaleWindow;
use crate::num::Dtype;
use crate::run::emulated::Precision;
use serde::{Deserialize, Serialize};

/// What a setting makes of the gradients of a layer's parameters. Shares are of all their entries.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LayerPrecision {
    /// The layer's name.
    pub name: String,
    /// Entries of its parameters' gradients.
    pub entries: u64,
    /// The share whose true value is 0.
    pub true_zero: f64,
    /// The share that a framework's derivative (1 − y²) makes 0.
    pub cancelled: f64,
    /// The share that is 0 for the entry, or a number on the way to it, is below what the type
    /// holds.
    pub underflowed: f64,
    /// The share that is 0 for a forward value was rounded onto a flat part of an activation.
    pub rounded: f64,
    /// The share that is infinite or NaN.
    pub overflowed: f64,
    /// The share that is there, and whose update w − η·g rounds back to w; `None` without an
    /// optimiser.
    pub lost_update: Option<f64>,
    /// ‖gradient − true gradient‖ / ‖true gradient‖; `None` where that is not finite.
    pub relative_error: Option<f64>,
    /// Does its forward signal overflow?
    pub overflows_forward: bool,
    /// Are a hundredth of its derivatives or more cancelled?
    pub derivatives_cancel: bool,
    /// Is a hundredth of its signals or more lost even at the largest loss scale that does not
    /// overflow?
    pub beyond_loss_scale: bool,
}

impl LayerPrecision {
    pub(super) fn new(name: String, counts: &Counts) -> Self {
        let entries = counts.entries;
        let share = |part: u64| part as f64 / entries.max(1) as f64;
        Self {
            name,
            entries,
            true_zero: share(counts.true_zero),
            cancelled: share(counts.cancelled),
            underflowed: share(counts.underflowed),
            rounded: share(counts.rounded),
            overflowed: share(counts.overflowed),
            lost_update: counts.lost_update.map(share),
            relative_error: counts.relative_error(),
            overflows_forward: false,
            derivatives_cancel: false,
            beyond_loss_scale: false,
        }
    }

    /// Should it stay in a wider type?
    pub fn needs_wider_type(&self) -> bool {
        self.overflows_forward || self.derivatives_cancel || self.beyond_loss_scale
    }

    /// The share that is lost to the type: not 0 in truth, and 0 or not finite in it.
    pub fn lost(&self) -> f64 {
        self.cancelled + self.underflowed + self.rounded + self.overflowed
    }
}

/// What a setting makes of the gradient.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PrecisionReport {
    /// The setting: `f16`, `autocast-bf16`.
    pub precision: String,
    /// The seed of the run.
    pub seed: u64,
    /// What the loss was multiplied by.
    pub loss_scale: f64,
    /// The loss in it; `None` where there is none, or it is not finite.
    pub loss: Option<f64>,
    /// Are the loss and every gradient finite?
    pub finite: bool,
    /// ‖gradient − true gradient‖ / ‖true gradient‖ over all of it; `None` where that is not finite.
    pub relative_error: Option<f64>,
    /// The layers with parameters, first to last.
    pub layers: Vec<LayerPrecision>,
    /// The loss scales that serve.
    pub window: LossScaleWindow,
}

impl PrecisionReport {
    /// The narrowest type of the setting.
    pub fn dtype(&self) -> Option<Dtype> {
        let precision: Option<Precision> = self.precision.parse().ok();
        precision.map(Precision::narrow)
    }

    /// Entries of all gradients.
    pub fn entries(&self) -> u64 {
        self.layers.iter().map(|layer| layer.entries).sum()
    }

    /// A share of the entries of all layers together.
    pub fn share(&self, of: impl Fn(&LayerPrecision) -> f64) -> f64 {
        let lost = self
            .layers
            .iter()
            .map(|layer| of(layer) * layer.entries as f64);
        lost.sum::<f64>() / self.entries().max(1) as f64
    }

    /// The layers that should stay in a wider type.
    pub fn need_wider_type(&self) -> impl Iterator<Item = &LayerPrecision> {
        let layers = self.layers.iter();
        layers.filter(|layer| layer.needs_wider_type())
    }
}

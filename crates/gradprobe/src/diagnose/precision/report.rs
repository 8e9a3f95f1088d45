//! What is reported about a setting.

use super::compare::Counts;
use super::window::LossScaleWindow;
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
    /// Should it stay in f32: does it overflow forward, do its derivatives cancel, or is more lost
    /// of its signals than a hundredth at the largest loss scale that does not overflow?
    pub stay_in_f32: bool,
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
            stay_in_f32: false,
        }
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
    /// What the loss was multiplied by.
    pub loss_scale: f64,
    /// The loss in it; `None` where there is none, or it is not finite.
    pub loss: Option<f64>,
    /// Are the loss and every gradient finite?
    pub finite: bool,
    /// The layers with parameters, first to last.
    pub layers: Vec<LayerPrecision>,
    /// The loss scales that serve.
    pub window: LossScaleWindow,
}

impl PrecisionReport {
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

    /// The layers that should stay in f32.
    pub fn stay_in_f32(&self) -> impl Iterator<Item = &LayerPrecision> {
        self.layers.iter().filter(|layer| layer.stay_in_f32)
    }
}

//! The layers that are judged over depth.

use crate::measure::{LayerMeasurement, Measurement};

/// The layers that a verdict on depth is given on: those on the chain with weights.
pub(super) fn judged_layers(measurement: &Measurement) -> Vec<&LayerMeasurement> {
    let layers = measurement.layers.iter();
    layers.filter(|layer| layer.median.is_judged()).collect()
}

/// The layer, going backward, from which on at least one decade is lost (`sign` −1) or gained (+1).
pub(super) fn onset<'a>(
    layers: &[&'a LayerMeasurement],
    sign: f64,
) -> Option<&'a LayerMeasurement> {
    let changed = |layer: &&&LayerMeasurement| match layer.median.decades_at_weights {
        Some(decades) => sign * decades >= 1.0,
        None => sign < 0.0,
    };
    layers.iter().take_while(changed).last().copied()
}

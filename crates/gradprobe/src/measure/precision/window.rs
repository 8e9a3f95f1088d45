//! The loss scales that lift a gradient off a type's floor and keep it under its ceiling.

use super::LOST_SHARE;
use super::reference::{Reference, Sizes};
use crate::graph::{Graph, ValueId};
use crate::num::Dtype;
use serde::{Deserialize, Serialize};

/// Where PyTorch's `GradScaler` starts: 2^16. It doubles the scale after 2000 clean steps and
/// halves it when a gradient is not finite.
pub const DYNAMIC_SCALE_START: f64 = 65536.0;

/// The loss scales, powers of two, at which a setting neither loses nor overflows.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LossScaleWindow {
    /// log2 of the smallest scale at which less than a hundredth of every layer's gradient, and of
    /// every cotangent on the way, is below what its type holds; `None` where nothing is scaled.
    pub log2_smallest: Option<i64>,
    /// log2 of the largest scale at which no gradient or cotangent overflows its type. PyTorch's
    /// dynamic scaler settles there.
    pub log2_largest: Option<i64>,
}

impl LossScaleWindow {
    /// From the true sizes of all gradients and cotangents and the types that they pass.
    pub(super) fn new(
        graph: &Graph,
        reference: &Reference,
        dtype_of: impl Fn(ValueId) -> Option<Dtype>,
    ) -> Self {
        let (mut smallest, mut largest): (Option<i64>, Option<i64>) = (None, None);
        let mut signal = |sizes: &Sizes, dtype: Option<Dtype>| {
            let Some(dtype) = dtype else { return };
            if let Some(exponent) = sizes.exponent_at(LOST_SHARE) {
                let needed = floor_exponent(dtype) - exponent;
                smallest = Some(smallest.map_or(needed, |other| other.max(needed)));
            }
            if let Some((mantissa, exponent)) = sizes.largest {
                let allowed = ceiling_exponent(dtype, mantissa) - exponent;
                largest = Some(largest.map_or(allowed, |other| other.min(allowed)));
            }
        };
        for parameter in graph.parameters() {
            if let crate::graph::ValueKind::Parameter(id) = graph.value(parameter.value).kind {
                let sizes = &reference.gradients[id.index()].sizes;
                signal(sizes, dtype_of(parameter.value));
            }
        }
        for (index, sizes) in reference.cotangents.iter().enumerate() {
            signal(sizes, dtype_of(ValueId::at(index)));
        }
        Self {
            log2_smallest: smallest,
            log2_largest: largest,
        }
    }

    /// Where PyTorch's dynamic scaler is after its first steps: at its start, or halved from there
    /// until nothing overflows.
    pub fn dynamic_start(&self) -> f64 {
        let start = DYNAMIC_SCALE_START.log2() as i64;
        let exponent = self
            .log2_largest
            .map_or(start, |largest| largest.min(start));
        2f64.powi(exponent.max(-126) as i32)
    }

    /// Is there a scale that serves?
    pub fn is_open(&self) -> bool {
        match (self.log2_smallest, self.log2_largest) {
            (Some(smallest), Some(largest)) => smallest <= largest,
            _ => true,
        }
    }

    /// Does it take no scaling at all?
    pub fn holds_one(&self) -> bool {
        self.log2_smallest.is_none_or(|smallest| smallest <= 0)
            && self.log2_largest.is_none_or(|largest| largest >= 0)
    }

    /// Does the largest scale bring this signal above the floor of its type?
    pub(super) fn lifts(&self, sizes: &Sizes, dtype: Option<Dtype>) -> bool {
        let (Some(largest), Some(dtype)) = (self.log2_largest, dtype) else {
            return true;
        };
        sizes.share_below(floor_exponent(dtype) - largest) < LOST_SHARE
    }
}

/// What is below 2^this rounds to 0 in the type. (2^this itself does, too, and is not counted.)
fn floor_exponent(dtype: Dtype) -> i64 {
    dtype.smallest_exponent() - 1
}

/// The largest e at which mantissa × 2^e does not overflow the type.
fn ceiling_exponent(dtype: Dtype, mantissa: f64) -> i64 {
    let top = libm::ilogb(dtype.largest());
    let fits = dtype.round(libm::scalbn(mantissa, top)).is_finite() && dtype != Dtype::F64;
    i64::from(top) - i64::from(!fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ceiling_is_where_rounding_overflows() {
        assert_eq!(ceiling_exponent(Dtype::F16, 1.0), 15);
        // 65519 rounds to 65504, 65520 to infinity.
        assert_eq!(ceiling_exponent(Dtype::F16, 65519.0 / 32768.0), 15);
        assert_eq!(ceiling_exponent(Dtype::F16, 65520.0 / 32768.0), 14);
        assert_eq!(ceiling_exponent(Dtype::E4m3, 464.0 / 256.0), 8);
        assert_eq!(ceiling_exponent(Dtype::E4m3, 465.0 / 256.0), 7);
        assert_eq!(ceiling_exponent(Dtype::E5m2, 61439.0 / 32768.0), 15);
        assert_eq!(ceiling_exponent(Dtype::F32, 1.0), 127);
    }
}

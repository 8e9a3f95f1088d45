//! Where the correlation of two inputs rests.

use super::maps::{MeanField, depth_scale};
use crate::num::roots::brent;

/// The fixed point of the correlation map that inputs run to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CorrelationPoint {
    /// c*: 1 in the ordered phase, where all inputs become alike; below 1 in the chaotic one.
    pub c: f64,
    /// The slope of the map there: χ1 where c* = 1.
    pub slope: f64,
}

impl CorrelationPoint {
    /// ξ_c = −1/ln(slope): the layers over which the distance from c* falls by e. A network can be
    /// trained up to about six of them (Schoenholz et al. 2017, section 5).
    pub fn depth_scale(&self) -> f64 {
        depth_scale(self.slope)
    }
}

impl MeanField<'_> {
    /// The stable fixed point of the correlation map at the length q > 0, a fixed point of the
    /// length map: c* = 1 where χ1 ≤ 1, else the root of c′ = c below 1.
    pub fn correlation_point(&self, q: f64) -> CorrelationPoint {
        let chi_1 = self.chi_1(q);
        let together = CorrelationPoint {
            c: 1.0,
            slope: chi_1,
        };
        if chi_1 <= 1.0 + 1e-12 {
            return together;
        }
        let at_zero = self.correlation_map(q, 0.0);
        // An odd activation without a bias keeps what is uncorrelated uncorrelated.
        if at_zero.abs() < 1e-14 {
            return CorrelationPoint {
                c: 0.0,
                slope: self.correlation_slope(q, 0.0),
            };
        }
        // Close to 1 the map lies below c by (χ1 − 1)(1 − c).
        let mut near = 1e-3f64;
        while near > 1e-7 && self.correlation_map(q, 1.0 - near) >= 1.0 - near {
            near *= 0.1;
        }
        match brent(0.0, 1.0 - near, |c| self.correlation_map(q, c) - c) {
            Some(c) => CorrelationPoint {
                c,
                slope: self.correlation_slope(q, c),
            },
            None => together,
        }
    }
}

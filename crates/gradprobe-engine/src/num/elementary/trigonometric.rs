//! sin, cos and the inverse tangent in f64.

use super::coefficients::{ATAN, COS, SIN};
use super::compensated::two_sum;
use super::exponential::{MAGIC, horner};
use std::f64::consts::{FRAC_2_PI, FRAC_PI_2, FRAC_PI_4};

/// Up to here the reduction by π/2 in three parts holds; beyond, libm's.
pub(super) const REDUCIBLE: f64 = 1_073_741_824.0;

const FRAC_PI_2_MIDDLE: f64 = 6.123_233_995_736_766e-17;
const FRAC_PI_2_LOW: f64 = -1.497_384_904_859_169_8e-33;
const FRAC_PI_4_LOW: f64 = 3.061_616_997_868_383e-17;

/// x = n·π/2 + r + r_low with |r| ≤ π/4: (r, r_low, bits of n).
#[inline(always)]
fn quadrant(x: f64) -> (f64, f64, u64) {
    let shifted = x.mul_add(FRAC_2_PI, MAGIC);
    let n = shifted - MAGIC;
    // Exact: both are multiples of 2^−53, and the difference is below 1.
    let exact = (-n).mul_add(FRAC_PI_2, x);
    // What is left near a zero of the function may be as small as 2^−60: nothing may be lost.
    let middle = -n * FRAC_PI_2_MIDDLE;
    let middle_low = (-n).mul_add(FRAC_PI_2_MIDDLE, -middle);
    let (r, lost) = two_sum(exact, middle);
    let r_low = (-n).mul_add(FRAC_PI_2_LOW, lost + middle_low);
    (r, r_low, shifted.to_bits())
}

/// sin or cos of r + r_low by the quadrant, with the sign of the second half turn.
#[inline(always)]
fn wave(r: f64, r_low: f64, quadrant: u64) -> f64 {
    let z = r * r;
    let sine = r + (r * z).mul_add(horner(z, &SIN), r_low);
    let half = 0.5 * z;
    let top = 1.0 - half;
    let cosine = top + ((1.0 - top) - half + (z * z).mul_add(horner(z, &COS), -r * r_low));
    let picked = if quadrant & 1 == 0 { sine } else { cosine };
    f64::from_bits(picked.to_bits() ^ ((quadrant & 2) << 62))
}

/// sin(x) for |x| ≤ [`REDUCIBLE`].
#[inline(always)]
pub(super) fn sin(x: f64) -> f64 {
    let (r, r_low, quadrant) = quadrant(x);
    let result = wave(r, r_low, quadrant);
    if x == 0.0 { x } else { result }
}

/// cos(x) for |x| ≤ [`REDUCIBLE`].
#[inline(always)]
pub(super) fn cos(x: f64) -> f64 {
    let (r, r_low, quadrant) = quadrant(x);
    wave(r, r_low, quadrant.wrapping_add(1))
}

#[inline(always)]
pub(super) fn atan(x: f64) -> f64 {
    atan_by(x, &ATAN)
}

/// arctan(x) with the polynomial's precision.
#[inline(always)]
pub(super) fn atan_by<const N: usize>(x: f64, polynomial: &[f64; N]) -> f64 {
    // tan(3π/8) and tan(π/8) part the three turns by which the argument is brought near 0.
    let a = x.abs();
    let steep = a > 2.414_213_562_373_095;
    let middle = a > 0.414_213_562_373_095_03;
    let numerator = if middle { a - 1.0 } else { a };
    let numerator = if steep { -1.0 } else { numerator };
    let denominator = if middle { a + 1.0 } else { 1.0 };
    let denominator = if steep { a } else { denominator };
    let base = if middle { FRAC_PI_4 } else { 0.0 };
    let base = if steep { FRAC_PI_2 } else { base };
    let base_low = if middle { FRAC_PI_4_LOW } else { 0.0 };
    let base_low = if steep { FRAC_PI_2_MIDDLE } else { base_low };
    let t = numerator / denominator;
    let z = t * t;
    let result = base + (t + (t * z).mul_add(horner(z, polynomial), base_low));
    // Both branches are false for a NaN, which then goes through t.
    result.copysign(x)
}

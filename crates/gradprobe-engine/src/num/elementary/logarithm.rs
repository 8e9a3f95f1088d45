//! ln(x) and ln(1 + x) in f64.

use super::coefficients::LN;
use super::exponential::horner;

const LN_2_HIGH: f64 = 0.693_147_180_559_890_3;
const LN_2_LOW: f64 = 5.497_923_018_708_371e-14;
/// √½: mantissas are taken from [√½, √2).
const SQRT_HALF_BITS: u64 = std::f64::consts::FRAC_1_SQRT_2.to_bits();
/// Converts small whole numbers: 2^52 + 2^51 in the exponent's place.
const WHOLE: f64 = 6_755_399_441_055_744.0;

/// k and f with x = 2^k·(1 + f) and 1 + f in [√½, √2), for a positive normal x.
#[inline(always)]
pub(super) fn split(x: f64) -> (f64, f64) {
    // The offset makes the exponent field that of x/√½, in excess by 1024.
    let shifted = x.to_bits().wrapping_sub(SQRT_HALF_BITS);
    let offset = (1024u64 << 52).wrapping_add(shifted) >> 52;
    let k = f64::from_bits(WHOLE.to_bits().wrapping_add(offset)) - WHOLE - 1024.0;
    let mantissa = (shifted & 0x000f_ffff_ffff_ffff).wrapping_add(SQRT_HALF_BITS);
    (k, f64::from_bits(mantissa) - 1.0)
}

/// ln(2^k·(1 + f)) + low, with low far below 1 (the arrangement of FreeBSD's `e_log.c`).
#[inline(always)]
pub(super) fn assemble<const N: usize>(k: f64, f: f64, low: f64, polynomial: &[f64; N]) -> f64 {
    let s = f / (2.0 + f);
    let z = s * s;
    let half_square = 0.5 * f * f;
    let tail = z * horner(z, polynomial);
    let correction = s.mul_add(half_square + tail, k.mul_add(LN_2_LOW, low));
    k.mul_add(LN_2_HIGH, f - (half_square - correction))
}

/// `result` for positive finite `x`; the limits and NaN elsewhere.
#[inline(always)]
fn at_edges(x: f64, result: f64) -> f64 {
    let result = if x == f64::INFINITY { x } else { result };
    let result = if x == 0.0 { f64::NEG_INFINITY } else { result };
    // A negative number, or a NaN.
    if x >= 0.0 { result } else { f64::NAN }
}

#[inline(always)]
pub(super) fn ln(x: f64) -> f64 {
    const TWO_54: f64 = 18_014_398_509_481_984.0;
    let subnormal = x < f64::MIN_POSITIVE;
    let (k, f) = split(if subnormal { x * TWO_54 } else { x });
    let k = if subnormal { k - 54.0 } else { k };
    at_edges(x, assemble(k, f, 0.0, &LN))
}

#[inline(always)]
pub(super) fn ln_1p(x: f64) -> f64 {
    let u = 1.0 + x;
    let x_part = u - 1.0;
    let lost = (x - x_part) + (1.0 - (u - x_part));
    let (k, f) = split(u);
    // What the sum lost, relative to u: its share is small enough for a short 1/(1 + f). From
    // 2^60 on it is below the last digit, and for an infinite x it is NaN.
    let scaled = lost * f64::from_bits((1023u64 << 52).wrapping_sub(((k + WHOLE).to_bits()) << 52));
    let low = if x < 1e18 {
        scaled * f.mul_add(f - 1.0, 1.0)
    } else {
        0.0
    };
    let result = at_edges(u, assemble(k, f, low, &LN));
    // −0 and the subnormal numbers.
    if x.abs() < 1e-300 { x } else { result }
}

//! e^x, e^x − 1 and the logistic function in f64, and the pieces that others build on.
//!
//! Everything starts from e^x = (1 + p)·2^k with p = e^r − 1 and |r| ≤ ln(2)/2 (Cody and Waite's
//! reduction). The roundings of the sums and quotients after it are carried along, since each
//! would cost half a unit in the last place.

use super::coefficients::EXP;
use std::f64::consts::LOG2_E;

/// 1.5·2^52: added to a small number it leaves the nearest whole number in the low bits.
pub(super) const MAGIC: f64 = 6_755_399_441_055_744.0;
/// ln 2 to 42 bits, so that its product with an exponent is exact.
const LN_2_HIGH: f64 = 0.693_147_180_559_890_3;
const LN_2_LOW: f64 = 5.497_923_018_708_371e-14;

/// The polynomial with these coefficients, lowest power first.
#[inline(always)]
pub(super) fn horner<const N: usize>(x: f64, coefficients: &[f64; N]) -> f64 {
    let mut sum = coefficients[N - 1];
    for &coefficient in coefficients[..N - 1].iter().rev() {
        sum = sum.mul_add(x, coefficient);
    }
    sum
}

/// [`EXP`]'s polynomial in pairs of pairs (Estrin's scheme): three multiplications more than
/// Horner's, in two fifths of its chain of operations that wait for each other, which is what
/// bounds a hot loop.
#[inline(always)]
fn exp_polynomial(x: f64) -> f64 {
    let pair = |low: usize| EXP[low + 1].mul_add(x, EXP[low]);
    let square = x * x;
    let fourth = square * square;
    let low = pair(2).mul_add(square, pair(0));
    let high = pair(6).mul_add(square, pair(4));
    let low = high.mul_add(fourth, low);
    pair(8).mul_add(fourth * fourth, low)
}

/// `x`, but not below `least`; NaN stays NaN.
#[inline(always)]
pub(super) fn at_least(x: f64, least: f64) -> f64 {
    if x < least { least } else { x }
}

/// `x`, but not above `most`; NaN stays NaN.
#[inline(always)]
pub(super) fn at_most(x: f64, most: f64) -> f64 {
    if x > most { most } else { x }
}

/// 2^k for a whole k in [−1022, 1023].
#[inline(always)]
pub(super) fn power_of_two(k: f64) -> f64 {
    f64::from_bits((k + MAGIC).to_bits().wrapping_add(1023) << 52)
}

/// `x`·2^k for a whole k in [−2000, 1100], rounded once where the result is subnormal.
#[inline(always)]
pub(super) fn scale(x: f64, k: f64) -> f64 {
    let half = 0.5f64.mul_add(k, MAGIC) - MAGIC;
    x * power_of_two(half) * power_of_two(k - half)
}

/// (r, tail, k) with e^x = (1 + r + tail)·2^k, for |x| ≤ 1500. The tail has what r lost.
#[inline(always)]
fn reduced_parts<const N: usize>(x: f64, polynomial: &[f64; N]) -> (f64, f64, f64) {
    let k = x.mul_add(LOG2_E, MAGIC) - MAGIC;
    let exact = (-k).mul_add(LN_2_HIGH, x);
    let r = (-k).mul_add(LN_2_LOW, exact);
    let r_low = (-k).mul_add(LN_2_LOW, exact - r);
    (r, (r * r).mul_add(horner(r, polynomial), r_low), k)
}

/// (p, k) with e^x = (1 + p)·2^k, for |x| ≤ 1500. p is e^r − 1 to relative precision.
#[inline(always)]
pub(super) fn reduced<const N: usize>(x: f64, polynomial: &[f64; N]) -> (f64, f64) {
    let (r, tail, k) = reduced_parts(x, polynomial);
    (r + tail, k)
}

/// [`reduced`] without what the reduction lost, which costs p half a unit in the last place at
/// most where k is not 0.
#[inline(always)]
pub(super) fn reduced_plain(x: f64) -> (f64, f64) {
    let k = x.mul_add(LOG2_E, MAGIC) - MAGIC;
    let r = (-k).mul_add(LN_2_LOW, (-k).mul_add(LN_2_HIGH, x));
    ((r * r).mul_add(exp_polynomial(r), r), k)
}

/// (m, what m lost, k) with e^(−h−l) = (m + lost)·2^k, for 0 ≤ h ≤ 1500 and l far below 1.
#[inline(always)]
pub(super) fn exp_neg_parts<const N: usize>(
    h: f64,
    l: f64,
    polynomial: &[f64; N],
) -> (f64, f64, f64) {
    let (p, k) = reduced(-h, polynomial);
    let m = 1.0 + p;
    (m, (-m).mul_add(l, p - (m - 1.0)), k)
}

#[inline(always)]
pub(super) fn exp(x: f64) -> f64 {
    let (p, k) = reduced(at_most(at_least(x, -750.0), 710.0), &EXP);
    scale(1.0 + p, k)
}

#[inline(always)]
pub(super) fn exp_m1(x: f64) -> f64 {
    let (r, tail, k) = reduced_parts(at_most(at_least(x, -60.0), 710.0), &EXP);
    // (1 − 2^(−k) + r + tail)·2^k; from k = 60 on the power is below the last digit.
    let rest = 1.0 - power_of_two(-at_most(k, 100.0));
    let sum = rest + r;
    let part = sum - rest;
    let lost = (rest - (sum - part)) + (r - part);
    scale(sum + (lost + tail), k).copysign(x)
}

/// σ(−a) for a ≥ 0 as (quotient + lost)·2^k; NaN stays NaN.
#[inline(always)]
pub(super) fn sigmoid_left(a: f64) -> (f64, f64, f64) {
    sigmoid_parts(a, true)
}

/// σ(a), or σ(−a) if `left`, for a ≥ 0 as (quotient + lost)·2^k.
#[inline(always)]
fn sigmoid_parts(a: f64, left: bool) -> (f64, f64, f64) {
    let (p, k) = reduced(at_least(-a, -760.0), &EXP);
    let mantissa = 1.0 + p;
    let mantissa_lost = p - (mantissa - 1.0);
    let power = power_of_two(at_least(k, -200.0));
    let e = power * mantissa;
    let d = 1.0 + e;
    let d_lost = power.mul_add(mantissa_lost, e - (d - 1.0));
    let numerator = if left { mantissa } else { 1.0 };
    let numerator_lost = if left { mantissa_lost } else { 0.0 };
    let inverse = 1.0 / d;
    let quotient = numerator * inverse;
    let residual = (-d).mul_add(quotient, numerator) + (-d_lost).mul_add(quotient, numerator_lost);
    (quotient, residual * inverse, if left { k } else { 0.0 })
}

#[inline(always)]
pub(super) fn sigmoid(x: f64) -> f64 {
    let (quotient, lost, k) = sigmoid_parts(x.abs(), x < 0.0);
    scale(quotient + lost, k)
}

//! e^x in f64 and what is made of it: tanh, sech², the logistic function.
//!
//! Everything starts from e^x = (1 + p)·2^k with p = e^r − 1 and |r| ≤ ln(2)/2 (Cody and Waite's
//! reduction). The roundings of the sums and quotients after it are carried along, since each
//! would cost half a unit in the last place.

use super::coefficients::{EXP, TANH_DEFICIT};
use std::f64::consts::LOG2_E;

/// 1.5·2^52: added to a small number it leaves the nearest whole number in the low bits.
pub(super) const MAGIC: f64 = 6_755_399_441_055_744.0;
/// ln 2 to 42 bits, so that its product with an exponent is exact.
const LN_2_HIGH: f64 = 0.693_147_180_559_890_3;
const LN_2_LOW: f64 = 5.497_923_018_708_371e-14;
const THIRD: f64 = 1.0 / 3.0;
const THIRD_LOW: f64 = 1.850_371_707_708_594_2e-17;

/// The polynomial with these coefficients, lowest power first.
#[inline(always)]
pub(super) fn horner<const N: usize>(x: f64, coefficients: &[f64; N]) -> f64 {
    let mut sum = coefficients[N - 1];
    for &coefficient in coefficients[..N - 1].iter().rev() {
        sum = sum.mul_add(x, coefficient);
    }
    sum
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

/// (r, tail, k) with e^x = (1 + r + tail)·2^k, for |x| ≤ 1500.
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

/// What tanh and sech² share.
struct Hyperbolic {
    /// tanh|x| as a rounded number and what it lost.
    tanh: f64,
    tanh_lost: f64,
    /// e^(−2|x|) as (mantissa, lost)·2^k.
    mantissa: f64,
    mantissa_lost: f64,
    k: f64,
    /// 1/(1 + e^(−2|x|)) as a rounded number and what it lost.
    inverse: f64,
    inverse_lost: f64,
}

#[inline(always)]
fn hyperbolic(x: f64, least: f64) -> Hyperbolic {
    let (p, k) = reduced(at_least(-2.0 * x.abs(), least), &EXP);
    // m = e^(−2|x|) − 1 by p's own precision, so that tanh = −m/(2 + m) holds near 0.
    let power = power_of_two(at_least(k, -200.0));
    let rest = power - 1.0;
    let m = power.mul_add(p, rest);
    let m_lost = power.mul_add(p, rest - m);
    let d = 2.0 + m;
    let d_lost = m - (d - 2.0) + m_lost;
    let inverse = 1.0 / d;
    let tanh = -m * inverse;
    let tanh_residual = (-d).mul_add(tanh, -m) - d_lost.mul_add(tanh, m_lost);
    let inverse_residual = (-d).mul_add(inverse, 1.0) - d_lost * inverse;
    let mantissa = 1.0 + p;
    Hyperbolic {
        tanh,
        tanh_lost: tanh_residual * inverse,
        mantissa,
        mantissa_lost: p - (mantissa - 1.0),
        k,
        inverse,
        inverse_lost: inverse_residual * inverse,
    }
}

impl Hyperbolic {
    #[inline(always)]
    fn sech_squared(&self) -> f64 {
        let square = self.inverse * self.inverse;
        let square_lost =
            self.inverse.mul_add(self.inverse, -square) + 2.0 * self.inverse * self.inverse_lost;
        let product = self.mantissa * square;
        let product_lost = self.mantissa.mul_add(square, -product)
            + self
                .mantissa
                .mul_add(square_lost, self.mantissa_lost * square);
        scale(4.0 * (product + product_lost), self.k)
    }
}

/// Where tanh has long been 1, and e^(−2|x|) not yet left [`power_of_two`]'s range.
const TANH_LEAST: f64 = -80.0;
/// Where sech² has long been 0.
const SECH_LEAST: f64 = -760.0;

#[inline(always)]
pub(super) fn tanh(x: f64) -> f64 {
    let parts = hyperbolic(x, TANH_LEAST);
    (parts.tanh + parts.tanh_lost).copysign(x)
}

#[inline(always)]
pub(super) fn sech_squared(x: f64) -> f64 {
    hyperbolic(x, SECH_LEAST).sech_squared()
}

#[inline(always)]
pub(super) fn tanh_sech_squared(x: f64) -> (f64, f64) {
    let parts = hyperbolic(x, SECH_LEAST);
    (
        (parts.tanh + parts.tanh_lost).copysign(x),
        parts.sech_squared(),
    )
}

#[inline(always)]
pub(super) fn minus_tanh(x: f64) -> f64 {
    // x³·(⅓ + z·T(z)), the roundings of the cube and of the sum carried along.
    let z = x * x;
    let cube = x * z;
    let cube_lost = x.mul_add(z, -cube) + x * x.mul_add(x, -z);
    let rest = horner(z, &TANH_DEFICIT);
    let factor = z.mul_add(rest, THIRD);
    let factor_lost = z.mul_add(rest, THIRD - factor) + THIRD_LOW;
    let lost = cube.mul_add(factor_lost, cube_lost * factor);
    let small = cube.mul_add(factor, lost);
    // From |x| = 0.7 on the difference is at least a seventh of x, and what tanh lost is added.
    let parts = hyperbolic(x, TANH_LEAST);
    let large = (x.abs() - parts.tanh) - parts.tanh_lost;
    (if z <= 0.5 { small } else { large }).copysign(x)
}

#[inline(always)]
pub(super) fn sigmoid(x: f64) -> f64 {
    let (p, k) = reduced(at_least(-x.abs(), -760.0), &EXP);
    let mantissa = 1.0 + p;
    let mantissa_lost = p - (mantissa - 1.0);
    let power = power_of_two(at_least(k, -200.0));
    let e = power * mantissa;
    let d = 1.0 + e;
    let d_lost = power.mul_add(mantissa_lost, e - (d - 1.0));
    let negative = x < 0.0;
    let numerator = if negative { mantissa } else { 1.0 };
    let numerator_lost = if negative { mantissa_lost } else { 0.0 };
    let inverse = 1.0 / d;
    let quotient = numerator * inverse;
    let residual = (-d).mul_add(quotient, numerator) + (-d_lost).mul_add(quotient, numerator_lost);
    scale(
        residual.mul_add(inverse, quotient),
        if negative { k } else { 0.0 },
    )
}

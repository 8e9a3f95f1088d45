//! The error function and the normal distribution in f64.
//!
//! The complement is e^(−x²) Q(t)/(1 + 2x) with t = (x − 4)/(x + 4), which maps [0, ∞) to
//! [−1, 1) and in which Q is a short polynomial (Shepherd and Laframboise, *Chebyshev
//! approximation of (1 + 2x) exp(x²) erfc x in 0 ≤ x < ∞*, Math. Comp. 36, 1981).

use super::coefficients::{ERF, ERFC, EXP};
use super::exponential::{at_least, at_most, exp_neg_parts, horner, scale};
use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI};

const FRAC_1_SQRT_2_LOW: f64 = -4.833_646_656_726_457e-17;
const FRAC_2_SQRT_PI_LOW: f64 = 1.533_545_961_316_588e-17;
const FRAC_1_SQRT_2PI: f64 = 0.398_942_280_401_432_7;
const FRAC_1_SQRT_2PI_LOW: f64 = -2.492_327_202_277_73e-17;
/// Beyond, e^(−x²) is 0 in f64.
const FAR: f64 = 28.0;

/// erfc(a + a_low) for a ≥ 0 (or NaN).
#[inline(always)]
fn complement(a: f64, a_low: f64) -> f64 {
    let a = at_most(a, FAR);
    let q = horner((a - 4.0) / (a + 4.0), &ERFC);
    let twice = a + a;
    let d = 1.0 + twice;
    // Exact whichever of the two is the larger.
    let part = d - twice;
    let d_low = (1.0 - part) + (twice - (d - part)) + 2.0 * a_low;
    let inverse = 1.0 / d;
    let quotient = q * inverse;
    let quotient_low = ((-d).mul_add(quotient, q) - d_low * quotient) * inverse;

    let square = a * a;
    let square_low = a.mul_add(a, -square) + 2.0 * a * a_low;
    let (m, m_low, k) = exp_neg_parts(square, square_low, &EXP);
    let product = m * quotient;
    let product_low = m.mul_add(quotient, -product) + m.mul_add(quotient_low, m_low * quotient);
    scale(product + product_low, k)
}

/// erf(x) for |x| ≤ 1 as a rounded number and what it lost.
#[inline(always)]
fn small(x: f64) -> (f64, f64) {
    let z = x * x;
    let tail = x * z.mul_add(horner(z, &ERF), FRAC_2_SQRT_PI_LOW);
    let sum = x.mul_add(FRAC_2_SQRT_PI, tail);
    (sum, x.mul_add(FRAC_2_SQRT_PI, -sum) + tail)
}

/// Up to here erfc is taken as 1 − erf: near t = −1 the terms of Q cancel.
const NEAR: f64 = 0.65;

#[inline(always)]
pub(super) fn erfc(x: f64) -> f64 {
    let right = complement(x.abs(), 0.0);
    let far = if x < 0.0 { 2.0 - right } else { right };
    let (erf, lost) = small(x);
    if x.abs() <= NEAR {
        (1.0 - erf) - lost
    } else {
        far
    }
}

#[inline(always)]
pub(super) fn erf(x: f64) -> f64 {
    let large = (1.0 - complement(x.abs(), 0.0)).copysign(x);
    if x.abs() <= 1.0 { small(x).0 } else { large }
}

#[inline(always)]
pub(super) fn exp_neg_square(x: f64) -> f64 {
    let x = at_most(x.abs(), FAR);
    let square = x * x;
    let (m, m_low, k) = exp_neg_parts(square, x.mul_add(x, -square), &EXP);
    scale(m + m_low, k)
}

/// √2·[`FAR`], rounded up: beyond, the density is 0 in f64.
const NORMAL_FAR: f64 = 39.6;

#[inline(always)]
pub(super) fn normal_cdf(x: f64) -> f64 {
    let a = at_most(x.abs(), NORMAL_FAR);
    let z = FRAC_1_SQRT_2 * a;
    let z_low = FRAC_1_SQRT_2.mul_add(a, -z) + FRAC_1_SQRT_2_LOW * a;
    let left = 0.5 * complement(z, z_low);
    let far = if x > 0.0 { 1.0 - left } else { left };
    let (erf, lost) = small(z);
    let lost = FRAC_2_SQRT_PI.mul_add(z_low, lost);
    let near = 0.5f64.mul_add(erf.copysign(x), 0.5) + 0.5 * if x < 0.0 { -lost } else { lost };
    if z <= NEAR { near } else { far }
}

#[inline(always)]
pub(super) fn normal_pdf(x: f64) -> f64 {
    let a = at_least(-x.abs(), -NORMAL_FAR);
    let half = 0.5 * a;
    let square = half * a;
    let (m, m_low, k) = exp_neg_parts(square, half.mul_add(a, -square), &EXP);
    let product = FRAC_1_SQRT_2PI * m;
    let product_low = FRAC_1_SQRT_2PI.mul_add(m, -product)
        + FRAC_1_SQRT_2PI.mul_add(m_low, FRAC_1_SQRT_2PI_LOW * m);
    scale(product + product_low, k)
}

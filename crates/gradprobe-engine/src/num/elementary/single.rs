//! The elementary functions in f32.
//!
//! What is hot (e^x, tanh, sech², the logistic function) is computed in f32; the rest in f64 with
//! short polynomials and rounded once, which halves the lanes and spares every compensation.

use super::coefficients as c;
use super::exponential::{MAGIC, at_most, horner, power_of_two, reduced};
use std::f64::consts as pi;

/// 1.5·2^23: added to a small number it leaves the nearest whole number in the low bits.
const MAGIC_32: f32 = 12_582_912.0;
/// ln 2 to 16 bits, so that its product with an exponent is exact.
const LN_2_HIGH: f32 = 0.693_145_75;
const LN_2_LOW: f32 = 1.428_606_8e-6;

#[inline(always)]
fn at_least_32(x: f32, least: f32) -> f32 {
    if x < least { least } else { x }
}

#[inline(always)]
fn at_most_32(x: f32, most: f32) -> f32 {
    if x > most { most } else { x }
}

/// 2^k for a whole k in [−126, 127].
#[inline(always)]
fn power_of_two_32(k: f32) -> f32 {
    f32::from_bits((k + MAGIC_32).to_bits().wrapping_add(127) << 23)
}

/// `x`·2^k for a whole k in [−250, 200], rounded once where the result is subnormal.
#[inline(always)]
fn scale_32(x: f32, k: f32) -> f32 {
    let half = 0.5f32.mul_add(k, MAGIC_32) - MAGIC_32;
    x * power_of_two_32(half) * power_of_two_32(k - half)
}

/// (p, k) with e^x = (1 + p)·2^k, for |x| ≤ 200. p is e^r − 1 to relative precision.
#[inline(always)]
fn reduced_32(x: f32) -> (f32, f32) {
    const Q: [f32; 5] = [
        c::EXP_SHORT[0] as f32,
        c::EXP_SHORT[1] as f32,
        c::EXP_SHORT[2] as f32,
        c::EXP_SHORT[3] as f32,
        c::EXP_SHORT[4] as f32,
    ];
    let k = x.mul_add(std::f32::consts::LOG2_E, MAGIC_32) - MAGIC_32;
    let r = (-k).mul_add(LN_2_LOW, (-k).mul_add(LN_2_HIGH, x));
    let q = Q[4]
        .mul_add(r, Q[3])
        .mul_add(r, Q[2])
        .mul_add(r, Q[1])
        .mul_add(r, Q[0]);
    ((r * r).mul_add(q, r), k)
}

#[inline(always)]
pub(super) fn exp(x: f32) -> f32 {
    let (p, k) = reduced_32(at_most_32(at_least_32(x, -110.0), 89.0));
    scale_32(1.0 + p, k)
}

#[inline(always)]
pub(super) fn exp_m1(x: f32) -> f32 {
    let (p, k) = reduced_32(at_most_32(at_least_32(x, -30.0), 89.0));
    let rest = 1.0 - power_of_two_32(-at_most_32(k, 60.0));
    scale_32(p + rest, k).copysign(x)
}

#[inline(always)]
pub(super) fn tanh(x: f32) -> f32 {
    // Down to e^(−40), long after tanh has become 1, the exponent stays in range.
    let (p, k) = reduced_32(at_least_32(-2.0 * x.abs(), -40.0));
    let power = power_of_two_32(k);
    // m = e^(−2|x|) − 1 by p's own precision, so that tanh = −m/(2 + m) holds near 0.
    let m = power.mul_add(p, power - 1.0);
    let inverse = 1.0 / (2.0 + m);
    (m * inverse).copysign(x)
}

#[inline(always)]
pub(super) fn sech_squared(x: f32) -> f32 {
    tanh_sech_squared(x).1
}

#[inline(always)]
pub(super) fn tanh_sech_squared(x: f32) -> (f32, f32) {
    end(x, begin(x))
}

/// p and the power of e^(−2|x|) = (1 + p)·power, its exponent offset by 64 until the end, where
/// the result may become subnormal.
#[inline(always)]
pub(super) fn begin(x: f32) -> (f32, f32) {
    let (p, k) = reduced_32(at_least_32(-2.0 * x.abs(), -120.0));
    (p, power_of_two_32(k + 64.0))
}

/// tanh(x) and sech²(x).
#[inline(always)]
pub(super) fn end(x: f32, (p, raised): (f32, f32)) -> (f32, f32) {
    const DOWN: f32 = 1.0 / (1u128 << 64) as f32;
    let power = raised * DOWN;
    let m = power.mul_add(p, power - 1.0);
    let d = 2.0 + m;
    let inverse = 1.0 / d;
    let square = inverse * inverse;
    let residual = (-d).mul_add(inverse, 1.0);
    let square = (residual + residual).mul_add(square, square);
    let sech_squared = p.mul_add(square, square) * raised * (4.0 * DOWN);
    ((m * inverse).copysign(x), sech_squared)
}

/// tanh(x) and sech²(x) for |x| ≤ 1.
#[inline(always)]
pub(super) fn inner(x: f32) -> (f32, f32) {
    const Q: [f32; 7] = {
        let mut narrow = [0.0; 7];
        let mut i = 0;
        while i < 7 {
            narrow[i] = c::INNER_TANH_SHORT[i] as f32;
            i += 1;
        }
        narrow
    };
    let z = x * x;
    // In pairs, and pairs of pairs: a shorter chain than Horner's.
    let z_squared = z * z;
    let low = z_squared.mul_add(Q[3].mul_add(z, Q[2]), Q[1].mul_add(z, Q[0]));
    let high = z_squared.mul_add(Q[6], Q[5].mul_add(z, Q[4]));
    let q = (z_squared * z_squared).mul_add(high, low);
    let rest = x * z * q;
    let tanh = x + rest;
    let lost = (x - tanh) + rest;
    let square = (-tanh).mul_add(tanh, 1.0);
    // x + rest has lost the sign of a negative zero.
    (tanh.copysign(x), (-2.0 * tanh).mul_add(lost, square))
}

#[inline(always)]
pub(super) fn sigmoid(x: f32) -> f32 {
    let (p, k) = reduced_32(at_least_32(-x.abs(), -120.0));
    let power = power_of_two_32(at_least_32(k, -60.0));
    let mantissa = 1.0 + p;
    let negative = x < 0.0;
    let numerator = if negative { mantissa } else { 1.0 };
    let quotient = numerator / mantissa.mul_add(power, 1.0);
    scale_32(quotient, if negative { k } else { 0.0 })
}

#[inline(always)]
pub(super) fn ln(x: f32) -> f32 {
    let x = f64::from(x);
    let result = ln_normal(x) as f32;
    edges(x, result)
}

/// The limits and NaN where `x` is not positive and finite.
#[inline(always)]
fn edges(x: f64, result: f32) -> f32 {
    let result = if x == f64::INFINITY {
        f32::INFINITY
    } else {
        result
    };
    let result = if x == 0.0 { f32::NEG_INFINITY } else { result };
    if x >= 0.0 { result } else { f32::NAN }
}

/// ln(x) for a positive normal f64.
#[inline(always)]
fn ln_normal(x: f64) -> f64 {
    let (k, f) = super::logarithm::split(x);
    super::logarithm::assemble(k, f, 0.0, &c::LN_SHORT)
}

#[inline(always)]
pub(super) fn ln_1p(x: f32) -> f32 {
    let wide = f64::from(x);
    let result = ln_normal(1.0 + wide) as f32;
    // Below, the sum in f64 would have lost digits that f32 has.
    let small = wide.mul_add(-0.5 * wide, wide) as f32;
    let result = edges(1.0 + wide, result);
    let result = if x.abs() < 1e-5 { small } else { result };
    if x == 0.0 { x } else { result }
}

/// e^(−h) for 0 ≤ h ≤ 700 in f64, to f32's precision.
#[inline(always)]
fn exp_neg(h: f64) -> f64 {
    let (p, k) = reduced(-h, &c::EXP_SHORT);
    let power = power_of_two(k);
    power.mul_add(p, power)
}

/// erfc(a) for 0 ≤ a ≤ 28 in f64, to f32's precision.
#[inline(always)]
fn complement(a: f64) -> f64 {
    let a = at_most(a, 26.0);
    let q = horner((a - 4.0) / (a + 4.0), &c::ERFC_SHORT);
    exp_neg(a * a) * q / (1.0 + 2.0 * a)
}

#[inline(always)]
pub(super) fn erfc(x: f32) -> f32 {
    let x = f64::from(x);
    let right = complement(x.abs());
    (if x < 0.0 { 2.0 - right } else { right }) as f32
}

#[inline(always)]
pub(super) fn erf(x: f32) -> f32 {
    let x = f64::from(x);
    let z = x * x;
    let small = x * z.mul_add(horner(z, &c::ERF_SHORT), pi::FRAC_2_SQRT_PI);
    let large = (1.0 - complement(x.abs())).copysign(x);
    (if x.abs() <= 1.0 { small } else { large }) as f32
}

#[inline(always)]
pub(super) fn exp_neg_square(x: f32) -> f32 {
    let x = at_most(f64::from(x).abs(), 26.0);
    exp_neg(x * x) as f32
}

#[inline(always)]
pub(super) fn normal_cdf(x: f32) -> f32 {
    let x = f64::from(x);
    let left = 0.5 * complement(pi::FRAC_1_SQRT_2 * x.abs());
    (if x > 0.0 { 1.0 - left } else { left }) as f32
}

#[inline(always)]
pub(super) fn normal_pdf(x: f32) -> f32 {
    let x = at_most(f64::from(x).abs(), 36.0);
    (0.398_942_280_401_432_7 * exp_neg(0.5 * x * x)) as f32
}

#[inline(always)]
pub(super) fn minus_tanh(x: f32) -> f32 {
    let wide = f64::from(x);
    let z = wide * wide;
    let small = wide * z * z.mul_add(horner(z, &c::TANH_DEFICIT_SHORT), 1.0 / 3.0);
    let e = exp_neg(at_most(2.0 * wide.abs(), 600.0));
    let large = wide - ((1.0 - e) / (1.0 + e)).copysign(wide);
    (if z <= 0.5 { small } else { large }) as f32
}

/// x = n·π/2 + r with |r| ≤ π/4: (r, bits of n).
#[inline(always)]
fn quadrant(x: f64) -> (f64, u64) {
    let shifted = x.mul_add(pi::FRAC_2_PI, MAGIC);
    let n = shifted - MAGIC;
    let r = (-n).mul_add(6.123_233_995_736_766e-17, (-n).mul_add(pi::FRAC_PI_2, x));
    (r, shifted.to_bits())
}

#[inline(always)]
fn wave(r: f64, quadrant: u64) -> f64 {
    let z = r * r;
    let sine = (r * z).mul_add(horner(z, &c::SIN_SHORT), r);
    let cosine = (z * z).mul_add(horner(z, &c::COS_SHORT), z.mul_add(-0.5, 1.0));
    let picked = if quadrant & 1 == 0 { sine } else { cosine };
    f64::from_bits(picked.to_bits() ^ ((quadrant & 2) << 62))
}

/// sin(x) for |x| ≤ [`REDUCIBLE`](super::trigonometric::REDUCIBLE).
#[inline(always)]
pub(super) fn sin(x: f32) -> f32 {
    let (r, quadrant) = quadrant(f64::from(x));
    let result = wave(r, quadrant) as f32;
    if x == 0.0 { x } else { result }
}

/// cos(x) for |x| ≤ [`REDUCIBLE`](super::trigonometric::REDUCIBLE).
#[inline(always)]
pub(super) fn cos(x: f32) -> f32 {
    let (r, quadrant) = quadrant(f64::from(x));
    wave(r, quadrant.wrapping_add(1)) as f32
}

#[inline(always)]
pub(super) fn atan(x: f32) -> f32 {
    super::trigonometric::atan_by(f64::from(x), &c::ATAN_SHORT) as f32
}

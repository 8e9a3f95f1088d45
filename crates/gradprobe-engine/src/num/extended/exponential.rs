//! The exponential, the logarithm, and what is made of them.

use super::constants::{EXP_M1_SERIES, LN_2};
use super::double::Dd;
use super::{EXPONENT_LIMIT, Extended};
use crate::num::Real;

/// Below 2^this, x and x² are equal to 106 bits in every series here.
const NEGLIGIBLE: i64 = -120;

/// e^r − 1 for |r| ≤ 0.7, to 2⁻¹⁰⁰ relative: the series at r/256, doubled eight times by
/// e^(2r) − 1 = 2p + p².
fn exp_m1_kernel(r: Dd) -> Dd {
    const HALVINGS: u32 = 8;
    let small = r.scale(1.0 / f64::from(1u32 << HALVINGS));
    let series = small.polynomial(&EXP_M1_SERIES);
    let mut p = small.add(small.mul(small).mul(series));
    for _ in 0..HALVINGS {
        p = p.scale(2.0).add(p.mul(p));
    }
    p
}

/// x − k·ln 2, with ln 2 to 159 bits.
fn minus_multiple_of_ln_2(x: Dd, k: f64) -> Dd {
    x.sub(Dd::product(k, LN_2[0]))
        .sub(Dd::product(k, LN_2[1]))
        .add_f64(-k * LN_2[2])
}

pub(super) fn exp(x: Extended) -> Extended {
    // e^x leaves 2^±2⁶⁰ at |x| = 2⁶⁰·ln 2.
    if x.is_nan() {
        return x;
    }
    if !x.is_finite() || x.exponent >= 60 {
        return match (x.is_finite(), x.hi > 0.0) {
            (false, true) => x,
            (false, false) => Extended::ZERO,
            (true, true) => Extended::ONE.scaled(EXPONENT_LIMIT),
            (true, false) => Extended::ONE.scaled(-EXPONENT_LIMIT),
        };
    }
    if x.is_zero() || x.exponent < NEGLIGIBLE {
        return Extended::ONE + x;
    }
    let x = x.to_dd();
    // Twice, because the first multiple is itself rounded where it exceeds 2⁵³.
    let first = (x.hi * std::f64::consts::LOG2_E).round();
    let rest = minus_multiple_of_ln_2(x, first);
    let second = (rest.hi * std::f64::consts::LOG2_E).round();
    let rest = if second == 0.0 {
        rest
    } else {
        minus_multiple_of_ln_2(rest, second)
    };
    let significand = Dd::ONE.add(exp_m1_kernel(rest));
    Extended::normalised(significand, first as i64 + second as i64)
}

pub(super) fn exp_m1(x: Extended) -> Extended {
    if x.is_nan() || x.is_zero() || x.exponent < NEGLIGIBLE {
        return x;
    }
    if x.is_finite() && x.exponent < -1 {
        return Extended::from_dd(exp_m1_kernel(x.to_dd()));
    }
    exp(x) - Extended::ONE
}

pub(super) fn ln_1p(x: Extended) -> Extended {
    let one_plus = Extended::ONE + x;
    if x.is_nan() || x.is_zero() || x.exponent < NEGLIGIBLE && x.is_finite() {
        return x;
    }
    if !x.is_finite() || x.exponent >= -1 {
        return ln(one_plus);
    }
    Extended::from_dd(ln_1p_kernel(x.to_dd()))
}

/// ln(1 + t) for t in (−0.5, 0.5): a f64 estimate y, corrected by ln((1 + t)·e^(−y)), whose
/// argument differs from 1 by 2⁻⁵² t.
fn ln_1p_kernel(t: Dd) -> Dd {
    let estimate = libm::log1p(t.hi);
    let inverse_m1 = exp_m1_kernel(Dd::new(-estimate, 0.0));
    let residual = t.add(inverse_m1).add(t.mul(inverse_m1));
    let correction = residual.sub(residual.mul(residual).scale(0.5));
    correction.add_f64(estimate)
}

pub(super) fn ln(x: Extended) -> Extended {
    if x.is_nan() || x.hi == f64::INFINITY {
        return x;
    }
    if x.is_zero() {
        return Extended::raw(f64::NEG_INFINITY, 0.0, 0);
    }
    if x.hi < 0.0 {
        return Extended::raw(f64::NAN, 0.0, 0);
    }
    // The significand in [0.7, 1.41], so that its logarithm never cancels the exponent's.
    let (significand, exponent) = if x.hi > std::f64::consts::SQRT_2 {
        (x.significand().scale(0.5), x.exponent + 1)
    } else {
        (x.significand(), x.exponent)
    };
    let fraction = significand.add_f64(-1.0);
    if fraction.hi == 0.0 {
        return exponent_times_ln_2(exponent);
    }
    exponent_times_ln_2(exponent) + Extended::from_dd(ln_1p_kernel(fraction))
}

fn exponent_times_ln_2(exponent: i64) -> Extended {
    // The exponent (up to 2⁶⁰) is the sum of its nearest f64 and a small rest.
    let high = exponent as f64;
    let low = exponent - high as i64;
    let multiple = |k: f64| Dd::product(k, LN_2[0]).add(Dd::product(k, LN_2[1]));
    Extended::from_dd(multiple(high).add(multiple(low as f64)))
}

/// e^(−2|x|) and e^(−2|x|) − 1, each to full relative precision.
fn decay(x: Extended) -> (Extended, Extended) {
    let argument = -x.abs().scaled(1);
    if argument.exponent < -1 {
        let e_m1 = exp_m1(argument);
        return (Extended::ONE + e_m1, e_m1);
    }
    let e = exp(argument);
    (e, e - Extended::ONE)
}

/// With e = e^(−2|x|): tanh|x| = (1 − e)/(1 + e) and sech² = 4e/(1 + e)², neither of which cancels.
pub(super) fn tanh_sech_squared(x: Extended) -> (Extended, Extended) {
    if x.is_nan() {
        return (x, x);
    }
    let (e, e_m1) = decay(x);
    let inverse = Extended::ONE / (Extended::ONE + e);
    let tanh = (-e_m1 * inverse).copysign(x);
    (tanh, e.scaled(2) * inverse * inverse)
}

pub(super) fn sigmoid(x: Extended) -> Extended {
    let e = exp(-x.abs());
    let denominator = Extended::ONE + e;
    if x.hi < 0.0 {
        e / denominator
    } else {
        Extended::ONE / denominator
    }
}

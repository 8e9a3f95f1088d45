//! Sine, cosine and the inverse tangent.
//!
//! Angles are reduced by the method of Payne and Hanek (1983): x·2/π modulo 4 in integers, from
//! the bits of 2/π that matter. Exact for |x| up to 2^2300, which any product of two f64 is.

use super::constants::{COS_SERIES, HALF_PI, SIN_SERIES, TWO_OVER_PI};
use super::double::Dd;
use super::{Extended, wide};
use crate::num::Real;

/// Words of 2/π that are multiplied: 384 bits leave 2⁻²⁵⁴ of a quarter turn.
const WINDOW: usize = 6;

/// Below 2^this no reduction is needed.
const SMALL_EXPONENT: i64 = -1;

/// x as a rest in [−π/4, π/4] and a number of quarter turns modulo 4; `None` beyond the bits of
/// 2/π that are stored.
fn reduce(x: Extended) -> Option<(Dd, u64)> {
    let (significand, _) = wide::significand_bits(x);
    let significand = [significand as u64, (significand >> 64) as u64];
    let exponent = x.exponent - 127;
    // Bits of 2/π of weight 2^(2 − exponent) and more add whole turns.
    let skipped = (exponent - 2).max(0);
    let mut window = [0u64; WINDOW];
    for (index, word) in window.iter_mut().rev().enumerate() {
        let first = usize::try_from(skipped / 64).ok()? + index;
        let offset = skipped % 64;
        let (high, low) = (*TWO_OVER_PI.get(first)?, *TWO_OVER_PI.get(first + 1)?);
        *word = if offset == 0 {
            high
        } else {
            high << offset | low >> (64 - offset)
        };
    }
    let mut product = [0u64; WINDOW + 2];
    wide::multiply(&window, &significand, &mut product);
    // product·2^−point is x·2/π modulo 4.
    let point = WINDOW as i64 * 64 + skipped - exponent;
    let mut quarters = wide::bits_from(&product, point) as u64 & 3;
    let beyond_half = wide::bits_from(&product, point - 1) & 1 == 1;
    for (index, word) in product.iter_mut().enumerate() {
        let kept = (point - index as i64 * 64).clamp(0, 64);
        let mask = if kept == 64 {
            u64::MAX
        } else {
            (1 << kept) - 1
        };
        *word = if beyond_half {
            !*word & mask
        } else {
            *word & mask
        };
    }
    // Past one half: the complement, 1 − fraction, less a unit in the last of 2⁻²⁵⁴.
    if beyond_half {
        quarters = (quarters + 1) & 3;
    }
    let Some(top) = wide::highest_bit(&product) else {
        return Some((Dd::new(0.0, 0.0), quarters));
    };
    let fraction = wide::to_dd(wide::bits_from(&product, top - 127));
    let fraction = Extended::normalised(fraction, top - 127 - point);
    let half_pi = Extended::from_dd(Dd::new(HALF_PI[0], HALF_PI[1]));
    let rest = fraction * half_pi;
    let rest = if beyond_half { -rest } else { rest };
    Some((rest.to_dd(), quarters))
}

fn sin_kernel(x: Dd) -> Dd {
    x.mul(x.mul(x).polynomial(&SIN_SERIES))
}

fn cos_kernel(x: Dd) -> Dd {
    x.mul(x).polynomial(&COS_SERIES)
}

/// sin(x + quarters·π/2).
fn sin_shifted(x: Extended, shift: u64) -> Extended {
    if !x.is_finite() {
        return Extended::raw(f64::NAN, 0.0, 0);
    }
    let (rest, quarters) = if x.is_zero() || x.exponent < -400 {
        (Dd::new(0.0, 0.0), 0)
    } else if x.exponent < SMALL_EXPONENT {
        (x.to_dd(), 0)
    } else {
        match reduce(x.abs()) {
            Some((rest, quarters)) if x.hi > 0.0 => (rest, quarters),
            Some((rest, quarters)) => (rest.neg(), (4 - quarters) & 3),
            None => return Extended::raw(f64::NAN, 0.0, 0),
        }
    };
    let quarters = (quarters + shift) & 3;
    let magnitude = if quarters & 1 == 1 {
        cos_kernel(rest)
    } else {
        sin_kernel(rest)
    };
    let value = Extended::from_dd(magnitude);
    if quarters >= 2 { -value } else { value }
}

pub(super) fn sin(x: Extended) -> Extended {
    // sin x = x to 106 bits, and x may be outside f64's range.
    if x.is_zero() || x.is_finite() && x.exponent < -60 {
        return x;
    }
    sin_shifted(x, 0)
}

pub(super) fn cos(x: Extended) -> Extended {
    sin_shifted(x, 1)
}

/// A f64 estimate y, corrected by atan((x cos y − sin y)/(cos y + x sin y)), which is about 2⁻⁵³ x.
pub(super) fn atan(x: Extended) -> Extended {
    if x.is_nan() || x.is_zero() || x.is_finite() && x.exponent < -60 {
        return x;
    }
    let half_pi = Extended::from_dd(Dd::new(HALF_PI[0], HALF_PI[1]));
    if !x.is_finite() {
        return half_pi.copysign(x);
    }
    if x.abs() > Extended::ONE {
        return (half_pi - atan(Extended::ONE / x.abs())).copysign(x);
    }
    let argument = x.to_dd();
    let estimate = libm::atan(argument.hi);
    let angle = Dd::new(estimate, 0.0);
    let (sine, cosine) = (sin_kernel(angle), cos_kernel(angle));
    let tangent = argument
        .mul(cosine)
        .sub(sine)
        .div(cosine.add(argument.mul(sine)));
    Extended::from_dd(tangent.add_f64(estimate))
}

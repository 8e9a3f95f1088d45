//! The error function and its complement.
//!
//! Below ½ the Maclaurin series. Above, the trapezoidal rule with step h on
//! erfc(x) = (x e^(−x²)/π) ∫ e^(−t²)/(t² + x²) dt, plus the residue at the poles ±ix:
//!
//! erfc(x) ≈ (h x e^(−x²)/π) (1/x² + 2 Σ e^(−h²k²)/(h²k² + x²)) + 2/(1 − e^(2πx/h)),
//!
//! whose relative error is of the order of e^(−π²/h²) (Chiarella and Reichel 1968; Matta and
//! Reichel 1971; Hunter and Regan 1972), here 10⁻³⁹. Every term is positive but the residue, so
//! nothing cancels and there is no range to patch together up to any x.

use super::constants::{
    ERF_SERIES, ERFC_POLE_RATE, ERFC_STEP, ERFC_WEIGHTS, INVERSE_SQRT_TWO_PI, PI, TWO_OVER_SQRT_PI,
};
use super::double::Dd;
use super::{Extended, exponential};
use crate::num::Real;

/// Where the series gives over to the trapezoidal rule, as a power of two.
const SERIES_EXPONENT: i64 = -1;

/// Above this the residue is below 10⁻³⁹ of erfc.
const POLE_END: f64 = 10.0;

fn erf_series(x: Extended) -> Extended {
    let scale = Extended::from_dd(TWO_OVER_SQRT_PI);
    if x.exponent < -120 {
        return x * scale;
    }
    let squared = x.to_dd();
    let squared = squared.mul(squared);
    x * scale * Extended::from_dd(squared.polynomial(&ERF_SERIES))
}

/// e^(−x²·2^shift) with x² to full precision, whose error would else be multiplied by x².
fn exp_of_square(x: Extended, shift: i64) -> Extended {
    if !x.is_finite() {
        return if x.is_nan() { x } else { Extended::ZERO };
    }
    let exponent = 2 * x.exponent + shift;
    let main = Extended::normalised(Dd::product(x.hi, x.hi), exponent);
    let rest = Dd::product(2.0 * x.hi, x.lo).add_f64(x.lo * x.lo);
    let rest = Extended::normalised(rest, exponent);
    exponential::exp(-main) * exponential::exp(-rest)
}

pub(super) fn exp_neg_square(x: Extended) -> Extended {
    exp_of_square(x, 0)
}

/// e^(−x²/2)/√(2π).
pub(super) fn normal_pdf(x: Extended) -> Extended {
    exp_of_square(x, -1) * Extended::from_dd(INVERSE_SQRT_TWO_PI)
}

/// erfc(x) for finite x ≥ ½.
fn erfc_trapezoidal(x: Extended) -> Extended {
    let square = x * x;
    let gaussian = exp_neg_square(x);
    // Far out the sum is the moment √π/h to 106 bits, and x² would leave f64.
    let sum = if x.exponent < 100 {
        let square = square.to_dd();
        let mut sum = Dd::new(0.0, 0.0);
        for (index, &weight) in ERFC_WEIGHTS.iter().enumerate().rev() {
            let node = (index + 1) as f64 * ERFC_STEP;
            sum = sum.add(weight.div(square.add(Dd::product(node, node))));
        }
        Extended::from_dd(sum.scale(2.0).add(Dd::ONE.div(square)))
    } else {
        let mut sum = Dd::new(0.0, 0.0);
        for &weight in ERFC_WEIGHTS.iter().rev() {
            sum = sum.add(weight);
        }
        Extended::from_dd(sum.scale(2.0).add(Dd::ONE)) / square
    };
    let step_over_pi = Extended::from_f64(ERFC_STEP) / Extended::from_dd(PI);
    let smooth = step_over_pi * x * gaussian * sum;
    if x.to_f64() > POLE_END {
        return smooth;
    }
    let pole = exponential::exp_m1(x * Extended::from_dd(ERFC_POLE_RATE));
    smooth - Extended::from_f64(2.0) / pole
}

pub(super) fn erf(x: Extended) -> Extended {
    if x.is_nan() || x.is_zero() {
        return x;
    }
    if !x.is_finite() {
        return Extended::ONE.copysign(x);
    }
    if x.exponent < SERIES_EXPONENT {
        return erf_series(x);
    }
    (Extended::ONE - erfc_trapezoidal(x.abs())).copysign(x)
}

pub(super) fn erfc(x: Extended) -> Extended {
    if x.is_nan() {
        return x;
    }
    if !x.is_finite() {
        return Extended::from_f64(if x.hi > 0.0 { 0.0 } else { 2.0 });
    }
    if x.is_zero() || x.exponent < SERIES_EXPONENT {
        return Extended::ONE - erf_series(x);
    }
    let positive = erfc_trapezoidal(x.abs());
    if x.hi > 0.0 {
        positive
    } else {
        Extended::from_f64(2.0) - positive
    }
}

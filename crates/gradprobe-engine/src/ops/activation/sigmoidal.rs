//! Activations that saturate on both sides.

use super::formula::{About, Formula, NO_PARAMETER, plain_sigmoid};
use super::log_derivative::LogDerivative;
use crate::num::Real;
use crate::num::elementary::compensated::{reciprocal, reciprocal_of_finite, two_product, two_sum};
use std::f64::consts::{FRAC_2_SQRT_PI, FRAC_PI_2, LN_2};

/// The hyperbolic tangent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tanh;

impl Formula for Tanh {
    const ABOUT: About = About {
        name: "tanh",
        onnx: Some("Tanh"),
        aliases: &["hyperbolic-tangent"],
        summary: "the hyperbolic tangent: saturates on both sides",
        value: "tanh({u})",
        derivative: "sech²({u})",
        value_tex: r"\tanh({u})",
        derivative_tex: r"\operatorname{sech}^2({u})",
        parameter: NO_PARAMETER,
    };
    fn value<R: Real>(&self, x: R) -> R {
        if x.abs() <= R::from_f64(Self::INNER_LIMIT) {
            x.inner_tanh_sech_squared().0
        } else {
            x.tanh()
        }
    }
    fn derivative<R: Real>(&self, x: R) -> R {
        if x.abs() <= R::from_f64(Self::INNER_LIMIT) {
            x.inner_tanh_sech_squared().1
        } else {
            x.sech_squared()
        }
    }
    fn value_and_derivative<R: Real>(&self, x: R) -> (R, R) {
        if x.abs() <= R::from_f64(Self::INNER_LIMIT) {
            x.inner_tanh_sech_squared()
        } else {
            x.tanh_sech_squared()
        }
    }
    #[inline(always)]
    fn vector_value<R: Real>(&self, x: R) -> R {
        x.tanh()
    }
    #[inline(always)]
    fn vector_derivative<R: Real>(&self, x: R) -> R {
        x.sech_squared()
    }
    const IN_HALVES: bool = true;
    #[inline(always)]
    fn begin<R: Real>(&self, x: R) -> (R, R) {
        x.begin_tanh_sech_squared()
    }
    #[inline(always)]
    fn end<R: Real>(&self, x: R, begun: (R, R)) -> (R, R) {
        x.end_tanh_sech_squared(begun)
    }
    const INNER_LIMIT: f64 = 1.0;
    #[inline(always)]
    fn inner<R: Real>(&self, x: R) -> (R, R) {
        x.inner_tanh_sech_squared()
    }
    #[inline(always)]
    fn framework_derivative<R: Real>(&self, _x: R, y: R) -> R {
        R::one() - y * y
    }
    fn tail(&self, x: f64) -> LogDerivative {
        LogDerivative::positive(2.0 * LN_2 - 2.0 * x.abs())
    }
    fn underflows(&self) -> bool {
        true
    }
    fn range(&self) -> (f64, f64) {
        (-1.0, 1.0)
    }
    fn steepest(&self) -> f64 {
        1.0
    }
}

/// The logistic function.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sigmoid;

impl Formula for Sigmoid {
    const ABOUT: About = About {
        name: "sigmoid",
        onnx: Some("Sigmoid"),
        aliases: &["logistic", "expit"],
        summary: "the logistic function 1/(1 + e^(-u)): its slope is at most 1/4",
        value: "σ({u})",
        derivative: "σ({u})·σ(-({u}))",
        value_tex: r"\sigma({u})",
        derivative_tex: r"\sigma({u})\,\sigma(-({u}))",
        parameter: NO_PARAMETER,
    };
    #[inline(always)]
    fn value<R: Real>(&self, x: R) -> R {
        x.sigmoid()
    }
    #[inline(always)]
    fn derivative<R: Real>(&self, x: R) -> R {
        // σ(x)σ(−x) = ¼ sech²(x/2), and a quarter and a half are exact.
        R::from_f64(0.25) * (R::from_f64(0.5) * x).sech_squared()
    }
    #[inline(always)]
    fn framework_value<R: Real>(&self, x: R) -> R {
        plain_sigmoid(x)
    }
    #[inline(always)]
    fn framework_derivative<R: Real>(&self, _x: R, y: R) -> R {
        (R::one() - y) * y
    }
    fn tail(&self, x: f64) -> LogDerivative {
        LogDerivative::positive(-x.abs())
    }
    fn underflows(&self) -> bool {
        true
    }
    fn range(&self) -> (f64, f64) {
        (0.0, 1.0)
    }
    fn steepest(&self) -> f64 {
        0.25
    }
}

/// The error function.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Erf;

impl Formula for Erf {
    const ABOUT: About = About {
        name: "erf",
        onnx: Some("Erf"),
        aliases: &["error-function"],
        summary: "the error function: its slope vanishes as fast as e^(-u²)",
        value: "erf({u})",
        derivative: "2/√π·exp(-({u})²)",
        value_tex: r"\operatorname{erf}({u})",
        derivative_tex: r"\frac{2}{\sqrt{\pi}}\,e^{-({u})^2}",
        parameter: NO_PARAMETER,
    };
    #[inline(always)]
    fn value<R: Real>(&self, x: R) -> R {
        x.erf()
    }
    #[inline(always)]
    fn derivative<R: Real>(&self, x: R) -> R {
        R::from_sum(FRAC_2_SQRT_PI, 1.533_545_961_316_588e-17) * x.exp_neg_square()
    }
    fn tail(&self, x: f64) -> LogDerivative {
        LogDerivative::positive(libm::log(FRAC_2_SQRT_PI) - x * x)
    }
    fn underflows(&self) -> bool {
        true
    }
    fn range(&self) -> (f64, f64) {
        (-1.0, 1.0)
    }
    fn steepest(&self) -> f64 {
        FRAC_2_SQRT_PI
    }
}

/// x/(1 + |x|).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Softsign;

impl Formula for Softsign {
    const ABOUT: About = About {
        name: "softsign",
        onnx: Some("Softsign"),
        aliases: &[],
        summary: "u/(1 + |u|): saturates only polynomially",
        value: "{u}/(1 + |{u}|)",
        derivative: "1/(1 + |{u}|)²",
        value_tex: r"\frac{{u}}{1+|{u}|}",
        derivative_tex: r"\frac{1}{(1+|{u}|)^2}",
        parameter: NO_PARAMETER,
    };
    #[inline(always)]
    fn value<R: Real>(&self, x: R) -> R {
        x / (R::one() + x.abs())
    }
    #[inline(always)]
    fn derivative<R: Real>(&self, x: R) -> R {
        let (sum, lost) = two_sum(R::one(), x.abs());
        // NaN at infinity, as PyTorch's is.
        let (high, low) = reciprocal_of_finite(sum, lost);
        let square = high * high;
        square + high.mul_add(high, -square) + (low + low) * high
    }
    #[inline(always)]
    fn framework_value<R: Real>(&self, x: R) -> R {
        x / (R::one() + x.abs())
    }
    #[inline(always)]
    fn framework_derivative<R: Real>(&self, x: R, _y: R) -> R {
        // The quotient rule on x/(1 + |x|), which cancels for large |x|.
        let d = R::one() + x.abs();
        R::one() / d - x.abs() / d / d
    }
    fn tail(&self, x: f64) -> LogDerivative {
        LogDerivative::positive(-2.0 * libm::log1p(x.abs()))
    }
    fn underflows(&self) -> bool {
        true
    }
    fn range(&self) -> (f64, f64) {
        (-1.0, 1.0)
    }
    fn steepest(&self) -> f64 {
        1.0
    }
}

/// The inverse tangent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Arctan;

impl Formula for Arctan {
    const ABOUT: About = About {
        name: "arctan",
        onnx: Some("Atan"),
        aliases: &["atan"],
        summary: "the inverse tangent: saturates only polynomially, at ±π/2",
        value: "arctan({u})",
        derivative: "1/(1 + ({u})²)",
        value_tex: r"\arctan({u})",
        derivative_tex: r"\frac{1}{1+({u})^2}",
        parameter: NO_PARAMETER,
    };
    #[inline(always)]
    fn value<R: Real>(&self, x: R) -> R {
        x.atan()
    }
    #[inline(always)]
    fn derivative<R: Real>(&self, x: R) -> R {
        let (square, square_lost) = two_product(x, x);
        let (sum, sum_lost) = two_sum(R::one(), square);
        let (high, low) = reciprocal(sum, sum_lost + square_lost);
        // From 2^60 on the 1 is below the last of 106 bits, and x² may overflow.
        let far_high = R::one() / x.abs();
        let far = x.abs() > R::from_f64(1.152_921_504_606_847e18);
        R::select(far, far_high * far_high, high + low)
    }
    fn tail(&self, x: f64) -> LogDerivative {
        LogDerivative::positive(-2.0 * libm::log(x.abs()))
    }
    fn underflows(&self) -> bool {
        true
    }
    fn range(&self) -> (f64, f64) {
        (-FRAC_PI_2, FRAC_PI_2)
    }
    fn steepest(&self) -> f64 {
        1.0
    }
}

//! A wave and a bump.

use super::formula::{About, Formula, NO_PARAMETER};
use super::log_derivative::LogDerivative;
use crate::num::Real;

/// sin(x) (SIREN: Sitzmann et al. 2020).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sine;

impl Formula for Sine {
    const ABOUT: About = About {
        name: "sin",
        onnx: Some("Sin"),
        aliases: &["sine", "siren"],
        summary: "the sine: never saturates, but folds",
        value: "sin({u})",
        derivative: "cos({u})",
        value_tex: r"\sin({u})",
        derivative_tex: r"\cos({u})",
        parameter: NO_PARAMETER,
    };
    #[inline(always)]
    fn value<R: Real>(&self, x: R) -> R {
        x.sin()
    }
    #[inline(always)]
    fn derivative<R: Real>(&self, x: R) -> R {
        x.cos()
    }
    const VECTOR_LIMIT: f64 = <f64 as Real>::REDUCIBLE;
    #[inline(always)]
    fn vector_value<R: Real>(&self, x: R) -> R {
        x.reduced_sin()
    }
    #[inline(always)]
    fn vector_derivative<R: Real>(&self, x: R) -> R {
        x.reduced_cos()
    }
    fn underflows(&self) -> bool {
        false
    }
    fn range(&self) -> (f64, f64) {
        (-1.0, 1.0)
    }
    fn steepest(&self) -> f64 {
        1.0
    }
}

/// e^(−x²).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Gaussian;

impl Formula for Gaussian {
    const ABOUT: About = About {
        name: "gaussian",
        onnx: None,
        aliases: &["gauss", "rbf"],
        summary: "e^(-u²): a bump, its slope vanishes away from it",
        value: "exp(-({u})²)",
        derivative: "(-2·({u})·exp(-({u})²))",
        value_tex: r"e^{-({u})^2}",
        derivative_tex: r"\left(-2({u})\,e^{-({u})^2}\right)",
        parameter: NO_PARAMETER,
    };
    #[inline(always)]
    fn value<R: Real>(&self, x: R) -> R {
        x.exp_neg_square()
    }
    #[inline(always)]
    fn derivative<R: Real>(&self, x: R) -> R {
        R::from_f64(-2.0) * x * x.exp_neg_square()
    }
    #[inline(always)]
    fn framework_value<R: Real>(&self, x: R) -> R {
        (-(x * x)).exp()
    }
    #[inline(always)]
    fn framework_derivative<R: Real>(&self, x: R, y: R) -> R {
        -(y * (x + x))
    }
    fn tail(&self, x: f64) -> LogDerivative {
        if x.is_infinite() {
            return LogDerivative::ZERO;
        }
        let ln_abs = libm::log(2.0) + libm::log(x.abs()) - x * x;
        if x < 0.0 {
            LogDerivative::positive(ln_abs)
        } else {
            LogDerivative::negative(ln_abs)
        }
    }
    fn underflows(&self) -> bool {
        true
    }
    fn range(&self) -> (f64, f64) {
        (0.0, 1.0)
    }
    fn steepest(&self) -> f64 {
        // √(2/e), at 1/√2.
        0.857_763_884_960_706_8
    }
}

//! The exponential by itself.

use super::formula::{About, Formula, NO_PARAMETER};
use super::log_derivative::LogDerivative;
use crate::num::Real;

/// e^x (Keras' `exponential`).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Exponential;

impl Formula for Exponential {
    const ABOUT: About = About {
        name: "exp",
        onnx: None,
        aliases: &["exponential"],
        summary: "e^u: explodes to the right, vanishes to the left",
        value: "exp({u})",
        derivative: "exp({u})",
        value_tex: r"e^{{u}}",
        derivative_tex: r"e^{{u}}",
        parameter: NO_PARAMETER,
    };
    #[inline(always)]
    fn value<R: Real>(&self, x: R) -> R {
        x.exp()
    }
    #[inline(always)]
    fn derivative<R: Real>(&self, x: R) -> R {
        x.exp()
    }
    #[inline(always)]
    fn framework_derivative<R: Real>(&self, _x: R, y: R) -> R {
        y
    }
    fn tail(&self, x: f64) -> LogDerivative {
        LogDerivative::positive(x)
    }
    fn underflows(&self) -> bool {
        true
    }
    fn range(&self) -> (f64, f64) {
        (0.0, f64::INFINITY)
    }
    fn steepest(&self) -> f64 {
        f64::INFINITY
    }
}

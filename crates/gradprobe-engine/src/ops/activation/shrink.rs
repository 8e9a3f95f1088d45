//! Activations that take something away around 0.

use super::formula::{About, Formula, NO_PARAMETER, non_negative, or_nan};
use super::log_derivative::LogDerivative;
use crate::num::Real;

/// x − tanh(x).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TanhShrink;

impl Formula for TanhShrink {
    const ABOUT: About = About {
        name: "tanhshrink",
        onnx: None,
        aliases: &[],
        summary: "u - tanh(u): flat at 0, where its slope is tanh²(u)",
        value: "({u} - tanh({u}))",
        derivative: "tanh²({u})",
        value_tex: r"\left({u}-\tanh({u})\right)",
        derivative_tex: r"\tanh^2({u})",
        parameter: NO_PARAMETER,
    };
    #[inline(always)]
    fn value<R: Real>(&self, x: R) -> R {
        x.minus_tanh()
    }
    #[inline(always)]
    fn derivative<R: Real>(&self, x: R) -> R {
        let t = x.tanh();
        t * t
    }
    #[inline(always)]
    fn framework_value<R: Real>(&self, x: R) -> R {
        x - x.tanh()
    }
    #[inline(always)]
    fn framework_derivative<R: Real>(&self, x: R, _y: R) -> R {
        let t = x.tanh();
        R::one() - (R::one() - t * t)
    }
    fn tail(&self, x: f64) -> LogDerivative {
        LogDerivative::positive(2.0 * libm::log(x.abs()))
    }
    fn underflows(&self) -> bool {
        true
    }
    fn range(&self) -> (f64, f64) {
        (f64::NEG_INFINITY, f64::INFINITY)
    }
    fn steepest(&self) -> f64 {
        1.0
    }
}

/// x pulled towards 0 by λ, and 0 within [−λ, λ].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SoftShrink {
    /// Half the width of the dead zone.
    pub lambda: f64,
}

impl Formula for SoftShrink {
    const ABOUT: About = About {
        name: "softshrink",
        onnx: Some("Shrink"),
        aliases: &["soft-threshold"],
        summary: "u pulled towards 0 by lambda: 0, and without gradient, up to |u| = lambda",
        value: "sign({u})·max(|{u}| - {a}, 0)",
        derivative: "[|{u}| > {a}]",
        value_tex: r"\operatorname{sign}({u})\max(|{u}|-{a},0)",
        derivative_tex: r"\mathbf{1}_{|{u}|>{a}}",
        parameter: non_negative("lambda", 0.5),
    };
    #[inline(always)]
    fn value<R: Real>(&self, x: R) -> R {
        let lambda = R::from_f64(self.lambda);
        let inside = x.abs() <= lambda;
        R::select(inside, R::zero().copysign(x), x - lambda.copysign(x))
    }
    #[inline(always)]
    fn derivative<R: Real>(&self, x: R) -> R {
        let outside = x.abs() > R::from_f64(self.lambda);
        or_nan(x, R::select(outside, R::one(), R::zero()))
    }
    #[inline(always)]
    fn pull<R: Real>(&self, x: R, cotangent: R) -> R {
        let outside = x.abs() > R::from_f64(self.lambda);
        R::select(outside, cotangent, R::zero())
    }
    fn underflows(&self) -> bool {
        false
    }
    fn parameter(&self) -> Option<f64> {
        Some(self.lambda)
    }
    fn kinks(&self) -> Vec<f64> {
        shrink_kinks(self.lambda)
    }
    fn range(&self) -> (f64, f64) {
        (f64::NEG_INFINITY, f64::INFINITY)
    }
    fn steepest(&self) -> f64 {
        1.0
    }
    fn flat_regions(&self) -> Vec<(f64, f64)> {
        shrink_flat(self.lambda)
    }
}

fn shrink_kinks(lambda: f64) -> Vec<f64> {
    if lambda == 0.0 {
        // There PyTorch has a derivative of 0 where the function's is 1.
        vec![0.0]
    } else {
        vec![-lambda, lambda]
    }
}

fn shrink_flat(lambda: f64) -> Vec<(f64, f64)> {
    if lambda == 0.0 {
        Vec::new()
    } else {
        vec![(-lambda, lambda)]
    }
}

/// x, but 0 within [−λ, λ]; it jumps at ±λ.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HardShrink {
    /// Half the width of the dead zone.
    pub lambda: f64,
}

impl Formula for HardShrink {
    const ABOUT: About = About {
        name: "hardshrink",
        onnx: Some("Shrink"),
        aliases: &["hard-threshold"],
        summary: "u, but 0 and without gradient up to |u| = lambda, where it jumps",
        value: "{u}·[|{u}| > {a}]",
        derivative: "[|{u}| > {a}]",
        value_tex: r"{u}\,\mathbf{1}_{|{u}|>{a}}",
        derivative_tex: r"\mathbf{1}_{|{u}|>{a}}",
        parameter: non_negative("lambda", 0.5),
    };
    #[inline(always)]
    fn value<R: Real>(&self, x: R) -> R {
        R::select(x.abs() <= R::from_f64(self.lambda), R::zero(), x)
    }
    #[inline(always)]
    fn derivative<R: Real>(&self, x: R) -> R {
        let outside = x.abs() > R::from_f64(self.lambda);
        or_nan(x, R::select(outside, R::one(), R::zero()))
    }
    #[inline(always)]
    fn pull<R: Real>(&self, x: R, cotangent: R) -> R {
        let outside = x.abs() > R::from_f64(self.lambda);
        R::select(outside, cotangent, R::zero())
    }
    fn underflows(&self) -> bool {
        false
    }
    fn parameter(&self) -> Option<f64> {
        Some(self.lambda)
    }
    fn kinks(&self) -> Vec<f64> {
        shrink_kinks(self.lambda)
    }
    fn range(&self) -> (f64, f64) {
        (f64::NEG_INFINITY, f64::INFINITY)
    }
    fn steepest(&self) -> f64 {
        1.0
    }
    fn flat_regions(&self) -> Vec<(f64, f64)> {
        shrink_flat(self.lambda)
    }
}

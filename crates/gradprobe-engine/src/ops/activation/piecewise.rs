//! Cheap stand-ins for the smooth ones, made of straight lines (and one parabola).

use super::formula::{About, Formula, NO_PARAMETER, or_nan};
use crate::num::Real;

/// x within (−1, 1), else ±1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HardTanh;

impl Formula for HardTanh {
    const ABOUT: About = About {
        name: "hard-tanh",
        onnx: None,
        aliases: &["clip"],
        summary: "u cut off at -1 and 1: beyond, the gradient is exactly 0",
        value: "min(max({u}, -1), 1)",
        derivative: "[|{u}| < 1]",
        value_tex: r"\min(\max({u},-1),1)",
        derivative_tex: r"\mathbf{1}_{|{u}|<1}",
        parameter: NO_PARAMETER,
    };
    #[inline(always)]
    fn value<R: Real>(&self, x: R) -> R {
        R::select(x.abs() > R::one(), R::one().copysign(x), x)
    }
    #[inline(always)]
    fn derivative<R: Real>(&self, x: R) -> R {
        let inside = x.abs() < R::one();
        or_nan(x, R::select(inside, R::one(), R::zero()))
    }
    #[inline(always)]
    fn pull<R: Real>(&self, x: R, cotangent: R) -> R {
        R::select(x.abs() < R::one(), cotangent, R::zero())
    }
    fn underflows(&self) -> bool {
        false
    }
    fn kinks(&self) -> Vec<f64> {
        vec![-1.0, 1.0]
    }
    fn range(&self) -> (f64, f64) {
        (-1.0, 1.0)
    }
    fn steepest(&self) -> f64 {
        1.0
    }
    fn flat_regions(&self) -> Vec<(f64, f64)> {
        vec![(f64::NEG_INFINITY, -1.0), (1.0, f64::INFINITY)]
    }
}

/// (x + 3)/6 within (−3, 3), else 0 or 1: PyTorch's; Keras and ONNX's default have the slope 0.2.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HardSigmoid;

impl Formula for HardSigmoid {
    const ABOUT: About = About {
        name: "hard-sigmoid",
        onnx: Some("HardSigmoid"),
        aliases: &[],
        summary: "(u + 3)/6 cut off at 0 and 1: beyond |u| = 3 the gradient is exactly 0",
        value: "min(max({u} + 3, 0), 6)/6",
        derivative: "[|{u}| < 3]/6",
        value_tex: r"\tfrac16\min(\max({u}+3,0),6)",
        derivative_tex: r"\tfrac16\mathbf{1}_{|{u}|<3}",
        parameter: NO_PARAMETER,
    };
    #[inline(always)]
    fn value<R: Real>(&self, x: R) -> R {
        let three = R::from_f64(3.0);
        let middle = (x + three) / R::from_f64(6.0);
        let left = R::select(x <= -three, R::zero(), middle);
        R::select(x >= three, R::one(), left)
    }
    #[inline(always)]
    fn derivative<R: Real>(&self, x: R) -> R {
        let sixth = R::one() / R::from_f64(6.0);
        let inside = x.abs() < R::from_f64(3.0);
        or_nan(x, R::select(inside, sixth, R::zero()))
    }
    #[inline(always)]
    fn framework_derivative<R: Real>(&self, x: R, _y: R) -> R {
        // PyTorch takes the sixth in f32 even for f64 tensors.
        let sixth = R::from_f64(f64::from(1.0f32 / 6.0));
        R::select(x.abs() < R::from_f64(3.0), sixth, R::zero())
    }
    #[inline(always)]
    fn pull<R: Real>(&self, x: R, cotangent: R) -> R {
        let inside = x.abs() < R::from_f64(3.0);
        let sixth = R::one() / R::from_f64(6.0);
        R::select(inside, cotangent * sixth, R::zero())
    }
    fn underflows(&self) -> bool {
        false
    }
    fn kinks(&self) -> Vec<f64> {
        vec![-3.0, 3.0]
    }
    fn range(&self) -> (f64, f64) {
        (0.0, 1.0)
    }
    fn steepest(&self) -> f64 {
        1.0 / 6.0
    }
    fn flat_regions(&self) -> Vec<(f64, f64)> {
        vec![(f64::NEG_INFINITY, -3.0), (3.0, f64::INFINITY)]
    }
}

/// x times [`HardSigmoid`] (Howard et al. 2019).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HardSwish;

impl Formula for HardSwish {
    const ABOUT: About = About {
        name: "hard-swish",
        onnx: Some("HardSwish"),
        aliases: &["hard-silu"],
        summary: "u·hard-sigmoid(u)",
        value: "{u}·min(max({u} + 3, 0), 6)/6",
        derivative: "(0 if {u} ≤ -3 else 1 if {u} ≥ 3 else (2·({u}) + 3)/6)",
        value_tex: r"\tfrac16\,{u}\min(\max({u}+3,0),6)",
        derivative_tex: r"\begin{cases}0&{u}\le -3\\\tfrac13({u})+\tfrac12&|{u}|<3\\1&{u}\ge 3\end{cases}",
        parameter: NO_PARAMETER,
    };
    #[inline(always)]
    fn value<R: Real>(&self, x: R) -> R {
        let three = R::from_f64(3.0);
        let middle = x * (x + three) / R::from_f64(6.0);
        // −0, but NaN at −∞, where PyTorch multiplies it by 0.
        let left = R::select(x <= -three, R::zero() * x, middle);
        R::select(x >= three, x, left)
    }
    #[inline(always)]
    fn derivative<R: Real>(&self, x: R) -> R {
        let three = R::from_f64(3.0);
        let middle = (x + x + three) / R::from_f64(6.0);
        let left = R::select(x <= -three, R::zero(), middle);
        R::select(x >= three, R::one(), left)
    }
    #[inline(always)]
    fn framework_derivative<R: Real>(&self, x: R, _y: R) -> R {
        let three = R::from_f64(3.0);
        let middle = x / three + R::from_f64(0.5);
        let left = R::select(x <= -three, R::zero(), middle);
        R::select(x >= three, R::one(), left)
    }
    #[inline(always)]
    fn pull<R: Real>(&self, x: R, cotangent: R) -> R {
        let three = R::from_f64(3.0);
        let middle = cotangent * ((x + x + three) / R::from_f64(6.0));
        let left = R::select(x <= -three, R::zero(), middle);
        R::select(x >= three, cotangent, left)
    }
    fn underflows(&self) -> bool {
        false
    }
    fn kinks(&self) -> Vec<f64> {
        vec![-3.0, 3.0]
    }
    fn range(&self) -> (f64, f64) {
        (-0.375, f64::INFINITY)
    }
    fn steepest(&self) -> f64 {
        1.5
    }
    fn flat_regions(&self) -> Vec<(f64, f64)> {
        vec![(f64::NEG_INFINITY, -3.0)]
    }
}

/// min(max(0, x), 6) (Krizhevsky 2010).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Relu6;

impl Formula for Relu6 {
    const ABOUT: About = About {
        name: "relu6",
        onnx: None,
        aliases: &[],
        summary: "ReLU cut off at 6: above, too, the gradient is exactly 0",
        value: "min(max(0, {u}), 6)",
        derivative: "[0 < {u} < 6]",
        value_tex: r"\min(\max(0,{u}),6)",
        derivative_tex: r"\mathbf{1}_{0<{u}<6}",
        parameter: NO_PARAMETER,
    };
    #[inline(always)]
    fn value<R: Real>(&self, x: R) -> R {
        let six = R::from_f64(6.0);
        let floored = R::select(x <= R::zero(), R::zero(), x);
        R::select(x > six, six, floored)
    }
    #[inline(always)]
    fn derivative<R: Real>(&self, x: R) -> R {
        let inside = (x > R::zero()) & (x < R::from_f64(6.0));
        or_nan(x, R::select(inside, R::one(), R::zero()))
    }
    #[inline(always)]
    fn pull<R: Real>(&self, x: R, cotangent: R) -> R {
        let inside = (x > R::zero()) & (x < R::from_f64(6.0));
        R::select(inside, cotangent, R::zero())
    }
    fn underflows(&self) -> bool {
        false
    }
    fn kinks(&self) -> Vec<f64> {
        vec![0.0, 6.0]
    }
    fn range(&self) -> (f64, f64) {
        (0.0, 6.0)
    }
    fn steepest(&self) -> f64 {
        1.0
    }
    fn flat_regions(&self) -> Vec<(f64, f64)> {
        vec![(f64::NEG_INFINITY, 0.0), (6.0, f64::INFINITY)]
    }
}

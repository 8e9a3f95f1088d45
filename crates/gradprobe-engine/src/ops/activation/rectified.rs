//! The identity, the rectifiers, and their smooth and leaking relatives.

use super::formula::{About, Formula, NO_PARAMETER, finite, or_nan, positive};
use super::log_derivative::LogDerivative;
use crate::num::Real;

/// x.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Identity;

impl Formula for Identity {
    const ABOUT: About = About {
        name: "identity",
        onnx: Some("Identity"),
        aliases: &["linear", "none"],
        summary: "the argument itself: a linear network",
        value: "{u}",
        derivative: "1",
        value_tex: "{u}",
        derivative_tex: "1",
        parameter: NO_PARAMETER,
    };
    #[inline(always)]
    fn value<R: Real>(&self, x: R) -> R {
        x
    }
    #[inline(always)]
    fn derivative<R: Real>(&self, x: R) -> R {
        or_nan(x, R::one())
    }
    #[inline(always)]
    fn pull<R: Real>(&self, _x: R, cotangent: R) -> R {
        cotangent
    }
    fn underflows(&self) -> bool {
        false
    }
    fn range(&self) -> (f64, f64) {
        (f64::NEG_INFINITY, f64::INFINITY)
    }
    fn steepest(&self) -> f64 {
        1.0
    }
}

/// max(0, x).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Relu;

impl Formula for Relu {
    const ABOUT: About = About {
        name: "relu",
        onnx: Some("Relu"),
        aliases: &["rectifier"],
        summary: "max(0, u): passes the gradient or stops it",
        value: "max(0, {u})",
        derivative: "[{u} > 0]",
        value_tex: r"\max(0,{u})",
        derivative_tex: r"\mathbf{1}_{{u}>0}",
        parameter: NO_PARAMETER,
    };
    #[inline(always)]
    fn value<R: Real>(&self, x: R) -> R {
        R::select(x <= R::zero(), R::zero(), x)
    }
    #[inline(always)]
    fn derivative<R: Real>(&self, x: R) -> R {
        or_nan(x, R::select(x > R::zero(), R::one(), R::zero()))
    }
    #[inline(always)]
    fn pull<R: Real>(&self, x: R, cotangent: R) -> R {
        R::select(x <= R::zero(), R::zero(), cotangent)
    }
    fn underflows(&self) -> bool {
        false
    }
    fn kinks(&self) -> Vec<f64> {
        vec![0.0]
    }
    fn range(&self) -> (f64, f64) {
        (0.0, f64::INFINITY)
    }
    fn steepest(&self) -> f64 {
        1.0
    }
    fn flat_regions(&self) -> Vec<(f64, f64)> {
        vec![(f64::NEG_INFINITY, 0.0)]
    }
}

#[inline(always)]
fn leak<R: Real>(slope: f64, x: R) -> R {
    R::select(x > R::zero(), x, R::from_f64(slope) * x)
}

#[inline(always)]
fn leak_derivative<R: Real>(slope: f64, x: R) -> R {
    or_nan(x, R::select(x > R::zero(), R::one(), R::from_f64(slope)))
}

#[inline(always)]
fn leak_pull<R: Real>(slope: f64, x: R, cotangent: R) -> R {
    R::select(x > R::zero(), cotangent, R::from_f64(slope) * cotangent)
}

fn leak_range(slope: f64) -> (f64, f64) {
    let left = if slope > 0.0 { f64::NEG_INFINITY } else { 0.0 };
    (left, f64::INFINITY)
}

fn leak_flat(slope: f64) -> Vec<(f64, f64)> {
    if slope == 0.0 {
        vec![(f64::NEG_INFINITY, 0.0)]
    } else {
        Vec::new()
    }
}

/// x for x > 0, slope·x otherwise (Maas, Hannun and Ng 2013).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LeakyRelu {
    /// The slope on the left.
    pub slope: f64,
}

impl Formula for LeakyRelu {
    const ABOUT: About = About {
        name: "leaky-relu",
        onnx: Some("LeakyRelu"),
        aliases: &["lrelu"],
        summary: "u on the right, slope·u on the left: never quite stops the gradient",
        value: "max(0, {u}) + {a}·min(0, {u})",
        derivative: "(1 if {u} > 0 else {a})",
        value_tex: r"\max(0,{u})+{a}\min(0,{u})",
        derivative_tex: r"\left(\mathbf{1}_{{u}>0}+{a}\cdot\mathbf{1}_{{u}\le 0}\right)",
        parameter: finite("slope", 0.01),
    };
    #[inline(always)]
    fn value<R: Real>(&self, x: R) -> R {
        leak(self.slope, x)
    }
    #[inline(always)]
    fn derivative<R: Real>(&self, x: R) -> R {
        leak_derivative(self.slope, x)
    }
    #[inline(always)]
    fn pull<R: Real>(&self, x: R, cotangent: R) -> R {
        leak_pull(self.slope, x, cotangent)
    }
    fn underflows(&self) -> bool {
        false
    }
    fn parameter(&self) -> Option<f64> {
        Some(self.slope)
    }
    fn kinks(&self) -> Vec<f64> {
        vec![0.0]
    }
    fn range(&self) -> (f64, f64) {
        leak_range(self.slope)
    }
    fn steepest(&self) -> f64 {
        self.slope.abs().max(1.0)
    }
    fn flat_regions(&self) -> Vec<(f64, f64)> {
        leak_flat(self.slope)
    }
}

/// Leaky ReLU whose slope would be learnt (He et al. 2015), here at one value of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ParametricRelu {
    /// The slope on the left.
    pub slope: f64,
}

impl Formula for ParametricRelu {
    const ABOUT: About = About {
        name: "prelu",
        onnx: Some("PRelu"),
        aliases: &["parametric-relu"],
        summary: "leaky ReLU with a learnt slope, here at one value of it",
        parameter: finite("slope", 0.25),
        ..LeakyRelu::ABOUT
    };
    #[inline(always)]
    fn value<R: Real>(&self, x: R) -> R {
        leak(self.slope, x)
    }
    #[inline(always)]
    fn derivative<R: Real>(&self, x: R) -> R {
        leak_derivative(self.slope, x)
    }
    #[inline(always)]
    fn pull<R: Real>(&self, x: R, cotangent: R) -> R {
        leak_pull(self.slope, x, cotangent)
    }
    fn underflows(&self) -> bool {
        false
    }
    fn parameter(&self) -> Option<f64> {
        Some(self.slope)
    }
    fn kinks(&self) -> Vec<f64> {
        vec![0.0]
    }
    fn range(&self) -> (f64, f64) {
        leak_range(self.slope)
    }
    fn steepest(&self) -> f64 {
        self.slope.abs().max(1.0)
    }
    fn flat_regions(&self) -> Vec<(f64, f64)> {
        leak_flat(self.slope)
    }
}

/// x for x > 0, α(e^x − 1) otherwise (Clevert, Unterthiner and Hochreiter 2016).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Elu {
    /// Minus the limit on the left.
    pub alpha: f64,
}

impl Formula for Elu {
    const ABOUT: About = About {
        name: "elu",
        onnx: Some("Elu"),
        aliases: &["exponential-linear"],
        summary: "u on the right, alpha·(e^u - 1) on the left",
        value: "({u} if {u} > 0 else {a}·(exp({u}) - 1))",
        derivative: "(1 if {u} > 0 else {a}·exp({u}))",
        value_tex: r"\begin{cases}{u}&{u}>0\\{a}\left(e^{{u}}-1\right)&{u}\le 0\end{cases}",
        derivative_tex: r"\begin{cases}1&{u}>0\\{a}\,e^{{u}}&{u}\le 0\end{cases}",
        parameter: positive("alpha", 1.0),
    };
    #[inline(always)]
    fn value<R: Real>(&self, x: R) -> R {
        R::select(x > R::zero(), x, R::from_f64(self.alpha) * x.exp_m1())
    }
    #[inline(always)]
    fn derivative<R: Real>(&self, x: R) -> R {
        let left = R::from_f64(self.alpha) * x.exp();
        R::select(x > R::zero(), R::one(), left)
    }
    fn tail(&self, x: f64) -> LogDerivative {
        LogDerivative::positive(libm::log(self.alpha) + x)
    }
    fn underflows(&self) -> bool {
        true
    }
    fn parameter(&self) -> Option<f64> {
        Some(self.alpha)
    }
    fn kinks(&self) -> Vec<f64> {
        if self.alpha == 1.0 {
            Vec::new()
        } else {
            vec![0.0]
        }
    }
    fn range(&self) -> (f64, f64) {
        (-self.alpha, f64::INFINITY)
    }
    fn steepest(&self) -> f64 {
        self.alpha.max(1.0)
    }
}

/// x for x > 0, α(e^(x/α) − 1) otherwise (Barron 2017): ELU without its kink.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Celu {
    /// Minus the limit on the left.
    pub alpha: f64,
}

impl Formula for Celu {
    const ABOUT: About = About {
        name: "celu",
        onnx: Some("Celu"),
        aliases: &[],
        summary: "u on the right, alpha·(e^(u/alpha) - 1) on the left: no kink for any alpha",
        value: "({u} if {u} > 0 else {a}·(exp(({u})/{a}) - 1))",
        derivative: "(1 if {u} > 0 else exp(({u})/{a}))",
        value_tex: r"\begin{cases}{u}&{u}>0\\{a}\left(e^{({u})/{a}}-1\right)&{u}\le 0\end{cases}",
        derivative_tex: r"\begin{cases}1&{u}>0\\e^{({u})/{a}}&{u}\le 0\end{cases}",
        parameter: positive("alpha", 1.0),
    };
    #[inline(always)]
    fn value<R: Real>(&self, x: R) -> R {
        let alpha = R::from_f64(self.alpha);
        R::select(x > R::zero(), x, alpha * (x / alpha).exp_m1())
    }
    #[inline(always)]
    fn derivative<R: Real>(&self, x: R) -> R {
        let left = (x / R::from_f64(self.alpha)).exp();
        R::select(x > R::zero(), R::one(), left)
    }
    fn tail(&self, x: f64) -> LogDerivative {
        LogDerivative::positive(x / self.alpha)
    }
    fn underflows(&self) -> bool {
        true
    }
    fn parameter(&self) -> Option<f64> {
        Some(self.alpha)
    }
    fn range(&self) -> (f64, f64) {
        (-self.alpha, f64::INFINITY)
    }
    fn steepest(&self) -> f64 {
        1.0
    }
}

/// scale·ELU with the constants that keep mean 0 and variance 1 (Klambauer et al. 2017).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Selu;

impl Selu {
    /// λ of the paper.
    pub const SCALE: f64 = 1.050_700_987_355_480_5;
    /// λα of the paper.
    pub const SCALE_ALPHA: f64 = 1.758_099_340_847_376_8;
}

impl Formula for Selu {
    const ABOUT: About = About {
        name: "selu",
        onnx: Some("Selu"),
        aliases: &["self-normalizing", "self-normalising"],
        summary: "scaled ELU: 1.0507·u on the right, 1.7581·(e^u - 1) on the left",
        value: "({u}·1.0507 if {u} > 0 else 1.7581·(exp({u}) - 1))",
        derivative: "(1.0507 if {u} > 0 else 1.7581·exp({u}))",
        value_tex: r"\begin{cases}\lambda {u}&{u}>0\\\lambda\alpha\left(e^{{u}}-1\right)&{u}\le 0\end{cases}",
        derivative_tex: r"\begin{cases}\lambda&{u}>0\\\lambda\alpha\,e^{{u}}&{u}\le 0\end{cases}",
        parameter: NO_PARAMETER,
    };
    #[inline(always)]
    fn value<R: Real>(&self, x: R) -> R {
        R::select(
            x > R::zero(),
            R::from_sum(Self::SCALE, 3.987_484_766_715_414_4e-17) * x,
            R::from_sum(Self::SCALE_ALPHA, 1.415_351_938_008_45e-17) * x.exp_m1(),
        )
    }
    #[inline(always)]
    fn derivative<R: Real>(&self, x: R) -> R {
        R::select(
            x > R::zero(),
            R::from_sum(Self::SCALE, 3.987_484_766_715_414_4e-17),
            R::from_sum(Self::SCALE_ALPHA, 1.415_351_938_008_45e-17) * x.exp(),
        )
    }
    fn tail(&self, x: f64) -> LogDerivative {
        LogDerivative::positive(libm::log(Self::SCALE_ALPHA) + x)
    }
    fn underflows(&self) -> bool {
        true
    }
    fn kinks(&self) -> Vec<f64> {
        vec![0.0]
    }
    fn range(&self) -> (f64, f64) {
        (-Self::SCALE_ALPHA, f64::INFINITY)
    }
    fn steepest(&self) -> f64 {
        Self::SCALE_ALPHA
    }
}

/// ln(1 + e^x).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Softplus;

#[inline(always)]
fn softplus<R: Real>(x: R) -> R {
    R::select(x <= R::zero(), R::zero(), x) + (-x.abs()).exp().ln_1p()
}

impl Formula for Softplus {
    const ABOUT: About = About {
        name: "softplus",
        onnx: Some("Softplus"),
        aliases: &["smooth-relu"],
        summary: "ln(1 + e^u): a smooth ReLU, its slope is the logistic function",
        value: "softplus({u})",
        derivative: "σ({u})",
        value_tex: r"\ln\left(1+e^{{u}}\right)",
        derivative_tex: r"\sigma({u})",
        parameter: NO_PARAMETER,
    };
    #[inline(always)]
    fn value<R: Real>(&self, x: R) -> R {
        softplus(x)
    }
    #[inline(always)]
    fn derivative<R: Real>(&self, x: R) -> R {
        x.sigmoid()
    }
    #[inline(always)]
    fn framework_value<R: Real>(&self, x: R) -> R {
        // PyTorch's threshold of 20.
        R::select(x > R::from_f64(20.0), x, x.exp().ln_1p())
    }
    #[inline(always)]
    fn framework_derivative<R: Real>(&self, x: R, _y: R) -> R {
        let z = x.exp();
        R::select(x > R::from_f64(20.0), R::one(), z / (z + R::one()))
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
        1.0
    }
}

/// ln σ(x) = −softplus(−x).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LogSigmoid;

impl Formula for LogSigmoid {
    const ABOUT: About = About {
        name: "log-sigmoid",
        onnx: None,
        aliases: &[],
        summary: "the logarithm of the logistic function",
        value: "ln σ({u})",
        derivative: "σ(-({u}))",
        value_tex: r"\ln\sigma({u})",
        derivative_tex: r"\sigma(-({u}))",
        parameter: NO_PARAMETER,
    };
    #[inline(always)]
    fn value<R: Real>(&self, x: R) -> R {
        -softplus(-x)
    }
    #[inline(always)]
    fn derivative<R: Real>(&self, x: R) -> R {
        (-x).sigmoid()
    }
    #[inline(always)]
    fn framework_derivative<R: Real>(&self, x: R, _y: R) -> R {
        let z = (-x.abs()).exp();
        let side = z / (R::one() + z);
        R::select(x < R::zero(), R::one() - side, side)
    }
    fn tail(&self, x: f64) -> LogDerivative {
        LogDerivative::positive(-x)
    }
    fn underflows(&self) -> bool {
        true
    }
    fn range(&self) -> (f64, f64) {
        (f64::NEG_INFINITY, 0.0)
    }
    fn steepest(&self) -> f64 {
        1.0
    }
}

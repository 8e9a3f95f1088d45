//! Activations of the form x·gate(x), smooth and not monotonic. At infinity they are ∞ × 0 where
//! the gate closes, and so NaN, as in PyTorch; their derivatives likewise.

use super::formula::{About, Formula, NO_PARAMETER, plain_sigmoid};
use super::log_derivative::LogDerivative;
use crate::num::Real;
use std::f64::consts::FRAC_1_SQRT_2;

/// x Φ(x) with the normal distribution function (Hendrycks and Gimpel 2016).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Gelu;

impl Formula for Gelu {
    const ABOUT: About = About {
        name: "gelu",
        onnx: Some("Gelu"),
        aliases: &["gelu-erf", "gelu-none"],
        summary: "u·Φ(u) with the normal distribution function Φ",
        value: "{u}·Φ({u})",
        derivative: "(Φ({u}) + {u}·φ({u}))",
        value_tex: r"{u}\,\Phi({u})",
        derivative_tex: r"\left(\Phi({u})+{u}\,\varphi({u})\right)",
        parameter: NO_PARAMETER,
    };
    #[inline(always)]
    fn value<R: Real>(&self, x: R) -> R {
        x * x.normal_cdf()
    }
    #[inline(always)]
    fn derivative<R: Real>(&self, x: R) -> R {
        x.normal_cdf() + x * x.normal_pdf()
    }
    #[inline(always)]
    fn framework_value<R: Real>(&self, x: R) -> R {
        let half = R::from_f64(0.5);
        x * half * (R::one() + (x * R::from_f64(FRAC_1_SQRT_2)).erf())
    }
    #[inline(always)]
    fn framework_derivative<R: Real>(&self, x: R, _y: R) -> R {
        let half = R::from_f64(0.5);
        let cdf = half * (R::one() + (x * R::from_f64(FRAC_1_SQRT_2)).erf());
        let pdf = (-half * x * x).exp() * R::from_f64(0.398_942_280_401_432_7);
        cdf + x * pdf
    }
    fn tail(&self, x: f64) -> LogDerivative {
        // Φ(x) + xφ(x) = −φ(t)(t − M(t)) with t = −x and Mills' ratio M, whose asymptotic series
        // has converged long before the density underflows at t = 37.
        let t = -x;
        let s = 1.0 / (t * t);
        let mills = (1.0 - s * (1.0 - s * (3.0 - s * (15.0 - s * 105.0)))) / t;
        if t == f64::INFINITY {
            return LogDerivative::ZERO;
        }
        LogDerivative::negative(-0.5 * t * t - 0.918_938_533_204_672_8 + libm::log(t - mills))
    }
    fn underflows(&self) -> bool {
        true
    }
    fn range(&self) -> (f64, f64) {
        (-0.169_971_207_479_903_66, f64::INFINITY)
    }
    fn steepest(&self) -> f64 {
        // At √2.
        1.128_904_145_185_154_8
    }
}

/// GELU by a tanh: x σ(2u) with u = √(2/π)(x + 0.044715 x³) (Hendrycks and Gimpel 2016).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GeluTanh;

/// Beyond this the cube would leave what the types can exponentiate, and the gate is 0 or 1.
const GELU_TANH_LIMIT: f64 = 1e6;

impl GeluTanh {
    /// The gate's argument 2u, where PyTorch writes ½(1 + tanh u) = σ(2u), and x du/dx·2.
    #[inline(always)]
    fn gate<R: Real>(x: R) -> (R, R) {
        let limit = R::from_f64(GELU_TANH_LIMIT);
        let x = R::select(x > limit, limit, x);
        let x = R::select(x < -limit, -limit, x);
        let linear = R::from_sum(1.595_769_121_605_730_8, -9.969_308_809_110_92e-17);
        let cubic = R::from_sum(0.071_354_816_272_600_25, -6.175_149_918_155_315e-19);
        let three = R::from_f64(3.0);
        let square = x * x;
        (
            x * square.mul_add(cubic, linear),
            x * square.mul_add(three * cubic, linear),
        )
    }
}

impl Formula for GeluTanh {
    const ABOUT: About = About {
        name: "gelu-tanh",
        onnx: Some("Gelu"),
        aliases: &["gelu-approximate", "gelu-new", "fast-gelu"],
        summary: "GELU with a tanh in place of the normal distribution function",
        value: "gelu_tanh({u})",
        derivative: "gelu_tanh'({u})",
        value_tex: r"\operatorname{GELU}_{\tanh}({u})",
        derivative_tex: r"\operatorname{GELU}_{\tanh}'({u})",
        parameter: NO_PARAMETER,
    };
    #[inline(always)]
    fn value<R: Real>(&self, x: R) -> R {
        let (gate, _) = Self::gate(x);
        x * gate.sigmoid()
    }
    #[inline(always)]
    fn derivative<R: Real>(&self, x: R) -> R {
        let (gate, slope) = Self::gate(x);
        // The gate has bounds; what is infinite, or NaN, has no derivative all the same.
        let one = R::one() + x * R::zero();
        gate.sigmoid() * (one + slope * (-gate).sigmoid())
    }
    #[inline(always)]
    fn framework_value<R: Real>(&self, x: R) -> R {
        let inner = Self::framework_inner(x);
        R::from_f64(0.5) * x * (R::one() + inner.tanh())
    }
    #[inline(always)]
    fn framework_derivative<R: Real>(&self, x: R, _y: R) -> R {
        let half = R::from_f64(0.5);
        let tanh = Self::framework_inner(x).tanh();
        let inner_derivative =
            R::from_f64(0.797_884_560_802_865_4) * (R::one() + R::from_f64(3.0 * 0.044715) * x * x);
        let right_derivative = half * x * (R::one() - tanh * tanh) * inner_derivative;
        half * (R::one() + tanh) + right_derivative
    }
    fn tail(&self, x: f64) -> LogDerivative {
        // σ(2u) is e^(2u) here and σ(−2u) is 1.
        let gate = 1.595_769_121_605_730_8 * (x + 0.044715 * x * x * x);
        let slope = 1.595_769_121_605_730_8 * (x + 3.0 * 0.044715 * x * x * x);
        if gate == f64::NEG_INFINITY {
            return LogDerivative::ZERO;
        }
        LogDerivative::negative(gate + libm::log(-1.0 - slope))
    }
    fn underflows(&self) -> bool {
        true
    }
    fn range(&self) -> (f64, f64) {
        (-0.170_040_750_571_254_05, f64::INFINITY)
    }
    fn steepest(&self) -> f64 {
        1.128_993_068_658_771_8
    }
}

impl GeluTanh {
    #[inline(always)]
    fn framework_inner<R: Real>(x: R) -> R {
        let cube = x * x * x;
        R::from_f64(0.797_884_560_802_865_4) * (x + R::from_f64(0.044715) * cube)
    }
}

/// x σ(x) (Elfwing, Uchibe and Doya 2017; Ramachandran, Zoph and Le 2017 as swish).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Silu;

impl Formula for Silu {
    const ABOUT: About = About {
        name: "silu",
        onnx: Some("Swish"),
        aliases: &["swish", "sil", "swish-1"],
        summary: "u·σ(u), also called swish",
        value: "{u}·σ({u})",
        derivative: "σ({u})·(1 + {u}·σ(-({u})))",
        value_tex: r"{u}\,\sigma({u})",
        derivative_tex: r"\sigma({u})\left(1+{u}\,\sigma(-({u}))\right)",
        parameter: NO_PARAMETER,
    };
    #[inline(always)]
    fn value<R: Real>(&self, x: R) -> R {
        x * x.sigmoid()
    }
    #[inline(always)]
    fn derivative<R: Real>(&self, x: R) -> R {
        x.sigmoid() * (R::one() + x * (-x).sigmoid())
    }
    #[inline(always)]
    fn framework_value<R: Real>(&self, x: R) -> R {
        x / (R::one() + (-x).exp())
    }
    #[inline(always)]
    fn framework_derivative<R: Real>(&self, x: R, _y: R) -> R {
        let gate = plain_sigmoid(x);
        gate * (R::one() + x * (R::one() - gate))
    }
    fn tail(&self, x: f64) -> LogDerivative {
        exponential_gate_tail(x)
    }
    fn underflows(&self) -> bool {
        true
    }
    fn range(&self) -> (f64, f64) {
        (-0.278_464_542_761_073_8, f64::INFINITY)
    }
    fn steepest(&self) -> f64 {
        1.099_839_320_128_867
    }
}

/// (x e^x)′ = (1 + x)e^x, which is what SiLU′ and Mish′ become for x ≪ 0.
fn exponential_gate_tail(x: f64) -> LogDerivative {
    if x == f64::NEG_INFINITY {
        return LogDerivative::ZERO;
    }
    LogDerivative::negative(x + libm::log(-1.0 - x))
}

/// x tanh(softplus(x)) (Misra 2019).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mish;

impl Formula for Mish {
    const ABOUT: About = About {
        name: "mish",
        onnx: Some("Mish"),
        aliases: &[],
        summary: "u·tanh(softplus(u))",
        value: "{u}·tanh(softplus({u}))",
        derivative: "(tanh(softplus({u})) + {u}·σ({u})·sech²(softplus({u})))",
        value_tex: r"{u}\tanh\left(\ln\left(1+e^{{u}}\right)\right)",
        derivative_tex: r"\left(\tanh(\varsigma)+{u}\,\sigma({u})\operatorname{sech}^2(\varsigma)\right)_{\varsigma=\ln(1+e^{{u}})}",
        parameter: NO_PARAMETER,
    };
    #[inline(always)]
    fn value<R: Real>(&self, x: R) -> R {
        let two = R::from_f64(2.0);
        let e = (-x.abs()).exp();
        // tanh(ln(1 + z)) = z(z + 2)/(z(z + 2) + 2) with z = e^x; on the right in e^(−x).
        let left = e * (e + two);
        let right = R::one() + two * e;
        let negative = x < R::zero();
        let gate = R::select(negative, left, right)
            / R::select(negative, left + two, e.mul_add(two * e, right));
        x * gate
    }
    #[inline(always)]
    fn derivative<R: Real>(&self, x: R) -> R {
        let two = R::from_f64(2.0);
        let e = (-x.abs()).exp();
        let left = e * (e + two);
        let right = R::one() + two * e;
        let negative = x < R::zero();
        let numerator = R::select(negative, left, right);
        let denominator = R::select(negative, left + two, e.mul_add(two * e, right));
        // σ(x) sech²(softplus(x)) = 4 z(1 + z)/(z(z + 2) + 2)²; on the right in e^(−x).
        let side = R::select(negative, e, e * e) * (R::one() + e) * R::from_f64(4.0);
        (numerator * denominator + x * side) / (denominator * denominator)
    }
    #[inline(always)]
    fn framework_value<R: Real>(&self, x: R) -> R {
        x * x.exp().ln_1p().tanh()
    }
    #[inline(always)]
    fn framework_derivative<R: Real>(&self, x: R, _y: R) -> R {
        let gate = x.exp().ln_1p().tanh();
        gate + x * plain_sigmoid(x) * (R::one() - gate * gate)
    }
    fn tail(&self, x: f64) -> LogDerivative {
        exponential_gate_tail(x)
    }
    fn underflows(&self) -> bool {
        true
    }
    fn range(&self) -> (f64, f64) {
        (-0.308_843_413_017_250_4, f64::INFINITY)
    }
    fn steepest(&self) -> f64 {
        1.088_498_161_251_728
    }
}

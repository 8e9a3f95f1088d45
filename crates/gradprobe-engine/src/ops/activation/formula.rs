//! What an activation is made of.

use super::log_derivative::LogDerivative;
use crate::num::Real;
use std::fmt::Debug;

/// The parameter of an activation, as a user writes it after `=`.
#[derive(Clone, Copy, Debug)]
pub struct Parameter {
    /// Its name in the papers: `slope`, `alpha`, `lambda`.
    pub name: &'static str,
    /// The value PyTorch takes when none is given.
    pub default: f64,
    /// What is accepted, in words.
    pub expected: &'static str,
    /// Is the value accepted?
    pub accepts: fn(f64) -> bool,
}

/// What is written about an activation.
///
/// The formulas are templates: `{u}` stands for the argument, `{a}` for the parameter.
#[derive(Clone, Copy, Debug)]
pub struct About {
    /// The name a user types, e.g. `leaky-relu`.
    pub name: &'static str,
    /// The ONNX operator that computes it, given the right attributes; `None` where ONNX composes
    /// it from several.
    pub onnx: Option<&'static str>,
    /// Other names under which it is known.
    pub aliases: &'static [&'static str],
    /// What it is, in one line.
    pub summary: &'static str,
    /// φ in plain text.
    pub value: &'static str,
    /// φ′ in plain text.
    pub derivative: &'static str,
    /// φ in TeX.
    pub value_tex: &'static str,
    /// φ′ in TeX.
    pub derivative_tex: &'static str,
    /// Its parameter, where it has one.
    pub parameter: Option<Parameter>,
}

/// An activation as it is written: over any [`Real`], so that one text serves f32, f64 (where it
/// vectorises) and the exact chain.
///
/// Formulas hold on the whole line, infinities included (there they give the limit), and propagate
/// NaN; they compute both sides of a case and [`select`](Real::select) one.
pub trait Formula: Debug + Clone + Send + Sync + 'static {
    /// What is written about it.
    const ABOUT: About;

    /// Up to which |x| [`vector_value`](Self::vector_value) and
    /// [`vector_derivative`](Self::vector_derivative) hold; the rest of a slice is done again one
    /// by one.
    const VECTOR_LIMIT: f64 = f64::INFINITY;

    /// φ(x).
    fn value<R: Real>(&self, x: R) -> R;

    /// φ′(x), stable: no subtraction of numbers that become equal in the tails. At a kink it is
    /// PyTorch's choice. NaN where x is NaN.
    fn derivative<R: Real>(&self, x: R) -> R;

    /// φ(x) and φ′(x), where they can share work.
    #[inline(always)]
    fn value_and_derivative<R: Real>(&self, x: R) -> (R, R) {
        (self.value(x), self.derivative(x))
    }

    /// Are φ and φ′ worth two loops over a slice, [`begin`](Self::begin) and [`end`](Self::end)?
    const IN_HALVES: bool = false;

    /// The first half of the computation of φ(x) and φ′(x).
    #[inline(always)]
    fn begin<R: Real>(&self, x: R) -> (R, R) {
        self.value_and_derivative(x)
    }

    /// φ(x) and φ′(x) from what the first half gave for the same x.
    #[inline(always)]
    fn end<R: Real>(&self, _x: R, begun: (R, R)) -> (R, R) {
        begun
    }

    /// Up to which |x| [`inner`](Self::inner) is taken; 0 if it never is. Beyond it a slice is
    /// given [`vector_value`](Self::vector_value), [`vector_derivative`](Self::vector_derivative)
    /// and [`end`](Self::end), which need not do for smaller |x| what `value` does.
    const INNER_LIMIT: f64 = 0.0;

    /// φ(x) and φ′(x) by a cheaper way for small |x|.
    #[inline(always)]
    fn inner<R: Real>(&self, x: R) -> (R, R) {
        self.value_and_derivative(x)
    }

    /// φ(x) without a branch, right for |x| ≤ [`VECTOR_LIMIT`](Self::VECTOR_LIMIT) only.
    #[inline(always)]
    fn vector_value<R: Real>(&self, x: R) -> R {
        self.value(x)
    }

    /// φ′(x) without a branch, right for |x| ≤ [`VECTOR_LIMIT`](Self::VECTOR_LIMIT) only.
    #[inline(always)]
    fn vector_derivative<R: Real>(&self, x: R) -> R {
        self.derivative(x)
    }

    /// The cotangent of x, from that of φ(x), over a slice: right where
    /// [`vector_derivative`](Self::vector_derivative) is.
    ///
    /// A φ made of straight lines *selects*, and never multiplies by the 0 of a flat part: 0 × ∞
    /// and 0 × NaN would leak out of inactive units. What becomes of a NaN x is PyTorch's choice.
    #[inline(always)]
    fn pull<R: Real>(&self, x: R, cotangent: R) -> R {
        cotangent * self.vector_derivative(x)
    }

    /// φ(x) as PyTorch computes it: only to *show* what that loses. The default is the stable one.
    #[inline(always)]
    fn framework_value<R: Real>(&self, x: R) -> R {
        self.value(x)
    }

    /// φ′ as PyTorch's backward pass computes it from x and y = φ(x), e.g. 1 − y² for tanh: only
    /// to *show* what that loses. The default is the stable one.
    #[inline(always)]
    fn framework_derivative<R: Real>(&self, x: R, _y: R) -> R {
        self.derivative(x)
    }

    /// ln|φ′(x)| and the sign of φ′(x) where φ′(x) is below the normal range of f64. Needed by
    /// those that [`underflow`](Self::underflows); for the others it is never called.
    fn tail(&self, _x: f64) -> LogDerivative {
        LogDerivative::ZERO
    }

    /// Is φ′ tiny, but not zero, somewhere on the line? (False for a piecewise linear function.)
    fn underflows(&self) -> bool;

    /// The value of the parameter.
    fn parameter(&self) -> Option<f64> {
        None
    }

    /// The points without a derivative, ascending.
    fn kinks(&self) -> Vec<f64> {
        Vec::new()
    }

    /// The infimum and the supremum of φ.
    fn range(&self) -> (f64, f64);

    /// The supremum of |φ′|.
    fn steepest(&self) -> f64;

    /// The closed intervals of positive length on which φ′ is exactly 0, ascending: an input in
    /// one of them passes no gradient.
    fn flat_regions(&self) -> Vec<(f64, f64)> {
        Vec::new()
    }
}

/// `result`, or NaN where `x` is NaN: for results that are picked by comparing `x`.
#[inline(always)]
#[expect(clippy::eq_op, reason = "a NaN is what is unequal to itself")]
pub(super) fn or_nan<R: Real>(x: R, result: R) -> R {
    R::select(x == x, result, x)
}

/// The framework's logistic function, 1/(1 + e^(−x)).
#[inline(always)]
pub(super) fn plain_sigmoid<R: Real>(x: R) -> R {
    R::one() / (R::one() + (-x).exp())
}

pub(super) const NO_PARAMETER: Option<Parameter> = None;

/// A parameter that may be any finite number.
pub(super) const fn finite(name: &'static str, default: f64) -> Option<Parameter> {
    Some(Parameter {
        name,
        default,
        expected: "a finite number",
        accepts: f64::is_finite,
    })
}

/// A parameter that is positive and finite.
pub(super) const fn positive(name: &'static str, default: f64) -> Option<Parameter> {
    fn accepts(value: f64) -> bool {
        value.is_finite() && value > 0.0
    }
    Some(Parameter {
        name,
        default,
        expected: "a number above 0",
        accepts,
    })
}

/// A parameter that is zero or positive, and finite.
pub(super) const fn non_negative(name: &'static str, default: f64) -> Option<Parameter> {
    fn accepts(value: f64) -> bool {
        value.is_finite() && value >= 0.0
    }
    Some(Parameter {
        name,
        default,
        expected: "a number of at least 0",
        accepts,
    })
}

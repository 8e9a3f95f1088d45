//! An activation behind a pointer, and its kernels over slices.

use super::formula::{About, Formula};
use super::log_derivative::LogDerivative;
use super::vectors::{Apply, Both, FrameworkApply, FrameworkVjp, Vjp, for_each_beyond};
use crate::num::simd::vectorised;
use crate::num::{Element, Extended, Plain, Real};
use std::fmt::Debug;

/// An activation's arithmetic in one element type.
///
/// The slices of one call have the same length.
///
/// # Panics
/// The slice functions panic if the lengths differ: that is a defect of the caller.
pub trait ActivationKernel<T>: Debug + Send + Sync {
    /// φ(x).
    fn value(&self, x: T) -> T;
    /// φ′(x), stable, PyTorch's choice at a kink.
    fn derivative(&self, x: T) -> T;
    /// φ(x) as PyTorch computes it.
    fn framework_value(&self, x: T) -> T;
    /// φ′ as PyTorch's backward pass computes it from x and y = φ(x).
    fn framework_derivative(&self, x: T, y: T) -> T;
    /// y = φ(x), element by element.
    fn apply(&self, x: &[T], y: &mut [T]);
    /// gradient = cotangent·φ′(x), element by element.
    fn vjp(&self, x: &[T], cotangent: &[T], gradient: &mut [T]);
    /// y = φ(x) as PyTorch computes it, element by element. The default is the stable one.
    fn framework_apply(&self, x: &[T], y: &mut [T]) {
        self.apply(x, y);
    }
    /// gradient = cotangent·φ′ as PyTorch's backward pass computes it from x and y = φ(x), element
    /// by element. Where a piecewise linear φ is flat it is 0 whatever the cotangent: a mask. The
    /// default is the stable one.
    fn framework_vjp(&self, x: &[T], _y: &[T], cotangent: &[T], gradient: &mut [T]) {
        self.vjp(x, cotangent, gradient);
    }
    /// y = φ(x) and derivative = φ′(x), element by element.
    fn value_and_derivative(&self, x: &[T], y: &mut [T], derivative: &mut [T]);
    /// y = φ(weight·x) and derivative = φ′(weight·x), element by element.
    fn weighted(&self, weight: T, x: &[T], y: &mut [T], derivative: &mut [T]);
}

/// An activation's formula in one number type, point by point.
pub trait ActivationFormula<R> {
    /// φ(x) and φ′(x), stable, PyTorch's choice at a kink.
    fn value_and_derivative(&self, x: R) -> (R, R);
    /// φ′(x), stable, PyTorch's choice at a kink.
    fn derivative(&self, x: R) -> R;
    /// φ(x) as PyTorch computes it.
    fn framework_value(&self, x: R) -> R;
    /// φ′ as PyTorch's backward pass computes it from x and y = φ(x).
    fn framework_derivative(&self, x: R, y: R) -> R;
}

impl<R: Real, F: Formula> ActivationFormula<R> for F {
    fn value_and_derivative(&self, x: R) -> (R, R) {
        Formula::value_and_derivative(self, x)
    }
    fn derivative(&self, x: R) -> R {
        Formula::derivative(self, x)
    }
    fn framework_value(&self, x: R) -> R {
        Formula::framework_value(self, x)
    }
    fn framework_derivative(&self, x: R, y: R) -> R {
        Formula::framework_derivative(self, x, y)
    }
}

/// An activation behind a pointer, with its parameters.
pub trait Activation: Debug + Send + Sync {
    /// What is written about it.
    fn about(&self) -> &'static About;
    /// The value of its parameter, where it has one.
    fn parameter(&self) -> Option<f64>;
    /// φ(x).
    fn value(&self, x: f64) -> f64;
    /// φ′(x), stable: no subtraction of numbers that become equal in the tails. At a kink it is
    /// PyTorch's choice.
    fn derivative(&self, x: f64) -> f64;
    /// φ(x) as PyTorch computes it.
    fn framework_value(&self, x: f64) -> f64;
    /// φ′ as PyTorch's backward pass computes it from x and y = φ(x).
    fn framework_derivative(&self, x: f64, y: f64) -> f64;
    /// φ′(x) as (sign, ln|φ′|), valid where φ′ under- or overflows: at 1000
    /// tanh′ is e^(−1998.6).
    fn log_derivative(&self, x: f64) -> LogDerivative;
    /// Is φ′ tiny, but not zero, somewhere on the line? (False for a piecewise linear function.)
    fn underflows(&self) -> bool;
    /// The points without a derivative, ascending.
    fn kinks(&self) -> Vec<f64>;
    /// The infimum and the supremum of φ.
    fn range(&self) -> (f64, f64);
    /// The supremum of |φ′|.
    fn steepest(&self) -> f64;
    /// The closed intervals of positive length on which φ′ is exactly 0, ascending.
    fn flat_regions(&self) -> Vec<(f64, f64)>;
    /// Its arithmetic in f32.
    fn in_f32(&self) -> &dyn ActivationKernel<f32>;
    /// Its arithmetic in f64.
    fn in_f64(&self) -> &dyn ActivationKernel<f64>;
    /// Its formula to 106 bits, without over- or underflow.
    fn in_extended(&self) -> &dyn ActivationFormula<Extended>;
    /// Its formula in f32 with every operation rounded, as a framework computes it.
    fn in_plain_f32(&self) -> &dyn ActivationFormula<Plain<f32>>;
    /// Its formula in f64 with every operation rounded, as a framework computes it.
    fn in_plain_f64(&self) -> &dyn ActivationFormula<Plain<f64>>;

    /// Its name as a user types it, e.g. `leaky-relu`.
    fn name(&self) -> &'static str {
        self.about().name
    }

    /// Its name with the parameter, e.g. `leaky-relu=0.2`; [`parse`](super::parse) reads it back.
    fn label(&self) -> String {
        match self.parameter() {
            Some(value) => format!("{}={value}", self.name()),
            None => self.name().to_owned(),
        }
    }

    /// ln|φ′(x)| in nats, −∞ where φ′ is exactly 0; valid where φ′ underflows.
    fn ln_abs_derivative(&self, x: f64) -> f64 {
        self.log_derivative(x).ln_abs
    }

    /// Is there no derivative at x, so that what is reported is a choice?
    fn at_kink(&self, x: f64) -> bool {
        self.kinks().contains(&x)
    }

    /// φ in plain text, of an argument given as text (with parentheses where it needs them).
    fn value_text(&self, argument: &str) -> String {
        fill(self.about().value, argument, self.parameter())
    }

    /// φ′ in plain text, of an argument given as text.
    fn derivative_text(&self, argument: &str) -> String {
        fill(self.about().derivative, argument, self.parameter())
    }

    /// φ in TeX, of an argument given as TeX.
    fn value_tex(&self, argument: &str) -> String {
        fill(self.about().value_tex, argument, self.parameter())
    }

    /// φ′ in TeX, of an argument given as TeX.
    fn derivative_tex(&self, argument: &str) -> String {
        fill(self.about().derivative_tex, argument, self.parameter())
    }
}

fn fill(template: &str, argument: &str, parameter: Option<f64>) -> String {
    let parameter = parameter.map(|value| value.to_string()).unwrap_or_default();
    // The argument goes last, since it may itself hold a brace.
    template.replace("{a}", &parameter).replace("{u}", argument)
}

/// An element type together with the way from an activation to its kernel in that type.
pub trait ActivationElement: Element {
    /// The activation's kernel in this type.
    fn activation(activation: &dyn Activation) -> &dyn ActivationKernel<Self>;
}

impl ActivationElement for f32 {
    fn activation(activation: &dyn Activation) -> &dyn ActivationKernel<f32> {
        activation.in_f32()
    }
}

impl ActivationElement for f64 {
    fn activation(activation: &dyn Activation) -> &dyn ActivationKernel<f64> {
        activation.in_f64()
    }
}

/// Below this an f64 derivative may have lost digits to the subnormal range on its way.
const SAFE: f64 = f64::MIN_POSITIVE * (1u64 << 60) as f64;

impl<F: Formula> Activation for F {
    fn about(&self) -> &'static About {
        const { &F::ABOUT }
    }
    fn parameter(&self) -> Option<f64> {
        Formula::parameter(self)
    }
    fn value(&self, x: f64) -> f64 {
        Formula::value(self, x)
    }
    fn derivative(&self, x: f64) -> f64 {
        Formula::derivative(self, x)
    }
    fn framework_value(&self, x: f64) -> f64 {
        Formula::framework_value(self, x)
    }
    fn framework_derivative(&self, x: f64, y: f64) -> f64 {
        Formula::framework_derivative(self, x, y)
    }
    fn log_derivative(&self, x: f64) -> LogDerivative {
        let derivative = Formula::derivative(self, x);
        let beyond = derivative.abs() < SAFE || derivative.is_infinite();
        if beyond && Formula::underflows(self) {
            self.tail(x)
        } else {
            LogDerivative::of(derivative)
        }
    }
    fn underflows(&self) -> bool {
        Formula::underflows(self)
    }
    fn kinks(&self) -> Vec<f64> {
        Formula::kinks(self)
    }
    fn range(&self) -> (f64, f64) {
        Formula::range(self)
    }
    fn steepest(&self) -> f64 {
        Formula::steepest(self)
    }
    fn flat_regions(&self) -> Vec<(f64, f64)> {
        Formula::flat_regions(self)
    }
    fn in_f32(&self) -> &dyn ActivationKernel<f32> {
        self
    }
    fn in_f64(&self) -> &dyn ActivationKernel<f64> {
        self
    }
    fn in_extended(&self) -> &dyn ActivationFormula<Extended> {
        self
    }
    fn in_plain_f32(&self) -> &dyn ActivationFormula<Plain<f32>> {
        self
    }
    fn in_plain_f64(&self) -> &dyn ActivationFormula<Plain<f64>> {
        self
    }
}

impl<T: Element, F: Formula> ActivationKernel<T> for F {
    fn value(&self, x: T) -> T {
        Formula::value(self, x)
    }
    fn derivative(&self, x: T) -> T {
        Formula::derivative(self, x)
    }
    fn framework_value(&self, x: T) -> T {
        Formula::framework_value(self, x)
    }
    fn framework_derivative(&self, x: T, y: T) -> T {
        Formula::framework_derivative(self, x, y)
    }

    fn apply(&self, x: &[T], y: &mut [T]) {
        assert_eq!(x.len(), y.len(), "an input needs an output");
        vectorised(Apply {
            formula: self,
            x,
            y: &mut *y,
        });
        for_each_beyond::<T, F>(x, |i| y[i] = Formula::value(self, x[i]));
    }

    fn vjp(&self, x: &[T], cotangent: &[T], gradient: &mut [T]) {
        assert_eq!(x.len(), cotangent.len(), "an input needs a cotangent");
        assert_eq!(x.len(), gradient.len(), "an input needs a gradient");
        vectorised(Vjp {
            formula: self,
            x,
            cotangent,
            gradient: &mut *gradient,
        });
        for_each_beyond::<T, F>(x, |i| {
            gradient[i] = cotangent[i] * Formula::derivative(self, x[i]);
        });
    }

    fn framework_apply(&self, x: &[T], y: &mut [T]) {
        assert_eq!(x.len(), y.len(), "an input needs an output");
        vectorised(FrameworkApply {
            formula: self,
            x,
            y,
        });
    }

    fn framework_vjp(&self, x: &[T], y: &[T], cotangent: &[T], gradient: &mut [T]) {
        assert_eq!(x.len(), y.len(), "an input needs an output");
        assert_eq!(x.len(), cotangent.len(), "an input needs a cotangent");
        assert_eq!(x.len(), gradient.len(), "an input needs a gradient");
        vectorised(FrameworkVjp {
            formula: self,
            x,
            y,
            cotangent,
            gradient,
        });
    }

    fn value_and_derivative(&self, x: &[T], y: &mut [T], derivative: &mut [T]) {
        self.weighted(T::one(), x, y, derivative);
    }

    fn weighted(&self, weight: T, x: &[T], y: &mut [T], derivative: &mut [T]) {
        assert_eq!(x.len(), y.len(), "an input needs an output");
        assert_eq!(x.len(), derivative.len(), "an input needs a derivative");
        vectorised(Both {
            formula: self,
            weight,
            x,
            y: &mut *y,
            derivative: &mut *derivative,
        });
        if F::VECTOR_LIMIT < f64::INFINITY {
            let limit = T::from_f64(F::VECTOR_LIMIT);
            for (i, &x) in x.iter().enumerate() {
                let x = weight * x;
                if x.abs() > limit {
                    (y[i], derivative[i]) = Formula::value_and_derivative(self, x);
                }
            }
        }
    }
}

//! Activations that a user writes: `x*tanh(softplus(x))`.
//!
//! | file | its one subject |
//! |---|---|
//! | `tree.rs` | what an expression is: [`Node`](tree::Node), and what it and its derivative are worth |
//! | `parse.rs` | from text, with mistakes that point at their place |
//! | `survey.rs` | what its shape is: kinks, range, steepest slope, flat parts |
//! | this one | the same as an [`Activation`], for the theory and the engine |
//!
//! The derivative is exact: every node gives its value and its derivative together (forward mode),
//! and the functions of the table use their own stable derivatives.

mod error;
mod parse;
mod survey;
#[cfg(test)]
mod tests;
mod tree;

use super::formula::{About, NO_PARAMETER};
use super::log_derivative::LogDerivative;
use super::{Activation, ActivationFormula, ActivationKernel};
use crate::num::{Element, Extended, Plain, Real};
use survey::Survey;
use tree::{Node, Number};

pub use error::ExpressionError;

/// An activation written as an expression in x.
#[derive(Clone, Debug)]
pub struct Expression {
    text: String,
    tree: Node,
    survey: Survey,
}

impl Expression {
    /// Reads an expression in `x`: numbers, `pi`, `e`, `+ - * / ^`, parentheses, `exp`, `log`,
    /// `sqrt`, `abs`, `min`, `max`, `clip` and their kin, and every activation by its name.
    ///
    /// # Errors
    /// If the text is no expression, or not a number on the whole line.
    pub fn parse(text: &str) -> Result<Self, ExpressionError> {
        let tree = parse::parse(text)?;
        let survey = Survey::of(&tree).map_err(|at| ExpressionError::undefined(text, at))?;
        Ok(Self {
            text: text.trim().to_owned(),
            tree,
            survey,
        })
    }

    /// φ and φ′. Where a step of the way leaves f64 (e^800 in a denominator), by numbers without
    /// bounds.
    fn both(&self, x: f64) -> (f64, f64) {
        let (value, derivative) = self.tree.dual(x);
        if (value.is_finite() && derivative.is_finite()) || !x.is_finite() {
            return (value, derivative);
        }
        let (value, derivative) = self.tree.dual(Extended::from_f64(x));
        (value.to_f64(), derivative.to_f64())
    }
}

/// Is a text that names no activation meant as an expression?
pub(super) fn is_expression(text: &str) -> bool {
    text.contains(['(', '*', '+', '/', '^']) || text.trim() == "x"
}

impl Activation for Expression {
    fn about(&self) -> &'static About {
        static ABOUT: About = About {
            name: "expression",
            onnx: None,
            aliases: &[],
            summary: "an expression in x",
            value: "φ({u})",
            derivative: "φ'({u})",
            value_tex: r"\varphi({u})",
            derivative_tex: r"\varphi'({u})",
            parameter: NO_PARAMETER,
        };
        &ABOUT
    }
    fn label(&self) -> String {
        self.text.clone()
    }
    fn parameter(&self) -> Option<f64> {
        None
    }
    fn value(&self, x: f64) -> f64 {
        self.both(x).0
    }
    fn derivative(&self, x: f64) -> f64 {
        self.both(x).1
    }
    fn framework_value(&self, x: f64) -> f64 {
        self.both(x).0
    }
    fn framework_derivative(&self, x: f64, _y: f64) -> f64 {
        self.both(x).1
    }
    fn log_derivative(&self, x: f64) -> LogDerivative {
        let derivative = self.tree.dual(Extended::from_f64(x)).1;
        if derivative.is_nan() {
            return LogDerivative::of(f64::NAN);
        }
        if derivative.is_zero() {
            return LogDerivative::ZERO;
        }
        LogDerivative {
            sign: f64::from(derivative.sign()),
            ln_abs: derivative.log10_abs() * std::f64::consts::LN_10,
        }
    }
    fn underflows(&self) -> bool {
        self.survey.underflows
    }
    fn kinks(&self) -> Vec<f64> {
        self.survey.kinks.clone()
    }
    fn range(&self) -> (f64, f64) {
        self.survey.range
    }
    fn steepest(&self) -> f64 {
        self.survey.steepest
    }
    fn flat_regions(&self) -> Vec<(f64, f64)> {
        self.survey.flat_regions.clone()
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
    fn value_text(&self, argument: &str) -> String {
        self.tree.text(argument)
    }
    fn derivative_text(&self, argument: &str) -> String {
        format!("d/du[{}]", self.tree.text(argument))
    }
}

impl<R: Number> ActivationFormula<R> for Expression {
    fn value_and_derivative(&self, x: R) -> (R, R) {
        self.tree.dual(x)
    }
    fn derivative(&self, x: R) -> R {
        self.tree.dual(x).1
    }
    fn framework_value(&self, x: R) -> R {
        self.tree.dual(x).0
    }
    fn framework_derivative(&self, x: R, _y: R) -> R {
        self.tree.dual(x).1
    }
}

/// Element by element in f64: an expression is read anew for each, about as fast as a calculator.
impl<T: Element> ActivationKernel<T> for Expression {
    fn value(&self, x: T) -> T {
        T::from_f64(self.both(x.to_f64()).0)
    }
    fn derivative(&self, x: T) -> T {
        T::from_f64(self.both(x.to_f64()).1)
    }
    fn framework_value(&self, x: T) -> T {
        ActivationKernel::value(self, x)
    }
    fn framework_derivative(&self, x: T, _y: T) -> T {
        ActivationKernel::derivative(self, x)
    }
    fn apply(&self, x: &[T], y: &mut [T]) {
        assert_eq!(x.len(), y.len(), "an input needs an output");
        for (y, &x) in y.iter_mut().zip(x) {
            *y = ActivationKernel::value(self, x);
        }
    }
    fn vjp(&self, x: &[T], cotangent: &[T], gradient: &mut [T]) {
        assert_eq!(x.len(), cotangent.len(), "an input needs a cotangent");
        assert_eq!(x.len(), gradient.len(), "an input needs a gradient");
        for ((gradient, &x), &cotangent) in gradient.iter_mut().zip(x).zip(cotangent) {
            let derivative = ActivationKernel::derivative(self, x);
            // A flat part passes nothing, not even 0 × ∞.
            let is_flat = derivative == T::zero() && !self.survey.flat_regions.is_empty();
            *gradient = T::select(is_flat, T::zero(), cotangent * derivative);
        }
    }
    fn value_and_derivative(&self, x: &[T], y: &mut [T], derivative: &mut [T]) {
        self.weighted(T::one(), x, y, derivative);
    }
    fn weighted(&self, weight: T, x: &[T], y: &mut [T], derivative: &mut [T]) {
        assert_eq!(x.len(), y.len(), "an input needs an output");
        assert_eq!(x.len(), derivative.len(), "an input needs a derivative");
        for ((y, derivative), &x) in y.iter_mut().zip(derivative).zip(x) {
            let both = self.both((weight * x).to_f64());
            (*y, *derivative) = (T::from_f64(both.0), T::from_f64(both.1));
        }
    }
}

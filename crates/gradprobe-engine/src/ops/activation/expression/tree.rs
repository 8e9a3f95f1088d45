//! What an expression is, and what it and its derivative are worth at a point.

use crate::num::{Extended, Plain, Real};
use crate::ops::activation::{Activation, ActivationFormula};
use std::sync::Arc;

/// A number type in which an activation of the registry can be asked for.
pub trait Number: Real {
    /// φ(x) and φ′(x).
    fn of(activation: &dyn Activation, x: Self) -> (Self, Self);
}

impl Number for f64 {
    fn of(activation: &dyn Activation, x: f64) -> (f64, f64) {
        (activation.value(x), activation.derivative(x))
    }
}

impl Number for Extended {
    fn of(activation: &dyn Activation, x: Self) -> (Self, Self) {
        ActivationFormula::value_and_derivative(activation.in_extended(), x)
    }
}

impl Number for Plain<f32> {
    fn of(activation: &dyn Activation, x: Self) -> (Self, Self) {
        activation.in_plain_f32().value_and_derivative(x)
    }
}

impl Number for Plain<f64> {
    fn of(activation: &dyn Activation, x: Self) -> (Self, Self) {
        activation.in_plain_f64().value_and_derivative(x)
    }
}

/// A function that is not an activation of the registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Function {
    /// e^u.
    Exp,
    /// e^u − 1.
    Expm1,
    /// ln u.
    Log,
    /// ln(1 + u).
    Log1p,
    /// √u.
    Sqrt,
    /// cos u.
    Cos,
    /// sinh u.
    Sinh,
    /// cosh u.
    Cosh,
    /// 1 − erf u.
    Erfc,
    /// |u|.
    Abs,
}

impl Function {
    /// Every one with its name.
    pub const TABLE: [(&'static str, Self); 11] = [
        ("exp", Self::Exp),
        ("expm1", Self::Expm1),
        ("log", Self::Log),
        ("ln", Self::Log),
        ("log1p", Self::Log1p),
        ("sqrt", Self::Sqrt),
        ("cos", Self::Cos),
        ("sinh", Self::Sinh),
        ("cosh", Self::Cosh),
        ("erfc", Self::Erfc),
        ("abs", Self::Abs),
    ];

    fn name(self) -> &'static str {
        let row = Self::TABLE.iter().find(|(_, function)| *function == self);
        row.map_or("", |(name, _)| name)
    }

    /// f(u) and f′(u).
    fn at<R: Real>(self, u: R) -> (R, R) {
        let half = R::from_f64(0.5);
        match self {
            Self::Exp => (u.exp(), u.exp()),
            Self::Expm1 => (u.exp_m1(), u.exp()),
            Self::Log => (u.ln(), R::one() / u),
            Self::Log1p => (u.ln_1p(), R::one() / (R::one() + u)),
            Self::Sqrt => {
                // To the last place by a Newton step; at 0 that divides by 0.
                let first = (half * u.ln()).exp();
                let root = half * (first + u / first);
                let root = R::select(u == R::zero(), R::zero(), root);
                (root, half / root)
            }
            Self::Cos => (u.cos(), -u.sin()),
            Self::Sinh => {
                let (up, down) = (u.exp_m1(), (-u).exp_m1());
                (half * (up - down), half * (u.exp() + (-u).exp()))
            }
            Self::Cosh => {
                let (up, down) = (u.exp_m1(), (-u).exp_m1());
                (half * (u.exp() + (-u).exp()), half * (up - down))
            }
            Self::Erfc => {
                let scale = R::from_f64(-std::f64::consts::FRAC_2_SQRT_PI);
                (u.erfc(), scale * u.exp_neg_square())
            }
            // At the kink 0, as PyTorch has it.
            Self::Abs => (
                u.abs(),
                R::select(u == R::zero(), R::zero(), R::one().copysign(u)),
            ),
        }
    }
}

/// A function of x whose sign says which branch a node takes.
pub type Switch<'a> = &'a dyn Fn(f64) -> f64;

/// An expression in x.
#[derive(Clone, Debug)]
pub enum Node {
    /// x.
    X,
    /// A number, as it was written.
    Constant(f64, String),
    /// −u.
    Negate(Box<Node>),
    /// u + v.
    Add(Box<Node>, Box<Node>),
    /// u − v.
    Subtract(Box<Node>, Box<Node>),
    /// u·v.
    Multiply(Box<Node>, Box<Node>),
    /// u/v.
    Divide(Box<Node>, Box<Node>),
    /// u^n.
    Integer(Box<Node>, i32),
    /// u^v = e^(v ln u).
    Power(Box<Node>, Box<Node>),
    /// f(u).
    Call(Function, Box<Node>),
    /// An activation of the registry.
    Activation(Arc<dyn Activation>, Box<Node>),
    /// max(u, v).
    Max(Box<Node>, Box<Node>),
    /// min(u, v).
    Min(Box<Node>, Box<Node>),
}

impl Node {
    /// The value and the derivative at x.
    pub fn dual<R: Number>(&self, x: R) -> (R, R) {
        match self {
            Self::X => (x, R::one()),
            Self::Constant(value, _) => (R::from_f64(*value), R::zero()),
            Self::Negate(u) => {
                let (u, du) = u.dual(x);
                (-u, -du)
            }
            Self::Add(u, v) => {
                let ((u, du), (v, dv)) = (u.dual(x), v.dual(x));
                (u + v, du + dv)
            }
            Self::Subtract(u, v) => {
                let ((u, du), (v, dv)) = (u.dual(x), v.dual(x));
                (u - v, du - dv)
            }
            Self::Multiply(u, v) => {
                let ((u, du), (v, dv)) = (u.dual(x), v.dual(x));
                (u * v, times(v, du) + times(u, dv))
            }
            Self::Divide(u, v) => {
                let ((u, du), (v, dv)) = (u.dual(x), v.dual(x));
                let ratio = u / v;
                (ratio, (du - times(ratio, dv)) / v)
            }
            Self::Integer(u, n) => {
                let (u, du) = u.dual(x);
                let below = integer_power(u, n - 1);
                let slope = R::from_f64(f64::from(*n)) * below;
                (integer_power(u, *n), times(slope, du))
            }
            Self::Power(u, v) => {
                let ((u, du), (v, dv)) = (u.dual(x), v.dual(x));
                let value = (v * u.ln()).exp();
                let value = R::select(u == R::zero() && v > R::zero(), R::zero(), value);
                let by_base = times(v * ((v - R::one()) * u.ln()).exp(), du);
                (value, by_base + times(value * u.ln(), dv))
            }
            Self::Call(function, u) => {
                let (u, du) = u.dual(x);
                let (value, slope) = function.at(u);
                (value, times(slope, du))
            }
            Self::Activation(activation, u) => {
                let (u, du) = u.dual(x);
                let (value, slope) = R::of(&**activation, u);
                (value, times(slope, du))
            }
            Self::Max(u, v) => {
                let ((u, du), (v, dv)) = (u.dual(x), v.dual(x));
                pick(u > v, u == v, (u, du), (v, dv))
            }
            Self::Min(u, v) => {
                let ((u, du), (v, dv)) = (u.dual(x), v.dual(x));
                pick(u < v, u == v, (u, du), (v, dv))
            }
        }
    }

    /// Calls `with` for every function of x that changes the branch of a node where it is zero.
    pub fn switches(&self, with: &mut dyn FnMut(Switch<'_>)) {
        match self {
            Self::X | Self::Constant(..) => {}
            Self::Negate(u) | Self::Integer(u, _) => u.switches(with),
            Self::Add(u, v)
            | Self::Subtract(u, v)
            | Self::Multiply(u, v)
            | Self::Divide(u, v)
            | Self::Power(u, v) => {
                u.switches(with);
                v.switches(with);
            }
            Self::Call(function, u) => {
                u.switches(with);
                if *function == Function::Abs {
                    with(&|x| u.dual(x).0);
                }
            }
            Self::Activation(activation, u) => {
                u.switches(with);
                for kink in activation.kinks() {
                    with(&|x| u.dual(x).0 - kink);
                }
            }
            Self::Max(u, v) | Self::Min(u, v) => {
                u.switches(with);
                v.switches(with);
                with(&|x| u.dual(x).0 - v.dual(x).0);
            }
        }
    }

    /// Plain text with `argument` in place of x.
    pub fn text(&self, argument: &str) -> String {
        let two = |u: &Self, sign: &str, v: &Self| {
            format!("({} {sign} {})", u.text(argument), v.text(argument))
        };
        match self {
            Self::X => argument.to_owned(),
            Self::Constant(_, text) => text.clone(),
            Self::Negate(u) => format!("-{}", u.text(argument)),
            Self::Add(u, v) => two(u, "+", v),
            Self::Subtract(u, v) => two(u, "-", v),
            Self::Multiply(u, v) => format!("{}·{}", u.text(argument), v.text(argument)),
            Self::Divide(u, v) => two(u, "/", v),
            Self::Integer(u, n) => format!("({})^{n}", u.text(argument)),
            Self::Power(u, v) => format!("({})^({})", u.text(argument), v.text(argument)),
            Self::Call(function, u) => format!("{}({})", function.name(), u.text(argument)),
            Self::Activation(activation, u) => {
                format!("{}({})", activation.label(), u.text(argument))
            }
            Self::Max(u, v) => format!("max({}, {})", u.text(argument), v.text(argument)),
            Self::Min(u, v) => format!("min({}, {})", u.text(argument), v.text(argument)),
        }
    }
}

/// a·b, 0 where either is an exact zero: what does not depend on x adds nothing to the derivative,
/// and a flat part passes nothing, whatever stands beside it.
fn times<R: Real>(a: R, b: R) -> R {
    R::select(a == R::zero() || b == R::zero(), R::zero(), a * b)
}

/// The first where `first`, the mean slope where `tie`, else the second; a NaN stays one.
fn pick<R: Real>(first: bool, tie: bool, u: (R, R), v: (R, R)) -> (R, R) {
    let half = R::from_f64(0.5);
    let nan = u.0 + v.0;
    #[expect(clippy::eq_op, reason = "a NaN is what is unequal to itself")]
    let is_nan = nan != nan && (u.0 != u.0 || v.0 != v.0);
    if is_nan {
        (nan, nan)
    } else if tie {
        (u.0, half * (u.1 + v.1))
    } else if first {
        u
    } else {
        v
    }
}

fn integer_power<R: Real>(base: R, exponent: i32) -> R {
    let (mut square, mut left) = (base, exponent.unsigned_abs());
    let mut power = R::one();
    while left > 0 {
        if left % 2 == 1 {
            power = power * square;
        }
        square = square * square;
        left /= 2;
    }
    if exponent < 0 {
        R::one() / power
    } else {
        power
    }
}

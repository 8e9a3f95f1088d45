//! The flat table of activations, and the parser of their names.

use super::expression::{self, Expression, ExpressionError};
use super::formula::{About, Formula};
use super::{
    Activation, Arctan, Celu, Elu, Erf, Exponential, Gaussian, Gelu, GeluTanh, HardShrink,
    HardSigmoid, HardSwish, HardTanh, Identity, LeakyRelu, LogSigmoid, Mish, ParametricRelu, Relu,
    Relu6, Selu, Sigmoid, Silu, Sine, SoftShrink, Softplus, Softsign, Tanh, TanhShrink,
};
use std::sync::Arc;

/// A row of the table.
#[derive(Clone, Copy, Debug)]
pub struct ActivationEntry {
    /// What is written about the activation.
    pub about: &'static About,
    make: fn(f64) -> Arc<dyn Activation>,
}

impl ActivationEntry {
    /// The activation with the given parameter, or the default one; an error if it has no
    /// parameter, or the value is not accepted.
    pub fn make(&self, parameter: Option<f64>) -> Result<Arc<dyn Activation>, ActivationError> {
        let name = self.about.name;
        match (self.about.parameter, parameter) {
            (None, None) => Ok((self.make)(0.0)),
            (None, Some(_)) => Err(ActivationError::NoParameter { name }),
            (Some(known), value) => {
                let value = value.unwrap_or(known.default);
                if (known.accepts)(value) {
                    Ok((self.make)(value))
                } else {
                    Err(ActivationError::Parameter {
                        name,
                        parameter: known.name,
                        expected: known.expected,
                        got: value.to_string(),
                    })
                }
            }
        }
    }
}

const fn row<F: Formula>(make: fn(f64) -> Arc<dyn Activation>) -> ActivationEntry {
    ActivationEntry {
        about: const { &F::ABOUT },
        make,
    }
}

/// Every activation, in the order in which lists show them.
pub fn registry() -> &'static [ActivationEntry] {
    const ROWS: &[ActivationEntry] = &[
        row::<Identity>(|_| Arc::new(Identity)),
        row::<Tanh>(|_| Arc::new(Tanh)),
        row::<Relu>(|_| Arc::new(Relu)),
        row::<Sigmoid>(|_| Arc::new(Sigmoid)),
        row::<LeakyRelu>(|slope| Arc::new(LeakyRelu { slope })),
        row::<ParametricRelu>(|slope| Arc::new(ParametricRelu { slope })),
        row::<Elu>(|alpha| Arc::new(Elu { alpha })),
        row::<Celu>(|alpha| Arc::new(Celu { alpha })),
        row::<Selu>(|_| Arc::new(Selu)),
        row::<Gelu>(|_| Arc::new(Gelu)),
        row::<GeluTanh>(|_| Arc::new(GeluTanh)),
        row::<Silu>(|_| Arc::new(Silu)),
        row::<Mish>(|_| Arc::new(Mish)),
        row::<Softplus>(|_| Arc::new(Softplus)),
        row::<Softsign>(|_| Arc::new(Softsign)),
        row::<Erf>(|_| Arc::new(Erf)),
        row::<HardTanh>(|_| Arc::new(HardTanh)),
        row::<HardSigmoid>(|_| Arc::new(HardSigmoid)),
        row::<HardSwish>(|_| Arc::new(HardSwish)),
        row::<Relu6>(|_| Arc::new(Relu6)),
        row::<LogSigmoid>(|_| Arc::new(LogSigmoid)),
        row::<TanhShrink>(|_| Arc::new(TanhShrink)),
        row::<SoftShrink>(|lambda| Arc::new(SoftShrink { lambda })),
        row::<HardShrink>(|lambda| Arc::new(HardShrink { lambda })),
        row::<Sine>(|_| Arc::new(Sine)),
        row::<Arctan>(|_| Arc::new(Arctan)),
        row::<Gaussian>(|_| Arc::new(Gaussian)),
        row::<Exponential>(|_| Arc::new(Exponential)),
    ];
    ROWS
}

/// Why a text names no activation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ActivationError {
    /// No such name.
    #[error("unknown activation `{}`{}", .got.escape_debug(), suggest(.suggestion))]
    Unknown {
        /// The name as given.
        got: String,
        /// The nearest name there is, if any is near.
        suggestion: Option<&'static str>,
    },
    /// An expression that is none.
    #[error(transparent)]
    Expression(#[from] ExpressionError),
    /// A parameter after a name that takes none.
    #[error("activation `{name}` takes no parameter")]
    NoParameter {
        /// The activation's name.
        name: &'static str,
    },
    /// A parameter that is not a number, or out of its range.
    #[error("activation `{name}`: {parameter} is `{}`, expected {expected}", .got.escape_debug())]
    Parameter {
        /// The activation's name.
        name: &'static str,
        /// The parameter's name.
        parameter: &'static str,
        /// What would be accepted.
        expected: &'static str,
        /// What was given.
        got: String,
    },
}

fn suggest(suggestion: &Option<&'static str>) -> String {
    match suggestion {
        Some(name) => format!(", did you mean `{name}`?"),
        None => String::new(),
    }
}

/// The activation that a text names, `tanh` or `leaky-relu=0.2` (case, `-` and `_` do not matter),
/// or is: `x*tanh(softplus(x))`, an [`Expression`].
pub fn parse(text: &str) -> Result<Arc<dyn Activation>, ActivationError> {
    if expression::is_expression(text) {
        return Ok(Arc::new(Expression::parse(text)?));
    }
    let (name, parameter) = match text.split_once('=') {
        Some((name, parameter)) => (name, Some(parameter.trim())),
        None => (text, None),
    };
    let wanted = name.trim().to_lowercase().replace('_', "-");
    let entry = registry()
        .iter()
        .find(|entry| names(entry).any(|known| bare(known) == bare(&wanted)))
        .ok_or_else(|| ActivationError::Unknown {
            got: name.trim().to_owned(),
            suggestion: nearest(&wanted),
        })?;
    let value = match (parameter, entry.about.parameter) {
        (None, _) => None,
        (Some(_), None) => {
            return Err(ActivationError::NoParameter {
                name: entry.about.name,
            });
        }
        (Some(text), Some(known)) => {
            Some(text.parse().map_err(|_| ActivationError::Parameter {
                name: entry.about.name,
                parameter: known.name,
                expected: known.expected,
                got: text.to_owned(),
            })?)
        }
    };
    entry.make(value)
}

fn bare(name: &str) -> String {
    name.replace('-', "")
}

fn names(entry: &ActivationEntry) -> impl Iterator<Item = &'static str> {
    let about = entry.about;
    std::iter::once(about.name).chain(about.aliases.iter().copied())
}

/// The name nearest to `wanted`, if it is near enough to be a slip of the keyboard.
fn nearest(wanted: &str) -> Option<&'static str> {
    const NEAR: f64 = 0.6;
    // A hostile text would cost time in proportion to its length squared.
    if wanted.len() > 64 {
        return None;
    }
    registry()
        .iter()
        .flat_map(names)
        .map(|name| (strsim::normalized_damerau_levenshtein(wanted, name), name))
        .filter(|&(similarity, _)| similarity >= NEAR)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}

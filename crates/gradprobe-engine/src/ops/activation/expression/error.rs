//! Why a text is no expression.

/// A longer text is no activation.
pub(super) const LONGEST: usize = 1000;

/// Why a text is no expression, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}\n  {text}\n  {}^", " ".repeat(*.column))]
pub struct ExpressionError {
    /// What is wrong.
    pub message: String,
    /// The text, on one line.
    pub text: String,
    /// The characters before the place.
    pub column: usize,
}

impl ExpressionError {
    pub(super) fn new(text: &str, byte: usize, message: impl Into<String>) -> Self {
        // What controls a terminal takes one column here, and is shown as one.
        let safe = |c: char| if c.is_control() { '\u{fffd}' } else { c };
        let shown: String = text.chars().take(LONGEST).map(safe).collect();
        let column = text.get(..byte).map_or(0, |before| before.chars().count());
        Self {
            message: message.into(),
            text: shown,
            column: column.min(LONGEST),
        }
    }

    /// The expression is no number at `x`.
    pub(super) fn undefined(text: &str, x: f64) -> Self {
        let text = text.trim();
        Self::new(
            text,
            0,
            format!(
                "the expression is not a finite number at x = {x}; an activation is defined on the whole line"
            ),
        )
    }
}

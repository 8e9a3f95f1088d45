//! Expressions from text, by recursive descent.

use super::error::{ExpressionError, LONGEST};
use super::tree::{Function, Node};
use crate::ops::activation::{Activation, registry};
use std::sync::Arc;

/// Parentheses in parentheses: more would cost the stack.
const DEEPEST: usize = 64;

/// The tree of an expression.
pub(super) fn parse(text: &str) -> Result<Node, ExpressionError> {
    let text = text.trim();
    if text.chars().count() > LONGEST {
        return Err(ExpressionError::new(
            text,
            0,
            format!("an expression has at most {LONGEST} characters"),
        ));
    }
    let mut parser = Parser {
        text,
        at: 0,
        depth: 0,
    };
    let tree = parser.sum()?;
    parser.skip_spaces();
    match parser.peek() {
        None => Ok(tree),
        Some(c) => Err(parser.error(format!(
            "expected an operator or the end, not `{}`",
            c.escape_debug()
        ))),
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

impl<'a> Parser<'a> {
    fn error(&self, message: impl Into<String>) -> ExpressionError {
        self.error_at(self.at, message)
    }

    fn error_at(&self, at: usize, message: impl Into<String>) -> ExpressionError {
        ExpressionError::new(self.text, at, message)
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn skip_spaces(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
    }

    /// Takes `token` if it stands here.
    fn takes(&mut self, token: &str) -> bool {
        self.skip_spaces();
        let found = self.rest().starts_with(token);
        if found {
            self.at += token.len();
        }
        found
    }

    fn expect(&mut self, token: &str) -> Result<(), ExpressionError> {
        if self.takes(token) {
            return Ok(());
        }
        Err(match self.peek() {
            None => self.error(format!("expected `{token}`, and the expression ends")),
            Some(c) => self.error(format!("expected `{token}`, not `{}`", c.escape_debug())),
        })
    }

    fn sum(&mut self) -> Result<Node, ExpressionError> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(self.error(format!("parentheses go {DEEPEST} deep at most")));
        }
        let mut left = self.product()?;
        loop {
            if self.takes("+") {
                left = Node::Add(Box::new(left), Box::new(self.product()?));
            } else if self.takes("-") {
                left = Node::Subtract(Box::new(left), Box::new(self.product()?));
            } else {
                self.depth -= 1;
                return Ok(left);
            }
        }
    }

    fn product(&mut self) -> Result<Node, ExpressionError> {
        let mut left = self.signed()?;
        loop {
            self.skip_spaces();
            if !self.rest().starts_with("**") && self.takes("*") {
                left = Node::Multiply(Box::new(left), Box::new(self.signed()?));
            } else if self.takes("/") {
                left = Node::Divide(Box::new(left), Box::new(self.signed()?));
            } else {
                return Ok(left);
            }
        }
    }

    fn signed(&mut self) -> Result<Node, ExpressionError> {
        let mut negative = false;
        loop {
            if self.takes("-") {
                negative = !negative;
            } else if !self.takes("+") {
                break;
            }
        }
        let node = self.power()?;
        Ok(match node {
            node if !negative => node,
            node => Node::Negate(Box::new(node)),
        })
    }

    fn power(&mut self) -> Result<Node, ExpressionError> {
        let base = self.atom()?;
        if !(self.takes("^") || self.takes("**")) {
            return Ok(base);
        }
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(self.error(format!("powers go {DEEPEST} deep at most")));
        }
        let exponent = self.signed()?;
        self.depth -= 1;
        let whole = constant(&exponent).filter(|n| n.fract() == 0.0 && n.abs() <= 1000.0);
        Ok(match whole {
            Some(n) => Node::Integer(Box::new(base), n as i32),
            None => Node::Power(Box::new(base), Box::new(exponent)),
        })
    }

    fn atom(&mut self) -> Result<Node, ExpressionError> {
        self.skip_spaces();
        let begin = self.at;
        match self.peek() {
            Some('(') => {
                self.at += 1;
                let node = self.sum()?;
                self.expect(")")?;
                Ok(node)
            }
            Some(c) if c.is_ascii_digit() || c == '.' => self.number(),
            Some(c) if c.is_alphabetic() => {
                let rest = self.rest();
                let is_name = |c: char| c.is_alphanumeric() || c == '_';
                let length = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
                self.at += length;
                let name = rest.get(..length).unwrap_or_default();
                self.named(name, begin)
            }
            None => {
                Err(self.error("the expression ends where a number, `x` or a function is expected"))
            }
            Some(c) => Err(self.error(format!(
                "expected a number, `x` or a function, not `{}`",
                c.escape_debug()
            ))),
        }
    }

    fn number(&mut self) -> Result<Node, ExpressionError> {
        let rest = self.rest();
        let bytes = rest.as_bytes();
        let digits = |from: usize| {
            let more = bytes.iter().skip(from);
            from + more.take_while(|b| b.is_ascii_digit()).count()
        };
        let mut end = digits(0);
        if bytes.get(end) == Some(&b'.') {
            end = digits(end + 1);
        }
        if matches!(bytes.get(end), Some(b'e' | b'E')) {
            let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
            let after = digits(end + 1 + sign);
            if after > end + 1 + sign {
                end = after;
            }
        }
        let text = rest.get(..end).unwrap_or_default();
        match text.parse::<f64>() {
            Ok(value) if value.is_finite() => {
                self.at += end;
                Ok(Node::Constant(value, text.to_owned()))
            }
            _ => Err(self.error(format!("`{text}` is not a number of double precision"))),
        }
    }

    fn named(&mut self, name: &str, begin: usize) -> Result<Node, ExpressionError> {
        let lower = name.to_lowercase();
        match lower.as_str() {
            "x" => return Ok(Node::X),
            "pi" => return Ok(Node::Constant(std::f64::consts::PI, "π".into())),
            "e" => return Ok(Node::Constant(std::f64::consts::E, "e".into())),
            _ => {}
        }
        if !self.takes("(") {
            let known = Known::named(&lower).is_some();
            return Err(self.error_at(
                begin,
                if known {
                    format!("`{name}` is a function: write `{name}(x)`")
                } else {
                    unknown(name)
                },
            ));
        }
        let known = Known::named(&lower).ok_or_else(|| self.error_at(begin, unknown(name)))?;
        let mut arguments = vec![self.sum()?];
        while self.takes(",") {
            arguments.push(self.sum()?);
        }
        self.expect(")")?;
        known
            .of(arguments)
            .map_err(|message| self.error_at(begin, format!("`{name}` {message}")))
    }
}

fn unknown(name: &str) -> String {
    let near = names()
        .map(|known| {
            (
                strsim::normalized_damerau_levenshtein(&name.to_lowercase(), known),
                known,
            )
        })
        .filter(|(similarity, _)| *similarity >= 0.6)
        .max_by(|a, b| a.0.total_cmp(&b.0));
    let name = name.escape_debug();
    match near {
        Some((_, near)) => format!("unknown name `{name}`, did you mean `{near}`?"),
        None => format!("unknown name `{name}`: the variable is `x`"),
    }
}

fn names() -> impl Iterator<Item = &'static str> {
    let functions = Function::TABLE.iter().map(|(name, _)| *name);
    let activations = registry().iter().flat_map(|entry| {
        std::iter::once(entry.about.name).chain(entry.about.aliases.iter().copied())
    });
    functions
        .chain(["max", "min", "clip", "sin"])
        .chain(activations)
}

/// The number that a node is, where it does not depend on x.
fn constant(node: &Node) -> Option<f64> {
    match node {
        Node::Constant(value, _) => Some(*value),
        Node::Negate(inner) => constant(inner).map(|value| -value),
        Node::X | Node::Call(..) | Node::Activation(..) | Node::Max(..) | Node::Min(..) => None,
        Node::Integer(u, n) => constant(u).map(|u| u.powi(*n)),
        Node::Power(u, v) => Some(constant(u)?.powf(constant(v)?)),
        Node::Add(u, v) => Some(constant(u)? + constant(v)?),
        Node::Subtract(u, v) => Some(constant(u)? - constant(v)?),
        Node::Multiply(u, v) => Some(constant(u)? * constant(v)?),
        Node::Divide(u, v) => Some(constant(u)? / constant(v)?),
    }
}

/// What a name before a parenthesis stands for.
enum Known {
    Function(Function),
    Activation(&'static crate::ops::activation::ActivationEntry),
    Max,
    Min,
    Clip,
}

impl Known {
    fn named(name: &str) -> Option<Self> {
        match name {
            "max" | "maximum" => return Some(Self::Max),
            "min" | "minimum" => return Some(Self::Min),
            "clip" | "clamp" => return Some(Self::Clip),
            _ => {}
        }
        if let Some((_, function)) = Function::TABLE.iter().find(|(known, _)| *known == name) {
            return Some(Self::Function(*function));
        }
        let bare = |name: &str| name.replace(['-', '_'], "");
        let wanted = bare(name);
        let is_named = |entry: &&crate::ops::activation::ActivationEntry| {
            let mut names = std::iter::once(&entry.about.name).chain(entry.about.aliases);
            names.any(|known| bare(known) == wanted)
        };
        registry().iter().find(is_named).map(Self::Activation)
    }

    fn of(self, arguments: Vec<Node>) -> Result<Node, String> {
        let count = arguments.len();
        let mut arguments = arguments.into_iter().map(Box::new);
        let mut next = || arguments.next().ok_or_else(String::new);
        match self {
            Self::Function(function) if count == 1 => Ok(Node::Call(function, next()?)),
            Self::Function(_) => Err(format!("takes 1 argument, not {count}")),
            Self::Max if count == 2 => Ok(Node::Max(next()?, next()?)),
            Self::Min if count == 2 => Ok(Node::Min(next()?, next()?)),
            Self::Max | Self::Min => Err(format!("takes 2 arguments, not {count}")),
            Self::Clip if count == 3 => {
                let (u, low, high) = (next()?, next()?, next()?);
                Ok(Node::Min(Box::new(Node::Max(u, low)), high))
            }
            Self::Clip => Err(format!("takes 3 arguments (u, low, high), not {count}")),
            Self::Activation(entry) if count <= 2 => {
                let u = next()?;
                let parameter = match next() {
                    Ok(node) => Some(constant(&node).ok_or("takes a number after the comma")?),
                    Err(_) => None,
                };
                let activation: Arc<dyn Activation> = entry
                    .make(parameter)
                    .map_err(|error| format!("cannot be so: {error}"))?;
                Ok(Node::Activation(activation, u))
            }
            Self::Activation(_) => Err(format!("takes 1 argument, not {count}")),
        }
    }
}

//! The chain rule written down: f₁ … f, and every ∂f/∂w_n as a product of factors.
//!
//! The notation is that of the notebook the project began with:
//! f = a4(w4·a3(w3·a2(w2·a1(w1·x)))), with a_n the activation of layer n and f_n its output.

use std::fmt::Write;

/// How formulas are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notation {
    /// `df/dw1 = a2'(w2·f1)·w2·a1'(w1·x)·x`
    Text,
    /// `\frac{\partial f}{\partial w_{1}} = …`
    Tex,
}

/// Layers up to which nothing is left out.
const SHOWN_WHOLE: usize = 8;
/// Layers shown at either end of a longer chain.
const SHOWN_AT_ENDS: usize = 2;

/// The formulas of a chain of a given depth.
#[derive(Clone, Copy, Debug)]
pub struct ChainRule {
    depth: usize,
    has_bias: bool,
    full: bool,
    notation: Notation,
}

/// A formula, or formulas left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// A formula.
    Formula(String),
    /// As many formulas of the same form are left out.
    Elided(usize),
}

/// A factor of a gradient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Factor {
    /// a_n′(u_n).
    Derivative(usize),
    /// w_n.
    Weight(usize),
    /// The output of layer n; layer 0 is x.
    Output(usize),
    /// Factors left out.
    Elided,
}

impl ChainRule {
    /// The formulas for `depth` layers; with `full` nothing is left out of a long chain.
    pub fn new(depth: usize, has_bias: bool, full: bool, notation: Notation) -> Self {
        Self {
            depth,
            has_bias,
            full,
            notation,
        }
    }

    /// The layers whose formulas are shown, in order; `None` stands for those left out.
    fn shown(&self, from: usize) -> Vec<Option<usize>> {
        let count = self.depth + 1 - from;
        if self.full || count <= SHOWN_WHOLE {
            return (from..=self.depth).map(Some).collect();
        }
        let first = (from..from + SHOWN_AT_ENDS).map(Some);
        let last = (self.depth + 1 - SHOWN_AT_ENDS..=self.depth).map(Some);
        first.chain([None]).chain(last).collect()
    }

    fn lines(&self, from_output: bool, formula: impl Fn(usize) -> String) -> Vec<Line> {
        let mut shown = self.shown(1);
        if from_output {
            shown.reverse();
        }
        shown
            .into_iter()
            .map(|layer| match layer {
                Some(layer) => Line::Formula(formula(layer)),
                None => Line::Elided(self.depth - 2 * SHOWN_AT_ENDS),
            })
            .collect()
    }

    /// f1 = a1(w1·x), f2 = a2(w2·f1), …, f = a4(w4·f3).
    pub fn layers(&self) -> Vec<Line> {
        self.lines(false, |layer| {
            let left = self.output(layer);
            let right = self.activation(layer, "", &self.pre_activation(layer));
            format!("{left} = {right}")
        })
    }

    /// The whole function, f = a4(w4·a3(w3·a2(w2·a1(w1·x)))).
    pub fn nested(&self) -> String {
        let shown = self.shown(1);
        let mut text = "f = ".to_owned();
        let mut closing = String::new();
        for layer in shown.iter().rev() {
            match layer {
                Some(layer) => {
                    let _ = write!(text, "{}{}", self.named("a", *layer, ""), self.open());
                    let _ = write!(text, "{}{}", self.named("w", *layer, ""), self.dot());
                    let bias = if self.has_bias {
                        format!(" + {}", self.named("b", *layer, ""))
                    } else {
                        String::new()
                    };
                    closing.insert_str(0, &format!("{bias}{}", self.close()));
                }
                None => {
                    text.push_str(self.ellipsis());
                    closing.insert_str(0, self.ellipsis());
                }
            }
        }
        text + "x" + &closing
    }

    /// The gradients, the output's layer first: df/dw4 = a4'(w4·f3)·f3, …
    pub fn gradients(&self) -> Vec<Line> {
        self.lines(true, |layer| self.gradient(layer))
    }

    /// df/dw_n as a product of factors.
    pub fn gradient(&self, layer: usize) -> String {
        let left = match self.notation {
            Notation::Text => format!("df/dw{layer}"),
            Notation::Tex => format!(r"\frac{{\partial f}}{{\partial w_{{{layer}}}}}"),
        };
        let factors = self.factors(layer).into_iter();
        let factors: Vec<String> = factors.map(|factor| self.factor(factor)).collect();
        format!("{left} = {}", factors.join(self.dot()))
    }

    /// The factors of df/dw_n, from the output inwards; the last is the layer's input.
    pub fn factors(&self, layer: usize) -> Vec<Factor> {
        let mut factors = Vec::new();
        for shown in self.shown(layer).into_iter().rev() {
            let Some(k) = shown else {
                factors.push(Factor::Elided);
                continue;
            };
            factors.push(Factor::Derivative(k));
            factors.push(if k == layer {
                Factor::Output(k - 1)
            } else {
                Factor::Weight(k)
            });
        }
        factors
    }

    /// A factor as it is written.
    pub fn factor(&self, factor: Factor) -> String {
        match factor {
            Factor::Derivative(k) => self.activation(k, "'", &self.pre_activation(k)),
            Factor::Weight(k) => self.named("w", k, ""),
            Factor::Output(k) => self.output(k),
            Factor::Elided => self.ellipsis().to_owned(),
        }
    }

    /// w_n·f_(n−1) + b_n.
    fn pre_activation(&self, layer: usize) -> String {
        let product = format!(
            "{}{}{}",
            self.named("w", layer, ""),
            self.dot(),
            self.output(layer - 1)
        );
        if self.has_bias {
            format!("{product} + {}", self.named("b", layer, ""))
        } else {
            product
        }
    }

    /// f_n: x before the first layer, f after the last.
    fn output(&self, layer: usize) -> String {
        match layer {
            0 => "x".to_owned(),
            _ if layer == self.depth => "f".to_owned(),
            _ => self.named("f", layer, ""),
        }
    }

    fn activation(&self, layer: usize, prime: &str, argument: &str) -> String {
        let name = self.named("a", layer, prime);
        format!("{name}{}{argument}{}", self.open(), self.close())
    }

    fn named(&self, name: &str, layer: usize, prime: &str) -> String {
        match self.notation {
            Notation::Text => format!("{name}{layer}{prime}"),
            Notation::Tex => format!("{name}_{{{layer}}}{prime}"),
        }
    }

    fn dot(&self) -> &'static str {
        match self.notation {
            Notation::Text => "·",
            Notation::Tex => r" \cdot ",
        }
    }
    fn open(&self) -> &'static str {
        match self.notation {
            Notation::Text => "(",
            Notation::Tex => r"\left(",
        }
    }
    fn close(&self) -> &'static str {
        match self.notation {
            Notation::Text => ")",
            Notation::Tex => r"\right)",
        }
    }
    fn ellipsis(&self) -> &'static str {
        match self.notation {
            Notation::Text => "…",
            Notation::Tex => r"\cdots ",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn formulas(lines: Vec<Line>) -> Vec<String> {
        lines
            .into_iter()
            .map(|line| match line {
                Line::Formula(text) => text,
                Line::Elided(count) => format!("[{count}]"),
            })
            .collect()
    }

    #[test]
    fn the_notebooks_chain_is_derived_in_its_notation() {
        let rule = ChainRule::new(4, false, false, Notation::Text);
        assert_eq!(rule.nested(), "f = a4(w4·a3(w3·a2(w2·a1(w1·x))))");
        assert_eq!(
            formulas(rule.layers()),
            [
                "f1 = a1(w1·x)",
                "f2 = a2(w2·f1)",
                "f3 = a3(w3·f2)",
                "f = a4(w4·f3)"
            ]
        );
        assert_eq!(
            formulas(rule.gradients()),
            [
                "df/dw4 = a4'(w4·f3)·f3",
                "df/dw3 = a4'(w4·f3)·w4·a3'(w3·f2)·f2",
                "df/dw2 = a4'(w4·f3)·w4·a3'(w3·f2)·w3·a2'(w2·f1)·f1",
                "df/dw1 = a4'(w4·f3)·w4·a3'(w3·f2)·w3·a2'(w2·f1)·w2·a1'(w1·x)·x",
            ]
        );
    }

    #[test]
    fn a_bias_stands_inside_the_activation() {
        let rule = ChainRule::new(2, true, false, Notation::Text);
        assert_eq!(rule.nested(), "f = a2(w2·a1(w1·x + b1) + b2)");
        assert_eq!(
            rule.gradient(1),
            "df/dw1 = a2'(w2·f1 + b2)·w2·a1'(w1·x + b1)·x"
        );
    }

    #[test]
    fn a_long_chain_is_elided_and_a_full_one_is_not() {
        let rule = ChainRule::new(1000, false, false, Notation::Text);
        assert_eq!(
            rule.nested(),
            "f = a1000(w1000·a999(w999·…a2(w2·a1(w1·x))…))"
        );
        let lines = formulas(rule.gradients());
        assert_eq!(lines.len(), 5);
        assert_eq!(lines[2], "[996]");
        assert_eq!(
            lines[4],
            "df/dw1 = a1000'(w1000·f999)·w1000·a999'(w999·f998)·w999·…·a2'(w2·f1)·w2·a1'(w1·x)·x"
        );
        let full = ChainRule::new(1000, false, true, Notation::Text);
        assert_eq!(full.factors(1).len(), 2000);
    }

    #[test]
    fn latex_braces_are_balanced() {
        for depth in [1, 4, 40] {
            let rule = ChainRule::new(depth, true, false, Notation::Tex);
            let text = rule.nested() + &rule.gradient(1);
            assert_eq!(text.matches('{').count(), text.matches('}').count());
            assert_eq!(
                text.matches(r"\left(").count(),
                text.matches(r"\right)").count()
            );
        }
    }
}

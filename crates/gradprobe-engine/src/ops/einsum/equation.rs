//! Equations such as `bij,bjk->bik`.

use crate::ops::OpError;

/// A letter, or an axis that an ellipsis stands for, counted from its last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Label {
    /// An axis of an ellipsis; they come before the letters in an output that is not written.
    Ellipsis(std::cmp::Reverse<usize>),
    Letter(char),
}

/// An equation whose ellipses are written out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Equation {
    /// For every operand, the label of each axis.
    pub(super) operands: Vec<Vec<Label>>,
    /// The label of each axis of the result, each once.
    pub(super) output: Vec<Label>,
}

/// The letters of one side's operand, and where among them its ellipsis is.
struct Term {
    letters: Vec<char>,
    ellipsis: Option<usize>,
}

fn wrong(equation: &str, expected: impl Into<String>) -> OpError {
    OpError::Attribute {
        name: "equation",
        expected: expected.into(),
        got: format!("{equation:?}"),
    }
}

impl Term {
    fn parse(equation: &str, text: &str) -> Result<Self, OpError> {
        let mut term = Self {
            letters: Vec::new(),
            ellipsis: None,
        };
        let mut rest = text;
        while let Some(next) = rest.chars().next() {
            if let Some(after) = rest.strip_prefix("...")
                && term.ellipsis.is_none()
            {
                term.ellipsis = Some(term.letters.len());
                rest = after;
                continue;
            }
            if !next.is_ascii_alphabetic() {
                return Err(wrong(
                    equation,
                    "made of letters, `,`, `->` and one `...` an operand",
                ));
            }
            term.letters.push(next);
            rest = &rest[1..];
        }
        Ok(term)
    }

    /// The labels of the axes, `covered` of them under the ellipsis.
    fn labels(&self, covered: usize) -> Vec<Label> {
        let letter = |&letter: &char| Label::Letter(letter);
        let at = self.ellipsis.unwrap_or(self.letters.len());
        let covered = if self.ellipsis.is_some() { covered } else { 0 };
        let (before, after) = self.letters.split_at(at);
        let before = before.iter().map(letter);
        let ellipsis = (0..covered).rev();
        before
            .chain(ellipsis.map(|axis| Label::Ellipsis(std::cmp::Reverse(axis))))
            .chain(after.iter().map(letter))
            .collect()
    }
}

impl Equation {
    /// Reads `equation` for operands of these ranks.
    pub(super) fn parse(equation: &str, ranks: &[usize]) -> Result<Self, OpError> {
        let text: String = equation.split_whitespace().collect();
        let (left, right) = match text.split_once("->") {
            Some((left, right)) => (left, Some(right)),
            None => (&text[..], None),
        };
        let terms: Vec<Term> = left
            .split(',')
            .map(|term| Term::parse(equation, term))
            .collect::<Result<_, _>>()?;
        if terms.len() != ranks.len() {
            return Err(OpError::Mismatch {
                one: format!("equation {equation:?} has {} operands", terms.len()),
                other: format!("the node has {} inputs", ranks.len()),
            });
        }
        let mut operands = Vec::with_capacity(terms.len());
        let mut longest = 0;
        for (position, (term, &rank)) in terms.iter().zip(ranks).enumerate() {
            let covered = rank.checked_sub(term.letters.len());
            let covered = covered.filter(|&covered| covered == 0 || term.ellipsis.is_some());
            let covered = covered.ok_or_else(|| OpError::Mismatch {
                one: format!(
                    "equation {equation:?} gives operand {position} {} axes",
                    term.letters.len()
                ),
                other: format!("it has {rank}"),
            })?;
            longest = longest.max(covered);
            operands.push(term.labels(covered));
        }
        let output = match right {
            Some(right) => Term::parse(equation, right)?.labels(longest),
            None => once(&operands),
        };
        let mut sorted = output.clone();
        sorted.sort_unstable();
        sorted.dedup();
        if sorted.len() < output.len() {
            return Err(wrong(equation, "one whose result has every letter once"));
        }
        let known = |label| operands.iter().any(|labels| labels.contains(label));
        if !output.iter().all(known) {
            return Err(wrong(
                equation,
                "one whose result has letters of its operands",
            ));
        }
        Ok(Self { operands, output })
    }
}

/// The output that is meant where none is written: the ellipsis, then the letters that come once,
/// in alphabetical order.
fn once(operands: &[Vec<Label>]) -> Vec<Label> {
    let mut all: Vec<Label> = operands.iter().flatten().copied().collect();
    all.sort_unstable();
    let mut output = Vec::new();
    for group in all.chunk_by(|one, other| one == other) {
        if group.len() == 1 || matches!(group[0], Label::Ellipsis(_)) {
            output.push(group[0]);
        }
    }
    output
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(equation: &str, ranks: &[usize]) -> String {
        let equation = Equation::parse(equation, ranks).expect("it is one");
        let label = |label: &Label| match label {
            Label::Letter(letter) => *letter,
            Label::Ellipsis(axis) => char::from(b'0' + axis.0 as u8),
        };
        let word = |labels: &Vec<Label>| labels.iter().map(label).collect::<String>();
        let operands: Vec<String> = equation.operands.iter().map(word).collect();
        format!("{}->{}", operands.join(","), word(&equation.output))
    }

    #[test]
    fn an_output_that_is_not_written_has_the_letters_that_come_once() {
        assert_eq!(shown("bj, ab", &[2, 2]), "bj,ab->aj");
        assert_eq!(shown("ii", &[2]), "ii->");
        assert_eq!(shown("j...i", &[4]), "j10i->10ij");
        assert_eq!(shown("...i,i...->...", &[2, 3]), "0i,i10->10");
    }

    #[test]
    fn what_is_no_equation_is_refused() {
        let refusal = |equation, ranks: &[usize]| {
            let error = Equation::parse(equation, ranks).expect_err("it is none");
            error.to_string()
        };
        assert!(refusal("i->ii", &[1]).contains("every letter once"));
        assert!(refusal("i->j", &[1]).contains("letters of its operands"));
        assert!(refusal("i.j->j", &[2]).contains("made of letters"));
        assert!(refusal("i......->i", &[2]).contains("made of letters"));
        assert!(refusal("é", &[1]).contains("made of letters"));
        assert_eq!(
            refusal("ij->i", &[3]),
            r#"equation "ij->i" gives operand 0 2 axes, it has 3"#
        );
        assert_eq!(
            refusal("ij,j->i", &[2]),
            r#"equation "ij,j->i" has 2 operands, the node has 1 inputs"#
        );
    }
}

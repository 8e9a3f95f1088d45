//! Findings as the formats of CI show them: SARIF and JUnit.

use crate::diagnose::{Finding, Severity};
use crate::graph::Origin;
use std::ops::Range;

/// A finding, and what it comes to.
#[derive(Clone, Copy, Debug)]
pub struct JudgedFinding<'a> {
    /// What was found.
    pub finding: &'a Finding,
    /// Is it in the baseline? `None` without one.
    pub known: Option<bool>,
    /// Does it make the exit status 1?
    pub fails: bool,
}

/// What findings are about, for their places.
#[derive(Clone, Debug, Default)]
pub struct FindingSource {
    /// The network's name.
    pub network: String,
    /// The file, as it was given.
    pub path: String,
    /// Its text, where it is one.
    pub text: Option<String>,
    /// The layers' names, and where in the file they are.
    pub layers: Vec<(String, Origin)>,
}

/// A stretch of a text, lines and columns counted from 1 in code points; the end is exclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// Line and column of the first character.
    pub start: (usize, usize),
    /// Line and column after the last.
    pub end: (usize, usize),
}

impl FindingSource {
    /// Where in the text a layer stands, if that is known.
    pub fn region_of(&self, layer: &str) -> Option<Region> {
        let text = self.text.as_deref()?;
        let (_, origin) = self.layers.iter().find(|(name, _)| name == layer)?;
        region(text, origin.span.clone()?)
    }
}

fn region(text: &str, span: Range<usize>) -> Option<Region> {
    let place = |at: usize| {
        let before = text.get(..at)?;
        let line = before.rsplit('\n').next().unwrap_or_default();
        Some((before.matches('\n').count() + 1, line.chars().count() + 1))
    };
    Some(Region {
        start: place(span.start)?,
        end: place(span.end)?,
    })
}

/// The name of a severity in SARIF.
pub(super) fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Info => "note",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_in_characters_from_one() {
        let text = "ä = 1\nслой = [2]\n";
        let start = text.find("слой").expect("it is there");
        let region = region(text, start..start + "слой".len()).expect("a place");
        assert_eq!((region.start, region.end), ((2, 1), (2, 5)));
        assert_eq!(super::region(text, 0..999), None);
    }
}

//! A chain's derivation and gradients as LaTeX, to be pasted into a document (amsmath).

use crate::diagnose::chain::Examination;
use crate::theory::{ChainRule, Line, Notation};
use std::io::{self, Write};

/// Rows of a table before the middle is left out.
const SHOWN_WHOLE: usize = 40;
/// Rows kept at either end then.
const ROWS_AT_EITHER_END: usize = 10;
/// Above this a full derivation, whose size is the square of the depth, is still elided.
const FULL_DERIVATION: usize = 1_000;

/// Writes the derivation, and a table of the gradients for every chain.
///
/// # Errors
/// If the writer fails.
pub fn write_chain_latex(out: &mut dyn Write, runs: &[Examination], full: bool) -> io::Result<()> {
    let Some(first) = runs.first() else {
        return Ok(());
    };
    let chain = &first.chain;
    let in_full = full && chain.depth() <= FULL_DERIVATION;
    let rule = ChainRule::new(chain.depth(), chain.has_bias(), in_full, Notation::Tex);
    writeln!(out, "\\begin{{align*}}")?;
    writeln!(out, "{} \\\\", aligned(&rule.nested()))?;
    write_lines(out, rule.layers())?;
    write_lines(out, rule.gradients())?;
    writeln!(out, "\\end{{align*}}")?;
    for run in runs {
        write_table(out, run, full)?;
    }
    Ok(())
}

/// The formula with its first equals sign as the point of alignment.
fn aligned(formula: &str) -> String {
    formula.replacen(" = ", " &= ", 1)
}

fn write_lines(out: &mut dyn Write, lines: Vec<Line>) -> io::Result<()> {
    for line in lines {
        match line {
            Line::Formula(text) => writeln!(out, "{} \\\\", aligned(&text))?,
            Line::Elided(_) => writeln!(out, "&\\;\\;\\vdots \\\\")?,
        }
    }
    Ok(())
}

/// `9.28e-86` as `9.28 \cdot 10^{-86}`.
fn number(text: &str) -> String {
    match text.split_once('e') {
        Some((significand, exponent)) => {
            let exponent = exponent.trim_start_matches('+');
            format!(
                "${} \\cdot 10^{{{exponent}}}$",
                significand.replace('<', "{<}")
            )
        }
        None => format!("${text}$"),
    }
}

fn write_table(out: &mut dyn Write, run: &Examination, full: bool) -> io::Result<()> {
    let chain = &run.chain;
    let activation = chain.activation();
    writeln!(
        out,
        "\n% {}, x = {:?}: a(u) = {}, a'(u) = {}",
        activation.label(),
        chain.x(),
        activation.value_text("u"),
        activation.derivative_text("u")
    )?;
    let columns = "r".repeat(2 + run.columns.len());
    writeln!(out, "\\begin{{tabular}}{{{columns}}}")?;
    write!(out, "layer & exact")?;
    for column in &run.columns {
        write!(out, " & {}", column.float.dtype())?;
    }
    writeln!(out, " \\\\ \\hline")?;
    let depth = chain.depth();
    let elide = !full && depth > SHOWN_WHOLE;
    for layer in 1..=depth {
        if elide && layer > ROWS_AT_EITHER_END && layer <= depth - ROWS_AT_EITHER_END {
            if layer == ROWS_AT_EITHER_END + 1 {
                writeln!(out, "$\\vdots$ \\\\")?;
            }
            continue;
        }
        write!(
            out,
            "{layer} & {}",
            number(&run.exact.gradient(layer).to_decimal())
        )?;
        for column in &run.columns {
            let value = column.float.gradient(layer);
            let text = if value.is_finite() {
                format!("{value:?}")
            } else {
                value.to_string().to_lowercase()
            };
            write!(out, " & {}", number(&text))?;
            if let Some(cause) = column.zero_cause(layer) {
                write!(out, " ({})", cause.name().replace('_', " "))?;
            }
        }
        writeln!(out, " \\\\")?;
    }
    writeln!(out, "\\end{{tabular}}")
}

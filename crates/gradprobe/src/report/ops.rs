//! The operators of ONNX that can be imported, as a table and as a page.

use super::layout::wrapped;
use crate::import::onnx::{OnnxOp, coverage};
use std::io::{self, Write};

/// An operator's name, after its domain where that is not ONNX's own.
fn full_name(op: &OnnxOp) -> String {
    match op.domain {
        "" => op.name.to_owned(),
        domain => format!("{domain}.{}", op.name),
    }
}

/// Writes a line an operator.
///
/// # Errors
/// If the writer fails.
pub fn write_ops_text(out: &mut dyn Write, width: usize) -> io::Result<()> {
    let ops = coverage();
    for op in &ops {
        let of_domain = ops.iter().filter(|other| other.domain == op.domain);
        let longest = of_domain.map(|op| full_name(op).len()).max().unwrap_or(0);
        let lines = wrapped(op.becomes, width.saturating_sub(longest + 2), 0, 0);
        for (number, line) in lines.iter().enumerate() {
            let name = if number == 0 {
                full_name(op)
            } else {
                String::new()
            };
            writeln!(out, "{name:longest$}  {line}")?;
        }
    }
    writeln!(out)?;
    writeln!(out, "{} operators of ONNX", ops.len())
}

const HEAD: &str = include_str!("ops.md");

/// Writes the page `docs/ONNX.md`.
///
/// # Errors
/// If the writer fails.
pub fn write_ops_markdown(out: &mut dyn Write) -> io::Result<()> {
    let ops = coverage();
    writeln!(out, "{HEAD}")?;
    writeln!(out, "{} operators:", ops.len())?;
    writeln!(out)?;
    writeln!(out, "| operator | becomes |")?;
    writeln!(out, "|---|---|")?;
    for op in &ops {
        writeln!(out, "| {} | {} |", full_name(op), op.becomes)?;
    }
    Ok(())
}

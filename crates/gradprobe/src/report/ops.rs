//! The operators of ONNX that can be imported, as a table and as a page.

use super::layout::wrapped;
use crate::import::onnx::{OnnxOp, coverage};
use std::io::{self, Write};

/// Writes a line an operator.
///
/// # Errors
/// If the writer fails.
pub fn write_ops_text(out: &mut dyn Write, width: usize) -> io::Result<()> {
    let ops = coverage();
    let longest = ops.iter().map(|op| op.name.len()).max().unwrap_or(0);
    for OnnxOp { name, becomes, .. } in &ops {
        let lines = wrapped(becomes, width.saturating_sub(longest + 2), 0, 0);
        for (number, line) in lines.iter().enumerate() {
            let name = if number == 0 { name } else { "" };
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
    for OnnxOp { name, becomes, .. } in &ops {
        writeln!(out, "| {name} | {becomes} |")?;
    }
    Ok(())
}

//! What the steps are set in: paragraphs, broken formulas, tables, numbers.

use super::ChainTextOptions;
use super::words::Language;
use crate::num::Dtype;
use crate::report::layout::{columns_of, wrapped};
use crate::theory::LayerValues;
use std::io::{self, Write};

/// Layers up to which a table is shown whole.
const SHOWN_WHOLE: usize = 16;
/// Rows kept at either end of a longer table.
const ROWS_AT_EITHER_END: usize = 5;
/// Columns before a table's first.
const TABLE_INDENT: usize = 3;

/// What is being written to, and how.
pub(super) struct Page<'a> {
    pub(super) out: &'a mut dyn Write,
    pub(super) options: &'a ChainTextOptions,
    pub(super) words: Language,
}

/// A number as it was given: `100`, `0.1`, `1e300`.
pub(super) fn plain(value: f64) -> String {
    let text = format!("{value:?}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

/// The values of w or b in words, a long list elided.
pub(super) fn values(name: &str, values: &LayerValues) -> String {
    const LISTED: usize = 6;
    match (values.common(), values) {
        (Some(value), _) => format!("{name} = {}", plain(value)),
        (None, LayerValues::Each(list)) if list.len() > LISTED => {
            let first: Vec<String> = list[..3].iter().copied().map(plain).collect();
            let last = plain(list[list.len() - 1]);
            format!("{name} = {}, …, {last}", first.join(", "))
        }
        (None, LayerValues::Each(list)) => {
            let list: Vec<String> = list.iter().copied().map(plain).collect();
            format!("{name} = {}", list.join(", "))
        }
        (None, LayerValues::Same(value)) => format!("{name} = {}", plain(*value)),
    }
}

/// A float to the digits that tell it from its neighbours, scientific where that is shorter: f32 as
/// the f64 it is, as `.item()` gives it; the 16-bit types in the digits they have.
pub(super) fn float(value: f64, dtype: Dtype) -> String {
    const LEAST_PLAIN: f64 = 1e-3;
    if !value.is_finite() {
        return value.to_string().to_lowercase();
    }
    let scientific = value != 0.0 && value.abs() < LEAST_PLAIN;
    match (dtype, scientific) {
        (Dtype::F64 | Dtype::F32, false) => format!("{value:?}"),
        (Dtype::F64 | Dtype::F32, true) => format!("{value:e}"),
        (Dtype::Bf16 | Dtype::F16 | Dtype::E5m2 | Dtype::E4m3, false) => {
            format!("{:?}", value as f32)
        }
        (Dtype::Bf16 | Dtype::F16 | Dtype::E5m2 | Dtype::E4m3, true) => {
            format!("{:e}", value as f32)
        }
    }
}

/// Layers shown of a table; `None` where the middle is left out.
pub(super) fn shown_layers(
    depth: usize,
    whole: usize,
    at_ends: usize,
    full: bool,
) -> Vec<Option<usize>> {
    if full || depth <= whole {
        return (1..=depth).map(Some).collect();
    }
    let first = (1..=at_ends).map(Some);
    let last = (depth + 1 - at_ends..=depth).map(Some);
    first.chain([None]).chain(last).collect()
}

impl Page<'_> {
    pub(super) fn heading(&mut self, text: &str) -> io::Result<()> {
        let (bold, plain) = if self.options.colour {
            ("\x1b[1m", "\x1b[0m")
        } else {
            ("", "")
        };
        writeln!(self.out, "\n{bold}{text}{plain}")
    }

    /// A paragraph, its first line indented by `first` columns and the others by `rest`.
    pub(super) fn paragraph(&mut self, text: &str, first: usize, rest: usize) -> io::Result<()> {
        let mut lines = wrapped(text, self.options.width, first, rest).into_iter();
        lines.try_for_each(|line| writeln!(self.out, "{line}"))
    }

    /// Pieces set one after the other, a new line begun where one does not fit.
    pub(super) fn product(
        &mut self,
        indent: usize,
        pieces: impl Iterator<Item = String>,
    ) -> io::Result<()> {
        const HANGING: usize = 4;
        let mut used = indent;
        write!(self.out, "{:indent$}", "")?;
        for piece in pieces {
            let width = columns_of(&piece);
            if used + width > self.options.width && used > indent + HANGING {
                let hanging = indent + HANGING;
                write!(self.out, "\n{:hanging$}", "")?;
                used = hanging;
            }
            write!(self.out, "{piece}")?;
            used += width;
        }
        writeln!(self.out)
    }

    /// A table with a column of layers, right-aligned, every column as wide as it needs; columns
    /// that do not fit beside the others follow below with the layers again.
    pub(super) fn table(
        &mut self,
        depth: usize,
        header: Vec<String>,
        cells: impl Fn(usize) -> Vec<String>,
        footer: Option<Vec<String>>,
    ) -> io::Result<()> {
        let full = self.options.full;
        let shown = shown_layers(depth, SHOWN_WHOLE, ROWS_AT_EITHER_END, full);
        // Rows are made twice rather than kept: a full table may have a million.
        let mut widths: Vec<usize> = header.iter().map(|text| columns_of(text)).collect();
        let mut widen = |row: &[String]| {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(columns_of(cell));
            }
        };
        for &layer in shown.iter().flatten() {
            widen(&cells(layer));
        }
        footer.iter().for_each(|row| widen(row));
        let room = self.options.width.saturating_sub(TABLE_INDENT);
        for (index, block) in blocks(&widths, room).into_iter().enumerate() {
            if index > 0 {
                writeln!(self.out)?;
            }
            self.row(&header, &block)?;
            for &layer in &shown {
                match layer {
                    Some(layer) => self.row(&cells(layer), &block)?,
                    None => {
                        let count = depth - 2 * ROWS_AT_EITHER_END;
                        writeln!(
                            self.out,
                            "{:TABLE_INDENT$}{}",
                            "",
                            self.words.left_out(count)
                        )?;
                    }
                }
            }
            footer.iter().try_for_each(|row| self.row(row, &block))?;
        }
        Ok(())
    }

    fn row(&mut self, cells: &[String], block: &[(usize, usize)]) -> io::Result<()> {
        write!(self.out, "{:TABLE_INDENT$}", "")?;
        for &(column, width) in block {
            let cell = &cells[column];
            let padding = width.saturating_sub(columns_of(cell));
            write!(self.out, "{:padding$}{cell}", "")?;
        }
        writeln!(self.out)
    }
}

/// The columns of each block of a table, with their widths and the gaps before them; the first
/// column leads every block.
fn blocks(widths: &[usize], room: usize) -> Vec<Vec<(usize, usize)>> {
    const GAP: usize = 2;
    let Some((&lead, others)) = widths.split_first() else {
        return Vec::new();
    };
    let narrow = widths.iter().sum::<usize>() + others.len();
    // One column less between the numbers is better than a table in two.
    let tight = (narrow..narrow + others.len()).contains(&room);
    let gap = if tight { 1 } else { GAP };
    let mut blocks = vec![vec![(0, lead)]];
    let mut used = lead;
    for (index, width) in others.iter().enumerate() {
        let mut block = blocks.pop().unwrap_or_default();
        if used + gap + width > room && block.len() > 1 {
            blocks.push(std::mem::replace(&mut block, vec![(0, lead)]));
            used = lead;
        }
        block.push((index + 1, gap + width));
        used += gap + width;
        blocks.push(block);
    }
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_that_do_not_fit_follow_below_with_the_layers() {
        assert_eq!(blocks(&[5, 10, 10], 40), [[(0, 5), (1, 12), (2, 12)]]);
        assert_eq!(blocks(&[5, 10, 10], 28), [[(0, 5), (1, 11), (2, 11)]]);
        assert_eq!(
            blocks(&[5, 10, 10], 20),
            [[(0, 5), (1, 12)], [(0, 5), (2, 12)]]
        );
    }

    #[test]
    fn a_small_float_is_scientific_and_keeps_every_digit() {
        assert_eq!(
            float(0.000_134_679_346_580_412_44, Dtype::F64),
            "1.3467934658041244e-4"
        );
        assert_eq!(float(0.001, Dtype::F64), "0.001");
        assert_eq!(float(0.0, Dtype::F32), "0.0");
        assert_eq!(float(-1e300, Dtype::F64), "-1e300");
        assert_eq!(float(f64::NEG_INFINITY, Dtype::F64), "-inf");
    }
}

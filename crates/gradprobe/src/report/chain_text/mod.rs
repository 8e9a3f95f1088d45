//! A chain's report as text in 80 columns: the notebook's five steps.

mod page;
mod words;

pub use words::Language;

use crate::diagnose::ZeroCause;
use crate::diagnose::chain::{
    Autograd, Column, Conclusion, Dominant, Examination, LossFactor, Split,
};
use crate::num::{Extended, Real};
use crate::theory::{ChainRule, Factor, Line, Notation};
use page::{Page, float, plain, shown_layers, values};
use std::io::{self, Write};
use words::signed_decades;

/// How a chain's report is written as text.
#[derive(Clone, Copy, Debug)]
pub struct ChainTextOptions {
    /// Its language.
    pub language: Language,
    /// Headings in bold by ANSI sequences.
    pub colour: bool,
    /// Columns to fit in.
    pub width: usize,
    /// Every layer, however many, and every factor.
    pub full: bool,
    /// The derivation in LaTeX instead of plain text.
    pub latex: bool,
    /// Only the gradients, without the derivation, the factors and the conclusion.
    pub quiet: bool,
}

impl Default for ChainTextOptions {
    fn default() -> Self {
        Self {
            language: Language::English,
            colour: false,
            width: 80,
            full: false,
            latex: false,
            quiet: false,
        }
    }
}

/// Layers up to which every gradient's factors are shown.
const FACTORED_WHOLE: usize = 8;
/// Gradients factored at either end of a deeper chain.
const FACTORED_AT_EITHER_END: usize = 2;
/// Above this a full derivation, whose size is the square of the depth, is still elided.
const FULL_DERIVATION: usize = 1_000;
/// Significant digits of factors.
const FACTOR_DIGITS: usize = 7;
/// Significant digits where activations are compared.
const COMPARED_DIGITS: usize = 6;

/// Writes the report of chains of one depth, one for every activation and input.
///
/// # Errors
/// If the writer fails.
pub fn write_chain_text(
    out: &mut dyn Write,
    runs: &[Examination],
    options: &ChainTextOptions,
) -> io::Result<()> {
    let Some(first) = runs.first() else {
        return Ok(());
    };
    let mut page = Page {
        out,
        options,
        words: options.language,
    };
    if options.quiet {
        for run in runs {
            page.run_heading(run)?;
            page.columns_table(run)?;
        }
        return Ok(());
    }
    page.title(first)?;
    page.derivation(runs)?;
    page.heading(page.words.by_chain_rule())?;
    page.paragraph(page.words.columns(), 3, 3)?;
    for run in runs {
        page.run_heading(run)?;
        page.gradients(run)?;
    }
    page.heading(page.words.by_autograd())?;
    for run in runs {
        page.autograd(run)?;
    }
    page.heading(page.words.side_by_side())?;
    page.comparison(runs)?;
    page.heading(page.words.conclusion())?;
    for (index, run) in runs.iter().enumerate() {
        if index > 0 {
            writeln!(page.out)?;
        }
        page.conclusion(run)?;
    }
    Ok(())
}

/// What a run is called among the others: its activation, and its input.
fn name(run: &Examination) -> String {
    let label = run.chain.activation().label();
    format!("{label}, x = {}", plain(run.chain.x()))
}

/// A number of a float column: as Python prints it, with the cause of a zero.
fn cell(column: &Column, value: f64, cause: Option<ZeroCause>, words: Language) -> String {
    let number = float(value, column.float.dtype());
    match cause {
        Some(cause) => format!("{number} ({})", words.zero_cause(cause)),
        None => number,
    }
}

impl Page<'_> {
    fn run_heading(&mut self, run: &Examination) -> io::Result<()> {
        writeln!(self.out, "\n   {}", name(run))
    }

    fn title(&mut self, run: &Examination) -> io::Result<()> {
        let chain = &run.chain;
        let bias = if chain.has_bias() {
            values("b", chain.biases())
        } else {
            self.words.no_bias().to_owned()
        };
        let weights = values("w", chain.weights());
        let text = format!("{}: {weights}, {bias}.", self.words.chain(chain.depth()));
        self.paragraph(&text, 0, 3)
    }

    fn derivation(&mut self, runs: &[Examination]) -> io::Result<()> {
        self.heading(self.words.derivation())?;
        let chain = &runs[0].chain;
        let notation = if self.options.latex {
            Notation::Tex
        } else {
            Notation::Text
        };
        let full = self.options.full && chain.depth() <= FULL_DERIVATION;
        let rule = ChainRule::new(chain.depth(), chain.has_bias(), full, notation);
        let mut named: Vec<&str> = Vec::new();
        for run in runs {
            let activation = run.chain.activation();
            if named.contains(&activation.name()) {
                continue;
            }
            named.push(activation.name());
            let (value, derivative) = if self.options.latex {
                (activation.value_tex("u"), activation.derivative_tex("u"))
            } else {
                (activation.value_text("u"), activation.derivative_text("u"))
            };
            let text = format!(
                "a(u) = {value}, a'(u) = {derivative} ({})",
                activation.label()
            );
            self.paragraph(&text, 3, 6)?;
        }
        writeln!(self.out)?;
        self.formula(&rule.nested())?;
        writeln!(self.out)?;
        self.formulas(rule.layers())?;
        writeln!(self.out)?;
        self.formulas(rule.gradients())
    }

    fn formulas(&mut self, lines: Vec<Line>) -> io::Result<()> {
        for line in lines {
            match line {
                Line::Formula(text) => self.formula(&text)?,
                Line::Elided(count) => {
                    writeln!(self.out, "   {}", self.words.left_out(count))?;
                }
            }
        }
        Ok(())
    }

    /// A formula, broken at its dots where it is too long.
    fn formula(&mut self, text: &str) -> io::Result<()> {
        if self.options.latex {
            return writeln!(self.out, "   \\[ {text} \\]");
        }
        self.product(3, text.split_inclusive('·').map(str::to_owned))
    }

    /// Step 2: the forward pass, the columns, and every gradient's factors.
    fn gradients(&mut self, run: &Examination) -> io::Result<()> {
        self.forward_table(run)?;
        writeln!(self.out)?;
        self.columns_table(run)?;
        writeln!(self.out)?;
        self.factored(run)?;
        self.notes(run)
    }

    fn forward_table(&mut self, run: &Examination) -> io::Result<()> {
        let header = ["u", "f = a(u)", "a'(u)", "w"];
        let header = std::iter::once(self.words.layer()).chain(header);
        let chain = &run.chain;
        let has_bias = chain.has_bias();
        let bias_header = has_bias.then_some("b");
        let header = header.chain(bias_header).map(str::to_owned).collect();
        self.table(
            chain.depth(),
            header,
            |layer| {
                let at = &run.exact.layers()[layer - 1];
                let mut cells = vec![
                    layer.to_string(),
                    at.pre_activation.to_decimal(FACTOR_DIGITS),
                    at.output.to_decimal(FACTOR_DIGITS),
                    at.derivative.to_decimal(FACTOR_DIGITS),
                    plain(chain.weights().of(layer)),
                ];
                if has_bias {
                    cells.push(plain(chain.biases().of(layer)));
                }
                cells
            },
            None,
        )
    }

    fn columns_table(&mut self, run: &Examination) -> io::Result<()> {
        let words = self.words;
        let mut header = vec![words.layer().to_owned(), words.exact().to_owned()];
        header.extend(
            run.columns
                .iter()
                .map(|column| column.float.dtype().to_string()),
        );
        let cells = |layer: usize| {
            let mut cells = vec![layer.to_string(), run.exact.gradient(layer).to_decimal()];
            for column in &run.columns {
                let value = column.float.gradient(layer);
                cells.push(cell(column, value, column.zero_cause(layer), words));
            }
            cells
        };
        self.table(run.chain.depth(), header, cells, None)
    }

    fn factored(&mut self, run: &Examination) -> io::Result<()> {
        let chain = &run.chain;
        let depth = chain.depth();
        let full = self.options.full && depth <= FULL_DERIVATION;
        let rule = ChainRule::new(depth, chain.has_bias(), full, Notation::Text);
        self.paragraph(self.words.multiply(), 3, 3)?;
        for layer in shown_layers(depth, FACTORED_WHOLE, FACTORED_AT_EITHER_END, full) {
            let Some(layer) = layer else {
                let count = depth - 2 * FACTORED_AT_EITHER_END;
                writeln!(self.out, "   {}", self.words.left_out(count))?;
                continue;
            };
            let title = self.words.gradient_of(layer);
            let value = run.exact.gradient(layer).to_decimal();
            writeln!(self.out, "   {title} {value}")?;
            let factors = rule.factors(layer);
            let last = factors.len() - 1;
            let pieces = factors.into_iter().enumerate().map(|(index, factor)| {
                let lead = if index == 0 { "= " } else { "" };
                let dot = if index == last { "" } else { "·" };
                format!("{lead}{}{dot}", factor_value(run, factor))
            });
            self.product(7, pieces)?;
        }
        let value = run.exact.input_gradient().to_decimal();
        writeln!(self.out, "   {} {value}", self.words.input_gradient())
    }

    /// What has to be said about the numbers above.
    fn notes(&mut self, run: &Examination) -> io::Result<()> {
        let kinks: Vec<usize> = (1..=run.chain.depth())
            .filter(|&layer| run.exact.layers()[layer - 1].at_kink)
            .collect();
        if let Some(&first) = kinks.first() {
            let layers = self.words.layers(kinks.len(), first);
            let derivative = run.exact.layers()[first - 1].derivative;
            let label = run.chain.activation().label();
            let text = self
                .words
                .kink(&layers, &label, &derivative.to_decimal(FACTOR_DIGITS));
            self.paragraph(&text, 3, 3)?;
        }
        if run.exact.fewest_digits() < 18 {
            self.paragraph(self.words.fewer_digits(), 3, 3)?;
        }
        Ok(())
    }

    /// Step 3.
    fn autograd(&mut self, run: &Examination) -> io::Result<()> {
        /// A difference above this is not rounding alone.
        const AMPLIFIED: f64 = 1e-9;
        let words = self.words;
        let text = match &run.autograd {
            Autograd::Ran {
                difference, unheld, ..
            } => {
                let mut parts = Vec::new();
                match difference {
                    Some(difference) if difference.relative == 0.0 => {
                        parts.push(words.autograd_equal().to_owned());
                    }
                    Some(difference) => {
                        let place = match difference.layer {
                            0 => words.input().to_owned(),
                            layer => words.layers(1, layer),
                        };
                        let size = format!("{:.1e}", difference.relative);
                        parts.push(words.autograd_ran(&size, &place));
                        if difference.relative > AMPLIFIED {
                            parts.push(words.autograd_amplified().to_owned());
                        }
                    }
                    None => {}
                }
                if let Some(layer) = unheld {
                    parts.push(words.autograd_unheld(*layer, difference.is_some()));
                }
                parts.join("; ")
            }
            Autograd::TooDeep { limit } => words.autograd_too_deep(*limit),
            Autograd::Failed { reason } => words.autograd_failed(reason),
        };
        self.paragraph(&format!("{}: {text}.", name(run)), 3, 6)
    }

    /// Step 4: a column a run, as many side by side as fit.
    fn comparison(&mut self, runs: &[Examination]) -> io::Result<()> {
        const COLUMN: usize = 15;
        let words = self.words;
        let one_input = runs.iter().all(|run| run.chain.x() == runs[0].chain.x());
        let per_block = (self.options.width.saturating_sub(24) / COLUMN).max(1);
        for (index, block) in runs.chunks(per_block).enumerate() {
            if index > 0 {
                writeln!(self.out)?;
            }
            let mut header = vec![words.layer().to_owned()];
            header.extend(block.iter().map(|run| run.chain.activation().label()));
            if !one_input {
                let inputs = block
                    .iter()
                    .map(|run| format!("x = {}", plain(run.chain.x())));
                for (cell, input) in header.iter_mut().skip(1).zip(inputs) {
                    *cell = format!("{cell}, {input}");
                }
            }
            let lost = block.iter().map(|run| match run.conclusion.decades_lost() {
                // What is lost is positive here, so a plus sign would confuse.
                Some(lost) => signed_decades(lost).trim_start_matches('+').to_owned(),
                None => "–".to_owned(),
            });
            let footer = std::iter::once(words.lost().to_owned())
                .chain(lost)
                .collect();
            let cells = |layer: usize| {
                let values = block.iter().map(|run| short(run, layer));
                std::iter::once(layer.to_string()).chain(values).collect()
            };
            self.table(block[0].chain.depth(), header, cells, Some(footer))?;
        }
        Ok(())
    }

    /// Step 5.
    fn conclusion(&mut self, run: &Examination) -> io::Result<()> {
        let words = self.words;
        let conclusion = &run.conclusion;
        let depth = run.chain.depth();
        let verdict = words.tendency(conclusion.tendency, conclusion.decades_lost(), depth);
        self.paragraph(&format!("{}: {verdict}", name(run)), 3, 6)?;
        let worth_telling = |split: &Split| {
            let parts = [split.activation, split.weight, split.input];
            depth > 1 && parts.iter().any(|part| part.abs() >= 0.005)
        };
        if let Some(split) = conclusion.split.filter(worth_telling) {
            let text = words.split(split.activation, split.weight, split.input, split.total());
            self.paragraph(&text, 6, 6)?;
        }
        if let Some(dominant) = conclusion.dominant {
            let at = dominant_value(run, dominant);
            self.paragraph(&words.dominant(dominant, &at), 6, 6)?;
            if let Some(factor) = conclusion.per_layer.filter(|_| dominant.layer.is_none()) {
                self.paragraph(&words.per_layer(&format!("{factor:.4}")), 6, 6)?;
            }
        }
        self.zeros(run)?;
        if let Some(first) = conclusion.saturation.first {
            let layers = words.layers(conclusion.saturation.layers, first);
            self.paragraph(&words.saturated(&layers), 6, 6)?;
        }
        self.remedies(conclusion)
    }

    fn zeros(&mut self, run: &Examination) -> io::Result<()> {
        let words = self.words;
        const CAUSES: [ZeroCause; 5] = [
            ZeroCause::TrueZero,
            ZeroCause::Cancellation,
            ZeroCause::Underflow,
            ZeroCause::Rounding,
            ZeroCause::Overflow,
        ];
        for column in &run.columns {
            let dtype = column.float.dtype();
            for cause in CAUSES {
                let mut layers = (1..=run.chain.depth())
                    .filter(|&layer| column.zero_cause(layer) == Some(cause));
                let Some(first) = layers.next() else { continue };
                let layers = words.layers(column.count(cause), first);
                let smallest = format!("{:.1e}", dtype.smallest_subnormal());
                self.paragraph(&words.zeros(dtype, cause, &layers, &smallest), 6, 6)?;
            }
        }
        Ok(())
    }

    fn remedies(&mut self, conclusion: &Conclusion) -> io::Result<()> {
        let words = self.words;
        if conclusion.remedies.is_empty() {
            return Ok(());
        }
        self.paragraph(words.helps(), 6, 6)?;
        for remedy in &conclusion.remedies {
            let result = match remedy.first_log10 {
                Some(first) => words.remedy_result(first, remedy.decades_lost),
                None => words.gradient_zero().to_owned(),
            };
            let verdict = if remedy.cures {
                words.remedy_cures()
            } else if remedy.helps {
                words.remedy_eases()
            } else {
                words.remedy_fails()
            };
            let text = format!("{}: {verdict} ({result})", words.remedy(&remedy.kind));
            self.paragraph(&format!("- {text}"), 6, 8)?;
        }
        if !conclusion.remedies.iter().any(|remedy| remedy.cures) {
            self.paragraph(words.nothing_helped(), 6, 6)?;
        }
        Ok(())
    }
}

fn factor_value(run: &Examination, factor: Factor) -> String {
    let layers = run.exact.layers();
    let value = match factor {
        Factor::Derivative(k) => layers[k - 1].derivative,
        Factor::Weight(k) => Extended::from_f64(run.chain.weights().of(k)),
        Factor::Output(0) => Extended::from_f64(run.chain.x()),
        Factor::Output(k) => layers[k - 1].output,
        Factor::Elided => return "…".to_owned(),
    };
    let text = value.to_decimal(FACTOR_DIGITS);
    if text.starts_with('-') {
        format!("({text})")
    } else {
        text
    }
}

fn short(run: &Examination, layer: usize) -> String {
    let gradient = run.exact.gradient(layer);
    match gradient.digits() {
        0 => "?".to_owned(),
        digits => gradient.value.to_decimal(digits.min(COMPARED_DIGITS)),
    }
}

/// The argument of the dominant activation derivative, or the dominant weight.
fn dominant_value(run: &Examination, dominant: Dominant) -> String {
    match (dominant.factor, dominant.layer) {
        (LossFactor::Activation, Some((layer, _))) => run.exact.layers()[layer - 1]
            .pre_activation
            .to_decimal(COMPARED_DIGITS),
        (LossFactor::Weight, Some((layer, _))) => plain(run.chain.weights().of(layer)),
        _ => String::new(),
    }
}

//! The text of a check: a table of the layers in 80 columns, then the verdict.

use super::escape::escape;
use super::layout::{
    fitted_name, grouped, percent, plural, power_of_ten, wrapped, write_paragraph, write_wrapped,
};
use super::precision_text;
use super::text_options::CheckTextOptions;
use crate::diagnose::{Diagnosis, Law, Severity, Verdict, factor_in_words};
use crate::measure::{Gains, LayerMeasurement, Measurement, Optimiser, Signal, Spread};
use crate::ops::{Mode, Role};
use std::io::{self, Write};

/// Layers beyond which the middle of the table is left out.
const MOST_ROWS: usize = 60;
/// Rows kept at either end then.
const ROWS_AT_EITHER_END: usize = 15;
/// The longest name of a layer that is shown whole.
const NAME_WIDTH: usize = 16;
/// What layers are indented by in a branch that a skip connection goes round.
const INDENT: &str = " ";
const BAR_WIDTH: usize = 8;
const GAIN_WIDTH: usize = 6;

/// Writes a check as text.
///
/// # Errors
/// If the writer fails.
pub fn write_check_text(
    out: &mut dyn Write,
    measurement: &Measurement,
    diagnosis: &Diagnosis,
    options: &CheckTextOptions,
) -> io::Result<()> {
    heading(out, measurement, options.width)?;
    table(out, measurement, options)?;
    verdict(out, measurement, diagnosis, options)?;
    precision_text::write(out, &measurement.precision, options)
}

fn heading(out: &mut dyn Write, measurement: &Measurement, width: usize) -> io::Result<()> {
    let mode = match measurement.mode {
        Mode::Train => "training",
        Mode::Eval => "inference",
    };
    let others = match measurement.file_numbers {
        Some(numbers) => format!(
            " ({} frozen, {} not judged)",
            grouped(numbers.frozen),
            grouped(numbers.not_judged)
        ),
        None => String::new(),
    };
    let text = format!(
        "{}: {}{others}, batch {}, {}, {mode}",
        escape(&measurement.network),
        plural(measurement.trainable, "trainable number"),
        measurement.batch,
        measurement.dtype,
    );
    write_paragraph(out, &text, width)?;
    let seeds = plural(measurement.runs.len(), "seed");
    let objective = match measurement.loss {
        Some(loss) if measurement.runs.len() > 1 => format!(
            "{} loss {:.4} (median; {:.4} to {:.4})",
            measurement.objective, loss.median, loss.min, loss.max
        ),
        Some(loss) => format!("{} loss {:.4}", measurement.objective, loss.median),
        None => format!("no loss: {}", measurement.objective),
    };
    write_paragraph(out, &format!("{seeds}, {objective}"), width)?;
    for note in &measurement.notes {
        write_paragraph(out, &escape(note), width)?;
    }
    writeln!(out)
}

/// A column of the table: its two-line heading, its width, and a layer's cell.
struct Column {
    heading: [&'static str; 2],
    width: usize,
    cell: Box<dyn Fn(&LayerMeasurement) -> String>,
}

fn table(
    out: &mut dyn Write,
    measurement: &Measurement,
    options: &CheckTextOptions,
) -> io::Result<()> {
    let layers = &measurement.layers;
    let name_width = layers
        .iter()
        .map(|layer| display_name(layer).chars().count())
        .max();
    let name_width = name_width.unwrap_or(0).clamp(5, NAME_WIDTH);
    let columns = columns(measurement, options.width.saturating_sub(name_width));
    for line in 0..2 {
        let first = if line == 0 { "" } else { "layer" };
        write!(out, "{}{first:name_width$}", style(options, Style::Dim))?;
        for column in &columns {
            write!(out, " {:>1$}", column.heading[line], column.width)?;
        }
        writeln!(out, "{}", style(options, Style::Plain))?;
    }
    let elide = layers.len() > MOST_ROWS && !options.all_layers;
    for (index, layer) in layers.iter().enumerate() {
        if elide && (ROWS_AT_EITHER_END..layers.len() - ROWS_AT_EITHER_END).contains(&index) {
            if index == ROWS_AT_EITHER_END {
                let left_out = layers.len() - 2 * ROWS_AT_EITHER_END;
                writeln!(
                    out,
                    "… {} more (--all-layers shows them)",
                    plural(left_out, "layer")
                )?;
            }
            continue;
        }
        let name = display_name(layer);
        let padding = name_width.saturating_sub(name.chars().count());
        write!(out, "{name}{:padding$}", "")?;
        for column in &columns {
            let cell = (column.cell)(layer);
            let padding = column.width.saturating_sub(cell.chars().count());
            write!(out, " {:padding$}{cell}", "")?;
        }
        writeln!(out)?;
    }
    if layers.iter().any(|layer| !layer.median.on_spine) {
        let text = "Indented layers are in branches; the signal is followed along the others.";
        writeln!(out)?;
        write_paragraph(out, text, options.width)?;
    }
    writeln!(out)
}

fn columns(measurement: &Measurement, width: usize) -> Vec<Column> {
    let layers = &measurement.layers;
    let any = |present: &dyn Fn(&LayerMeasurement) -> bool| layers.iter().any(present);
    let several = measurement.runs.len() > 1;
    let extent = |get: fn(&LayerMeasurement) -> Option<f64>| {
        let all = layers.iter().filter_map(get);
        all.fold((0.0f64, 0.0f64), |(low, high), x| (low.min(x), high.max(x)))
    };
    let (forward, backward) = (
        extent(|layer| layer.median.forward_decades),
        extent(|layer| layer.median.backward_decades),
    );
    let mut columns = vec![
        column("forward", "decades", 7, |layer| {
            signal_decades(layer.median.forward_decades, &layer.median.forward)
        }),
        column("", "", BAR_WIDTH, move |layer| {
            bar(layer.median.forward_decades, forward)
        }),
        column("backward", "decades", 8, |layer| {
            signal_decades(layer.median.backward_decades, &layer.median.backward)
        }),
    ];
    if several {
        columns.push(column("", "range", 6, |layer| {
            half_range(layer.backward_decades_spread)
        }));
    }
    columns.push(column("", "", BAR_WIDTH, move |layer| {
        bar(layer.median.backward_decades, backward)
    }));
    columns.push(column("weight", "gradient", 8, weight_gradient));
    if any(&|layer| layer.median.saturated_fraction.is_some()) {
        columns.push(column("satu-", "rated", 5, |layer| {
            share(layer.median.saturated_fraction)
        }));
    }
    if any(&|layer| layer.median.dead_fraction.is_some()) {
        columns.push(column("dead", "units", 5, |layer| {
            share(layer.median.dead_fraction)
        }));
    }
    let zero = |layer: &LayerMeasurement| {
        layer
            .median
            .parameters
            .first()
            .map(|parameter| parameter.grad_zero_fraction)
    };
    if any(&|layer| zero(layer).is_some_and(|share| share > 0.0)) {
        columns.push(column("zero", "grad.", 5, move |layer| share(zero(layer))));
    }
    let used: usize = columns.iter().map(|column| column.width + 1).sum();
    // Where there is no room for all, the causes that change the signal most.
    let room = width.saturating_sub(used) / (GAIN_WIDTH + 1);
    let chain = measurement.chain_gains();
    let largest = |role: Role| {
        let of_layers = layers.iter().map(|layer| layer.median.gains.of(role).abs());
        of_layers.fold(0.0, f64::max)
    };
    let mut shown = Gains::ROLES.map(|role| (role, chain.of(role).abs(), largest(role)));
    shown.sort_by(|a, b| b.1.total_cmp(&a.1));
    let shown: Vec<Role> = shown
        .iter()
        .filter(|(_, _, largest)| *largest >= 0.005)
        .map(|&(role, ..)| role)
        .take(room)
        .collect();
    for role in Gains::ROLES.into_iter().filter(|role| shown.contains(role)) {
        let heading = match role {
            Role::Weight => "weight",
            Role::Activation => "activ.",
            Role::Normalisation => "norm.",
            Role::Residual => "skip",
            Role::Other => "other",
        };
        let cell = move |layer: &LayerMeasurement| gain(&layer.median.gains, role);
        columns.push(column("gain:", heading, GAIN_WIDTH, cell));
    }
    columns
}

fn column(
    above: &'static str,
    below: &'static str,
    width: usize,
    cell: impl Fn(&LayerMeasurement) -> String + 'static,
) -> Column {
    Column {
        heading: [above, below],
        width,
        cell: Box::new(cell),
    }
}

fn display_name(layer: &LayerMeasurement) -> String {
    let indent = if layer.median.on_spine { "" } else { INDENT };
    let name = fitted_name(&layer.median.name, NAME_WIDTH - indent.len());
    format!("{indent}{name}")
}

/// The decades of a signal; where there are none, why: it is zero, it is no number, or that of the
/// last layer, which it would be compared with, is one of these.
fn signal_decades(decades_above: Option<f64>, signal: &Signal) -> String {
    match decades_above {
        Some(above) => decades(above),
        None if signal.log10_l2.is_some() => "–".into(),
        None if signal.non_finite > 0 => "NaN".into(),
        None => "zero".into(),
    }
}

fn decades(decades: f64) -> String {
    match decades {
        decades if decades.abs() < 0.005 => "0".into(),
        decades if decades.abs() >= 1000.0 => format!("{decades:+.0}"),
        decades => format!("{decades:+.2}"),
    }
}

fn half_range(spread: Option<Spread>) -> String {
    spread.map_or_else(String::new, |spread| {
        match 0.5 * (spread.max - spread.min) {
            half if half < 0.005 => String::new(),
            half => format!("±{half:.2}"),
        }
    })
}

/// A bar from zero: to the left in a light tone for loss, to the right full for gain, on the scale
/// of the column's extremes.
fn bar(decades: Option<f64>, (low, high): (f64, f64)) -> String {
    const EIGHTHS: [char; 9] = [' ', '▏', '▎', '▍', '▌', '▋', '▊', '▉', '█'];
    let scale = low.abs().max(high.abs()).max(1.0);
    let cells = BAR_WIDTH as f64;
    let Some(decades) = decades else {
        return "·".repeat(BAR_WIDTH);
    };
    let eighths = (decades.abs() / scale * cells * 8.0).round() as usize;
    let mut bar = "█".repeat((eighths / 8).min(BAR_WIDTH));
    if !eighths.is_multiple_of(8) && eighths / 8 < BAR_WIDTH {
        bar.push(EIGHTHS[eighths % 8]);
    }
    let padding = BAR_WIDTH - bar.chars().count();
    format!("{bar}{:padding$}", "")
}

/// log10 of the rms of the first parameter's gradient, as a power of ten.
fn weight_gradient(layer: &LayerMeasurement) -> String {
    let Some(parameter) = layer.median.parameters.first() else {
        return String::new();
    };
    match parameter.grad_log10_rms {
        Some(log10) => power_of_ten(log10),
        None if parameter.grad_non_finite > 0 => "NaN".into(),
        None => "0".into(),
    }
}

fn share(share: Option<f64>) -> String {
    share.map_or_else(String::new, percent)
}

fn gain(gains: &Gains, role: Role) -> String {
    match gains.of(role) {
        gain if gain.abs() < 0.005 => "0".into(),
        gain if gain.abs() >= 100.0 => format!("{gain:+.0}"),
        gain => format!("{gain:+.2}"),
    }
}

fn verdict(
    out: &mut dyn Write,
    measurement: &Measurement,
    diagnosis: &Diagnosis,
    options: &CheckTextOptions,
) -> io::Result<()> {
    let (word, tone) = match diagnosis.verdict {
        Verdict::Healthy => ("healthy", Style::Good),
        Verdict::Vanishing => ("vanishing", Style::Bad),
        Verdict::Exploding => ("exploding", Style::Bad),
        Verdict::Unhealthy => ("unhealthy", Style::Bad),
        Verdict::Inconclusive => ("inconclusive", Style::Middling),
    };
    let head = format!("verdict: {word}");
    let text = match (diagnosis.verdict, diagnosis.total_decades) {
        (Verdict::Healthy, Some(total)) => {
            format!(
                "{head}: the backward signal changes by {} decades from the last layer back to \
                 the first one's weights{}",
                decades(total),
                law(diagnosis)
            )
        }
        _ => head.clone(),
    };
    headed(out, &head, &text, tone, options)?;
    for finding in &diagnosis.findings {
        let tone = match finding.severity {
            Severity::Error => Style::Bad,
            Severity::Warning | Severity::Info => Style::Middling,
        };
        let head = format!("{} {} {}: ", finding.severity, finding.code, finding.name);
        let text = format!("{head}{}", escape(&finding.message));
        headed(out, &head, &text, tone, options)?;
        for sentence in &finding.evidence {
            write_wrapped(out, &escape(sentence), options.width, (2, 4))?;
        }
    }
    match measurement.optimiser {
        Some(optimiser) => update_ratios(out, measurement, optimiser, options.width),
        None => Ok(()),
    }
}

/// A paragraph whose beginning is in a tone of its own.
fn headed(
    out: &mut dyn Write,
    head: &str,
    text: &str,
    tone: Style,
    options: &CheckTextOptions,
) -> io::Result<()> {
    let (on, off) = (style(options, tone), style(options, Style::Plain));
    for (number, line) in wrapped(text, options.width, 0, 2).iter().enumerate() {
        match line.strip_prefix(head) {
            Some(rest) if number == 0 => writeln!(out, "{on}{head}{off}{rest}")?,
            _ => writeln!(out, "{line}")?,
        }
    }
    Ok(())
}

fn law(diagnosis: &Diagnosis) -> String {
    match diagnosis.backward.map(|trend| trend.law) {
        Some(Law::Exponential {
            factor_per_layer, ..
        }) => format!(" (×{} a layer)", factor_in_words(factor_per_layer)),
        Some(Law::PowerLaw {
            exponent,
            from_input,
        }) => {
            let end = if from_input { "input" } else { "output" };
            format!(" (as a power law: (distance from the {end})^{exponent:.2})")
        }
        _ => String::new(),
    }
}

fn update_ratios(
    out: &mut dyn Write,
    measurement: &Measurement,
    optimiser: Optimiser,
    width: usize,
) -> io::Result<()> {
    let parameters = measurement
        .layers
        .iter()
        .flat_map(|layer| &layer.median.parameters);
    let ratios: Vec<(&str, f64)> = parameters
        .filter_map(|parameter| Some((parameter.name.as_str(), parameter.log10_update_ratio?)))
        .collect();
    let smallest = ratios.iter().min_by(|a, b| a.1.total_cmp(&b.1));
    let largest = ratios.iter().max_by(|a, b| a.1.total_cmp(&b.1));
    if let (Some(smallest), Some(largest)) = (smallest, largest) {
        let (name, rate) = match optimiser {
            Optimiser::Sgd { learning_rate } => ("SGD", learning_rate),
            Optimiser::Adam {
                learning_rate,
                weight_decay: 0.0,
                ..
            } => ("Adam", learning_rate),
            Optimiser::Adam { learning_rate, .. } => ("AdamW", learning_rate),
        };
        let text = format!(
            "first update over weight, {name} at {rate}: 10^{:.1} (`{}`) to 10^{:.1} (`{}`)",
            smallest.1,
            escape(smallest.0),
            largest.1,
            escape(largest.0)
        );
        write_paragraph(out, &text, width)?;
    }
    Ok(())
}

#[derive(Clone, Copy)]
enum Style {
    Plain,
    Dim,
    Good,
    Middling,
    Bad,
}

fn style(options: &CheckTextOptions, style: Style) -> &'static str {
    if !options.colour {
        return "";
    }
    match style {
        Style::Plain => "\x1b[0m",
        Style::Dim => "\x1b[2m",
        Style::Good => "\x1b[1;32m",
        Style::Middling => "\x1b[1;33m",
        Style::Bad => "\x1b[1;31m",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_fills_its_column_at_the_extreme() {
        assert_eq!(bar(Some(-4.0), (-4.0, 0.0)), "████████");
        assert_eq!(bar(Some(-2.0), (-4.0, 0.0)).trim_end(), "████");
        assert_eq!(bar(None, (-4.0, 0.0)), "········");
    }
}

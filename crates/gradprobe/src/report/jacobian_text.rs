//! The text of Jacobians: a table of the whole and of each layer in 80 columns, then what it says.

use super::escape::escape;
use super::layout::{fitted_name, grouped, percent, plural, power_of_ten, write_paragraph};
use crate::measure::{JacobianRun, Jacobians, Spectrum, SpectrumTheory};
use crate::ops::Mode;
use std::io::{self, Write};

/// The longest name that is shown whole.
const NAME_WIDTH: usize = 16;
/// So few singular values are listed, more are drawn.
const FEW: usize = 5;
/// Bars of the histogram.
const BINS: usize = 40;

/// The columns: heading in two lines, width.
const COLUMNS: [([&str; 2], usize); 8] = [
    (["", "size"], 11),
    (["singular", "largest"], 8),
    (["values", "median"], 7),
    (["", "smallest"], 8),
    (["condi-", "tion"], 6),
    (["eff.", "rank"], 5),
    (["sur-", "vive"], 5),
    (["iso-", "metry"], 5),
];

/// Writes Jacobians as text of so many columns.
///
/// # Errors
/// If the writer fails.
pub fn write_jacobian_text(
    out: &mut dyn Write,
    jacobians: &Jacobians,
    width: usize,
) -> io::Result<()> {
    let Some(first) = jacobians.runs.first() else {
        return Ok(());
    };
    heading(out, jacobians, first, width)?;
    let names: Vec<String> = first
        .layers
        .iter()
        .map(|layer| fitted_name(&layer.name, NAME_WIDTH))
        .collect();
    let whole = "end to end";
    let lengths = names.iter().map(|name| name.chars().count());
    let name_width = lengths.max().unwrap_or(0).max(whole.len());
    for line in 0..2 {
        let label = ["", "layer"][line];
        write!(out, "{label:name_width$}")?;
        for (headings, width) in COLUMNS {
            write!(out, " {:>width$}", headings[line])?;
        }
        writeln!(out)?;
    }
    for (index, name) in names.iter().enumerate() {
        let of_run = |run: &'_ JacobianRun| run.layers[index].spectrum.clone();
        row(out, (name, name_width), &jacobians.runs, of_run)?;
    }
    let of_run = |run: &'_ JacobianRun| run.end_to_end.clone();
    row(out, (whole, name_width), &jacobians.runs, of_run)?;
    writeln!(out)?;
    words(out, jacobians, width)?;
    beside_theory(out, jacobians, width)
}

fn heading(
    out: &mut dyn Write,
    jacobians: &Jacobians,
    first: &JacobianRun,
    width: usize,
) -> io::Result<()> {
    let mode = match jacobians.mode {
        Mode::Train => "training",
        Mode::Eval => "inference",
    };
    let at = match first.sample {
        None if jacobians.batch > 1 => format!(
            "one Jacobian of its {}, which some op takes together (a BatchNorm in training, an LSTM)",
            plural(jacobians.batch, "sample")
        ),
        _ => plural(jacobians.runs.len(), "Jacobian"),
    };
    let text = format!(
        "{}: batch {}, {}, {mode}; {at}",
        escape(&jacobians.network),
        jacobians.batch,
        jacobians.dtype,
    );
    write_paragraph(out, &text, width)?;
    for note in &jacobians.notes {
        write_paragraph(out, &escape(note), width)?;
    }
    let text = format!(
        "Of each layer's output to the layer's before it; end to end: the network's output ({}) to \
         `{}` ({}).{}",
        grouped(first.end_to_end.rows),
        escape(&first.from),
        grouped(first.end_to_end.columns),
        match jacobians.runs.len() {
            1 => "",
            _ => " Medians.",
        }
    );
    write_paragraph(out, &text, width)?;
    writeln!(out)
}

/// A row of the table: medians over the runs.
fn row(
    out: &mut dyn Write,
    (name, name_width): (&str, usize),
    runs: &[JacobianRun],
    spectrum: impl Fn(&JacobianRun) -> Spectrum,
) -> io::Result<()> {
    let spectra: Vec<Spectrum> = runs.iter().map(spectrum).collect();
    let median = |of: &dyn Fn(&Spectrum) -> Option<f64>| median(spectra.iter().map(of));
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "–".into());
    let complete = spectra.iter().all(|spectrum| spectrum.complete);
    let sized = |value: Option<f64>| match value {
        Some(log10) => power(log10),
        None if complete => "0".into(),
        None => "–".into(),
    };
    let cells = [
        format!("{}×{}", spectra[0].rows, spectra[0].columns),
        sized(median(&Spectrum::log10_largest)),
        sized(median(&Spectrum::log10_median)),
        sized(median(&Spectrum::log10_smallest)),
        or_dash(median(&|s| s.log10_condition).map(power)),
        or_dash(median(&|s| s.effective_rank).map(|rank| match rank {
            rank if rank < 99.95 => format!("{rank:.1}"),
            rank => format!("{rank:.0}"),
        })),
        or_dash(median(&|s| s.surviving_fraction).map(percent)),
        or_dash(median(&|s| s.isometry).map(|isometry| format!("{isometry:.3}"))),
    ];
    let padding = name_width.saturating_sub(name.chars().count());
    write!(out, "{name}{:padding$}", "")?;
    for (cell, (_, width)) in cells.iter().zip(COLUMNS) {
        let padding = width.saturating_sub(cell.chars().count());
        write!(out, " {:padding$}{cell}", "")?;
    }
    writeln!(out)
}

/// The middle of some numbers, where none is missing.
fn median(values: impl Iterator<Item = Option<f64>>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect::<Option<_>>()?;
    values.sort_by(f64::total_cmp);
    values.get(values.len().saturating_sub(1) / 2).copied()
}

/// Theory beside the whole's singular values, or why there is none.
fn beside_theory(out: &mut dyn Write, jacobians: &Jacobians, width: usize) -> io::Result<()> {
    let runs = &jacobians.runs;
    let silent = runs.iter().find_map(|run| run.theory_silent.as_deref());
    if let Some(why) = silent {
        let text = format!("Theory is silent: {}.", escape(why));
        return write_paragraph(out, &text, width);
    }
    let of_theory = |part: fn(&SpectrumTheory) -> f64| {
        median(runs.iter().map(|run| Some(part(run.theory.as_ref()?))))
    };
    let of_runs =
        |part: fn(&Spectrum) -> Option<f64>| median(runs.iter().map(|run| part(&run.end_to_end)));
    let factor = |log10: f64| format!("×{}", power(log10));
    let plain = |number: f64| format!("{number:.3}");
    let mut beside: Vec<String> = Vec::new();
    let mut add =
        |name: &str, theory: Option<f64>, measured: Option<f64>, shown: &dyn Fn(f64) -> String| {
            if let (Some(theory), Some(measured)) = (theory, measured) {
                beside.push(format!(
                    "{name} {} (measured {})",
                    shown(theory),
                    shown(measured)
                ));
            }
        };
    add(
        "root mean square",
        of_theory(|theory| theory.log10_rms),
        of_runs(|spectrum| spectrum.log10_rms),
        &factor,
    );
    add(
        "largest",
        of_theory(|theory| theory.log10_largest),
        of_runs(Spectrum::log10_largest),
        &factor,
    );
    add(
        "isometry",
        of_theory(|theory| theory.isometry),
        of_runs(|spectrum| spectrum.isometry),
        &plain,
    );
    if beside.is_empty() {
        return Ok(());
    }
    let orthogonal = runs
        .iter()
        .flat_map(|run| &run.theory)
        .all(|theory| theory.orthogonal);
    let weights = match orthogonal {
        true => "orthogonal weights of these sizes",
        false => "random weights of these sizes",
    };
    let text = format!(
        "Theory, for wide layers and {weights}: {}.",
        beside.join(", ")
    );
    write_paragraph(out, &text, width)
}

/// What the whole's singular values say, in sentences, and their histogram.
fn words(out: &mut dyn Write, jacobians: &Jacobians, width: usize) -> io::Result<()> {
    // That of the run whose largest singular value is the median.
    let mut spectra: Vec<&Spectrum> = jacobians.runs.iter().map(|run| &run.end_to_end).collect();
    let size = |spectrum: &Spectrum| spectrum.log10_largest().unwrap_or(f64::NEG_INFINITY);
    spectra.sort_by(|a, b| size(a).total_cmp(&size(b)));
    let Some(spectrum) = spectra.get(spectra.len().saturating_sub(1) / 2) else {
        return Ok(());
    };
    let Some(largest) = spectrum.log10_largest() else {
        return write_paragraph(
            out,
            "No direction passes: every singular value is zero.",
            width,
        );
    };
    if !spectrum.complete {
        let values = spectrum.log10_singular_values.iter().flatten();
        let values: Vec<String> = values.map(|&value| power(value)).collect();
        let error = spectrum.errors.iter().copied().fold(0.0, f64::max);
        let text = format!(
            "Too large for all singular values; the {} largest end to end, each within {:.1} % of \
             the largest: {}.",
            values.len(),
            100.0 * error,
            values.join(", ")
        );
        return write_paragraph(out, &text, width);
    }
    let count = spectrum.log10_singular_values.len();
    let surviving = (spectrum.surviving_fraction.unwrap_or(0.0) * count as f64).round() as usize;
    let range = match spectrum.log10_smallest() {
        _ if count == 1 => change(largest),
        Some(smallest) if spectrum.log10_condition.is_some() => {
            format!("between {} and {}", change(smallest), change(largest))
        }
        _ => format!(
            "at most {}; in some directions nothing arrives",
            change(largest)
        ),
    };
    let which = match jacobians.runs.len() {
        1 => "End to end, ",
        _ => "End to end, in the middle run, ",
    };
    let kept = match surviving {
        1 => "1 keeps".to_owned(),
        more => format!("{} keep", grouped(more)),
    };
    let text = format!(
        "{which}a gradient changes on its way from output to input by {range}. Of {}, {kept} at \
         least a tenth of the largest; rank {} above the rounding of {}.",
        plural(count, "direction"),
        grouped(spectrum.rank.unwrap_or(0)),
        jacobians.dtype,
    );
    write_paragraph(out, &text, width)?;
    histogram(out, spectrum, largest)
}

/// How many singular values lie where, on an axis of decades down to the rounding.
fn histogram(out: &mut dyn Write, spectrum: &Spectrum, largest: f64) -> io::Result<()> {
    const HEIGHTS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let count = spectrum.rank.unwrap_or(0);
    let values = spectrum.log10_singular_values.iter().take(count).flatten();
    let smallest = values.clone().copied().fold(largest, f64::min);
    if largest - smallest < 1e-3 {
        return Ok(());
    }
    if count <= FEW {
        let values: Vec<String> = values.map(|&value| power(value)).collect();
        return writeln!(out, "Singular values: {}.", values.join(", "));
    }
    let mut bins = [0usize; BINS];
    for value in values {
        let place = (value - smallest) / (largest - smallest) * BINS as f64;
        bins[(place as usize).min(BINS - 1)] += 1;
    }
    let most = bins.iter().copied().max().unwrap_or(1).max(1);
    let bar = |&bin: &usize| HEIGHTS[(bin * 8).div_ceil(most)];
    let bars: String = bins.iter().map(bar).collect();
    writeln!(out)?;
    writeln!(out, "{} {bars} {}", power(smallest), power(largest))
}

/// 10^log10, written out where that is short.
fn power(log10: f64) -> String {
    if (-2.0..4.0).contains(&log10) {
        let value = libm::exp10(log10);
        return match value {
            value if value < 0.1 => format!("{value:.4}"),
            value if value < 10.0 => format!("{value:.3}"),
            value => format!("{value:.0}"),
        };
    }
    power_of_ten(log10)
}

/// A factor and the decades it is.
fn change(log10: f64) -> String {
    format!("×{} ({log10:+.1} decades)", power(log10))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_short() {
        for (log10, text) in [
            (0.0, "1.000"),
            (-1.5, "0.0316"),
            (3.2, "1585"),
            (-0.00001, "1.000"),
            (-9.999_99, "1.0e-10"),
            (7.1, "1.3e7"),
        ] {
            assert_eq!(power(log10), text);
        }
    }
}

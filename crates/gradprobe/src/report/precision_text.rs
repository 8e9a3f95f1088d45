//! The section of a check's text about precision: what each type makes of the gradient.

use super::escape::escape;
use super::layout::{fitted_name, percent, plural, write_paragraph};
use super::text_options::CheckTextOptions;
use crate::measure::precision::{
    DYNAMIC_SCALE_START, LayerPrecision, LossScaleWindow, PrecisionReport,
};
use crate::num::Dtype;
use std::io::{self, Write};

/// Layers that are shown of a setting.
const MOST_LAYERS: usize = 6;
const NAME_WIDTH: usize = 16;
/// A share from which on a layer is worth a row.
const SHOWN_SHARE: f64 = 0.005;
/// A share of lost updates from which on they are worth a word.
const LOST_UPDATES: f64 = 0.5;

/// A column: its two-line heading, its width, and the cell of a row.
type Column = ([&'static str; 2], usize, fn(&Row) -> String);

const COLUMNS: [Column; 7] = [
    (["true", "zero"], 5, |row| percent(row.true_zero)),
    (["cancel-", "led"], 7, |row| percent(row.cancelled)),
    (["under-", "flowed"], 6, |row| percent(row.underflowed)),
    (["", "rounded"], 7, |row| percent(row.rounded)),
    (["over-", "flowed"], 6, |row| percent(row.overflowed)),
    (["lost", "update"], 6, |row| {
        row.lost_update.map_or_else(String::new, percent)
    }),
    (["relative", "error"], 8, |row| {
        row.relative_error.map_or_else(String::new, error)
    }),
];

/// What a row of the table shows.
struct Row {
    name: String,
    true_zero: f64,
    cancelled: f64,
    underflowed: f64,
    rounded: f64,
    overflowed: f64,
    lost_update: Option<f64>,
    relative_error: Option<f64>,
}

/// Writes the section; nothing where precision was not asked for.
pub(super) fn write(
    out: &mut dyn Write,
    reports: &[PrecisionReport],
    options: &CheckTextOptions,
) -> io::Result<()> {
    let Some(first) = reports.first() else {
        return Ok(());
    };
    let seed = first.seed;
    let heading = format!(
        "precision (seed {seed}): shares of the gradient's entries, by what a type makes of them"
    );
    writeln!(out)?;
    write_paragraph(out, &heading, options.width)?;
    writeln!(out)?;
    for line in 0..2 {
        let first = if line == 0 { "" } else { "setting" };
        write!(out, "{first:NAME_WIDTH$}")?;
        for (heading, width, _) in COLUMNS {
            write!(out, " {:>width$}", heading[line])?;
        }
        writeln!(out)?;
    }
    for report in reports {
        rows(out, report, options)?;
    }
    writeln!(out)?;
    for report in reports {
        let text = format!("{}: {}", report.precision, sentences(report));
        write_paragraph(out, &text, options.width)?;
    }
    Ok(())
}

fn rows(
    out: &mut dyn Write,
    report: &PrecisionReport,
    options: &CheckTextOptions,
) -> io::Result<()> {
    let mut row = |row: &Row| {
        write!(out, "{:NAME_WIDTH$}", row.name)?;
        for (_, width, cell) in COLUMNS {
            write!(out, " {:>width$}", cell(row))?;
        }
        writeln!(out)
    };
    row(&Row::total(report))?;
    let suffers = |layer: &&LayerPrecision| {
        let lost_update = layer.lost_update.is_some_and(|share| share >= LOST_UPDATES);
        layer.lost() >= SHOWN_SHARE || lost_update || layer.needs_wider_type()
    };
    let layers = report.layers.iter().filter(|layer| layer.entries > 0);
    let shown: Vec<&LayerPrecision> = if options.all_layers {
        layers.collect()
    } else {
        layers.filter(suffers).collect()
    };
    let most = if options.all_layers {
        shown.len()
    } else {
        MOST_LAYERS
    };
    for layer in shown.iter().take(most) {
        row(&Row::of(layer))?;
    }
    if shown.len() > most {
        let left_out = plural(shown.len() - most, "layer");
        writeln!(out, "  … {left_out} more (--all-layers shows them)")?;
    }
    Ok(())
}

impl Row {
    fn of(layer: &LayerPrecision) -> Self {
        Self {
            name: format!("  {}", fitted_name(&layer.name, NAME_WIDTH - 2)),
            true_zero: layer.true_zero,
            cancelled: layer.cancelled,
            underflowed: layer.underflowed,
            rounded: layer.rounded,
            overflowed: layer.overflowed,
            lost_update: layer.lost_update,
            relative_error: layer.relative_error,
        }
    }

    fn total(report: &PrecisionReport) -> Self {
        let any_update = report
            .layers
            .iter()
            .any(|layer| layer.lost_update.is_some());
        Self {
            name: report.precision.clone(),
            true_zero: report.share(|layer| layer.true_zero),
            cancelled: report.share(|layer| layer.cancelled),
            underflowed: report.share(|layer| layer.underflowed),
            rounded: report.share(|layer| layer.rounded),
            overflowed: report.share(|layer| layer.overflowed),
            lost_update: any_update.then(|| report.share(|layer| layer.lost_update.unwrap_or(0.0))),
            relative_error: report.relative_error,
        }
    }
}

/// What is said before and after the names of the layers that it applies to.
type Reason = (&'static str, &'static str, fn(&LayerPrecision) -> bool);

/// What is to be known about a setting, in sentences.
fn sentences(report: &PrecisionReport) -> String {
    let mut parts = vec![window(report)];
    let lost = report.share(|layer| layer.lost_update.unwrap_or(0.0));
    if lost >= LOST_UPDATES {
        parts.push(format!(
            "{} of the updates round away: keep a copy of the weights in f32",
            percent(lost)
        ));
    }
    let reasons: [Reason; 3] = [
        ("the forward signal overflows in", "", |layer| {
            layer.overflows_forward
        }),
        (
            "derivatives cancel (1 − y² where y rounds to 1) in",
            "",
            |layer| layer.derivatives_cancel,
        ),
        ("no loss scale lifts", " off the type's floor", |layer| {
            layer.beyond_loss_scale && !layer.overflows_forward && !layer.derivatives_cancel
        }),
    ];
    for (before, after, applies) in reasons {
        let layers = report.layers.iter().filter(|layer| applies(layer));
        let names: Vec<&str> = layers.map(|layer| layer.name.as_str()).collect();
        if !names.is_empty() {
            parts.push(format!("{before} {}{after}", listed(&names)));
        }
    }
    let has_wider = report.dtype() != Some(Dtype::F64);
    let wanting = report.need_wider_type().count();
    if has_wider && wanting > 0 && wanting == report.layers.len() {
        parts.push("every layer wants a wider type".into());
    } else if has_wider && wanting > 0 {
        let what = if wanting == 1 {
            "that layer"
        } else {
            "those layers"
        };
        parts.push(format!("keep {what} in a wider type"));
    }
    parts.join("; ")
}

fn listed(names: &[&str]) -> String {
    const SHOWN: usize = 4;
    let mut list: Vec<String> = names
        .iter()
        .take(SHOWN)
        .map(|name| format!("`{}`", escape(name)))
        .collect();
    if names.len() > SHOWN {
        list.push(plural(names.len() - SHOWN, "layer") + " more");
    }
    list.join(", ")
}

fn window(report: &PrecisionReport) -> String {
    let LossScaleWindow {
        log2_smallest,
        log2_largest,
    } = report.window;
    let start = DYNAMIC_SCALE_START.log2() as i64;
    let is_scaled = report.dtype() == Some(Dtype::F16);
    let scaler = |settles: i64| match is_scaled {
        true => {
            format!(" (PyTorch's dynamic scaler starts at 2^{start} and settles at 2^{settles})")
        }
        false => String::new(),
    };
    let window = match (log2_smallest, log2_largest) {
        (Some(smallest), Some(largest)) if smallest > largest => format!(
            "no loss scale serves: less than 2^{smallest} loses 1% of a layer or more, more than \
             2^{largest} overflows{}",
            scaler(largest)
        ),
        (_, Some(largest)) if report.window.holds_one() && largest > start => {
            "needs no loss scale".into()
        }
        (Some(smallest), Some(largest)) => format!(
            "a loss scale of 2^{smallest} to 2^{largest} loses less than 1% of every layer and \
             overflows nowhere{}",
            scaler(largest)
        ),
        _ => "there is no gradient to scale".into(),
    };
    match report.loss_scale {
        1.0 => window,
        scale => format!("run at a loss scale of {}; {window}", power_of_two(scale)),
    }
}

fn power_of_two(scale: f64) -> String {
    match scale.log2() {
        exponent if exponent.fract() == 0.0 => format!("2^{exponent:.0}"),
        _ => format!("{scale}"),
    }
}

fn error(error: f64) -> String {
    match error {
        0.0 => "0".into(),
        error if error >= 0.01 => format!("{error:.2}"),
        error => format!("{error:.0e}"),
    }
}

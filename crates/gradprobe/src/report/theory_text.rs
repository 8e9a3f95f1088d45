//! What theory says, as text in 80 columns.

use super::escape::escape;
use super::layout::{columns_of, plural, write_wrapped};
use super::theory_json::TheoryAnswer;
use crate::diagnose::experiment::{CaseResult, Comparison, MeasuredDiagram};
use crate::theory::mean_field::Stability;
use crate::theory::outlook::{Change, GainOutlook, LOST_DECADES, Outlook, PointOutlook};
use std::io::{self, Write};

const NAME_WIDTH: usize = 21;

/// Writes what theory says of an activation, and what was measured with its gains, where it was:
/// one comparison a gain.
///
/// # Errors
/// If the writer fails.
pub fn write_theory_text(
    out: &mut dyn Write,
    answer: &TheoryAnswer,
    width: usize,
) -> io::Result<()> {
    let TheoryAnswer {
        outlook,
        measured,
        phase_diagram,
    } = answer;
    let mut say = |text: String, rest: usize| write_wrapped(out, &text, width, (0, rest));
    say(
        format!(
            "{}: dense layers, {}, {} of {}",
            escape(&outlook.activation),
            biases(outlook),
            plural(outlook.depth, "layer"),
            plural(outlook.width, "unit")
        ),
        2,
    )?;
    say(format!("class: {}", outlook.class_in_words), 2)?;
    match (&outlook.critical, &outlook.no_critical) {
        (Some(point), _) => say(format!("critical gain: {}", point_in_words(point)), 2)?,
        (None, Some(why)) => say(format!("critical gain: {why}"), 2)?,
        (None, None) => {}
    }
    if let Some(point) = &outlook.half_stable {
        say(format!("half-stable point: {}", point_in_words(point)), 2)?;
    }
    writeln!(out)?;
    gains(out, outlook)?;
    writeln!(out)?;
    if !measured.is_empty() {
        comparisons(out, measured, width)?;
        writeln!(out)?;
    }
    let diagram = phase_diagram.as_ref();
    if let Some(measured) = diagram.and_then(|diagram| diagram.measured.as_ref()) {
        write_wrapped(out, &grid(measured), width, (0, 2))?;
        writeln!(out)?;
    }
    if let Some(gain) = outlook.main_gain() {
        details(out, outlook, gain, width)?;
    }
    Ok(())
}

/// What was measured over the plane, in a sentence or two.
fn grid(measured: &MeasuredDiagram) -> String {
    let settings = &measured.settings;
    let [across, up] = settings.points;
    let each = if settings.networks == 1 {
        "a network".to_owned()
    } else {
        format!("{} networks", settings.networks)
    };
    let mut text = format!(
        "phase diagram measured at {across} × {up} points, {each} at each ({} of {}, batch {})",
        plural(settings.depth, "layer"),
        settings.width,
        settings.batch
    );
    let mut rates: Vec<f64> = measured
        .grid
        .iter()
        .filter_map(|point| point.measured_rate)
        .collect();
    rates.sort_by(f64::total_cmp);
    if let (Some(least), Some(most)) = (rates.first(), rates.last()) {
        text.push_str(&format!(
            ": squared gradient ×{} to ×{} a layer",
            short(least.exp()),
            short(most.exp())
        ));
    }
    let mut off: Vec<f64> = measured
        .grid
        .iter()
        .filter_map(|point| Some((point.measured_rate? - point.predicted_rate?).abs()))
        .collect();
    off.sort_by(f64::total_cmp);
    if let Some(median) = off.get(off.len() / 2) {
        text.push_str(&format!(
            "; at half of them theory is off by at most {:.1} %",
            100.0 * median.exp_m1()
        ));
    }
    match settings.point_count() - rates.len() {
        0 => {}
        none => text.push_str(&format!("; no signal at {}", plural(none, "point"))),
    }
    text
}

fn biases(outlook: &Outlook) -> String {
    if outlook.sigma_b == 0.0 {
        return "no bias".into();
    }
    format!(
        "σ_b = {} (σ_b² = {})",
        figure(outlook.sigma_b),
        figure(outlook.sigma_b_squared)
    )
}

fn point_in_words(point: &PointOutlook) -> String {
    let q = if point.stability == Stability::Marginal {
        "any q".into()
    } else {
        format!("q* = {}", figure(point.q))
    };
    format!(
        "σ_w = {} (σ_w² = {}), σ_b = {} (σ_b² = {}), {q}, χ∥ = {}: {}",
        figure(point.sigma_w),
        figure(point.sigma_w_squared),
        figure(point.sigma_b),
        figure(point.sigma_b_squared),
        figure(point.chi_parallel),
        point.stability.in_words()
    )
}

/// Seven significant digits, without trailing zeros.
fn figure(value: f64) -> String {
    if value == 0.0 {
        return "0".into();
    }
    if !value.is_finite() {
        return if value.is_nan() {
            "-"
        } else if value > 0.0 {
            "∞"
        } else {
            "-∞"
        }
        .into();
    }
    let exponent = value.abs().log10().floor();
    if !(-4.0..7.0).contains(&exponent) {
        return format!("{value:.3e}");
    }
    let places = (6.0 - exponent).max(0.0) as usize;
    let text = format!("{value:.places$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

/// At most eight columns.
fn short(value: f64) -> String {
    match value {
        0.0 => "0".into(),
        value if !value.is_finite() => figure(value),
        value if value.abs() >= 1e5 || value.abs() < 1e-3 => format!("{value:.1e}"),
        value if value.abs() >= 1e3 => format!("{value:.1}"),
        value => format!("{value:.4}"),
    }
}

fn gains(out: &mut dyn Write, outlook: &Outlook) -> io::Result<()> {
    let after = plural(outlook.depth, "layer");
    for [name, gain, chi, length, factor, lost, decades] in [
        [
            "",
            "",
            "squared",
            "length",
            "norm",
            "lost",
            &format!("{after},"),
        ],
        ["gain", "σ_w", "χ1", "q*", "a layer", "after", "decades"],
    ] {
        writeln!(
            out,
            "{name:NAME_WIDTH$} {gain:>8} {chi:>8} {length:>8} {factor:>8} {lost:>6} {decades:>15}"
        )?;
    }
    for gain in &outlook.gains {
        let name = gain.names.join(", ");
        let padding = NAME_WIDTH.saturating_sub(columns_of(&name));
        let lost = gain
            .survives
            .map_or("> 2000".into(), |layers| layers.to_string());
        let decades = if gain.decades.abs() < 1000.0 {
            format!("{:+.2} ± {:.2}", gain.decades, gain.decades_deviation)
        } else {
            format!("{:+.0} ± {:.0}", gain.decades, gain.decades_deviation)
        };
        let factor = match gain.change {
            Change::PowerLaw => "power".into(),
            _ => format!("×{}", short(gain.chi_1.sqrt())),
        };
        writeln!(
            out,
            "{name}{:padding$} {:>8} {:>8} {:>8} {factor:>8} {lost:>6} {decades:>15}",
            "",
            short(gain.sigma_w),
            short(gain.chi_1),
            if gain.stability == Some(Stability::Marginal) {
                "any".into()
            } else {
                short(gain.q)
            },
        )?;
    }
    Ok(())
}

fn comparisons(out: &mut dyn Write, measured: &[Comparison], width: usize) -> io::Result<()> {
    let Some(first) = measured.first() else {
        return Ok(());
    };
    let head = format!(
        "measured on {}, {}: the squared gradient a layer",
        plural(first.networks, "network"),
        first.setting
    );
    write_wrapped(out, &head, width, (0, 2))?;
    writeln!(
        out,
        "{:NAME_WIDTH$} {:>9} {:>9} {:>18}",
        "gain", "theory", "band", "measured"
    )?;
    for comparison in measured {
        let (theory, got) = (
            comparison.predicted_rate.exp(),
            comparison.measured_rate.exp(),
        );
        let name = &comparison.name;
        let padding = NAME_WIDTH.saturating_sub(columns_of(name));
        let band = format!("±{:.2}%", 100.0 * comparison.band);
        let error = format!("×{got:.4} ± {:.4}", comparison.standard_error * got);
        let word = if comparison.inside {
            "inside the band"
        } else {
            "OUTSIDE the band"
        };
        writeln!(
            out,
            "{name}{:padding$} {:>9} {band:>9} {error:>18} {word:>18}",
            "",
            format!("×{theory:.4}"),
        )?;
    }
    spectra(out, measured, width)
}

/// The singular values of the Jacobians, where they were measured.
fn spectra(out: &mut dyn Write, measured: &[Comparison], width: usize) -> io::Result<()> {
    let spread = |comparison: &Comparison| {
        Some((
            comparison.predicted_largest?,
            comparison.measured_largest?,
            comparison.predicted_relative_variance?,
            comparison.measured_relative_variance?,
        ))
    };
    if measured
        .iter()
        .all(|comparison| spread(comparison).is_none())
    {
        return Ok(());
    }
    let head = "singular values of the whole Jacobian, theory (for a depth far below the width) \
                and measured: the largest, and the variance of the squares over their mean's square";
    write_wrapped(out, head, width, (0, 2))?;
    for comparison in measured {
        let Some((largest, measured_largest, variance, measured_variance)) = spread(comparison)
        else {
            continue;
        };
        let name = &comparison.name;
        let padding = NAME_WIDTH.saturating_sub(columns_of(name));
        writeln!(
            out,
            "{name}{:padding$} {:>9} {:>9} {:>18} {:>18}",
            "",
            short(largest),
            short(measured_largest),
            short(variance),
            short(measured_variance)
        )?;
    }
    Ok(())
}

fn details(
    out: &mut dyn Write,
    outlook: &Outlook,
    gain: &GainOutlook,
    width: usize,
) -> io::Result<()> {
    let mut say = |text: String| write_wrapped(out, &text, width, (0, 2));
    let layers = plural(outlook.depth, "layer");
    say(format!(
        "with σ_w = {} (σ_w² = {}):",
        figure(gain.sigma_w),
        figure(gain.sigma_w_squared)
    ))?;
    let length = match (gain.stability, gain.chi_parallel) {
        (Some(Stability::Marginal), _) => "the length stays where it is put".to_owned(),
        (Some(stability), Some(chi_parallel)) => format!(
            "the length goes to q* = {} ({}), χ∥ = {}{}",
            figure(gain.q),
            stability.in_words(),
            figure(chi_parallel),
            match gain.length_depth_scale {
                Some(scale) if scale.is_finite() && scale > 0.0 =>
                    format!(", ξ_q = {} layers", short(scale)),
                _ => String::new(),
            }
        ),
        _ if gain.q == 0.0 => "the length goes to 0".to_owned(),
        _ => "the length grows without end".to_owned(),
    };
    say(format!("- {length}"))?;
    let law = match gain.change {
        Change::Constant => "χ1 = 1: the gradient keeps its size".to_owned(),
        Change::PowerLaw => {
            "χ1 → 1: the gradient falls as a power of the depth, not exponentially".to_owned()
        }
        Change::Exponential => format!(
            "χ1 = {}: the gradient {} exponentially, ξ_∇ = {} layers",
            figure(gain.chi_1),
            if gain.chi_1 < 1.0 {
                "vanishes"
            } else {
                "explodes"
            },
            short(gain.gradient_depth_scale.abs())
        ),
    };
    let lost = gain.survives.map_or_else(
        || "more than 2000 layers".to_owned(),
        |layers| plural(layers, "layer"),
    );
    say(format!(
        "- {law}; its norm changes by {LOST_DECADES} decades in {lost}"
    ))?;
    if let (Some(c), Some(scale)) = (gain.correlation, gain.correlation_depth_scale) {
        let trainable = if scale.is_infinite() {
            ", ξ_c = ∞: as a power of the depth, not exponentially".to_owned()
        } else if scale > 0.0 {
            format!(
                ", ξ_c = {} layers: trainable to about {} (6 ξ_c, Schoenholz 2017)",
                short(scale),
                plural((6.0 * scale) as usize, "layer")
            )
        } else {
            String::new()
        };
        say(format!(
            "- two inputs' correlation goes to c* = {}{trainable}",
            short(c)
        ))?;
    }
    say(format!(
        "- width {}: ln of the squared gradient over {layers} is {} ± {} over networks (log-normal)",
        outlook.width,
        figure_signed(gain.log_normal.mean),
        short(gain.log_normal.deviation())
    ))?;
    if let (Some(gaussian), Some(orthogonal)) = (gain.gaussian, gain.orthogonal) {
        say(format!(
            "- Jacobian of {layers}: squared singular values vary by {} (Gaussian weights) or {} \
             (orthogonal) around their mean {}; the largest is {} or {}",
            short(gaussian.relative_variance),
            short(orthogonal.relative_variance),
            short(gaussian.mean_square),
            short(gaussian.largest_singular_value),
            short(orthogonal.largest_singular_value)
        ))?;
    }
    say(format!(
        "- with layer norm: squared gradient ×{} a layer",
        figure(gain.layer_norm_rate)
    ))?;
    say(format!(
        "- as residual blocks x + φ(Wx): {:+.2} decades over {layers}; branches × 1/√{}: {:+.2}; \
         with layer norm before each branch: {:+.2}",
        gain.residual_decades,
        outlook.depth,
        gain.scaled_residual_decades,
        gain.pre_norm_residual_decades
    ))?;
    let rate = outlook.batch_norm_rate.map_or_else(
        || format!("no finite rate for batches of {}", outlook.batch),
        |rate| {
            format!(
                "squared gradient ×{} a layer for batches of {}",
                figure(rate),
                outlook.batch
            )
        },
    );
    say(format!(
        "with batch norm, any gain: {rate}; ×{} for large ones",
        figure(outlook.batch_norm_rate_of_large_batches)
    ))?;
    say(format!(
        "in a recurrent network (sup|φ'| = {}): a recurrent weight whose largest singular value is \
         below {} is sure to make gradients vanish; above, they may explode (a bound, no proof)",
        figure(outlook.steepest),
        figure(outlook.recurrent_bound)
    ))
}

fn figure_signed(value: f64) -> String {
    format!("{value:+.4}")
}

/// Writes the results of published experiments.
///
/// # Errors
/// If the writer fails.
pub fn write_experiments_text(
    out: &mut dyn Write,
    results: &[CaseResult],
    width: usize,
) -> io::Result<()> {
    let mut source = "";
    for result in results {
        if source != result.source {
            source = result.source;
            writeln!(out, "{}: {source}", result.experiment)?;
        }
        let word = if result.inside { "inside" } else { "OUTSIDE" };
        let text = format!(
            "{}: {} expected {} {}, measured {}: {word}",
            result.setting,
            result.quantity,
            short(result.expected),
            result.tolerance_in_words,
            short(result.measured),
        );
        write_wrapped(out, &text, width, (2, 4))?;
    }
    Ok(())
}

//! Theory beside a check, in a few lines.

use super::escape::escape;
use super::layout::{plural, write_wrapped};
use crate::diagnose::factor_in_words;
use crate::measure::{BesideTheory, TheoryStretch};
use std::io::{self, Write};

/// Stretches that are told; a network that has more says how many are left out.
const MOST_STRETCHES: usize = 5;
/// Deviating layers that are named.
const MOST_LAYERS: usize = 4;

/// Writes what theory says of a network's stretches, a paragraph each, or why it is silent.
///
/// # Errors
/// If the writer fails.
pub fn write_check_theory(
    out: &mut dyn Write,
    theory: &BesideTheory,
    width: usize,
) -> io::Result<()> {
    let mut say = |text: &str| write_wrapped(out, &escape(text), width, (0, 2));
    if let Some(why) = &theory.silent {
        return say(&format!("theory: silent: {why}"));
    }
    for stretch in theory.stretches.iter().take(MOST_STRETCHES) {
        say(&paragraph(stretch))?;
    }
    match theory.stretches.len().saturating_sub(MOST_STRETCHES) {
        0 => Ok(()),
        more => say(&format!(
            "theory: {} more in the JSON",
            plural(more, "stretch")
        )),
    }
}

fn paragraph(stretch: &TheoryStretch) -> String {
    let norm = if stretch.batch_norm {
        ", batch norm"
    } else {
        ""
    };
    let bias = if stretch.sigma_b > 0.0 {
        format!(", σ_b = {:.3}", stretch.sigma_b)
    } else {
        String::new()
    };
    let error = stretch
        .measured_error
        .map_or_else(String::new, |error| format!(" ± {}", rounded(error)));
    let mut text = format!(
        "theory for `{}` to `{}` ({}{norm}, σ_w = {:.3}{bias}): backward ×{} a layer, measured ×{}{error}",
        stretch.first,
        stretch.last,
        stretch.activation,
        stretch.sigma_w,
        factor_in_words(stretch.predicted_factor),
        factor_in_words(stretch.measured_factor),
    );
    for deviation in stretch.deviating.iter().take(MOST_LAYERS) {
        text.push_str(&match deviation.weight_ratio {
            Some(ratio) if ratio < 1.0 => format!(
                "; `{}` deviates: its weights are {}× too small",
                deviation.layer,
                times(1.0 / ratio)
            ),
            Some(ratio) => format!(
                "; `{}` deviates: its weights are {}× too large",
                deviation.layer,
                times(ratio)
            ),
            None => format!(
                "; it leaves the band at `{}`, ×{} where ×{} is expected",
                deviation.layer,
                factor_in_words(deviation.measured_factor),
                factor_in_words(deviation.predicted_factor)
            ),
        });
    }
    let more = stretch.deviating.len().saturating_sub(MOST_LAYERS);
    if more > 0 {
        text.push_str(&format!("; {} more", plural(more, "layer")));
    }
    text
}

fn times(ratio: f64) -> String {
    if ratio < 10.0 {
        format!("{ratio:.1}")
    } else {
        format!("{ratio:.0}")
    }
}

/// Two digits of an error.
fn rounded(error: f64) -> String {
    if error == 0.0 || !error.is_finite() {
        return "0".into();
    }
    let places = (1.0 - error.log10().floor()).clamp(0.0, 6.0) as usize;
    let text = format!("{error:.places$}");
    if error < 1e-6 { "0".into() } else { text }
}

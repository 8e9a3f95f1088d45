//! The phase diagram of an activation: σ_w × σ_b, the edge of chaos and the lines of equal χ1.

use super::chart::{Chart, Curve, Mark};
use crate::num::roots::brent;
use crate::ops::activation::Activation;
use crate::theory::mean_field::{CriticalPoint, edge_of_chaos};
use crate::theory::mean_field::{Moments, Stability};
use crate::theory::outlook::Outlook;
use std::io::{self, Write};

/// χ1 of the lines beside the edge, and their colours: blue where gradients vanish.
const LINES: [(f64, &str); 6] = [
    (0.5, "#0a3069"),
    (0.8, "#0969da"),
    (0.9, "#80ccff"),
    (1.1, "#ffb77c"),
    (1.25, "#e16f24"),
    (1.5, "#953800"),
];
const EDGE: &str = "#1f2328";
const UNSTABLE: &str = "#cf222e";

/// Writes the diagram as SVG.
///
/// Lines are parametrised by q, as the edge is: σ_w² = χ/E φ′², σ_b² = q − σ_w² E φ². A line is
/// drawn where the length stays (χ∥ < 1).
///
/// # Errors
/// If the writer fails.
pub fn write_phase_diagram(
    out: &mut dyn Write,
    activation: &dyn Activation,
    outlook: &Outlook,
) -> io::Result<()> {
    out.write_all(chart(activation, outlook).svg().as_bytes())
}

fn lengths() -> impl Iterator<Item = f64> {
    (0..=720).map(|k| libm::exp(-18.0 + 0.05 * f64::from(k)))
}

fn chart(activation: &dyn Activation, outlook: &Outlook) -> Chart {
    let edge = edge_of_chaos(activation, lengths());
    let points = outlook.critical.iter().chain(&outlook.half_stable);
    let furthest = points
        .clone()
        .map(|point| point.sigma_w)
        .chain(outlook.gains.iter().map(|gain| gain.sigma_w))
        .fold(1.0, f64::max);
    let highest = points
        .map(|point| point.sigma_b)
        .fold(outlook.sigma_b, f64::max);
    let x = (0.0, round_up(1.5 * furthest));
    let y = (0.0, round_up((1.6 * highest).max(0.5)));
    let mut curves = Vec::new();
    for (chi, colour) in LINES {
        let points = line(activation, chi);
        let is_seen = |(across, up): &(f64, f64)| *across <= x.1 && *up <= y.1;
        if !points.iter().any(is_seen) {
            continue;
        }
        curves.push(Curve {
            name: format!("χ1 = {chi}"),
            points,
            colour,
            thickness: 1.5,
            dashed: false,
        });
    }
    let at = |point: &CriticalPoint| (point.weights.sigma_w(), point.biases.sigma_b());
    let part = |stable: bool| -> Vec<(f64, f64)> {
        edge.iter()
            .map(|point| {
                let stays = point.chi_parallel <= 1.0 + 1e-9;
                if stays == stable {
                    at(point)
                } else {
                    (f64::NAN, f64::NAN)
                }
            })
            .collect()
    };
    let (stable, unstable) = (part(true), part(false));
    let any = |points: &[(f64, f64)]| points.iter().any(|(x, _)| x.is_finite());
    // A scale-invariant activation has a point in place of a line.
    let is_line = outlook.class != "scale-invariant";
    if any(&stable) && is_line {
        curves.push(Curve {
            name: "edge of chaos".into(),
            points: stable,
            colour: EDGE,
            thickness: 3.0,
            dashed: false,
        });
    }
    if any(&unstable) && is_line {
        curves.push(Curve {
            name: "χ1 = 1, unstable".into(),
            points: unstable,
            colour: UNSTABLE,
            thickness: 2.0,
            dashed: true,
        });
    }
    let mut marks = Vec::new();
    if let Some(point) = &outlook.critical {
        marks.push(Mark {
            at: (point.sigma_w, point.sigma_b),
            name: "critical".into(),
            filled: true,
        });
    }
    if let Some(point) = &outlook.half_stable {
        marks.push(Mark {
            at: (point.sigma_w, point.sigma_b),
            name: "half-stable".into(),
            filled: point.stability == Stability::Stable,
        });
    }
    for gain in &outlook.gains {
        if !gain.names.iter().any(|name| name == "critical") {
            marks.push(Mark {
                at: (gain.sigma_w, outlook.sigma_b),
                name: gain.names.join(", "),
                filled: false,
            });
        }
    }
    Chart {
        title: format!(
            "Where do the gradients of {} vanish or explode?",
            outlook.activation
        ),
        x_name: "σ_w (the gain; its square is the weights' variance times fan_in)".into(),
        y_name: "σ_b".into(),
        x,
        y,
        curves,
        marks,
        words: Vec::new(),
    }
}

/// The points (σ_w, σ_b) whose stable fixed point has the given χ1.
fn line(activation: &dyn Activation, chi: f64) -> Vec<(f64, f64)> {
    const GAP: (f64, f64) = (f64::NAN, f64::NAN);
    let moments = Moments::of(activation);
    let at = |q: f64| {
        let sigma_w_squared = chi / moments.derivative_square(q);
        (sigma_w_squared, q - sigma_w_squared * moments.square(q))
    };
    let mut points = Vec::new();
    let mut before: Option<(f64, f64)> = None;
    for q in lengths() {
        let (sigma_w_squared, sigma_b_squared) = at(q);
        // The line goes on to the axis, between two lengths.
        if let Some((from, other)) = before
            && (other < 0.0) != (sigma_b_squared < 0.0)
            && let Some(root) = brent(from, q, |q| at(q).1)
        {
            points.push((at(root).0.sqrt(), 0.0));
        }
        before = Some((q, sigma_b_squared));
        let stays = sigma_w_squared * moments.square_slope(q) < 1.0;
        points.push(if stays && sigma_b_squared >= 0.0 {
            (sigma_w_squared.sqrt(), sigma_b_squared.sqrt())
        } else {
            GAP
        });
    }
    points
}

/// A round number at or above.
fn round_up(value: f64) -> f64 {
    let power = 10f64.powf(value.log10().floor());
    let steps = [1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0];
    let fits = |times: &&f64| **times * power >= value;
    steps.iter().find(fits).map_or(value, |times| times * power)
}

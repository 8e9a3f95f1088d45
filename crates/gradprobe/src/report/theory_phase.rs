//! The phase diagram of an activation: σ_w × σ_b, the edge of chaos and the lines of equal χ1, over
//! the rates that were measured where they were.

use super::chart::{Area, Chart, Curve, Mark};
use crate::diagnose::experiment::{GridPoint, MeasuredDiagram};
use crate::num::roots::brent;
use crate::ops::activation::Activation;
use crate::theory::mean_field::{CriticalPoint, edge_of_chaos};
use crate::theory::mean_field::{Moments, Stability};
use crate::theory::outlook::Outlook;
use serde::Serialize;

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

/// A point without a rate: a signal was zero or not finite.
const NO_RATE: &str = "#8c959f";

/// A phase diagram.
///
/// Lines are parametrised by q, as the edge is: σ_w² = χ/E φ′², σ_b² = q − σ_w² E φ². A line is
/// drawn where the length stays (χ∥ < 1).
#[derive(Clone, Debug, Serialize)]
pub struct PhaseDiagram {
    /// The edge of chaos, by q.
    pub edge_of_chaos: Vec<EdgePoint>,
    /// What was measured on the plane, where it was.
    pub measured: Option<MeasuredDiagram>,
    #[serde(skip)]
    chart: Chart,
}

/// A point of the edge of chaos: χ1 = 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct EdgePoint {
    /// σ_w.
    pub sigma_w: f64,
    /// σ_b.
    pub sigma_b: f64,
    /// q*.
    pub q: f64,
    /// χ∥: the length stays where it is below 1.
    pub chi_parallel: f64,
}

impl PhaseDiagram {
    /// The ends of the axes of the diagram that shows what an outlook tells: the largest σ_w and
    /// σ_b.
    pub fn plane(outlook: &Outlook) -> (f64, f64) {
        let points = outlook.critical.iter().chain(&outlook.half_stable);
        let furthest = points
            .clone()
            .map(|point| point.sigma_w)
            .chain(outlook.gains.iter().map(|gain| gain.sigma_w))
            .fold(1.0, f64::max);
        let highest = points
            .map(|point| point.sigma_b)
            .fold(outlook.sigma_b, f64::max);
        (round_up(1.5 * furthest), round_up((1.6 * highest).max(0.5)))
    }

    /// The diagram of an activation; `measured` is what was found on its plane.
    pub fn of(
        activation: &dyn Activation,
        outlook: &Outlook,
        measured: Option<MeasuredDiagram>,
    ) -> Self {
        let edge = edge_of_chaos(activation, lengths());
        let mut chart = chart(activation, outlook, &edge);
        if let Some(measured) = &measured {
            let settings = &measured.settings;
            chart.x.1 = settings.largest_sigma_w;
            chart.y.1 = settings.largest_sigma_b;
            chart.areas = areas(measured);
            chart.colours = colours(measured);
        }
        let edge_of_chaos = edge
            .iter()
            .map(|point| EdgePoint {
                sigma_w: point.weights.sigma_w(),
                sigma_b: point.biases.sigma_b(),
                q: point.q,
                chi_parallel: point.chi_parallel,
            })
            .filter(|point| point.sigma_w <= chart.x.1 && point.sigma_b <= chart.y.1)
            .collect();
        Self {
            edge_of_chaos,
            measured,
            chart,
        }
    }

    /// The picture.
    pub fn svg(&self) -> String {
        self.chart.svg()
    }
}

/// A cell for every point.
fn areas(measured: &MeasuredDiagram) -> Vec<Area> {
    let settings = &measured.settings;
    let half = |end: f64, count: usize| 0.5 * end / count as f64;
    let half_across = half(settings.largest_sigma_w, settings.points[0]);
    let half_up = half(settings.largest_sigma_b, settings.points[1]);
    let area = |point: &GridPoint| {
        let (x, y) = (point.sigma_w, point.sigma_b);
        let factor = |rate: Option<f64>| match rate {
            Some(rate) => format!("×{:.4}", libm::exp(rate)),
            None => "none".into(),
        };
        Area {
            from: (x - half_across, y - half_up),
            to: (x + half_across, y + half_up),
            colour: match point.measured_rate {
                Some(rate) => colour(libm::exp(rate)),
                None => NO_RATE.into(),
            },
            name: format!(
                "σ_w = {x:.4}, σ_b = {y:.4}: squared gradient a layer, measured {}, theory {}",
                factor(point.measured_rate),
                factor(point.predicted_rate)
            ),
        }
    };
    measured.grid.iter().map(area).collect()
}

/// What the cells' colours stand for; an empty colour is a line of text.
fn colours(measured: &MeasuredDiagram) -> Vec<(String, String)> {
    let line = |words: String| (String::new(), words);
    let mut list = vec![
        line("cells: squared".into()),
        line("gradient a layer,".into()),
        line("measured".into()),
    ];
    let (first, last) = (LINES[0].0, LINES[LINES.len() - 1].0);
    list.extend([last, 1.25, 1.1, 1.0, 0.9, 0.8, first].map(|chi| {
        let end = match chi {
            chi if chi == last => " or more",
            chi if chi == first => " or less",
            _ => "",
        };
        (colour(chi), format!("×{chi}{end}"))
    }));
    if measured
        .grid
        .iter()
        .any(|point| point.measured_rate.is_none())
    {
        list.push((NO_RATE.into(), "no signal".into()));
    }
    list
}

/// The colour of a factor: those of the lines of equal χ1, white where it is 1, between them by its
/// logarithm.
fn colour(factor: f64) -> String {
    const WHITE: (f64, &str) = (1.0, "#ffffff");
    let stops: Vec<(f64, &str)> = LINES[..3]
        .iter()
        .chain([&WHITE])
        .chain(&LINES[3..])
        .copied()
        .collect();
    let channels = |hex: &str| {
        [1, 3, 5].map(|at| {
            let pair = hex.get(at..at + 2).unwrap_or_default();
            f64::from(u8::from_str_radix(pair, 16).unwrap_or_default())
        })
    };
    let (first, last) = (stops[0], stops[stops.len() - 1]);
    let factor = factor.clamp(first.0, last.0);
    let after = stops.iter().skip(1).position(|stop| factor <= stop.0);
    let at = after.unwrap_or(stops.len() - 2);
    let (below, above) = (stops[at], stops[at + 1]);
    let share = libm::log(factor / below.0) / libm::log(above.0 / below.0);
    let (one, other) = (channels(below.1), channels(above.1));
    let mixed =
        |channel: usize| (one[channel] + share * (other[channel] - one[channel])).round() as u8;
    format!("#{:02x}{:02x}{:02x}", mixed(0), mixed(1), mixed(2))
}

fn lengths() -> impl Iterator<Item = f64> {
    (0..=720).map(|k| libm::exp(-18.0 + 0.05 * f64::from(k)))
}

fn chart(activation: &dyn Activation, outlook: &Outlook, edge: &[CriticalPoint]) -> Chart {
    let (furthest, highest) = PhaseDiagram::plane(outlook);
    let (x, y) = ((0.0, furthest), (0.0, highest));
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
        areas: Vec::new(),
        colours: Vec::new(),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_those_of_the_lines_and_white_at_the_edge() {
        for (chi, line) in LINES {
            assert_eq!(colour(chi), line);
        }
        assert_eq!(colour(1.0), "#ffffff");
        assert_eq!(colour(0.0), LINES[0].1);
        assert_eq!(colour(1e9), LINES[5].1);
    }
}

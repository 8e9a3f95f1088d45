//! How a signal changes with depth: exponentially, by a power law, in one step, or not.

use serde::{Deserialize, Serialize};

/// A change of less than this many decades over the whole depth is no trend.
const FLAT_DECADES: f64 = 0.5;
/// A single step that makes up this share of the whole change is the change.
const STEP_SHARE: f64 = 0.6;
/// A power law has to leave this share of the exponential's squared error, or less, to be called
/// one: both have two parameters, and over few layers they look alike.
const POWER_LAW_ADVANTAGE: f64 = 0.7;
/// Steeper powers than this are no law that theory knows (critical tanh and pre-LayerNorm
/// networks have ½) but an exponential that sets in on the way.
const STEEPEST_POWER: f64 = 2.0;
/// Fewer points than this cannot tell the laws apart.
const FEWEST_POINTS: usize = 5;
/// Among fewer points a step has to be all but the whole change: two equal steps have half each.
const STEP_SHARE_OF_FEW: f64 = 0.9;

/// The law that a signal follows over the layers.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Law {
    /// No change to speak of.
    Flat,
    /// The norm is multiplied by the same factor at every layer that it is followed through.
    Exponential {
        /// Decades a layer, in the direction in which the signal runs.
        decades_per_layer: f64,
        /// The factor a layer: 10^decades_per_layer.
        factor_per_layer: f64,
    },
    /// The norm goes as a power of the distance from one end.
    PowerLaw {
        /// The exponent: norm ∝ distance^exponent.
        exponent: f64,
        /// Is the distance counted from the network's input (true) or output (false)?
        from_input: bool,
    },
    /// Most of the change happens between two neighbouring layers.
    Step {
        /// The layer at which it happens: position among those given.
        at: usize,
        /// Its decades, in the direction in which the signal runs.
        decades: f64,
    },
    /// The layers' changes follow none of these.
    Irregular,
}

impl Law {
    /// What follows "loses so many decades" in a sentence: the rate of an exponential, the power of
    /// a power law; `None` of other laws. `unit` is what is counted (`layer`, `step`), `ends` what
    /// the first and the last of them are called.
    pub(super) fn in_words(&self, unit: &str, ends: [&str; 2]) -> Option<String> {
        match *self {
            Self::Exponential {
                decades_per_layer,
                factor_per_layer,
            } => Some(format!(
                ", exponentially: ×{} a {unit}, a decade in {}",
                factor_in_words(factor_per_layer),
                count_in_words(1.0 / decades_per_layer.abs(), unit),
            )),
            Self::PowerLaw {
                exponent,
                from_input,
            } => Some(format!(
                ", as a power law: (distance from the {})^{exponent:.2}",
                if from_input { ends[0] } else { ends[1] }
            )),
            _ => None,
        }
    }
}

fn count_in_words(count: f64, unit: &str) -> String {
    match count {
        count if count < 1.05 => "each".into(),
        count if count < 9.95 => format!("{count:.1} {unit}s"),
        count => format!("{count:.0} {unit}s"),
    }
}

/// A fitted trend.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trend {
    /// The law.
    pub law: Law,
    /// The share of the variance that the law explains (0 to 1).
    pub r_squared: f64,
}

/// A factor a layer as it is printed: three decimals, or significant digits where those say nothing.
pub fn factor_in_words(factor: f64) -> String {
    if (0.01..1e4).contains(&factor) {
        format!("{factor:.3}")
    } else {
        format!("{factor:.2e}")
    }
}

/// Which way a signal runs through the layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the first layer to the last.
    Forward,
    /// From the last to the first.
    Backward,
}

/// Fits a law to log10 norms (in decades) by layer, first to last; `None` for fewer than two, and
/// for two that differ: they lie on every law.
///
/// The three candidates are straight lines by least squares: over the layer's number, over the log
/// of its distance from the input, over that from the output.
pub fn trend(decades: &[f64], direction: Direction) -> Option<Trend> {
    let count = decades.len();
    let (first, last) = (*decades.first()?, *decades.last()?);
    if count < 2 {
        return None;
    }
    let sign = if direction == Direction::Forward {
        1.0
    } else {
        -1.0
    };
    let flat = |r_squared| {
        Some(Trend {
            law: Law::Flat,
            r_squared,
        })
    };
    if (last - first).abs() < FLAT_DECADES {
        return flat(1.0);
    }
    if count == 2 {
        return None;
    }
    let steps: Vec<f64> = decades.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let largest = (0..steps.len()).max_by(|&a, &b| steps[a].abs().total_cmp(&steps[b].abs()))?;
    let share = steps[largest] / (last - first);
    let enough = if count >= FEWEST_POINTS {
        STEP_SHARE
    } else {
        STEP_SHARE_OF_FEW
    };
    if share > enough {
        let at = if direction == Direction::Forward {
            largest + 1
        } else {
            largest
        };
        let law = Law::Step {
            at,
            decades: sign * steps[largest],
        };
        return Some(Trend {
            law,
            r_squared: share.min(1.0),
        });
    }
    let numbers: Vec<f64> = (1..=count).map(|layer| layer as f64).collect();
    let from_input: Vec<f64> = numbers.iter().map(|x| x.log10()).collect();
    let from_output: Vec<f64> = from_input.iter().rev().copied().collect();
    let exponential = Line::fit(&numbers, decades);
    let powers = [
        Line::fit(&from_input, decades),
        Line::fit(&from_output, decades),
    ];
    let power = if powers[0].error <= powers[1].error {
        0
    } else {
        1
    };
    let by_power = count >= FEWEST_POINTS
        && powers[power].slope.abs() <= STEEPEST_POWER
        && powers[power].error < POWER_LAW_ADVANTAGE * exponential.error;
    let (law, line) = if by_power {
        let law = Law::PowerLaw {
            exponent: powers[power].slope,
            from_input: power == 0,
        };
        (law, powers[power])
    } else {
        let rate = sign * exponential.slope;
        let law = Law::Exponential {
            decades_per_layer: rate,
            factor_per_layer: 10f64.powf(rate),
        };
        (law, exponential)
    };
    let law = if line.r_squared < 0.5 {
        Law::Irregular
    } else {
        law
    };
    Some(Trend {
        law,
        r_squared: line.r_squared,
    })
}

/// A straight line by least squares.
#[derive(Clone, Copy, Debug)]
struct Line {
    slope: f64,
    /// The sum of squared residuals.
    error: f64,
    r_squared: f64,
}

impl Line {
    fn fit(x: &[f64], y: &[f64]) -> Self {
        let count = x.len() as f64;
        let (mean_x, mean_y) = (x.iter().sum::<f64>() / count, y.iter().sum::<f64>() / count);
        let pairs = || x.iter().zip(y).map(|(x, y)| (x - mean_x, y - mean_y));
        let xx: f64 = pairs().map(|(x, _)| x * x).sum();
        let xy: f64 = pairs().map(|(x, y)| x * y).sum();
        let yy: f64 = pairs().map(|(_, y)| y * y).sum();
        let slope = if xx == 0.0 { 0.0 } else { xy / xx };
        let error = (yy - slope * xy).max(0.0);
        Self {
            slope,
            error,
            r_squared: if yy == 0.0 { 1.0 } else { 1.0 - error / yy },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exponential_and_a_power_law_are_told_apart() {
        let exponential: Vec<f64> = (1..=40).map(|l| -0.1 * f64::from(40 - l)).collect();
        let found = trend(&exponential, Direction::Backward).map(|trend| trend.law);
        let Some(Law::Exponential {
            decades_per_layer,
            factor_per_layer,
        }) = found
        else {
            panic!("{found:?}")
        };
        assert!((decades_per_layer + 0.1).abs() < 1e-12);
        assert!((factor_per_layer - 10f64.powf(-0.1)).abs() < 1e-12);

        let power: Vec<f64> = (1..=100)
            .map(|l| 0.5 * (f64::from(l) / 100.0).log10())
            .collect();
        let found = trend(&power, Direction::Backward).map(|trend| trend.law);
        assert!(
            matches!(found, Some(Law::PowerLaw { exponent, from_input: true }) if (exponent - 0.5).abs() < 1e-12),
            "{found:?}"
        );
        let growing: Vec<f64> = (1..=30).map(|l| 0.5 * f64::from(31 - l).log10()).collect();
        let found = trend(&growing, Direction::Backward).map(|trend| trend.law);
        assert!(
            matches!(
                found,
                Some(Law::PowerLaw {
                    from_input: false,
                    ..
                })
            ),
            "{found:?}"
        );
    }

    #[test]
    fn one_bad_layer_is_a_step_and_no_law() {
        let decades: Vec<f64> = (0..20).map(|l| if l < 7 { -6.0 } else { 0.0 }).collect();
        let found = trend(&decades, Direction::Backward).map(|trend| trend.law);
        assert_eq!(
            found,
            Some(Law::Step {
                at: 6,
                decades: -6.0
            })
        );
    }

    #[test]
    fn few_layers_show_a_step_only_where_it_is_all_but_everything() {
        let law = |decades: &[f64]| trend(decades, Direction::Backward).map(|trend| trend.law);
        let saturated = law(&[-87.0, -0.8, -0.4, -0.2]);
        assert!(
            matches!(saturated, Some(Law::Step { at: 0, .. })),
            "{saturated:?}"
        );
        let uneven = law(&[-4.0, -1.0, 0.0]);
        assert!(
            matches!(uneven, Some(Law::Exponential { .. })),
            "{uneven:?}"
        );
        assert_eq!(law(&[-4.0, 0.0]), None);
    }

    #[test]
    fn a_level_signal_has_no_trend() {
        let decades = [0.1, -0.1, 0.05, 0.0, 0.02, 0.0];
        assert_eq!(
            trend(&decades, Direction::Backward).map(|t| t.law),
            Some(Law::Flat)
        );
        assert_eq!(trend(&[1.0], Direction::Forward), None);
    }
}

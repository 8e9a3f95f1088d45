//! What made the decades, in sentences with their figures.
//!
//! Along a chain the split is exact: the gains of its nodes add up to the decades. Where paths meet
//! in a skip connection's sum it is by block, from the sum to the fork; each path's share is the
//! size of what it hands back, and what their overlap adds or takes is said to be nobody's.

use crate::measure::{LayerRun, Measurement, PathShare};
use crate::ops::Role;
use crate::ops::activation;

/// A share of less than this many decades is not told.
const LEAST_TOLD: f64 = 0.05;

/// A cause with what it made, over how many layers.
struct Cause {
    role: Role,
    /// The activation, where it is one.
    activation: Option<String>,
    decades: f64,
    layers: usize,
}

/// What lost (`sign` −1) or gained (+1) the decades between the last layer and the first one's
/// weights, in the run with the median total.
pub(super) fn of_depth(measurement: &Measurement, sign: f64) -> Vec<String> {
    let Some(run) = measurement.median_run() else {
        return Vec::new();
    };
    let spine = run.layers.iter().filter(|layer| layer.on_spine);
    let spine: Vec<&LayerRun> = spine.skip_while(|layer| !layer.is_judged()).collect();
    let (Some(first), Some(last)) = (spine.first(), spine.iter().rfind(|l| l.is_judged())) else {
        return Vec::new();
    };
    let causes = causes(&spine);
    let total: f64 = causes.iter().map(|cause| cause.decades).sum();
    let told = causes
        .iter()
        .filter(|cause| cause.decades.abs() >= LEAST_TOLD);
    let words: Vec<String> = told.map(|cause| in_words(cause, sign)).collect();
    if words.is_empty() {
        return Vec::new();
    }
    let verb = if sign < 0.0 { "lost" } else { "gained" };
    let mut sentence = format!(
        "{:.1} decades are {verb} between `{}` and `{}`: {}",
        total.abs(),
        last.name,
        first.name,
        words.join(", ")
    );
    if let Some((name, decades)) = worst(&spine, sign) {
        sentence.push_str(&format!("; the worst layer is `{name}` ({decades:+.2})"));
    }
    let mut sentences = vec![sentence];
    sentences.extend(of_blocks(&spine, sign));
    sentences
}

/// What a layer adds between the last layer and the first one's weights: of the first, only what
/// lies between its output and its weights.
fn counted(layer: &LayerRun, is_first: bool, role: Role) -> f64 {
    match role {
        Role::Activation | Role::Normalisation => layer.gains.of(role),
        _ if is_first => 0.0,
        role => layer.gains.of(role),
    }
}

/// The causes, the largest in this direction first.
fn causes(spine: &[&LayerRun]) -> Vec<Cause> {
    let mut causes: Vec<Cause> = Vec::new();
    for (index, layer) in spine.iter().enumerate() {
        for role in crate::measure::Gains::ROLES {
            let decades = counted(layer, index == 0, role);
            if decades == 0.0 {
                continue;
            }
            let activation = match role {
                Role::Activation => layer.activation.clone(),
                _ => None,
            };
            let same = |cause: &&mut Cause| cause.role == role && cause.activation == activation;
            match causes.iter_mut().find(same) {
                Some(cause) => {
                    cause.decades += decades;
                    cause.layers += 1;
                }
                None => causes.push(Cause {
                    role,
                    activation,
                    decades,
                    layers: 1,
                }),
            }
        }
    }
    causes.sort_by(|a, b| b.decades.abs().total_cmp(&a.decades.abs()));
    causes
}

fn in_words(cause: &Cause, sign: f64) -> String {
    let what = match (cause.role, &cause.activation) {
        (Role::Activation, Some(name)) => format!("{name}'s slope"),
        (Role::Activation, None) => "softmax, gates and their kin".into(),
        (Role::Weight, _) => "the weights".into(),
        (Role::Normalisation, _) => "normalisation".into(),
        (Role::Residual, _) => "skip connections".into(),
        (Role::Other, _) => "other ops (pooling, reshapes, gates)".into(),
    };
    let size = cause.decades.abs();
    let text = match (sign < 0.0, cause.decades < 0.0) {
        (true, true) => format!("{size:.1} to {what}"),
        (true, false) => format!("{size:.1} given back by {what}"),
        (false, false) => format!("{size:.1} by {what}"),
        (false, true) => format!("{size:.1} taken back by {what}"),
    };
    let factor = 10f64.powf(cause.decades / cause.layers as f64);
    let steepest = cause
        .activation
        .as_deref()
        .and_then(|name| activation::parse(name).ok());
    match steepest.map(|activation| activation.steepest()) {
        _ if cause.layers < 2 => text,
        Some(steepest) if steepest.is_finite() => {
            let ceiling = format!("{steepest:.2}");
            let ceiling = ceiling.trim_end_matches('0').trim_end_matches('.');
            format!("{text} (×{factor:.2} a layer, where {ceiling} is its ceiling)")
        }
        _ => format!("{text} (×{factor:.2} a layer)"),
    }
}

/// The layer that changes the signal most in this direction.
fn worst<'a>(spine: &[&'a LayerRun], sign: f64) -> Option<(&'a str, f64)> {
    let total = |(index, layer): (usize, &&'a LayerRun)| {
        let roles = crate::measure::Gains::ROLES.iter();
        let decades: f64 = roles.map(|&role| counted(layer, index == 0, role)).sum();
        (layer.name.as_str(), decades)
    };
    let all = spine.iter().enumerate().map(total);
    let worst = all.max_by(|a, b| (sign * a.1).total_cmp(&(sign * b.1)))?;
    (spine.len() > 2 && sign * worst.1 >= LEAST_TOLD).then_some(worst)
}

/// How the block that changes the signal most splits into its paths, and how all do on average.
fn of_blocks(spine: &[&LayerRun], sign: f64) -> Option<String> {
    let blocks = spine.iter().skip(1).filter(|layer| layer.paths.len() > 1);
    let blocks: Vec<&&LayerRun> = blocks.collect();
    let gain = |layer: &LayerRun| sign * layer.gains.residual;
    let worst = blocks.iter().max_by(|a, b| gain(a).total_cmp(&gain(b)))?;
    let paths: Vec<String> = worst.paths.iter().map(path_in_words).collect();
    let together = 10f64.powf(worst.gains.residual);
    let mut sentence = format!(
        "across skip connections the split is by block ({} of them). Of what arrives at the sum of \
         `{}`, {} is handed back: ×{together:.2} together",
        blocks.len(),
        worst.name,
        paths.join(" and "),
    );
    let overlap = overlap(&worst.paths, worst.gains.residual);
    if overlap.abs() >= 0.05 {
        sentence.push_str(&format!(
            "; {:.0} % of the square is their overlap, which is neither's",
            100.0 * overlap
        ));
    }
    Some(sentence)
}

fn path_in_words(path: &PathShare) -> String {
    let factor = 10f64.powf(path.decades);
    match &path.branch {
        None => format!("×{factor:.2} by the skip"),
        Some(layer) => format!("×{factor:.2} by the branch of `{layer}`"),
    }
}

/// The share of the squared norm at the fork that is not the sum of the paths' squares.
fn overlap(paths: &[PathShare], residual_gain: f64) -> f64 {
    let squares: f64 = paths
        .iter()
        .map(|path| 10f64.powf(2.0 * path.decades))
        .sum();
    1.0 - squares / 10f64.powf(2.0 * residual_gain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::{Gains, RunMeasurement};

    fn layer(name: &str, weight: f64, activation: f64) -> LayerRun {
        LayerRun {
            name: name.into(),
            on_spine: true,
            weighted: true,
            activation: Some("sigmoid".into()),
            decades_at_weights: Some(0.0),
            gains: Gains {
                weight,
                activation,
                ..Gains::default()
            },
            ..LayerRun::default()
        }
    }

    fn measurement(layers: Vec<LayerRun>) -> Measurement {
        Measurement {
            runs: vec![RunMeasurement {
                layers,
                ..RunMeasurement::default()
            }],
            ..Measurement::default()
        }
    }

    #[test]
    fn the_causes_of_a_chain_add_up_to_its_decades() {
        let layers = vec![
            layer("fc1", -9.0, -0.7),
            layer("fc2", 0.1, -0.6),
            layer("fc3", -0.4, 0.0),
        ];
        let sentences = of_depth(&measurement(layers), -1.0);
        assert_eq!(
            sentences,
            [
                "1.6 decades are lost between `fc3` and `fc1`: 1.3 to sigmoid's slope (×0.22 a layer, \
              where 0.25 is its ceiling), 0.3 to the weights (×0.71 a layer); the worst layer is `fc1` \
              (-0.70)"
            ]
        );
    }

    #[test]
    fn what_paths_have_in_common_is_nobodys() {
        let path = |branch: Option<&str>, decades| PathShare {
            branch: branch.map(str::to_owned),
            decades,
        };
        let apart = [path(None, 0.0), path(Some("fc1"), 0.0)];
        assert!(overlap(&apart, 0.5 * 2f64.log10()).abs() < 1e-12);
        // The same signal twice: half of the square of their sum is overlap.
        assert!((overlap(&apart, 2f64.log10()) - 0.5).abs() < 1e-12);
    }
}

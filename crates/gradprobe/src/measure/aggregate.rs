//! Median and range over seeds.

use super::numbers::{median, middle};
use super::over_time;
use super::schema::{
    Gains, LayerMeasurement, LayerRun, ParameterRun, PathShare, RunMeasurement, Signal, Spread,
};

/// The layers of several runs of one network as medians with their spread. An exact zero counts
/// as smaller than every number, so that the median of mostly zeros is a zero.
pub fn aggregate(runs: &[RunMeasurement]) -> (Option<Spread>, Vec<LayerMeasurement>) {
    let loss = spread(&runs.iter().map(|run| run.loss).collect::<Vec<_>>());
    let count = runs.first().map_or(0, |run| run.layers.len());
    let layers = (0..count).map(|index| {
        let layers: Vec<&LayerRun> = runs
            .iter()
            .filter_map(|run| run.layers.get(index))
            .collect();
        layer(&layers)
    });
    (loss, layers.collect())
}

fn layer(runs: &[&LayerRun]) -> LayerMeasurement {
    let first = runs[0];
    let gain = |role| median(runs, |run| Some(run.gains.of(role))).unwrap_or(0.0);
    let mut gains = Gains::default();
    for role in Gains::ROLES {
        *gains.of_mut(role) = gain(role);
    }
    let parameters = (0..first.parameters.len()).map(|index| {
        let runs: Vec<&ParameterRun> = runs
            .iter()
            .filter_map(|run| run.parameters.get(index))
            .collect();
        parameter(&runs)
    });
    let pre_activations: Vec<&Signal> = runs
        .iter()
        .filter_map(|run| run.pre_activation.as_ref())
        .collect();
    LayerMeasurement {
        median: LayerRun {
            name: first.name.clone(),
            kind: first.kind.clone(),
            on_spine: first.on_spine,
            weighted: first.weighted,
            forward: signal(&runs.iter().map(|run| &run.forward).collect::<Vec<_>>()),
            backward: signal(&runs.iter().map(|run| &run.backward).collect::<Vec<_>>()),
            pre_activation: (!pre_activations.is_empty()).then(|| signal(&pre_activations)),
            forward_decades: median(runs, |run| run.forward_decades),
            backward_decades: median(runs, |run| run.backward_decades),
            decades_at_weights: median(runs, |run| run.decades_at_weights),
            saturated_fraction: median(runs, |run| run.saturated_fraction),
            dead_fraction: median(runs, |run| run.dead_fraction),
            activation: first.activation.clone(),
            is_linear: first.is_linear,
            is_rectified: first.is_rectified,
            normalised: first.normalised,
            batch_normalised: first.batch_normalised,
            saturated_units_fraction: median(runs, |run| run.saturated_units_fraction),
            flat_units_fraction: median(runs, |run| run.flat_units_fraction),
            dead_for_ever_fraction: median(runs, |run| run.dead_for_ever_fraction),
            lost_rows_fraction: median(runs, |run| run.lost_rows_fraction),
            sample_distance: median(runs, |run| run.sample_distance),
            twin_units_fraction: median(runs, |run| run.twin_units_fraction),
            gradient_signal_to_noise: median(runs, |run| run.gradient_signal_to_noise),
            paths: paths(runs),
            over_time: over_time::medians(
                &runs
                    .iter()
                    .map(|run| &run.over_time[..])
                    .collect::<Vec<_>>(),
            ),
            gains,
            parameters: parameters.collect(),
        },
        backward_decades_spread: spread_of(runs, |run| run.backward_decades),
        forward_decades_spread: spread_of(runs, |run| run.forward_decades),
    }
}

/// The paths of a sum, where every run saw the same ones.
fn paths(runs: &[&LayerRun]) -> Vec<PathShare> {
    let first = runs[0];
    let path = |(index, share): (usize, &PathShare)| {
        let of = |run: &LayerRun| run.paths.get(index).map(|share| share.decades);
        PathShare {
            branch: share.branch.clone(),
            decades: median(runs, of).unwrap_or(share.decades),
        }
    };
    let same = runs.iter().all(|run| run.paths.len() == first.paths.len());
    let shares = first.paths.iter().enumerate().filter(|_| same);
    shares.map(path).collect()
}

fn parameter(runs: &[&ParameterRun]) -> ParameterRun {
    let first = runs[0];
    let number = |get: fn(&ParameterRun) -> f64| median(runs, |run| Some(get(run))).unwrap_or(0.0);
    ParameterRun {
        name: first.name.clone(),
        shape: first.shape.clone(),
        value_rms: number(|run| run.value_rms),
        grad_l2: number(|run| run.grad_l2),
        grad_log10_l2: median(runs, |run| run.grad_log10_l2),
        grad_mean: number(|run| run.grad_mean),
        grad_max_abs: number(|run| run.grad_max_abs),
        grad_zero_fraction: number(|run| run.grad_zero_fraction),
        grad_non_finite: runs
            .iter()
            .map(|run| run.grad_non_finite)
            .max()
            .unwrap_or(0),
        grad_log10_rms: median(runs, |run| run.grad_log10_rms),
        reached: runs.iter().any(|run| run.reached),
        log10_update_ratio: median(runs, |run| run.log10_update_ratio),
        fan_in: first.fan_in,
        normalised: first.normalised,
    }
}

fn signal(runs: &[&Signal]) -> Signal {
    let number = |get: fn(&Signal) -> f64| median(runs, |run| Some(get(run))).unwrap_or(0.0);
    Signal {
        log10_l2: median(runs, |run| run.log10_l2),
        mean: number(|run| run.mean),
        std: number(|run| run.std),
        rms: number(|run| run.rms),
        zero_fraction: number(|run| run.zero_fraction),
        non_finite: runs.iter().map(|run| run.non_finite).max().unwrap_or(0),
    }
}

fn spread_of<R>(runs: &[&R], get: impl Fn(&R) -> Option<f64>) -> Option<Spread> {
    spread(&runs.iter().map(|run| get(run)).collect::<Vec<_>>())
}

/// The median and range of figures; `None` where one is missing, or there are none.
pub fn spread(numbers: &[Option<f64>]) -> Option<Spread> {
    let mut numbers: Vec<f64> = numbers.iter().copied().collect::<Option<_>>()?;
    let median = middle(&mut numbers);
    Some(Spread {
        median,
        min: *numbers.first()?,
        max: *numbers.last()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zero_counts_below_every_number() {
        let values = [Some(1.0), None, Some(3.0)];
        let runs: Vec<&Option<f64>> = values.iter().collect();
        assert_eq!(median(&runs, |run| *run), Some(1.0));
        let mostly_zero = [None, None, Some(3.0), Some(4.0)];
        let runs: Vec<&Option<f64>> = mostly_zero.iter().collect();
        assert_eq!(median(&runs, |run| *run), None);
        assert_eq!(spread(&mostly_zero), None);
    }

    #[test]
    fn the_spread_is_the_range_about_the_median() {
        let spread = spread(&[Some(3.0), Some(1.0), Some(2.0), Some(8.0)]);
        assert_eq!(
            spread,
            Some(Spread {
                median: 2.5,
                min: 1.0,
                max: 8.0
            })
        );
    }
}

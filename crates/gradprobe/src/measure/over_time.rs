//! How the signals of a recurrent layer change over its steps.

use super::numbers::{finite_log10, median};
use crate::graph::{Graph, Layer};
use crate::num::Magnitude;
use crate::ops::OverTime;
use crate::run::Trace;
use serde::{Deserialize, Serialize};

/// What one run saw of one direction of a recurrent node, step by step.
///
/// Steps are counted in the order in which the node walks: one that walks backwards begins at the
/// last time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RecurrenceRun {
    /// The node.
    pub node: String,
    /// Does it walk from the last time to the first?
    pub reversed: bool,
    /// Steps of the longest sequence.
    pub steps: usize,
    /// At how many steps the state is read by what comes after, so that a cotangent arrives there
    /// from outside and not through time alone.
    pub read_steps: usize,
    /// At how many steps the state or its cotangent has an element that is infinite or NaN.
    pub non_finite_steps: usize,
    /// By how many steps lie between a step and the last one of its sequence that a cotangent
    /// arrives at: log10 of the root mean square of the whole cotangent of the state (of an LSTM h
    /// and c together), over that at the last step. `None` for an exact zero. Empty where nothing
    /// arrives.
    pub backward_decades: Vec<Option<f64>>,
    /// By step from the first: log10 of the root mean square of the state h after it; `None` for an
    /// exact zero.
    pub forward_log10_rms: Vec<Option<f64>>,
}

impl RecurrenceRun {
    /// The decades from the last step that a cotangent arrives at back to the first step: `None`
    /// where what arrives at the first is an exact zero, or nothing was seen.
    pub fn backward_total(&self) -> Option<f64> {
        *self.backward_decades.last()?
    }

    /// The decades that the state gains from the first step to the last; `None` where either is an
    /// exact zero.
    pub fn forward_total(&self) -> Option<f64> {
        Some((*self.forward_log10_rms.last()?)? - (*self.forward_log10_rms.first()?)?)
    }
}

/// What was seen over time of the recurrent nodes of a layer.
pub(super) fn of_layer(graph: &Graph, trace: &Trace, layer: &Layer) -> Vec<RecurrenceRun> {
    let seen = |node: &crate::graph::NodeId| {
        let directions = trace.over_time.get(&node.index())?;
        Some((&graph.node(*node).name, directions))
    };
    let nodes = layer.nodes.iter().filter_map(seen);
    let of_node = |(name, directions): (&String, &Vec<OverTime>)| -> Vec<RecurrenceRun> {
        let run = |direction| recurrence(name, direction);
        directions.iter().map(run).collect()
    };
    nodes.flat_map(of_node).collect()
}

fn recurrence(node: &str, seen: &OverTime) -> RecurrenceRun {
    let last = seen.backward.first().copied().unwrap_or(Magnitude::ZERO);
    let sizes = seen.backward.iter().chain(&seen.forward);
    RecurrenceRun {
        node: node.to_owned(),
        reversed: seen.reversed,
        steps: seen.forward.len(),
        read_steps: seen.read_steps,
        non_finite_steps: sizes.filter(|size| !size.is_finite()).count(),
        backward_decades: seen
            .backward
            .iter()
            .map(|size| size.decades_above(last))
            .collect(),
        forward_log10_rms: seen
            .forward
            .iter()
            .map(|&size| finite_log10(size))
            .collect(),
    }
}

/// The medians over several runs, step by step.
pub(super) fn medians(runs: &[&[RecurrenceRun]]) -> Vec<RecurrenceRun> {
    let Some(first) = runs.first() else {
        return Vec::new();
    };
    let same = runs.iter().all(|run| run.len() == first.len());
    let recurrences = first.iter().enumerate().filter(|_| same);
    let of_one = |(index, first): (usize, &RecurrenceRun)| {
        let runs: Vec<&RecurrenceRun> = runs.iter().map(|run| &run[index]).collect();
        let largest = |get: fn(&RecurrenceRun) -> usize| runs.iter().map(|run| get(run)).max();
        RecurrenceRun {
            node: first.node.clone(),
            reversed: first.reversed,
            steps: largest(|run| run.steps).unwrap_or(0),
            read_steps: largest(|run| run.read_steps).unwrap_or(0),
            non_finite_steps: largest(|run| run.non_finite_steps).unwrap_or(0),
            backward_decades: series(&runs, |run| &run.backward_decades),
            forward_log10_rms: series(&runs, |run| &run.forward_log10_rms),
        }
    };
    recurrences.map(of_one).collect()
}

/// By step: the median over those runs that have the step (sequences may be of other lengths).
fn series(runs: &[&RecurrenceRun], get: fn(&RecurrenceRun) -> &[Option<f64>]) -> Vec<Option<f64>> {
    let steps = runs.iter().map(|run| get(run).len()).max().unwrap_or(0);
    let of_step = |step: usize| {
        let runs: Vec<&Option<f64>> = runs.iter().filter_map(|run| get(run).get(step)).collect();
        median(&runs, |figure| *figure)
    };
    (0..steps).map(of_step).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(backward: &[Option<f64>]) -> RecurrenceRun {
        RecurrenceRun {
            steps: backward.len(),
            backward_decades: backward.to_vec(),
            ..RecurrenceRun::default()
        }
    }

    #[test]
    fn each_step_has_the_median_of_the_runs_that_have_it() {
        let runs = [
            [run(&[Some(0.0), Some(-1.0), Some(-2.0)])],
            [run(&[Some(0.0), Some(-3.0), None])],
            [run(&[Some(0.0), Some(-2.0)])],
        ];
        let runs: Vec<&[RecurrenceRun]> = runs.iter().map(|run| &run[..]).collect();
        let [median] = &medians(&runs)[..] else {
            panic!("one recurrence");
        };
        assert_eq!(median.backward_decades, [Some(0.0), Some(-2.0), None]);
        assert_eq!(median.steps, 3);
        assert_eq!(median.backward_total(), None);
    }
}

//! What the taps saw.

use crate::num::Statistics;
use crate::ops::OverTime;
use std::collections::BTreeMap;

/// How many units of an activation pass no gradient on this batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct UnitCounts {
    /// Units: features of a vector, channels of an image.
    pub units: usize,
    /// Units whose pre-activation lay on a flat part of the activation for every sample.
    pub dead: usize,
}

/// What was seen at a node's outputs.
#[derive(Clone, Copy, Debug, Default)]
pub struct NodeTrace {
    /// The forward signal: the first output.
    pub forward: Option<Statistics>,
    /// The cotangents that arrived, of all outputs together; `None` where none did.
    pub backward: Option<Statistics>,
    /// What the node handed on to its first input, where other nodes read that too (else
    /// it is what arrives at the input).
    pub handed_on: Option<Statistics>,
    /// Dead units, where the node is an activation with flat parts.
    pub units: Option<UnitCounts>,
}

/// What was seen of a parameter.
#[derive(Clone, Copy, Debug, Default)]
pub struct ParameterTrace {
    /// Its values.
    pub value: Statistics,
    /// Its gradient; `None` where no path leads from the objective to it.
    pub gradient: Option<Statistics>,
}

/// What the taps saw in one forward and backward run.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    /// The loss, where the objective is one.
    pub loss: Option<f64>,
    /// By node.
    pub nodes: Vec<NodeTrace>,
    /// By parameter.
    pub parameters: Vec<ParameterTrace>,
    /// What recurrent nodes saw step by step: by the node's place in the graph, one entry a
    /// direction. None of those that nothing was pulled back through.
    pub over_time: BTreeMap<usize, Vec<OverTime>>,
    /// The gradients with respect to the graph's inputs, where they were asked for.
    pub inputs: Vec<Option<Statistics>>,
}

/// Adds what a part of a signal gave.
pub(super) fn merge(total: &mut Option<Statistics>, part: Option<Statistics>) {
    match (total, part) {
        (Some(total), Some(part)) => total.merge(&part),
        (total @ None, part) => *total = part,
        (Some(_), None) => {}
    }
}

//! The signals of a recurrent layer step by step.

use crate::num::Magnitude;

/// The signals of one direction of a recurrent layer over its steps.
///
/// Steps are counted in the order in which the layer walks: for one that walks backwards the first
/// step is that of the last time. Sequences of unequal lengths begin together on the way forward,
/// and on the way back at their own last step.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OverTime {
    /// Does it walk from the last time to the first?
    pub reversed: bool,
    /// By step from the first: the root mean square of the state h after it, over the sequences that
    /// have this step.
    pub forward: Vec<Magnitude>,
    /// By how many steps lie between a step and the last one of its sequence that a cotangent
    /// arrives at: the root mean square of the whole cotangent of the state after it (of an LSTM h
    /// and c together), over the sequences that have such a step. In units that are the same for all
    /// steps. Empty where no cotangent arrives.
    pub backward: Vec<Magnitude>,
    /// At how many steps a cotangent arrives from outside, and not through time alone.
    pub read_steps: usize,
}

//! How long each value is kept, and which are computed again.
//!
//! A value is held until the last step that reads it: a node, or a pull-back that reads it (each
//! op says which of its operands and outputs its own does). With checkpoints the graph is cut into
//! segments: of all but the last only what later segments read outlives the forward pass, and the
//! rest is computed again, from the same numbers by the same calls, when the backward pass comes
//! to the segment (Chen, Xu, Zhang and Guestrin, "Training deep nets with sublinear memory cost",
//! 2016).

use super::plan::{Plan, Source};
use crate::graph::Graph;
use crate::ops::Mode;
use std::ops::Range;

/// Which signals of the forward pass are kept for the backward pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Checkpoint {
    /// All that the backward pass reads.
    #[default]
    Off,
    /// Those between about √n segments of a graph of n steps; the others are computed again.
    Root,
    /// Those between so many segments (as many as there are steps at most).
    Segments(usize),
}

/// When the memory of values is given back. Inputs and parameters are the caller's; the network's
/// output and its objective outlive the run.
#[derive(Debug)]
pub(super) struct Lifetimes {
    /// By stage: the slots that nothing reads once it has run forward.
    pub after_forward: Vec<Vec<usize>>,
    /// By stage: the slots that nothing reads once it was pulled back through.
    pub after_backward: Vec<Vec<usize>>,
    /// The stages of each segment.
    pub segments: Vec<Range<usize>>,
    /// By segment: the slots that are given up at its end, to be computed again.
    pub given_up: Vec<Vec<usize>>,
}

/// What is known of a slot that a node writes.
#[derive(Clone, Copy)]
struct Reads {
    /// The stage that writes it.
    written: usize,
    /// The last stage that reads it forward.
    forward: usize,
    /// The last stage (the earliest in the graph) whose pull-back reads it.
    backward: Option<usize>,
    /// The last stage (the latest in the graph) that reads it at all.
    latest: usize,
}

impl Lifetimes {
    pub fn new(graph: &Graph, plan: &Plan, mode: Mode, checkpoint: Checkpoint) -> Self {
        let reads = reads(graph, plan, mode);
        let stages = plan.stages.len();
        let count = match checkpoint {
            Checkpoint::Off => 1,
            Checkpoint::Root => (stages as f64).sqrt().ceil() as usize,
            Checkpoint::Segments(count) => count,
        };
        let segments = segments(graph, plan, &reads, count.clamp(1, stages.max(1)));
        let segment_of = |stage: usize| segments.partition_point(|segment| segment.end <= stage);
        let mut lifetimes = Self {
            after_forward: vec![Vec::new(); stages],
            after_backward: vec![Vec::new(); stages],
            given_up: vec![Vec::new(); segments.len()],
            segments: Vec::new(),
        };
        let kept = [graph.output(), graph.objective().value()].map(|v| plan.slots[v.index()]);
        for (slot, reads) in reads.iter().enumerate() {
            let Some(reads) = reads.filter(|_| !kept.contains(&slot)) else {
                continue;
            };
            let own = segment_of(reads.written);
            if own < segment_of(reads.latest) {
                // Later segments are computed again from it.
                lifetimes.after_backward[reads.written].push(slot);
                continue;
            }
            match reads.backward {
                None => lifetimes.after_forward[reads.forward].push(slot),
                Some(stage) => {
                    lifetimes.after_backward[stage].push(slot);
                    if own + 1 < segments.len() {
                        lifetimes.given_up[own].push(slot);
                    }
                }
            }
        }
        lifetimes.segments = segments;
        lifetimes
    }

    /// The segment that has to be computed again before this stage is pulled back through.
    pub fn recomputed_before(&self, stage: usize) -> Option<Range<usize>> {
        let (_, others) = self.segments.split_last()?;
        others
            .iter()
            .find(|segment| segment.end == stage + 1)
            .cloned()
    }
}

/// By slot: who reads it, where a node writes it.
fn reads(graph: &Graph, plan: &Plan, mode: Mode) -> Vec<Option<Reads>> {
    let writer = |source: &Source| match *source {
        Source::Stage(written, _) => Some(Reads {
            written,
            forward: written,
            backward: None,
            latest: written,
        }),
        Source::Parameter(_) | Source::Input(_) => None,
    };
    let mut reads: Vec<Option<Reads>> = plan.sources.iter().map(writer).collect();
    for (number, stage) in plan.stages.iter().enumerate() {
        for node in &graph.nodes()[stage.nodes.clone()] {
            if node.op.facts().is_view.has(mode) {
                continue;
            }
            let pulled = node.inputs.iter().enumerate().any(|(input, value)| {
                node.op.differentiable(input) && plan.needs[plan.slots[value.index()]]
            });
            let mut read = |value: usize, by_node: bool, by_pull_back: bool| {
                if let Some(reads) = &mut reads[plan.slots[value]] {
                    if by_node {
                        reads.forward = reads.forward.max(number);
                    }
                    if pulled && by_pull_back {
                        // Stages come in their order: the first is the last to be pulled back.
                        reads.backward.get_or_insert(number);
                    }
                    if by_node || pulled && by_pull_back {
                        reads.latest = reads.latest.max(number);
                    }
                }
            };
            for (input, value) in node.inputs.iter().enumerate() {
                read(value.index(), true, node.op.reads_input(input));
            }
            let visible = node.outputs.len() - node.op.kept_outputs();
            for (output, value) in node.outputs.iter().enumerate() {
                let kept = output >= visible || node.op.reads_outputs();
                read(value.index(), false, kept);
            }
        }
    }
    reads
}

/// Cuts the stages into `count` segments whose values take about the same memory, each cut where
/// the least has to be kept for later segments.
fn segments(
    graph: &Graph,
    plan: &Plan,
    reads: &[Option<Reads>],
    count: usize,
) -> Vec<Range<usize>> {
    let stages = plan.stages.len();
    let elements = |slot: usize| graph.values()[slot].shape.element_count();
    // By cut, which lies before the stage of its number: the elements written before it, and those
    // of them that are read after it.
    let mut before = vec![0; stages + 1];
    let mut changes = vec![0i64; stages + 2];
    for (slot, reads) in reads.iter().enumerate() {
        if let Some(reads) = reads {
            before[reads.written + 1] += elements(slot);
            changes[reads.written + 1] += elements(slot) as i64;
            changes[reads.latest + 1] -= elements(slot) as i64;
        }
    }
    let mut crossing = vec![0; stages + 1];
    let mut now = 0;
    for cut in 0..=stages {
        now += changes[cut];
        crossing[cut] = now;
        if cut > 0 {
            before[cut] += before[cut - 1];
        }
    }
    let total = before[stages];
    let mut cuts = vec![0];
    for number in 1..count {
        let share = |part: f64| total as f64 * part / count as f64;
        let (low, aim, high) = (
            share(number as f64 - 0.5),
            share(number as f64),
            share(number as f64 + 0.5),
        );
        let last = cuts.last().copied().unwrap_or(0);
        // At least one stage is left for every segment that follows.
        let free = last + 1..=stages - (count - number);
        let off = |cut: usize| (before[cut] as f64 - aim).abs() as usize;
        let near = free
            .clone()
            .filter(|&cut| (low..high).contains(&(before[cut] as f64)));
        let best = near.min_by_key(|&cut| (crossing[cut], off(cut)));
        cuts.extend(best.or_else(|| free.min_by_key(|&cut| off(cut))));
    }
    cuts.push(stages);
    cuts.windows(2).map(|pair| pair[0]..pair[1]).collect()
}

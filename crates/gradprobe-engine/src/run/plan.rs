//! Which nodes run together, and where the batch is cut.

use crate::graph::{Graph, Node, ValueId, ValueKind};
use crate::num::Shape;
use crate::ops::Mode;
use std::ops::Range;

/// The most chunks a batch is cut into: more threads than this share no batch.
const MOST_CHUNKS: usize = 16;

/// Elements of a stage's values that are little memory: shorter stages are not worth the threads'
/// meeting.
const STAGE_ELEMENTS: usize = 1 << 22;
/// Where a stage has so many nodes, so many elements are enough: what it leaves is then still in a
/// cache when it is read.
const STAGE_NODES: usize = 16;
const CACHED_ELEMENTS: usize = 1 << 18;
/// The part of all values that a longer stage may have: memory is given back between stages.
const STAGE_PART: usize = 32;

/// A stretch of nodes that runs as one.
#[derive(Debug)]
pub(super) struct Stage {
    /// Which nodes, by position in the graph.
    pub nodes: Range<usize>,
    /// Is the batch cut into chunks here?
    pub chunked: bool,
    /// The slots that its nodes write, in the order they are written.
    pub locals: Vec<usize>,
}

/// Where the data of a slot lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// Written by a node of stage `.0`, as its local `.1`.
    Stage(usize, usize),
    /// A parameter.
    Parameter(usize),
    /// An input of the graph.
    Input(usize),
}

/// The plan of a graph's runs. A *slot* is the value whose memory a value lies in: its own, or
/// that of the value it is a view of.
#[derive(Debug)]
pub(super) struct Plan {
    pub stages: Vec<Stage>,
    /// By value: its slot.
    pub slots: Vec<usize>,
    /// By slot: where its data lies.
    pub sources: Vec<Source>,
    /// By value: does axis 0 enumerate the samples of the batch?
    pub sampled: Vec<bool>,
    /// By slot: does its cotangent matter?
    pub needs: Vec<bool>,
    /// By slot: how many times nodes read it (views aside).
    pub uses: Vec<usize>,
    /// By slot: how many different nodes those are.
    pub readers: Vec<usize>,
    /// By slot: the activation that takes its statistics while it reads it chunk by chunk, and
    /// those of its cotangent while it writes that, where the node that writes the slot sees the
    /// whole batch at once and would read all of it from memory again.
    pub left_to: Vec<Option<usize>>,
    /// The batch's chunks, in rows.
    pub chunks: Vec<Range<usize>>,
    /// Rows of the batch.
    pub rows: usize,
    /// By value: its shape when only the last, shorter chunk is seen, and when a full one is.
    chunk_shapes: [Vec<Option<Shape>>; 2],
}

impl Plan {
    pub fn new(graph: &Graph, mode: Mode, input_gradients: bool) -> Self {
        let values = graph.values();
        let rows = graph
            .inputs()
            .first()
            .and_then(|&input| graph.value(input).shape.first().copied())
            .unwrap_or(1);
        let mut plan = Self {
            stages: Vec::new(),
            slots: (0..values.len()).collect(),
            sources: vec![Source::Input(0); values.len()],
            sampled: vec![false; values.len()],
            needs: vec![false; values.len()],
            uses: vec![0; values.len()],
            readers: vec![0; values.len()],
            left_to: vec![None; values.len()],
            chunks: Vec::new(),
            rows,
            chunk_shapes: [Vec::new(), Vec::new()],
        };
        for (index, value) in values.iter().enumerate() {
            match value.kind {
                ValueKind::Input(position) => {
                    plan.sources[index] = Source::Input(position);
                    plan.sampled[index] = value.shape.first() == Some(&rows);
                    plan.needs[index] = input_gradients;
                }
                ValueKind::Parameter(id) => {
                    plan.sources[index] = Source::Parameter(id.index());
                    plan.needs[index] = graph.parameter(id).trainable;
                }
                ValueKind::Output(..) => {}
            }
        }
        plan.cut_into_stages(graph, mode);
        plan.cut_the_batch(graph);
        if plan.chunks.len() > 1 {
            plan.leave_statistics(graph, mode);
        }
        plan
    }

    fn leave_statistics(&mut self, graph: &Graph, mode: Mode) {
        let objective = self.slots[graph.objective().value().index()];
        for stage in self.stages.iter().filter(|stage| stage.chunked) {
            for position in stage.nodes.clone() {
                let node = &graph.nodes()[position];
                let ([input], Some(_)) = (&node.inputs[..], node.op.activation()) else {
                    continue;
                };
                let slot = self.slots[input.index()];
                let Source::Stage(writer, _) = self.sources[slot] else {
                    continue;
                };
                let ValueKind::Output(_, output) = graph.values()[slot].kind else {
                    continue;
                };
                let sampled = self.sampled[slot] && self.sampled[input.index()];
                let whole = !self.stages[writer].chunked && output == 0 && sampled;
                let only = self.readers[slot] == 1 && slot != objective && node.outputs.len() == 1;
                if whole && only && !node.op.facts().is_view.has(mode) {
                    self.left_to[slot] = Some(position);
                }
            }
        }
    }

    /// Are the statistics of what this node writes left to the activation that reads it?
    pub fn leaves_statistics(&self, node: &Node) -> bool {
        self.left_to[node.outputs[0].index()].is_some()
    }

    /// The node that leaves the statistics of its output to this one.
    pub fn left_by(&self, graph: &Graph, position: usize) -> Option<usize> {
        let input = graph.nodes()[position].inputs.first()?;
        let slot = self.slots[input.index()];
        match graph.values()[slot].kind {
            ValueKind::Output(writer, _) if self.left_to[slot] == Some(position) => {
                Some(writer.index())
            }
            _ => None,
        }
    }

    fn cut_into_stages(&mut self, graph: &Graph, mode: Mode) {
        let size = |node: &Node| -> usize {
            let outputs = node
                .outputs
                .iter()
                .filter(|_| !node.op.facts().is_view.has(mode));
            outputs
                .map(|&value| graph.value(value).shape.element_count())
                .sum()
        };
        let total: usize = graph.nodes().iter().map(size).sum();
        let most = STAGE_ELEMENTS.max(total / STAGE_PART);
        let mut elements = 0;
        for (position, node) in graph.nodes().iter().enumerate() {
            let shapes: Vec<&Shape> = node.inputs.iter().map(|&v| &graph.value(v).shape).collect();
            let sampled: Vec<bool> = node
                .inputs
                .iter()
                .map(|v| self.sampled[v.index()])
                .collect();
            let by_sample = sampled.contains(&true) && node.op.per_sample(&sampled, &shapes);
            let joins = by_sample && self.stages.last().is_some_and(|stage| stage.chunked);
            elements += size(node);
            let nodes = self.stages.last().map_or(0, |stage| stage.nodes.len());
            let most = match nodes >= STAGE_NODES {
                true => CACHED_ELEMENTS,
                false => most,
            };
            if !(joins && elements <= most) {
                elements = size(node);
                self.stages.push(Stage {
                    nodes: position..position,
                    chunked: by_sample,
                    locals: Vec::new(),
                });
            }
            let number = self.stages.len() - 1;
            let stage = &mut self.stages[number];
            stage.nodes.end = position + 1;

            let is_view = node.op.facts().is_view.has(mode);
            let mut read = Vec::with_capacity(node.inputs.len());
            for (input, value) in node.inputs.iter().enumerate() {
                let slot = self.slots[value.index()];
                if !is_view && self.needs[slot] && node.op.differentiable(input) {
                    self.uses[slot] += 1;
                    if !read.contains(&slot) {
                        self.readers[slot] += 1;
                        read.push(slot);
                    }
                }
            }
            let visible = node.outputs.len() - node.op.kept_outputs();
            let any_sampled = sampled.contains(&true);
            // A layer's signal is looked at also where no weight comes before it.
            let of_layer = node.layer.is_some() && !is_view;
            let needs = node.inputs.iter().enumerate().any(|(input, value)| {
                let is_data = !matches!(graph.value(*value).kind, ValueKind::Parameter(_));
                let needed = self.needs[self.slots[value.index()]] || (of_layer && is_data);
                node.op.differentiable(input) && needed
            });
            for (output, &value) in node.outputs.iter().enumerate() {
                let index = value.index();
                let rows_first = graph.value(value).shape.first() == Some(&self.rows);
                self.sampled[index] = by_sample || (any_sampled && rows_first);
                if is_view && output == 0 {
                    self.slots[index] = self.slots[node.inputs[0].index()];
                    continue;
                }
                self.sources[index] = Source::Stage(number, stage.locals.len());
                stage.locals.push(index);
                self.needs[index] = needs && output < visible;
            }
        }
    }

    /// Chunks have the rows that the costliest node asks for, but there are few enough of them.
    fn cut_the_batch(&mut self, graph: &Graph) {
        let chunked = self.stages.iter().filter(|stage| stage.chunked);
        let rows_per_call = rows_per_call(graph, chunked.flat_map(|stage| stage.nodes.clone()));
        let rows = self.rows.max(1);
        let count = (rows / rows_per_call).clamp(1, MOST_CHUNKS);
        let size = rows.div_ceil(count);
        self.chunks = (0..rows)
            .step_by(size)
            .map(|start| start..(start + size).min(rows))
            .collect();
        if self.chunks.len() > 1 {
            let last = self.chunks[self.chunks.len() - 1].len();
            for (variant, rows) in [last, size].into_iter().enumerate() {
                let shapes = graph.values().iter().enumerate().map(|(index, value)| {
                    self.sampled[index].then(|| {
                        let mut shape = value.shape.clone();
                        shape.0[0] = rows;
                        shape
                    })
                });
                self.chunk_shapes[variant] = shapes.collect();
            }
        }
    }

    /// The stage that a node belongs to.
    pub fn stage_of(&self, node: usize) -> usize {
        self.stages.partition_point(|stage| stage.nodes.end <= node)
    }

    /// The shape of a value as a chunk sees it; `None` is the whole batch.
    pub fn shape<'a>(
        &'a self,
        graph: &'a Graph,
        value: usize,
        chunk: Option<usize>,
    ) -> &'a [usize] {
        let whole = &graph.values()[value].shape;
        let Some(chunk) = chunk.filter(|_| self.chunks.len() > 1) else {
            return whole;
        };
        let variant = usize::from(chunk + 1 < self.chunks.len());
        self.chunk_shapes[variant][value].as_ref().unwrap_or(whole)
    }

    /// The elements of a sampled slot of `len` elements that belong to a chunk.
    pub fn elements(&self, len: usize, chunk: usize) -> Range<usize> {
        let row = len / self.rows.max(1);
        let rows = &self.chunks[chunk];
        rows.start * row..rows.end * row
    }
}

/// The rows of the batch that the costliest of some nodes wants to see at a time; at least 1.
pub(super) fn rows_per_call(graph: &Graph, nodes: impl Iterator<Item = usize>) -> usize {
    let mut costliest = (0, 1);
    for node in nodes.map(|node| &graph.nodes()[node]) {
        let shape = |&value: &ValueId| &graph.value(value).shape;
        let inputs: Vec<&Shape> = node.inputs.iter().map(shape).collect();
        let outputs: Vec<Shape> = node.outputs.iter().map(shape).cloned().collect();
        let flops = node.op.flops(&inputs, &outputs);
        if flops > costliest.0 {
            costliest = (flops, node.op.rows_per_call(&inputs));
        }
    }
    costliest.1.max(1)
}

/// Is this input of a node of this stage the same for every sample, so that its gradient is a sum
/// over the batch?
pub(super) fn is_shared(plan: &Plan, stage: usize, value: usize) -> bool {
    match plan.sources[plan.slots[value]] {
        Source::Parameter(_) => true,
        _ => plan.stages[stage].chunked && !plan.sampled[value],
    }
}

/// Are the gradients of all of a node's inputs left to [`shared`](super::shared)?
pub(super) fn is_at_once(plan: &Plan, stage: usize, node: &Node) -> bool {
    node.op.facts().pulls_back_at_once && !plan.stages[stage].chunked
}

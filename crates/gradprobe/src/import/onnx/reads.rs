//! Who reads whose values in the graph that a model became, by nodes of the file: what the layers
//! are cut by.

use super::layers::Layers;
use crate::graph::GraphBuilder;
use crate::graph::{Node, ValueId, ValueKind};
use std::collections::HashMap;

/// A node of the graph that belongs to no entry reads, or the loss does.
pub(super) const OUTSIDE: usize = usize::MAX;

/// The nodes of an entry, and what goes in and out.
#[derive(Debug, Default, Clone)]
pub(super) struct Flow {
    /// Its nodes that the output depends on, by number.
    pub nodes: Vec<usize>,
    /// The signals that it reads, each once.
    pub signals: Vec<ValueId>,
    /// The values that others read of it.
    pub outputs: Vec<ValueId>,
}

/// The flows of all entries.
#[derive(Debug)]
pub(super) struct Reads {
    /// By entry.
    pub flows: Vec<Flow>,
    /// By value: the entries that read it, each once, in order; its own entry is not one of them.
    readers: HashMap<ValueId, Vec<usize>>,
    /// By value that others read: the entry that makes it.
    makers: HashMap<ValueId, usize>,
}

impl Reads {
    /// Of what `output` depends on.
    pub fn new(layers: &Layers, builder: &GraphBuilder, output: ValueId) -> Self {
        let nodes = builder.nodes();
        let entry_of = |node: &Node| {
            let made = node.outputs.first();
            made.and_then(|value| layers.made_by.get(value)).copied()
        };
        let mut reads = Self {
            flows: vec![Flow::default(); layers.entries.len()],
            readers: HashMap::new(),
            makers: HashMap::new(),
        };
        reads.read(output, OUTSIDE);
        for (number, _) in needed(builder, output) {
            let node = &nodes[number];
            let entry = entry_of(node);
            for &value in &node.inputs {
                let own = entry.is_some() && layers.made_by.get(&value).copied() == entry;
                if own || !layers.is_signal(value) || is_parameter(builder, value) {
                    continue;
                }
                reads.read(value, entry.unwrap_or(OUTSIDE));
                if let Some(entry) = entry {
                    let signals = &mut reads.flows[entry].signals;
                    if !signals.contains(&value) {
                        signals.push(value);
                    }
                }
            }
            if let Some(entry) = entry {
                reads.flows[entry].nodes.push(number);
            }
        }
        for (entry, flow) in reads.flows.iter_mut().enumerate() {
            let made = flow.nodes.iter().flat_map(|&node| &nodes[node].outputs);
            let read = made.filter(|value| reads.readers.contains_key(value));
            flow.outputs = read.copied().collect();
            let made = flow.outputs.iter().map(|&value| (value, entry));
            reads.makers.extend(made);
        }
        reads
    }

    fn read(&mut self, value: ValueId, reader: usize) {
        let readers = self.readers.entry(value).or_default();
        if !readers.contains(&reader) {
            readers.push(reader);
        }
    }

    /// The entries that read a value, each once; [`OUTSIDE`] where that is none.
    pub fn readers(&self, value: ValueId) -> &[usize] {
        self.readers.get(&value).map_or(&[], Vec::as_slice)
    }

    /// The entry that makes a value, where it is one.
    pub fn maker(&self, value: ValueId) -> Option<usize> {
        self.makers.get(&value).copied()
    }

    /// Is the entry the only one that reads the value?
    pub fn is_only_reader(&self, entry: usize, value: ValueId) -> bool {
        self.readers(value) == [entry]
    }
}

fn is_parameter(builder: &GraphBuilder, value: ValueId) -> bool {
    matches!(builder.value(value).kind, ValueKind::Parameter(_))
}

/// The nodes that a value depends on, in their order.
fn needed(builder: &GraphBuilder, output: ValueId) -> impl Iterator<Item = (usize, bool)> {
    let nodes = builder.nodes();
    let mut is_needed = vec![false; nodes.len()];
    let mut open = vec![output];
    while let Some(value) = open.pop() {
        if let ValueKind::Output(node, _) = builder.value(value).kind
            && !std::mem::replace(&mut is_needed[node.index()], true)
        {
            open.extend(&nodes[node.index()].inputs);
        }
    }
    let needed = is_needed.into_iter().enumerate();
    needed.filter(|&(_, is_needed)| is_needed)
}

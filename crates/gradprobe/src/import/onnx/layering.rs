//! Gives the nodes of a graph to layers, when the whole graph is known.
//!
//! A layer's signal is read at its output, forward and back, so the output has to be one value that
//! everything behind the layer is computed from: a node is taken into the layer before it only
//! where nothing else reads that layer's output. What else follows a weight and belongs to its layer is
//! a bias, a normalisation, an activation, and what names elements otherwise. A value that forks is
//! where a layer ends; if the ways meet again without weights, what is between them is an activation
//! that was written out, and belongs to the layer, or something else, and is a layer of its own.

use super::layers::{Class, Entry, Layers, part};
use super::reads::Reads;
use super::regions::closed_region;
use crate::graph::{GraphBuilder, GraphError, LayerId, NodeId, ValueId};
use std::collections::{HashMap, HashSet};

/// The longest description of a layer, in parts.
const MOST_PARTS: usize = 6;

/// A layer so far.
#[derive(Debug)]
struct Layer {
    id: LayerId,
    name: String,
    parts: Vec<String>,
    weighted: bool,
    /// Did an activation come, after which a weight begins a layer of its own?
    closed: bool,
    /// What others read of it, where that is one value.
    output: Option<ValueId>,
}

/// Gives every node that `output` depends on, and that a weight has touched, to a layer. Returns
/// which weights, by number, which layer reads.
pub(super) fn assign(
    noted: &Layers,
    builder: &mut GraphBuilder,
    output: ValueId,
) -> Result<Vec<(usize, String)>, GraphError> {
    let reads = Reads::new(noted, builder, output);
    let mut layering = Layering {
        entries: &noted.entries,
        reads: &reads,
        builder,
        layers: Vec::new(),
        by_path: HashMap::new(),
        of_value: HashMap::new(),
        names: HashSet::new(),
        in_region: HashMap::new(),
        weights: Vec::new(),
    };
    let mut order: Vec<(usize, usize)> = Vec::new();
    for (entry, flow) in reads.flows.iter().enumerate() {
        order.extend(flow.nodes.first().map(|&node| (node, entry)));
    }
    order.sort_unstable();
    for (_, entry) in order {
        layering.place(entry)?;
    }
    layering.builder.end_layer();
    Ok(layering.weights)
}

struct Layering<'a> {
    entries: &'a [Entry],
    reads: &'a Reads,
    builder: &'a mut GraphBuilder,
    layers: Vec<Layer>,
    by_path: HashMap<String, usize>,
    of_value: HashMap<ValueId, usize>,
    names: HashSet<String>,
    /// Entries of a region whose first one was placed: the layer.
    in_region: HashMap<usize, usize>,
    /// Weights by number, with the layer that reads them.
    weights: Vec<(usize, String)>,
}

impl Layering<'_> {
    fn place(&mut self, number: usize) -> Result<(), GraphError> {
        let entry = &self.entries[number];
        let layer = match self.in_region.get(&number) {
            Some(&layer) => layer,
            None => match self.joined(number) {
                Some(layer) => layer,
                None => match self.region(number)? {
                    Some(layer) => layer,
                    None => self.begin(entry.path.as_ref().unwrap_or(&entry.name), number)?,
                },
            },
        };
        let name = &self.layers[layer].name;
        let weights = entry.weights.iter().map(|&weight| (weight, name.clone()));
        self.weights.extend(weights);
        self.take(number, layer);
        Ok(())
    }

    /// The layer that the entry goes on with, where it reads its output and nothing else does.
    fn joined(&self, number: usize) -> Option<usize> {
        let (entry, flow) = (&self.entries[number], &self.reads.flows[number]);
        let [signal] = flow.signals[..] else {
            return None;
        };
        let index = *self.of_value.get(&signal)?;
        let layer = &self.layers[index];
        let follows = layer.output == Some(signal) && self.reads.is_only_reader(number, signal);
        if !follows || flow.outputs.len() > 1 {
            return None;
        }
        let joins = if entry.weighted {
            let may_join = matches!(entry.class, Class::Arithmetic | Class::Normalisation);
            let same_path = entry.path.as_ref().and_then(|path| self.by_path.get(path));
            layer.weighted && !layer.closed && may_join
                || entry.op == "PRelu"
                || same_path == Some(&index)
        } else {
            match entry.class {
                Class::Activation | Class::Softmax | Class::Renames => true,
                Class::Normalisation => !layer.closed,
                Class::Alone => false,
                _ => !layer.weighted,
            }
        };
        joins.then_some(index)
    }

    /// The layer of the region that begins here, if one does: that before it where the region is
    /// its activation, else one of its own.
    fn region(&mut self, number: usize) -> Result<Option<usize>, GraphError> {
        let flow = &self.reads.flows[number];
        let [fork] = flow.signals[..] else {
            return Ok(None);
        };
        let forks = self.reads.readers(fork).len() > 1 || flow.outputs.len() > 1;
        if !forks || self.entries[number].weighted {
            return Ok(None);
        }
        let Some(region) = closed_region(self.entries, self.reads, number) else {
            return Ok(None);
        };
        let before = self.of_value.get(&fork).copied();
        let before = before.filter(|&layer| self.layers[layer].output == Some(fork));
        let last = region.entries.last().copied().unwrap_or(number);
        let shape = |value: ValueId| self.builder.shape(value);
        let keeps_shape = |made: &ValueId| shape(*made) == shape(fork);
        let is_activation =
            region.is_activation && self.reads.flows[last].outputs.iter().all(keeps_shape);
        let goes_on =
            |&layer: &usize| region.takes_all && (is_activation || !self.layers[layer].weighted);
        let layer = match before.filter(goes_on) {
            Some(layer) => layer,
            None => {
                let name = &self.entries[last].name;
                self.begin(name, number)?
            }
        };
        let entries = region.entries.into_iter();
        self.in_region.extend(entries.map(|entry| (entry, layer)));
        Ok(Some(layer))
    }

    /// Puts the nodes of an entry into a layer.
    fn take(&mut self, number: usize, index: usize) {
        let (entry, flow) = (&self.entries[number], &self.reads.flows[number]);
        let layer = &mut self.layers[index];
        layer.weighted |= entry.weighted;
        layer.closed |= matches!(entry.class, Class::Activation | Class::Softmax);
        layer.output = match flow.outputs[..] {
            [output] => Some(output),
            _ => None,
        };
        for &value in &flow.outputs {
            self.of_value.insert(value, index);
        }
        self.builder.resume_layer(layer.id);
        for &value in &entry.trail {
            self.builder.adopt(value);
        }
        for &node in &flow.nodes {
            self.builder.put_into_layer(NodeId::at(node));
        }
        let is_bias = entry.class == Class::Arithmetic && layer.weighted && !layer.parts.is_empty();
        let part = part(&entry.op, entry.class, entry.weighted);
        if let Some(part) = part.filter(|_| !is_bias || !entry.weighted)
            && layer.parts.last() != Some(&part)
        {
            if layer.parts.len() < MOST_PARTS {
                layer.parts.push(part);
            }
            self.builder.describe_layer(layer.parts.join(" + "));
        }
    }

    /// Begins a layer under this name, or with a number after it where that is taken.
    fn begin(&mut self, name: &str, number: usize) -> Result<usize, GraphError> {
        let mut free = name.to_owned();
        let mut count = 1;
        while !self.names.insert(free.clone()) {
            count += 1;
            free = format!("{name} ({count})");
        }
        let origin = self.entries[number].origin.clone();
        let id = self.builder.begin_layer(free.clone(), "", origin)?;
        self.layers.push(Layer {
            id,
            name: free,
            parts: Vec::new(),
            weighted: false,
            closed: false,
            output: None,
        });
        let index = self.layers.len() - 1;
        if let Some(path) = &self.entries[number].path {
            self.by_path.insert(path.clone(), index);
        }
        Ok(index)
    }
}

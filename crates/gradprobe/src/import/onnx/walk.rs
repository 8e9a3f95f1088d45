//! The walk over the nodes: each after those that it needs, and bodies in scopes of their own.

use super::convert;
use super::error::{OnnxError, quoted};
use super::fault::Fault;
use super::layer_names::layer_of_weight;
use super::messages::Graph;
use super::model::{self, Node};
use super::session::Session;
use super::tensors;
use super::value::Operand;
use crate::graph::Origin;
use crate::ops::StraightThrough;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// Bodies in bodies.
const DEEPEST: usize = 20;
/// Nodes of bodies, and bodies, that are converted in all: loops in loops multiply.
const MOST_IN_BODIES: usize = 500_000;

/// The body of a control-flow node, ready to be converted as often as it is run.
pub(super) struct Body {
    graph: Graph,
    nodes: Vec<Node>,
}

impl Body {
    pub fn new(mut graph: Graph, opset: i64) -> Self {
        let nodes = std::mem::take(&mut graph.node).into_iter().enumerate();
        let node = |(position, message)| Node {
            message,
            opset,
            position,
        };
        Self {
            nodes: nodes.map(node).collect(),
            graph,
        }
    }

    pub fn input_count(&self) -> usize {
        self.graph.input.len()
    }

    pub fn output_count(&self) -> usize {
        self.graph.output.len()
    }
}

impl Session<'_> {
    /// Converts every live node; those of weights alone when they are needed.
    pub fn convert_all(&mut self) -> Result<(), OnnxError> {
        for index in 0..self.model.nodes.len() {
            if self.analysis.live[index] && !self.analysis.weights_only[index] {
                self.convert_with_needs(index)?;
            }
        }
        Ok(())
    }

    /// Converts the node that makes a value, and those that it needs, if that was not done.
    pub fn need(&mut self, name: &str) -> Result<(), OnnxError> {
        match self.analysis.made_by.get(name) {
            Some(&index) if self.find(name).is_none() => self.convert_with_needs(index),
            _ => Ok(()),
        }
    }

    fn convert_with_needs(&mut self, index: usize) -> Result<(), OnnxError> {
        let (model, analysis) = (self.model, self.analysis);
        // (node, were its needs looked at?)
        let mut stack = vec![(index, false)];
        let mut open = HashSet::new();
        while let Some((index, looked)) = stack.pop() {
            let node = &model.nodes[index];
            let mut outputs = node.message.output.iter();
            if outputs.any(|name| !name.is_empty() && self.find(name).is_some()) {
                continue;
            }
            if looked {
                open.remove(&index);
                self.convert_node(node)?;
                continue;
            }
            if !open.insert(index) {
                let message = "reads what is made of its own output";
                return Err(OnnxError::new(message).at(node.place()));
            }
            stack.push((index, true));
            let mut needs = Vec::new();
            model::reads(&node.message, &mut |name| {
                if let Some(&maker) = analysis.made_by.get(name) {
                    needs.push((name.to_owned(), maker));
                }
            });
            for (name, maker) in needs.into_iter().rev() {
                if self.find(&name).is_none() {
                    stack.push((maker, false));
                }
            }
        }
        Ok(())
    }

    fn convert_node(&mut self, node: &Node) -> Result<(), OnnxError> {
        let result = self.try_convert(node);
        result.map_err(|fault| fault.at(node))
    }

    fn try_convert(&mut self, node: &Node) -> Result<(), Fault> {
        let mut inputs = Vec::with_capacity(node.message.input.len());
        for name in &node.message.input {
            inputs.push(match &name[..] {
                "" => None,
                name => Some(
                    self.find(name)
                        .ok_or_else(|| format!("reads {}, which nothing makes", quoted(name)))?,
                ),
            });
        }
        self.node_name = match &node.message.name[..] {
            "" => node
                .message
                .output
                .iter()
                .find(|name| !name.is_empty())
                .unwrap_or(&node.message.op_type)
                .clone(),
            name => name.to_owned(),
        };
        self.origin = Origin {
            place: node.place(),
            span: None,
        };
        let op = &node.message.op_type[..];
        if convert::is_control_flow(node) {
            self.layers.leave();
        } else if !matches!(op, "Shape" | "Size") {
            // Of the second input it reads the type alone.
            let read = if op == "CastLike" { 1 } else { inputs.len() };
            let weights = &self.weights;
            let decided = &self.analysis.weights;
            let layer_path = |weight: usize| {
                let name = &weights[weight].name;
                let is_named = decided.unnamed(name).is_none();
                is_named.then(|| layer_of_weight(name))
            };
            self.layers
                .enter(node, &inputs[..read.min(inputs.len())], &layer_path);
        }
        let outputs = match self.straight_through(node)? {
            Some(output) => vec![Some(output)],
            None => convert::convert(self, node, inputs)?,
        };
        for (index, name) in node.message.output.iter().enumerate() {
            if name.is_empty() {
                continue;
            }
            let operand = outputs
                .get(index)
                .and_then(Option::as_ref)
                .ok_or_else(|| format!("its output {} ({}) is not supported", index, quoted(name)));
            match operand {
                Ok(operand) => {
                    let operand = operand.clone();
                    self.define(name, operand);
                }
                // Somebody who reads it will miss it.
                Err(_) if index > 0 => {}
                Err(message) => return Err(message.into()),
            }
        }
        Ok(())
    }

    /// What the node makes, where it is to be taken for a straight-through estimator.
    fn straight_through(&mut self, node: &Node) -> Result<Option<Operand>, Fault> {
        if self.is_in_body() || !self.straight_through {
            return Ok(None);
        }
        let closed = node.message.output.first();
        let Some(estimator) = closed.and_then(|name| self.estimators.get(name)) else {
            return Ok(None);
        };
        let (x, value) = (self.find(&estimator.x), self.find(&estimator.value));
        match (x, value) {
            (Some(x), Some(value)) if x.shape == value.shape => {
                let made = self.emit(Arc::new(StraightThrough), &[x, value], None)?;
                Ok(made.into_iter().next())
            }
            _ => Ok(None),
        }
    }

    /// Counts nodes that a node of the file stands for.
    pub fn charge_bodies(&mut self, nodes: usize) -> Result<(), Fault> {
        self.in_bodies = self.in_bodies.saturating_add(nodes);
        if self.in_bodies > MOST_IN_BODIES {
            return Err(format!("runs more than {MOST_IN_BODIES} nodes of bodies in all").into());
        }
        Ok(())
    }

    /// Converts a body (of an If, say) whose inputs are given, and returns its outputs.
    pub fn body(&mut self, body: &Body, inputs: Vec<Operand>) -> Result<Vec<Operand>, Fault> {
        if self.scopes.len() > DEEPEST {
            return Err(format!("bodies are nested more than {DEEPEST} deep").into());
        }
        self.charge_bodies(1 + body.nodes.len())?;
        self.scopes.push(HashMap::new());
        let result = self.body_inside(body, inputs);
        self.scopes.pop();
        self.layers.leave();
        result
    }

    fn body_inside(&mut self, body: &Body, inputs: Vec<Operand>) -> Result<Vec<Operand>, Fault> {
        for tensor in &body.graph.initializer {
            let stored = tensors::read(tensor, self.folder)?;
            let operand = self.tensor(&tensor.name, stored, false)?;
            self.define(&tensor.name, operand);
        }
        for (info, operand) in body.graph.input.iter().zip(inputs) {
            self.define(&info.name, operand);
        }
        for node in &body.nodes {
            self.convert_node(node)?;
        }
        let outputs = body.graph.output.iter().map(|info| {
            self.find(&info.name)
                .ok_or_else(|| format!("its body makes no {}", quoted(&info.name)).into())
        });
        outputs.collect()
    }
}

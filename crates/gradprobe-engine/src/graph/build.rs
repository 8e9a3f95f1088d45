//! Building a graph node by node, every shape checked where it is added.

use super::{
    Graph, Layer, LayerId, Node, NodeId, Objective, Origin, Parameter, ParameterData, ParameterId,
    Value, ValueId, ValueKind,
};
use crate::num::Shape;
use crate::ops::{Op, OpError, Role};
use std::collections::HashSet;
use std::sync::Arc;

/// Why a graph cannot be built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GraphError {
    /// A node whose operands do not fit.
    #[error("{op} `{node}`: {source}")]
    Node {
        /// The node's name.
        node: String,
        /// The op's name.
        op: &'static str,
        /// Where the node stands in the source.
        origin: Box<Origin>,
        /// What is wrong.
        source: OpError,
    },
    /// Two things with one name.
    #[error("the name `{name}` is used twice")]
    DuplicateName {
        /// The name.
        name: String,
        /// Where its second use stands.
        origin: Box<Origin>,
    },
    /// A loss that is not a scalar.
    #[error("the loss must be a scalar, got shape {shape}")]
    LossNotScalar {
        /// Its shape.
        shape: Shape,
    },
    /// More things than the graph's tables count.
    #[error("the network has more than {limit} values")]
    TooLarge {
        /// The most values a graph can hold.
        limit: u32,
    },
}

impl GraphError {
    /// Where in the source the error stands, where that is known.
    pub fn origin(&self) -> Option<&Origin> {
        match self {
            Self::Node { origin, .. } | Self::DuplicateName { origin, .. } => Some(origin),
            Self::LossNotScalar { .. } | Self::TooLarge { .. } => None,
        }
    }
}

/// Builds a [`Graph`].
///
/// Nodes belong to the layer begun last; what is added before any layer, or after
/// [`end_layer`](Self::end_layer), belongs to none.
#[derive(Debug, Default)]
pub struct GraphBuilder {
    values: Vec<Value>,
    nodes: Vec<Node>,
    parameters: Vec<Parameter>,
    layers: Vec<Layer>,
    inputs: Vec<ValueId>,
    layer: Option<LayerId>,
    names: HashSet<String>,
    layer_names: HashSet<String>,
}

impl GraphBuilder {
    /// An empty graph.
    pub fn new() -> Self {
        Self::default()
    }

    /// The shape of a value added before.
    pub fn shape(&self, value: ValueId) -> &Shape {
        &self.values[value.index()].shape
    }

    /// What a value added before is called.
    pub fn name(&self, value: ValueId) -> &str {
        &self.values[value.index()].name
    }

    /// The nodes added so far.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// A value added before.
    pub fn value(&self, value: ValueId) -> &Value {
        &self.values[value.index()]
    }

    /// What has been added so far: every value, node and parameter, by the index of its id.
    pub fn parts(&self) -> (&[Value], &[Node], &[Parameter]) {
        (&self.values, &self.nodes, &self.parameters)
    }

    /// Takes the nodes that nothing asked for depends on out of their layers, but for those that
    /// read a trained parameter: a layer without a node is not measured.
    pub fn leave_unneeded_out_of_layers(&mut self, needed: ValueId) {
        let mut stays = vec![false; self.nodes.len()];
        let mut open = vec![needed];
        while let Some(value) = open.pop() {
            if let ValueKind::Output(id, _) = self.values[value.index()].kind
                && !std::mem::replace(&mut stays[id.index()], true)
            {
                open.extend(&self.nodes[id.index()].inputs);
            }
        }
        for (node, stays) in self.nodes.iter_mut().zip(&mut stays) {
            let is_trained = |value: &ValueId| match self.values[value.index()].kind {
                ValueKind::Parameter(id) => self.parameters[id.index()].trainable,
                ValueKind::Input(_) | ValueKind::Output(..) => false,
            };
            *stays |= node.inputs.iter().any(is_trained);
            if !*stays {
                node.layer = None;
            }
        }
        for layer in &mut self.layers {
            layer.nodes.retain(|node| stays[node.index()]);
        }
    }

    /// Adds an input; axis 0 is the batch.
    pub fn input(&mut self, name: impl Into<String>, shape: Shape) -> Result<ValueId, GraphError> {
        let kind = ValueKind::Input(self.inputs.len());
        let id = self.add_value(name.into(), shape, kind, &Origin::default())?;
        self.inputs.push(id);
        Ok(id)
    }

    /// Adds a parameter.
    pub fn parameter(
        &mut self,
        name: impl Into<String>,
        data: ParameterData,
        trainable: bool,
    ) -> Result<ValueId, GraphError> {
        let name = name.into();
        let shape = match &data {
            ParameterData::F32(tensor) => tensor.shape().clone(),
            ParameterData::F64(tensor) => tensor.shape().clone(),
        };
        let id = ParameterId(self.parameters.len() as u32);
        let kind = ValueKind::Parameter(id);
        let value = self.add_value(name.clone(), shape, kind, &Origin::default())?;
        self.parameters.push(Parameter {
            name,
            value,
            data,
            trainable,
        });
        Ok(value)
    }

    /// Calls a parameter otherwise.
    ///
    /// # Errors
    /// If something is called so already.
    pub fn rename_parameter(&mut self, value: ValueId, name: &str) -> Result<(), GraphError> {
        let ValueKind::Parameter(id) = self.values[value.index()].kind else {
            return Ok(());
        };
        if !self.names.insert(name.to_owned()) {
            return Err(GraphError::DuplicateName {
                name: name.to_owned(),
                origin: Box::default(),
            });
        }
        self.names.remove(&self.values[value.index()].name);
        self.values[value.index()].name = name.to_owned();
        self.parameters[id.index()].name = name.to_owned();
        Ok(())
    }

    /// Begins a layer: the nodes that follow belong to it.
    pub fn begin_layer(
        &mut self,
        name: impl Into<String>,
        kind: impl Into<String>,
        origin: Origin,
    ) -> Result<LayerId, GraphError> {
        let name = name.into();
        if !self.layer_names.insert(name.clone()) {
            return Err(GraphError::DuplicateName {
                name,
                origin: Box::new(origin),
            });
        }
        let id = LayerId(self.layers.len() as u32);
        self.layers.push(Layer {
            name,
            kind: kind.into(),
            origin,
            nodes: Vec::new(),
        });
        self.layer = Some(id);
        Ok(id)
    }

    /// Says what the current layer is, once that is known.
    pub fn describe_layer(&mut self, kind: impl Into<String>) {
        if let Some(id) = self.layer {
            self.layers[id.index()].kind = kind.into();
        }
    }

    /// Goes back to a layer begun before: the nodes that follow belong to it.
    pub fn resume_layer(&mut self, layer: LayerId) {
        self.layer = Some(layer);
    }

    /// Takes the node that makes a value into the current layer, if it belongs to none.
    pub fn adopt(&mut self, value: ValueId) {
        if let ValueKind::Output(node, _) = self.values[value.index()].kind {
            self.put_into_layer(node);
        }
    }

    /// Takes a node into the current layer, if it belongs to none.
    pub fn put_into_layer(&mut self, id: NodeId) {
        let Some(layer) = self.layer else { return };
        let node = &mut self.nodes[id.index()];
        if node.layer.is_none() {
            node.layer = Some(layer);
            self.layers[layer.index()].nodes.push(id);
        }
    }

    /// The nodes that follow belong to no layer.
    pub fn end_layer(&mut self) {
        self.layer = None;
    }

    /// Adds a node with one (not kept) output and returns that.
    pub fn node(
        &mut self,
        name: impl Into<String>,
        op: impl Op + 'static,
        inputs: &[ValueId],
        origin: Origin,
    ) -> Result<ValueId, GraphError> {
        self.node_with(name, Arc::new(op), inputs, None, origin)
            .map(|outputs| outputs[0])
    }

    /// Adds a node, in a role other than its op's own if `role` says so; returns its outputs,
    /// without the kept ones.
    pub fn node_with(
        &mut self,
        name: impl Into<String>,
        op: Arc<dyn Op>,
        inputs: &[ValueId],
        role: Option<Role>,
        origin: Origin,
    ) -> Result<Vec<ValueId>, GraphError> {
        let name = name.into();
        let shapes: Vec<&Shape> = inputs.iter().map(|&input| self.shape(input)).collect();
        let inferred = op.infer(&shapes).and_then(|outputs| match &outputs[..] {
            all if all.iter().all(|shape| shape.checked_len().is_some()) => Ok(outputs),
            _ => Err(OpError::Shape {
                what: "output".into(),
                expected: "a tensor that fits in memory".into(),
                got: format!("{outputs:?}"),
            }),
        });
        let inferred = match inferred {
            Ok(shapes) => shapes,
            Err(source) => {
                let (op, origin) = (op.name(), Box::new(origin));
                return Err(GraphError::Node {
                    node: name,
                    op,
                    origin,
                    source,
                });
            }
        };
        let id = NodeId(self.nodes.len() as u32);
        let mut outputs = Vec::with_capacity(inferred.len());
        for (position, shape) in inferred.into_iter().enumerate() {
            let value_name = if position == 0 {
                name.clone()
            } else {
                format!("{name}:{position}")
            };
            let kind = ValueKind::Output(id, position);
            outputs.push(self.add_value(value_name, shape, kind, &origin)?);
        }
        if let Some(layer) = self.layer {
            self.layers[layer.index()].nodes.push(id);
        }
        let visible = outputs.len() - op.kept_outputs();
        let returned = outputs[..visible].to_vec();
        let role = role.unwrap_or_else(|| op.role());
        let inputs = inputs.to_vec();
        self.nodes.push(Node {
            name,
            op,
            inputs,
            outputs,
            layer: self.layer,
            role,
            origin,
        });
        Ok(returned)
    }

    /// Finishes the graph. `output` is what the network returns, before any loss.
    pub fn finish(self, output: ValueId, objective: Objective) -> Result<Graph, GraphError> {
        if let Objective::Loss(loss) = objective
            && self.shape(loss).element_count() != 1
        {
            return Err(GraphError::LossNotScalar {
                shape: self.shape(loss).clone(),
            });
        }
        Ok(Graph {
            values: self.values,
            nodes: self.nodes,
            parameters: self.parameters,
            layers: self.layers,
            inputs: self.inputs,
            output,
            objective,
        })
    }

    fn add_value(
        &mut self,
        name: String,
        shape: Shape,
        kind: ValueKind,
        origin: &Origin,
    ) -> Result<ValueId, GraphError> {
        let Ok(index) = u32::try_from(self.values.len()) else {
            return Err(GraphError::TooLarge { limit: u32::MAX });
        };
        if !self.names.insert(name.clone()) {
            return Err(GraphError::DuplicateName {
                name,
                origin: Box::new(origin.clone()),
            });
        }
        self.values.push(Value { name, shape, kind });
        Ok(ValueId(index))
    }
}

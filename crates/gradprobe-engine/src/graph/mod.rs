//! What a network is: values, the nodes that make them, parameters, layers with the names the
//! user gave them, and where each came from.

mod build;
mod objective;
mod scaled_objective;

pub use build::{GraphBuilder, GraphError};
pub use objective::{CotangentKind, Objective};

use crate::num::{Shape, Tensor};
use crate::ops::{Op, Role};
use std::sync::Arc;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub(crate) u32);

        impl $name {
            /// The one at a position in the graph's table.
            ///
            /// # Panics
            /// If the position is 2^32 or more.
            pub fn at(index: usize) -> Self {
                Self(u32::try_from(index).expect("a graph has fewer than 2^32 of each"))
            }

            /// Its position in the graph's table.
            pub fn index(self) -> usize {
                self.0 as usize
            }
        }
    };
}

id!(
    /// A value: an input, a parameter, or an output of a node.
    ValueId
);
id!(
    /// A node.
    NodeId
);
id!(
    /// A parameter.
    ParameterId
);
id!(
    /// A layer, that is a named group of nodes.
    LayerId
);

/// Where a thing came from, for messages: a line of a TOML file, a node of an ONNX file.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Origin {
    /// In words, e.g. `layers[3]` or ``node `Conv_12` ``. Empty where there is nothing to say.
    pub place: String,
    /// Bytes of the source text that it stands at, where the source is a text.
    pub span: Option<std::ops::Range<usize>>,
}

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueKind {
    /// Given anew at every run; the number counts the inputs.
    Input(usize),
    /// A parameter, trained.
    Parameter(ParameterId),
    /// An output of a node: which node, which of its outputs.
    Output(NodeId, usize),
}

/// A value.
#[derive(Clone, Debug)]
pub struct Value {
    /// Its name, unique in the graph.
    pub name: String,
    /// Its shape; axis 0 of an input is the batch.
    pub shape: Shape,
    /// What makes it.
    pub kind: ValueKind,
}

/// A node: an op applied to values.
#[derive(Clone, Debug)]
pub struct Node {
    /// Its name, for messages.
    pub name: String,
    /// What it computes.
    pub op: Arc<dyn Op>,
    /// The values it reads.
    pub inputs: Vec<ValueId>,
    /// The values it makes; the last `op.kept_outputs()` are read by its own pull-back only.
    pub outputs: Vec<ValueId>,
    /// The layer it belongs to; `None` for the loss.
    pub layer: Option<LayerId>,
    /// The part it plays in attribution (the op's own, unless the importer knows better).
    pub role: Role,
    /// Where it stands in the source.
    pub origin: Origin,
}

/// The numbers of a parameter, in the type they came in.
#[derive(Clone, Debug)]
pub enum ParameterData {
    /// Single precision.
    F32(Arc<Tensor<f32>>),
    /// Double precision.
    F64(Arc<Tensor<f64>>),
}

/// A parameter.
#[derive(Clone, Debug)]
pub struct Parameter {
    /// The name the user knows, e.g. `fc1.weight`; unique in the graph.
    pub name: String,
    /// The value it is read through.
    pub value: ValueId,
    /// Its numbers.
    pub data: ParameterData,
    /// Is it trained? A running mean is not.
    pub trainable: bool,
}

/// A layer: what the user names and what verdicts are given on.
#[derive(Clone, Debug)]
pub struct Layer {
    /// The name the user knows; unique in the graph.
    pub name: String,
    /// What it is, in a word or two, e.g. `linear + tanh`.
    pub kind: String,
    /// Where it stands in the source.
    pub origin: Origin,
    /// Its nodes, in the order they run.
    pub nodes: Vec<NodeId>,
}

/// A network with its objective: nodes in an order in which each follows what it reads.
///
/// Made by a [`GraphBuilder`], which checks every shape.
#[derive(Clone, Debug)]
pub struct Graph {
    pub(crate) values: Vec<Value>,
    pub(crate) nodes: Vec<Node>,
    pub(crate) parameters: Vec<Parameter>,
    pub(crate) layers: Vec<Layer>,
    pub(crate) inputs: Vec<ValueId>,
    pub(crate) output: ValueId,
    pub(crate) objective: Objective,
}

impl Graph {
    /// Every value.
    pub fn values(&self) -> &[Value] {
        &self.values
    }
    /// Every node, each after what it reads.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }
    /// Every parameter.
    pub fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }
    /// Every layer, in the order of their first nodes.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }
    /// The inputs, in the order a run takes them (the target, where there is one, comes last).
    pub fn inputs(&self) -> &[ValueId] {
        &self.inputs
    }
    /// What the network returns, before the loss.
    pub fn output(&self) -> ValueId {
        self.output
    }
    /// What is differentiated.
    pub fn objective(&self) -> &Objective {
        &self.objective
    }
    /// A value by id.
    pub fn value(&self, id: ValueId) -> &Value {
        &self.values[id.index()]
    }
    /// A node by id.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.index()]
    }
    /// A layer by id.
    pub fn layer(&self, id: LayerId) -> &Layer {
        &self.layers[id.index()]
    }
    /// A parameter by id.
    pub fn parameter(&self, id: ParameterId) -> &Parameter {
        &self.parameters[id.index()]
    }
    /// Replaces the numbers of a parameter.
    ///
    /// # Panics
    /// If their shape is another one.
    pub fn set_parameter(&mut self, index: usize, data: ParameterData) {
        let shape = match &data {
            ParameterData::F32(tensor) => tensor.shape(),
            ParameterData::F64(tensor) => tensor.shape(),
        };
        assert_eq!(*shape, self.value(self.parameters[index].value).shape);
        self.parameters[index].data = data;
    }
    /// How many numbers are trained.
    pub fn trainable_count(&self) -> usize {
        let sizes = self
            .parameters
            .iter()
            .filter(|parameter| parameter.trainable);
        sizes
            .map(|parameter| self.value(parameter.value).shape.element_count())
            .sum()
    }
}

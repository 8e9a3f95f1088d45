//! Why a node is not converted.

use super::error::OnnxError;
use super::fused::written_as;
use super::model::Node;
use crate::graph::GraphError;
use crate::ops::OpError;

/// Why a node is not converted.
#[derive(Debug)]
pub(super) enum Fault {
    /// In words.
    Message(String),
    /// An op's refusal.
    Op(OpError),
    /// The graph's refusal.
    Graph(GraphError),
    /// Already with its place.
    Placed(OnnxError),
}

impl From<OpError> for Fault {
    fn from(error: OpError) -> Self {
        Self::Op(error)
    }
}
impl From<GraphError> for Fault {
    fn from(error: GraphError) -> Self {
        Self::Graph(error)
    }
}
impl From<OnnxError> for Fault {
    fn from(error: OnnxError) -> Self {
        Self::Placed(error)
    }
}
impl From<String> for Fault {
    fn from(message: String) -> Self {
        Self::Message(message)
    }
}
impl From<&str> for Fault {
    fn from(message: &str) -> Self {
        Self::Message(message.into())
    }
}

impl Fault {
    /// Where no node is to blame.
    pub fn unplaced(self) -> OnnxError {
        match self {
            Self::Message(message) => OnnxError::new(message),
            Self::Op(error) => OnnxError::new(error.to_string()),
            Self::Graph(error) => OnnxError::new(error.to_string()),
            Self::Placed(error) => error,
        }
    }

    /// At the node that is to blame.
    pub fn at(self, node: &Node) -> OnnxError {
        match self {
            Self::Message(message) => OnnxError::new(message).at(node.place()),
            Self::Op(error) => OnnxError::new(error.to_string()).at(node.place()),
            Self::Graph(GraphError::Node { op, source, .. }) => {
                let written = written_as(&node.message);
                let same = op == written.unwrap_or(&node.message.op_type);
                let message = if same {
                    source.to_string()
                } else {
                    format!("{op}: {source}")
                };
                OnnxError::new(message).at(node.place())
            }
            Self::Graph(error) => OnnxError::new(error.to_string()).at(node.place()),
            Self::Placed(error) => error.at(node.place()),
        }
    }
}

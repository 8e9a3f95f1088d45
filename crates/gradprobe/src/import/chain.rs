//! The scalar chain as a graph for the engine.

use crate::graph::{
    CotangentKind, Graph, GraphBuilder, GraphError, Objective, Origin, ParameterData,
};
use crate::num::{Shape, Tensor};
use crate::ops::activation::ActivationOp;
use crate::ops::{Add, Mul};
use crate::theory::Chain;
use std::sync::Arc;

/// The graph of a chain: an input `x` of shape [1], and for every layer l a scalar parameter `w`l
/// (and `b`l where the chain has biases) in a layer named `l`; what is differentiated is the
/// output itself.
///
/// The parameters are in the order w1, w2, … without biases, w1, b1, w2, b2, … with them.
///
/// # Errors
/// If the graph's tables overflow, which no chain of an accepted depth makes them do.
pub fn chain_graph(chain: &Chain) -> Result<Graph, GraphError> {
    let mut builder = GraphBuilder::new();
    let scalar = |value: f64| ParameterData::F64(Arc::new(Tensor::new([1], vec![value])));
    let mut value = builder.input("x", Shape::new([1]))?;
    for layer in 1..=chain.depth() {
        builder.begin_layer(
            layer.to_string(),
            chain.activation().name(),
            Origin::default(),
        )?;
        let weight = scalar(chain.weights().of(layer));
        let weight = builder.parameter(format!("w{layer}"), weight, true)?;
        value = builder.node(
            format!("mul{layer}"),
            Mul,
            &[weight, value],
            Origin::default(),
        )?;
        if chain.has_bias() {
            let bias =
                builder.parameter(format!("b{layer}"), scalar(chain.biases().of(layer)), true)?;
            value = builder.node(
                format!("add{layer}"),
                Add,
                &[value, bias],
                Origin::default(),
            )?;
        }
        let activation = ActivationOp::new(Arc::clone(chain.activation()));
        value = builder.node(format!("f{layer}"), activation, &[value], Origin::default())?;
    }
    builder.finish(value, Objective::Output(value, CotangentKind::Ones))
}

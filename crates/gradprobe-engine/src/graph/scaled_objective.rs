//! The same graph with its objective multiplied.

use super::{Graph, GraphBuilder, GraphError, Objective, Origin, ParameterData, ValueId};
use crate::num::Tensor;
use crate::ops::Mul;
use std::sync::Arc;

impl Graph {
    /// The graph with its objective multiplied by `factor`, as a loss scale does.
    ///
    /// # Errors
    /// If a name that this needs is taken.
    pub fn with_scaled_objective(&self, factor: f64) -> Result<Self, GraphError> {
        const NAME: &str = "objective scale";
        let mut builder = GraphBuilder::new();
        let mut values: Vec<Option<ValueId>> = vec![None; self.values.len()];
        let given = |values: &[Option<ValueId>], id: ValueId| values[id.index()].unwrap_or(id);
        for &input in &self.inputs {
            let value = self.value(input);
            values[input.index()] = Some(builder.input(&value.name, value.shape.clone())?);
        }
        for parameter in &self.parameters {
            let data = parameter.data.clone();
            let value = builder.parameter(&parameter.name, data, parameter.trainable)?;
            values[parameter.value.index()] = Some(value);
        }
        let mut layers = Vec::with_capacity(self.layers.len());
        for layer in &self.layers {
            layers.push(builder.begin_layer(&layer.name, &layer.kind, layer.origin.clone())?);
        }
        for node in &self.nodes {
            match node.layer {
                Some(layer) => builder.resume_layer(layers[layer.index()]),
                None => builder.end_layer(),
            }
            let inputs: Vec<ValueId> = node.inputs.iter().map(|&id| given(&values, id)).collect();
            let (op, origin) = (Arc::clone(&node.op), node.origin.clone());
            let outputs = builder.node_with(&node.name, op, &inputs, Some(node.role), origin)?;
            for (&old, new) in node.outputs.iter().zip(outputs) {
                values[old.index()] = Some(new);
            }
        }
        builder.end_layer();
        let scale = ParameterData::F64(Arc::new(Tensor::new([1], vec![factor])));
        let scale = builder.parameter(NAME, scale, false)?;
        let name = format!("{NAME}d");
        let objective = given(&values, self.objective.value());
        let scaled = builder.node(name, Mul, &[objective, scale], Origin::default())?;
        let objective = match self.objective {
            Objective::Loss(_) => Objective::Loss(scaled),
            Objective::Output(_, kind) => Objective::Output(scaled, kind),
        };
        builder.finish(given(&values, self.output), objective)
    }
}

//! Linear layers, and what most layers are made of: weights, a normalisation and an activation.

use super::{Planner, Slot, at, norm_words, row_of};
use crate::graph::Origin;
use crate::import::spec::error::{SpecError, SpecErrorKind as Kind};
use crate::import::spec::operators;
use crate::import::spec::reader::Result;
use crate::import::spec::specification::{Common, Linear};
use crate::init::Target;
use crate::ops::Op;
use std::sync::Arc;

impl Planner<'_> {
    /// A weight, and its bias if there is one.
    pub(super) fn weights(
        &mut self,
        shape: &[usize],
        groups: usize,
        common: &Common,
        origin: &Origin,
    ) -> Result<Vec<Slot>> {
        let target = Target::weight(shape, groups);
        let fans = target.fans;
        let mut slots = vec![self.parameter("weight", target, common.init, true, origin)?];
        if let Some(initialiser) = common.bias {
            let target = Target {
                shape: vec![shape[0]],
                fans,
                groups,
            };
            slots.push(self.parameter("bias", target, initialiser, true, origin)?);
        }
        Ok(slots)
    }

    pub(super) fn linear(&mut self, linear: &Linear, value: Slot, origin: &Origin) -> Result<Slot> {
        let shape = self.shape(value);
        if shape.len() > 3 {
            let message = format!(
                "linear layer `{}`: expected rows of features, got an image of shape {}",
                self.prefix(),
                row_of(shape)
            );
            return Err(
                at(SpecError::new(Kind::Shape, message), origin).help("add \"flatten\" before it")
            );
        }
        let features = shape[shape.len() - 1];
        let mut inputs = vec![value];
        let weight = [linear.units, features];
        match &linear.tied {
            Some(name) => inputs.extend(self.tied(name, weight, &linear.common, origin)?),
            None => inputs.extend(self.weights(&weight, 1, &linear.common, origin)?),
        }
        let op: Arc<dyn Op> = Arc::new(crate::ops::Linear {
            bias: linear.common.bias.is_some(),
        });
        let value = self.node("linear", Ok(op), &inputs, None, origin)?;
        self.rest_of(&linear.common, value, origin)
    }

    /// The normalisation and the activation of a layer.
    pub(super) fn rest_of(
        &mut self,
        common: &Common,
        mut value: Slot,
        origin: &Origin,
    ) -> Result<Slot> {
        if let Some(norm) = &common.norm {
            self.part(norm_words(norm.kind).1);
            value = self.norm(norm, value, origin)?;
        }
        if let Some(name) = &common.activation {
            self.part(name);
            value = self.activation(name, value, origin)?;
        }
        Ok(value)
    }

    pub(super) fn activation(&mut self, name: &str, value: Slot, origin: &Origin) -> Result<Slot> {
        let word = name.split_once('=').map_or(name, |(name, _)| name).trim();
        // Classes are the features of a token, else the features or channels of a row.
        let axis = if self.shape(value).len() == 3 { 2 } else { 1 };
        let known = self.activations.get(&(name.to_owned(), axis));
        let op = match known {
            Some(op) => Arc::clone(op),
            None => {
                let op = operators::activation_op(name, axis)
                    .map_err(|error| at(SpecError::new(Kind::Value, error.to_string()), origin))?;
                let key = (name.to_owned(), axis);
                self.activations.insert(key, Arc::clone(&op));
                op
            }
        };
        self.node(word, Ok(op), &[value], None, origin)
    }

    pub(super) fn flatten(&mut self, value: Slot, origin: &Origin) -> Result<Slot> {
        let op = operators::make("Flatten", [("axis", crate::ops::Attribute::Int(1))]);
        self.node("flatten", op, &[value], None, origin)
    }
}

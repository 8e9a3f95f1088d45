//! Values that decide the course of the network (the condition of an If, the trip count of a Loop,
//! the bounds of a Slice) and depend on its inputs: they are computed from the batch, given or
//! drawn, and taken as known.
//!
//! A converter asks for numbers; where they are not in the file, the part of the graph that makes
//! them is run once, in double precision, on the batch of the first seed. The inputs that such a
//! value depends on then have the same numbers on every seed, so that the course holds for all.

use super::error::{OnnxError, quoted};
use super::fault::Fault;
use crate::graph::{GraphBuilder, ParameterData, ValueId, ValueKind};
use crate::num::Tensor;
use crate::ops::{Context, Mode, apply};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

/// The most elements that are computed for decisions, all nodes together.
const MOST_ELEMENTS: usize = 1 << 27;

/// What is known of the batch, and what was decided by it.
#[derive(Debug, Default)]
pub(super) struct Course {
    /// The inputs' numbers on the batch of the first seed; empty where the inputs are not known.
    batch: HashMap<ValueId, (String, Arc<Tensor<f64>>)>,
    /// Are the weights drawn anew for every seed?
    draws_weights: bool,
    computed: HashMap<ValueId, Arc<Tensor<f64>>>,
    elements: usize,
    decisions: Vec<Decision>,
}

/// Something that was decided by inputs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Decision {
    /// The inputs' names.
    pub inputs: BTreeSet<String>,
    /// The operator and its place in words.
    pub place: String,
    /// What was decided, in words: the condition.
    pub what: String,
}

impl Course {
    /// Of a network whose weights are drawn anew for every seed, or not.
    pub fn new(draws_weights: bool) -> Self {
        Self {
            draws_weights,
            ..Self::default()
        }
    }

    /// An input's numbers on the batch of the first seed.
    pub fn set_input(&mut self, value: ValueId, name: &str, numbers: Tensor<f64>) {
        let entry = (name.to_owned(), Arc::new(numbers));
        self.batch.insert(value, entry);
    }

    /// What was decided by inputs, in the order of the nodes.
    pub fn decisions(&self) -> &[Decision] {
        &self.decisions
    }

    /// The numbers of a value on the batch; `place` and `what` say what they decide.
    pub fn numbers(
        &mut self,
        builder: &GraphBuilder,
        value: ValueId,
        mode: Mode,
        place: &str,
        what: &str,
    ) -> Result<Arc<Tensor<f64>>, Fault> {
        let needs = Needs::of(builder, value);
        let names: BTreeSet<String> = needs
            .inputs
            .iter()
            .map(|&input| builder.parts().0[input.index()].name.clone())
            .collect();
        let shown: Vec<String> = names.iter().map(|name| quoted(name)).collect();
        let of_inputs = format!(
            "{what} depends on the input{} {}",
            if shown.len() == 1 { "" } else { "s" },
            shown.join(", ")
        );
        if needs
            .inputs
            .iter()
            .any(|input| !self.batch.contains_key(input))
        {
            return Err(format!("{of_inputs}; it has to be constant").into());
        }
        if needs.reads_weights && self.draws_weights {
            let error = OnnxError::new(format!(
                "{of_inputs} through trained weights, and weights that are drawn anew may decide \
                 otherwise on every seed"
            ));
            return Err(error.help("leave out --reinit").into());
        }
        self.compute(builder, &needs.nodes, mode, what)?;
        let numbers = self.known(builder, value)?;
        let decision = Decision {
            inputs: names,
            place: place.to_owned(),
            what: what.to_owned(),
        };
        if !decision.inputs.is_empty() && !self.decisions.contains(&decision) {
            self.decisions.push(decision);
        }
        Ok(numbers)
    }

    fn compute(
        &mut self,
        builder: &GraphBuilder,
        nodes: &[usize],
        mode: Mode,
        what: &str,
    ) -> Result<(), Fault> {
        let context = Context {
            mode,
            ..Context::default()
        };
        for &position in nodes {
            let node = &builder.parts().1[position];
            if self.computed.contains_key(&node.outputs[0]) {
                continue;
            }
            if node.op.facts().is_random.has(mode) {
                return Err(format!(
                    "{what} depends on the random numbers that {} draws; it has to be constant",
                    quoted(&node.name)
                )
                .into());
            }
            for &output in &node.outputs {
                let count = builder.shape(output).element_count();
                self.elements = self.elements.saturating_add(count);
            }
            if self.elements > MOST_ELEMENTS {
                return Err(format!(
                    "{what} depends on the inputs by more than {MOST_ELEMENTS} numbers; they are \
                     not computed in advance"
                )
                .into());
            }
            let inputs = node.inputs.iter().map(|&input| {
                let known = self.known(builder, input)?;
                Ok(Tensor::clone(&known))
            });
            let inputs: Vec<Tensor<f64>> = inputs.collect::<Result<_, Fault>>()?;
            let outputs = apply(&*node.op, &context, &inputs)?;
            for (&value, tensor) in node.outputs.iter().zip(outputs) {
                self.computed.insert(value, Arc::new(tensor));
            }
        }
        Ok(())
    }

    fn known(&self, builder: &GraphBuilder, value: ValueId) -> Result<Arc<Tensor<f64>>, Fault> {
        let (values, _, parameters) = builder.parts();
        let found = match values[value.index()].kind {
            ValueKind::Parameter(id) => match &parameters[id.index()].data {
                ParameterData::F32(tensor) => Some(Arc::new(tensor.cast())),
                ParameterData::F64(tensor) => Some(Arc::clone(tensor)),
            },
            ValueKind::Input(_) => self
                .batch
                .get(&value)
                .map(|(_, numbers)| Arc::clone(numbers)),
            ValueKind::Output(..) => self.computed.get(&value).map(Arc::clone),
        };
        found.ok_or_else(|| Fault::from("a value that decides its course is not known"))
    }

    /// The numbers of an input on the batch of the first seed.
    pub fn of_input(&self, name: &str) -> Option<&Arc<Tensor<f64>>> {
        let mut inputs = self.batch.values();
        let found = inputs.find(|(known, _)| known == name);
        found.map(|(_, numbers)| numbers)
    }
}

/// What a value is made of.
struct Needs {
    /// Positions of the nodes, each after those that it needs.
    nodes: Vec<usize>,
    inputs: Vec<ValueId>,
    /// Does a trained parameter go into it?
    reads_weights: bool,
}

impl Needs {
    fn of(builder: &GraphBuilder, value: ValueId) -> Self {
        let (values, nodes, parameters) = builder.parts();
        let mut needs = Self {
            nodes: Vec::new(),
            inputs: Vec::new(),
            reads_weights: false,
        };
        let mut seen = HashSet::new();
        let mut open = vec![value];
        while let Some(value) = open.pop() {
            if !seen.insert(value) {
                continue;
            }
            match values[value.index()].kind {
                ValueKind::Input(_) => needs.inputs.push(value),
                ValueKind::Parameter(id) => {
                    needs.reads_weights |= parameters[id.index()].trainable;
                }
                ValueKind::Output(id, _) => {
                    needs.nodes.push(id.index());
                    open.extend(&nodes[id.index()].inputs);
                }
            }
        }
        needs.nodes.sort_unstable();
        needs.nodes.dedup();
        needs
    }
}

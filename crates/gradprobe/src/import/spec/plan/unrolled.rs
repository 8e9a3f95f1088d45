//! A recurrent layer written out step by step, so that every step is a layer that is measured.
//!
//! The state of a step is one value (an LSTM's h and c side by side): the chain through the network
//! then runs from state to state, and the gain of a step is that of the whole recurrence.

use super::{Planner, Slot};
use crate::graph::Origin;
use crate::import::spec::operators::make;
use crate::import::spec::reader::Result;
use crate::import::spec::sequence::{RecurrentCell, RecurrentLayers};
use crate::init::{Initialiser, Target};
use crate::num::Shape;
use crate::ops::Attribute;

/// What every step reads.
struct Unrolled<'a> {
    cell: RecurrentCell,
    hidden: usize,
    /// What the input brings to every step \[batch, time, gates · hidden\].
    projected: Slot,
    /// The recurrent weight and its bias.
    recurrent: Vec<Slot>,
    /// 0, 1, … as indices.
    numbers: Vec<Slot>,
    origin: &'a Origin,
}

impl Planner<'_> {
    /// The last state \[batch, hidden\] of a layer that walks over rows \[time, features\].
    pub(super) fn unrolled(
        &mut self,
        recurrent: &RecurrentLayers,
        value: Slot,
        origin: &Origin,
    ) -> Result<Slot> {
        let (cell, hidden) = (recurrent.cell, recurrent.hidden);
        let [_, time, features] = self.expect_sequence(cell.word(), value, origin)?;
        let layer = self.prefix().to_owned();
        let gates = cell.gates() * hidden;
        let weights = |planner: &mut Self, end: &str, columns: usize, init: Initialiser| {
            let shape = Shape::from([gates, columns]);
            let target = recurrent.target(&[hidden, columns], features);
            let word = format!("weight_{end}");
            let mut slots = vec![planner.blocks(&word, shape, target, init, origin)?];
            if let Some(init) = recurrent.bias {
                let target = recurrent.target(&[hidden], features);
                let word = format!("bias_{end}");
                slots.push(planner.blocks(&word, Shape::from([gates]), target, init, origin)?);
                if let Some(value) = recurrent.forget_bias {
                    let of_input = if end == "ih" { value } else { 0.0 };
                    planner.set_forget_bias(0, of_input);
                }
            }
            Ok(slots)
        };
        let mut of_input = weights(self, "ih", features, recurrent.init)?;
        let of_state = weights(self, "hh", hidden, recurrent.recurrent_init)?;
        of_input.insert(0, value);
        let bias = recurrent.bias.is_some();
        let linear = || make("Linear", [("bias", Attribute::Int(i64::from(bias)))]);
        let projected = self.node("input", linear(), &of_input, None, origin)?;
        let mut numbers = Vec::new();
        for number in 0..time.max(cell.gates()) {
            let value = number as f64;
            numbers.push(self.constant(&format!("number{number}"), &[], value, origin)?);
        }
        let unrolled = Unrolled {
            cell,
            hidden,
            projected,
            recurrent: of_state,
            numbers,
            origin,
        };
        let width = match cell {
            RecurrentCell::Lstm => 2 * hidden,
            _ => hidden,
        };
        // One row serves the whole batch.
        let mut state = self.constant("zeros", &[1, width], 0.0, origin)?;
        for step in 0..time {
            let name = self.names.first_free(&format!("{layer}.t{}", step + 1));
            self.begin_named(name, cell.word(), origin);
            self.part("step");
            state = self.step(&unrolled, step, state)?;
        }
        match cell {
            RecurrentCell::Lstm => self.block(&unrolled, state, 2, 0),
            _ => Ok(state),
        }
    }

    fn constant(
        &mut self,
        word: &str,
        shape: &[usize],
        value: f64,
        origin: &Origin,
    ) -> Result<Slot> {
        let constant = Initialiser::Constant { value };
        self.parameter(word, Target::weight(shape, 1), constant, false, origin)
    }

    fn step(&mut self, unrolled: &Unrolled<'_>, step: usize, state: Slot) -> Result<Slot> {
        let origin = unrolled.origin;
        let at = [unrolled.projected, unrolled.numbers[step]];
        let gather = make("Gather", [("axis", Attribute::Int(1))]);
        let input = self.node("input", gather, &at, None, origin)?;
        let h = match unrolled.cell {
            RecurrentCell::Lstm => self.block(unrolled, state, 2, 0)?,
            _ => state,
        };
        let mut operands = vec![h];
        operands.extend(&unrolled.recurrent);
        let bias = i64::from(unrolled.recurrent.len() > 1);
        let linear = make("Linear", [("bias", Attribute::Int(bias))]);
        let recurrent = self.node("recurrent", linear, &operands, None, origin)?;
        match unrolled.cell {
            RecurrentCell::RnnTanh | RecurrentCell::RnnRelu => {
                let u = self.binary("Add", recurrent, input, origin)?;
                let relu = unrolled.cell == RecurrentCell::RnnRelu;
                self.activation(if relu { "relu" } else { "tanh" }, u, origin)
            }
            RecurrentCell::Lstm => {
                let u = self.binary("Add", recurrent, input, origin)?;
                self.lstm_step(unrolled, state, u)
            }
            RecurrentCell::Gru => self.gru_step(unrolled, state, recurrent, input),
        }
    }

    /// With gates i, o, f, c.
    fn lstm_step(&mut self, unrolled: &Unrolled<'_>, state: Slot, u: Slot) -> Result<Slot> {
        let origin = unrolled.origin;
        let c_before = self.block(unrolled, state, 2, 1)?;
        let gate = |planner: &mut Self, gate: usize, activation: &str| {
            let u = planner.block(unrolled, u, 4, gate)?;
            planner.activation(activation, u, origin)
        };
        let i = gate(self, 0, "sigmoid")?;
        let o = gate(self, 1, "sigmoid")?;
        let f = gate(self, 2, "sigmoid")?;
        let g = gate(self, 3, "tanh")?;
        let kept = self.binary("Mul", c_before, f, origin)?;
        let new = self.binary("Mul", i, g, origin)?;
        let c = self.binary("Add", kept, new, origin)?;
        let t = self.activation("tanh", c, origin)?;
        let h = self.binary("Mul", t, o, origin)?;
        let concat = make("Concat", [("axis", Attribute::Int(1))]);
        self.node("state", concat, &[h, c], None, origin)
    }

    /// With gates z, r, h, the reset gate after the product.
    fn gru_step(
        &mut self,
        unrolled: &Unrolled<'_>,
        state: Slot,
        recurrent: Slot,
        input: Slot,
    ) -> Result<Slot> {
        let origin = unrolled.origin;
        let sum = |planner: &mut Self, gate: usize| {
            let recurrent = planner.block(unrolled, recurrent, 3, gate)?;
            let input = planner.block(unrolled, input, 3, gate)?;
            planner.binary("Add", recurrent, input, origin)
        };
        let z = sum(self, 0)?;
        let r = sum(self, 1)?;
        let r = self.activation("sigmoid", r, origin)?;
        let candidate = self.block(unrolled, recurrent, 3, 2)?;
        let reset = self.binary("Mul", candidate, r, origin)?;
        let input = self.block(unrolled, input, 3, 2)?;
        let new = self.binary("Add", reset, input, origin)?;
        let new = self.activation("tanh", new, origin)?;
        let minus_z = self.node("neg", make("Neg", []), &[z], None, origin)?;
        // 1 − σ(z) = σ(−z), which does not cancel.
        let renewed = self.activation("sigmoid", minus_z, origin)?;
        let z = self.activation("sigmoid", z, origin)?;
        let kept = self.binary("Mul", state, z, origin)?;
        let renewed = self.binary("Mul", new, renewed, origin)?;
        self.binary("Add", kept, renewed, origin)
    }

    fn binary(&mut self, op: &'static str, a: Slot, b: Slot, origin: &Origin) -> Result<Slot> {
        self.node(&op.to_lowercase(), make(op, []), &[a, b], None, origin)
    }

    /// Block `number` of the `count` that lie side by side in every row.
    fn block(
        &mut self,
        unrolled: &Unrolled<'_>,
        value: Slot,
        count: usize,
        number: usize,
    ) -> Result<Slot> {
        let rows = self.shape(value).first().copied().unwrap_or(1);
        let extents = [rows, count, unrolled.hidden].map(|extent| extent as i64);
        let reshape = make("Reshape", [("shape", Attribute::Ints(extents.to_vec()))]);
        let blocks = self.node("blocks", reshape, &[value], None, unrolled.origin)?;
        let gather = make("Gather", [("axis", Attribute::Int(1))]);
        let operands = [blocks, unrolled.numbers[number]];
        self.node("block", gather, &operands, None, unrolled.origin)
    }
}

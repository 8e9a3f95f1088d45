//! The layers of sequence models, over rows \[time, features\].

use super::{Planner, Slot, at, row_of};
use crate::data::Synthetic;
use crate::graph::Origin;
use crate::import::spec::error::{SpecError, SpecErrorKind as Kind};
use crate::import::spec::operators::make;
use crate::import::spec::reader::{Result, listed, quoted};
use crate::import::spec::sequence::{Embedding, RecurrentCell, RecurrentLayers, SelfAttention};
use crate::import::spec::specification::{Common, Layer, LayerKind, Values};
use crate::init::{Fans, Initialiser, Target};
use crate::num::Shape;
use crate::ops::{Attribute, Role};

/// The forget gate's place among ONNX's gates i, o, f, c.
const FORGET_GATE: usize = 2;

impl Planner<'_> {
    /// A layer of sequence models.
    pub(super) fn sequence_layer(
        &mut self,
        layer: &Layer,
        value: Slot,
        repeated: bool,
    ) -> Result<Slot> {
        let origin = &layer.origin;
        match &layer.kind {
            LayerKind::Embedding(embedding) => {
                self.begin(layer, "emb", "embedding", repeated)?;
                self.embedding(embedding, value, origin)
            }
            LayerKind::PositionalEmbedding(init) => {
                self.continue_with(layer, "pos", "positional-embedding", repeated)?;
                self.positional_embedding(*init, value, origin)
            }
            LayerKind::Recurrent(recurrent) => self.recurrent(layer, recurrent, value, repeated),
            LayerKind::Attention(attention) => {
                self.begin(layer, "attn", "attention", repeated)?;
                self.attention(attention, value, origin)
            }
            LayerKind::Glu(activation) => {
                self.continue_with(layer, "glu", "glu", repeated)?;
                // Features of a vector or a token, channels of an image.
                let axis = if self.shape(value).len() == 4 { 1 } else { -1 };
                let axis = ("axis", Attribute::Int(axis));
                let activation = ("activation", Attribute::Text(activation.clone()));
                self.node(
                    "glu",
                    make("Glu", [axis, activation]),
                    &[value],
                    None,
                    origin,
                )
            }
            LayerKind::LastStep => {
                self.begin(layer, "last", "last-step", repeated)?;
                self.expect_sequence("last-step", value, origin)?;
                let last = Initialiser::Constant { value: -1.0 };
                let index = self.parameter("index", Target::weight(&[], 1), last, false, origin)?;
                let op = make("Gather", [("axis", Attribute::Int(1))]);
                self.node("last-step", op, &[value, index], None, origin)
            }
            LayerKind::Transpose(axes) => {
                self.begin_if_named(layer, "transpose", "transpose", repeated)?;
                self.transpose(axes, value, origin)
            }
            _ => Ok(value),
        }
    }

    fn wrong(&self, word: &str, message: String, origin: &Origin) -> SpecError {
        let message = format!("{word} layer `{}`: {message}", self.prefix());
        at(SpecError::new(Kind::Shape, message), origin)
    }

    /// The extents of \[batch, time, features\].
    pub(super) fn expect_sequence(
        &self,
        word: &str,
        value: Slot,
        origin: &Origin,
    ) -> Result<[usize; 3]> {
        let shape = self.shape(value);
        let &[batch, time, features] = &shape[..] else {
            let got = row_of(shape);
            let message = format!("expected rows of shape [time, features], got {got}");
            return Err(self
                .wrong(word, message, origin)
                .help("give [input] a shape of two extents, or begin with an embedding"));
        };
        Ok([batch, time, features])
    }

    fn embedding(&mut self, embedding: &Embedding, ids: Slot, origin: &Origin) -> Result<Slot> {
        let tokens = embedding.vocabulary;
        let shape = self.shape(ids);
        if shape.len() != 2 {
            let got = row_of(shape);
            let message = format!("expected rows of token ids, of one extent, got {got}");
            return Err(self.wrong("embedding", message, origin));
        }
        if ids == Slot(0)
            && let Values::Synthetic(synthetic) = &self.values
        {
            let fits = match *synthetic {
                Synthetic::Ids { below } => below <= tokens,
                Synthetic::Constant { value } => {
                    value.fract() == 0.0 && (0.0..tokens as f64).contains(&value)
                }
                _ => false,
            };
            if !fits {
                let message = format!("its input is not token ids below {tokens}");
                return Err(self
                    .wrong("embedding", message, origin)
                    .help("add values = \"ids\" under [input]"));
            }
        }
        let target = Target::weight(&[tokens, embedding.dimension], 1);
        let table = self.parameter("weight", target, embedding.init, true, origin)?;
        self.tables.insert(self.prefix().to_owned(), table);
        let op = make("Gather", [("axis", Attribute::Int(0))]);
        // The table first: the way back ends there.
        self.node("embedding", op, &[table, ids], None, origin)
    }

    /// An embedding's table as the weight of a linear layer, and the bias if there is one.
    pub(super) fn tied(
        &mut self,
        name: &str,
        weight: [usize; 2],
        common: &Common,
        origin: &Origin,
    ) -> Result<Vec<Slot>> {
        let Some(&table) = self.tables.get(name) else {
            let mut known: Vec<&str> = self.tables.keys().map(String::as_str).collect();
            known.sort_unstable();
            let message = format!("`tied`: there is no embedding {} before it", quoted(name));
            let error = at(SpecError::new(Kind::Value, message), origin);
            return Err(match known[..] {
                [] => error,
                _ => error.help(format!("expected {}", listed(known))),
            });
        };
        let shape = self.shape(table).clone();
        if shape[..] != weight {
            let (weight, prefix) = (Shape::from(weight), self.prefix());
            let message = format!(
                "linear layer `{prefix}` needs a weight of shape {weight}, the table of `{name}` \
                 is {shape}"
            );
            return Err(at(SpecError::new(Kind::Shape, message), origin));
        }
        let mut slots = vec![table];
        if let Some(init) = common.bias {
            let target = Target {
                shape: vec![weight[0]],
                fans: Fans::of(&weight),
                groups: 1,
            };
            slots.push(self.parameter("bias", target, init, true, origin)?);
        }
        Ok(slots)
    }

    fn positional_embedding(
        &mut self,
        init: Initialiser,
        value: Slot,
        origin: &Origin,
    ) -> Result<Slot> {
        let [_, time, features] = self.expect_sequence("positional-embedding", value, origin)?;
        let target = Target::weight(&[time, features], 1);
        let positions = self.parameter("position", target, init, true, origin)?;
        let inputs = [value, positions];
        self.node("position", make("Add", []), &inputs, None, origin)
    }

    fn recurrent(
        &mut self,
        layer: &Layer,
        recurrent: &RecurrentLayers,
        mut value: Slot,
        repeated: bool,
    ) -> Result<Slot> {
        let word = recurrent.cell.word();
        let many = repeated || recurrent.layers > 1;
        for _ in 0..recurrent.layers {
            self.begin(layer, word, word, many)?;
            if recurrent.bidirectional {
                self.part("bidirectional");
            }
            value = if recurrent.unroll {
                self.unrolled(recurrent, value, &layer.origin)?
            } else {
                self.recurrent_layer(recurrent, value, &layer.origin)?
            };
        }
        Ok(value)
    }

    fn recurrent_layer(
        &mut self,
        recurrent: &RecurrentLayers,
        value: Slot,
        origin: &Origin,
    ) -> Result<Slot> {
        let (cell, hidden) = (recurrent.cell, recurrent.hidden);
        let [batch, time, features] = self.expect_sequence(cell.word(), value, origin)?;
        let directions = if recurrent.bidirectional { 2 } else { 1 };
        let gates = cell.gates() * hidden;
        let mut inputs = vec![value];
        let mut weight = |planner: &mut Self, word: &str, columns: usize, init: Initialiser| {
            let shape = Shape::from([directions, gates, columns]);
            let target = recurrent.target(&[hidden, columns], features);
            let slot = planner.blocks(word, shape, target, init, origin)?;
            inputs.push(slot);
            Ok(())
        };
        weight(self, "weight_ih", features, recurrent.init)?;
        weight(self, "weight_hh", hidden, recurrent.recurrent_init)?;
        if let Some(init) = recurrent.bias {
            let shape = Shape::from([directions, 2 * gates]);
            let target = recurrent.target(&[hidden], features);
            let slot = self.blocks("bias", shape, target, init, origin)?;
            self.draw_biases_apart(directions, cell.gates());
            if let Some(value) = recurrent.forget_bias {
                for direction in 0..directions {
                    let of_input = 2 * direction * cell.gates();
                    self.set_forget_bias(of_input, value);
                    self.set_forget_bias(of_input + cell.gates(), 0.0);
                }
            }
            inputs.push(slot);
        }
        let flag = |on: bool| Attribute::Int(i64::from(on));
        let both = if recurrent.bidirectional {
            "bidirectional"
        } else {
            "forward"
        };
        let direction = ("direction", Attribute::Text(both.into()));
        let (layout, bias) = (
            ("layout", flag(true)),
            ("bias", flag(recurrent.bias.is_some())),
        );
        let activation = |name: &str| ("activation", Attribute::Text(name.into()));
        let op = match cell {
            RecurrentCell::RnnTanh => make("RNN", [direction, layout, bias, activation("tanh")]),
            RecurrentCell::RnnRelu => make("RNN", [direction, layout, bias, activation("relu")]),
            RecurrentCell::Lstm => make("LSTM", [direction, layout, bias]),
            RecurrentCell::Gru => {
                let after = ("linear_before_reset", flag(true));
                make("GRU", [direction, layout, bias, after])
            }
        };
        let states = self.node(cell.word(), op, &inputs, None, origin)?;
        let extents = [batch, time, directions * hidden];
        let extents = extents.map(|extent| extent as i64).to_vec();
        let op = make("Reshape", [("shape", Attribute::Ints(extents))]);
        self.node("states", op, &[states], None, origin)
    }

    /// In the parameter planned last, the biases of the input and of the state are drawn as where
    /// they are parameters of their own (`unroll = true`): the same network either way.
    fn draw_biases_apart(&mut self, directions: usize, gates: usize) {
        let prefix = self.prefix().to_owned();
        if let Some(bias) = self.parameters.last_mut() {
            for direction in 0..directions {
                let suffix = if direction == 0 { "" } else { "_reverse" };
                for (number, end) in ["ih", "hh"].iter().enumerate() {
                    let first = (2 * direction + number) * gates;
                    let name = format!("{prefix}.bias_{end}{suffix}");
                    bias.streams.push((first, name));
                }
            }
        }
    }

    /// What the forget gate's biases are, in the parameter planned last, of the gates from block
    /// `first` on.
    pub(super) fn set_forget_bias(&mut self, first: usize, value: f64) {
        if let Some(bias) = self.parameters.last_mut() {
            let constant = Initialiser::Constant { value };
            bias.exceptions.push((first + FORGET_GATE, constant));
        }
    }

    fn attention(
        &mut self,
        attention: &SelfAttention,
        value: Slot,
        origin: &Origin,
    ) -> Result<Slot> {
        let [_, _, width] = self.expect_sequence("attention", value, origin)?;
        let (heads, kv_heads) = (attention.heads, attention.kv_heads);
        if !width.is_multiple_of(heads) {
            let message = format!("{heads} heads do not divide {width} features");
            return Err(self.wrong("attention", message, origin));
        }
        if !heads.is_multiple_of(kv_heads) {
            let message = format!("kv-heads = {kv_heads} does not divide {heads} heads");
            return Err(self.wrong("attention", message, origin));
        }
        let kv_width = width / heads * kv_heads;
        let project = |planner: &mut Self, name: &str, units: usize, value: Slot| {
            let init = if name == "o" {
                attention.output_init
            } else {
                attention.init
            };
            planner.projection(name, (init, attention.bias), units, value, origin)
        };
        let mut q = project(self, "q", width, value)?;
        let mut k = project(self, "k", kv_width, value)?;
        let v = project(self, "v", kv_width, value)?;
        if let Some(base) = attention.rotary {
            let mut turn = |value: Slot, heads: usize| {
                let heads = ("num_heads", Attribute::Int(heads as i64));
                let op = make("RotaryEmbedding", [heads, ("base", Attribute::Float(base))]);
                self.node("rotary", op, &[value], None, origin)
            };
            (q, k) = (turn(q, heads)?, turn(k, kv_heads)?);
        }
        let op = make(
            "Attention",
            [
                ("q_num_heads", Attribute::Int(heads as i64)),
                ("kv_num_heads", Attribute::Int(kv_heads as i64)),
                ("is_causal", Attribute::Int(i64::from(attention.causal))),
            ],
        );
        let attended = self.node("attention", op, &[q, k, v], None, origin)?;
        project(self, "o", width, attended)
    }

    /// A linear map without a name of its own: `attn1.q.weight`.
    fn projection(
        &mut self,
        name: &str,
        (init, bias): (Initialiser, Option<Initialiser>),
        units: usize,
        value: Slot,
        origin: &Origin,
    ) -> Result<Slot> {
        let features = self.shape(value).last().copied().unwrap_or(1);
        let target = Target::weight(&[units, features], 1);
        let fans = target.fans;
        let word = format!("{name}.weight");
        let mut inputs = vec![value];
        inputs.push(self.parameter(&word, target, init, true, origin)?);
        if let Some(init) = bias {
            let target = Target {
                shape: vec![units],
                fans,
                groups: 1,
            };
            let word = format!("{name}.bias");
            inputs.push(self.parameter(&word, target, init, true, origin)?);
        }
        let has_bias = i64::from(bias.is_some());
        let op = make("Linear", [("bias", Attribute::Int(has_bias))]);
        self.node(name, op, &inputs, Some(Role::Weight), origin)
    }

    fn transpose(&mut self, axes: &[usize], value: Slot, origin: &Origin) -> Result<Slot> {
        let rank = self.shape(value).len();
        let mut permutation: Vec<i64> = (0..rank as i64).collect();
        if axes.is_empty() {
            if rank < 3 {
                let got = row_of(self.shape(value));
                let message = format!("there are no two axes to exchange in rows of shape {got}");
                return Err(self.wrong("transpose", message, origin));
            }
            permutation.swap(rank - 2, rank - 1);
        } else {
            permutation.truncate(1);
            permutation.extend(axes.iter().map(|&axis| axis as i64));
        }
        let op = make("Transpose", [("perm", Attribute::Ints(permutation))]);
        self.node("transpose", op, &[value], None, origin)
    }
}

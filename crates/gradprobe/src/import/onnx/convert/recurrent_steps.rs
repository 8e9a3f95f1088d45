//! Recurrent layers written out step by step, for what the engine's own cells have not: clipped
//! pre-activations, coupled gates, other activations than the usual.
//!
//! The gates in ONNX's order, with u what a gate reads, clipped to ±`clip`:
//! RNN h ← f(u); LSTM i, o, f, c with c ← f·c + i·g(u_c), h ← o·h(c); GRU z, r, h with
//! h ← (1 − z)·g(u_h) + z·h.

use super::call::{Call, Outcome};
use super::elementwise::thresholded;
use crate::import::onnx::fault::Fault;
use crate::import::onnx::value::Operand;
use crate::num::Tensor;
use crate::ops::Attribute;

/// The most steps that are written out.
const MOST_STEPS: usize = 10_000;
/// The nodes that a step becomes, about.
const NODES_A_STEP: usize = 20;

/// What a recurrent node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Rnn,
    Lstm,
    Gru,
}

impl Kind {
    /// The activations where none are named.
    pub fn usual(self) -> &'static [&'static str] {
        match self {
            Self::Rnn => &["Tanh"],
            Self::Lstm => &["Sigmoid", "Tanh", "Tanh"],
            Self::Gru => &["Sigmoid", "Tanh"],
        }
    }

    fn gates(self) -> usize {
        match self {
            Self::Rnn => 1,
            Self::Lstm => 4,
            Self::Gru => 3,
        }
    }
}

/// An activation with its two numbers, where it takes them.
#[derive(Clone, Debug)]
struct Activation {
    name: String,
    alpha: Option<f64>,
    beta: Option<f64>,
}

/// How a direction computes.
struct Direction {
    kind: Kind,
    activations: Vec<Activation>,
    clip: Option<f64>,
    /// Does what an LSTM takes in push out as much?
    coupled: bool,
    /// Does a GRU multiply before it resets?
    linear_before_reset: bool,
    /// Rᵀ of each gate \[hidden, hidden\].
    recurrent: Vec<Operand>,
    /// The recurrent bias of a GRU's last gate, where it is reset with the state.
    hidden_bias: Option<Operand>,
    /// P of the gates i, o and f.
    peepholes: Vec<Operand>,
}

/// What a step hands to the next.
#[derive(Clone)]
struct State {
    h: Operand,
    c: Operand,
}

/// The activations of every direction, `alpha` and `beta` handed out to those that take them.
fn activations(
    call: &Call<'_, '_>,
    kind: Kind,
    directions: usize,
) -> Result<Vec<Vec<Activation>>, Fault> {
    let each = kind.usual().len();
    let mut names = call.texts("activations");
    if names.is_empty() {
        let usual = kind.usual().iter().map(|&name| name.to_owned());
        names = usual.cycle().take(each * directions).collect();
    }
    if names.len() != each * directions {
        let expected = each * directions;
        return Err(format!("names {} activations, expected {expected}", names.len()).into());
    }
    let alphas = call.floats("activation_alpha")?.unwrap_or_default();
    let betas = call.floats("activation_beta")?.unwrap_or_default();
    let (mut alphas, mut betas) = (alphas.into_iter(), betas.into_iter());
    let all: Vec<Activation> = names
        .into_iter()
        .map(|name| {
            let (alpha, beta) = match &name.to_lowercase()[..] {
                "affine" => (Some(1.0), Some(0.0)),
                "leakyrelu" => (Some(0.01), None),
                "thresholdedrelu" | "elu" => (Some(1.0), None),
                "scaledtanh" => (Some(1.0), Some(1.0)),
                "hardsigmoid" => (Some(0.2), Some(0.5)),
                _ => (None, None),
            };
            Activation {
                alpha: alpha.map(|usual| alphas.next().unwrap_or(usual)),
                beta: beta.map(|usual| betas.next().unwrap_or(usual)),
                name,
            }
        })
        .collect();
    Ok(all.chunks(each).map(<[Activation]>::to_vec).collect())
}

impl Activation {
    fn apply(&self, call: &mut Call<'_, '_>, x: &Operand) -> Result<Operand, Fault> {
        let (alpha, beta) = (self.alpha.unwrap_or(1.0), self.beta.unwrap_or(0.0));
        let scaled = |call: &mut Call<'_, '_>, x: &Operand, factor: f64| {
            call.plain("Mul", &[x.clone(), Operand::float(factor)])
        };
        Ok(match &self.name.to_lowercase()[..] {
            "tanh" => call.activation("tanh", x)?,
            "sigmoid" => call.activation("sigmoid", x)?,
            "relu" => call.activation("relu", x)?,
            "softsign" => call.activation("softsign", x)?,
            "softplus" => call.activation("softplus", x)?,
            "elu" => call.activation(&format!("elu={alpha}"), x)?,
            "leakyrelu" => call.activation(&format!("leaky-relu={alpha}"), x)?,
            "affine" => {
                let scaled = scaled(call, x, alpha)?;
                call.plain("Add", &[scaled, Operand::float(beta)])?
            }
            "scaledtanh" => {
                let inner = scaled(call, x, beta)?;
                let tanh = call.activation("tanh", &inner)?;
                scaled(call, &tanh, alpha)?
            }
            "thresholdedrelu" => thresholded(call, x, alpha)?,
            "hardsigmoid" => {
                let scaled = scaled(call, x, alpha)?;
                let shifted = call.plain("Add", &[scaled, Operand::float(beta)])?;
                clipped(call, &shifted, 0.0, 1.0)?
            }
            other => return Err(format!("activation {other:?} is not known").into()),
        })
    }
}

fn clipped(call: &mut Call<'_, '_>, x: &Operand, min: f64, max: f64) -> Result<Operand, Fault> {
    let bounds = [
        ("min", Attribute::Float(min)),
        ("max", Attribute::Float(max)),
    ];
    call.with("Clip", &bounds, std::slice::from_ref(x))
}

/// x at a place of an axis, without the axis.
fn at(call: &mut Call<'_, '_>, x: &Operand, place: usize, axis: i64) -> Result<Operand, Fault> {
    let pair = [x.clone(), Operand::int(place as i64)];
    call.with("Gather", &[("axis", Attribute::Int(axis))], &pair)
}

/// Equal pieces along an axis.
fn pieces(
    call: &mut Call<'_, '_>,
    x: &Operand,
    axis: i64,
    count: usize,
) -> Result<Vec<Operand>, Fault> {
    let attributes = [
        ("axis".to_owned(), Attribute::Int(axis)),
        ("num_outputs".to_owned(), Attribute::Int(count as i64)),
    ];
    call.emit(
        "Split",
        &attributes.into_iter().collect(),
        std::slice::from_ref(x),
    )
}

fn transposed(call: &mut Call<'_, '_>, x: &Operand, order: &[i64]) -> Result<Operand, Fault> {
    let order = Attribute::Ints(order.to_vec());
    call.with("Transpose", &[("perm", order)], std::slice::from_ref(x))
}

/// The parts along a new axis.
fn stacked(call: &mut Call<'_, '_>, parts: &[Operand], axis: i64) -> Result<Operand, Fault> {
    let mut rows = Vec::with_capacity(parts.len());
    for part in parts {
        let axes = Attribute::Ints(vec![axis]);
        let part = std::slice::from_ref(part);
        rows.push(call.with("Unsqueeze", &[("axes", axes)], part)?);
    }
    call.with("Concat", &[("axis", Attribute::Int(axis))], &rows)
}

impl Direction {
    /// The activation of a gate that reads u.
    fn gate(&self, call: &mut Call<'_, '_>, which: usize, u: &Operand) -> Result<Operand, Fault> {
        let u = match self.clip {
            Some(clip) => clipped(call, u, -clip, clip)?,
            None => u.clone(),
        };
        self.activations[which].apply(call, &u)
    }

    /// x + h·Rᵀ of a gate.
    fn read(
        &self,
        call: &mut Call<'_, '_>,
        gate: usize,
        x: &Operand,
        h: &Operand,
    ) -> Result<Operand, Fault> {
        let product = call.plain("MatMul", &[h.clone(), self.recurrent[gate].clone()])?;
        call.plain("Add", &[x.clone(), product])
    }

    /// What a gate reads with the cell state that it sees.
    fn seen(
        &self,
        call: &mut Call<'_, '_>,
        gate: usize,
        u: Operand,
        c: &Operand,
    ) -> Result<Operand, Fault> {
        let Some(peephole) = self.peepholes.get(gate) else {
            return Ok(u);
        };
        let seen = call.plain("Mul", &[c.clone(), peephole.clone()])?;
        call.plain("Add", &[u, seen])
    }

    /// `x` is what the input brings to each gate.
    fn step(&self, call: &mut Call<'_, '_>, x: &[Operand], state: State) -> Result<State, Fault> {
        let State { h, c } = state;
        match self.kind {
            Kind::Rnn => {
                let u = self.read(call, 0, &x[0], &h)?;
                let h = self.gate(call, 0, &u)?;
                Ok(State { h, c })
            }
            Kind::Lstm => {
                let u_i = self.read(call, 0, &x[0], &h)?;
                let u_i = self.seen(call, 0, u_i, &c)?;
                let i = self.gate(call, 0, &u_i)?;
                let f = if self.coupled {
                    call.plain("Sub", &[Operand::float(1.0), i.clone()])?
                } else {
                    let u_f = self.read(call, 2, &x[2], &h)?;
                    let u_f = self.seen(call, 2, u_f, &c)?;
                    self.gate(call, 0, &u_f)?
                };
                let u_c = self.read(call, 3, &x[3], &h)?;
                let g = self.gate(call, 1, &u_c)?;
                let kept = call.plain("Mul", &[f, c])?;
                let taken = call.plain("Mul", &[i, g])?;
                let c = call.plain("Add", &[kept, taken])?;
                let u_o = self.read(call, 1, &x[1], &h)?;
                let u_o = self.seen(call, 1, u_o, &c)?;
                let o = self.gate(call, 0, &u_o)?;
                let shown = self.gate(call, 2, &c)?;
                let h = call.plain("Mul", &[o, shown])?;
                Ok(State { h, c })
            }
            Kind::Gru => {
                let u_z = self.read(call, 0, &x[0], &h)?;
                let z = self.gate(call, 0, &u_z)?;
                let u_r = self.read(call, 1, &x[1], &h)?;
                let r = self.gate(call, 0, &u_r)?;
                let last = self.recurrent[2].clone();
                let brought = if self.linear_before_reset {
                    let mut product = call.plain("MatMul", &[h.clone(), last])?;
                    if let Some(bias) = &self.hidden_bias {
                        product = call.plain("Add", &[product, bias.clone()])?;
                    }
                    call.plain("Mul", &[r, product])?
                } else {
                    let reset = call.plain("Mul", &[r, h.clone()])?;
                    call.plain("MatMul", &[reset, last])?
                };
                let u_h = call.plain("Add", &[x[2].clone(), brought])?;
                let new = self.gate(call, 1, &u_h)?;
                let one = Operand::float(1.0);
                let share = call.plain("Sub", &[one, z.clone()])?;
                let new = call.plain("Mul", &[share, new])?;
                let kept = call.plain("Mul", &[z, h])?;
                let h = call.plain("Add", &[new, kept])?;
                Ok(State { h, c })
            }
        }
    }
}

/// Writes the node out.
pub(super) fn write_out(call: &mut Call<'_, '_>, kind: Kind) -> Outcome {
    let batch_first = call.int("layout", 0)? == 1;
    let reversed: &[bool] = match &call.text("direction", "forward")?[..] {
        "forward" => &[false],
        "reverse" => &[true],
        "bidirectional" => &[false, true],
        other => return Err(format!("direction {other:?} is not known").into()),
    };
    let activations = activations(call, kind, reversed.len())?;
    let clip = match call.has("clip") {
        true => Some(call.float("clip", 0.0)?),
        false => None,
    };
    let coupled = kind == Kind::Lstm && call.int("input_forget", 0)? != 0;
    let linear_before_reset = kind == Kind::Gru && call.int("linear_before_reset", 0)? != 0;
    call.int("hidden_size", 0)?;
    let mut x = call.input(0)?;
    let (w, r) = (call.input(1)?, call.input(2)?);
    if x.shape.len() != 3 || w.shape.len() != 3 || r.shape.len() != 3 {
        return Err("input and weights need three axes each".into());
    }
    if batch_first {
        x = transposed(call, &x, &[1, 0, 2])?;
    }
    let (steps, batch, hidden) = (x.shape[0], x.shape[1], r.shape[2]);
    let fits = w.shape[0] == reversed.len() && r.shape[0] == reversed.len();
    if !fits || steps == 0 || steps > MOST_STEPS {
        return Err(format!("{steps} steps with weights {} and {}", w.shape, r.shape).into());
    }
    call.session
        .charge_bodies(reversed.len() * steps * NODES_A_STEP)?;
    let of_states = i64::from(batch_first);
    let mut all = Vec::new();
    let mut last = Vec::new();
    for (index, &backwards) in reversed.iter().enumerate() {
        let w = at(call, &w, index, 0)?;
        let w = transposed(call, &w, &[1, 0])?;
        let mut brought = call.plain("MatMul", &[x.clone(), w])?;
        let mut hidden_bias = None;
        if let Some(bias) = call.optional(3) {
            let bias = at(call, &bias, index, 0)?;
            let halves = pieces(call, &bias, 0, 2)?;
            let mut of_state = pieces(call, &halves[1], 0, kind.gates())?;
            if linear_before_reset && let Some(last) = of_state.last_mut() {
                let zeros = Tensor::new(last.shape.clone(), vec![0.0; hidden]);
                let zeros = Operand::known(last.kind, zeros);
                hidden_bias = Some(std::mem::replace(last, zeros));
            }
            let of_state = call.with("Concat", &[("axis", Attribute::Int(0))], &of_state)?;
            brought = call.plain("Add", &[brought, halves[0].clone()])?;
            brought = call.plain("Add", &[brought, of_state])?;
        }
        let r = at(call, &r, index, 0)?;
        let mut recurrent = Vec::new();
        for gate in pieces(call, &r, 0, kind.gates())? {
            recurrent.push(transposed(call, &gate, &[1, 0])?);
        }
        let peepholes = match call.optional(7).filter(|_| kind == Kind::Lstm) {
            Some(peepholes) => {
                let own = at(call, &peepholes, index, 0)?;
                pieces(call, &own, 0, 3)?
            }
            None => Vec::new(),
        };
        let direction = Direction {
            kind,
            activations: activations[index].clone(),
            clip,
            coupled,
            linear_before_reset,
            recurrent,
            hidden_bias,
            peepholes,
        };
        let mut first = |input: usize| match call.optional(input) {
            Some(initial) => at(call, &initial, index, of_states),
            None => {
                let zeros = Tensor::new([batch, hidden], vec![0.0; batch * hidden]);
                Ok(Operand::known(x.kind, zeros))
            }
        };
        let h = first(5)?;
        let c = if kind == Kind::Lstm {
            first(6)?
        } else {
            h.clone()
        };
        let mut state = State { h, c };
        let mut states = Vec::with_capacity(steps);
        for step in 0..steps {
            let step = if backwards { steps - 1 - step } else { step };
            let now = at(call, &brought, step, 0)?;
            let gates = pieces(call, &now, -1, kind.gates())?;
            state = direction.step(call, &gates, state)?;
            states.push(state.h.clone());
        }
        if backwards {
            states.reverse();
        }
        all.push(stacked(call, &states, 0)?);
        last.push(state);
    }
    let mut y = stacked(call, &all, 1)?;
    if batch_first {
        y = transposed(call, &y, &[2, 0, 1, 3])?;
    }
    let (h, c): (Vec<Operand>, Vec<Operand>) =
        last.into_iter().map(|last| (last.h, last.c)).unzip();
    let y_h = stacked(call, &h, of_states)?;
    let y_c = stacked(call, &c, of_states)?;
    Ok(vec![
        Some(y),
        Some(y_h),
        (kind == Kind::Lstm).then_some(y_c),
    ])
}

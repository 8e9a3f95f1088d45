//! Direction, layout, which inputs there are; attributes and shapes.

use super::{Cell, CellAttributes};
use crate::num::Shape;
use crate::ops::attributes::AttributeReader;
use crate::ops::shapes::{expect_inputs, expect_shape, misfit};
use crate::ops::{Attributes, Autocast, Op, OpError, OpFacts, Role};

/// The way a recurrent layer walks over time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direction {
    /// From the first step to the last.
    #[default]
    Forward,
    /// From the last step to the first.
    Reverse,
    /// Both, with weights of their own.
    Bidirectional,
}

impl Direction {
    /// For each set of weights: does it walk backwards?
    pub fn reversed(self) -> &'static [bool] {
        match self {
            Self::Forward => &[false],
            Self::Reverse => &[true],
            Self::Bidirectional => &[false, true],
        }
    }
}

/// A recurrent layer of one kind of cell, with directions D, time T, batch B, inputs I, hidden
/// units H and gates G, as ONNX's RNN, LSTM and GRU have it.
///
/// Inputs, in this order: x\[T, B, I\], W\[D, G·H, I\], R\[D, G·H, H\]; with `bias` b\[D, 2·G·H\]
/// (those of W, then those of R); with `initial_h` and `initial_c` the states before the first
/// step \[D, B, H\], else zero; with `peepholes` an LSTM's P\[D, 3·H\]; with `lengths` how many
/// steps of each sample there are \[B\], whole numbers up to T. Outputs: all states Y\[T, D, B, H\], the last ones Y_h\[D, B, H\]
/// and, of an LSTM, Y_c\[D, B, H\]. With `batch_first` (ONNX's `layout` 1) these are x\[B, T, I\],
/// Y\[B, T, D, H\] and states \[B, D, H\].
///
/// A sample that is shorter keeps its state from its end on, Y is 0 there, and the way back
/// begins at its end.
///
/// Keeps the pre-activations and the states, so that the pull-back takes every gate's derivative
/// from its pre-activation: σ(u)σ(−u) and sech²(u), never 1 − t². The cotangent that is carried
/// through time is renormalised by powers of two on its way, so that a gradient that explodes
/// over many steps does not overflow.
#[derive(Clone, Debug, Default)]
pub struct Recurrent<C> {
    /// What happens in a step.
    pub cell: C,
    /// The way over time.
    pub direction: Direction,
    /// Hidden units, checked against the weights where given.
    pub hidden_size: Option<usize>,
    /// Is axis 0 the batch, rather than time?
    pub batch_first: bool,
    /// Is there a bias?
    pub bias: bool,
    /// Is the state before the first step given?
    pub initial_h: bool,
    /// Is an LSTM's cell state before the first step given?
    pub initial_c: bool,
    /// Do an LSTM's gates see the cell state?
    pub peepholes: bool,
    /// Are the lengths of the samples given?
    pub lengths: bool,
}

/// The extents of a call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Extents {
    pub time: usize,
    pub batch: usize,
    pub inputs: usize,
    pub hidden: usize,
    pub batch_first: bool,
}

/// Where the optional inputs are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Positions {
    pub bias: Option<usize>,
    pub initial_h: Option<usize>,
    pub initial_c: Option<usize>,
    pub peepholes: Option<usize>,
    pub lengths: Option<usize>,
}

impl<C: Cell> Recurrent<C> {
    pub(in crate::ops) fn from_attributes(attributes: &Attributes) -> Result<Box<dyn Op>, OpError> {
        let mut reader = AttributeReader::new(attributes);
        let direction = match reader.text("direction", "forward")? {
            "forward" => Direction::Forward,
            "reverse" => Direction::Reverse,
            "bidirectional" => Direction::Bidirectional,
            other => {
                return Err(OpError::Attribute {
                    name: "direction",
                    expected: "forward, reverse or bidirectional".into(),
                    got: format!("{other:?}"),
                });
            }
        };
        let hidden_size = reader.size("hidden_size", 0, 0)?;
        let op = Self {
            direction,
            hidden_size: (hidden_size > 0).then_some(hidden_size),
            batch_first: reader.flag("layout", false)?,
            bias: reader.flag("bias", false)?,
            initial_h: reader.flag("initial_h", false)?,
            initial_c: C::HAS_CELL_STATE && reader.flag("initial_c", false)?,
            peepholes: C::HAS_CELL_STATE && reader.flag("peepholes", false)?,
            lengths: reader.flag("lengths", false)?,
            cell: C::read(&mut CellAttributes(&mut reader))?,
        };
        reader.finish()?;
        Ok(Box::new(op))
    }

    pub(super) fn positions(&self) -> Positions {
        let mut next = 3;
        let mut place = |given: bool| {
            given.then(|| {
                next += 1;
                next - 1
            })
        };
        Positions {
            bias: place(self.bias),
            initial_h: place(self.initial_h),
            initial_c: place(C::HAS_CELL_STATE && self.initial_c),
            peepholes: place(C::HAS_CELL_STATE && self.peepholes),
            lengths: place(self.lengths),
        }
    }

    /// The extents, from the shapes of x and R.
    pub(super) fn extents(&self, x: &[usize], recurrent: &[usize]) -> Extents {
        let (time, batch) = if self.batch_first {
            (x[1], x[0])
        } else {
            (x[0], x[1])
        };
        Extents {
            time,
            batch,
            inputs: x[2],
            hidden: recurrent[2],
            batch_first: self.batch_first,
        }
    }

    /// The shape of the states before the first step and after the last.
    fn state_shape(&self, extents: Extents) -> [usize; 3] {
        let directions = self.direction.reversed().len();
        if self.batch_first {
            [extents.batch, directions, extents.hidden]
        } else {
            [directions, extents.batch, extents.hidden]
        }
    }

    /// How many outputs others may read.
    fn visible(&self) -> usize {
        2 + usize::from(C::HAS_CELL_STATE)
    }
}

impl<C: Cell> Op for Recurrent<C> {
    fn name(&self) -> &'static str {
        C::NAME
    }

    fn role(&self) -> Role {
        Role::Weight
    }

    fn facts(&self) -> OpFacts {
        OpFacts {
            autocast: Autocast::Narrow,
            pulls_back_at_once: true,
            ..OpFacts::default()
        }
    }

    fn infer(&self, inputs: &[&Shape]) -> Result<Vec<Shape>, OpError> {
        let positions = self.positions();
        let optional = [
            positions.bias,
            positions.initial_h,
            positions.initial_c,
            positions.peepholes,
            positions.lengths,
        ];
        let count = 3 + optional.iter().flatten().count();
        expect_inputs(inputs, count..=count)?;
        let (x, w, r) = (inputs[0], inputs[1], inputs[2]);
        let axes = if self.batch_first {
            "[batch, time, inputs]"
        } else {
            "[time, batch, inputs]"
        };
        if x.len() != 3 || x.contains(&0) {
            return Err(misfit("input", format!("three axes {axes}, none empty"), x));
        }
        let directions = self.direction.reversed().len();
        let &[_, gates, hidden] = &r[..] else {
            let expected = "three axes [directions, gates · hidden, hidden]";
            return Err(misfit("recurrent weight", expected, r));
        };
        if let Some(said) = self.hidden_size
            && said != hidden
        {
            return Err(OpError::Mismatch {
                one: format!("hidden_size is {said}"),
                other: format!("the recurrent weight has {hidden} hidden units"),
            });
        }
        let all_gates = C::GATES.checked_mul(hidden).filter(|&gates| gates > 0);
        let Some(all_gates) = all_gates.filter(|&all| all == gates) else {
            let expected = format!("{} times as many rows as columns, at least one", C::GATES);
            return Err(misfit("recurrent weight", expected, r));
        };
        let what = "the recurrent weight";
        expect_shape(what, &[directions, all_gates, hidden], r)?;
        expect_shape("the weight", &[directions, all_gates, x[2]], w)?;
        let extents = self.extents(x, r);
        if let Some(bias) = positions.bias {
            let both = all_gates.saturating_mul(2);
            expect_shape("the bias", &[directions, both], inputs[bias])?;
        }
        let state = self.state_shape(extents);
        if let Some(initial) = positions.initial_h {
            expect_shape("the initial h", &state, inputs[initial])?;
        }
        if let Some(initial) = positions.initial_c {
            expect_shape("the initial c", &state, inputs[initial])?;
        }
        if let Some(peepholes) = positions.peepholes {
            let three = hidden.saturating_mul(3);
            expect_shape("the peepholes", &[directions, three], inputs[peepholes])?;
        }
        if let Some(lengths) = positions.lengths {
            expect_shape("the lengths", &[extents.batch], inputs[lengths])?;
        }
        let Extents { time, batch, .. } = extents;
        let states = if self.batch_first {
            [batch, time, directions, hidden]
        } else {
            [time, directions, batch, hidden]
        };
        let mut outputs = vec![Shape::new(states), Shape::new(state)];
        if C::HAS_CELL_STATE {
            outputs.push(Shape::new(state));
        }
        let steps = time.saturating_mul(batch);
        let with_first = steps.saturating_add(batch);
        outputs.push(Shape::new([directions, steps, all_gates]));
        outputs.push(Shape::new([directions, with_first, hidden]));
        if C::HAS_CELL_STATE {
            outputs.push(Shape::new([directions, with_first, hidden]));
        }
        if C::KEEPS_ASIDE {
            outputs.push(Shape::new([directions, steps, hidden]));
        }
        match outputs.iter().find(|shape| shape.checked_len().is_none()) {
            Some(large) => Err(misfit("states", "a size that can be counted", large)),
            None => Ok(outputs),
        }
    }

    fn kept_outputs(&self) -> usize {
        2 + usize::from(C::HAS_CELL_STATE) + usize::from(C::KEEPS_ASIDE)
    }

    fn differentiable(&self, input: usize) -> bool {
        self.positions().lengths != Some(input)
    }

    fn reads_input(&self, input: usize) -> bool {
        let positions = self.positions();
        input < 3 || [positions.peepholes, positions.lengths].contains(&Some(input))
    }

    fn reads_outputs(&self) -> bool {
        false
    }

    fn flops(&self, inputs: &[&Shape], _outputs: &[Shape]) -> u64 {
        let (x, w, r) = (inputs[0], inputs[1], inputs[2]);
        let steps = (x[0] as u64).saturating_mul(x[1] as u64);
        let weights = w.element_count() as u64 + r.element_count() as u64;
        steps.saturating_mul(2).saturating_mul(weights)
    }
}

impl<C: Cell> Recurrent<C> {
    /// Where the kept outputs begin: u, h, then c or what is kept aside.
    pub(super) fn first_kept(&self) -> usize {
        self.visible()
    }
}

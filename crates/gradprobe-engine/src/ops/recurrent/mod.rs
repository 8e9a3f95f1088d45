//! Recurrent layers with the semantics of ONNX's RNN, LSTM and GRU, and back-propagation through
//! time.
//!
//! | file | its one subject |
//! |---|---|
//! | `options.rs` | direction, layout, which inputs there are; attributes and shapes |
//! | `order.rs` | the order in which a pass walks samples and steps |
//! | `kernel.rs` | forward and pull-back of any cell |
//! | `units.rs` | loops over hidden units as vector code |
//! | `through_time.rs` | back-propagation through time |
//! | `gradients.rs` | the gradients of the inputs from it |
//! | `over_time.rs` | the signals step by step, for who watches |
//! | `rnn.rs`, `lstm.rs`, `gru.rs` | one cell each: a step forward and a step back, side by side |

mod exponents;
mod gradients;
mod gru;
mod kernel;
mod lstm;
mod options;
mod order;
mod over_time;
mod rnn;
mod through_time;
mod units;

pub use gru::GruCell;
pub use lstm::LstmCell;
pub use options::{Direction, Recurrent};
pub use rnn::{RnnActivation, RnnCell};

use super::attributes::AttributeReader;
use super::{OpElement, OpError};
use crate::num::packed::Packed;
use std::fmt::Debug;

/// h_t = φ(W·x_t + R·h_{t−1} + b), φ = tanh or ReLU.
pub type Rnn = Recurrent<RnnCell>;
/// Long short-term memory (Hochreiter and Schmidhuber 1997, with the forget gate of Gers,
/// Schmidhuber and Cummins 2000).
pub type Lstm = Recurrent<LstmCell>;
/// Gated recurrent unit (Cho et al. 2014).
pub type Gru = Recurrent<GruCell>;

/// The recurrent weights of a direction.
#[derive(Clone, Copy, Debug)]
pub struct Weights<'a, T> {
    /// R of the gates before the last, or of all of them: \[hidden, gates · hidden\] on the way
    /// forward, \[gates · hidden, hidden\] on the way back.
    gates: Packed<'a, T>,
    /// That of the last gate, where the cell keeps it apart.
    last: Packed<'a, T>,
    /// The part of the recurrent bias that the cell adds itself; empty without a bias.
    hidden_bias: &'a [T],
    /// By what the gates i, o and f of an LSTM see the cell state \[3 · hidden\]; may be empty.
    peepholes: &'a [T],
    hidden: usize,
}

/// What a step forward reads and writes, for the rows (samples) of a part of the batch.
#[derive(Debug)]
pub struct Step<'a, T> {
    rows: usize,
    /// The pre-activations of the gates \[rows, gates · hidden\]: before the step the part of them
    /// that the input makes.
    u: &'a mut [T],
    h_before: &'a [T],
    h: &'a mut [T],
    /// The cell state of an LSTM; empty elsewhere.
    c_before: &'a [T],
    c: &'a mut [T],
    /// What a GRU keeps \[rows, hidden\]; empty elsewhere.
    aside: &'a mut [T],
}

/// What a step back reads and writes.
#[derive(Debug)]
pub struct StepBack<'a, T> {
    rows: usize,
    u: &'a [T],
    h_before: &'a [T],
    c_before: &'a [T],
    c: &'a [T],
    aside: &'a [T],
    /// The cotangent of h after the step; becomes that of h before it.
    dh: &'a mut [T],
    /// The same of c.
    dc: &'a mut [T],
    /// The cotangents of the pre-activations.
    du: &'a mut [T],
    /// The cotangent of what was kept aside.
    d_aside: &'a mut [T],
}

/// Which rows of the recurrent weight's gradient a product makes, and from what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Factor {
    /// The state before the step.
    State,
    /// What was kept aside.
    Aside,
}

/// What happens in one step of a recurrent layer.
pub trait Cell: Debug + Clone + Default + Send + Sync + 'static {
    /// The op's name in ONNX.
    const NAME: &'static str;
    /// Gates, each with `hidden` units.
    const GATES: usize;
    /// Is there a cell state beside h?
    const HAS_CELL_STATE: bool = false;
    /// Is something kept aside?
    const KEEPS_ASIDE: bool = false;
    /// Is the last gate's recurrent product computed apart from the others'?
    const LAST_GATE_APART: bool = false;

    /// Reads the attributes that other cells do not have.
    #[doc(hidden)]
    fn read(reader: &mut CellAttributes<'_, '_>) -> Result<Self, OpError>;

    /// Does the cell add the last gate's recurrent bias itself?
    fn adds_hidden_bias(&self) -> bool {
        false
    }

    /// How the last gate's rows of the recurrent weight get their gradient.
    #[doc(hidden)]
    fn last_gate(&self) -> LastGate {
        LastGate::PLAIN
    }

    /// Computes h and c from those before and the input's part of u.
    fn forward<T: OpElement>(&self, weights: Weights<'_, T>, step: Step<'_, T>);

    /// Pulls the cotangents of h and c back through the step.
    fn pull_back<T: OpElement>(&self, weights: Weights<'_, T>, step: StepBack<'_, T>);
}

/// The attributes of a node, as a cell reads them.
#[derive(Debug)]
pub struct CellAttributes<'r, 'a>(&'r mut AttributeReader<'a>);

/// How a cell's recurrent weight gets its gradient: for the gates before the last, the cotangents
/// of u by the state; for the last gate as the cell says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastGate {
    /// Is the cotangent that of what was kept aside, rather than that of u?
    from_aside: bool,
    /// By what it is multiplied.
    by: Factor,
}

impl LastGate {
    /// As the other gates have it.
    pub(super) const PLAIN: Self = Self {
        from_aside: false,
        by: Factor::State,
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::num::Tensor;
    use crate::ops::{Context, apply, apply_vjp};

    /// The gradient of the first state of h_t = r·h_{t−1} with r over 400 steps, as (element,
    /// exponent).
    fn after_400_steps(r: f32) -> (f32, i64) {
        let op = Rnn {
            cell: RnnCell {
                activation: RnnActivation::Relu,
            },
            initial_h: true,
            ..Rnn::default()
        };
        let one = |shape: [usize; 3], value: f32| {
            let len = shape.iter().product();
            Tensor::new(shape, vec![value; len])
        };
        let mut inputs = [
            one([400, 1, 1], 1.0),
            one([1, 1, 1], 1.0),
            one([1, 1, 1], r),
            one([1, 1, 1], 1.0),
        ];
        if r > 1.0 {
            // Forward the states would overflow: keep them near zero.
            inputs[0].data_mut().fill(1e-30);
            inputs[3].data_mut().fill(0.0);
            inputs[2].data_mut().fill(1.0);
        }
        let context = Context::default();
        let outputs = apply(&op, &context, &inputs).expect("it runs");
        inputs[2].data_mut().fill(r);
        let cotangents = [Tensor::zeros([400, 1, 1, 1]), one([1, 1, 1], 1.0)];
        let wanted = [false, false, false, true];
        let (gradients, exponent) =
            apply_vjp(&op, &context, &inputs, &outputs, &cotangents, &wanted).expect("it runs");
        let gradient = gradients[3].as_ref().expect("wanted");
        (gradient.data()[0], exponent)
    }

    #[test]
    fn a_gradient_that_explodes_over_time_does_not_overflow() {
        // 4^400 = 2^800 is far beyond f32.
        let (element, exponent) = after_400_steps(4.0);
        assert!(element.is_finite());
        let log2 = f64::from(element).log2() + exponent as f64;
        assert!((log2 - 800.0).abs() < 1e-6, "{element} 2^{exponent}");
    }

    #[test]
    fn a_gradient_that_shrinks_over_time_comes_out_however_small() {
        for r in [0.9f32, 0.25] {
            // 4^(−400) = 2^(−800) is far below f32.
            let (element, exponent) = after_400_steps(r);
            let log2 = f64::from(element).log2() + exponent as f64;
            let expected = 400.0 * f64::from(r).log2();
            assert!((log2 - expected).abs() < 1e-3, "{element} 2^{exponent}");
        }
    }
}

//! What an op is, for those who plan runs and judge networks: they ask for facts, and not for names,
//! so that a network is judged alike however it is spelled.

use super::mode::Mode;
use crate::num::Bounds;

/// How the weight of a linear map lies: its input 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WeightLayout {
    /// \[units, inputs\], applied to the last axis.
    UnitsFirst,
    /// \[…, inputs, units\], applied to the last axis.
    UnitsLast,
    /// \[units, inputs, kernel …\], applied to channels.
    Kernel,
}

/// A cross-entropy whose input 0 are logits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CrossEntropyKind {
    /// Of classes along axis 1: a softmax is inside.
    Classes,
    /// Of a yes or no for every logit: a sigmoid is inside.
    Binary,
}

/// What PyTorch's autocast does with an op ("Autocast Op Reference" of the `torch.amp` documentation,
/// CUDA).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Autocast {
    /// Its inputs are cast to the narrow type.
    Narrow,
    /// Its inputs are cast to f32.
    Single,
    /// It is on no list: its inputs are left, and the result has the widest of their types.
    #[default]
    Promote,
}

/// The modes in which something holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Modes {
    /// In training?
    pub train: bool,
    /// In inference?
    pub eval: bool,
}

impl Modes {
    /// In neither mode.
    pub const NEVER: Self = Self {
        train: false,
        eval: false,
    };
    /// In both modes.
    pub const ALWAYS: Self = Self {
        train: true,
        eval: true,
    };

    /// Those in which it holds.
    pub fn of(holds: impl Fn(Mode) -> bool) -> Self {
        Self {
            train: holds(Mode::Train),
            eval: holds(Mode::Eval),
        }
    }

    /// Does it hold in this one?
    pub fn has(self, mode: Mode) -> bool {
        match mode {
            Mode::Train => self.train,
            Mode::Eval => self.eval,
        }
    }
}

/// What an op is. The default: nothing is known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OpFacts {
    /// Of a linear map with a weight: how that lies.
    pub weight: Option<WeightLayout>,
    /// Of a loss that is a cross-entropy of logits.
    pub cross_entropy: Option<CrossEntropyKind>,
    /// Of what is normalised to a sum of 1 (a softmax, or its logarithm): the axis, negative from
    /// the end.
    pub sums_to_one_along: Option<i64>,
    /// Are the outputs probabilities, from 0 to 1?
    pub is_probability: bool,
    /// Is the derivative zero wherever there is one (rounding, the sign)?
    pub is_step: bool,
    /// Does it reduce windows within each channel, so that the output's channels are the input's?
    pub pools: bool,
    /// Is every output an element of input 0?
    pub selects: bool,
    /// Does it normalise, in training, by statistics over the batch?
    pub batch_statistics: bool,
    /// What autocast does with it.
    pub autocast: Autocast,
    /// Is output 0 input 0 element for element (a reshape, dropout in inference)? No copy is made.
    pub is_view: Modes,
    /// Does what becomes of a row depend on its number in the batch (a random mask)? A sample
    /// repeated is then not the same sample.
    pub is_random: Modes,
    /// Do samples stay apart, though not by the rule of [`Op::per_sample`](super::Op::per_sample),
    /// which knows no mode (a BatchNorm in inference)?
    pub keeps_samples_apart: Modes,
    /// The input that a cotangent is followed to where the chain through a network is told.
    pub main_input: usize,
    /// Where it is a product of its inputs 0 and 1, linear in each, plus a bias: the input that is
    /// the bias, whether it is given or not.
    pub bias_of_product: Option<usize>,
    /// Do the gradients of all inputs come out of one walk that costs more than they do
    /// (back-propagation through time)? Then they are asked for in one call, where the batch is not
    /// split.
    pub pulls_back_at_once: bool,
    /// Is the formula of [`Kernel::framework_vjp`](super::Kernel::framework_vjp) another one, that
    /// can round to 0 where the derivative is not?
    pub framework_vjp_cancels: bool,
    /// Of an activation that settles at bounds: beyond which its outputs are saturated.
    pub saturation: Option<Bounds>,
}

impl OpFacts {
    /// The facts of an op of which nothing is known.
    pub const NONE: Self = Self {
        weight: None,
        cross_entropy: None,
        sums_to_one_along: None,
        is_probability: false,
        is_step: false,
        pools: false,
        selects: false,
        batch_statistics: false,
        autocast: Autocast::Promote,
        is_view: Modes::NEVER,
        is_random: Modes::NEVER,
        keeps_samples_apart: Modes::NEVER,
        main_input: 0,
        bias_of_product: None,
        pulls_back_at_once: false,
        framework_vjp_cancels: false,
        saturation: None,
    };
}

impl Default for OpFacts {
    fn default() -> Self {
        Self::NONE
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::activation::{ActivationOp, parse};
    use crate::ops::{Attributes, Op, registry};

    /// PyTorch's lists, under the names of this engine's ops.
    const NARROW: [&str; 10] = [
        "Attention",
        "Conv",
        "ConvTranspose",
        "Einsum",
        "GRU",
        "LSTM",
        "Linear",
        "MatMul",
        "PRelu",
        "RNN",
    ];
    const SINGLE: [&str; 24] = [
        "BinaryCrossEntropyWithLogits",
        "CumSum",
        "Exp",
        "GlobalLpPool",
        "GroupNormalization",
        "Huber",
        "LRN",
        "LayerNormalization",
        "Log",
        "LogSoftmax",
        "LpPool",
        "MeanAbsoluteError",
        "MeanSquaredError",
        "Pow",
        "Reciprocal",
        "ReduceL1",
        "ReduceL2",
        "ReduceLogSumExp",
        "ReduceProd",
        "ReduceSum",
        "ReduceSumSquare",
        "Softmax",
        "SoftmaxCrossEntropyLoss",
        "Softplus",
    ];

    #[test]
    fn autocast_does_with_every_op_what_the_lists_of_pytorch_say() {
        let ops = registry().iter();
        let mut ops: Vec<Box<dyn Op>> = ops
            .map(|entry| (entry.from_attributes)(&Attributes::new()).expect("defaults will do"))
            .collect();
        for entry in crate::ops::activation::registry() {
            let activation = parse(entry.about.name).expect("it is in the table");
            ops.push(Box::new(ActivationOp::new(activation)));
        }
        let mut listed = 0;
        for op in ops {
            // A slope that is not learned is that of a leaky ReLU, which is on no list.
            let is_learned = op.activation().is_none();
            let expected = match op.name() {
                "PRelu" if !is_learned => Autocast::Promote,
                // The activation of the op `Exp`.
                "exp" => Autocast::Single,
                name if NARROW.contains(&name) => Autocast::Narrow,
                name if SINGLE.contains(&name) => Autocast::Single,
                _ => Autocast::Promote,
            };
            listed += usize::from(expected != Autocast::Promote);
            assert_eq!(op.facts().autocast, expected, "{}", op.name());
        }
        assert!(listed >= NARROW.len() + SINGLE.len());
    }

    #[test]
    fn a_function_is_a_step_however_it_is_spelled() {
        for text in ["clip(x,1,1)", "clip(clip(x,0,1),2,3)", "0*x"] {
            let Ok(activation) = parse(text) else {
                panic!("{text}");
            };
            assert!(ActivationOp::new(activation).facts().is_step, "{text}");
        }
        for text in ["relu", "clip(x,100,101)", "tanh"] {
            let activation = parse(text).expect("an activation");
            assert!(!ActivationOp::new(activation).facts().is_step, "{text}");
        }
    }
}

//! The contract between an op and the executor.

use super::activation::ActivationElement;
use super::facts::OpFacts;
use super::mode::Mode;
use super::over_time::OverTime;
use crate::num::linalg::SpectralElement;
use crate::num::packed::PackedElement;
use crate::num::scratch::Scratch;
use crate::num::{Element, Shape, View, ViewMut, scaled};
use std::fmt::Debug;
use std::ops::Range;

/// What part a node plays when lost decades are attributed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// A parametrised linear map: Linear, MatMul, Conv.
    Weight,
    /// An elementwise nonlinearity, softmax.
    Activation,
    /// BatchNorm, LayerNorm and their kin.
    Normalisation,
    /// The sum that closes a skip connection.
    Residual,
    /// Everything else: reshapes, pooling, reductions, dropout.
    Other,
}

/// What every call of a kernel is told besides its operands.
#[derive(Clone, Copy, Debug)]
pub struct Context {
    /// Training or inference.
    pub mode: Mode,
    /// May the kernel use the other threads? False inside a chunk of the batch, of which several
    /// run at once. The result must be the same bits either way.
    pub parallel: bool,
    /// Key of the node's random stream (dropout): depends on the seed and the node, not on threads.
    pub random_key: u64,
    /// Index of the first row of axis 0 that this call sees, so that a random mask does not depend
    /// on how the batch is split.
    pub first_row: usize,
}

impl Default for Context {
    fn default() -> Self {
        Self {
            mode: Mode::Train,
            parallel: false,
            random_key: 0,
            first_row: 0,
        }
    }
}

/// What a pull-back may read: the operands of the forward call and what it wrote.
#[derive(Clone, Copy, Debug)]
pub struct Saved<'a, T> {
    /// The inputs, as given to `forward`.
    pub inputs: &'a [View<'a, T>],
    /// The outputs, as written by `forward`, kept ones included.
    pub outputs: &'a [View<'a, T>],
}

/// The powers of two that what [`Kernel::vjp_apart`] wrote is to be multiplied by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InputExponents {
    /// That of every input that `apart` does not name.
    pub common: i64,
    /// Inputs, by position, with an exponent of their own.
    pub apart: Vec<(usize, i64)>,
}

impl InputExponents {
    /// The exponent of an input's gradient.
    pub fn of(&self, input: usize) -> i64 {
        let own = self.apart.iter().find(|(position, _)| *position == input);
        own.map_or(self.common, |&(_, exponent)| exponent)
    }
}

/// What is wrong with an op's operands. The executor adds the node's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpError {
    /// A wrong number of inputs.
    #[error("takes {expected} inputs, got {got}")]
    InputCount {
        /// What the op takes, in words: `2`, `1 to 3`.
        expected: String,
        /// What it was given.
        got: usize,
    },
    /// A shape that does not fit.
    #[error("{what}: expected {expected}, got {got}")]
    Shape {
        /// Which operand, and what about it.
        what: String,
        /// What would fit.
        expected: String,
        /// What is there.
        got: String,
    },
    /// Two operands that do not fit each other.
    #[error("{one}, {other}")]
    Mismatch {
        /// What one of them is, e.g. `kernel has 3 input channels`.
        one: String,
        /// What the other is, e.g. `input has 16`.
        other: String,
    },
    /// An attribute that the op does not have.
    #[error("has no attribute {name:?}{}", known_attributes(known))]
    UnknownAttribute {
        /// Its name.
        name: String,
        /// The attributes that the op has.
        known: Vec<String>,
    },
    /// An attribute out of its range.
    #[error("{name} is {got}, expected {expected}")]
    Attribute {
        /// The attribute's name as the user writes it.
        name: &'static str,
        /// What would be accepted.
        expected: String,
        /// What was given.
        got: String,
    },
    /// A value that makes the op meaningless, such as a class index out of range.
    #[error("{what}")]
    Value {
        /// What is wrong, with the place in the tensor.
        what: String,
    },
}

fn known_attributes(known: &[String]) -> String {
    if known.is_empty() {
        return String::new();
    }
    format!("; it has {}", known.join(", "))
}

/// An op's arithmetic in one element type.
pub trait Kernel<T: Element>: Debug + Send + Sync {
    /// Writes every element of every output. Shapes are as `infer` gave them, but for axis 0 of
    /// operands that enumerate samples, which may be a part of the batch.
    fn forward(
        &self,
        context: &Context,
        inputs: &[View<'_, T>],
        outputs: &mut [ViewMut<'_, T>],
    ) -> Result<(), OpError>;

    /// Pulls the outputs' cotangents back to the inputs that are wanted.
    ///
    /// `cotangents` has one entry an output that is not a kept one; `None` stands for zero (at
    /// least one is `Some`). `gradients` has one entry an input; where it is `Some`, every element
    /// is overwritten (with zeros where no gradient is defined).
    ///
    /// Returns an exponent e: the true gradients are what was written × 2^e. It is 0 unless the
    /// op's own derivative leaves the range of `T` (a tanh at u = 100 in f32).
    fn vjp(
        &self,
        context: &Context,
        saved: Saved<'_, T>,
        cotangents: &[Option<View<'_, T>>],
        gradients: &mut [Option<ViewMut<'_, T>>],
    ) -> Result<i64, OpError>;

    /// [`vjp`](Self::vjp) with exponents of their own for some of the inputs, by an op whose
    /// gradients may be further apart than `T` reaches: over thousands of steps of a recurrent
    /// layer, that of its first state and that of its weights. An executor that has a place for
    /// each calls this.
    fn vjp_apart(
        &self,
        context: &Context,
        saved: Saved<'_, T>,
        cotangents: &[Option<View<'_, T>>],
        gradients: &mut [Option<ViewMut<'_, T>>],
    ) -> Result<InputExponents, OpError> {
        let common = self.vjp(context, saved, cotangents, gradients)?;
        Ok(InputExponents {
            common,
            apart: Vec::new(),
        })
    }

    /// [`vjp_apart`](Self::vjp_apart), and what was seen of the signals step by step, one entry a
    /// direction, by an op that goes through time.
    fn vjp_over_time(
        &self,
        context: &Context,
        saved: Saved<'_, T>,
        cotangents: &[Option<View<'_, T>>],
        gradients: &mut [Option<ViewMut<'_, T>>],
    ) -> Result<(InputExponents, Vec<OverTime>), OpError> {
        let exponents = self.vjp_apart(context, saved, cotangents, gradients)?;
        Ok((exponents, Vec::new()))
    }

    /// [`forward`](Self::forward) by the formula of PyTorch: only to *show* what that loses.
    fn framework_forward(
        &self,
        context: &Context,
        inputs: &[View<'_, T>],
        outputs: &mut [ViewMut<'_, T>],
    ) -> Result<(), OpError> {
        self.forward(context, inputs, outputs)
    }

    /// [`vjp`](Self::vjp) by the formula of PyTorch's backward pass, 1 − y² for tanh: only to
    /// *show* what that loses. `saved.outputs` are what is pulled back through, rounded or not.
    /// The gradients have no exponent: what the type cannot hold is lost.
    fn framework_vjp(
        &self,
        context: &Context,
        saved: Saved<'_, T>,
        cotangents: &[Option<View<'_, T>>],
        gradients: &mut [Option<ViewMut<'_, T>>],
    ) -> Result<(), OpError> {
        let exponent = self.vjp(context, saved, cotangents, gradients)?;
        if exponent != 0 {
            for gradient in gradients.iter_mut().flatten() {
                scaled::scale(gradient.data, exponent);
            }
        }
        Ok(())
    }

    /// Writes the given rows (of axis 0) of the gradient of one input, where an op can compute
    /// them alone: a large weight's gradient that is only to be reduced then never leaves the
    /// cache. Returns the exponent as [`vjp`](Self::vjp) does, or `None` if the op cannot; it
    /// can for all rows of an input or for none.
    fn vjp_rows(
        &self,
        _context: &Context,
        _saved: Saved<'_, T>,
        _cotangents: &[Option<View<'_, T>>],
        _input: usize,
        _rows: Range<usize>,
        _gradient: &mut [T],
    ) -> Result<Option<i64>, OpError> {
        Ok(None)
    }

    /// Adds the gradient of an input × `factor`, a power of two, to `total`, and says whether it
    /// did: for ops that touch few of the input's elements, where a gradient full of zeros would
    /// cost more than all else.
    fn add_gradient(
        &self,
        _saved: Saved<'_, T>,
        _cotangents: &[Option<View<'_, T>>],
        _input: usize,
        _factor: T,
        _total: &mut [T],
    ) -> Result<bool, OpError> {
        Ok(false)
    }
}

/// What a node computes.
pub trait Op: Kernel<f32> + Kernel<f64> {
    /// The op's name as the registry has it, e.g. `Conv`.
    fn name(&self) -> &'static str;

    /// The part the op plays in attribution.
    fn role(&self) -> Role;

    /// Output shapes from input shapes alone; the kept outputs come last.
    fn infer(&self, inputs: &[&Shape]) -> Result<Vec<Shape>, OpError>;

    /// How many of the last outputs of `infer` are only kept for the pull-back (a LayerNorm's
    /// 1/σ, say). No node can read them and no cotangent arrives for them.
    fn kept_outputs(&self) -> usize {
        0
    }

    /// Does row i of axis 0 of every output (kept ones included) depend on row i of the inputs in
    /// `sampled` alone, the other inputs being read whole? Then the executor may split the batch.
    /// The answer must be given from the shapes: a broadcast against axis 0 makes it false.
    fn per_sample(&self, _sampled: &[bool], _inputs: &[&Shape]) -> bool {
        false
    }

    /// The fewest rows of axis 0 worth a call of their own (a matrix product wants many).
    fn rows_per_call(&self, _inputs: &[&Shape]) -> usize {
        1
    }

    /// Is a gradient defined with respect to this input? (Not for class indices or running
    /// statistics.)
    fn differentiable(&self, _input: usize) -> bool {
        true
    }

    /// What the op is, for those who plan runs and judge networks.
    fn facts(&self) -> OpFacts {
        OpFacts::default()
    }

    /// Does the pull-back read this input's value? An input it does not read may be freed.
    fn reads_input(&self, _input: usize) -> bool {
        true
    }

    /// Does the pull-back read the values of the (not kept) outputs?
    fn reads_outputs(&self) -> bool {
        true
    }

    /// The activation this node applies to input 0, where it is one: the taps then count
    /// saturation and dead units.
    fn activation(&self) -> Option<&dyn super::activation::Activation> {
        None
    }

    /// Rough floating-point operations of a forward call, for planning only.
    fn flops(&self, _inputs: &[&Shape], outputs: &[Shape]) -> u64 {
        outputs
            .first()
            .map_or(0, |shape| shape.element_count() as u64)
    }
}

/// An element type together with the way from an op to its kernel in that type.
pub trait OpElement:
    Element + SpectralElement + PackedElement + Scratch + ActivationElement
{
    /// The op's kernel in this type.
    fn kernel(op: &dyn Op) -> &dyn Kernel<Self>;
}

impl OpElement for f32 {
    fn kernel(op: &dyn Op) -> &dyn Kernel<f32> {
        op
    }
}

impl OpElement for f64 {
    fn kernel(op: &dyn Op) -> &dyn Kernel<f64> {
        op
    }
}

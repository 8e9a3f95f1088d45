//! A chain examined: its exact gradients beside what arithmetic gives, the engine's autograd
//! beside both, and what can be concluded.

mod autograd;
mod conclusion;
mod remedies;
#[cfg(test)]
mod tests;

pub use autograd::{Autograd, Difference};
pub use conclusion::{Blocker, Conclusion, Dominant, LossFactor, Saturation, Split, Tendency};
pub use remedies::{Remedy, RemedyKind};

use super::zero_cause::{ZeroCause, cause_of_zero_derivative, zero_cause};
use crate::num::{Dtype, Extended, Real};
use crate::theory::{Chain, ExactChain, FloatChain};
use rayon::prelude::*;

/// Decades between the first and the last layer that are called vanishing or exploding.
const NOTABLE_DECADES: f64 = 3.0;

/// What an examination includes.
#[derive(Clone, Debug)]
pub struct ChainOptions {
    /// Types whose arithmetic is shown beside the exact values.
    pub dtypes: Vec<Dtype>,
    /// Layers up to which the engine's autograd is run: it builds a graph, where the chain rule
    /// needs a loop.
    pub autograd_depth: usize,
}

impl Default for ChainOptions {
    fn default() -> Self {
        Self {
            dtypes: vec![Dtype::F64, Dtype::F32],
            autograd_depth: 10_000,
        }
    }
}

/// The gradients in one type's arithmetic, with the cause of every zero.
#[derive(Clone, Debug)]
pub struct Column {
    /// The arithmetic.
    pub float: FloatChain,
    /// Index 0: of ∂f/∂x; index l: of ∂f/∂w_l. `None` where the gradient is not 0.
    causes: Vec<Option<ZeroCause>>,
}

impl Column {
    /// Runs the chain in a type and explains its zeros.
    pub fn new(chain: &Chain, exact: &ExactChain, dtype: Dtype) -> Self {
        let float = FloatChain::new(chain, dtype);
        let causes = causes(chain, exact, &float);
        Self { float, causes }
    }

    /// Why ∂f/∂w_l is 0, where it is.
    pub fn zero_cause(&self, layer: usize) -> Option<ZeroCause> {
        self.causes[layer]
    }

    /// Why ∂f/∂x is 0, where it is.
    pub fn input_zero_cause(&self) -> Option<ZeroCause> {
        self.causes[0]
    }

    /// How many of the weights' gradients are 0 for this cause.
    pub fn count(&self, cause: ZeroCause) -> usize {
        self.causes[1..]
            .iter()
            .filter(|&&found| found == Some(cause))
            .count()
    }
}

/// By gradient, why it is 0 in the type; walks from the output to the input with the strongest
/// cause met on the way.
fn causes(chain: &Chain, exact: &ExactChain, float: &FloatChain) -> Vec<Option<ZeroCause>> {
    let dtype = float.dtype();
    let formula = chain.activation().in_extended();
    let mut causes = vec![None; chain.depth() + 1];
    let mut blocked: Option<ZeroCause> = None;
    for layer in (1..=chain.depth()).rev() {
        let at = &exact.layers()[layer - 1];
        // A cancellation is a defect of the formula, and is told before what is beyond the type.
        let open = !matches!(blocked, Some(ZeroCause::Cancellation));
        if open && float.derivative(layer) == 0.0 && !at.derivative.is_zero() {
            let argument = float.pre_activation(layer);
            let stable = formula.derivative(Extended::from_f64(argument));
            let cause = cause_of_zero_derivative(argument, stable, dtype);
            if blocked.is_none() || cause == ZeroCause::Cancellation {
                blocked = Some(cause);
            }
        }
        if float.gradient(layer) == 0.0 {
            causes[layer] = Some(zero_cause(exact.gradient(layer).value, dtype, blocked));
        }
    }
    if float.input_gradient() == 0.0 {
        let value = exact.input_gradient().value;
        causes[0] = Some(zero_cause(value, dtype, blocked));
    }
    causes
}

/// A chain with everything that is shown of it.
#[derive(Clone, Debug)]
pub struct Examination {
    /// The chain.
    pub chain: Chain,
    /// Its gradients by the chain rule, to 106 bits.
    pub exact: ExactChain,
    /// Its gradients in each type's arithmetic.
    pub columns: Vec<Column>,
    /// Its gradients by the engine's autograd.
    pub autograd: Autograd,
    /// What follows.
    pub conclusion: Conclusion,
}

impl Examination {
    /// Examines a chain.
    pub fn new(chain: Chain, options: &ChainOptions) -> Self {
        let exact = ExactChain::new(&chain);
        let columns = options
            .dtypes
            .iter()
            .map(|&dtype| Column::new(&chain, &exact, dtype))
            .collect();
        let autograd = Autograd::new(&chain, &exact, options.autograd_depth);
        let conclusion = Conclusion::new(&chain, &exact);
        Self {
            chain,
            exact,
            columns,
            autograd,
            conclusion,
        }
    }

    /// Examines chains one after the other; deep ones on all threads, as many at a time as there
    /// are threads.
    pub fn each(
        chains: Vec<Chain>,
        options: &ChainOptions,
    ) -> impl Iterator<Item = Self> + use<'_> {
        /// Below this a thread costs more than it saves.
        const DEEP: usize = 20_000;
        let deep = chains.iter().any(|chain| chain.depth() > DEEP);
        let at_once = if deep {
            rayon::current_num_threads()
        } else {
            1
        };
        let mut chains = chains.into_iter();
        std::iter::from_fn(move || {
            let batch: Vec<Chain> = chains.by_ref().take(at_once).collect();
            if batch.is_empty() {
                return None;
            }
            let one = |chain| Self::new(chain, options);
            Some(if batch.len() > 1 {
                batch.into_par_iter().map(one).collect::<Vec<_>>()
            } else {
                batch.into_iter().map(one).collect()
            })
        })
        .flatten()
    }

    /// The column of a type, where it was asked for.
    pub fn column(&self, dtype: Dtype) -> Option<&Column> {
        self.columns
            .iter()
            .find(|column| column.float.dtype() == dtype)
    }

    /// Does the gradient of this layer's weight hold a derivative at a kink?
    pub fn at_kink(&self, layer: usize) -> bool {
        self.exact.last_kink().is_some_and(|kink| kink >= layer)
    }
}

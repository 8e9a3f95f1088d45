//! Cotangents, their exponents, and gradients that are not complete yet.

use super::buffer::{Buffer, Pool};
use super::environment::RunElement;
use super::plan::Plan;
use crate::num::scaled;
use std::collections::BTreeMap;

/// The cotangent of a slot: its elements, and by chunk of the batch the exponent that they are to
/// be multiplied by 2 to the power of (`None` while nothing was written).
#[derive(Debug)]
pub(super) struct Cotangent<T> {
    pub data: Buffer<T>,
    pub exponents: Vec<Option<i64>>,
}

/// Brings the chunks of a cotangent to one exponent and returns it; `None` if nothing was written.
pub(super) fn align<T: RunElement>(cotangent: &mut Cotangent<T>, plan: &Plan) -> Option<i64> {
    let first = (*cotangent.exponents.first()?)?;
    if cotangent
        .exponents
        .iter()
        .all(|&exponent| exponent == Some(first))
    {
        return Some(first);
    }
    let len = cotangent.data.len();
    let mut rest = &mut cotangent.data[..];
    let mut chunks: Vec<(&mut [T], &mut i64)> = Vec::with_capacity(plan.chunks.len());
    for (chunk, exponent) in cotangent.exponents.iter_mut().enumerate() {
        let (data, after) = rest.split_at_mut(plan.elements(len, chunk).len());
        rest = after;
        chunks.push((data, exponent.get_or_insert(first)));
    }
    Some(scaled::align(&mut chunks))
}

/// What passes between stages besides signals: buffers to compute in, and gradients that are not
/// complete yet.
#[derive(Debug)]
pub(super) struct Scratch<T> {
    /// For values and cotangents.
    pub signals: Pool<T>,
    /// For what is only computed in: gradients of parameters, terms of a sum.
    pub terms: Pool<T>,
    /// By parameter: the gradient so far, where several nodes read it.
    pub partial: BTreeMap<usize, (Buffer<T>, i64)>,
}

impl<T> Default for Scratch<T> {
    fn default() -> Self {
        Self {
            signals: Pool::default(),
            terms: Pool::default(),
            partial: BTreeMap::new(),
        }
    }
}

impl<T: RunElement> Scratch<T> {
    pub fn accumulate(&mut self, parameter: usize, data: Buffer<T>, exponent: i64) {
        if let Some((total, total_exponent)) = self.partial.get_mut(&parameter) {
            scaled::add(total, total_exponent, &data, exponent);
            self.terms.give(data);
        } else {
            self.partial.insert(parameter, (data, exponent));
        }
    }
}

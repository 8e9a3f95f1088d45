//! Cotangents, their exponents, and the buffers that gradients are written to.

use super::executor::RunElement;
use super::plan::Plan;
use crate::num::scaled;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// The cotangent of a slot: its elements, and by chunk of the batch the exponent that they are to
/// be multiplied by 2 to the power of (`None` while nothing was written).
#[derive(Debug)]
pub(super) struct Cotangent<T> {
    pub data: Vec<T>,
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
    let sizes: Vec<f64> = (0..plan.chunks.len())
        .map(|chunk| scaled::max_abs(&cotangent.data[plan.elements(len, chunk)]))
        .collect();
    let common = cotangent
        .exponents
        .iter()
        .zip(&sizes)
        .filter(|&(_, &size)| size != 0.0)
        .filter_map(|(&exponent, _)| exponent)
        .max()
        .unwrap_or(first);
    for (chunk, exponent) in cotangent.exponents.iter_mut().enumerate() {
        if let Some(old) = exponent.replace(common)
            && old != common
            && sizes[chunk] != 0.0
        {
            scaled::scale(&mut cotangent.data[plan.elements(len, chunk)], old - common);
        }
    }
    Some(common)
}

/// Buffers that are used again: a fresh one costs more in page faults than the product that
/// fills it.
#[derive(Debug)]
pub(super) struct Scratch<T> {
    free: Mutex<Vec<Vec<T>>>,
    /// By parameter: the gradient so far, where several nodes read it.
    pub partial: BTreeMap<usize, (Vec<T>, i64)>,
}

impl<T> Default for Scratch<T> {
    fn default() -> Self {
        Self {
            free: Mutex::default(),
            partial: BTreeMap::new(),
        }
    }
}

impl<T: RunElement> Scratch<T> {
    /// A buffer of `len` elements; what they hold is unspecified.
    pub fn take(&self, len: usize) -> Vec<T> {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let capacities = free.iter().map(Vec::capacity).enumerate();
        // The smallest that fits, else a new one in place of the largest.
        let (fitting, small): (Vec<_>, Vec<_>) = capacities.partition(|&(_, own)| own >= len);
        if let Some(&(index, _)) = fitting.iter().min_by_key(|&&(_, own)| own) {
            let mut buffer = free.swap_remove(index);
            drop(free);
            buffer.resize(len, T::default());
            return buffer;
        }
        if let Some(&(index, _)) = small.iter().max_by_key(|&&(_, own)| own) {
            free.swap_remove(index);
        }
        drop(free);
        vec![T::default(); len]
    }

    pub fn give(&self, buffer: Vec<T>) {
        if buffer.capacity() == 0 {
            return;
        }
        self.free
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(buffer);
    }

    pub fn accumulate(&mut self, parameter: usize, data: Vec<T>, exponent: i64) {
        if let Some((total, total_exponent)) = self.partial.get_mut(&parameter) {
            scaled::add(total, total_exponent, &data, exponent);
            self.give(data);
        } else {
            self.partial.insert(parameter, (data, exponent));
        }
    }
}

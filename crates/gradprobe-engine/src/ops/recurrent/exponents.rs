//! The exponents that the way back through time finds, and what it found brought to one.

use super::options::Extents;
use super::order::{parts, take};
use crate::num::scaled;
use crate::ops::OpElement;

/// What the pull-back of one direction found, by part: the exponents of the steps and of what is
/// left at the beginning.
pub(super) struct Exponents {
    pub steps: Vec<i64>,
    pub carried: Vec<i64>,
}

/// Brings the cotangents of all steps to one exponent, and those of what is left at the beginning
/// to one of their own: over many steps the two may be further apart than a type reaches.
pub(super) fn align<T: OpElement>(
    extents: Extents,
    each: &[usize; 3],
    exponents: &mut [Exponents],
    scratch: &mut [T],
) -> [i64; 2] {
    let per_direction: usize = each.iter().sum();
    // What a GRU keeps aside has the exponent of its step.
    let mut of_aside: Vec<Vec<i64>> = exponents.iter().map(|of| of.steps.clone()).collect();
    let (mut steps, mut left) = (Vec::new(), Vec::new());
    let directions = scratch
        .chunks_exact_mut(per_direction)
        .zip(exponents)
        .zip(&mut of_aside);
    for ((scratch, exponents), of_aside) in directions {
        let (mut du, rest) = scratch.split_at_mut(each[0]);
        let (mut aside, mut carried) = rest.split_at_mut(each[1]);
        let of_parts = exponents
            .steps
            .chunks_exact_mut(extents.time)
            .zip(of_aside.chunks_exact_mut(extents.time))
            .zip(&mut exponents.carried);
        for (samples, ((of_steps, of_aside), of_carried)) in parts(extents.batch).zip(of_parts) {
            let share = |len: usize| len / extents.batch * samples.len();
            for (exponent, of_aside) in of_steps.iter_mut().zip(of_aside) {
                steps.push((take(&mut du, share(each[0] / extents.time)), exponent));
                if each[1] > 0 {
                    steps.push((take(&mut aside, share(each[1] / extents.time)), of_aside));
                }
            }
            left.push((take(&mut carried, share(each[2])), of_carried));
        }
    }
    [scaled::align(&mut steps), scaled::align(&mut left)]
}

//! Sums of products over labelled axes, two factors at a time as batches of matrix products.

use super::equation::Label;
use crate::num::linalg::{Matrix, MatrixMut};
use crate::num::sum::sum;
use crate::num::{Element, Shape};
use crate::ops::{OpElement, OpError};
use std::collections::BTreeMap;

/// The fewest elements that a product on the way may have, however small operands and result are.
const LEAST_LIMIT: usize = 1 << 26;

pub(super) type Extents = BTreeMap<Label, usize>;

/// An axis of a strided tensor.
#[derive(Clone, Copy, Debug)]
pub(super) struct Axis {
    pub(super) extent: usize,
    pub(super) stride: usize,
}

/// Calls `visit(where the element is)` for every element in row-major order of the axes.
pub(super) fn for_elements(axes: &[Axis], mut visit: impl FnMut(usize)) {
    if axes.iter().any(|axis| axis.extent == 0) {
        return;
    }
    let Some((last, outer)) = axes.split_last() else {
        return visit(0);
    };
    let mut index = vec![0; outer.len()];
    let mut base = 0;
    loop {
        for step in 0..last.extent {
            visit(base + step * last.stride);
        }
        let mut axis = outer.len();
        loop {
            if axis == 0 {
                return;
            }
            axis -= 1;
            index[axis] += 1;
            base += outer[axis].stride;
            if index[axis] < outer[axis].extent {
                break;
            }
            base -= index[axis] * outer[axis].stride;
            index[axis] = 0;
        }
    }
}

/// A row-major tensor whose every axis has a label of its own.
#[derive(Clone, Debug)]
pub(super) struct Factor<T> {
    pub(super) labels: Vec<Label>,
    pub(super) data: Vec<T>,
}

fn count(labels: &[Label], extents: &Extents) -> usize {
    let product = Shape(labels.iter().map(|label| extents[label]).collect());
    product.element_count()
}

impl<T: OpElement> Factor<T> {
    fn has(&self, label: &Label) -> bool {
        self.labels.contains(label)
    }

    /// With the axes in the order of `labels`; those that it lacks repeat it.
    fn ordered(self, labels: &[Label], extents: &Extents) -> Self {
        if self.labels == labels {
            return self;
        }
        let axes: Vec<Axis> = labels
            .iter()
            .map(|label| {
                let position = self.labels.iter().position(|own| own == label);
                let stride = position.map_or(0, |at| count(&self.labels[at + 1..], extents));
                let extent = extents[label];
                Axis { extent, stride }
            })
            .collect();
        let mut data = Vec::with_capacity(count(labels, extents));
        for_elements(&axes, |at| data.push(self.data[at]));
        Self {
            labels: labels.to_vec(),
            data,
        }
    }

    /// Summed over the axes that are not to be kept.
    fn summed(self, keep: impl Fn(&Label) -> bool, extents: &Extents) -> Self {
        let (kept, dropped): (Vec<Label>, Vec<Label>) = self.labels.iter().partition(|l| keep(l));
        if dropped.is_empty() {
            return self;
        }
        let len = count(&dropped, extents);
        let factor = self.ordered(&[kept.clone(), dropped].concat(), extents);
        let data = if len == 0 {
            vec![T::zero(); count(&kept, extents)]
        } else {
            factor.data.chunks_exact(len).map(sum).collect()
        };
        Self { labels: kept, data }
    }
}

/// The product of two factors, summed over what `keep` does not want.
fn product<T: OpElement>(
    parallel: bool,
    one: Factor<T>,
    other: Factor<T>,
    keep: impl Fn(&Label) -> bool,
    extents: &Extents,
) -> Factor<T> {
    let one = one.summed(|label| keep(label) || other.has(label), extents);
    let other = other.summed(|label| keep(label) || one.has(label), extents);
    let (shared, left): (Vec<Label>, Vec<Label>) =
        one.labels.iter().partition(|label| other.has(label));
    let (batch, inner): (Vec<Label>, Vec<Label>) = shared.iter().partition(|label| keep(label));
    let right: Vec<Label> = other
        .labels
        .iter()
        .filter(|l| !one.has(l))
        .copied()
        .collect();
    let [rows, depth, columns] = [&left, &inner, &right].map(|labels| count(labels, extents));
    let one = one.ordered(&[&batch[..], &left, &inner].concat(), extents);
    let other = other.ordered(&[&batch[..], &inner, &right].concat(), extents);
    let labels = [&batch[..], &left, &right].concat();
    let mut data = vec![T::zero(); count(&labels, extents)];
    if rows * columns == 1 && depth == 1 {
        let factors = one.data.iter().zip(&other.data);
        for (y, (&one, &other)) in data.iter_mut().zip(factors) {
            *y = one * other;
        }
    } else if depth > 0 && rows * columns > 0 {
        let ones = one.data.chunks_exact(rows * depth);
        let others = other.data.chunks_exact(depth * columns);
        for (y, (one, other)) in data.chunks_exact_mut(rows * columns).zip(ones.zip(others)) {
            let one = Matrix::new(one, rows, depth);
            let other = Matrix::new(other, depth, columns);
            T::matmul_tiled(
                MatrixMut::new(y, rows, columns),
                one,
                other,
                false,
                parallel,
            );
        }
    }
    Factor { labels, data }
}

/// y\[output\] = Σ Π factors over the labels that are not in the output; what no factor has is
/// repeated. Of the factors, those go first whose product is smallest.
pub(super) fn contract<T: OpElement>(
    parallel: bool,
    mut factors: Vec<Factor<T>>,
    output: &[Label],
    extents: &Extents,
) -> Result<Vec<T>, OpError> {
    let given = factors.iter().map(|factor| factor.data.len());
    let limit = given
        .fold(count(output, extents), usize::saturating_add)
        .saturating_mul(4)
        .max(LEAST_LIMIT);
    while factors.len() > 1 {
        let wanted = |pair: [usize; 2], label: &Label| {
            let others = factors.iter().enumerate();
            let mut others = others.filter(|(at, _)| !pair.contains(at));
            output.contains(label) || others.any(|(_, factor)| factor.has(label))
        };
        let size = |pair: [usize; 2]| {
            let [one, other] = pair.map(|at| &factors[at]);
            let both = one.labels.iter();
            let both = both.chain(other.labels.iter().filter(|label| !one.has(label)));
            let kept: Vec<Label> = both.filter(|label| wanted(pair, label)).copied().collect();
            count(&kept, extents)
        };
        let pairs = (0..factors.len()).flat_map(|one| (0..one).map(move |other| [other, one]));
        let Some((least, pair)) = pairs.map(|pair| (size(pair), pair)).min() else {
            break;
        };
        if least > limit {
            return Err(OpError::Value {
                what: format!(
                    "a product of two operands has {least} elements, expected at most {limit}"
                ),
            });
        }
        let kept: Vec<Label> = extents
            .keys()
            .filter(|label| wanted(pair, label))
            .copied()
            .collect();
        let other = factors.swap_remove(pair[1]);
        let one = std::mem::replace(
            &mut factors[pair[0]],
            Factor {
                labels: Vec::new(),
                data: Vec::new(),
            },
        );
        factors[pair[0]] = product(parallel, one, other, |label| kept.contains(label), extents);
    }
    let only = factors.pop().unwrap_or(Factor {
        labels: Vec::new(),
        data: vec![T::one()],
    });
    let only = only.summed(|label| output.contains(label), extents);
    Ok(only.ordered(output, extents).data)
}

/// The elements of a strided tensor in row-major order of its axes.
pub(super) fn gather<T: Element>(axes: &[Axis], data: &[T]) -> Vec<T> {
    let mut gathered = Vec::new();
    for_elements(axes, |at| gathered.push(data[at]));
    gathered
}

//! TopK: the largest or smallest elements along an axis, and where they are.

use super::attributes::AttributeReader;
use super::shapes::{Around, expect_inputs, misfit, resolve_axis};
use super::{Attributes, Context, Kernel, Op, OpElement, OpError, Role, Saved};
use crate::num::{Element, Shape, View, ViewMut};
use std::cmp::Ordering;

/// The longest axis whose every index is exact in f32.
const MOST_INDICES: usize = 1 << 24;

/// The k largest (or smallest) elements along `axis` in order, and their indices as numbers. Of
/// equal elements the first comes first; a NaN counts as the largest, as in PyTorch.
///
/// The pull-back puts the cotangents of the elements where these are from; the indices have none.
#[derive(Clone, Copy, Debug)]
pub struct TopK {
    /// How many.
    pub k: usize,
    /// The axis; counted from the end where it is negative.
    pub axis: i64,
    /// The largest, else the smallest.
    pub largest: bool,
    /// In the order of their size, else of their indices.
    pub sorted: bool,
}

impl Default for TopK {
    fn default() -> Self {
        Self {
            k: 1,
            axis: -1,
            largest: true,
            sorted: true,
        }
    }
}

impl TopK {
    pub(super) fn from_attributes(attributes: &Attributes) -> Result<Box<dyn Op>, OpError> {
        let mut reader = AttributeReader::new(attributes);
        let op = Self {
            k: reader.size("k", 1, 0)?,
            axis: reader.int("axis", -1)?,
            largest: reader.flag("largest", true)?,
            sorted: reader.flag("sorted", true)?,
        };
        reader.finish()?;
        Ok(Box::new(op))
    }

    /// Which of two elements comes first.
    fn order<T: Element>(&self, one: T, other: T) -> Ordering {
        let ascending = match (one.is_nan(), other.is_nan()) {
            (false, false) => one.partial_cmp(&other).unwrap_or(Ordering::Equal),
            (one, other) => one.cmp(&other),
        };
        if self.largest {
            ascending.reverse()
        } else {
            ascending
        }
    }
}

impl<T: OpElement> Kernel<T> for TopK {
    fn forward(
        &self,
        _context: &Context,
        inputs: &[View<'_, T>],
        outputs: &mut [ViewMut<'_, T>],
    ) -> Result<(), OpError> {
        let x = inputs[0];
        let axis = resolve_axis("axis", self.axis, x.shape.len())?;
        let Around {
            outer,
            extent,
            inner,
        } = Around::axis(x.shape, axis);
        let [values, indices] = outputs else {
            unreachable!("infer gives two outputs");
        };
        let mut order: Vec<usize> = Vec::with_capacity(extent);
        for block in 0..outer {
            for lane in 0..inner {
                let at = |index: usize| x.data[(block * extent + index) * inner + lane];
                order.clear();
                order.extend(0..extent);
                let compare = |&one: &usize, &other: &usize| {
                    self.order(at(one), at(other)).then(one.cmp(&other))
                };
                if self.k > 0 && self.k < extent {
                    order.select_nth_unstable_by(self.k - 1, compare);
                }
                order.truncate(self.k);
                if self.sorted {
                    order.sort_unstable_by(compare);
                } else {
                    order.sort_unstable();
                }
                for (rank, &index) in order.iter().enumerate() {
                    let to = (block * self.k + rank) * inner + lane;
                    values.data[to] = at(index);
                    indices.data[to] = T::from_f64(index as f64);
                }
            }
        }
        Ok(())
    }

    fn vjp(
        &self,
        _context: &Context,
        saved: Saved<'_, T>,
        cotangents: &[Option<View<'_, T>>],
        gradients: &mut [Option<ViewMut<'_, T>>],
    ) -> Result<i64, OpError> {
        let Some(dx) = &mut gradients[0] else {
            return Ok(0);
        };
        dx.data.fill(T::zero());
        let Some(g) = cotangents[0] else { return Ok(0) };
        let axis = resolve_axis("axis", self.axis, dx.shape.len())?;
        let Around {
            outer,
            extent,
            inner,
        } = Around::axis(dx.shape, axis);
        let picked = g.data.iter().zip(saved.outputs[1].data);
        let ranks = (0..outer).flat_map(|block| std::iter::repeat_n(block, self.k));
        let lanes = ranks.flat_map(|block| (0..inner).map(move |lane| (block, lane)));
        for ((&g, index), (block, lane)) in picked.zip(lanes) {
            let index = index.to_f64() as usize;
            dx.data[(block * extent + index) * inner + lane] = g;
        }
        Ok(0)
    }
}

impl Op for TopK {
    fn name(&self) -> &'static str {
        "TopK"
    }

    fn role(&self) -> Role {
        Role::Other
    }

    fn infer(&self, inputs: &[&Shape]) -> Result<Vec<Shape>, OpError> {
        expect_inputs(inputs, 1..=1)?;
        let x = inputs[0];
        let axis = resolve_axis("axis", self.axis, x.len())?;
        if self.k > x[axis] {
            return Err(OpError::Attribute {
                name: "k",
                expected: format!("at most the {} elements of axis {axis}", x[axis]),
                got: self.k.to_string(),
            });
        }
        if x[axis] > MOST_INDICES {
            let expected = format!("at most {MOST_INDICES}");
            return Err(misfit(format!("extent of axis {axis}"), expected, x[axis]));
        }
        let mut out = x.clone();
        out.0[axis] = self.k;
        Ok(vec![out.clone(), out])
    }

    fn per_sample(&self, sampled: &[bool], inputs: &[&Shape]) -> bool {
        let axis = resolve_axis("axis", self.axis, inputs[0].len());
        sampled[0] && axis.is_ok_and(|axis| axis > 0)
    }

    fn reads_input(&self, _input: usize) -> bool {
        false
    }

    fn flops(&self, inputs: &[&Shape], _outputs: &[Shape]) -> u64 {
        (inputs[0].element_count() as u64).saturating_mul(4)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::num::Tensor;
    use crate::ops::apply;

    #[test]
    fn the_first_of_equals_comes_first_and_a_nan_before_all() {
        let top = |largest, x: [f64; 4]| {
            let op = TopK {
                k: 3,
                largest,
                ..TopK::default()
            };
            let y = apply(&op, &Context::default(), &[Tensor::new([4], x.to_vec())]);
            y.expect("it fits")[1].data().to_vec()
        };
        assert_eq!(top(true, [1.0, 3.0, 3.0, 2.0]), [1.0, 2.0, 3.0]);
        assert_eq!(top(false, [1.0, 3.0, 3.0, 2.0]), [0.0, 3.0, 1.0]);
        assert_eq!(top(true, [1.0, f64::NAN, 3.0, 2.0]), [1.0, 2.0, 3.0]);
        assert_eq!(top(false, [1.0, f64::NAN, 3.0, 2.0]), [0.0, 3.0, 2.0]);
    }
}

//! Where the heads of a tensor lie: \[batch, heads, time, dim\], or \[batch, time, heads · dim\].

use crate::num::Shape;
use crate::num::linalg::Matrix;
use crate::ops::OpError;
use crate::ops::shapes::misfit;

/// The heads of one tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Heads {
    pub batch: usize,
    pub heads: usize,
    pub time: usize,
    pub dim: usize,
    /// Are the heads side by side in the last axis?
    pub side_by_side: bool,
}

impl Heads {
    /// `heads` is their number where the shape does not say it, as `attribute` gives it.
    pub fn read(
        what: &str,
        shape: &Shape,
        heads: Option<usize>,
        attribute: &'static str,
    ) -> Result<Self, OpError> {
        let empty = shape.iter().skip(1).any(|&extent| extent == 0);
        if empty || shape.checked_len().is_none() {
            let expected = "axes after the batch that are not empty";
            return Err(misfit(what, expected, shape));
        }
        match (&shape[..], heads) {
            (&[batch, own, time, dim], None) => Ok(Self {
                batch,
                heads: own,
                time,
                dim,
                side_by_side: false,
            }),
            (&[batch, own, time, dim], Some(said)) if own == said => Ok(Self {
                batch,
                heads: own,
                time,
                dim,
                side_by_side: false,
            }),
            (&[batch, time, width], Some(heads)) if heads > 0 && width.is_multiple_of(heads) => {
                Ok(Self {
                    batch,
                    heads,
                    time,
                    dim: width / heads,
                    side_by_side: true,
                })
            }
            (&[_, _, width], Some(heads)) => Err(OpError::Attribute {
                name: attribute,
                expected: format!("a divisor of the {width} features of the {what}"),
                got: heads.to_string(),
            }),
            (&[_, own, _, _], Some(said)) => Err(OpError::Mismatch {
                one: format!("{attribute} is {said}"),
                other: format!("the {what} has {own} heads"),
            }),
            _ => {
                let expected = format!(
                    "[batch, heads, time, dim], or [batch, time, features] with {attribute}"
                );
                Err(misfit(what, expected, shape))
            }
        }
    }

    /// The shape of such a tensor.
    pub fn shape(&self) -> Shape {
        let &Self {
            batch,
            heads,
            time,
            dim,
            side_by_side,
        } = self;
        if side_by_side {
            Shape::from([batch, time, heads.saturating_mul(dim)])
        } else {
            Shape::from([batch, heads, time, dim])
        }
    }

    /// Where a head of a sample begins, and how far apart its times are.
    pub fn place(&self, sample: usize, head: usize) -> (usize, usize) {
        let of_sample = sample * self.time * self.heads * self.dim;
        if self.side_by_side {
            (of_sample + head * self.dim, self.heads * self.dim)
        } else {
            (of_sample + head * self.time * self.dim, self.dim)
        }
    }

    /// A head of a sample \[time, dim\].
    pub fn matrix<'a, T>(&self, data: &'a [T], sample: usize, head: usize) -> Matrix<'a, T> {
        let (start, stride) = self.place(sample, head);
        Matrix::with_row_stride(&data[start..], self.time, self.dim, stride)
    }

    /// Elements of a head of a sample.
    pub fn head_len(&self) -> usize {
        self.time * self.dim
    }

    /// Copies a head of a sample, its times one after the other, to where it lies.
    pub fn put<T: Copy>(&self, data: &mut [T], sample: usize, head: usize, from: &[T]) {
        let (start, stride) = self.place(sample, head);
        for (time, from) in from.chunks_exact(self.dim.max(1)).enumerate() {
            data[start + time * stride..][..self.dim].copy_from_slice(from);
        }
    }
}

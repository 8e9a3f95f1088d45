//! Dense tensors in row-major order, owned and borrowed.

use super::element::Element;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::Deref;

/// The extents of a tensor, outermost first; empty for a scalar.
#[derive(Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Shape(pub Vec<usize>);

impl Shape {
    /// A shape from its extents.
    pub fn new(extents: impl Into<Vec<usize>>) -> Self {
        Self(extents.into())
    }

    /// The number of elements, or `None` where the product leaves `usize`.
    pub fn checked_len(&self) -> Option<usize> {
        self.0
            .iter()
            .try_fold(1usize, |product, &extent| product.checked_mul(extent))
    }

    /// The number of elements. Saturates, so that a hostile shape is too large rather than small.
    pub fn element_count(&self) -> usize {
        self.checked_len().unwrap_or(usize::MAX)
    }

    /// The number of elements of one row, that is of one index of axis 0 (1 for a scalar).
    pub fn row_len(&self) -> usize {
        self.0.iter().skip(1).product()
    }
}

impl Deref for Shape {
    type Target = [usize];
    fn deref(&self) -> &[usize] {
        &self.0
    }
}

impl<const N: usize> From<[usize; N]> for Shape {
    fn from(extents: [usize; N]) -> Self {
        Self(extents.to_vec())
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[")?;
        for (axis, extent) in self.0.iter().enumerate() {
            if axis > 0 {
                f.write_str(", ")?;
            }
            write!(f, "{extent}")?;
        }
        f.write_str("]")
    }
}

impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// An owned tensor, row-major and contiguous.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor<T> {
    shape: Shape,
    data: Vec<T>,
}

impl<T: Element> Tensor<T> {
    /// A tensor of `shape` over `data` in row-major order.
    ///
    /// # Panics
    /// If the number of elements does not fit the shape: that is a defect of the caller, never of
    /// a user's file (whose shapes are validated where they are read).
    pub fn new(shape: impl Into<Shape>, data: Vec<T>) -> Self {
        let shape = shape.into();
        assert_eq!(
            shape.checked_len(),
            Some(data.len()),
            "{shape} does not hold the data"
        );
        Self { shape, data }
    }

    /// A tensor of zeros.
    pub fn zeros(shape: impl Into<Shape>) -> Self {
        let shape = shape.into();
        let data = vec![T::default(); shape.element_count()];
        Self { shape, data }
    }

    /// Its shape.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// Its elements in row-major order.
    pub fn data(&self) -> &[T] {
        &self.data
    }

    /// Its elements in row-major order.
    pub fn data_mut(&mut self) -> &mut [T] {
        &mut self.data
    }

    /// The elements, without the shape.
    pub fn into_data(self) -> Vec<T> {
        self.data
    }

    /// It borrowed.
    pub fn view(&self) -> View<'_, T> {
        View {
            shape: &self.shape,
            data: &self.data,
        }
    }

    /// It borrowed for writing.
    pub fn view_mut(&mut self) -> ViewMut<'_, T> {
        ViewMut {
            shape: &self.shape,
            data: &mut self.data,
        }
    }

    /// The same numbers rounded or widened to another element type.
    pub fn cast<U: Element>(&self) -> Tensor<U> {
        Tensor {
            shape: self.shape.clone(),
            data: self
                .data
                .iter()
                .map(|&value| U::from_f64(value.to_f64()))
                .collect(),
        }
    }
}

/// A borrowed tensor, row-major and contiguous. `data.len()` is the product of `shape`.
#[derive(Clone, Copy, Debug)]
pub struct View<'a, T> {
    /// The extents, outermost first.
    pub shape: &'a [usize],
    /// The elements in row-major order.
    pub data: &'a [T],
}

/// A borrowed tensor to write to, row-major and contiguous.
#[derive(Debug)]
pub struct ViewMut<'a, T> {
    /// The extents, outermost first.
    pub shape: &'a [usize],
    /// The elements in row-major order; what they hold before the write is unspecified.
    pub data: &'a mut [T],
}

impl<'a, T> View<'a, T> {
    /// The elements as an `ndarray` view, for reductions, permutations and broadcasts.
    pub fn as_array(&self) -> ndarray::ArrayViewD<'a, T> {
        ndarray::ArrayViewD::from_shape(self.shape, self.data)
            .expect("a view's shape fits its data")
    }
}

impl<T> ViewMut<'_, T> {
    /// The elements as an `ndarray` view to write to.
    pub fn as_array_mut(&mut self) -> ndarray::ArrayViewMutD<'_, T> {
        ndarray::ArrayViewMutD::from_shape(self.shape, self.data)
            .expect("a view's shape fits its data")
    }

    /// It borrowed for reading.
    pub fn as_view(&self) -> View<'_, T> {
        View {
            shape: self.shape,
            data: self.data,
        }
    }
}

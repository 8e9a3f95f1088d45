//! Arithmetic that knows no networks: numbers, tensors, statistics, random streams.

pub mod element;
pub mod elementary;
pub mod linalg;
pub mod real;
pub mod tensor;

pub use element::Element;
pub use real::Real;
pub use tensor::{Shape, Tensor, View, ViewMut};

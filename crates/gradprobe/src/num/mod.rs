//! Arithmetic that knows no networks: numbers, tensors, statistics, random streams.

pub mod element;
pub mod elementary;
pub mod extended;
pub mod fourier;
pub mod lanczos;
pub mod linalg;
pub mod magnitude;
pub mod narrow;
pub mod packed;
pub mod plain;
pub mod quadrature;
pub mod random;
pub mod real;
pub mod roots;
pub mod round;
pub mod scaled;
pub mod scratch;
pub mod simd;
pub mod statistics;
pub mod sum;
pub mod tensor;
pub mod threads;

pub use element::Element;
pub use extended::Extended;
pub use magnitude::Magnitude;
pub use narrow::{Rounded, Rounding};
pub use plain::Plain;
pub use random::Stream;
pub use real::Real;
pub use round::Dtype;
pub use scaled::Scaled;
pub use statistics::{Bounds, Statistics};
pub use sum::square_sum;
pub use tensor::{Shape, Tensor, View, ViewMut};
pub use threads::{Threads, ThreadsError};

//! Tan, the hyperbolic functions, and the inverses of the trigonometric and hyperbolic ones.
//! (Sin, Tanh and Atan are activations.)
//!
//! | op | y | ∂x |
//! |---|---|---|
//! | Acos | arccos x, NaN where \|x\| > 1 | −g/√(1 − x²) |
//! | Acosh | arcosh x, NaN below 1 | g/√(x² − 1) |
//! | Asin | arcsin x, NaN where \|x\| > 1 | g/√(1 − x²) |
//! | Asinh | arsinh x | g/√(x² + 1) |
//! | Atanh | artanh x, infinite at ±1, NaN beyond | g/(1 − x²) |
//! | Cosh | cosh x | g·sinh x |
//! | Sinh | sinh x | g·cosh x |
//! | Tan | tan x | g·(1 + y²) |
//!
//! The values are libm's in double precision, rounded once where the type is narrower. 1 − x² is
//! taken as (1 − x)(1 + x), which does not cancel near ±1. Outside of a function's domain its
//! derivative is what the formula says, as in PyTorch: that of Atanh at 2 is −1/3.

use super::{Reads, Unary};
use crate::num::{Element, Shape, View, ViewMut};
use crate::ops::parallel::for_rows;
use crate::ops::shapes::expect_inputs;
use crate::ops::{Context, Kernel, Op, OpElement, OpError, Role, Saved};

/// Beyond, x² ± 1 is x² to the last digit, and may leave the range of the type.
const FAR: f64 = (1u64 << 28) as f64;

/// √((x − 1)(x + 1)) or √(x² + 1), whose square need not be held.
#[inline(always)]
fn root<T: Element>(x: T, radicand: T) -> T {
    T::select(x.abs() > T::from_f64(FAR), x.abs(), radicand.sqrt())
}

/// 1 − x².
#[inline(always)]
fn one_minus_square<T: Element>(x: T) -> T {
    (T::one() - x) * (T::one() + x)
}

#[inline(always)]
fn wide<T: Element>(x: T, function: fn(f64) -> f64) -> T {
    T::from_f64(function(x.to_f64()))
}

unary!(
    /// arccos x: NaN where |x| > 1.
    Acos,
    value: |x| wide(x, libm::acos),
    reads: Input,
    pull: |g, x| -(g / one_minus_square(x).sqrt())
);
unary!(
    /// arcosh x: NaN below 1.
    Acosh,
    value: |x| wide(x, libm::acosh),
    reads: Input,
    pull: |g, x| g / root(x, (x - T::one()) * (x + T::one()))
);
unary!(
    /// arcsin x: NaN where |x| > 1.
    Asin,
    value: |x| wide(x, libm::asin),
    reads: Input,
    pull: |g, x| g / one_minus_square(x).sqrt()
);
unary!(
    /// arsinh x.
    Asinh,
    value: |x| wide(x, libm::asinh),
    reads: Input,
    pull: |g, x| g / root(x, x.mul_add(x, T::one()))
);
unary!(
    /// artanh x: infinite at ±1, NaN beyond.
    Atanh,
    value: |x| wide(x, libm::atanh),
    reads: Input,
    pull: |g, x| g / one_minus_square(x)
);
unary!(
    /// cosh x.
    Cosh,
    value: |x| wide(x, libm::cosh),
    reads: Input,
    pull: |g, x| g * wide(x, libm::sinh)
);
unary!(
    /// sinh x.
    Sinh,
    value: |x| wide(x, libm::sinh),
    reads: Input,
    pull: |g, x| g * wide(x, libm::cosh)
);
unary!(
    /// tan x.
    Tan,
    value: |x| wide(x, libm::tan),
    reads: Output,
    pull: |g, y| g * y.mul_add(y, T::one())
);

//! Elementary functions on f32 and f64 that vectorise.
//!
//! Each is branch-free and inlined, so that a plain loop over a slice becomes vector code inside
//! [`pulp::Arch::dispatch`], which picks AVX-512, AVX2 or the plain path at run time. Outside it
//! they are right too, but every `mul_add` is then a call: use them on slices under `dispatch`.
//!
//! Every function propagates NaN, takes infinities to the limit and keeps the sign of zero;
//! subnormal results are rounded like others.

mod coefficients;
pub mod compensated;
mod error_function;
mod exponential;
mod hyperbolic;
mod logarithm;
mod single;
#[cfg(test)]
mod tests;
mod trigonometric;

use super::real::Real;

macro_rules! arithmetic {
    ($type:ty) => {
        #[inline(always)]
        fn from_f64(value: f64) -> Self {
            value as $type
        }
        #[inline(always)]
        fn from_sum(high: f64, low: f64) -> Self {
            (high + low) as $type
        }
        #[inline(always)]
        fn select(condition: bool, if_true: Self, if_false: Self) -> Self {
            if condition { if_true } else { if_false }
        }
        #[inline(always)]
        fn abs(self) -> Self {
            <$type>::abs(self)
        }
        #[inline(always)]
        fn copysign(self, sign: Self) -> Self {
            <$type>::copysign(self, sign)
        }
        #[inline(always)]
        fn mul_add(self, factor: Self, addend: Self) -> Self {
            <$type>::mul_add(self, factor, addend)
        }
    };
}

macro_rules! delegate {
    ($($name:ident from $module:ident),* $(,)?) => {$(
        #[inline(always)]
        fn $name(self) -> Self {
            $module::$name(self)
        }
    )*};
}

impl Real for f64 {
    arithmetic!(f64);
    delegate!(
        exp from exponential,
        exp_m1 from exponential,
        ln from logarithm,
        ln_1p from logarithm,
        tanh from hyperbolic,
        sech_squared from hyperbolic,
        sigmoid from exponential,
        erf from error_function,
        erfc from error_function,
        exp_neg_square from error_function,
        normal_cdf from error_function,
        normal_pdf from error_function,
        minus_tanh from hyperbolic,
        atan from trigonometric,
    );
    #[inline(always)]
    fn tanh_sech_squared(self) -> (Self, Self) {
        hyperbolic::tanh_sech_squared(self)
    }
    #[inline(always)]
    fn begin_tanh_sech_squared(self) -> (Self, Self) {
        hyperbolic::begin(self)
    }
    #[inline(always)]
    fn end_tanh_sech_squared(self, begun: (Self, Self)) -> (Self, Self) {
        hyperbolic::end(self, begun)
    }
    #[inline(always)]
    fn inner_tanh_sech_squared(self) -> (Self, Self) {
        hyperbolic::inner(self)
    }
    const REDUCIBLE: f64 = trigonometric::REDUCIBLE;
    #[inline(always)]
    fn reduced_sin(self) -> Self {
        trigonometric::sin(self)
    }
    #[inline(always)]
    fn reduced_cos(self) -> Self {
        trigonometric::cos(self)
    }
    fn sin(self) -> Self {
        if self.abs() <= trigonometric::REDUCIBLE {
            trigonometric::sin(self)
        } else {
            libm::sin(self)
        }
    }
    fn cos(self) -> Self {
        if self.abs() <= trigonometric::REDUCIBLE {
            trigonometric::cos(self)
        } else {
            libm::cos(self)
        }
    }
}

impl Real for f32 {
    arithmetic!(f32);
    delegate!(
        exp from single,
        exp_m1 from single,
        ln from single,
        ln_1p from single,
        tanh from single,
        sech_squared from single,
        sigmoid from single,
        erf from single,
        erfc from single,
        exp_neg_square from single,
        normal_cdf from single,
        normal_pdf from single,
        minus_tanh from single,
        atan from single,
    );
    #[inline(always)]
    fn tanh_sech_squared(self) -> (Self, Self) {
        single::tanh_sech_squared(self)
    }
    #[inline(always)]
    fn begin_tanh_sech_squared(self) -> (Self, Self) {
        single::begin(self)
    }
    #[inline(always)]
    fn end_tanh_sech_squared(self, begun: (Self, Self)) -> (Self, Self) {
        single::end(self, begun)
    }
    #[inline(always)]
    fn inner_tanh_sech_squared(self) -> (Self, Self) {
        single::inner(self)
    }
    const REDUCIBLE: f64 = trigonometric::REDUCIBLE;
    #[inline(always)]
    fn reduced_sin(self) -> Self {
        single::sin(self)
    }
    #[inline(always)]
    fn reduced_cos(self) -> Self {
        single::cos(self)
    }
    fn sin(self) -> Self {
        if f64::from(self).abs() <= trigonometric::REDUCIBLE {
            single::sin(self)
        } else {
            libm::sin(f64::from(self)) as f32
        }
    }
    fn cos(self) -> Self {
        if f64::from(self).abs() <= trigonometric::REDUCIBLE {
            single::cos(self)
        } else {
            libm::cos(f64::from(self)) as f32
        }
    }
}

//! Loops over the hidden units of a sample that become vector code.

/// Runs a loop over `$len` units, slices to read and slices to write being named by the variables
/// that hold them. A plain closure of this size is not inlined into the dispatched function, and
/// would then call a function for every `mul_add`.
macro_rules! over_units {
    ($len:expr, [$($read:ident),*], [$($write:ident),*], |$k:ident| $body:block) => {{
        struct Units<'a, T> {
            len: usize,
            $($read: &'a [T],)*
            $($write: &'a mut [T],)*
        }
        impl<T: crate::num::Element> pulp::WithSimd for Units<'_, T> {
            type Output = ();
            #[inline(always)]
            fn with_simd<S: pulp::Simd>(self, _simd: S) {
                let Self { len, $($read,)* $($write,)* } = self;
                $(let $read = &$read[..len];)*
                $(let $write = &mut $write[..len];)*
                for $k in 0..len $body
            }
        }
        crate::num::simd::vectorised(Units {
            len: $len,
            $($read,)*
            $($write: &mut *$write,)*
        })
    }};
}

pub(super) use over_units;

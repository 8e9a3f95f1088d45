//! Scratch memory that kernels borrow: kept per thread, so that the steady state allocates nothing.

use super::element::Element;
use std::cell::RefCell;

/// Buffers that a thread keeps for its next kernel; what is beyond goes back to the system.
const KEPT_BUFFERS: usize = 8;

/// An element that scratch buffers are kept for.
pub trait Scratch: Element {
    /// Calls `work` with `len` elements of unspecified content.
    ///
    /// The buffer belongs to the call while it lasts, so calls may nest, and `work` may use rayon.
    fn with_scratch<R>(len: usize, work: impl FnOnce(&mut [Self]) -> R) -> R;
}

macro_rules! scratch {
    ($type:ty, $pool:ident) => {
        thread_local! {
            static $pool: RefCell<Vec<Vec<$type>>> = const { RefCell::new(Vec::new()) };
        }

        impl Scratch for $type {
            fn with_scratch<R>(len: usize, work: impl FnOnce(&mut [Self]) -> R) -> R {
                let mut buffer = $pool.with_borrow_mut(|pool| pool.pop()).unwrap_or_default();
                if buffer.len() < len {
                    buffer.resize(len, 0.0);
                }
                let result = work(&mut buffer[..len]);
                $pool.with_borrow_mut(|pool| {
                    if pool.len() < KEPT_BUFFERS {
                        pool.push(buffer);
                    }
                });
                result
            }
        }
    };
}

scratch!(f32, POOL_F32);
scratch!(f64, POOL_F64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_calls_get_buffers_of_their_own() {
        f32::with_scratch(3, |outer| {
            outer.fill(1.0);
            f32::with_scratch(5, |inner| inner.fill(2.0));
            assert_eq!(outer, [1.0; 3]);
        });
    }

    #[test]
    fn a_buffer_is_used_again() {
        let first = f64::with_scratch(100, |buffer| buffer.as_ptr() as usize);
        let second = f64::with_scratch(50, |buffer| buffer.as_ptr() as usize);
        assert_eq!(first, second);
    }
}

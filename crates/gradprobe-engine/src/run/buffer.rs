//! Buffers that are used again: a fresh one costs more in page faults than what fills it.

use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, PoisonError};

/// Elements, in memory that may be larger. Empty where nothing is held.
#[derive(Debug)]
pub(super) struct Buffer<T> {
    /// Never shortened, so that nothing is written when it is used for more again.
    store: Vec<T>,
    len: usize,
}

impl<T> Default for Buffer<T> {
    fn default() -> Self {
        Self {
            store: Vec::new(),
            len: 0,
        }
    }
}

impl<T> Buffer<T> {
    /// Bytes of its memory.
    pub fn bytes(&self) -> usize {
        self.store.len() * size_of::<T>()
    }
}

impl<T> From<Buffer<T>> for Vec<T> {
    fn from(buffer: Buffer<T>) -> Self {
        let mut store = buffer.store;
        store.truncate(buffer.len);
        store
    }
}

impl<T> Deref for Buffer<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.store[..self.len]
    }
}

impl<T> DerefMut for Buffer<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.store[..self.len]
    }
}

/// Buffers that nobody needs at the moment.
#[derive(Debug)]
pub(super) struct Pool<T> {
    free: Mutex<Vec<Vec<T>>>,
}

impl<T> Default for Pool<T> {
    fn default() -> Self {
        Self {
            free: Mutex::default(),
        }
    }
}

impl<T: Clone + Default> Pool<T> {
    /// A buffer of `len` elements to hold for a while: one that is little larger, else a new one.
    /// What its elements are is unspecified.
    pub fn hold(&self, len: usize) -> Buffer<T> {
        self.take(len, len + len / 4, false)
    }

    /// A buffer of `len` elements to use and give back: the smallest that is large enough, else a
    /// new one in place of the largest. What its elements are is unspecified.
    pub fn borrow(&self, len: usize) -> Buffer<T> {
        self.take(len, usize::MAX, true)
    }

    /// Bytes of the buffers that lie here.
    pub fn bytes(&self) -> usize {
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let elements: usize = free.iter().map(Vec::len).sum();
        elements * size_of::<T>()
    }

    fn take(&self, len: usize, most: usize, replace: bool) -> Buffer<T> {
        if len == 0 {
            return Buffer::default();
        }
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let sizes = || free.iter().map(Vec::len).enumerate();
        let fitting = sizes().filter(|&(_, own)| (len..=most).contains(&own));
        let store = if let Some((index, _)) = fitting.min_by_key(|&(_, own)| own) {
            free.swap_remove(index)
        } else {
            let largest = sizes().max_by_key(|&(_, own)| own);
            if let Some((index, _)) = largest.filter(|_| replace) {
                free.swap_remove(index);
            }
            drop(free);
            vec![T::default(); len]
        };
        Buffer { store, len }
    }

    /// Nobody needs it any more.
    pub fn give(&self, buffer: Buffer<T>) {
        if buffer.store.is_empty() {
            return;
        }
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        free.push(buffer.store);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_used_again_by_what_is_about_as_large() {
        let pool = Pool::<f32>::default();
        let mut held = pool.hold(1000);
        held.fill(3.0);
        pool.give(held);
        assert_eq!(pool.hold(100).len(), 100);
        assert_eq!(pool.free.lock().expect("nobody panicked").len(), 1);
        let again = pool.hold(900);
        assert_eq!((again.len(), again.store.len()), (900, 1000));
        assert_eq!(again[0], 3.0);
        assert_eq!(Vec::from(again).len(), 900);
        assert!(pool.hold(0).is_empty());
    }

    #[test]
    fn a_borrowed_buffer_takes_the_place_of_one_that_is_too_small() {
        let pool = Pool::<f64>::default();
        pool.give(pool.borrow(10));
        assert_eq!(pool.borrow(4).store.len(), 10);
        pool.give(pool.borrow(10));
        let large = pool.borrow(20);
        assert_eq!(large.len(), 20);
        assert!(pool.free.lock().expect("nobody panicked").is_empty());
    }
}

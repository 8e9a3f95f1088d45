//! Loops compiled for the widest vectors of the machine at hand.

/// Runs `work` compiled for AVX-512 or AVX2 where the machine has them, decided at run time.
///
/// Only what is inlined into `work` gains: a loop over a slice, with functions that are
/// `#[inline(always)]` (as those of [`elementary`](super::elementary) are). The result is the
/// same bits as without: nothing is contracted or reordered.
#[inline(always)]
pub fn vectorised<R>(work: impl FnOnce() -> R) -> R {
    pulp::Arch::new().dispatch(work)
}

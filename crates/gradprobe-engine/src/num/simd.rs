//! Loops compiled for the widest vectors of the machine at hand.

use pulp::WithSimd;

/// Runs `work` compiled for AVX-512 or AVX2 where the machine has them, decided at run time.
///
/// Only what is inlined into `work` gains: a loop over a slice, with functions that are
/// `#[inline(always)]` (as those of [`elementary`](super::elementary) are). The result is the
/// same bits as without: nothing is contracted or reordered.
///
/// Builds with debug assertions compile it once, for the target's baseline: three copies of every
/// activation in every test build would take minutes.
#[inline(always)]
pub fn vectorised<W: WithSimd>(work: W) -> W::Output {
    #[cfg(debug_assertions)]
    {
        work.with_simd(pulp::Scalar)
    }
    #[cfg(not(debug_assertions))]
    {
        pulp::Arch::new().dispatch(work)
    }
}

//! Arrays × 2^e: cotangents that neither vanish nor overflow.

use super::element::Element;
use super::simd::vectorised;
use super::tensor::Tensor;
use pulp::{Simd, WithSimd};

/// A tensor whose true values are its elements × 2^`exponent`.
#[derive(Clone, Debug, PartialEq)]
pub struct Scaled<T> {
    /// The elements.
    pub tensor: Tensor<T>,
    /// The power of two that they are to be multiplied by.
    pub exponent: i64,
}

/// Largest |element| that is left alone; beyond it a cotangent is renormalised.
const LARGEST: i32 = 20;

/// Where exponents stop: 2^±2⁶⁰, as those of [`Extended`](super::Extended) do. (The derivative of
/// tanh at 1e30 is 2^(−3e30).)
const EXPONENT_LIMIT: i64 = 1 << 60;

/// The exponent of a product: the sum, kept within ±2⁶⁰, so that no difference of two overflows.
pub fn exponent_of_product(one: i64, other: i64) -> i64 {
    one.saturating_add(other)
        .clamp(-EXPONENT_LIMIT, EXPONENT_LIMIT)
}

/// 2^e as a product of factors that are normal numbers of the type, to be multiplied by one after
/// the other: none is 0 or infinite, so that 0, ∞ and NaN stay what they are at any e, and a
/// result below the normal range is rounded once.
#[derive(Clone, Copy, Debug)]
struct PowerOfTwo<T>([T; 3]);

impl<T: Element> PowerOfTwo<T> {
    fn new(exponent: i64) -> Self {
        let (least, most) = (i64::from(T::MIN_EXPONENT), i64::from(T::MAX_EXPONENT));
        // Beyond three factors nothing finite is left but 0.
        let rest = exponent.clamp(3 * least, 3 * most);
        let last = rest.clamp(least, most);
        let rest = rest - last;
        let second = rest.clamp(least, most);
        // The last factor takes as much as it can: what comes before it is then exact, or so small
        // that the result is 0.
        Self([rest - second, second, last].map(|exponent| T::exp2i(exponent as i32)))
    }

    #[inline(always)]
    fn times(self, x: T) -> T {
        let [first, second, last] = self.0;
        x * first * second * last
    }
}

/// Multiplies every element by 2^`exponent`: exactly, but for what leaves the range of the type.
pub fn scale<T: Element>(data: &mut [T], exponent: i64) {
    if exponent == 0 {
        return;
    }
    if (i64::from(T::MIN_EXPONENT)..=i64::from(T::MAX_EXPONENT)).contains(&exponent) {
        let factor = T::exp2i(exponent as i32);
        data.iter_mut().for_each(|x| *x *= factor);
        return;
    }
    let factor = PowerOfTwo::new(exponent);
    data.iter_mut().for_each(|x| *x = factor.times(*x));
}

/// The power of two to divide by so that `max_abs` comes to lie in [1, 2), or `None` while it lies
/// in [2^−20, 2^20] (or is zero or not finite, which no power of two mends).
pub fn renormalisation(max_abs: f64) -> Option<i32> {
    if max_abs == 0.0 || !max_abs.is_finite() {
        return None;
    }
    let exponent = libm::ilogb(max_abs);
    (exponent.abs() > LARGEST).then_some(exponent)
}

/// The largest finite |element|.
pub fn max_abs<T: Element>(data: &[T]) -> f64 {
    vectorised(LargestFinite { data }).to_f64()
}

struct LargestFinite<'a, T> {
    data: &'a [T],
}

impl<T: Element> WithSimd for LargestFinite<'_, T> {
    type Output = T;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) -> T {
        // As many running maxima as fill a few registers: one alone would be a chain.
        const LANES: usize = 64;
        let infinity = T::from_f64(f64::INFINITY);
        let larger = |largest: T, x: T| {
            let size = x.abs();
            // NaN is not below infinity either.
            T::select((size > largest) & (size < infinity), size, largest)
        };
        let mut largest = [T::zero(); LANES];
        let (blocks, rest) = self.data.as_chunks::<LANES>();
        for block in blocks {
            for (largest, &x) in largest.iter_mut().zip(block) {
                *largest = larger(*largest, x);
            }
        }
        largest
            .into_iter()
            .chain(rest.iter().copied())
            .fold(T::zero(), larger)
    }
}

/// Brings the largest element of `data` × 2^*exponent near 1 where it is far from it, by a power of
/// two that goes to the exponent.
pub fn renormalise<T: Element>(data: &mut [T], exponent: &mut i64) {
    if let Some(shift) = renormalisation(max_abs(data)) {
        scale(data, -i64::from(shift));
        *exponent = exponent_of_product(*exponent, i64::from(shift));
    }
}

/// total × 2^*exponent ← total × 2^*exponent + term × 2^`term_exponent`.
///
/// Where the exponents are equal, so are the units, and the elements are added as they are.
/// Otherwise the larger of the two comes near 1, and of the smaller is lost what the larger's
/// rounding would lose. An array without anything finite but zeros has no say in the exponent.
pub fn add<T: Element>(total: &mut [T], exponent: &mut i64, term: &[T], term_exponent: i64) {
    let size = |data: &[T], exponent: i64| {
        let largest = max_abs(data);
        (largest != 0.0).then(|| exponent + i64::from(libm::ilogb(largest)))
    };
    let mut shift = 0;
    if *exponent != term_exponent
        && let Some(theirs) = size(term, term_exponent)
    {
        let common = match size(total, *exponent) {
            Some(mine) => {
                let common = mine.max(theirs);
                scale(total, *exponent - common);
                common
            }
            None => term_exponent,
        };
        *exponent = common;
        shift = term_exponent - common;
    }
    if shift == 0 {
        for (t, &x) in total.iter_mut().zip(term) {
            *t += x;
        }
        return;
    }
    let factor = PowerOfTwo::new(shift);
    for (t, &x) in total.iter_mut().zip(term) {
        *t += factor.times(x);
    }
}

/// Brings arrays × 2^e to one exponent, the largest at which something is neither zero nor
/// infinite, and returns it; the first array's where there is no such.
pub fn align<T: Element>(arrays: &mut [(&mut [T], &mut i64)]) -> i64 {
    let Some(first) = arrays.first().map(|(_, exponent)| **exponent) else {
        return 0;
    };
    if arrays.iter().all(|(_, exponent)| **exponent == first) {
        return first;
    }
    let filled = arrays.iter().filter(|(data, _)| max_abs(data) != 0.0);
    let common = filled.map(|(_, exponent)| **exponent).max();
    let common = common.unwrap_or(first);
    for (data, exponent) in arrays {
        scale(data, **exponent - common);
        **exponent = common;
    }
    common
}

#[cfg(test)]
mod tests;

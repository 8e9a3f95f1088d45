//! Products of long integers, for what 106 bits cannot hold: reducing a large angle, writing
//! decimal digits. Words are little-endian.

use super::Extended;
use super::double::Dd;

/// `product` = a·b; it holds a.len() + b.len() words.
pub(super) fn multiply(a: &[u64], b: &[u64], product: &mut [u64]) {
    product.fill(0);
    for (i, &word_a) in a.iter().enumerate() {
        let mut carry = 0u128;
        for (j, &word_b) in b.iter().enumerate() {
            let sum = u128::from(word_a) * u128::from(word_b) + u128::from(product[i + j]) + carry;
            product[i + j] = sum as u64;
            carry = sum >> 64;
        }
        product[i + b.len()] = carry as u64;
    }
}

/// The 128 bits from bit `position` upwards (bits outside the number are 0).
pub(super) fn bits_from(words: &[u64], position: i64) -> u128 {
    let word = |index: i64| {
        usize::try_from(index)
            .ok()
            .and_then(|index| words.get(index))
            .map_or(0, |&word| u128::from(word))
    };
    let (index, offset) = (position.div_euclid(64), position.rem_euclid(64));
    let low = word(index) | word(index + 1) << 64;
    if offset == 0 {
        low
    } else {
        low >> offset | word(index + 2) << (128 - offset)
    }
}

/// Is any bit below `position` set?
pub(super) fn any_bit_below(words: &[u64], position: i64) -> bool {
    let mut below = position;
    for &word in words {
        if below <= 0 {
            return false;
        }
        let mask = if below >= 64 {
            u64::MAX
        } else {
            (1 << below) - 1
        };
        if word & mask != 0 {
            return true;
        }
        below -= 64;
    }
    false
}

/// The position of the highest set bit.
pub(super) fn highest_bit(words: &[u64]) -> Option<i64> {
    let index = words.iter().rposition(|&word| word != 0)?;
    Some(index as i64 * 64 + 63 - i64::from(words[index].leading_zeros()))
}

/// The 128-bit number rounded to 106 bits.
pub(super) fn to_dd(value: u128) -> Dd {
    let hi = value as f64;
    // `hi` may have been rounded up to 2^128.
    let lo = if hi >= 2f64.powi(128) {
        -((u128::MAX - value) as f64 + 1.0)
    } else {
        let rounded = hi as u128;
        if rounded >= value {
            -((rounded - value) as f64)
        } else {
            (value - rounded) as f64
        }
    };
    Dd::renormalised(hi, lo)
}

/// (m, inexact) with |x| = m·2^(exponent − 127), m the integer below; bits of `lo` beyond that
/// make it inexact.
pub(super) fn significand_bits(x: Extended) -> (u128, bool) {
    const FRACTION: i64 = 127;
    let bits = |value: f64| {
        let exponent = ((value.to_bits() >> 52) & 0x7ff) as i64 - 1075;
        let integer = u128::from(value.to_bits() & ((1 << 52) - 1) | 1 << 52);
        (integer, exponent + FRACTION)
    };
    let (hi, hi_shift) = bits(x.hi);
    let hi = hi << hi_shift;
    if x.lo == 0.0 {
        return (hi, false);
    }
    let (lo, lo_shift) = bits(x.lo);
    let (lo, inexact) = if lo_shift >= 0 {
        (lo << lo_shift, false)
    } else if lo_shift > -53 {
        (lo >> -lo_shift, lo & ((1 << -lo_shift) - 1) != 0)
    } else {
        (0, true)
    };
    if (x.lo > 0.0) == (x.hi > 0.0) {
        (hi.saturating_add(lo), inexact)
    } else {
        (hi - lo - u128::from(inexact), inexact)
    }
}

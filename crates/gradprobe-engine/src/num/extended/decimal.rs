//! Writing an [`Extended`] in decimal digits, each of them right.
//!
//! The number is m·2^e with an integer m of 128 bits. For n digits it is multiplied by a power of
//! ten given as 256 bits (exact up to 5^110, else to 2⁻¹⁹⁰), and the product is rounded once.

use super::{Extended, wide};

/// Most digits that are written: the product of 128 bits must hold them.
const MAX_DIGITS: usize = 34;

/// Numbers of as many digits before the point are written without an exponent.
const POSITIONAL_DIGITS: i64 = 18;

/// Digits beyond those that are kept where they are cut off.
const GUARD_DIGITS: usize = 8;

/// m·2^exponent with m in [2²⁵⁵, 2²⁵⁶).
#[derive(Clone, Copy)]
struct Wide {
    words: [u64; 4],
    exponent: i64,
}

impl Wide {
    /// 5, and 1/5 rounded down.
    const FIVE: Self = Self {
        words: [0, 0, 0, 0xa000_0000_0000_0000],
        exponent: -253,
    };
    const FIFTH: Self = Self {
        words: [0xcccc_cccc_cccc_cccc; 4],
        exponent: -258,
    };
    const ONE: Self = Self {
        words: [0, 0, 0, 1 << 63],
        exponent: -255,
    };

    fn times(self, other: Self) -> Self {
        let mut product = [0u64; 8];
        wide::multiply(&self.words, &other.words, &mut product);
        let top = wide::highest_bit(&product).unwrap_or(511);
        let start = top - 255;
        let (low, high) = (
            wide::bits_from(&product, start),
            wide::bits_from(&product, start + 128),
        );
        Self {
            words: [
                low as u64,
                (low >> 64) as u64,
                high as u64,
                (high >> 64) as u64,
            ],
            exponent: self.exponent + other.exponent + start,
        }
    }

    /// 5^power.
    fn power_of_five(power: i64) -> Self {
        let mut square = if power < 0 { Self::FIFTH } else { Self::FIVE };
        let mut result = Self::ONE;
        let mut rest = power.unsigned_abs();
        while rest > 0 {
            if rest & 1 == 1 {
                result = result.times(square);
            }
            square = square.times(square);
            rest >>= 1;
        }
        result
    }
}

/// round(|x|·10^−scale), ties to even; `None` where that is not below 2¹²⁷.
fn scaled_integer(x: Extended, scale: i64) -> Option<u128> {
    let (significand, inexact) = wide::significand_bits(x);
    let exponent = x.exponent - 127;
    if scale > 0 && (-127..=0).contains(&exponent) && !inexact {
        // An integer is divided exactly, because 1/10 has no finite binary form.
        let shift = -exponent;
        if shift < 128 && significand & ((1u128 << shift) - 1) == 0 {
            let integer = significand >> shift;
            let power = u32::try_from(scale)
                .ok()
                .and_then(|k| 10u128.checked_pow(k));
            let Some(power) = power else { return Some(0) };
            let (quotient, rest) = (integer / power, integer % power);
            let up = match rest.cmp(&(power - rest)) {
                std::cmp::Ordering::Less => false,
                std::cmp::Ordering::Equal => quotient & 1 == 1,
                std::cmp::Ordering::Greater => true,
            };
            return Some(quotient + u128::from(up));
        }
    }
    let power = Wide::power_of_five(-scale);
    let mut product = [0u64; 6];
    let significand = [significand as u64, (significand >> 64) as u64];
    wide::multiply(&power.words, &significand, &mut product);
    // |x|·10^−scale = product·2^−point.
    let point = -(exponent + power.exponent - scale);
    if wide::highest_bit(&product)? - point >= 126 {
        return None;
    }
    if point > 400 {
        return Some(0);
    }
    let quotient = wide::bits_from(&product, point);
    let half = wide::bits_from(&product, point - 1) & 1 == 1;
    let beyond_half = inexact || wide::any_bit_below(&product, point - 1);
    let up = half && (beyond_half || quotient & 1 == 1);
    Some(quotient + u128::from(up))
}

impl Extended {
    /// The number rounded to `digits` significant decimal digits (1 to 34), without trailing
    /// zeros: `0.16770685877`, `9.28355757e-86`, `100`, `-1.5e-4341`.
    ///
    /// Every digit is that of the 106-bit number, ties to even. Zero is `0`; a magnitude beyond
    /// the exponent's range is `<1e-…` or `>1e+…`.
    pub fn to_decimal(self, digits: usize) -> String {
        self.written(digits, 0)
    }

    /// The first `digits` significant decimal digits (1 to 26), cut off and not rounded: each of
    /// them is a digit of the number. (First rounded to eight digits more, so that a 1 computed
    /// as 0.999… to 106 bits is 1.) Else as [`to_decimal`](Self::to_decimal).
    pub fn to_decimal_cut(self, digits: usize) -> String {
        self.written(digits, GUARD_DIGITS)
    }

    fn written(self, digits: usize, guard: usize) -> String {
        if !self.is_finite() || self.is_zero() {
            return match self.sign() {
                0 if self.is_nan() => "nan".into(),
                0 => "0".into(),
                1 => "inf".into(),
                _ => "-inf".into(),
            };
        }
        let minus = if self.hi < 0.0 { "-" } else { "" };
        if self.out_of_range() {
            // 2^±2⁵⁹ in decades, rounded towards 1: a bound that holds.
            let bound = (super::EXPONENT_LIMIT / 2) as f64 * std::f64::consts::LOG10_2 * 0.999;
            return if self.exponent < 0 {
                format!("{minus}<1e-{bound:.0}")
            } else {
                format!("{minus}>1e+{bound:.0}")
            };
        }
        let digits = digits.clamp(1, MAX_DIGITS - guard);
        let (integer, exponent) = self.significant_digits(digits + guard);
        let integer = integer / 10u128.pow(guard as u32);
        let text = integer.to_string();
        let text = text.trim_end_matches('0');
        let (first, others) = text.split_at(1);
        if !(-3..POSITIONAL_DIGITS).contains(&exponent) {
            let point = if others.is_empty() { "" } else { "." };
            return format!("{minus}{first}{point}{others}e{exponent:+}");
        }
        if exponent < 0 {
            let zeros = "0".repeat((-exponent - 1) as usize);
            return format!("{minus}0.{zeros}{text}");
        }
        let whole = exponent as usize + 1;
        if text.len() <= whole {
            return format!("{minus}{text:0<whole$}");
        }
        format!("{minus}{}.{}", &text[..whole], &text[whole..])
    }

    /// (integer of `digits` digits, decimal exponent of its first digit).
    fn significant_digits(self, digits: usize) -> (u128, i64) {
        let mut exponent = self.log10_abs().floor() as i64;
        let upper = 10u128.pow(digits as u32);
        // The estimate is off by one at most, where the number is next to a power of ten.
        for _ in 0..3 {
            match scaled_integer(self, exponent + 1 - digits as i64) {
                Some(integer) if integer < upper / 10 => exponent -= 1,
                Some(integer) if integer < upper => return (integer, exponent),
                _ => exponent += 1,
            }
        }
        // Rounded up to a power of ten, from which no scale gives `digits` digits.
        (upper / 10, exponent)
    }
}

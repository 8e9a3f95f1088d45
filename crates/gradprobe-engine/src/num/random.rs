//! Random streams: the same (seed, name) gives the same bits on every machine.
//!
//! Each thing that is drawn (a weight, a batch) has a stream of its own, keyed by the seed and its
//! name, so that adding a layer does not change what the other layers draw. A stream is ChaCha
//! with 8 rounds: the key holds the seed, the 64-bit stream number is the FNV-1a hash of the name.
//!
//! Normal numbers come from the inverse of the normal distribution function by Wichura's rational
//! approximations (Algorithm AS 241, PPND16, Applied Statistics 37, 1988; relative error about
//! 1e-16). They were preferred to Box–Muller because they take one uniform number each, so that a
//! long array can be split anywhere, and because all but 15 % of the numbers need nothing but
//! additions, products and one division, which round alike everywhere and vectorise. The tails
//! take a logarithm from `libm`, which is plain arithmetic too.

use super::element::Element;
use coefficients::{A, B, C, D, E, F};
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use rayon::prelude::*;

/// How many numbers are drawn at a time: enough to amortise the call, few enough for the cache.
const BLOCK: usize = 128;
/// Arrays longer than this are drawn by several threads, in pieces of this length.
const PIECE: usize = 1 << 16;
/// What the key holds besides the seed, so that no other program's streams are ours.
const KEY: &[u8; 24] = b"gradprobe random stream1";

/// The 64-bit FNV-1a hash (Fowler, Noll, Vo; RFC 9923).
fn fnv1a(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// A stream of random numbers. Every number of every kind takes one 64-bit word of it, whole
/// numbers from [`below`](Self::below) aside, which may rarely take more.
#[derive(Clone, Debug)]
pub struct Stream {
    rng: ChaCha8Rng,
}

impl Stream {
    /// The stream of `name` for `seed`.
    pub fn new(seed: u64, name: &str) -> Self {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        key[8..].copy_from_slice(KEY);
        let mut rng = ChaCha8Rng::from_seed(key);
        rng.set_stream(fnv1a(name));
        Self { rng }
    }

    /// 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        self.rng.next_u64()
    }

    /// A number evenly distributed on [0, 1), a multiple of 2^-53.
    pub fn uniform(&mut self) -> f64 {
        unit(self.next_u64())
    }

    /// A standard normal number.
    pub fn normal(&mut self) -> f64 {
        normal_quantile(open_unit(self.next_u64()))
    }

    /// A whole number evenly distributed on 0..`bound` (Lemire, ACM TOMACS 29, 2019: a product
    /// and, rarely, a rejection; no bias). 0 where the bound is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        if bound == 0 {
            return 0;
        }
        let rejected = bound.wrapping_neg() % bound;
        loop {
            let product = u128::from(self.next_u64()) * u128::from(bound);
            if product as u64 >= rejected {
                return (product >> 64) as u64;
            }
        }
    }

    /// `count` different numbers of 0..`population`, every ordered choice equally likely
    /// (Fisher–Yates, stopped early).
    ///
    /// # Panics
    /// If `count` exceeds `population`.
    pub fn sample(&mut self, population: usize, count: usize) -> Vec<usize> {
        assert!(count <= population, "more than there are to choose from");
        let mut order: Vec<usize> = (0..population).collect();
        for position in 0..count {
            let offset = self.below((population - position) as u64) as usize;
            order.swap(position, position + offset);
        }
        order.truncate(count);
        order
    }

    /// Fills `out` with numbers evenly distributed on [`low`, `high`).
    pub fn fill_uniform<T: Element>(&mut self, low: f64, high: f64, out: &mut [T]) {
        let width = high - low;
        self.fill(out, |words, out| {
            for (out, &word) in out.iter_mut().zip(words) {
                *out = T::from_f64(low + width * unit(word));
            }
        });
    }

    /// Fills `out` with normal numbers of the given mean and standard deviation.
    pub fn fill_normal<T: Element>(&mut self, mean: f64, std: f64, out: &mut [T]) {
        self.fill(out, |words, out| {
            let mut block = [0.0; BLOCK];
            let block = &mut block[..words.len()];
            normal_block(words, block);
            for (out, &z) in out.iter_mut().zip(block.iter()) {
                *out = T::from_f64(mean + std * z);
            }
        });
    }

    /// Fills `out` with normal numbers of mean `mean` and standard deviation `std` before they are
    /// restricted to [`low`, `high`], by the inverse of the distribution function, as PyTorch's
    /// `trunc_normal_` does.
    pub fn fill_truncated_normal<T: Element>(
        &mut self,
        mean: f64,
        std: f64,
        low: f64,
        high: f64,
        out: &mut [T],
    ) {
        let (a, b) = ((low - mean) / std, (high - mean) / std);
        // In the right tail the distribution function rounds to 1: mirror it to the left.
        let mirrored = a > 0.0;
        let (a, b) = if mirrored { (-b, -a) } else { (a, b) };
        let (from, to) = (normal_cdf(a), normal_cdf(b));
        self.fill(out, |words, out| {
            for (out, &word) in out.iter_mut().zip(words) {
                let z = normal_quantile(from + (to - from) * open_unit(word));
                let z = if mirrored { -z } else { z };
                *out = T::from_f64((mean + std * z).clamp(low, high));
            }
        });
    }

    /// Fills `out` block by block from one word a number; long arrays on several threads, each
    /// starting at the word where its piece starts, so that the bits do not depend on them.
    fn fill<T: Element>(&mut self, out: &mut [T], block: impl Fn(&[u64], &mut [T]) + Sync) {
        let start = self.rng.get_word_pos();
        let position = |index: usize| start.wrapping_add(2 * index as u128);
        if out.len() <= PIECE {
            fill_piece(&mut self.rng, out, &block);
            return;
        }
        let length = out.len();
        let pieces = out.par_chunks_mut(PIECE).enumerate();
        pieces.for_each(|(piece, out)| {
            let mut rng = self.rng.clone();
            rng.set_word_pos(position(piece * PIECE));
            fill_piece(&mut rng, out, &block);
        });
        self.rng.set_word_pos(position(length));
    }
}

fn fill_piece<T>(rng: &mut ChaCha8Rng, out: &mut [T], block: &impl Fn(&[u64], &mut [T])) {
    let mut bytes = [0u8; 8 * BLOCK];
    let mut words = [0u64; BLOCK];
    for out in out.chunks_mut(BLOCK) {
        let bytes = &mut bytes[..8 * out.len()];
        rng.fill_bytes(bytes);
        let words = &mut words[..out.len()];
        for (word, bytes) in words.iter_mut().zip(bytes.as_chunks().0) {
            *word = u64::from_le_bytes(*bytes);
        }
        block(words, out);
    }
}

/// The top 53 bits of a word as a multiple of 2^-53 in [0, 1).
#[inline(always)]
fn unit(word: u64) -> f64 {
    (word >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
}

/// The top 52 bits of a word as an odd multiple of 2^-53: in (0, 1), symmetric about 1/2, exact.
/// Made from the bits of a number in [1, 2), because a conversion from u64 does not vectorise.
#[inline(always)]
fn open_unit(word: u64) -> f64 {
    const ONE: u64 = 1023 << 52;
    f64::from_bits(word >> 12 | ONE) - (1.0 - 0.5 * f64::EPSILON)
}

/// Φ(x), the standard normal distribution function.
pub fn normal_cdf(x: f64) -> f64 {
    0.5 * libm::erfc(-x * std::f64::consts::FRAC_1_SQRT_2)
}

/// Φ⁻¹(p) for p in (0, 1): Wichura's PPND16.
pub fn normal_quantile(p: f64) -> f64 {
    let q = p - 0.5;
    if q.abs() <= CENTRE {
        central(q)
    } else {
        tail(p, q)
    }
}

/// Half the width of the middle region of AS 241.
const CENTRE: f64 = 0.425;

fn normal_block(words: &[u64], out: &mut [f64]) {
    // The middle formula for all of them (it vectorises), then the 15 % that it does not hold for,
    // found without a branch that would be guessed wrong.
    for (out, &word) in out.iter_mut().zip(words) {
        *out = central(open_unit(word) - 0.5);
    }
    let mut outside = [0usize; BLOCK + 1];
    let mut count = 0;
    for (index, &word) in words.iter().enumerate() {
        outside[count] = index;
        count += usize::from((open_unit(word) - 0.5).abs() > CENTRE);
    }
    for &index in &outside[..count] {
        let p = open_unit(words[index]);
        out[index] = tail(p, p - 0.5);
    }
}

/// a₀ + a₁ r + … + a₇ r⁷ by Horner's rule, without fused multiply-add: the same bits everywhere.
#[inline(always)]
fn polynomial(a: &[f64; 8], r: f64) -> f64 {
    let mut sum = a[7];
    for &coefficient in a[..7].iter().rev() {
        sum = sum * r + coefficient;
    }
    sum
}

#[inline(always)]
fn central(q: f64) -> f64 {
    let r = CENTRE * CENTRE - q * q;
    q * polynomial(&A, r) / polynomial(&B, r)
}

fn tail(p: f64, q: f64) -> f64 {
    let r = (-libm::log(if q < 0.0 { p } else { 1.0 - p })).sqrt();
    let magnitude = if r <= 5.0 {
        polynomial(&C, r - 1.6) / polynomial(&D, r - 1.6)
    } else {
        polynomial(&E, r - 5.0) / polynomial(&F, r - 5.0)
    };
    magnitude.copysign(q)
}

/// The coefficients of AS 241, PPND16, by their names and with the digits they have there.
#[rustfmt::skip]
#[expect(clippy::excessive_precision)]
mod coefficients {
    pub const A: [f64; 8] = [
        3.387_132_872_796_366_608, 1.331_416_678_917_843_774_5e2, 1.971_590_950_306_551_442_7e3,
        1.373_169_376_550_946_112_5e4, 4.592_195_393_154_987_145_7e4, 6.726_577_092_700_870_085_3e4,
        3.343_057_558_358_812_810_5e4, 2.509_080_928_730_122_672_7e3,
    ];
    pub const B: [f64; 8] = [
        1.0, 4.231_333_070_160_091_125_2e1, 6.871_870_074_920_579_083e2, 5.394_196_021_424_751_107_7e3,
        2.121_379_430_158_659_586_7e4, 3.930_789_580_009_271_061e4, 2.872_908_573_572_194_267_4e4,
        5.226_495_278_852_854_561e3,
    ];
    pub const C: [f64; 8] = [
        1.423_437_110_749_683_577_34, 4.630_337_846_156_545_295_9, 5.769_497_221_460_691_405_5,
        3.647_848_324_763_204_605_04, 1.270_458_252_452_368_382_58, 2.417_807_251_774_506_117_7e-1,
        2.272_384_498_926_918_458_33e-2, 7.745_450_142_783_414_076_4e-4,
    ];
    pub const D: [f64; 8] = [
        1.0, 2.053_191_626_637_758_821_87, 1.676_384_830_183_803_849_4, 6.897_673_349_851_000_045_5e-1,
        1.481_039_764_274_800_745_9e-1, 1.519_866_656_361_645_719_66e-2,
        5.475_938_084_995_344_946e-4, 1.050_750_071_644_416_843_24e-9,
    ];
    pub const E: [f64; 8] = [
        6.657_904_643_501_103_777_2, 5.463_784_911_164_114_369_9, 1.784_826_539_917_291_335_8,
        2.965_605_718_285_048_912_3e-1, 2.653_218_952_657_612_309_3e-2, 1.242_660_947_388_078_438_6e-3,
        2.711_555_568_743_487_578_15e-5, 2.010_334_399_292_288_132_65e-7,
    ];
    pub const F: [f64; 8] = [
        1.0, 5.998_322_065_558_879_376_9e-1, 1.369_298_809_227_358_053_1e-1,
        1.487_536_129_085_061_485_25e-2, 7.868_691_311_456_132_591e-4, 1.846_318_317_510_054_681_8e-5,
        1.421_511_758_316_445_888_7e-7, 2.044_263_103_389_939_785_64e-15,
    ];
}

#[cfg(test)]
mod tests {
    use super::*;

    /// scipy.special.ndtri (1.x) at these points.
    const QUANTILES: [(f64, f64); 6] = [
        (0.5, 0.0),
        (0.9, 1.281_551_565_544_600_4),
        (0.025, -1.959_963_984_540_054_5),
        (1e-9, -5.997_807_015_007_687),
        (1e-16, -8.222_082_216_130_437),
        (0.6, 0.253_347_103_135_799_7),
    ];

    #[test]
    fn quantiles_agree_with_scipy() {
        for (p, expected) in QUANTILES {
            let got = normal_quantile(p);
            assert!(
                (got - expected).abs() <= 4e-16 * expected.abs(),
                "{p}: {got}"
            );
        }
    }

    #[test]
    fn the_quantile_inverts_the_distribution_function() {
        for step in 1..2000 {
            let x = -8.0 + 0.008 * step as f64;
            if x > 5.0 {
                break;
            }
            let back = normal_quantile(normal_cdf(x));
            // Above 0 the distribution function itself loses digits against 1.
            let tolerance = if x < 0.0 {
                4e-15
            } else {
                4e-16 / (1.0 - normal_cdf(x))
            };
            assert!((back - x).abs() <= tolerance.max(4e-15), "{x}: {back}");
        }
    }

    #[test]
    fn the_stream_of_a_seed_and_a_name_never_changes() {
        // From a ChaCha8 written in Python after Bernstein's paper, and these normals are within
        // 2 ulp of mpmath's: a change here changes what every user's seed draws.
        let mut stream = Stream::new(1, "fc1.weight");
        let words = [stream.next_u64(), stream.next_u64()];
        assert_eq!(
            words,
            [9_126_302_161_409_805_412, 5_220_490_681_365_708_162]
        );
        let normals: [f64; 4] = std::array::from_fn(|_| stream.normal());
        let expected = [
            -1.310_152_202_681_284,
            -1.727_434_689_414_805_2,
            -0.155_903_909_600_996_57,
            0.232_583_993_958_098_17,
        ];
        assert_eq!(normals, expected);
    }

    #[test]
    fn the_bits_do_not_depend_on_how_many_are_drawn_at_once() {
        let count = 3 * PIECE + 77;
        let mut whole = vec![0.0f64; count];
        let mut stream = Stream::new(7, "w");
        stream.fill_normal(0.5, 2.0, &mut whole);
        let after = stream.next_u64();
        let mut one_by_one = Stream::new(7, "w");
        for (index, &value) in whole.iter().enumerate() {
            let expected = 0.5 + 2.0 * one_by_one.normal();
            assert_eq!(value.to_bits(), expected.to_bits(), "number {index}");
        }
        assert_eq!(after, one_by_one.next_u64());
    }

    #[test]
    fn seeds_and_names_give_unrelated_streams() {
        let draw = |seed, name| {
            let mut out = vec![0.0f64; 4096];
            Stream::new(seed, name).fill_normal(0.0, 1.0, &mut out);
            out
        };
        let base = draw(0, "fc1.weight");
        for other in [draw(1, "fc1.weight"), draw(0, "fc2.weight"), draw(0, "")] {
            let product: f64 = base.iter().zip(&other).map(|(a, b)| a * b).sum();
            assert!(product.abs() / 4096.0 < 5.0 / 64.0);
        }
    }

    #[test]
    fn moments_are_those_of_the_distributions() {
        let count = 1 << 20;
        let mut out = vec![0.0f64; count];
        let moments = |out: &[f64]| {
            let n = out.len() as f64;
            let mean = out.iter().sum::<f64>() / n;
            let central = |power| out.iter().map(|x| (x - mean).powi(power)).sum::<f64>() / n;
            (mean, central(2), central(4))
        };
        Stream::new(3, "normal").fill_normal(0.0, 1.0, &mut out);
        let (mean, variance, fourth) = moments(&out);
        assert!(mean.abs() < 5e-3 && (variance - 1.0).abs() < 7e-3);
        assert!((fourth - 3.0).abs() < 0.05);
        Stream::new(3, "uniform").fill_uniform(-1.0, 3.0, &mut out);
        let (mean, variance, _) = moments(&out);
        assert!((mean - 1.0).abs() < 6e-3 && (variance - 16.0 / 12.0).abs() < 6e-3);
        assert!(out.iter().all(|x| (-1.0..3.0).contains(x)));
        // Restricted to ±2 standard deviations the variance is 0.773741... (1 − 4φ(2)/(2Φ(2) − 1)).
        Stream::new(3, "truncated").fill_truncated_normal(0.0, 1.0, -2.0, 2.0, &mut out);
        let (mean, variance, _) = moments(&out);
        assert!(mean.abs() < 5e-3 && (variance - 0.773_741).abs() < 5e-3);
        assert!(out.iter().all(|x| x.abs() <= 2.0));
        // Far in the right tail, where 1 − Φ has lost its digits: mean 10.098…
        Stream::new(3, "far").fill_truncated_normal(0.0, 1.0, 10.0, 11.0, &mut out);
        let (mean, ..) = moments(&out);
        assert!((mean - 10.098).abs() < 1e-3, "{mean}");
    }

    #[test]
    fn a_sample_has_no_repeats_and_every_number_its_turn() {
        let mut counts = [0usize; 10];
        for seed in 0..2000 {
            let mut sample = Stream::new(seed, "rows").sample(10, 3);
            sample.sort_unstable();
            sample.dedup();
            assert_eq!(sample.len(), 3);
            sample.iter().for_each(|&index| counts[index] += 1);
        }
        assert!(counts.iter().all(|&count| (500..700).contains(&count)));
        assert_eq!(Stream::new(0, "rows").below(0), 0);
    }
}

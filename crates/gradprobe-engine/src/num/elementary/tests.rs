//! Errors in units in the last place: f64 against [`Extended`] on random and structured points,
//! f32 against f64 on a sweep of all bit patterns.
//!
//! The sweep takes every 4,099th pattern; with `GRADPROBE_EXHAUSTIVE=1` in the environment it
//! takes all 2^32, and two hundred times as many random points (half an hour in a release build).

use crate::num::extended::Extended;
use crate::num::{Element, Real};
use pulp::{Arch, Simd, WithSimd};

/// One function in every type, and the largest error it may have in ulp of f64 and of f32.
struct Case {
    name: &'static str,
    double: fn(f64) -> f64,
    single: fn(f32) -> f32,
    /// Over slices, vectorised.
    doubles: fn(&[f64], &mut [f64]),
    singles: fn(&[f32], &mut [f32]),
    extended: fn(Extended) -> Extended,
    double_bound: f64,
    single_bound: f64,
}

macro_rules! cases {
    ($($name:ident: $double:expr, $single:expr);* $(;)?) => {
        &[$(Case {
            name: stringify!($name),
            double: |x| Real::$name(x),
            single: |x| Real::$name(x),
            doubles: |x, y| map(x, y, |x| Real::$name(x)),
            singles: |x, y| map(x, y, |x| Real::$name(x)),
            extended: |x| Real::$name(x),
            double_bound: $double,
            single_bound: $single,
        }),*]
    };
}

const CASES: &[Case] = cases!(
    exp: 1.0, 1.5;
    exp_m1: 1.6, 2.0;
    ln: 1.0, 1.0;
    ln_1p: 1.0, 1.0;
    tanh: 1.5, 3.5;
    sech_squared: 2.0, 4.0;
    sigmoid: 1.0, 2.5;
    erf: 1.5, 1.0;
    erfc: 2.0, 1.0;
    exp_neg_square: 1.0, 1.0;
    normal_cdf: 2.0, 1.0;
    normal_pdf: 1.0, 1.0;
    minus_tanh: 1.5, 1.0;
    sin: 1.5, 1.0;
    cos: 1.5, 1.0;
    atan: 2.0, 1.0;
);

/// The distance from `got` to `exact` in ulp of the type at `exact`.
fn ulps<T: Element>(got: T, exact: Extended) -> f64 {
    let nearest = T::from_f64(exact.to_f64());
    if got == nearest || (got.is_nan() && nearest.is_nan()) {
        return if got.is_finite() {
            distance::<T>(got, exact)
        } else {
            0.0
        };
    }
    if got.is_nan() || nearest.is_nan() {
        return f64::INFINITY;
    }
    distance::<T>(got, exact)
}

fn distance<T: Element>(got: T, exact: Extended) -> f64 {
    let difference = (Extended::from_f64(got.to_f64()) - exact).abs();
    let exponent = exact
        .abs()
        .to_f64()
        .max(T::SMALLEST_SUBNORMAL)
        .log2()
        .floor();
    let ulp = (exponent - f64::from(T::SIGNIFICAND_BITS - 1))
        .exp2()
        .max(T::SMALLEST_SUBNORMAL);
    (difference / Extended::from_f64(ulp)).to_f64()
}

fn exhaustive() -> bool {
    std::env::var_os("GRADPROBE_EXHAUSTIVE").is_some()
}

/// A reproducible stream of bits (splitmix64).
fn stream() -> impl FnMut() -> u64 {
    let mut state = 0u64;
    move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

fn points() -> Vec<f64> {
    let count = if exhaustive() { 200_000 } else { 1500 };
    let mut next = stream();
    let mut unit = move || (next() >> 11) as f64 / (1u64 << 53) as f64;
    let mut points = vec![0.0, f64::MIN_POSITIVE, 5e-324, 1e-310, f64::MAX];
    for scale in [0.01, 0.4, 1.0, 1.5, 3.0, 10.0, 40.0, 750.0] {
        points.extend((0..count).map(|_| scale * unit()));
    }
    // Every size that a f64 can have.
    points.extend((0..count).map(|_| (2098.0 * unit() - 1074.0).exp2() * (1.0 + unit())));
    // Where the reductions change over.
    for k in 1..80 {
        let edge = 0.5 * f64::from(k) * std::f64::consts::LN_2;
        let quarter = f64::from(k) * std::f64::consts::FRAC_PI_4;
        let root = (f64::from(k) * 0.5).sqrt();
        for x in [edge, quarter, root, f64::from(k) * 0.125] {
            points.extend([x, 0.5 * x, x.next_up(), x.next_down()]);
        }
    }
    let negative: Vec<f64> = points.iter().map(|x| -x).collect();
    points.extend(negative);
    points
}

#[test]
fn f64_functions_are_within_two_ulp() {
    let points = points();
    let mut broken = Vec::new();
    for case in CASES {
        let mut worst = (0.0, 0.0);
        for &x in &points {
            let got = (case.double)(x);
            // The reference itself has no exponent for e^(−x²) beyond.
            if x.abs() > 1e9 && ["normal_cdf", "normal_pdf"].contains(&case.name) {
                continue;
            }
            // Its reduction by π/2 holds to 106 bits of x.
            if x.abs() > 1e5 && ["sin", "cos"].contains(&case.name) {
                continue;
            }
            let error = ulps(got, (case.extended)(Extended::from_f64(x)));
            if error > worst.0 {
                worst = (error, x);
            }
        }
        println!("{:16} f64 {:.3} ulp at {:e}", case.name, worst.0, worst.1);
        if worst.0 > case.double_bound {
            broken.push((case.name, worst));
        }
    }
    assert!(broken.is_empty(), "{broken:?}");
}

struct Map<'a, T, F> {
    f: F,
    x: &'a [T],
    y: &'a mut [T],
}

impl<T: Copy, F: Fn(T) -> T> WithSimd for Map<'_, T, F> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        for (y, &x) in self.y.iter_mut().zip(self.x) {
            *y = (self.f)(x);
        }
    }
}

fn map<T: Copy>(x: &[T], y: &mut [T], f: impl Fn(T) -> T) {
    Arch::new().dispatch(Map { f, x, y });
}

/// All bit patterns of f32, or every 4,099th, in blocks.
pub(crate) fn for_each_f32_block(mut block: impl FnMut(&[f32])) {
    const LEN: usize = 4096;
    let step = if exhaustive() { 1 } else { 4099 };
    let mut patterns = (0..=u32::MAX).step_by(step).map(f32::from_bits);
    loop {
        let x: Vec<f32> = patterns.by_ref().take(LEN).collect();
        if x.is_empty() {
            return;
        }
        block(&x);
    }
}

#[test]
fn f32_functions_are_within_four_ulp_on_every_bit_pattern() {
    let mut broken = Vec::new();
    for case in CASES {
        let mut worst = (0.0, 0.0);
        let (mut got, mut exact, mut wide) = (Vec::new(), Vec::new(), Vec::new());
        for_each_f32_block(|x| {
            wide.clear();
            wide.extend(x.iter().map(|&x| f64::from(x)));
            got.resize(x.len(), 0.0);
            exact.resize(x.len(), 0.0);
            (case.singles)(x, &mut got);
            (case.doubles)(&wide, &mut exact);
            for ((&x, &got), &exact) in x.iter().zip(&got).zip(&exact) {
                let error = single_ulps(got, exact);
                if error > worst.0 {
                    worst = (error, x);
                }
            }
        });
        println!("{:16} f32 {:.3} ulp at {:e}", case.name, worst.0, worst.1);
        if worst.0 > case.single_bound {
            broken.push((case.name, worst));
        }
    }
    assert!(broken.is_empty(), "{broken:?}");
}

/// The distance from an f32 to an f64 in ulp of f32.
pub(crate) fn single_ulps(got: f32, exact: f64) -> f64 {
    let nearest = exact as f32;
    if got.to_bits() == nearest.to_bits() || (got.is_nan() && exact.is_nan()) {
        return if nearest.is_finite() {
            (f64::from(got) - exact).abs() / single_ulp(exact)
        } else {
            0.0
        };
    }
    if got.is_nan() || exact.is_nan() || (got == 0.0 && nearest == 0.0) {
        // A zero of the wrong sign is an error too.
        return f64::INFINITY;
    }
    (f64::from(got) - exact).abs() / single_ulp(exact)
}

fn single_ulp(exact: f64) -> f64 {
    let exponent = ((exact.to_bits() >> 52) & 0x7ff) as i32 - 1023;
    f64::exp2i(exponent.max(-126) - 23)
}

#[test]
fn f64_and_f32_keep_zeros_infinities_and_nan() {
    for case in CASES {
        for x in [0.0, -0.0, f64::INFINITY, f64::NEG_INFINITY, f64::NAN] {
            let expected = match case.name {
                "exp" => libm::exp(x),
                "exp_m1" => libm::expm1(x),
                "ln" => libm::log(x),
                "ln_1p" => libm::log1p(x),
                "tanh" => libm::tanh(x),
                "sech_squared" => 1.0 / (libm::cosh(x) * libm::cosh(x)),
                "sigmoid" => 1.0 / (1.0 + libm::exp(-x)),
                "erf" => libm::erf(x),
                "erfc" => libm::erfc(x),
                "exp_neg_square" => libm::exp(-x * x),
                "normal_cdf" => 0.5 * libm::erfc(-x),
                "normal_pdf" => 0.398_942_280_401_432_7 * libm::exp(-x * x),
                "minus_tanh" if x.is_infinite() || x == 0.0 => x,
                "minus_tanh" => x,
                "sin" => libm::sin(x),
                "cos" => libm::cos(x),
                "atan" => libm::atan(x),
                other => panic!("{other} has no limits here"),
            };
            let same = |got: f64, expected: f64| {
                got.to_bits() == expected.to_bits() || (got.is_nan() && expected.is_nan())
            };
            let double = (case.double)(x);
            assert!(
                same(double, expected),
                "{}({x}) = {double}, not {expected}",
                case.name
            );
            let single = (case.single)(x as f32);
            assert!(
                same(f64::from(single), f64::from(expected as f32)),
                "{}({x}f32) = {single}",
                case.name
            );
        }
    }
}

#[test]
fn vector_and_scalar_code_agree_to_the_bit() {
    for case in CASES {
        let x = points();
        let mut y = vec![0.0; x.len()];
        (case.doubles)(&x, &mut y);
        for (&x, y) in x.iter().zip(y) {
            assert_eq!(
                (case.double)(x).to_bits(),
                y.to_bits(),
                "{}({x})",
                case.name
            );
        }
    }
}

/// The largest errors of the way that tanh and sech² are computed for |x| ≤ 1, in ulp.
#[test]
fn tanh_without_an_exponential_is_within_the_same_bounds() {
    let (mut tanh, mut sech_squared) = (0.0f64, 0.0f64);
    for x in points().into_iter().filter(|x| x.abs() <= 1.0) {
        let got = x.inner_tanh_sech_squared();
        let exact = Extended::from_f64(x);
        tanh = tanh.max(ulps(got.0, Real::tanh(exact)));
        sech_squared = sech_squared.max(ulps(got.1, Real::sech_squared(exact)));
        assert_eq!(got.0.is_sign_negative(), x.is_sign_negative(), "{x}");
    }
    println!("inner f64: tanh {tanh:.3}, sech² {sech_squared:.3} ulp");
    assert!(tanh <= 1.5 && sech_squared <= 2.0, "{tanh}, {sech_squared}");

    let (mut tanh, mut sech_squared) = (0.0f64, 0.0f64);
    for_each_f32_block(|block| {
        for &x in block.iter().filter(|x| x.abs() <= 1.0) {
            let got = x.inner_tanh_sech_squared();
            let exact = f64::from(x).inner_tanh_sech_squared();
            tanh = tanh.max(single_ulps(got.0, exact.0));
            sech_squared = sech_squared.max(single_ulps(got.1, exact.1));
        }
    });
    println!("inner f32: tanh {tanh:.3}, sech² {sech_squared:.3} ulp");
    assert!(tanh <= 3.5 && sech_squared <= 4.0, "{tanh}, {sech_squared}");
}

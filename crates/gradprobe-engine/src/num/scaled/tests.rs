//! Scaling, adding and aligning over all exponents and all kinds of numbers, held against f64 or
//! 106-bit numbers without bounds.

use super::*;
use crate::num::{Extended, Real};
use proptest::prelude::*;

/// Zeros, subnormals, both ends of the range, infinities, NaN, and what lies between.
fn any_f32() -> impl Strategy<Value = f32> {
    prop_oneof![
        Just(0.0f32),
        Just(-0.0),
        Just(f32::INFINITY),
        Just(f32::NEG_INFINITY),
        Just(f32::NAN),
        Just(f32::from_bits(1)),
        Just(f32::MIN_POSITIVE),
        Just(f32::MAX),
        any::<u32>().prop_map(f32::from_bits),
        -4.0f32..4.0,
    ]
}

/// The same, half the range below the top, so that a sum of two is finite.
fn addable_f32() -> impl Strategy<Value = f32> {
    any_f32().prop_map(|x| if x.is_finite() { 0.25 * x } else { x })
}

fn any_f64() -> impl Strategy<Value = f64> {
    prop_oneof![
        Just(0.0f64),
        Just(-0.0),
        Just(f64::INFINITY),
        Just(f64::NAN),
        Just(f64::from_bits(1)),
        Just(f64::MIN_POSITIVE),
        Just(f64::MAX),
        any::<u64>().prop_map(f64::from_bits),
        -4.0f64..4.0,
    ]
}

fn any_exponent() -> impl Strategy<Value = i64> {
    prop_oneof![
        -300i64..300,
        -5000i64..5000,
        Just(0),
        Just(255),
        Just(-EXPONENT_LIMIT),
        Just(EXPONENT_LIMIT),
    ]
}

/// Vectors of all zeros as often as others: these are what a signal is before it starts.
fn signal() -> impl Strategy<Value = Vec<f32>> {
    prop_oneof![
        Just(vec![0.0f32; 4]),
        proptest::collection::vec(addable_f32(), 4),
        proptest::collection::vec(-4.0f32..4.0, 4),
    ]
}

fn same(one: f64, other: f64) -> bool {
    one == other || one.is_nan() && other.is_nan()
}

/// x × 2^e; ordinary signs and sizes only.
fn extended(x: f32, exponent: i64) -> Extended {
    Extended::from_f64(f64::from(x)).scaled(exponent)
}

/// |one − other| ≤ 2^tolerance, all times 2^`exponent`.
fn near(one: Extended, other: Extended, tolerance: i64) -> bool {
    let difference = (one - other).abs();
    difference <= Extended::from_f64(1.0).scaled(tolerance)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn scaling_f32_is_one_rounding_of_the_true_product(x in any_f32(), exponent in any_exponent()) {
        let mut data = [x];
        scale(&mut data, exponent);
        // Exact in f64 wherever f32 does not end up as 0 or infinite.
        let expected = libm::scalbn(f64::from(x), exponent.clamp(-700, 700) as i32) as f32;
        prop_assert!(same(data[0].into(), expected.into()), "{x:e} 2^{exponent}: {}", data[0]);
        prop_assert_eq!(data[0].is_sign_negative() || x.is_nan(), x.is_sign_negative() || x.is_nan());
    }

    #[test]
    fn scaling_f64_is_one_rounding_of_the_true_product(x in any_f64(), exponent in any_exponent()) {
        let mut data = [x];
        scale(&mut data, exponent);
        let expected = libm::scalbn(x, exponent.clamp(-4000, 4000) as i32);
        prop_assert!(same(data[0], expected), "{x:e} 2^{exponent}: {} {expected}", data[0]);
    }

    #[test]
    fn scaling_there_and_back_changes_nothing_while_all_is_in_range(
        x in -4.0f64..4.0, exponent in -900i64..900,
    ) {
        let mut data = [x];
        scale(&mut data, exponent);
        scale(&mut data, -exponent);
        prop_assert_eq!(data[0], x);
    }

    #[test]
    fn a_sum_is_right_to_the_rounding_of_its_largest_element(
        total in signal(), exponent in -5000i64..5000,
        term in signal(), term_exponent in -5000i64..5000,
    ) {
        let (mut sum, mut sum_exponent) = (total.clone(), exponent);
        add(&mut sum, &mut sum_exponent, &term, term_exponent);
        let largest = |data: &[f32], exponent: i64| match max_abs(data) {
            0.0 => i64::MIN,
            size => exponent + i64::from(libm::ilogb(size)),
        };
        let size = largest(&total, exponent).max(largest(&term, term_exponent));
        for ((&s, &a), &b) in sum.iter().zip(&total).zip(&term) {
            if !(a.is_finite() && b.is_finite()) {
                prop_assert!(same(s.into(), (a + b).into()), "{a} + {b} = {s}");
                continue;
            }
            prop_assert!(s.is_finite(), "{a} 2^{exponent} + {b} 2^{term_exponent} = {s}");
            let truth = extended(a, exponent) + extended(b, term_exponent);
            if size == i64::MIN {
                prop_assert_eq!(s, 0.0);
            } else if exponent != term_exponent {
                prop_assert!(near(extended(s, sum_exponent), truth, size - 22));
            }
        }
    }

    #[test]
    fn adding_zeros_changes_no_value(
        total in signal(), exponent in any_exponent(), zero_exponent in any_exponent(),
    ) {
        let (mut sum, mut sum_exponent) = (total.clone(), exponent);
        add(&mut sum, &mut sum_exponent, &[0.0; 4], zero_exponent);
        for (&s, &t) in sum.iter().zip(&total) {
            prop_assert!(same(s.into(), t.into()));
        }
        prop_assert_eq!(sum_exponent, exponent);
        let (mut sum, mut sum_exponent) = (vec![0.0; 4], zero_exponent);
        add(&mut sum, &mut sum_exponent, &total, exponent);
        for (&s, &t) in sum.iter().zip(&total) {
            prop_assert!(same(s.into(), t.into()));
        }
        prop_assert!(max_abs(&total) == 0.0 || sum_exponent == exponent);
    }

    #[test]
    fn aligned_arrays_keep_their_values_to_the_largest_exponent_that_is_in_use(
        arrays in proptest::collection::vec((signal(), -5000i64..5000), 1..5),
    ) {
        let mut aligned = arrays.clone();
        let mut views: Vec<(&mut [f32], &mut i64)> = aligned
            .iter_mut()
            .map(|(data, exponent)| (&mut data[..], exponent))
            .collect();
        let common = align(&mut views);
        let filled = arrays.iter().filter(|(data, _)| max_abs(data) != 0.0);
        let expected = filled.map(|&(_, exponent)| exponent).max().unwrap_or(arrays[0].1);
        prop_assert_eq!(common, expected);
        for ((before, exponent), (after, own)) in arrays.iter().zip(&aligned) {
            prop_assert_eq!(*own, common);
            for (&x, &y) in before.iter().zip(after) {
                let expected = match x.is_finite() {
                    true => libm::scalbn(f64::from(x), (exponent - common).clamp(-700, 700) as i32),
                    false => f64::from(x),
                };
                prop_assert!(same(f64::from(expected as f32), y.into()), "{x} → {y}");
            }
        }
    }

    #[test]
    fn what_is_renormalised_keeps_its_values_and_lies_near_one(
        data in signal(), exponent in -5000i64..5000,
    ) {
        let (mut brought, mut own) = (data.clone(), exponent);
        renormalise(&mut brought, &mut own);
        let largest = max_abs(&brought);
        prop_assert!(largest == 0.0 || renormalisation(largest).is_none());
        for (&x, &y) in data.iter().zip(&brought) {
            if !x.is_finite() {
                prop_assert!(same(x.into(), y.into()));
            } else if y.abs() >= f32::MIN_POSITIVE {
                prop_assert!(near(extended(x, exponent), extended(y, own), i64::MIN / 4));
            }
        }
    }
}

#[test]
fn sums_over_far_exponents_keep_the_larger_and_lose_nothing_to_a_zero() {
    let (mut total, mut exponent) = (vec![1.0f32, 2.0], 0);
    add(&mut total, &mut exponent, &[1.0, 1.0], -10_000);
    assert_eq!(
        total
            .iter()
            .map(|x| x * 2f32.powi(exponent as i32))
            .collect::<Vec<_>>(),
        [1.0, 2.0]
    );
    let (mut total, mut exponent) = (vec![0.0f32, 0.0], 500);
    add(&mut total, &mut exponent, &[1.0, 3.0], -9_000);
    let sizes: Vec<f64> = total
        .iter()
        .map(|x| f64::from(*x).log2() + exponent as f64)
        .collect();
    assert_eq!(sizes[0], -9000.0);
    assert!((sizes[1] - (3f64.log2() - 9000.0)).abs() < 1e-9);
}

#[test]
fn a_term_of_zeros_at_a_far_exponent_is_no_nan() {
    // 2^255 is infinite in f32, and 0 × ∞ is no number.
    let (mut total, mut exponent) = (vec![1.0f32, -0.5], -255);
    add(&mut total, &mut exponent, &[0.0, 0.0], 0);
    assert_eq!((total, exponent), (vec![1.0, -0.5], -255));
}

#[test]
fn exponents_stop_before_a_difference_of_two_overflows() {
    let lowest = exponent_of_product(i64::MIN, -5);
    assert_eq!(exponent_of_product(lowest, lowest), lowest);
    let highest = exponent_of_product(i64::MAX, i64::MAX);
    assert_eq!(highest - lowest, 1 << 61);
    assert_eq!(exponent_of_product(3, -8), -5);
}

#[test]
fn a_power_of_two_is_taken_out_of_what_is_far_from_one() {
    assert_eq!(renormalisation(1e-30), Some(-100));
    assert_eq!(renormalisation(0.5), None);
    assert_eq!(renormalisation(0.0), None);
}

#![allow(clippy::unwrap_used)]

use super::*;
use crate::num::Dtype;
use crate::ops::activation::parse;
use crate::theory::FloatChain;

fn chain(activation: &str, depth: usize, x: f64, w: f64) -> Chain {
    Chain::new(
        parse(activation).unwrap(),
        depth,
        x,
        LayerValues::Same(w),
        LayerValues::Same(0.0),
    )
    .unwrap()
}

fn with_weights(activation: &str, x: f64, weights: &[f64]) -> Chain {
    Chain::new(
        parse(activation).unwrap(),
        weights.len(),
        x,
        LayerValues::Each(weights.to_vec()),
        LayerValues::Same(0.0),
    )
    .unwrap()
}

#[test]
fn the_seed_chain_has_the_exact_gradients() {
    let exact = ExactChain::new(&chain("tanh", 4, 100.0, 1.0));
    let digits: Vec<String> = (1..=4)
        .map(|l| exact.gradient(l).value.to_decimal(30))
        .collect();
    assert_eq!(
        digits,
        [
            "9.28355757443550945508250231413e-86",
            "0.16770685876939024802093824855",
            "0.304124683097546545461703586959",
            "0.436145382444543985871936806249",
        ]
    );
    assert_eq!(exact.fewest_digits(), 18);
    assert_eq!(exact.gradient(1).to_decimal(), "9.28355757443550945e-86");
}

#[test]
fn plain_arithmetic_prints_what_the_frameworks_print() {
    let chain = chain("tanh", 4, 100.0, 1.0);
    let double = FloatChain::new(&chain, Dtype::F64);
    let single = FloatChain::new(&chain, Dtype::F32);
    let column = |float: &FloatChain| (1..=4).map(|l| float.gradient(l)).collect::<Vec<_>>();
    assert_eq!(
        column(&double),
        [
            0.0,
            0.16770685876939032,
            0.3041246830975466,
            0.436145382444544
        ]
    );
    assert_eq!(
        column(&single),
        [
            0.0,
            0.16770686209201813,
            0.30412471294403076,
            0.4361453950405121
        ]
    );
}

#[test]
fn every_weight_appears_in_the_gradients() {
    let exact = ExactChain::new(&with_weights("tanh", 1.0, &[1.5, -0.5, 2.0, 0.75]));
    let gradients: Vec<f64> = (1..=4).map(|l| exact.gradient(l).value.to_f64()).collect();
    let expected = [
        -0.0450504482691965,
        0.451309756184561,
        -0.128877474005427,
        -0.533829088045421,
    ];
    for (got, expected) in gradients.iter().zip(expected) {
        assert!((got - expected).abs() < 1e-15, "{got} {expected}");
    }
}

#[test]
fn relu_passes_the_input_through_exactly() {
    let exact = ExactChain::new(&chain("relu", 4, 100.0, 1.0));
    for layer in 1..=4 {
        assert_eq!(exact.gradient(layer).to_decimal(), "100");
    }
    assert_eq!(exact.input_gradient().to_decimal(), "1");
}

#[test]
fn a_kink_is_reported_where_the_argument_is_on_it() {
    let exact = ExactChain::new(&chain("relu", 4, -100.0, 1.0));
    assert_eq!(exact.last_kink(), Some(4));
    assert!(!exact.layers()[0].at_kink && exact.layers()[1].at_kink);
    assert!(exact.gradient(1).value.is_zero());
    assert_eq!(
        ExactChain::new(&chain("tanh", 4, 0.0, 1.0)).last_kink(),
        None
    );
}

#[test]
fn a_chaotic_chain_prints_only_the_digits_that_hold() {
    // Each sin(4h) doubles an error or so: 106 bits are gone after a hundred layers.
    let short = ExactChain::new(&chain("sin", 20, 0.7, 4.0));
    assert!(short.fewest_digits() >= 15, "{}", short.fewest_digits());
    let long = ExactChain::new(&chain("sin", 400, 0.7, 4.0));
    assert_eq!(long.gradient(1).digits(), 0);
    assert_eq!(long.gradient(1).to_decimal(), "?");
}

#[test]
fn the_error_bound_holds_for_a_chain_that_loses_digits() {
    // mpmath, 200 digits: sin, w = 4, x = 0.7, depth 60: df/dw1.
    let exact = ExactChain::new(&chain("sin", 60, 0.7, 4.0));
    let gradient = exact.gradient(1);
    let expected = Extended::from_sum(SIN_60.0, SIN_60.1);
    let error = ((gradient.value - expected) / expected).abs().to_f64();
    assert!(
        error <= gradient.relative_error,
        "{error:e} {:e}",
        gradient.relative_error
    );
    assert!(
        gradient.relative_error < 1e-6,
        "{:e}",
        gradient.relative_error
    );
}

const SIN_60: (f64, f64) = (1.7217881077678324e+21, -48150.18653064575);

#[test]
fn a_million_layers_keep_eighteen_digits_where_the_chain_contracts() {
    let exact = ExactChain::new(&chain("tanh", MAX_DEPTH, 1.0, 1.0));
    assert_eq!(exact.fewest_digits(), 18);
    // h_l ~ sqrt(3/2l): the gradient falls by a power law.
    let decades = exact.gradient(1).value.log10_abs();
    assert!((-10.0..-8.0).contains(&decades), "{decades}");
}

#[test]
fn wrong_chains_are_refused_with_the_reason() {
    let tanh = || parse("tanh").unwrap();
    let same = LayerValues::Same;
    let error = |depth, x, w| {
        Chain::new(tanh(), depth, x, w, same(0.0))
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        error(0, 1.0, same(1.0)),
        "the depth is 0, expected 1 to 1000000"
    );
    assert_eq!(
        error(1_000_001, 1.0, same(1.0)),
        "the depth is 1000001, expected 1 to 1000000"
    );
    assert_eq!(
        error(4, f64::NAN, same(1.0)),
        "x is NaN, expected a finite number"
    );
    assert_eq!(
        error(4, 1.0, LayerValues::Each(vec![1.0, 2.0])),
        "w has 2 values, expected 1 or one for each of the 4 layers"
    );
    assert_eq!(
        error(2, 1.0, LayerValues::Each(vec![1.0, f64::INFINITY])),
        "w is inf, expected a finite number"
    );
}

#![allow(clippy::unwrap_used)]

use super::*;
use crate::ops::activation::parse;
use crate::theory::LayerValues;

fn examine(activation: &str, depth: usize, x: f64, w: f64, dtypes: &[Dtype]) -> Examination {
    let chain = Chain::new(
        parse(activation).unwrap(),
        depth,
        x,
        LayerValues::Same(w),
        LayerValues::Same(0.0),
    )
    .unwrap();
    let options = ChainOptions {
        dtypes: dtypes.to_vec(),
        ..ChainOptions::default()
    };
    Examination::new(chain, &options)
}

fn cause(examination: &Examination, dtype: Dtype, layer: usize) -> Option<ZeroCause> {
    examination.column(dtype).unwrap().zero_cause(layer)
}

#[test]
fn the_seeds_zero_is_cancellation_in_f64_and_underflow_in_f32() {
    let seed = examine("tanh", 4, 100.0, 1.0, &Dtype::ALL);
    assert_eq!(cause(&seed, Dtype::F64, 1), Some(ZeroCause::Cancellation));
    assert_eq!(cause(&seed, Dtype::F32, 1), Some(ZeroCause::Underflow));
    assert_eq!(cause(&seed, Dtype::Bf16, 1), Some(ZeroCause::Underflow));
    for layer in 2..=4 {
        assert_eq!(cause(&seed, Dtype::F64, layer), None);
    }
}

#[test]
fn a_zero_that_the_type_could_hold_is_a_cancellation_in_every_type() {
    // tanh'(5) = 1.8e-4 rounds to 0 by 1 − y² in the 16-bit types, and is far above their subnormals.
    let chain = examine("tanh", 1, 5.0, 1.0, &Dtype::ALL);
    assert_eq!(cause(&chain, Dtype::F16, 1), Some(ZeroCause::Cancellation));
    assert_eq!(cause(&chain, Dtype::Bf16, 1), Some(ZeroCause::Cancellation));
    assert_eq!(cause(&chain, Dtype::F32, 1), None);
}

#[test]
fn an_off_relu_is_a_true_zero() {
    let off = examine("relu", 4, -100.0, 1.0, &[Dtype::F64, Dtype::F32]);
    for layer in 1..=4 {
        assert_eq!(cause(&off, Dtype::F64, layer), Some(ZeroCause::TrueZero));
        assert!(off.at_kink(layer));
    }
    assert_eq!(
        off.conclusion.tendency,
        Tendency::Zero(Blocker::Activation(4))
    );
}

#[test]
fn a_product_that_underflows_on_the_way_is_an_underflow() {
    // The gradient of w1 is 1e-200·1e-200·1e300 in truth; the product of the weights is not.
    let chain = Chain::new(
        parse("identity").unwrap(),
        3,
        1e300,
        LayerValues::Each(vec![1e-300, 1e-200, 1e-200]),
        LayerValues::Same(0.0),
    )
    .unwrap();
    let examination = Examination::new(chain, &ChainOptions::default());
    assert!((examination.exact.gradient(1).value.log10_abs() + 100.0).abs() < 1e-9);
    assert_eq!(
        cause(&examination, Dtype::F64, 1),
        Some(ZeroCause::Underflow)
    );
}

#[test]
fn a_value_rounded_onto_the_flat_part_is_rounding() {
    // 0.9999999999 is 1 in f32, where hard-tanh is flat.
    let chain = examine(
        "hard-tanh",
        1,
        0.999_999_999_9,
        1.0,
        &[Dtype::F64, Dtype::F32],
    );
    assert_eq!(cause(&chain, Dtype::F64, 1), None);
    assert_eq!(cause(&chain, Dtype::F32, 1), Some(ZeroCause::Rounding));
}

#[test]
fn the_split_sums_to_the_decades_lost() {
    for (activation, depth, x, w) in [
        ("tanh", 4, 100.0, 1.0),
        ("sigmoid", 50, -1.0, 2.0),
        ("gelu", 30, 3.0, 0.7),
        ("erf", 4, 100.0, 1.0),
        ("silu", 1, 2.0, 0.3),
    ] {
        let conclusion = examine(activation, depth, x, w, &[]).conclusion;
        let difference = conclusion.last_log10.unwrap() - conclusion.first_log10.unwrap();
        let lost = conclusion.decades_lost().unwrap();
        assert!(
            (lost - difference).abs() <= 1e-12 * difference.abs().max(1.0),
            "{activation}: {lost} {difference}"
        );
    }
}

#[test]
fn the_seeds_decades_are_lost_to_the_first_activation() {
    let conclusion = examine("tanh", 4, 100.0, 1.0, &[]).conclusion;
    assert_eq!(conclusion.tendency, Tendency::Vanishes);
    let dominant = conclusion.dominant.unwrap();
    assert_eq!(dominant.factor, LossFactor::Activation);
    assert_eq!(dominant.layer.unwrap().0, 1);
    assert_eq!(
        conclusion.saturation,
        Saturation {
            layers: 1,
            first: Some(1)
        }
    );
    // Scaling the input helps, and so does ReLU; both were measured.
    let cures = |kind: &RemedyKind| {
        let remedy = conclusion
            .remedies
            .iter()
            .find(|remedy| remedy.kind == *kind);
        remedy.unwrap().cures
    };
    assert!(cures(&RemedyKind::Input(1.0)));
    assert!(cures(&RemedyKind::Activation("relu".into())));
}

#[test]
fn a_linear_chain_is_cured_by_a_weight_of_one() {
    let conclusion = examine("identity", 50, 1.0, 0.5, &[]).conclusion;
    // The weights lose 14.75 decades that the shrinking forward signal gives back to ∂f/∂w.
    assert_eq!(conclusion.tendency, Tendency::Steady);
    let conclusion = examine("tanh", 50, 1.0, 0.5, &[]).conclusion;
    assert!(conclusion.decades_lost().unwrap().abs() < 3.0);
}

#[test]
fn saturation_at_a_large_weight_is_told_and_a_smaller_weight_found() {
    let conclusion = examine("tanh", 50, 1.0, 2.0, &[]).conclusion;
    assert_eq!(conclusion.tendency, Tendency::Vanishes);
    let remedy = conclusion
        .remedies
        .iter()
        .find(|remedy| matches!(remedy.kind, RemedyKind::Weight(_)))
        .unwrap();
    assert!(remedy.cures, "{remedy:?}");
    let RemedyKind::Weight(weight) = remedy.kind else {
        unreachable!()
    };
    assert!(weight < 2.0);
    let again = examine("tanh", 50, 1.0, weight, &[]).conclusion;
    let lost = again.decades_lost().unwrap();
    assert!((lost - remedy.decades_lost.unwrap()).abs() < 1e-9);
}

#[test]
fn the_engine_agrees_with_the_chain_rule() {
    for entry in crate::ops::activation::registry() {
        for (depth, x, w) in [(4, 100.0, 1.0), (4, 0.7, -0.8), (12, -1.3, 1.1)] {
            let examination = examine(entry.about.name, depth, x, w, &[]);
            let Autograd::Ran { difference, .. } = examination.autograd else {
                panic!("{}: {:?}", entry.about.name, examination.autograd);
            };
            let Some(difference) = difference else {
                // The derivatives of the first two are u² and u near 0, to where their signals fall;
                // the last one's signal is infinite after two layers.
                assert!(["tanhshrink", "gaussian", "exp"].contains(&entry.about.name));
                continue;
            };
            assert!(
                difference.relative < 1e-11,
                "{} at {depth} {x} {w}: {difference:?}",
                entry.about.name
            );
        }
    }
}

#[test]
fn the_engine_says_where_f64_cannot_hold_the_forward_signal() {
    let examination = examine("identity", 2000, 1.0, 2.0, &[]);
    let Autograd::Ran {
        difference, unheld, ..
    } = examination.autograd
    else {
        panic!("{:?}", examination.autograd);
    };
    assert_eq!(unheld, Some(1001));
    assert!(difference.unwrap().relative < 1e-12, "{difference:?}");
}

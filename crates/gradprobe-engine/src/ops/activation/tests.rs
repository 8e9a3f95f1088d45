#![allow(clippy::unwrap_used)]

use super::*;
use crate::num::{Shape, View, ViewMut};
use crate::ops::{Context, Kernel, Op, Saved};
use proptest::prelude::*;
use std::sync::Arc;

fn every_activation() -> Vec<Arc<dyn Activation>> {
    let mut all: Vec<_> = registry()
        .iter()
        .map(|entry| entry.make(None).unwrap())
        .collect();
    for text in ["leaky-relu=0.2", "elu=2", "celu=2", "softshrink=1.5"] {
        all.push(parse(text).unwrap());
    }
    all
}

fn table(text: &str) -> impl Iterator<Item = Vec<&str>> {
    text.lines()
        .skip(1)
        .map(|line| line.split(',').collect::<Vec<_>>())
}

fn close(got: f64, expected: f64, relative: f64) -> bool {
    got == expected || (got - expected).abs() <= relative * expected.abs()
}

/// Where φ′ of a gate is the small difference of two numbers of about 1/5.
fn near_zero_crossing(name: &str, x: f64, error: f64) -> bool {
    let gated = ["gelu", "gelu-tanh", "silu", "mish"].contains(&name);
    gated && (-2.0..0.0).contains(&x) && error.abs() < 2e-16
}

/// Relative errors that the formulas cannot avoid, beyond a few units in the last place: near a
/// zero crossing of a derivative that is a sum, and where a rounded argument is exponentiated.
fn tolerance(name: &str, x: f64) -> f64 {
    match name {
        "gelu-tanh" => 4e-16 * (4.0 + x.abs().min(40.0).powi(3)),
        "celu=2" => 4e-16 * (4.0 + x.abs()),
        _ => 2e-15,
    }
}

#[test]
fn values_and_derivatives_agree_with_mpmath() {
    let mut rows = 0;
    for row in table(include_str!("testdata/values.csv")) {
        let activation = parse(row[0]).unwrap();
        let [x, value, derivative, ln_abs] =
            [row[1], row[2], row[3], row[4]].map(|cell| cell.parse::<f64>().unwrap());
        let relative = tolerance(row[0], x);
        // Subnormal results have fewer digits, and a gate of one is multiplied by x.
        let digits = |expected: f64| {
            if expected.abs() < 1e-300 {
                relative.max(5e-324 * (2.0 + x.abs()) / expected.abs().max(5e-324))
            } else {
                relative
            }
        };
        let got = activation.value(x);
        assert!(
            close(got, value, digits(value)),
            "{}({x}) = {got}, not {value}",
            row[0]
        );
        let got = activation.derivative(x);
        assert!(
            close(got, derivative, digits(derivative))
                || near_zero_crossing(row[0], x, got - derivative),
            "{}'({x}) = {got}, not {derivative}",
            row[0]
        );
        let got = activation.log_derivative(x);
        assert!(
            got.ln_abs == ln_abs || (got.ln_abs - ln_abs).abs() <= 1e-14 * (1.0 + ln_abs.abs()),
            "ln|{}'({x})| = {}, not {ln_abs}",
            row[0],
            got.ln_abs
        );
        let negative = row[3].starts_with('-');
        let sign = if ln_abs == f64::NEG_INFINITY {
            0.0
        } else if negative {
            -1.0
        } else {
            1.0
        };
        assert_eq!(got.sign, sign, "sign of {}'({x})", row[0]);
        rows += 1;
    }
    assert!(rows > 1800);
}

#[test]
fn derivatives_at_kinks_and_naive_formulas_are_those_of_pytorch() {
    for row in table(include_str!("testdata/framework.csv")) {
        let activation = parse(row[0]).unwrap();
        let [x, value, derivative] =
            [row[1], row[2], row[3]].map(|cell| cell.parse::<f64>().unwrap());
        if activation.at_kink(x) {
            let got = activation.derivative(x);
            let expected = if row[0] == "hard-sigmoid" {
                // PyTorch's sixth is one of f32.
                derivative * (1.0 / 6.0) / f64::from(1.0f32 / 6.0)
            } else {
                derivative
            };
            assert!(
                close(got, expected, 1e-15),
                "{}'({x}) = {got}, not {derivative}",
                row[0]
            );
        }
        // Cancellation makes noise of the size of f64's rounding, so the comparison is absolute
        // beside it; it is the zero that must be shown.
        let y = activation.framework_value(x);
        assert!(
            (y - value).abs() <= 4e-16 * value.abs() + 4e-16,
            "{}({x}) = {y}, PyTorch has {value}",
            row[0]
        );
        let got = activation.framework_derivative(x, value);
        assert!(
            (got - derivative).abs() <= 1e-15 * derivative.abs() + 4e-16,
            "{}'({x}) = {got}, PyTorch has {derivative}",
            row[0]
        );
    }
}

#[test]
fn a_framework_loses_a_saturated_gradient_and_we_do_not() {
    for (name, x) in [("tanh", 20.0), ("sigmoid", 40.0)] {
        let activation = parse(name).unwrap();
        let y = activation.framework_value(x);
        assert_eq!(activation.framework_derivative(x, y), 0.0);
        assert!(activation.derivative(x) > 1e-18);
    }
}

proptest! {
    #[test]
    fn derivatives_agree_with_central_differences(x in -30.0..30.0f64) {
        let h = 1e-5;
        for activation in every_activation() {
            if activation.kinks().iter().any(|kink| (x - kink).abs() <= 2.0 * h) {
                continue;
            }
            let numeric = (activation.value(x + h) - activation.value(x - h)) / (2.0 * h);
            let derivative = activation.derivative(x);
            // Rounding of the values over the step, and the third derivative.
            let floor = 4.0 * f64::EPSILON * activation.value(x).abs() / h + 4.0 * h * h;
            let error = (numeric - derivative).abs();
            prop_assert!(
                error <= 1e-6 * derivative.abs() + floor,
                "{}'({x}) = {derivative}, central difference {numeric}", activation.label()
            );
        }
    }

    #[test]
    fn slices_get_what_scalars_get(
        x in prop::collection::vec(prop_oneof![
            -40.0..40.0f64,
            -1e6..1e6f64,
            Just(0.0), Just(-0.0), Just(f64::INFINITY), Just(f64::NEG_INFINITY), Just(f64::NAN),
            any::<f64>(),
        ], 0..70),
    ) {
        for activation in every_activation() {
            check_slices::<f64>(&*activation, &x);
            let x32: Vec<f32> = x.iter().map(|&x| x as f32).collect();
            check_slices::<f32>(&*activation, &x32);
        }
    }
}

fn check_slices<T: ActivationElement>(activation: &dyn Activation, x: &[T]) {
    let kernel = T::activation(activation);
    let mut y = vec![T::zero(); x.len()];
    let mut d = y.clone();
    let mut g = y.clone();
    let mut y2 = y.clone();
    let c: Vec<T> = (0..x.len()).map(|i| T::from_f64(i as f64 - 3.5)).collect();
    kernel.apply(x, &mut y);
    kernel.value_and_derivative(x, &mut y2, &mut d);
    kernel.vjp(x, &c, &mut g);
    let same = |a: T, b: T| a == b || (a.is_nan() && b.is_nan());
    for i in 0..x.len() {
        let label = activation.label();
        assert!(same(y[i], kernel.value(x[i])), "{label}({})", x[i]);
        assert!(same(y2[i], y[i]), "{label}({})", x[i]);
        assert!(same(d[i], kernel.derivative(x[i])), "{label}'({})", x[i]);
        // Straight lines select; what becomes of a NaN is PyTorch's choice (see `non_finite.json`).
        assert!(
            same(g[i], c[i] * d[i]) || (x[i].is_nan() && !activation.underflows()),
            "{label} pulled back at {}: {}",
            x[i],
            g[i]
        );
    }
}

#[test]
fn nan_comes_out_as_nan_and_infinities_as_limits_or_as_pytorch_has_them() {
    for activation in every_activation() {
        let label = activation.label();
        assert!(activation.value(f64::NAN).is_nan(), "{label}");
        assert!(activation.derivative(f64::NAN).is_nan(), "{label}");
        assert!(activation.log_derivative(f64::NAN).sign.is_nan(), "{label}");
        if label == "sin" {
            continue;
        }
        if ["gelu", "gelu-tanh", "silu", "mish", "softsign", "gaussian"].contains(&&*label) {
            // ∞ × 0 or ∞/∞ in PyTorch, and here.
            for x in [f64::INFINITY, f64::NEG_INFINITY] {
                assert!(activation.derivative(x).is_nan(), "{label}'({x})");
            }
            continue;
        }
        for (x, near) in [(f64::INFINITY, 1e15), (f64::NEG_INFINITY, -1e15)] {
            if label == "hard-swish" && x < 0.0 {
                // −∞ × 0, but its slope is selected.
                assert!(activation.value(x).is_nan());
                assert_eq!(activation.derivative(x), 0.0);
                continue;
            }
            let (value, derivative) = (activation.value(x), activation.derivative(x));
            let expected = activation.value(near);
            if expected.abs() > 1e5 {
                assert_eq!(value, x * expected.signum() * near.signum(), "{label}({x})");
            } else if label == "log-sigmoid" && x < 0.0 {
                assert_eq!(value, x);
            } else {
                assert!((value - expected).abs() < 1e-12, "{label}({x}) = {value}");
            }
            let expected = activation.derivative(near);
            assert!(
                derivative == expected || (derivative - expected).abs() < 1e-12,
                "{label}'({x}) = {derivative}, not {expected}"
            );
            let ln_abs = activation.ln_abs_derivative(x);
            assert!(
                (ln_abs == f64::NEG_INFINITY && derivative == 0.0)
                    || close(ln_abs.exp(), derivative, 1e-15),
                "ln|{label}'({x})| = {ln_abs}"
            );
        }
    }
}

#[test]
fn what_is_written_about_a_range_holds() {
    for activation in every_activation() {
        let label = activation.label();
        let (least, most) = activation.range();
        let steepest = activation.steepest();
        let mut seen = 0.0f64;
        for step in -400_000..=400_000 {
            let x = f64::from(step) * 1e-4;
            let value = activation.value(x);
            assert!(
                value >= least - 1e-15 && value <= most,
                "{label}({x}) = {value}"
            );
            let derivative = activation.derivative(x).abs();
            assert!(
                derivative <= steepest * (1.0 + 4e-16),
                "{label}'({x}) = {derivative}"
            );
            seen = seen.max(derivative);
            let flat = activation
                .flat_regions()
                .iter()
                .any(|&(from, to)| from <= x && x <= to);
            if flat {
                assert_eq!(derivative, 0.0, "{label}'({x})");
            } else if x != 0.0 && x != -1.5 && !activation.underflows() {
                // (−1.5 is where the parabola of hard-swish turns.)
                assert_ne!(derivative, 0.0, "{label}'({x})");
            }
        }
        // The exponential has no bound.
        let steep = if steepest.is_finite() { steepest } else { 1e17 };
        assert!(seen >= 0.999 * steep, "{label} is at most {seen} steep");
    }
}

#[test]
fn every_label_is_parsed_back() {
    for activation in every_activation() {
        let again = parse(&activation.label()).unwrap();
        assert_eq!(again.label(), activation.label());
    }
    assert_eq!(parse("leaky-relu=0.2").unwrap().label(), "leaky-relu=0.2");
}

#[test]
fn aliases_underscores_and_case_do_not_matter() {
    for (text, name) in [
        ("swish", "silu"),
        ("leaky_relu", "leaky-relu"),
        ("LeakyReLU", "leaky-relu"),
        ("gelu_tanh", "gelu-tanh"),
        ("hardtanh", "hard-tanh"),
        ("logistic", "sigmoid"),
        ("atan", "arctan"),
        (" ReLU ", "relu"),
        ("LogSigmoid", "log-sigmoid"),
    ] {
        assert_eq!(parse(text).unwrap().name(), name);
    }
}

#[test]
fn no_name_is_taken_twice() {
    let mut seen = std::collections::HashSet::new();
    for entry in registry() {
        for name in std::iter::once(&entry.about.name).chain(entry.about.aliases) {
            assert!(seen.insert(*name), "{name} is there twice");
            assert_eq!(parse(name).unwrap().name(), entry.about.name);
        }
    }
}

#[test]
fn bad_names_and_parameters_get_one_clear_message() {
    let message = |text: &str| parse(text).unwrap_err().to_string();
    assert_eq!(
        message("tahn"),
        "unknown activation `tahn`, did you mean `tanh`?"
    );
    assert_eq!(
        message("sigmiod"),
        "unknown activation `sigmiod`, did you mean `sigmoid`?"
    );
    assert_eq!(
        message("\u{1b}[31mzzzzzz"),
        "unknown activation `\\u{1b}[31mzzzzzz`"
    );
    assert_eq!(message("tanh=2"), "activation `tanh` takes no parameter");
    assert_eq!(
        message("elu=-1"),
        "activation `elu`: alpha is `-1`, expected a number above 0"
    );
    assert_eq!(
        message("leaky-relu=x"),
        "activation `leaky-relu`: slope is `x`, expected a finite number"
    );
    assert_eq!(
        message("leaky-relu=nan"),
        "activation `leaky-relu`: slope is `NaN`, expected a finite number"
    );
    assert_eq!(message(""), "unknown activation ``");
}

#[test]
fn formulas_are_written_with_their_argument() {
    let leaky = parse("leaky-relu=0.2").unwrap();
    assert_eq!(leaky.value_text("u1"), "max(0, u1) + 0.2·min(0, u1)");
    let tanh = parse("tanh").unwrap();
    assert_eq!(
        tanh.derivative_tex("w_1 x"),
        r"\operatorname{sech}^2(w_1 x)"
    );
    for activation in every_activation() {
        for text in [
            activation.value_text("w1"),
            activation.derivative_text("w1"),
            activation.value_tex("w1"),
            activation.derivative_tex("w1"),
        ] {
            let open = text.matches('{').count();
            assert_eq!(open, text.matches('}').count(), "{text}");
            assert!(!text.contains("{u}") && !text.contains("{a}"), "{text}");
        }
    }
}

fn pull_back<T: ActivationElement>(name: &str, x: &[T], cotangent: &[T]) -> (Vec<T>, i64)
where
    ActivationOp: Kernel<T>,
{
    let op = ActivationOp::new(parse(name).unwrap());
    let shape = Shape::from([x.len()]);
    let mut y = vec![T::zero(); x.len()];
    let input = [View {
        shape: &shape,
        data: x,
    }];
    Kernel::<T>::forward(
        &op,
        &Context::default(),
        &input,
        &mut [ViewMut {
            shape: &shape,
            data: &mut y,
        }],
    )
    .unwrap();
    let mut gradient = vec![T::from_f64(f64::NAN); x.len()];
    let exponent = Kernel::<T>::vjp(
        &op,
        &Context::default(),
        Saved {
            inputs: &input,
            outputs: &[View {
                shape: &shape,
                data: &y,
            }],
        },
        &[Some(View {
            shape: &shape,
            data: cotangent,
        })],
        &mut [Some(ViewMut {
            shape: &shape,
            data: &mut gradient,
        })],
    )
    .unwrap();
    (gradient, exponent)
}

#[test]
fn a_saturated_tanh_passes_a_gradient_in_f32() {
    let (gradient, exponent) =
        pull_back::<f32>("tanh", &[100.0, -101.0, 3000.0], &[2.0, -3.0, 1.0]);
    // 2·sech²(100) = 8e^(−200).
    let expected = 8f64.ln() - 200.0;
    let got = f64::from(gradient[0]).ln() + exponent as f64 * std::f64::consts::LN_2;
    assert!((got - expected).abs() < 1e-6, "{got}, not {expected}");
    assert!(gradient[1] < 0.0);
    assert_eq!(gradient[2], 0.0);
    assert!((0.5..=2.0).contains(&gradient[0]));
}

#[test]
fn an_underflowing_gradient_keeps_its_sign() {
    let (gradient, exponent) = pull_back::<f64>("gelu", &[-100.0], &[1.0]);
    assert!(gradient[0] < 0.0);
    let log2 = gradient[0].abs().log2() + exponent as f64;
    // ln|gelu'(−100)| by mpmath, in values.csv.
    let expected = parse("gelu").unwrap().ln_abs_derivative(-100.0) * std::f64::consts::LOG2_E;
    assert!((log2 - expected).abs() < 1e-9 && expected < -7000.0);
}

#[test]
fn ordinary_gradients_and_true_zeros_have_no_exponent() {
    let (gradient, exponent) = pull_back::<f32>("tanh", &[0.0, 100.0], &[1.5, 1.0]);
    assert_eq!((gradient[0], gradient[1], exponent), (1.5, 0.0, 0));
    for name in ["relu", "hard-tanh"] {
        let (gradient, exponent) = pull_back::<f32>(name, &[-5.0], &[1.0]);
        assert_eq!((gradient[0], exponent), (0.0, 0), "{name}");
    }
    let (gradient, exponent) = pull_back::<f64>("tanh", &[1000.0, 1.0], &[0.0, 0.0]);
    assert_eq!((gradient, exponent), (vec![0.0, 0.0], 0));
}

#[test]
fn nan_reaches_the_gradient_but_through_no_flat_part() {
    let (gradient, _) = pull_back::<f32>("tanh", &[f32::NAN, 50.0], &[1.0, 1.0]);
    assert!(gradient[0].is_nan());
    let (gradient, _) = pull_back::<f32>("relu", &[-1.0, 1.0], &[f32::NAN; 2]);
    assert_eq!(gradient[0], 0.0);
    assert!(gradient[1].is_nan());
    let (gradient, _) = pull_back::<f32>("clip(x, 0, 6)", &[-1.0, 1.0], &[f32::INFINITY; 2]);
    assert_eq!(gradient, [0.0, f32::INFINITY]);
}

#[test]
fn the_op_keeps_the_shape_and_takes_one_input() {
    let op = ActivationOp::new(parse("relu").unwrap());
    let shape = Shape::from([2, 3]);
    assert_eq!(op.infer(&[&shape]).unwrap(), std::slice::from_ref(&shape));
    assert!(op.infer(&[&shape, &shape]).is_err());
    assert!(op.activation().is_some());
}

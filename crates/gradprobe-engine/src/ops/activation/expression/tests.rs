use super::*;
use crate::ops::activation::parse as activation;

fn expression(text: &str) -> Expression {
    Expression::parse(text).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn what_is_written_out_is_what_the_registry_has() {
    for (text, name) in [
        ("x*tanh(softplus(x))", "mish"),
        ("x * tanh(log(1 + exp(x)))", "mish"),
        ("x*sigmoid(x)", "silu"),
        ("x/(1+exp(-x))", "silu"),
        ("0.5*x*(1+erf(x/sqrt(2)))", "gelu"),
        ("0.5*x*(1+tanh(sqrt(2/pi)*(x+0.044715*x^3)))", "gelu-tanh"),
        ("max(x, 0)", "relu"),
        ("relu(x)", "relu"),
        ("(x + abs(x))/2", "relu"),
        ("clip(x, -1, 1)", "hard-tanh"),
        ("x*clip(x+3, 0, 6)/6", "hard-swish"),
        ("max(x, 0.2*x)", "leaky-relu=0.2"),
        ("leaky_relu(x, 0.2)", "leaky-relu=0.2"),
        ("sin(x)", "sine"),
        ("exp(-x^2)", "gaussian"),
        ("x / (1 + abs(x))", "softsign"),
        ("sinh(x)/cosh(x)", "tanh"),
        ("(e^x - e**(-x))/(exp(x) + exp(-x))", "tanh"),
    ] {
        let (ours, theirs) = (expression(text), activation(name).expect("known"));
        for x in [
            -40.0, -3.7, -2.0, -0.6, -1e-3, 1e-3, 0.5, 1.7, 2.9, 7.0, 40.0, 1000.0, -1000.0,
        ] {
            let close = |a: f64, b: f64| (a - b).abs() <= 1e-13 * (1.0 + b.abs());
            let (value, derivative) = ours.both(x);
            assert!(close(value, theirs.value(x)), "{text} at {x}: {value}");
            assert!(
                close(derivative, theirs.derivative(x)),
                "{text}' at {x}: {derivative}"
            );
        }
        // The density's scale in `gaussian`, and kinks of a second derivative, are not told here.
        assert_eq!(ours.kinks(), theirs.kinks(), "{text}");
        let (a, b) = (ours.range(), theirs.range());
        assert!(
            a == b || ((a.0 - b.0).abs() < 1e-5 && (a.1 == b.1 || (a.1 - b.1).abs() < 1e-5)),
            "{text}: {a:?} {b:?}"
        );
        assert!(
            (ours.steepest() - theirs.steepest()).abs() < 1e-5,
            "{text}: {}",
            ours.steepest()
        );
        assert_eq!(ours.flat_regions(), theirs.flat_regions(), "{text}");
    }
}

#[test]
fn powers_bind_to_the_right_and_before_a_sign() {
    for (text, at_two) in [
        ("-x^2", -4.0),
        ("2^3^x/512 + x - 2", 1.0),
        ("x - 1 - 1", 0.0),
        ("8 / x / 2", 2.0),
        ("2*-x", -4.0),
        ("x^-1", 0.5),
        ("1.5e1 + x", 17.0),
        (".5*x", 1.0),
    ] {
        let tree = parse::parse(text).expect(text);
        let value = tree.dual(2.0f64).0;
        assert!((value - at_two).abs() < 1e-12, "{text}: {value}");
    }
}

#[test]
fn a_mistake_is_pointed_at() {
    for (text, column, words) in [
        ("x*tnh(x)", 2, "did you mean `tanh`?"),
        ("x*", 2, "ends where"),
        ("x*(x+1", 6, "expected `)`, and the expression ends"),
        ("x $ 2", 2, "expected an operator or the end, not `$`"),
        ("y*(2)", 0, "the variable is `x`"),
        ("x*tanh + 1", 2, "write `tanh(x)`"),
        ("clip(x, 1)", 0, "3 arguments"),
        ("max(x)", 0, "2 arguments"),
        ("leaky_relu(x, x)", 0, "a number after the comma"),
        ("x + 1e999", 4, "not a number of double precision"),
        ("log(x)", 0, "not a finite number at x = "),
        ("1/x*(x*x)/0", 0, "not a finite number at x = "),
        ("é*(x)", 0, "unknown name"),
    ] {
        let error = Expression::parse(text).expect_err(text);
        assert!(error.message.contains(words), "{text}: {error}");
        assert_eq!(error.column, column, "{text}: {error}");
    }
    let deep = format!("{}x{}", "(".repeat(500), ")".repeat(500));
    assert!(Expression::parse(&deep).is_err());
    assert!(Expression::parse(&"-".repeat(5000)).is_err());
    assert!(Expression::parse(&"x^".repeat(400)).is_err());
}

#[test]
fn tails_are_exact_where_f64_has_none() {
    let gaussian = expression("exp(-x^2)");
    let tail = gaussian.log_derivative(40.0);
    // −80 e^(−1600).
    assert_eq!(tail.sign, -1.0);
    assert!(
        (tail.ln_abs - (80f64.ln() - 1600.0)).abs() < 1e-9,
        "{}",
        tail.ln_abs
    );
    assert!(gaussian.underflows());
    assert!(!expression("max(x, 0) + 1").underflows());
}

//! The trigonometric and hyperbolic functions and their derivatives, in units in the last place,
//! against 200 bits; and what becomes of borders, infinities and NaN.

use crate::draw::Draw;
use astro_float::{BigFloat, Consts, RoundingMode, Sign};
use gradprobe_engine::num::Tensor;
use gradprobe_engine::ops::*;

const BITS: usize = 200;
const ROUND: RoundingMode = RoundingMode::ToEven;

type Exact = fn(&BigFloat, &mut Consts) -> BigFloat;

/// A function, its derivative, and where they are tried.
struct Function {
    op: &'static dyn Op,
    value: Exact,
    derivative: Exact,
    points: fn(&mut Draw) -> f64,
    /// The largest error of the value and of the derivative in ulp of f64. (That of tan is
    /// squared in its derivative.)
    bounds: (f64, f64),
}

fn one() -> BigFloat {
    BigFloat::from_f64(1.0, BITS)
}

/// x² + offset; the square of a f64 is exact in 200 bits.
fn square_plus(x: &BigFloat, offset: f64) -> BigFloat {
    let square = x.mul(x, BITS, ROUND);
    square.add(&BigFloat::from_f64(offset, BITS), BITS, ROUND)
}

fn inverse_root(x: &BigFloat) -> BigFloat {
    one().div(&x.sqrt(BITS, ROUND), BITS, ROUND)
}

fn asin_slope(x: &BigFloat, _constants: &mut Consts) -> BigFloat {
    inverse_root(&square_plus(x, -1.0).neg())
}

const FUNCTIONS: &[Function] = &[
    Function {
        op: &Acos,
        value: |x, constants| x.acos(BITS, ROUND, constants),
        derivative: |x, constants| asin_slope(x, constants).neg(),
        points: near_one,
        bounds: (1.0, 2.0),
    },
    Function {
        op: &Acosh,
        value: |x, constants| x.acosh(BITS, ROUND, constants),
        derivative: |x, _| inverse_root(&square_plus(x, -1.0)),
        points: above_one,
        bounds: (2.1, 2.0),
    },
    Function {
        op: &Asin,
        value: |x, constants| x.asin(BITS, ROUND, constants),
        derivative: asin_slope,
        points: near_one,
        bounds: (1.0, 2.0),
    },
    Function {
        op: &Asinh,
        value: |x, constants| x.asinh(BITS, ROUND, constants),
        derivative: |x, _| inverse_root(&square_plus(x, 1.0)),
        points: any_size,
        bounds: (2.0, 2.0),
    },
    Function {
        op: &Atanh,
        value: |x, constants| x.atanh(BITS, ROUND, constants),
        derivative: |x, _| one().div(&square_plus(x, -1.0).neg(), BITS, ROUND),
        points: near_one,
        bounds: (2.0, 2.5),
    },
    Function {
        op: &Cosh,
        value: |x, constants| x.cosh(BITS, ROUND, constants),
        derivative: |x, constants| x.sinh(BITS, ROUND, constants),
        points: moderate,
        bounds: (1.5, 2.0),
    },
    Function {
        op: &Sinh,
        value: |x, constants| x.sinh(BITS, ROUND, constants),
        derivative: |x, constants| x.cosh(BITS, ROUND, constants),
        points: moderate,
        bounds: (2.0, 1.5),
    },
    Function {
        op: &Tan,
        value: |x, constants| x.tan(BITS, ROUND, constants),
        derivative: |x, constants| square_plus(&x.tan(BITS, ROUND, constants), 1.0),
        points: near_poles,
        bounds: (1.0, 3.0),
    },
];

/// A number of any size between two powers of two, of either sign.
fn sized(draw: &mut Draw, least: f64, most: f64) -> f64 {
    let size = draw.real(least, most).exp2();
    if draw.coin() { size } else { -size }
}

/// Between −1 and 1: near 0, in the middle, or near an end.
fn near_one(draw: &mut Draw) -> f64 {
    match draw.size(0, 2) {
        0 => sized(draw, -60.0, -1.0),
        1 => draw.real(-1.0, 1.0),
        _ => (1.0 - sized(draw, -52.0, -1.0).abs()).copysign(draw.real(-1.0, 1.0)),
    }
}

fn above_one(draw: &mut Draw) -> f64 {
    let most = [1.0, 60.0, 1000.0][draw.size(0, 2)];
    1.0 + sized(draw, -52.0, most).abs()
}

fn any_size(draw: &mut Draw) -> f64 {
    let most = [3.0, 60.0, 1000.0][draw.size(0, 2)];
    sized(draw, -60.0, most)
}

fn moderate(draw: &mut Draw) -> f64 {
    sized(draw, -60.0, 9.4)
}

/// Near a multiple of π/2, or of any size up to 2^60.
fn near_poles(draw: &mut Draw) -> f64 {
    match draw.size(0, 1) {
        0 => {
            let turns = draw.size(0, 200) as f64 - 100.0;
            turns * std::f64::consts::FRAC_PI_2 + sized(draw, -40.0, -2.0)
        }
        _ => sized(draw, -60.0, 60.0),
    }
}

/// The distance in ulp of a f64 of that size.
fn ulps(got: f64, exact: &BigFloat) -> f64 {
    let nearest: f64 = exact.to_string().parse().unwrap();
    let ulp = (nearest.abs().next_up() - nearest.abs()).max(5e-324);
    let difference = BigFloat::from_f64(got, BITS).sub(exact, BITS, ROUND);
    let difference: f64 = difference.to_string().parse().unwrap();
    difference.abs() / ulp
}

fn value_and_slope(op: &dyn Op, x: f64, g: f64) -> (f64, f64) {
    let context = Context::default();
    let inputs = [Tensor::new([], vec![x])];
    let outputs = apply(op, &context, &inputs).unwrap();
    let cotangents = [Tensor::new([], vec![g])];
    let pulled = apply_vjp(op, &context, &inputs, &outputs, &cotangents, &[true]).unwrap();
    let gradient = pulled.0[0].as_ref().unwrap().data()[0];
    (outputs[0].data()[0], gradient)
}

#[test]
fn functions_and_their_derivatives_are_right_to_two_units_in_the_last_place() {
    let mut constants = Consts::new().unwrap();
    for function in FUNCTIONS {
        let mut draw = Draw(7);
        let mut worst = [(0.0, 0.0); 2];
        for _ in 0..1500 {
            let x = (function.points)(&mut draw);
            let (value, slope) = value_and_slope(function.op, x, 1.0);
            let argument = BigFloat::from_f64(x, BITS);
            let exact = [function.value, function.derivative];
            for ((worst, got), exact) in worst.iter_mut().zip([value, slope]).zip(exact) {
                let exact = exact(&argument, &mut constants);
                assert!(!exact.is_nan(), "{} at {x}", function.op.name());
                if exact.is_inf() || exact.is_zero() {
                    let sign = if exact.sign() == Some(Sign::Neg) {
                        -1.0
                    } else {
                        1.0
                    };
                    let limit = if exact.is_zero() {
                        0.0
                    } else {
                        sign * f64::INFINITY
                    };
                    assert_eq!(got, limit, "{} at {x}", function.op.name());
                    continue;
                }
                let error = ulps(got, &exact);
                if error > worst.0 || error.is_nan() {
                    *worst = (error, x);
                }
            }
        }
        let [value, slope] = worst;
        let (name, bounds) = (function.op.name(), function.bounds);
        println!("{name}: {:.2} ulp, derivative {:.2} ulp", value.0, slope.0);
        assert!(value.0 <= bounds.0, "{name}({}): {} ulp", value.1, value.0);
        assert!(slope.0 <= bounds.1, "{name}'({}): {} ulp", slope.1, slope.0);
    }
}

/// PyTorch 2.15's gradients in double precision: at each of these x a sign for each of the
/// cotangents 1, 0, ∞ and NaN, `.` finite, `i` infinite, `n` not a number.
const BORDERS: [f64; 10] = [
    f64::NAN,
    f64::INFINITY,
    f64::NEG_INFINITY,
    1.0,
    -1.0,
    2.0,
    -2.0,
    0.0,
    0.5,
    800.0,
];
const OF_PYTORCH: [(&dyn Op, [&str; 10]); 8] = [
    (
        &Acos,
        [
            "nnnn", "nnnn", "nnnn", "inin", "inin", "nnnn", "nnnn", "..in", "..in", "nnnn",
        ],
    ),
    (
        &Acosh,
        [
            "nnnn", "..nn", "..nn", "inin", "inin", "..in", "..in", "nnnn", "nnnn", "..in",
        ],
    ),
    (
        &Asin,
        [
            "nnnn", "nnnn", "nnnn", "inin", "inin", "nnnn", "nnnn", "..in", "..in", "nnnn",
        ],
    ),
    (
        &Asinh,
        [
            "nnnn", "..nn", "..nn", "..in", "..in", "..in", "..in", "..in", "..in", "..in",
        ],
    ),
    (
        &Atanh,
        [
            "nnnn", "..nn", "..nn", "inin", "inin", "..in", "..in", "..in", "..in", "..in",
        ],
    ),
    (
        &Cosh,
        [
            "nnnn", "inin", "inin", "..in", "..in", "..in", "..in", "..nn", "..in", "inin",
        ],
    ),
    (
        &Sinh,
        [
            "nnnn", "inin", "inin", "..in", "..in", "..in", "..in", "..in", "..in", "inin",
        ],
    ),
    (
        &Tan,
        [
            "nnnn", "nnnn", "nnnn", "..in", "..in", "..in", "..in", "..in", "..in", "..in",
        ],
    ),
];

#[test]
fn gradients_at_borders_are_finite_where_pytorchs_are() {
    for (op, rows) in OF_PYTORCH {
        for (x, expected) in BORDERS.into_iter().zip(rows) {
            let sign = |g: f64| match value_and_slope(op, x, g).1 {
                slope if slope.is_nan() => 'n',
                slope if slope.is_infinite() => 'i',
                _ => '.',
            };
            let got: String = [1.0, 0.0, f64::INFINITY, f64::NAN]
                .map(sign)
                .iter()
                .collect();
            assert_eq!(got, expected, "{} at {x}", op.name());
        }
    }
}

#[test]
fn the_signs_of_zeros_and_the_limits_are_kept() {
    for op in [&Asin as &dyn Op, &Asinh, &Atanh, &Sinh, &Tan] {
        let (value, _) = value_and_slope(op, -0.0, 1.0);
        assert!(value == 0.0 && value.is_sign_negative(), "{}", op.name());
    }
    let at = |op: &dyn Op, x: f64| value_and_slope(op, x, 1.0).0;
    assert_eq!(at(&Atanh, -1.0), f64::NEG_INFINITY);
    assert_eq!(at(&Acosh, 1.0), 0.0);
    assert!(at(&Acosh, -2.0).is_nan() && at(&Acos, 1.1).is_nan() && at(&Atanh, 2.0).is_nan());
    assert_eq!(at(&Sinh, -1e5), f64::NEG_INFINITY);
    // The derivative does not overflow where the square does.
    let (_, slope) = value_and_slope(&Asinh, 1e200, 1.0);
    assert!((slope / 1e-200 - 1.0).abs() < 1e-15);
}

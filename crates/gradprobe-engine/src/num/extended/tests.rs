use super::*;
use astro_float::{BigFloat, Consts, RoundingMode};

/// Relative error that every elementary function stays below: 30 digits.
const FUNCTION_ERROR: f64 = 1e-30;

fn parse(fields: &[&str]) -> Extended {
    let hi: f64 = fields[0].parse().expect("a significand");
    let lo: f64 = fields[1].parse().expect("a significand");
    let exponent: i64 = fields[2].parse().expect("an exponent");
    Extended::normalised(Dd::new(hi, lo), exponent)
}

fn relative_error(got: Extended, expected: Extended) -> f64 {
    if got == expected {
        return 0.0;
    }
    ((got - expected) / expected).abs().to_f64()
}

fn function(name: &str) -> fn(Extended) -> Extended {
    match name {
        "exp" => Extended::exp,
        "exp_m1" => Extended::exp_m1,
        "ln" => Extended::ln,
        "ln_1p" => Extended::ln_1p,
        "tanh" => Extended::tanh,
        "sech_squared" => Extended::sech_squared,
        "sigmoid" => Extended::sigmoid,
        "erf" => Extended::erf,
        "erfc" => Extended::erfc,
        "sin" => Extended::sin,
        "cos" => Extended::cos,
        "atan" => Extended::atan,
        other => panic!("no function {other}"),
    }
}

#[test]
fn elementary_functions_agree_with_mpmath_to_30_digits() {
    let mut worst: std::collections::BTreeMap<&str, (f64, f64)> = Default::default();
    let mut rows = 0;
    for line in include_str!("../../../tests/data/extended.csv").lines() {
        if line.starts_with('#') {
            continue;
        }
        let fields: Vec<&str> = line.split(',').collect();
        let (argument, expected) = (parse(&fields[1..4]), parse(&fields[4..7]));
        let error = relative_error(function(fields[0])(argument), expected);
        let entry = worst.entry(fields[0]).or_insert((0.0, 0.0));
        if error > entry.0 || error.is_nan() {
            *entry = (error, argument.to_f64());
        }
        rows += 1;
    }
    println!("{worst:?}");
    assert!(rows > 1000);
    for (name, (error, argument)) in worst {
        assert!(error < FUNCTION_ERROR, "{name}({argument}): {error:e}");
    }
}

/// The exact sum or product of the two f64 as a big number.
fn big(x: f64) -> BigFloat {
    BigFloat::from_f64(x, 300)
}

fn from_big(value: &BigFloat) -> Extended {
    // Two roundings, each taken off what is left.
    let text = value.to_string();
    let hi: f64 = text.parse().expect("astro-float prints a number");
    let rest = value.sub(&big(hi), 300, RoundingMode::ToEven);
    let lo: f64 = rest
        .to_string()
        .parse()
        .expect("astro-float prints a number");
    Extended::from_sum(hi, lo)
}

#[test]
fn functions_agree_with_astro_float_between_the_rows_of_the_table() {
    let mut constants = Consts::new().expect("constants");
    let round = RoundingMode::ToEven;
    let mut x = 0.013;
    while x < 40.0 {
        let argument = big(x);
        let cases = [
            (
                Extended::from_f64(x).exp(),
                argument.exp(300, round, &mut constants),
            ),
            (
                Extended::from_f64(-x).exp(),
                big(-x).exp(300, round, &mut constants),
            ),
            (
                Extended::from_f64(x).tanh(),
                argument.tanh(300, round, &mut constants),
            ),
            (
                Extended::from_f64(x).ln(),
                argument.ln(300, round, &mut constants),
            ),
            (
                Extended::from_f64(x).sin(),
                argument.sin(300, round, &mut constants),
            ),
            (
                Extended::from_f64(x).cos(),
                argument.cos(300, round, &mut constants),
            ),
            (
                Extended::from_f64(x).atan(),
                argument.atan(300, round, &mut constants),
            ),
        ];
        for (index, (got, expected)) in cases.iter().enumerate() {
            let error = relative_error(*got, from_big(expected));
            assert!(error < FUNCTION_ERROR, "case {index} at {x}: {error:e}");
        }
        x *= 1.037;
    }
}

#[test]
fn a_series_of_operations_stays_within_its_error_bound() {
    // (a + b)(a − b) = a² − b² with operands of 106 bits.
    let mut a = Extended::from_sum(1.1, 3e-17);
    for step in 1..2000 {
        let b = a / Extended::from_f64(step as f64 + 0.3);
        let left = (a + b) * (a - b);
        let right = a * a - b * b;
        let error = ((left - right) / (a * a)).abs().to_f64();
        assert!(error < 2f64.powi(-102), "step {step}: {error:e}");
        a = a + Extended::from_sum(0.37, 1e-18);
    }
}

#[test]
fn exponents_neither_overflow_nor_underflow() {
    let tiny = Extended::from_f64(-1e15).exp();
    assert_eq!(tiny.log10_abs(), -434_294_481_903_251.8);
    let square = tiny * tiny * Extended::from_f64(1e15).exp();
    assert!(relative_error(square, tiny) < 1e-28);
    assert!(!tiny.is_zero() && !tiny.out_of_range());
}

#[test]
fn an_exponential_beyond_the_exponent_is_a_bound_and_not_a_zero() {
    let below = Extended::from_f64(-1e30).exp();
    assert!(below.out_of_range() && below.sign() == 1);
    assert!((below * below).out_of_range());
    assert!(
        below.to_decimal(18).starts_with("<1e-"),
        "{}",
        below.to_decimal(18)
    );
}

#[test]
fn infinities_and_nan_behave_as_in_f64() {
    let infinity = Extended::from_f64(f64::INFINITY);
    assert!((infinity - infinity).is_nan());
    assert!((infinity * Extended::ZERO).is_nan());
    assert_eq!(infinity + Extended::ONE, infinity);
    assert_eq!(Extended::ONE / infinity, Extended::ZERO);
    assert_eq!(Extended::ONE / Extended::ZERO, infinity);
    assert_eq!((-infinity).exp(), Extended::ZERO);
    assert!(Extended::from_f64(f64::NAN).tanh().is_nan());
    assert!(Extended::from_f64(f64::NAN).erfc().is_nan());
    assert!(Extended::from_f64(-1.0).ln().is_nan());
    assert_eq!(infinity.tanh(), Extended::ONE);
    assert_eq!(infinity.sigmoid(), Extended::ONE);
    assert_eq!((-infinity).sigmoid(), Extended::ZERO);
    assert_eq!(infinity.sech_squared(), Extended::ZERO);
    assert!(
        infinity
            .partial_cmp(&Extended::from_f64(f64::NAN))
            .is_none()
    );
}

#[test]
fn numbers_are_ordered_by_value() {
    let ascending = [
        Extended::from_f64(f64::NEG_INFINITY),
        -Extended::ONE.scaled(5000),
        Extended::from_f64(-1.0),
        -Extended::ONE.scaled(-5000),
        Extended::ZERO,
        Extended::from_f64(5e-324),
        Extended::from_sum(1.0, -1e-25),
        Extended::ONE,
        Extended::from_sum(1.0, 1e-25),
        Extended::ONE.scaled(5000),
        Extended::from_f64(f64::INFINITY),
    ];
    for (i, a) in ascending.iter().enumerate() {
        for (j, b) in ascending.iter().enumerate() {
            assert_eq!(a.partial_cmp(b), Some(i.cmp(&j)), "{a:?} {b:?}");
        }
    }
}

#[test]
fn every_f64_goes_in_and_comes_out_unchanged() {
    let numbers = [
        5e-324,
        -5e-324,
        2.2250738585072014e-308,
        2.225073858507201e-308,
        1.5e-310,
        1.0,
        -0.1,
        f64::MAX,
        f64::MIN,
        f64::MAX / 2.0,
        1e300,
    ];
    for x in numbers {
        assert_eq!(Extended::from_f64(x).to_f64().to_bits(), x.to_bits());
    }
}

#[test]
fn rounding_to_f64_is_to_nearest_even_into_the_subnormals() {
    let smallest = -1074;
    let unit = Extended::ONE.scaled(smallest);
    let half = Extended::ONE.scaled(smallest - 1);
    assert_eq!(half.to_f64(), 0.0);
    assert_eq!((half + half.scaled(-100)).to_f64(), 5e-324);
    assert_eq!((half - half.scaled(-100)).to_f64(), 0.0);
    assert_eq!((unit + half).to_f64(), 1e-323);
    assert_eq!((unit + half - half.scaled(-100)).to_f64(), 5e-324);
    assert_eq!((unit.scaled(1) + half).to_f64(), 1e-323);
    assert_eq!(Extended::ONE.scaled(-1076).to_f64(), 0.0);
    assert_eq!(Extended::ONE.scaled(-5000).to_f64(), 0.0);
    assert_eq!(Extended::ONE.scaled(1024).to_f64(), f64::INFINITY);
    assert_eq!((-Extended::ONE).scaled(5000).to_f64(), f64::NEG_INFINITY);
    // The largest subnormal rounds up into the normal numbers.
    let above = Extended::from_f64(f64::MIN_POSITIVE) - half;
    assert_eq!(above.to_f64(), f64::MIN_POSITIVE);
}

#[test]
fn decimals_are_those_of_the_exact_number() {
    let cases = [
        (Extended::from_f64(100.0), 18, "100"),
        (Extended::from_f64(-0.5), 18, "-0.5"),
        (Extended::from_f64(0.1), 18, "0.100000000000000006"),
        (
            Extended::from_f64(0.1),
            34,
            "0.1000000000000000055511151231257827",
        ),
        (Extended::from_f64(1.5e-9), 18, "1.49999999999999999e-9"),
        (Extended::from_f64(1e22), 18, "1e+22"),
        (Extended::from_f64(123456.0), 3, "123000"),
        (Extended::from_f64(0.125), 2, "0.12"),
        (Extended::from_f64(0.375), 2, "0.38"),
        (Extended::from_f64(125.0), 2, "120"),
        (Extended::from_f64(135.0), 2, "140"),
        (Extended::from_f64(9.9999), 2, "10"),
        (Extended::from_f64(999_999.0), 3, "1000000"),
        (Extended::from_f64(f64::MAX), 18, "1.79769313486231571e+308"),
        (Extended::from_f64(5e-324), 18, "4.94065645841246544e-324"),
        (
            Extended::ONE.scaled(1_000_000),
            18,
            "9.90065622929589825e+301029",
        ),
        (
            Extended::ONE.scaled(-1_000_000),
            18,
            "1.01003405919803022e-301030",
        ),
        (
            Extended::ONE.scaled(1 << 40),
            18,
            "8.05723224506582383e+330985980541",
        ),
        (
            Extended::from_f64(-1e15).exp(),
            18,
            "1.48712978190437848e-434294481903252",
        ),
        (Extended::ZERO, 18, "0"),
    ];
    for (number, digits, expected) in cases {
        assert_eq!(number.to_decimal(digits), expected);
    }
}

#[test]
fn digits_that_are_cut_off_are_those_of_the_number() {
    let two_thirds = Extended::from_f64(2.0) / Extended::from_f64(3.0);
    assert_eq!(two_thirds.to_decimal(18), "0.666666666666666667");
    assert_eq!(two_thirds.to_decimal_cut(18), "0.666666666666666666");
    let almost_one = Extended::from_sum(1.0, -1e-31);
    assert_eq!(almost_one.to_decimal_cut(18), "1");
    assert_eq!(Extended::from_f64(-99.5).to_decimal_cut(2), "-99");
    let below = Extended::from_f64(1e-7).to_decimal_cut(18);
    assert_eq!(below, "9.99999999999999954e-8");
}

#[test]
fn powers_of_ten_have_one_digit() {
    let mut power = Extended::ONE;
    for exponent in 0..30 {
        let text = power.to_decimal(18);
        let value: f64 = text.parse().expect("a number");
        assert_eq!(value, 10f64.powi(exponent), "{text}");
        assert!(text.trim_end_matches('0').len() <= 6, "{text}");
        power = power * Extended::from_f64(10.0);
    }
}

#[test]
fn the_logarithm_of_a_magnitude_is_its_decades() {
    assert_eq!(Extended::from_f64(100.0).log10_abs(), 2.0);
    assert_eq!(Extended::from_f64(-1e-5).log10_abs(), -5.0);
    assert_eq!(
        Extended::ONE.scaled(1 << 50).log10_abs(),
        338_929_644_074_911.94
    );
    assert_eq!(Extended::ZERO.log10_abs(), f64::NEG_INFINITY);
}

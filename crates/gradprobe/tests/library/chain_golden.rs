//! The exact chain against a table computed with mpmath at 420 digits.

use gradprobe::num::Extended;
use gradprobe::ops::activation::parse;
use gradprobe::theory::{Chain, ExactChain, ExactGradient, LayerValues};
use serde_json::Value;
use std::collections::HashMap;

/// The bar: log10|gradient| within this, relative or absolute, whichever is larger.
const BAR: f64 = 1e-10;

fn activation_name(table_name: &str) -> &str {
    match table_name {
        "leaky_relu_0.01" => "leaky-relu=0.01",
        "elu_1" => "elu=1",
        "gelu_erf" => "gelu",
        "hard_tanh" => "hard-tanh",
        other => other,
    }
}

/// The chain that a row is about, run once for all its rows.
fn run(row: &Value, cache: &mut HashMap<String, ExactChain>) -> ExactChain {
    let key = format!(
        "{} {} {} {}",
        row["activation"], row["depth"], row["x"], row["w"]
    );
    let weights = match &row["w"] {
        Value::Array(list) => LayerValues::Each(list.iter().map(|w| w.as_f64().unwrap()).collect()),
        value => LayerValues::Same(value.as_f64().unwrap()),
    };
    cache
        .entry(key)
        .or_insert_with(|| {
            let chain = Chain::new(
                parse(activation_name(row["activation"].as_str().unwrap())).unwrap(),
                row["depth"].as_u64().unwrap() as usize,
                row["x"].as_f64().unwrap(),
                weights,
                LayerValues::Same(0.0),
            )
            .unwrap();
            ExactChain::new(&chain)
        })
        .clone()
}

/// What came of a set of rows.
#[derive(Default)]
struct Outcome {
    rows: usize,
    /// Rows that take the other one-sided derivative at a kink.
    other_side: usize,
    /// Largest error of log10|gradient|.
    worst: f64,
}

impl Outcome {
    fn check(&mut self, rows: &[Value]) {
        let mut cache = HashMap::new();
        for row in rows {
            let exact = run(row, &mut cache);
            let layer = row["layer"].as_u64().unwrap() as usize;
            let at_kink = exact.last_kink().is_some_and(|kink| kink >= layer);
            self.rows += 1;
            match row["at_kink"].as_bool() {
                Some(expected) => assert_eq!(at_kink, expected, "{row}"),
                // The rows with a weight per layer do not say where a kink is, and take the
                // derivative of the closed interval there; PyTorch's, and ours, is 0.
                None if at_kink && row["sign"] != 0 => {
                    assert!(exact.gradient(layer).value.is_zero(), "{row}");
                    self.other_side += 1;
                    continue;
                }
                None => {}
            }
            self.check_gradient(exact.gradient(layer), row);
        }
    }

    fn check_gradient(&mut self, gradient: &ExactGradient, row: &Value) {
        assert_eq!(
            i64::from(gradient.value.sign()),
            row["sign"].as_i64().unwrap(),
            "{row}"
        );
        assert_eq!(gradient.digits(), 18, "{row}");
        let Some(expected) = row["log10_abs"].as_f64() else {
            assert!(gradient.value.is_zero(), "{row}");
            return;
        };
        let got = gradient.value.log10_abs();
        let error = (got - expected).abs() / expected.abs().max(1.0);
        self.worst = self.worst.max(error);
        assert!(error <= BAR, "{got} {row}");
        check_digits(&gradient.value, row);
    }
}

/// Where the table gives digits, the value agrees to 28 of them (its leaky slope is the decimal
/// 0.01 and ours the nearest double, which differs by 2e-17 a layer).
fn check_digits(value: &Extended, row: &Value) {
    if row["activation"].as_str().unwrap().starts_with("leaky") {
        return;
    }
    let table = row["value"].as_str().unwrap();
    let (table_digits, table_exponent) = digits(table);
    let (our_digits, our_exponent) = digits(&value.to_decimal(30));
    assert_eq!(our_exponent, table_exponent, "{row}");
    let difference = our_digits.abs_diff(table_digits);
    assert!(difference <= 100, "{} {row}", value.to_decimal(30));
}

/// A decimal number as 30 digits and the exponent of the first.
fn digits(text: &str) -> (u128, i64) {
    let text = text.trim_start_matches('-');
    let (number, exponent) = text.split_once('e').unwrap_or((text, "0"));
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let all = format!("{whole}{fraction}");
    let leading = all.len() - all.trim_start_matches('0').len();
    let exponent = exponent.parse::<i64>().unwrap() + whole.len() as i64 - 1 - leading as i64;
    let padded = format!("{:0<30}", all.trim_start_matches('0'));
    (padded[..30].parse().unwrap(), exponent)
}

fn check_file(text: &str) -> Outcome {
    let table: Value = serde_json::from_str(text).unwrap();
    let mut outcome = Outcome::default();
    outcome.check(table["rows"].as_array().unwrap());
    outcome.check(table["rows_with_a_weight_per_layer"].as_array().unwrap());
    println!(
        "{} rows, {} on the other side of a kink, largest error of log10|g| {:e}",
        outcome.rows, outcome.other_side, outcome.worst
    );
    outcome
}

#[test]
fn gradients_agree_with_every_row_of_the_table() {
    let outcome = check_file(include_str!("../data/chain_golden.json"));
    assert_eq!((outcome.rows, outcome.other_side), (1460, 2));
}

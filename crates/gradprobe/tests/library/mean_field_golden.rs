//! The edge of chaos against a table that was computed independently (mpmath), to 1e-9.

use gradprobe::ops::activation;
use gradprobe::theory::mean_field::{BiasVariance, MeanField, UniversalityClass, criticality};
use serde_json::Value;

/// The table's names, where they are not ours.
fn parse(name: &str) -> std::sync::Arc<dyn activation::Activation> {
    let name = if name == "elu_1" { "elu=1" } else { name };
    activation::parse(name).unwrap()
}

#[test]
fn every_point_of_the_table_is_met() {
    let text = include_str!("../data/mean_field_golden.json");
    let table: Value = serde_json::from_str(text).unwrap();
    let near = |got: f64, row: &Value, key: &str| {
        let expected = row[key].as_f64().unwrap();
        let error = (got - expected).abs() / expected.abs().max(1.0);
        assert!(error < 1e-9, "{key} is {got}, not that of {row}");
    };
    let rows = table["eoc"].as_array().unwrap();
    assert!(!rows.is_empty());
    for row in rows {
        let activation = parse(row["activation"].as_str().unwrap());
        let biases = BiasVariance::from_sigma_b(row["sigma_b"].as_f64().unwrap());
        let found = criticality(&*activation, biases);
        let q = row["q_star"].as_f64().unwrap();
        let point = found
            .points
            .iter()
            .min_by(|a, b| (a.q - q).abs().total_cmp(&(b.q - q).abs()))
            .unwrap();
        near(point.weights.sigma_w_squared(), row, "sigma_w2");
        near(point.weights.sigma_w(), row, "sigma_w");
        near(point.q, row, "q_star");
        near(point.chi_parallel, row, "chi_parallel");
        let stable = row["q_stable"].as_bool().unwrap();
        assert_eq!(point.stability.holds(), stable, "{row}");
        if let Ok(recommended) = &found.recommended {
            assert!(recommended.chi_parallel <= 1.0, "{row}");
        }
        let network = MeanField::new(&*activation, point.weights, point.biases);
        assert!((network.chi_1(point.q) - 1.0).abs() < 1e-9);
    }
    for row in table["half_stable"].as_array().unwrap() {
        let activation = parse(row["activation"].as_str().unwrap());
        let class = criticality(&*activation, BiasVariance::ZERO).class;
        let UniversalityClass::HalfStable(point) = class else {
            panic!("{row}: {class:?}")
        };
        near(point.q, row, "K_star");
        near(point.weights.sigma_w_squared(), row, "C_W");
        near(point.biases.sigma_b_squared(), row, "C_b");
    }
}

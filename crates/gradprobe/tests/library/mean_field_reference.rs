//! Mean field theory of activations that no table has, against values in 30 digits that
//! `tests/fixtures/mean_field.py` records, to 1e-9.

use gradprobe::ops::activation::parse;
use gradprobe::theory::mean_field::{BiasVariance, WeightVariance, criticality, predict};
use rayon::prelude::*;
use serde::Deserialize;

const FIXTURE: &str = include_str!("../fixtures/mean_field.json");

#[derive(Deserialize)]
struct Reference {
    points: Vec<Point>,
    edges: Vec<Edge>,
}

/// A point (σ_w, σ_b), and where the length settles from 1.
#[derive(Debug, Deserialize)]
struct Point {
    activation: String,
    sigma_w: f64,
    sigma_b: f64,
    q: f64,
    chi_1: f64,
    chi_parallel: f64,
    gradient_depth_scale: f64,
    length_depth_scale: Option<f64>,
}

/// A point of the edge of chaos.
#[derive(Debug, Deserialize)]
struct Edge {
    activation: String,
    sigma_b: f64,
    q: f64,
    sigma_w_squared: f64,
    chi_parallel: f64,
}

fn reference() -> Reference {
    serde_json::from_str(FIXTURE).unwrap()
}

fn near(got: f64, expected: f64, what: &str) {
    let error = (got - expected).abs() / expected.abs().max(1.0);
    assert!(error < 1e-9, "{what}: {got} is not {expected}");
}

#[test]
fn lengths_and_factors_are_those_of_the_reference() {
    let points = reference().points;
    assert!(points.len() > 80);
    points.par_iter().for_each(|point| {
        let activation = parse(&point.activation).unwrap();
        let weights = WeightVariance::from_sigma_w(point.sigma_w);
        let biases = BiasVariance::from_sigma_b(point.sigma_b);
        let found = predict(&*activation, weights, biases, 1.0);
        let what = |name: &str| format!("{name} of {point:?}");
        near(found.limit.q(), point.q, &what("q"));
        near(found.chi_1, point.chi_1, &what("χ1"));
        let chi_parallel = found.chi_parallel.unwrap();
        near(chi_parallel, point.chi_parallel, &what("χ∥"));
        near(
            found.gradient_depth_scale(),
            point.gradient_depth_scale,
            &what("ξ_∇"),
        );
        if let Some(expected) = point.length_depth_scale {
            near(found.length_depth_scale().unwrap(), expected, &what("ξ_q"));
        }
    });
}

#[test]
fn the_edge_of_chaos_is_that_of_the_reference() {
    let edges = reference().edges;
    assert!(edges.len() > 40);
    let mut settings: Vec<(&str, f64)> = edges
        .iter()
        .map(|edge| (edge.activation.as_str(), edge.sigma_b))
        .collect();
    settings.dedup();
    settings.par_iter().for_each(|&(name, sigma_b)| {
        let activation = parse(name).unwrap();
        let found = criticality(&*activation, BiasVariance::from_sigma_b(sigma_b));
        let is_of = |edge: &&Edge| edge.activation == name && edge.sigma_b == sigma_b;
        for edge in edges.iter().filter(is_of) {
            let off = |q: f64| (q - edge.q).abs();
            let point = found
                .points
                .iter()
                .min_by(|a, b| off(a.q).total_cmp(&off(b.q)))
                .unwrap();
            let what = |name: &str| format!("{name} of {edge:?}");
            near(point.q, edge.q, &what("q"));
            let sigma_w_squared = point.weights.sigma_w_squared();
            near(sigma_w_squared, edge.sigma_w_squared, &what("σ_w²"));
            near(point.chi_parallel, edge.chi_parallel, &what("χ∥"));
        }
        assert!(
            found
                .recommended
                .is_ok_and(|point| point.chi_parallel <= 1.0 + 1e-9)
                || found.recommended.is_err()
        );
    });
}

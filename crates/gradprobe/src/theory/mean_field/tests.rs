//! Values computed independently: mpmath with 30 digits, Gauss-Legendre split at the kinks.

use super::*;
use crate::ops::activation::{Activation, parse, registry};
use std::f64::consts::PI;
use std::sync::Arc;

fn activation(name: &str) -> Arc<dyn Activation> {
    parse(name).expect("an activation")
}

fn near(got: f64, expected: f64, tolerance: f64, what: &str) {
    let scale = expected.abs().max(1.0);
    assert!(
        (got - expected).abs() <= tolerance * scale,
        "{what}: {got} against {expected}"
    );
}

fn w(sigma_w_squared: f64) -> WeightVariance {
    WeightVariance::from_sigma_w_squared(sigma_w_squared)
}

fn b(sigma_b_squared: f64) -> BiasVariance {
    BiasVariance::from_sigma_b_squared(sigma_b_squared)
}

#[test]
fn closed_forms_are_met_at_every_length() {
    for q in [1e-12, 1e-4, 0.3, 1.0, 45.0, 1e4, 1e8] {
        let closed = |name: &str, square: f64, derivative_square: f64| {
            let activation = activation(name);
            let moments = Moments::of(&*activation);
            near(moments.square(q) / square, 1.0, 1e-12, name);
            near(
                moments.derivative_square(q) / derivative_square,
                1.0,
                1e-12,
                name,
            );
        };
        closed("relu", 0.5 * q, 0.5);
        closed("leaky-relu=0.2", 0.52 * q, 0.52);
        closed(
            "erf",
            2.0 / PI * (2.0 * q / (1.0 + 2.0 * q)).asin(),
            4.0 / PI / (1.0 + 4.0 * q).sqrt(),
        );
        let hard = activation("hard-tanh");
        let inside = libm::erf(1.0 / (2.0 * q).sqrt());
        near(
            Moments::of(&*hard).derivative_square(q) / inside,
            1.0,
            1e-12,
            "hard-tanh",
        );
        // A sine of 10^8 z is beyond what can be summed.
        if q < 1e6 {
            closed(
                "sine",
                -0.5 * libm::expm1(-2.0 * q),
                0.5 * (1.0 + libm::exp(-2.0 * q)),
            );
        }
    }
}

#[test]
fn the_edge_of_chaos_is_where_it_was_computed_independently() {
    // Activation, σ_b, σ_w², q*, χ∥: some rows of a table that tests/mean_field_golden.rs reads
    // whole.
    for (name, sigma_b, sigma_w_squared, q, chi_parallel) in [
        (
            "tanh",
            0.05,
            1.2600938172290677,
            0.15369193582121546,
            0.7821962371842962,
        ),
        (
            "tanh",
            0.3,
            1.9476546317091579,
            0.7634747669104635,
            0.4516402704026104,
        ),
        (
            "erf",
            0.1,
            1.114280063403775,
            0.25320965633114045,
            0.6638257964395776,
        ),
        (
            "hard-tanh",
            0.2,
            1.1419248607786603,
            0.4232866419404475,
            0.5702088307236128,
        ),
        (
            "softsign",
            0.05,
            1.8524595808314355,
            0.06862780248381785,
            0.710217343677313,
        ),
        (
            "elu",
            0.1,
            1.383325232204186,
            0.4378292301281717,
            0.8708369436037843,
        ),
        (
            "selu",
            0.3,
            0.9676489067734936,
            1.221967194457675,
            0.724845408213731,
        ),
    ] {
        let biases = BiasVariance::from_sigma_b(sigma_b);
        let found = criticality(&*activation(name), biases);
        let point = found.recommended.expect("a critical point");
        near(point.weights.sigma_w_squared(), sigma_w_squared, 1e-9, name);
        near(point.q, q, 1e-9, name);
        near(point.chi_parallel, chi_parallel, 1e-9, name);
        assert_eq!(point.stability, Stability::Stable);
    }
    let sigmoid = criticality(&*activation("sigmoid"), BiasVariance::from_sigma_b(0.05));
    let point = sigmoid.recommended.expect("a critical point");
    near(point.weights.sigma_w(), 10.149561973429892, 1e-9, "sigmoid");
    near(point.q, 45.62979162270026, 1e-9, "sigmoid");
}

#[test]
fn chi_of_tanh_off_the_edge_is_that_of_the_tables() {
    for (sigma_w_squared, chi_1) in [
        (1.0, 0.7590316472),
        (1.3, 0.8801635099),
        (1.5, 0.9386362682),
        (1.760_954_639_607, 1.0),
        (2.0, 1.0476659996),
        (2.5, 1.1335156987),
        (4.0, 1.3424024144),
    ] {
        let tanh = activation("tanh");
        let network = MeanField::new(&*tanh, w(sigma_w_squared), b(0.05));
        near(network.limit(1.0).chi_1(), chi_1, 1e-10, "tanh");
    }
}

#[test]
fn what_the_usual_gains_do() {
    for (name, gain, chi_1, tolerance) in [
        ("tanh", 5.0 / 3.0, 1.2098313204, 1e-10),
        ("selu", 0.75, 1.0036703508, 1e-10),
        ("sigmoid", 1.0, 0.0557207068, 1e-10),
        ("gelu", 2f64.sqrt(), 0.5, 1e-10),
        ("silu", 2f64.sqrt(), 0.5, 1e-10),
        ("mish", 2f64.sqrt(), 0.72, 1e-10),
        ("relu", 2f64.sqrt(), 1.0, 1e-12),
    ] {
        let activation = activation(name);
        let network = MeanField::new(
            &*activation,
            WeightVariance::from_sigma_w(gain),
            BiasVariance::ZERO,
        );
        near(network.limit(1.0).chi_1(), chi_1, tolerance, name);
    }
}

#[test]
fn gelu_silu_and_mish_are_half_stable_and_softplus_is_never_critical() {
    for (name, q, c_w, c_b) in [
        (
            "gelu",
            3.561552812808807,
            1.983058257437547,
            0.1729223907560673,
        ),
        (
            "silu",
            14.32017361802572,
            1.9880046782694918,
            0.555143170721534,
        ),
    ] {
        let found = criticality(&*activation(name), BiasVariance::ZERO);
        let UniversalityClass::HalfStable(point) = found.class else {
            panic!("{name}: {:?}", found.class)
        };
        near(point.q, q, 1e-9, name);
        near(point.weights.sigma_w_squared(), c_w, 1e-9, name);
        near(point.biases.sigma_b_squared(), c_b, 1e-9, name);
    }
    for name in ["mish", "gelu-tanh", "hard-swish"] {
        let class = criticality(&*activation(name), BiasVariance::ZERO).class;
        assert!(matches!(class, UniversalityClass::HalfStable(_)), "{name}");
    }
    for sigma_b in [0.0, 0.3] {
        let biases = BiasVariance::from_sigma_b(sigma_b);
        let found = criticality(&*activation("softplus"), biases);
        assert_eq!(found.class, UniversalityClass::NoCriticalPoint);
        assert_eq!(found.recommended, Err(NoCriticalPoint::Nowhere));
    }
}

#[test]
fn no_recommended_point_is_unstable() {
    for entry in registry() {
        let activation = entry.make(None).expect("the default");
        for sigma_b in [0.0, 0.05, 0.3] {
            let biases = BiasVariance::from_sigma_b(sigma_b);
            let found = criticality(&*activation, biases);
            let Ok(point) = found.recommended else {
                continue;
            };
            let name = activation.label();
            assert!(point.chi_parallel <= 1.0 + 1e-9, "{name}: {point:?}");
            let network = MeanField::new(&*activation, point.weights, point.biases);
            near(network.chi_1(point.q), 1.0, 1e-9, &name);
            if point.q > 0.0 {
                near(network.length_map(point.q) / point.q, 1.0, 1e-9, &name);
            }
        }
    }
}

#[test]
fn critical_tanh_decays_as_a_power_of_the_depth() {
    let tanh = activation("tanh");
    let network = MeanField::new(&*tanh, w(1.0), BiasVariance::ZERO);
    let lengths: Vec<f64> = network.lengths(1.0, 101).collect();
    near(lengths[10], 0.0522000828, 1e-10, "q_10");
    near(lengths[50], 0.0102193349, 1e-10, "q_50");
    near(lengths[100], 0.0050690192, 1e-10, "q_100");
    let LengthLimit::FixedPoint(point) = network.limit(1.0) else {
        panic!("it has a limit")
    };
    assert_eq!((point.q, point.stability), (0.0, Stability::PowerLaw));
}

#[test]
fn correlations_of_relu_follow_the_arc_cosine_kernel() {
    // Cho and Saul 2009: E relu(u1) relu(u2) = q (√(1−c²) + c(π − acos c))/(2π).
    let relu = activation("relu");
    let network = MeanField::new(&*relu, w(2.0), BiasVariance::ZERO);
    for c in [-0.9, -0.3, 0.2, 0.7, 0.99, 0.999_999] {
        let angle = f64::acos(c);
        let expected = ((1.0 - c * c).sqrt() + c * (PI - angle)) / PI;
        near(network.correlation_map(0.7, c), expected, 1e-10, "the map");
        near(
            network.correlation_slope(0.7, c),
            (PI - angle) / PI,
            1e-9,
            "its slope",
        );
    }
}

#[test]
fn correlations_of_erf_follow_the_arc_sine_kernel() {
    // Williams 1997: E erf(u1) erf(u2) = (2/π) asin(2qc/(1 + 2q)).
    let erf = activation("erf");
    let network = MeanField::new(&*erf, w(1.0), b(0.0));
    for (q, c) in [(0.5f64, 0.3), (3.0, -0.8), (100.0, 0.95)] {
        let expected = 2.0 / PI * (2.0 * q * c / (1.0 + 2.0 * q)).asin() / q;
        near(network.correlation_map(q, c), expected, 1e-10, "the map");
    }
}

#[test]
fn chaos_takes_inputs_apart_and_order_brings_them_together() {
    let tanh = activation("tanh");
    let chaotic = MeanField::new(&*tanh, w(2.5), b(0.05));
    let q = chaotic.limit(1.0).q();
    let point = chaotic.correlation_point(q);
    assert!(point.c > 0.0 && point.c < 1.0 && point.slope < 1.0);
    near(chaotic.correlation_map(q, point.c), point.c, 1e-9, "c*");
    let ordered = MeanField::new(&*tanh, w(1.3), b(0.05));
    let point = ordered.correlation_point(ordered.limit(1.0).q());
    assert_eq!(point.c, 1.0);
    near(
        point.depth_scale(),
        -1.0 / 0.8801635099f64.ln(),
        1e-8,
        "ξ_c",
    );
}

#[test]
fn lengths_that_go_nowhere_are_told_apart() {
    let relu = activation("relu");
    let of = |name: &str, sigma_w_squared: f64, sigma_b_squared: f64| {
        let activation = activation(name);
        MeanField::new(&*activation, w(sigma_w_squared), b(sigma_b_squared)).limit(1.0)
    };
    assert!(matches!(of("relu", 2.5, 0.0), LengthLimit::Infinity { .. }));
    assert_eq!(of("relu", 1.0, 0.0).q(), 0.0);
    near(
        of("relu", 1.0, 0.5).q(),
        1.0,
        1e-12,
        "q* = σ_b²/(1 − σ_w²/2)",
    );
    let everywhere = MeanField::new(&*relu, w(2.0), BiasVariance::ZERO).fixed_points();
    assert!(matches!(everywhere, FixedPoints::Everywhere { .. }));
}

//! Published experiments on fully connected networks, reproduced by the engine: figures that
//! nobody here wrote.

use gradprobe::diagnose::{Direction, Law, trend};
use gradprobe::graph::{CotangentKind, Graph, GraphBuilder, Objective, Origin, ParameterData};
use gradprobe::measure::{LayerRun, measure};
use gradprobe::num::Tensor;
use gradprobe::num::random::Stream;
use gradprobe::ops::Linear;
use gradprobe::ops::activation::{self, ActivationOp};
use gradprobe::run::{Executor, Options};
use rayon::prelude::*;
use std::sync::Arc;

/// A fully connected network with normal weights of variance `sigma_w2` / fan_in and biases of
/// variance `sigma_b2`.
struct Network<'a> {
    activation: &'a str,
    /// Widths: of the input, then of every layer.
    widths: &'a [usize],
    sigma_w2: f64,
    sigma_b2: f64,
    batch: usize,
}

impl Network<'_> {
    fn graph(&self, seed: u64) -> Graph {
        let mut b = GraphBuilder::new();
        let mut h = b.input("x", [self.batch, self.widths[0]].into()).unwrap();
        for (layer, pair) in self.widths.windows(2).enumerate() {
            let (fan_in, units) = (pair[0], pair[1]);
            b.begin_layer(
                format!("fc{}", layer + 1),
                self.activation,
                Origin::default(),
            )
            .unwrap();
            let draw = |name: &str, shape: &[usize], variance: f64| {
                let mut values = vec![0f32; shape.iter().product()];
                Stream::new(seed, name).fill_normal(0.0, variance.sqrt(), &mut values);
                ParameterData::F32(Arc::new(Tensor::new(
                    gradprobe::num::Shape::new(shape),
                    values,
                )))
            };
            let name = format!("fc{}.weight", layer + 1);
            let weight = draw(&name, &[units, fan_in], self.sigma_w2 / fan_in as f64);
            let weight = b.parameter(name, weight, true).unwrap();
            let name = format!("fc{}.bias", layer + 1);
            let bias = draw(&name, &[units], self.sigma_b2);
            let bias = b.parameter(name, bias, true).unwrap();
            let linear = Linear { bias: true };
            let u = b.node(
                format!("u{layer}"),
                linear,
                &[h, weight, bias],
                Origin::default(),
            );
            let op = ActivationOp::new(activation::parse(self.activation).unwrap());
            h = b
                .node(format!("h{layer}"), op, &[u.unwrap()], Origin::default())
                .unwrap();
        }
        b.finish(h, Objective::Output(h, CotangentKind::Random))
            .unwrap()
    }

    /// A run on rows of `input`(z), z standard normal.
    fn run(&self, seed: u64, input: impl Fn(f64) -> f64) -> (Vec<LayerRun>, f64) {
        let graph = self.graph(seed);
        let mut x = Tensor::zeros([self.batch, self.widths[0]]);
        Stream::new(seed, "x").fill_normal(0.0, 1.0, x.data_mut());
        x.data_mut()
            .iter_mut()
            .for_each(|z: &mut f32| *z = input(f64::from(*z)) as f32);
        let options = Options {
            threads: 1,
            seed,
            input_gradients: true,
            ..Options::default()
        };
        let output = Executor::<f32>::new(&graph, options)
            .unwrap()
            .run(&[x])
            .unwrap();
        let at_input = output.trace.inputs[0].unwrap().l2().log10();
        (measure(&graph, &output.trace, None, seed).layers, at_input)
    }
}

fn mean(numbers: impl IntoIterator<Item = f64>) -> f64 {
    let (sum, count) = numbers
        .into_iter()
        .fold((0.0, 0), |(sum, count), x| (sum + x, count + 1));
    sum / f64::from(count)
}

/// The slope of ln of the squared norm of the backward signal a layer, over all layers.
fn squared_slope(layers: &[LayerRun]) -> f64 {
    let decades: Vec<f64> = layers
        .iter()
        .map(|layer| layer.backward_decades.unwrap())
        .collect();
    let count = decades.len() as f64;
    let middle = 0.5 * (count - 1.0);
    let pairs = || {
        decades
            .iter()
            .enumerate()
            .map(|(layer, d)| (layer as f64 - middle, d))
    };
    let slope = pairs().map(|(x, d)| x * d).sum::<f64>() / pairs().map(|(x, _)| x * x).sum::<f64>();
    -2.0 * slope * std::f64::consts::LN_10
}

/// Schoenholz et al. 2017: the squared gradient changes by ln χ1 a layer. Theory §2 has χ1.
#[test]
fn gradients_change_at_the_rate_of_schoenholz() {
    // σw², the fixed point q*, and ln χ1.
    for (sigma_w2, q, expected) in [
        (1.3, 0.243, -0.127_65),
        (1.760_954_639_607, 0.570_047_881_641, 0.0),
        (2.5, 1.1, 0.125_32),
    ] {
        let widths = [500; 41];
        let network = Network {
            activation: "tanh",
            widths: &widths,
            sigma_w2,
            sigma_b2: 0.05,
            batch: 8,
        };
        let slopes: Vec<f64> = (0..8u64)
            .into_par_iter()
            .map(|seed| squared_slope(&network.run(seed, |z| (f64::sqrt(q) * z).tanh()).0))
            .collect();
        let slope = mean(slopes);
        assert!(
            (slope - expected).abs() < 0.015,
            "σw² = {sigma_w2}: {slope} against {expected}"
        );
    }
}

/// PyTorch's calculate_gain('tanh') = 5/3 is too large for a deep network and He's √2 too small for
/// GELU: χ1 = 1.2098313204 and 0.5 (theory §2).
#[test]
fn the_usual_gains_explode_with_tanh_and_vanish_with_gelu() {
    let widths = [600; 41];
    let gain = 25.0 / 9.0;
    let tanh = Network {
        activation: "tanh",
        widths: &widths,
        sigma_w2: gain,
        sigma_b2: 0.0,
        batch: 8,
    };
    let runs: Vec<Vec<LayerRun>> = (0..4u64)
        .into_par_iter()
        .map(|seed| tanh.run(seed, |z| (1.1 * z).tanh()).0)
        .collect();
    let factor = mean(runs.iter().map(|layers| squared_slope(layers))).exp();
    assert!((factor / 1.2098 - 1.0).abs() < 0.02, "{factor}");
    let gelu = Network {
        activation: "gelu",
        widths: &widths,
        sigma_w2: 2.0,
        sigma_b2: 0.0,
        batch: 8,
    };
    let layers = gelu.run(0, |z| z).0;
    let decades: Vec<f64> = layers
        .iter()
        .map(|layer| layer.backward_decades.unwrap())
        .collect();
    assert!(decades[0] < -3.0, "{decades:?}");
    // Where the signal has become small, every layer costs the limit √½.
    let factor = 10f64.powf((decades[25] - decades[39]) / 14.0);
    assert!((factor / 0.5f64.sqrt() - 1.0).abs() < 0.03, "{factor}");
    let law = trend(&decades, Direction::Backward).unwrap().law;
    assert!(matches!(law, Law::Exponential { .. }), "{law:?}");
}

/// Hanin and Nica 2020: ln‖Ju‖² of a ReLU network of width 50 and depth 20 has mean −1.0348 and
/// variance 2.163 (theory §3).
#[test]
fn the_jacobian_of_relu_networks_is_log_normal() {
    let widths = [50; 21];
    let network = Network {
        activation: "relu",
        widths: &widths,
        sigma_w2: 2.0,
        sigma_b2: 0.0,
        batch: 1,
    };
    let logs: Vec<f64> = (0..4000u64)
        .into_par_iter()
        .map(|seed| {
            let (layers, at_input) = network.run(seed, |z| z);
            let start = layers.last().unwrap().backward.log10_l2.unwrap();
            2.0 * std::f64::consts::LN_10 * (at_input - start)
        })
        .collect();
    let average = mean(logs.iter().copied());
    let variance = mean(logs.iter().map(|x| (x - average).powi(2)));
    assert!((average + 1.0348).abs() < 0.07, "{average}");
    assert!((variance / 2.163 - 1.0).abs() < 0.08, "{variance}");
}

/// At σw = 1, σb = 0 a tanh network is critical and its signal decays by a power law:
/// q_100 = 0.0050690192 from q_0 = 1 (theory §2).
#[test]
fn a_critical_tanh_network_decays_by_a_power_law() {
    let widths = [1000; 101];
    let network = Network {
        activation: "tanh",
        widths: &widths,
        sigma_w2: 1.0,
        sigma_b2: 0.0,
        batch: 16,
    };
    let layers = network.run(3, f64::tanh).0;
    let q_100 = layers.last().unwrap().pre_activation.unwrap().rms.powi(2);
    assert!((q_100 / 0.005_069_019_2 - 1.0).abs() < 0.10, "{q_100}");
    let forward: Vec<f64> = layers
        .iter()
        .map(|layer| layer.forward_decades.unwrap())
        .collect();
    let law = trend(&forward, Direction::Forward).unwrap().law;
    assert!(
        matches!(law, Law::PowerLaw { from_input: true, exponent } if (exponent + 0.5).abs() < 0.1),
        "{law:?}"
    );
    let backward: Vec<f64> = layers
        .iter()
        .map(|layer| layer.backward_decades.unwrap())
        .collect();
    let law = trend(&backward, Direction::Backward).unwrap().law;
    assert!(
        matches!(
            law,
            Law::PowerLaw {
                from_input: true,
                ..
            }
        ),
        "{law:?}"
    );
}

/// Karpathy, makemore part 3: five tanh layers of 100 on three embeddings of 10 numbers; the
/// standard deviation of each layer's output and the share of it beyond ±0.97, by gain.
#[test]
fn the_activations_of_the_makemore_network_are_as_published() {
    let widths = [30, 100, 100, 100, 100, 100];
    let table = [
        (
            5.0 / 3.0,
            [0.75, 0.69, 0.67, 0.66, 0.66],
            Some([0.203, 0.084, 0.066, 0.055, 0.061]),
        ),
        (1.0, [0.62, 0.48, 0.41, 0.35, 0.32], None),
        (0.5, [0.41, 0.20, 0.10, 0.05, 0.02], None),
    ];
    for (gain, stds, saturated) in table {
        let sigma_w2 = f64::powi(gain, 2);
        let network = Network {
            activation: "tanh",
            widths: &widths,
            sigma_w2,
            sigma_b2: 0.0,
            batch: 32,
        };
        let runs: Vec<Vec<LayerRun>> = (0..10).map(|seed| network.run(seed, |z| z).0).collect();
        for layer in 0..5 {
            let std = mean(runs.iter().map(|layers| layers[layer].forward.std));
            // The table has two decimals: half a unit of the last is its own rounding.
            let tolerance = 0.15 * stds[layer] + 0.005;
            assert!(
                (std - stds[layer]).abs() < tolerance,
                "gain {gain}, layer {layer}: {std}"
            );
            let share = mean(
                runs.iter()
                    .map(|layers| layers[layer].saturated_fraction.unwrap()),
            );
            if let Some(expected) = saturated {
                assert!(
                    (share - expected[layer]).abs() < 0.03,
                    "layer {layer}: {share}"
                );
            }
        }
    }
}

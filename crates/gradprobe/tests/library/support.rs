//! What the experiments share.

use gradprobe::import::spec::{Network, Specification};
use gradprobe::measure::{LayerRun, RunMeasurement, measure};
use gradprobe::num::Tensor;
use gradprobe::run::{Executor, Options};
use rayon::prelude::*;

/// The network of a specification.
pub fn network(text: &str) -> Network {
    let network = Specification::parse(text).and_then(Network::new);
    network.unwrap_or_else(|error| panic!("{error}"))
}

/// One run of a network for each seed, in f32.
pub fn runs(text: &str, seeds: u64) -> Vec<RunMeasurement> {
    let network = network(text);
    let run = |seed| {
        let graph = network.build(seed).unwrap();
        let batch: Vec<Tensor<f32>> = network
            .batch(seed)
            .unwrap()
            .iter()
            .map(Tensor::cast)
            .collect();
        let options = Options {
            threads: 1,
            seed,
            ..Options::default()
        };
        let output = Executor::new(&graph, options).unwrap().run(&batch).unwrap();
        measure(&graph, &output.trace, None, seed)
    };
    (0..seeds).into_par_iter().map(run).collect()
}

pub fn mean(numbers: impl IntoIterator<Item = f64>) -> f64 {
    let (sum, count) = numbers
        .into_iter()
        .fold((0.0, 0), |(sum, count), x| (sum + x, count + 1));
    sum / f64::from(count)
}

/// The slope of ln of the squared norm of the backward signal a layer on its way back.
pub fn squared_slope<'a>(layers: impl IntoIterator<Item = &'a LayerRun>) -> f64 {
    let layers = layers.into_iter();
    let decades: Vec<f64> = layers
        .map(|layer| layer.backward_decades.unwrap())
        .collect();
    let middle = 0.5 * (decades.len() as f64 - 1.0);
    let pairs = || {
        let numbered = decades.iter().enumerate();
        numbered.map(|(layer, d)| (layer as f64 - middle, d))
    };
    let slope = pairs().map(|(x, d)| x * d).sum::<f64>() / pairs().map(|(x, _)| x * x).sum::<f64>();
    -2.0 * slope * std::f64::consts::LN_10
}

/// ln of the factor that the squared backward signal gains from the last of the layers to the
/// first.
pub fn squared_gain<'a>(layers: impl IntoIterator<Item = &'a LayerRun>) -> f64 {
    let mut layers = layers.into_iter();
    let first = layers.next().unwrap().backward_decades.unwrap();
    let last = layers.last().unwrap().backward_decades.unwrap();
    2.0 * std::f64::consts::LN_10 * (first - last)
}

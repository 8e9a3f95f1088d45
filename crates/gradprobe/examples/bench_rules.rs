//! How long the rules take beside the run that they judge: `bench_rules NETWORK.toml [REPEATS]`.
//!
//! Prints medians in milliseconds: a forward and backward run with statistics, what is measured
//! besides (`measure`, `probe`), the rules themselves, and the share of all three in the run.

use gradprobe::diagnose::diagnose;
use gradprobe::import::Subject;
use gradprobe::import::spec::{Dtype, Network};
use gradprobe::measure::{Measurement, Probe, aggregate, measure};
use gradprobe::num::Tensor;
use gradprobe::run::{Executor, Options, RunElement};
use std::path::Path;
use std::time::Instant;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().expect("the name of a network's file");
    let repeats = arguments
        .next()
        .map_or(15, |text| text.parse().expect("a number"));
    let network = Network::read(Path::new(&path)).unwrap_or_else(|error| panic!("{error}"));
    match network.dtype() {
        Dtype::F32 => time::<f32>(&network, repeats),
        Dtype::F64 => time::<f64>(&network, repeats),
    }
}

fn time<T: RunElement>(network: &Network, repeats: usize) {
    let seed = network.seeds()[0];
    let graph = Subject::build(network, seed).unwrap_or_else(|error| panic!("{error}"));
    let batch = Subject::batch(network, seed).unwrap_or_else(|error| panic!("{error}"));
    let inputs: Vec<Tensor<T>> = batch.iter().map(Tensor::cast).collect();
    let options = Options {
        mode: network.mode(),
        seed,
        ..Options::default()
    };
    let mut executor =
        Executor::<T>::new(&graph, options).unwrap_or_else(|error| panic!("{error}"));
    let mut times = [const { Vec::new() }; 5];
    for _ in 0..repeats {
        let mut clock = Instant::now();
        let mut lap = |times: &mut Vec<f64>| {
            times.push(1e3 * clock.elapsed().as_secs_f64());
            clock = Instant::now();
        };
        let plain = executor.run(&inputs);
        plain.unwrap_or_else(|error| panic!("{error}"));
        lap(&mut times[0]);
        let mut probe = Probe::new(&graph, options.mode);
        let observed = executor.run_observed(&inputs, &mut probe);
        let output = observed.unwrap_or_else(|error| panic!("{error}"));
        lap(&mut times[4]);
        let mut run = measure(&graph, &output.trace, None, seed);
        lap(&mut times[1]);
        probe.add_to(&mut run, &inputs);
        lap(&mut times[2]);
        let runs = vec![run];
        let (loss, layers) = aggregate(&runs);
        let measurement = Measurement {
            mode: network.mode(),
            batch: network.batch_size(),
            draws_weights: true,
            loss,
            layers,
            runs,
            ..Measurement::default()
        };
        std::hint::black_box(diagnose(&measurement));
        lap(&mut times[3]);
    }
    let [run, measure, add, rules, observed] = times.map(median);
    let probe = observed - run + add;
    println!(
        "{}: run {run:.3}, measure {measure:.3}, probe {probe:.3}, rules {rules:.3} ms: {:.2} % (without \
         measure {:.2} %)",
        network.title(),
        100.0 * (measure + probe + rules) / run,
        100.0 * (probe + rules) / run
    );
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

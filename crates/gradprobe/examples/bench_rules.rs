//! What a diagnosis costs: for every line on stdin a specification is run once for each of its seeds,
//! measured and judged, and the seconds are printed. See `bench/run.py`.
//!
//! `bench_rules FILE [--no-rules]`. Without the rules, the run is only measured: the signals, gains
//! and parameters of every layer, and none of what only rules read. At the end the medians of its
//! parts go to stderr.

use gradprobe::diagnose::diagnose;
use gradprobe::graph::Graph;
use gradprobe::import::spec::Network;
use gradprobe::import::{ImportError, Subject};
use gradprobe::measure::{Measurement, Probe, aggregate, measure};
use gradprobe::num::Tensor;
use gradprobe::run::{Executor, Options};
use std::error::Error;
use std::hint::black_box;
use std::io::{BufRead, Write};
use std::path::Path;
use std::time::Instant;

/// The parts of a step, in their order.
const PARTS: [&str; 4] = ["run", "measure", "probe", "rules"];

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let file = arguments
        .next()
        .ok_or("usage: bench_rules FILE [--no-rules]")?;
    let judges = arguments.next().as_deref() != Some("--no-rules");
    let network = Network::read(Path::new(&file))?;
    let graphs: Vec<(u64, Graph)> = network
        .seeds()
        .iter()
        .map(|&seed| Ok((seed, Subject::build(&network, seed)?)))
        .collect::<Result<_, ImportError>>()?;
    let mut prepared = Vec::new();
    for (seed, graph) in &graphs {
        let inputs = Subject::batch(&network, *seed)?;
        let inputs: Vec<Tensor<f32>> = inputs.iter().map(Tensor::cast).collect();
        let options = Options {
            mode: network.mode(),
            seed: *seed,
            threads: 2,
            ..Options::default()
        };
        prepared.push((*seed, graph, inputs, Executor::<f32>::new(graph, options)?));
    }
    let mut parts = PARTS.map(|_| Vec::new());
    let mut stdout = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        line?;
        let start = Instant::now();
        let (mut last, mut spent) = (0.0, PARTS.map(|_| 0.0));
        let mut lap = |part: usize| {
            let now = start.elapsed().as_secs_f64();
            spent[part] += now - last;
            last = now;
        };
        let mut runs = Vec::new();
        for (seed, graph, inputs, executor) in &mut prepared {
            let probe = || Probe::new(graph, network.mode()).without_noise();
            let mut probe = judges.then(probe);
            let output = match &mut probe {
                Some(probe) => executor.run_observed(inputs, probe)?,
                None => executor.run(inputs)?,
            };
            lap(0);
            let mut run = measure(graph, &output.trace, None, *seed);
            lap(1);
            if let Some(probe) = probe {
                probe.add_to(&mut run, inputs);
            }
            lap(2);
            runs.push(run);
        }
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
        if judges {
            black_box(diagnose(&measurement));
        }
        lap(3);
        parts
            .iter_mut()
            .zip(spent)
            .for_each(|(all, one)| all.push(one));
        writeln!(stdout, "{}", start.elapsed().as_secs_f64())?;
        stdout.flush()?;
    }
    for (name, seconds) in PARTS.iter().zip(&mut parts) {
        seconds.sort_by(f64::total_cmp);
        let median = seconds.get(seconds.len() / 2).copied().unwrap_or(0.0);
        eprintln!("{name} {:.3} ms", 1e3 * median);
    }
    Ok(())
}

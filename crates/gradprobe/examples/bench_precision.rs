//! What an examination of precision costs: for every line on stdin a specification is run as a
//! framework would run it in several types, beside the true gradient, and the seconds a type are
//! printed. See `bench/run.py`.
//!
//! `bench_precision FILE TYPES`, with commas between them; `plain` is a run in f32 with all statistics.

use gradprobe::import::Subject;
use gradprobe::import::spec::Network;
use gradprobe::measure::precision::{PrecisionOptions, RunSettings, examine_precision};
use gradprobe::num::Tensor;
use gradprobe::run::{Executor, Options};
use std::error::Error;
use std::hint::black_box;
use std::io::{BufRead, Write};
use std::path::Path;
use std::time::Instant;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [file, precision] = &arguments[..] else {
        return Err("usage: bench_precision FILE TYPES".into());
    };
    let network = Network::read(Path::new(file))?;
    let seed = network.seeds()[0];
    let graph = Subject::build(&network, seed)?;
    let batch = Subject::batch(&network, seed)?;
    let options = Options {
        mode: network.mode(),
        seed,
        threads: 2,
        ..Options::default()
    };
    if precision == "plain" {
        let inputs: Vec<Tensor<f32>> = batch.iter().map(Tensor::cast).collect();
        let mut executor = Executor::<f32>::new(&graph, options)?;
        return serve(1, || {
            executor.run(&inputs)?;
            Ok(())
        });
    }
    let asked = PrecisionOptions {
        precisions: precision
            .split(',')
            .map(str::parse)
            .collect::<Result<_, _>>()?,
        loss_scale: None,
    };
    let settings = RunSettings {
        mode: options.mode,
        threads: options.threads,
        seed,
        optimiser: None,
    };
    serve(asked.precisions.len(), || {
        black_box(examine_precision(&graph, &batch, &asked, &settings)?);
        Ok(())
    })
}

fn serve(
    types: usize,
    mut step: impl FnMut() -> Result<(), Box<dyn Error>>,
) -> Result<(), Box<dyn Error>> {
    let mut stdout = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        line?;
        let start = Instant::now();
        step()?;
        writeln!(stdout, "{}", start.elapsed().as_secs_f64() / types as f64)?;
        stdout.flush()?;
    }
    Ok(())
}

//! The engine's side of a benchmark of any specification or ONNX model: for every line on stdin one
//! forward and backward run with all statistics, whose seconds are printed; at the end the peak of
//! resident memory goes to stderr. The data of an ONNX model lie in the safetensors file beside it.
//!
//! `bench_network FILE [--no-statistics] [--batch-1]`

use gradprobe::import::Subject;
use gradprobe::import::onnx::{OnnxNetwork, OnnxOptions};
use gradprobe::import::spec::{Network, Specification};
use gradprobe::num::Tensor;
use gradprobe::run::{Executor, Options};
use std::error::Error;
use std::io::{BufRead, Write};
use std::path::Path;
use std::time::Instant;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let is_given = |flag: &str| arguments.iter().any(|argument| argument == flag);
    let file = arguments
        .first()
        .ok_or("usage: bench_network FILE [--no-statistics] [--batch-1]")?;
    let statistics = !is_given("--no-statistics");
    let network = read(Path::new(file), is_given("--batch-1"))?;
    let graph = network.build(0)?;
    let inputs: Vec<Tensor<f32>> = network.batch(0)?.iter().map(Tensor::cast).collect();
    let options = Options {
        statistics,
        threads: 2,
        ..Options::default()
    };
    let mut executor = Executor::<f32>::new(&graph, options)?;
    let mut stdout = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        line?;
        let start = Instant::now();
        executor.run(&inputs)?;
        writeln!(stdout, "{}", start.elapsed().as_secs_f64())?;
        stdout.flush()?;
    }
    if let Some(peak) = peak_memory() {
        eprintln!("peak memory {} MiB", peak >> 10);
    }
    Ok(())
}

fn read(file: &Path, one_sample: bool) -> Result<Box<dyn Subject>, Box<dyn Error>> {
    if file.extension().is_none_or(|extension| extension != "onnx") {
        let mut specification = Specification::read(file)?;
        if one_sample {
            specification.batch = 1;
        }
        return Ok(Box::new(Network::new(specification)?));
    }
    let options = OnnxOptions {
        data: Some(file.with_extension("safetensors")),
        ..OnnxOptions::default()
    };
    Ok(Box::new(OnnxNetwork::read(file, &options)?))
}

/// The most memory that was resident so far, in KiB, where the system tells (Linux does).
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

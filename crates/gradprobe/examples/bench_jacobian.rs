//! The engine's side of the benchmark of Jacobians: for every line on stdin one forward run and all
//! singular values of the end-to-end Jacobian, whose seconds are printed. See `bench/run.py`.
//!
//! `bench_jacobian NETWORK.toml`

use gradprobe::import::Subject;
use gradprobe::import::spec::{Network, Specification};
use gradprobe::measure::{JacobianOptions, jacobian};
use gradprobe::num::Tensor;
use gradprobe::run::{Executor, Options};
use std::error::Error;
use std::io::{BufRead, Write};
use std::path::Path;
use std::time::Instant;

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1);
    let path = path.ok_or("usage: bench_jacobian NETWORK.toml")?;
    let network = Network::new(Specification::read(Path::new(&path))?)?;
    let graph = network.build(0)?;
    let inputs: Vec<Tensor<f32>> = network.batch(0)?.iter().map(Tensor::cast).collect();
    let options = Options {
        mode: network.mode(),
        statistics: false,
        threads: 2,
        ..Options::default()
    };
    let wanted = JacobianOptions {
        largest: 10,
        layers: false,
        sample: 0,
        seed: 0,
        theory: false,
    };
    let mut executor = Executor::<f32>::new(&graph, options)?;
    let mut stdout = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        line?;
        let start = Instant::now();
        let at = executor.linearise(&inputs)?;
        jacobian(&graph, &at, &wanted)?;
        writeln!(stdout, "{}", start.elapsed().as_secs_f64())?;
        stdout.flush()?;
    }
    Ok(())
}

//! The engine's side of the benchmark of fully connected networks: for every line on stdin one
//! forward and backward run with all statistics, whose seconds are printed. See `bench/run.py`.
//!
//! `bench_mlp DEPTH WIDTH BATCH [--no-statistics]`

use gradprobe::graph::{CotangentKind, GraphBuilder, Objective, Origin, ParameterData};
use gradprobe::num::Tensor;
use gradprobe::num::random::Stream;
use gradprobe::ops::Linear;
use gradprobe::ops::activation::{self, ActivationOp};
use gradprobe::run::{Executor, Options};
use std::error::Error;
use std::io::{BufRead, Write};
use std::sync::Arc;
use std::time::Instant;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [depth, width, batch] = match &arguments[..] {
        [depth, width, batch, ..] => [depth.parse()?, width.parse()?, batch.parse()?],
        _ => return Err("usage: bench_mlp DEPTH WIDTH BATCH [--no-statistics]".into()),
    };
    let statistics = !arguments
        .iter()
        .any(|argument| argument == "--no-statistics");
    let mut builder = GraphBuilder::new();
    let mut h = builder.input("x", [batch, width].into())?;
    let normal = |name: &str, shape: [usize; 2], std: f64| {
        let mut values = vec![0f32; shape[0] * shape[1]];
        Stream::new(0, name).fill_normal(0.0, std, &mut values);
        Tensor::new(shape, values)
    };
    for layer in 0..depth {
        let name = format!("fc{layer}");
        builder.begin_layer(&name, "linear + tanh", Origin::default())?;
        let weight = normal(&name, [width, width], 1.0 / (width as f64).sqrt());
        let weight = ParameterData::F32(Arc::new(weight));
        let weight = builder.parameter(format!("{name}.weight"), weight, true)?;
        let bias = ParameterData::F32(Arc::new(Tensor::new([width], vec![0.0; width])));
        let bias = builder.parameter(format!("{name}.bias"), bias, true)?;
        let linear = Linear { bias: true };
        let u = builder.node(&name, linear, &[h, weight, bias], Origin::default())?;
        let tanh = ActivationOp::new(activation::parse("tanh")?);
        h = builder.node(format!("{name}.tanh"), tanh, &[u], Origin::default())?;
    }
    let graph = builder.finish(h, Objective::Output(h, CotangentKind::Random))?;
    let options = Options {
        statistics,
        threads: 2,
        ..Options::default()
    };
    let mut executor = Executor::<f32>::new(&graph, options)?;
    let inputs = [normal("x", [batch, width], 1.0)];
    let mut stdout = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        line?;
        let start = Instant::now();
        executor.run(&inputs)?;
        writeln!(stdout, "{}", start.elapsed().as_secs_f64())?;
        stdout.flush()?;
    }
    Ok(())
}

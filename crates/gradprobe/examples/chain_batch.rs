//! Times the batch call on many chains: prints one line of JSON.
//!
//! `chain_batch --dtype f32 --depth 4 --count 1000000 --repeat 20 --activation tanh`
//!
//! With `--repeat 0` it does a few runs a line of stdin and prints the seconds of the median one
//! (see `bench/run.py`).

use gradprobe::num::Threads;
use gradprobe::ops::activation::{ActivationElement, parse};
use gradprobe::theory::{BatchWeights, chain_batch};
use std::collections::BTreeMap;
use std::error::Error;
use std::io::BufRead;
use std::time::Instant;

/// Runs a line of stdin: a rate is that of a program at work, not of one that was just woken.
const BURST: usize = 5;

fn main() -> Result<(), Box<dyn Error>> {
    let mut options: BTreeMap<String, String> = [
        ("dtype", "f32"),
        ("depth", "4"),
        ("count", "1000000"),
        ("repeat", "20"),
        ("activation", "tanh"),
        ("threads", "2"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = arguments.next().ok_or(format!("{name} needs a value"))?;
        let known = options.get_mut(name.trim_start_matches('-'));
        *known.ok_or(format!("unknown option {name}"))? = value;
    }
    let threads = Threads::new(options["threads"].parse()?)?;
    match options["dtype"].as_str() {
        "f32" => time::<f32>(&options, &threads),
        "f64" => time::<f64>(&options, &threads),
        other => Err(format!("dtype is {other}, expected f32 or f64").into()),
    }
}

fn time<T: ActivationElement>(
    options: &BTreeMap<String, String>,
    threads: &Threads,
) -> Result<(), Box<dyn Error>> {
    let activation = parse(&options["activation"])?;
    let depth: usize = options["depth"].parse()?;
    let count: usize = options["count"].parse()?;
    let repeat: usize = options["repeat"].parse()?;
    let x: Vec<T> = (0..count)
        .map(|i| T::from_f64(6.0 * i as f64 / count as f64 - 3.0))
        .collect();
    let weights: Vec<T> = (0..depth)
        .map(|layer| T::from_f64([1.5, -0.5, 2.0, 0.75][layer % 4]))
        .collect();
    let mut output = vec![T::one(); count];
    let mut gradients = vec![T::one(); depth * count];
    let mut run = || -> Result<f64, Box<dyn Error>> {
        let start = Instant::now();
        let weights = BatchWeights::Shared(&weights);
        threads.install(|| chain_batch(&*activation, &x, weights, &mut output, &mut gradients))?;
        Ok(start.elapsed().as_secs_f64())
    };
    if repeat == 0 {
        for line in std::io::stdin().lock().lines() {
            line?;
            let mut seconds = (0..BURST).map(|_| run()).collect::<Result<Vec<_>, _>>()?;
            seconds.sort_by(f64::total_cmp);
            println!("{}", seconds[BURST / 2]);
        }
        return Ok(());
    }
    // The first ones touch the memory and start the threads.
    for _ in 0..3 {
        run()?;
    }
    let mut seconds = (0..repeat).map(|_| run()).collect::<Result<Vec<_>, _>>()?;
    seconds.sort_by(f64::total_cmp);
    let least = seconds.first().copied().unwrap_or(f64::NAN);
    let median = seconds.get(seconds.len() / 2).copied().unwrap_or(f64::NAN);
    println!(
        r#"{{"program": "gradprobe", "dtype": "{}", "depth": {depth}, "count": {count}, "median_seconds": {median}, "least_seconds": {least}, "million_per_second": {:.1}, "check": {}}}"#,
        options["dtype"],
        depth as f64 * count as f64 / median / 1e6,
        gradients[0],
    );
    Ok(())
}

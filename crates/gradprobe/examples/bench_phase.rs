//! The engine's side of the benchmark of measured phase diagrams: for every line on stdin a whole
//! one, its weights drawn anew, whose seconds are printed. See `bench/run.py`.
//!
//! `bench_phase POINTS DEPTH WIDTH BATCH`: POINTS × POINTS of tanh networks.

use gradprobe::diagnose::experiment::{GridSettings, measure_grid};
use gradprobe::ops::activation::parse;
use std::error::Error;
use std::io::{BufRead, Write};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

fn main() -> Result<(), Box<dyn Error>> {
    let numbers: Result<Vec<usize>, _> = std::env::args().skip(1).map(|n| n.parse()).collect();
    let [points, depth, width, batch] = numbers?[..] else {
        return Err("usage: bench_phase POINTS DEPTH WIDTH BATCH".into());
    };
    let settings = GridSettings {
        activation: "tanh".into(),
        points: [points, points],
        largest_sigma_w: 3.0,
        largest_sigma_b: 0.5,
        depth,
        width,
        batch,
        networks: 1,
    };
    let tanh = parse(&settings.activation)?;
    let mut stdout = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        line?;
        let done = AtomicUsize::new(0);
        let start = Instant::now();
        measure_grid(&settings, &tanh, &[], 2, &AtomicBool::new(false), &|runs| {
            done.fetch_add(runs.len(), Ordering::Relaxed);
        })?;
        writeln!(stdout, "{}", start.elapsed().as_secs_f64())?;
        stdout.flush()?;
        assert_eq!(done.into_inner(), settings.run_count(), "every point");
    }
    Ok(())
}

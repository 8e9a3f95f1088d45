//! `gradprobe jacobian`: the singular values of a network's Jacobians.

use super::network_arguments::NetworkArguments;
use super::onnx_arguments::OnnxArguments;
use crate::failure::Failure;
use crate::output::OutputArguments;
use crate::talk::Progress;
use clap::{Args, ValueEnum};
use gradprobe::check::{JacobianRequest, jacobians};
use gradprobe::report::{write_jacobian_json, write_jacobian_text};
use std::process::ExitCode;

/// Measure the singular values of a network's input-output Jacobian, whole and layer by layer
///
/// A singular value says how much a signal is stretched in its direction on the way forward, and
/// its gradient on the way back. The table shows for every layer and for the whole: the largest,
/// median and smallest singular value, their ratio (the condition number), how many directions
/// carry the signal (effective rank), the share within a tenth of the largest, and how isometric
/// the map is (1 where all are equal). Jacobians too large to write down get their largest
/// singular values, with their errors.
#[derive(Debug, Args)]
pub struct JacobianArguments {
    #[command(flatten)]
    network: NetworkArguments,
    /// Samples of the batch to measure at, from the first on
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    samples: u32,
    /// Singular values to compute where all would be too many
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=500))]
    largest: u16,
    /// Measure the whole alone, not each layer
    #[arg(long)]
    no_layers: bool,
    /// How the result is written
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,
    #[command(flatten)]
    output: OutputArguments,
    /// Threads to use (default: one a core)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// Say nothing but the result and mistakes: no progress
    #[arg(short, long)]
    quiet: bool,
    // Last, for its heading goes on to the end.
    #[command(flatten)]
    onnx: OnnxArguments,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Format {
    /// A table, for people
    #[default]
    Text,
    /// Every singular value, by a documented and versioned schema (docs/JACOBIAN.md)
    Json,
}

impl JacobianArguments {
    /// Runs the command.
    pub fn run(self) -> Result<ExitCode, Failure> {
        let network = self.network.read(&self.onnx)?;
        let request = JacobianRequest {
            samples: self.samples as usize,
            largest: self.largest.into(),
            layers: !self.no_layers,
        };
        let mut progress = Progress::new("seed", network.seeds().len(), !self.quiet);
        let threads = self.threads.map_or(0, usize::from);
        let measured = jacobians(&*network, &request, threads, &mut |done| {
            progress.show(done)
        });
        drop(progress);
        let measured = measured.map_err(|error| self.network.failure(&error))?;
        self.output.write(|out| match self.format {
            Format::Text => write_jacobian_text(out, &measured, self.output.width()),
            Format::Json => write_jacobian_json(out, &measured),
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

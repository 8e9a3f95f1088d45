//! The command line of gradprobe.
//!
//! Machine output goes to stdout or to `-o`, talk goes to stderr. Exit status: 0 healthy,
//! 1 findings at or above `--fail-on`, 2 bad input or an output that cannot be written.

mod commands;
mod fail_on;
mod failure;
mod output;
mod specification_error;
mod talk;

use clap::Parser;
use failure::Failure;
use std::process::ExitCode;

/// Where gradients vanish or explode in a neural network, why, and which change fixes it.
#[derive(Debug, Parser)]
#[command(
    name = "gradprobe",
    version,
    propagate_version = true,
    max_term_width = 80
)]
struct Arguments {
    #[command(subcommand)]
    command: commands::Command,
}

fn main() -> ExitCode {
    match Arguments::parse().command.run() {
        Ok(code) => code,
        Err(failure) => failure.report(),
    }
}

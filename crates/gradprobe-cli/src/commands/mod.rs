//! The commands, one file each.

mod baseline_arguments;
mod chain;
mod check;
mod init;
mod jacobian;
mod network_arguments;
mod onnx_arguments;
mod ops;
mod rule;
mod rule_arguments;
mod theory;
mod theory_grid;

use crate::Failure;
use clap::Subcommand;
use std::process::ExitCode;

/// A command with its arguments. To add one: a file here, and a row below.
#[derive(Debug, Subcommand)]
pub enum Command {
    Chain(chain::ChainArguments),
    Check(Box<check::CheckArguments>),
    Init(init::InitArguments),
    Jacobian(jacobian::JacobianArguments),
    Ops(ops::OpsArguments),
    Rule(rule::RuleArguments),
    Theory(theory::TheoryArguments),
}

impl Command {
    /// Runs the command.
    pub fn run(self) -> Result<ExitCode, Failure> {
        match self {
            Self::Chain(arguments) => arguments.run(),
            Self::Check(arguments) => arguments.run(),
            Self::Init(arguments) => arguments.run(),
            Self::Jacobian(arguments) => arguments.run(),
            Self::Ops(arguments) => arguments.run(),
            Self::Rule(arguments) => arguments.run(),
            Self::Theory(arguments) => arguments.run(),
        }
    }
}

//! `gradprobe ops`: which operators of ONNX can be imported.

use crate::failure::Failure;
use crate::output::OutputArguments;
use clap::{Args, ValueEnum};
use gradprobe::report::{write_ops_markdown, write_ops_text};
use std::process::ExitCode;

/// List the operators of ONNX that `check` knows, and what each becomes
#[derive(Debug, Args)]
pub struct OpsArguments {
    /// How the list is written
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,
    #[command(flatten)]
    output: OutputArguments,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Format {
    /// A table, for people
    #[default]
    Text,
    /// The page docs/ONNX.md
    Markdown,
}

impl OpsArguments {
    /// Runs the command.
    pub fn run(self) -> Result<ExitCode, Failure> {
        let width = self.output.width();
        self.output.write(|out| match self.format {
            Format::Text => write_ops_text(out, width),
            Format::Markdown => write_ops_markdown(out),
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

//! `gradprobe check`: runs a network with every signal measured and judges what was measured.

use super::onnx_arguments::OnnxArguments;
use super::rule_arguments::RuleSelectionArguments;
use crate::fail_on::FailOn;
use crate::failure::Failure;
use crate::output::OutputArguments;
use crate::talk::{Progress, Times};
use clap::{Args, ValueEnum};
use gradprobe::check::{Check, CheckError};
use gradprobe::import::Subject;
use gradprobe::import::onnx::OnnxNetwork;
use gradprobe::import::spec::{Dtype, Network, Specification};
use gradprobe::ops::Mode;
use gradprobe::report::{CheckTextOptions, escape, write_check_json, write_check_text};
use std::path::PathBuf;
use std::process::ExitCode;

/// Run a network forward and backward and find where its gradients vanish or explode
///
/// The network is a TOML file (`gradprobe init` writes one to start from) or an ONNX model, for
/// which inputs and loss are chosen, and said. Layer by layer the table shows the forward and the backward signal in decades (powers of ten, relative to the last
/// layer), the size of the weight's gradient, the share of saturated outputs and dead units, and
/// what each layer's weights and activation add to the backward signal.
///
/// Exit status: 0 if no finding reaches `--fail-on`, 1 if one does, 2 on bad input.
#[derive(Debug, Args)]
pub struct CheckArguments {
    /// The network: a TOML file or an ONNX model
    #[arg(value_name = "NETWORK")]
    network: PathBuf,
    /// How the result is written
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,
    #[command(flatten)]
    output: OutputArguments,
    /// Seeds to draw weights and batches from, one run each: 0,1,2 (default: the file's)
    #[arg(
        long,
        value_name = "LIST",
        value_delimiter = ',',
        conflicts_with = "seeds"
    )]
    seed: Vec<u64>,
    /// Number of seeds: 0 to N − 1 (default: the file's)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=10_000))]
    seeds: Option<u64>,
    /// Arithmetic to run in (default: the file's)
    #[arg(long, value_enum)]
    dtype: Option<DtypeArgument>,
    /// Training or inference: batch or running statistics in BatchNorm (default: the file's)
    #[arg(long, value_enum)]
    mode: Option<ModeArgument>,
    /// Samples in a batch (default: the file's)
    #[arg(long, value_name = "ROWS", value_parser = clap::value_parser!(u64).range(1..))]
    batch: Option<u64>,
    /// The least severity of a finding that makes the exit status 1
    #[arg(long, value_enum, default_value = "error", value_name = "SEVERITY")]
    fail_on: FailOn,
    /// Threads to use; the result does not depend on it (default: one a core)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// Show every layer, however many there are
    #[arg(long)]
    all_layers: bool,
    /// Say how long each step took, on stderr
    #[arg(short, long, conflicts_with = "quiet")]
    verbose: bool,
    /// Say nothing but the result and mistakes: no progress
    #[arg(short, long)]
    quiet: bool,
    #[command(flatten)]
    rules: RuleSelectionArguments,
    // Last, for its heading goes on to the end.
    #[command(flatten)]
    onnx: OnnxArguments,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Format {
    /// A table and the verdict, for people
    #[default]
    Text,
    /// Everything, by a documented and versioned schema (docs/CHECK_JSON.md)
    Json,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum DtypeArgument {
    /// Single precision
    F32,
    /// Double precision
    F64,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ModeArgument {
    /// As in training
    Train,
    /// As in inference
    Eval,
}

impl CheckArguments {
    /// Runs the command.
    pub fn run(self) -> Result<ExitCode, Failure> {
        let mut times = Times::new(self.verbose);
        let network = self.network()?;
        let rules = self.rules.rules(&self.network, &*network)?;
        let seeds = network.seeds().to_vec();
        times.step(format_args!("read and planned"));
        let mut progress = Progress::new("seed", seeds.len(), !self.quiet && !self.verbose);
        let threads = self.threads.map_or(0, usize::from);
        let checked = gradprobe::check::check_by(&rules, &*network, threads, &mut |done| {
            progress.show(done);
            times.step(format_args!("built and ran seed {}", seeds[done - 1]));
        });
        drop(progress);
        times.step(format_args!("judged"));
        let Check {
            measurement,
            diagnosis,
        } = checked.map_err(|error| match error {
            CheckError::Spec(error) => Failure::spec(&error),
            error => Failure::Input(format!(
                "{}: {}",
                crate::output::shown(&self.network),
                escape(&error.to_string())
            )),
        })?;
        let options = CheckTextOptions {
            colour: self.output.colour(),
            width: self.output.width(),
            all_layers: self.all_layers,
        };
        self.output.write(|out| match self.format {
            Format::Text => write_check_text(out, &measurement, &diagnosis, &options),
            Format::Json => write_check_json(out, &measurement, &diagnosis),
        })?;
        times.step(format_args!("written"));
        times.end();
        let severities = diagnosis.findings.iter().map(|finding| finding.severity);
        Ok(self.fail_on.status(severities))
    }

    /// The network, with what the command line says about it.
    fn network(&self) -> Result<Box<dyn Subject>, Failure> {
        let is_onnx = self
            .network
            .extension()
            .is_some_and(|extension| extension.eq_ignore_ascii_case("onnx"));
        if is_onnx {
            return self.model();
        }
        if let Some(option) = self.onnx.given() {
            return Err(Failure::Input(format!(
                "{option} is for ONNX models; `{}` says such things itself",
                crate::output::shown(&self.network)
            )));
        }
        let specification = self.specification()?;
        let network = Network::new(specification).map_err(|error| Failure::spec(&error))?;
        Ok(Box::new(network))
    }

    fn model(&self) -> Result<Box<dyn Subject>, Failure> {
        let mut options = self.onnx.options()?;
        options.seeds = self.seeds_asked().unwrap_or_default();
        if let Some(dtype) = self.dtype {
            options.dtype = dtype.into();
        }
        if let Some(mode) = self.mode {
            options.mode = mode.into();
        }
        if let Some(batch) = self.batch {
            options.dims.push(("batch".into(), count(batch)));
        }
        let network = OnnxNetwork::read(&self.network, &options)
            .map_err(|error| Failure::Input(error.to_string()))?;
        Ok(Box::new(network))
    }

    fn seeds_asked(&self) -> Option<Vec<u64>> {
        if self.seed.is_empty() {
            self.seeds.map(|count| (0..count).collect())
        } else {
            Some(self.seed.clone())
        }
    }

    /// The file's specification, with what the command line says instead.
    fn specification(&self) -> Result<Specification, Failure> {
        let mut specification = Specification::read(&self.network).map_err(|mut error| {
            if !self.network.exists() {
                error.help = Some("`gradprobe init FILE` writes a network to start from".into());
            }
            Failure::spec(&error)
        })?;
        if let Some(seeds) = self.seeds_asked() {
            specification.seeds = seeds;
        }
        if let Some(dtype) = self.dtype {
            specification.dtype = dtype.into();
        }
        if let Some(mode) = self.mode {
            specification.mode = mode.into();
        }
        if let Some(batch) = self.batch {
            specification.batch = count(batch);
        }
        Ok(specification)
    }
}

fn count(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

impl From<DtypeArgument> for Dtype {
    fn from(argument: DtypeArgument) -> Self {
        match argument {
            DtypeArgument::F32 => Self::F32,
            DtypeArgument::F64 => Self::F64,
        }
    }
}

impl From<ModeArgument> for Mode {
    fn from(argument: ModeArgument) -> Self {
        match argument {
            ModeArgument::Train => Self::Train,
            ModeArgument::Eval => Self::Eval,
        }
    }
}
